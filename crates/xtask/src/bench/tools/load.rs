//! Processor time of the agent, and of the process between a tool and its terminal, while an answer streams.

use std::time::Duration;

use cm_client::Client;
use cm_protocol::State;

use super::room::{Room, until};
use crate::bench::Row;
use crate::bench::agent::BenchError;
use crate::bench::measure::{children, cpu};
use crate::bench::subject::Running;

const TIME: Duration = Duration::from_secs(20);

/// The rows of it.
pub async fn load(agent: &Running, client: &Client, room: &Room) -> Result<Vec<Row>, BenchError> {
    let session = room.begin(client, "stream").await?;
    until(client, &session, &[State::Running, State::Planning, State::Editing]).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let tool = client.get_session(&session).await?.pid.ok_or("the session has no process")?;
    let holder = holder(tool).ok_or("no `cm-agent hold` beside the session's process")?;
    let before = (cpu(agent.pid()), cpu(holder));
    tokio::time::sleep(TIME).await;
    let percent = |now: Duration, before: Duration| (now - before).as_secs_f64() / TIME.as_secs_f64() * 100.0;
    let used = (percent(cpu(agent.pid()), before.0), percent(cpu(holder), before.1));
    let state = client.get_session(&session).await?.info.state;
    client.kill_session(&session).await?;
    if matches!(state, State::Done | State::Idle | State::Failed) {
        return Err(format!("the streamed answer was over too soon: {state}").into());
    }
    let row = |what: &str, used: f64| Row {
        what: format!("processor time while Claude streams for 20 s: {what}"),
        measured: format!("{used:.2} % of a core"),
        goal: "< 1 %",
        original: "",
        good: used < 1.0,
    };
    Ok(vec![row("the agent", used.0), row("`cm-agent hold`", used.1)])
}

/// The process between a tool and its terminal: the session's own, its parent, or its child.
fn holder(tool: i32) -> Option<u32> {
    let holds = |pid: &i32| {
        let words = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|word| word == b"hold")
    };
    let status = std::fs::read_to_string(format!("/proc/{tool}/status")).unwrap_or_default();
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse().ok());
    let near = [Some(tool), parent].into_iter().flatten().chain(children(tool));
    near.into_iter().find(holds).and_then(|pid| u32::try_from(pid).ok())
}

//! What is measured of real tools in the agent: whether their state is right, how soon they are answered, and
//! what it costs to look.

mod judge;
mod latency;
mod load;
mod room;

use std::path::Path;
use std::time::Duration;

use cm_agent::tool::Profiles;
use cm_client::Client;
use cm_protocol::State;
use cm_testkit::homes::Tool;
use cm_testkit::tools::Tools;

use super::Row;
use super::agent::BenchError;
use super::subject::{Running, Subject};
use judge::{Seen, Tally};
use room::{Room, until};

/// Everything the tools do: files, commands, long and slow answers, thinking, errors.
const SCENARIOS: [&str; 8] = ["write", "edit", "bash", "plan_work", "slow", "think", "long", "bad_request"];
/// What is left to a session that has ended its task: long enough for one that only sees the screen.
const AFTER: Duration = Duration::from_secs(3);

/// Everything. `scripted`: the program of the scripted tool.
pub async fn all(subject: &Subject, tools: &Tools, scripted: &Path) -> Result<Vec<Row>, BenchError> {
    println!("measuring dialogs …");
    let mut rows = vec![latency::screen(subject, scripted).await?];
    rows.iter().for_each(|row| println!("{}: {}", row.what, row.measured));
    let agent = subject.start()?;
    let measured = with_tools(subject, &agent, tools).await;
    agent.end().await?;
    rows.extend(measured?);
    Ok(rows)
}

async fn with_tools(subject: &Subject, agent: &Running, tools: &Tools) -> Result<Vec<Row>, BenchError> {
    let client = agent.unix().await?;
    let claude = Room::new(Tool::Claude, tools, agent.dir())?;
    let codex = Room::new(Tool::Codex, tools, agent.dir())?;
    let mut rows = Vec::new();
    println!("measuring hooks …");
    let hook = latency::hook(subject, agent, &claude).await?;
    println!("{}: {}", hook.what, hook.measured);
    rows.push(hook);
    println!("measuring processor time …");
    let load = load::load(agent, &client, &claude).await?;
    load.iter().for_each(|row| println!("{}: {}", row.what, row.measured));
    rows.extend(load);
    for (name, room) in [("Claude", &claude), ("Codex", &codex)] {
        let mut all = Seen::default();
        for scenario in SCENARIOS {
            let seen = watched(agent, &client, room, scenario).await?;
            println!(
                "{name}, {scenario}: {}; screen only {}",
                words(seen.announced),
                words(seen.screen_only)
            );
            all.announced.add(seen.announced);
            all.screen_only.add(seen.screen_only);
        }
        rows.extend(accuracy(name, "as announced", all.announced, true));
        rows.extend(accuracy(name, "from the screen only", all.screen_only, false));
    }
    Ok(rows)
}

/// One task from beginning to end, judged by its recording.
async fn watched(agent: &Running, client: &Client, room: &Room, scenario: &str) -> Result<Seen, BenchError> {
    let session = room.begin(client, scenario).await?;
    let ended = until(client, &session, &[State::Done, State::Failed]).await;
    tokio::time::sleep(AFTER).await;
    let recording = agent.dir().join("state/recordings").join(format!("{session}.jsonl"));
    // With its end all of it is on the disk.
    client.kill_session(&session).await?;
    let text = std::fs::read_to_string(&recording)?;
    if let Some(dir) = std::env::var_os("CM_TEST_KEEP") {
        std::fs::write(Path::new(&dir).join(format!("bench-{scenario}-{session}.jsonl")), &text)?;
    }
    ended?;
    let seen = judge::judge(&text, &Profiles::builtin());
    seen.ok_or_else(|| format!("{scenario}: the tool never said that it works").into())
}

fn words(tally: Tally) -> String {
    format!(
        "{:.1} % of {} right, {:.1} % with what the policy answered, {} done while working",
        tally.strict(),
        tally.samples,
        tally.percent(),
        tally.rested
    )
}

/// `goal`: there is one for how often the state is right.
fn accuracy(tool: &str, how: &str, tally: Tally, goal: bool) -> [Row; 2] {
    let samples = format!("{:.2} % of {} samples", tally.percent(), tally.samples);
    let answering =
        format!("{:.2} % where a prompt that the policy answers counts as waiting", tally.strict());
    [
        Row {
            what: format!("{tool}: state right, {how}"),
            measured: format!("{samples}; {answering}"),
            goal: if goal { "≥ 99 %" } else { "" },
            original: "",
            good: !goal || tally.percent() >= 99.0,
        },
        Row {
            what: format!("{tool}: done or idle told while it works, {how}"),
            measured: format!("{} samples", tally.rested),
            goal: "0",
            original: "",
            good: tally.rested == 0,
        },
    ]
}

//! Eight sessions that print as fast as they can: what it does to the agent, to the others, and to them.

use std::time::{Duration, Instant};

use cm_client::Client;
use cm_protocol::SessionId;

use super::Row;
use super::agent::{BenchError, shell, sleeper};
use super::measure::{Samples, children, cpu, rss, written};
use super::subject::Running;

const FLOODS: usize = 8;
const TIME: Duration = Duration::from_secs(10);

/// The rows of the flood.
pub async fn flood(agent: &Running) -> Result<Vec<Row>, BenchError> {
    let client = agent.unix().await?;
    let bystander = client.create_session(sleeper()).await?.session_id;
    let mut printers = Vec::new();
    for _ in 0..FLOODS {
        let session = client.create_session(shell("exec yes")).await?.session_id;
        printers.push(printer(&client, &session).await?);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (memory, used) = (rss(agent.pid()), cpu(agent.pid()));
    let (mut samples, mut peak) = (Samples::default(), memory);
    let (mut printed, mut stalled) = (counts(&printers), 0);
    let before = printed.clone();
    let start = Instant::now();
    let mut second = start;
    while start.elapsed() < TIME {
        let asked = Instant::now();
        client.capture_pane(&bystander, 50).await?;
        samples.push(asked.elapsed());
        peak = peak.max(rss(agent.pid()));
        if second.elapsed() >= Duration::from_secs(1) {
            second = Instant::now();
            let now = counts(&printers);
            stalled += now.iter().zip(&printed).filter(|(now, before)| now == before).count();
            printed = now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let took = start.elapsed().as_secs_f64();
    let share = (cpu(agent.pid()) - used).as_secs_f64() / took * 100.0;
    let total: u64 = printed.iter().zip(&before).map(|(now, before)| now - before).sum();
    let grown = peak.saturating_sub(memory) as f64 / 1e6;
    Ok(vec![
        Row {
            what: "flood, `yes` in 8 sessions for 10 s: agent's memory".into(),
            good: grown <= 4.0,
            measured: format!(
                "{:.1} MB, {grown:+.1} MB at the peak; {share:.0} % of a core",
                memory as f64 / 1e6
            ),
            goal: "flat",
            original: "",
        },
        Row {
            what: "flood: other session's command, p50 / p99".into(),
            good: samples.quantile(0.99) <= 20.0,
            measured: samples.words(),
            goal: "p99 ≤ 20 ms",
            original: "",
        },
        Row {
            what: "flood: the tools themselves".into(),
            good: stalled == 0,
            measured: format!(
                "{:.1} MB/s printed, {stalled} seconds without output",
                total as f64 / took / 1e6
            ),
            goal: "not stalled",
            original: "",
        },
    ])
}

/// The process that prints: the child of the one that holds the terminal, once it is there.
async fn printer(client: &Client, session: &SessionId) -> Result<i32, BenchError> {
    let holder = client.get_session(session).await?.pid.ok_or("no program")?;
    for _ in 0..1000 {
        if let Some(&pid) = children(holder).first()
            && written(pid) > 0
        {
            return Ok(pid);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err("the program did not begin to print".into())
}

fn counts(printers: &[i32]) -> Vec<u64> {
    printers.iter().map(|&pid| written(pid)).collect()
}

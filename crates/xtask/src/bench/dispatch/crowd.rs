//! A client with two hundred connections: idle, and busy with tasks that do nothing.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::bench::Row;
use crate::failure::Failure;

use super::events;
use super::place::Desk;
use super::running::Running;
use super::simulated::{self, AGENTS};
use super::traffic::{self, Traffic};

/// Idle for so long.
const WINDOW: Duration = Duration::from_secs(40);
/// After all have begun.
const SETTLE: Duration = Duration::from_secs(5);
/// For all to be connected and to begin; for all to end.
const DEADLINE: Duration = Duration::from_secs(240);
/// Runs while nothing is told.
const QUIET: &str = "sleep 120";

/// What the client costs.
struct Cost {
    cpu: f64,
    rss: u64,
}

/// Measures it.
pub fn measure(desk: &Desk, tasks: u16) -> Result<Vec<Row>, Failure> {
    let (idle, bytes) = idle(desk)?;
    let busy = busy(desk, tasks)?;
    Ok(rows(&idle, bytes, &busy, tasks))
}

fn dispatch(desk: &Desk, more: &[&str]) -> Command {
    let mut command = desk.fleet();
    command.args(["dispatch", "-i", "crowd.yaml", "-F", "ssh_config", "--connect-timeout", "60"]);
    command.args(["--tool", "shell", "--json"]).args(more);
    command
}

fn idle(desk: &Desk) -> Result<(Cost, u64), Failure> {
    let hosts = simulated::hosts();
    let mut client = Running::start(dispatch(desk, &["--each-host", QUIET]), desk.bench.path("idle"))?;
    client.until(DEADLINE, |told| (events::of(told, "task_started").count() == hosts).then_some(()))?;
    thread::sleep(SETTLE);
    client.look();
    let (cpu, before) = (client.cpu(), traffic::of(client.pid())?);
    thread::sleep(WINDOW);
    client.look();
    let (cost, after) = (Cost { cpu: client.cpu() - cpu, rss: client.rss() }, traffic::of(client.pid())?);
    client.cancel()?;
    if after.connections < hosts {
        let what = format!("{} of {hosts} connections stand", after.connections);
        return Err(Failure::check(what, format!("read {}", desk.bench.path("idle").display())));
    }
    Ok((cost, bytes(before, after)))
}

fn bytes(before: Traffic, after: Traffic) -> u64 {
    after.bytes.saturating_sub(before.bytes)
}

fn busy(desk: &Desk, tasks: u16) -> Result<Cost, Failure> {
    desk.bench.write("crowd.txt", &"true\n".repeat(usize::from(tasks)))?;
    let mut client = Running::start(dispatch(desk, &["--file", "crowd.txt"]), desk.bench.path("busy"))?;
    client.end(DEADLINE)?;
    let done = events::done(&client.told()?);
    if done != usize::from(tasks) {
        let what = format!("{done} of {tasks} tasks are done");
        return Err(Failure::check(what, format!("read {}", desk.bench.path("busy").display())));
    }
    Ok(Cost { cpu: client.cpu(), rss: client.rss() })
}

/// PURE.
fn rows(idle: &Cost, bytes: u64, busy: &Cost, tasks: u16) -> Vec<Row> {
    let hosts = simulated::hosts();
    let seconds = WINDOW.as_secs_f64();
    let each = bytes as f64 / seconds / hosts as f64;
    let row = |what: String, measured: String, goal: &'static str, good: bool| Row {
        what,
        measured,
        goal,
        original: "",
        good,
    };
    vec![
        row(
            format!("{hosts} connections, idle: the client's processor and memory"),
            format!("{:.2} % of a core, {:.1} MB", idle.cpu * 100.0 / seconds, idle.rss as f64 / 1e6),
            "",
            true,
        ),
        row(
            format!("{hosts} connections, idle: traffic for each host"),
            format!("{each:.1} B/s"),
            "≤ 50 B/s",
            each <= 50.0,
        ),
        row(
            format!(
                "{hosts} connections ({AGENTS} agents), {tasks} × `true`: the client's processor and memory"
            ),
            format!(
                "{:.1} s with connecting ({:.1} ms for each task), {:.1} MB",
                busy.cpu,
                busy.cpu * 1e3 / f64::from(tasks),
                busy.rss as f64 / 1e6
            ),
            "",
            true,
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_for_each_host_and_second() {
        let cost = || Cost { cpu: 0.4, rss: 20_000_000 };
        let check = |bytes: u64, measured: &str, good: bool| {
            let rows = rows(&cost(), bytes, &cost(), 1000);
            assert_eq!((rows[1].measured.as_str(), rows[1].good), (measured, good));
            assert_eq!(rows[0].measured, "1.00 % of a core, 20.0 MB");
        };
        check(400_000, "50.0 B/s", true);
        check(480_000, "60.0 B/s", false);
    }
}

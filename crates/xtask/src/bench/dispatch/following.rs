//! What it costs to follow tasks that run: the client's processor, and what goes over the network.

use std::thread;
use std::time::Duration;

use crate::bench::Row;
use crate::failure::Failure;

use super::place::Place;
use super::running::Running;
use super::traffic;

/// They are followed for so long.
const WINDOW: Duration = Duration::from_secs(60);
/// After the last connection stands, for what belongs to beginning.
const SETTLE: Duration = Duration::from_secs(5);
/// For all to be connected.
const BEGIN: Duration = Duration::from_secs(60);
/// Prints a line a second, for longer than it is followed.
const TASK: &str = "i=0; while [ $i -lt 180 ]; do echo line $i; sleep 1; i=$((i+1)); done";

/// Measures it.
pub fn measure(place: &Place) -> Result<Vec<Row>, Failure> {
    let hosts = place.hosts().len();
    let command = place.dispatch(&["--each-host", "--plain", TASK]);
    let mut client = Running::start(command, place.desk.bench.path("following"))?;
    // Lines for people do not tell of each event: that tasks run is seen by what stands.
    let pid = client.pid();
    let all = |traffic: &traffic::Traffic| traffic.connections >= hosts;
    client.until(BEGIN, |_| traffic::of(pid).ok().filter(all))?;
    thread::sleep(SETTLE);
    client.look();
    let (cpu, before) = (client.cpu(), traffic::of(client.pid())?);
    thread::sleep(WINDOW);
    client.look();
    let (cpu, after) = (client.cpu() - cpu, traffic::of(client.pid())?);
    client.cancel()?;
    let bytes = after.bytes.saturating_sub(before.bytes);
    Ok(vec![row(hosts, cpu, bytes, after.connections)])
}

/// PURE.
fn row(hosts: usize, cpu: f64, bytes: u64, connections: usize) -> Row {
    let seconds = WINDOW.as_secs();
    let kilobytes = bytes as f64 / 1e3;
    Row {
        what: format!("following {hosts} running tasks for {seconds} s: client's processor, traffic"),
        measured: format!(
            "{cpu:.3} s, {kilobytes:.1} KB over {connections} connections ({:.0} B/s each)",
            bytes as f64 / seconds as f64 / connections.max(1) as f64
        ),
        goal: "≤ 0.05 s, ≤ 15 KB",
        original: "",
        good: cpu <= 0.05 && kilobytes <= 15.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_count() {
        let check = |cpu: f64, bytes: u64, good: bool| assert_eq!(row(12, cpu, bytes, 12).good, good);
        check(0.05, 15_000, true);
        check(0.06, 15_000, false);
        check(0.05, 15_100, false);
        assert_eq!(row(12, 0.01, 7_200, 12).measured, "0.010 s, 7.2 KB over 12 connections (10 B/s each)");
    }
}

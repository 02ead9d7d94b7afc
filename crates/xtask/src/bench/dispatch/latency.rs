//! How long from the command to the task's first act, and from its last to the report.

use std::time::Duration;

use crate::bench::Row;
use crate::bench::deploy::timed::median;
use crate::failure::Failure;

use super::events::{self, Told};
use super::place::Place;
use super::running::Running;

/// Whole commands.
const COLD: usize = 10;
/// Tasks, one after the other, of one command.
const LIVE: usize = 40;
/// For each command.
const DEADLINE: Duration = Duration::from_secs(60);
/// Where tasks write the time at which they began and ended.
const TIMES: &str = "bench-times";

/// Measures it.
pub fn measure(place: &Place) -> Result<Vec<Row>, Failure> {
    let Some(host) = place.hosts().first() else { return Ok(Vec::new()) };
    let on = ["--on", host.name.as_str()];
    let (mut one, mut any) = (Vec::new(), Vec::new());
    for _ in 0..COLD {
        one.push(cold(place, &on)?);
        any.push(cold(place, &[])?);
    }
    let (started, reported) = live(place, &on)?;
    let [one, any] = [one, any].map(median);
    Ok(vec![
        Row {
            what: "command → task started, a whole `cm-fleet dispatch` of one task to one host".to_owned(),
            measured: format!(
                "{:.0} ms; over all {} hosts {:.0} ms",
                one * 1e3,
                place.hosts().len(),
                any * 1e3
            ),
            goal: "≤ 300 ms",
            original: "",
            good: one <= 0.3,
        },
        Row {
            what: "task placed → task started, on a connection that stands, p50 / p95".to_owned(),
            measured: words(&started),
            goal: "p50 ≤ 40 ms",
            original: "",
            good: median(started) <= 0.04,
        },
        Row {
            what: "task ended → reported, p50 / p95".to_owned(),
            measured: words(&reported),
            goal: "p50 ≤ 50 ms",
            original: "",
            good: median(reported) <= 0.05,
        },
    ])
}

/// Seconds from the start of a command to its task's first act.
fn cold(place: &Place, more: &[&str]) -> Result<f64, Failure> {
    let mut command = place.dispatch(more);
    command.args(["--json", &format!("date +%s.%N >>~/{TIMES}")]);
    let mut client = Running::start(command, place.desk.bench.path("cold"))?;
    let (code, _) = client.end(DEADLINE)?;
    if code != Some(0) {
        let what = format!("a run of one task ended with exit code {code:?}");
        return Err(Failure::check(what, "read cold and cold.complaints in target/bench-dispatch"));
    }
    let told = client.told()?;
    let placed = events::of(&told, "task_placed").last();
    let host = placed.map(|placed| placed.host.clone()).unwrap_or_default();
    let times = times(&place.take(place.host(&host)?, TIMES)?);
    let first = times.first().copied();
    first
        .map(|first| first - client.began())
        .ok_or_else(|| Failure::check("a task wrote nothing", "report this"))
}

/// Seconds from placing to the first act, and from the last act to the report, of tasks one after the other.
fn live(place: &Place, on: &[&str]) -> Result<(Vec<f64>, Vec<f64>), Failure> {
    let line = format!("date +%s.%N >>~/{TIMES}; date +%s.%N >>~/{TIMES}\n");
    place.desk.bench.write("live.txt", &line.repeat(LIVE))?;
    let mut command = place.dispatch(on);
    command.args(["--json", "--jobs", "1", "--file", "live.txt"]);
    let mut client = Running::start(command, place.desk.bench.path("live"))?;
    client.end(DEADLINE)?;
    let host = place.hosts().first().map(|host| host.name.as_str()).unwrap_or_default();
    let times = times(&place.take(place.host(host)?, TIMES)?);
    let told = client.told()?;
    if events::done(&told) != LIVE || times.len() != 2 * LIVE {
        let what = format!("{} of {LIVE} tasks are done, and {} times", events::done(&told), times.len());
        return Err(Failure::check(what, format!("read {}", place.desk.bench.path("live").display())));
    }
    Ok(gaps(&told, &times))
}

/// PURE. `times`: begin and end of each task, in the order in which they were placed.
fn gaps(told: &[Told], times: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let at = |kind| events::of(told, kind).map(|told| told.at);
    let (begins, ends) = (times.iter().step_by(2), times.iter().skip(1).step_by(2));
    let started = at("task_placed").zip(begins).map(|(placed, began)| began - placed);
    let reported = at("task_finished").zip(ends).map(|(told, ended)| told - ended);
    (started.collect(), reported.collect())
}

/// PURE. Unix seconds, one a line.
fn times(text: &str) -> Vec<f64> {
    text.split_whitespace().flat_map(str::parse).collect()
}

/// PURE. Median and 95th percentile.
fn words(seconds: &[f64]) -> String {
    let mut sorted = seconds.to_vec();
    sorted.sort_by(f64::total_cmp);
    let most = sorted.get(sorted.len().saturating_mul(95).div_ceil(100).saturating_sub(1));
    format!(
        "{:.1} / {:.1} ms",
        median(seconds.iter().copied()) * 1e3,
        most.copied().unwrap_or(f64::NAN) * 1e3
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_between_what_is_told_and_what_tasks_wrote() {
        let told = |at: f64, kind: &str| Told { at, kind: kind.to_owned(), ..Told::default() };
        let told = [
            told(1.0, "task_placed"),
            told(1.5, "task_started"),
            told(3.0, "task_finished"),
            told(3.0, "task_placed"),
            told(5.0, "task_finished"),
        ];
        let (started, reported) = gaps(&told, &times("1.25\n2.5\n4.0\n4.75\n"));
        assert_eq!((started, reported), (vec![0.25, 1.0], vec![0.5, 0.25]));
    }

    #[test]
    fn quantiles() {
        let seconds: Vec<f64> = (1..=100).map(|n| f64::from(n) / 1e3).collect();
        assert_eq!(words(&seconds), "50.0 / 95.0 ms");
        assert_eq!(words(&[0.002]), "2.0 / 2.0 ms");
    }
}

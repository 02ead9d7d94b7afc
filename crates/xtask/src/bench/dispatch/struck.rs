//! Hosts that stand still or die: what the others' tasks notice, and when a task runs elsewhere.

use std::time::Duration;

use crate::bench::Row;
use crate::bench::deploy::timed::median;
use crate::failure::Failure;

use super::events::{self, Told};
use super::place::Place;
use super::running::{Running, now};

/// A host that is silent for so long is given up; it is the shortest there is.
const GRACE: f64 = 6.0;
/// More than any of this takes.
const DEADLINE: Duration = Duration::from_secs(60);
/// How many hosts die, one after the other.
const DEATHS: usize = 3;

fn rules() -> [String; 5] {
    ["--json", "--connect-timeout", "5", "--grace", &format!("{GRACE}s")].map(str::to_owned)
}

/// One host stands still before a task is given to each.
pub fn frozen(place: &Place) -> Result<Vec<Row>, Failure> {
    let Some(host) = place.hosts().last() else { return Ok(Vec::new()) };
    let mut command = place.dispatch(&["--each-host"]);
    command.args(rules()).arg("true");
    let struck = place.freeze(host)?;
    let mut client = Running::start(command, place.desk.bench.path("frozen"))?;
    let (code, end) = client.end(DEADLINE)?;
    drop(struck);
    let told = client.told()?;
    let others = last_done(&told) - client.began();
    let (done, all) = (events::done(&told), place.hosts().len());
    let whole = end - client.began();
    Ok(vec![Row {
        what: format!(
            "one of {all} hosts stands still: the others' results; the whole, grace {GRACE} s; exit code"
        ),
        measured: format!(
            "{done} results after {others:.2} s; {whole:.2} s; {}",
            code.map_or_else(|| "none".to_owned(), |code| code.to_string())
        ),
        goal: "< 1 s; its deadline (+ 1 s); 1",
        original: "",
        good: done + 1 == all && others < 1.0 && whole <= GRACE + 1.0 && code == Some(1),
    }])
}

/// Hosts die under a task.
pub fn death(place: &Place) -> Result<Vec<Row>, Failure> {
    let mut more = Vec::new();
    for _ in 0..DEATHS {
        more.push(one_death(place)? - GRACE);
    }
    Ok(vec![Row {
        what: "a host dies → its task runs elsewhere, beside the grace".to_owned(),
        measured: format!(
            "{:+.2} s (of {DEATHS}: {})",
            median(more.iter().copied()),
            more.iter().map(|more| format!("{more:+.2}")).collect::<Vec<_>>().join(", ")
        ),
        goal: "≤ grace + 1 s",
        original: "",
        good: more.iter().all(|more| *more <= 1.0),
    }])
}

/// Seconds from a host's death until its task runs on another.
fn one_death(place: &Place) -> Result<f64, Failure> {
    let mut command = place.dispatch(&["--orphan", "stop"]);
    command.args(rules()).arg("sleep 120");
    let mut client = Running::start(command, place.desk.bench.path("death"))?;
    let host = client.until(DEADLINE, |told| nth_start(told, 1))?.0;
    let died = now();
    let struck = place.kill(place.host(&host)?)?;
    let (elsewhere, at) = client.until(DEADLINE, |told| nth_start(told, 2))?;
    client.cancel()?;
    drop(struck);
    if elsewhere == host {
        return Err(Failure::check(format!("the task ran again on {host}, which had died"), "report this"));
    }
    Ok(at - died)
}

/// PURE. When the last task ended well.
fn last_done(told: &[Told]) -> f64 {
    events::of(told, "task_finished")
        .filter(|told| told.state == "done")
        .map(|told| told.at)
        .fold(0.0, f64::max)
}

/// PURE. Where and when a run's only task started for the nth time.
fn nth_start(told: &[Told], nth: usize) -> Option<(String, f64)> {
    let started = told.iter().enumerate().filter(|(_, told)| told.kind == "task_started").nth(nth - 1)?;
    let placed = told.get(..started.0)?.iter().rfind(|told| told.kind == "task_placed")?;
    Some((placed.host.clone(), started.1.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_and_when_a_task_started() {
        let told = |at: f64, kind: &str, host: &str| Told {
            at,
            kind: kind.to_owned(),
            host: host.to_owned(),
            ..Told::default()
        };
        let told = [
            told(1.0, "task_placed", "h1"),
            told(2.0, "task_started", ""),
            told(8.0, "host_given_up", "h1"),
            told(8.0, "task_placed", "h2"),
            told(9.0, "task_started", ""),
        ];
        let check = |nth: usize, expected: Option<(&str, f64)>| {
            let expected = expected.map(|(host, at)| (host.to_owned(), at));
            assert_eq!(nth_start(&told, nth), expected);
        };
        check(1, Some(("h1", 2.0)));
        check(2, Some(("h2", 9.0)));
        check(3, None);
    }

    #[test]
    fn only_what_went_well_is_a_result() {
        let end = |at: f64, state: &str| Told {
            at,
            kind: "task_finished".to_owned(),
            state: state.to_owned(),
            ..Told::default()
        };
        assert_eq!(last_done(&[end(1.0, "done"), end(2.0, "done"), end(9.0, "failed")]), 2.0);
    }
}

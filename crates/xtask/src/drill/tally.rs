//! PURE. What a run has told, beside what its tasks wrote on hosts: what is missing, and what was twice.

use std::collections::{BTreeMap, BTreeSet};

use cm_testkit::hosts::written::{Attempt, together};
use serde_json::Value;

use super::faults::Done;

/// A host that thaws goes on where it stood before anybody there can look at a clock: its sessions are ended within
/// this, in seconds.
const THAW: f64 = 3.0;

/// The count.
#[derive(Debug, Default, PartialEq)]
pub struct Tally {
    tasks: usize,
    /// Tasks with a result, and results.
    results: (usize, usize),
    /// Sessions that got to their last line.
    lines: usize,
    /// Tasks without a result, without a line, or whose result is of a session that wrote no last line.
    missing: BTreeSet<String>,
    /// Tasks that ran in two places at the same time.
    twice: BTreeSet<String>,
    /// The same, on a host that had just thawed.
    thawed: BTreeSet<String>,
    /// Tasks done to their end more than once, one after the other.
    again: BTreeSet<String>,
    told: BTreeMap<&'static str, usize>,
}

/// Events that are counted, and what they mean.
const COUNTED: [(&str, &str); 7] = [
    ("run_resumed", "clients that went on with the run"),
    ("host_lost", "connections lost"),
    ("host_given_up", "hosts given up"),
    ("attempt_failed", "attempts failed by hosts and made elsewhere"),
    ("host_fenced", "old attempts told to end when a host came back"),
    ("task_late", "late ends kept as evidence"),
    ("host_set_aside", "hosts set aside"),
];

impl Tally {
    /// `record`: the run's events, one a line.
    pub fn new(tasks: usize, record: &str, written: &[Attempt], faults: &[Done]) -> Self {
        let mut tally = Self { tasks, ..Self::default() };
        let mut sessions: BTreeMap<u64, String> = BTreeMap::new();
        let mut results: BTreeMap<u64, Vec<String>> = BTreeMap::new();
        for event in record.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()) {
            let kind = event["type"].as_str().unwrap_or_default();
            if let Some((_, words)) = COUNTED.iter().find(|(counted, _)| *counted == kind) {
                *tally.told.entry(words).or_default() += 1;
            }
            let Some(task) = event["task"].as_u64() else { continue };
            match kind {
                "task_started" => {
                    let session = event["sessionId"].as_str().unwrap_or_default();
                    sessions.insert(task, session.to_owned());
                }
                "task_finished" if event["outcome"]["state"] == "done" => {
                    results.entry(task).or_default().push(sessions.get(&task).cloned().unwrap_or_default());
                }
                _ => {}
            }
        }
        tally.results = (results.len(), results.values().map(Vec::len).sum());
        tally.lines = written.iter().map(|attempt| attempt.ends).sum();
        for number in 1..=tasks {
            let name = format!("t{number}");
            let ends = || written.iter().filter(|attempt| attempt.task == name && attempt.ends > 0);
            let result = u64::try_from(number).ok().and_then(|number| results.get(&number)?.last());
            if !result.is_some_and(|session| ends().any(|attempt| attempt.session == *session)) {
                tally.missing.insert(name.clone());
            }
            if ends().map(|attempt| attempt.ends).sum::<usize>() > 1 {
                tally.again.insert(name);
            }
        }
        for (earlier, later) in together(written) {
            let thawed = faults.iter().filter_map(|done| done.frozen.as_ref()).any(|(host, from, until)| {
                *host == earlier.host && later.first >= *from && earlier.last <= until + THAW
            });
            let found = if thawed { &mut tally.thawed } else { &mut tally.twice };
            found.insert(later.task.clone());
        }
        tally
    }

    /// What must not be; `exit`: the exit code of the run.
    pub fn wrong(&self, exit: Option<i32>) -> Option<String> {
        let named = |what: &str, tasks: &BTreeSet<String>| {
            let names: Vec<&str> = tasks.iter().take(10).map(String::as_str).collect();
            (!tasks.is_empty()).then(|| format!("{} {what}: {}", tasks.len(), names.join(", ")))
        };
        let (of, all) = self.results;
        let results =
            (all != of || of != self.tasks).then(|| format!("{all} results of {of} of {} tasks", self.tasks));
        let code = (exit != Some(0)).then(|| format!("the run ended with exit code {exit:?}"));
        let wrong = [named("missing", &self.missing), named("twice", &self.twice), results, code];
        let wrong: Vec<String> = wrong.into_iter().flatten().collect();
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }

    /// A table for people.
    pub fn table(&self, hosts: usize, faults: usize, seconds: f64) -> String {
        let mut rows = vec![
            ("hosts".to_owned(), hosts),
            ("tasks".to_owned(), self.tasks),
            ("results".to_owned(), self.results.1),
            ("last lines written on hosts".to_owned(), self.lines),
            ("**missing**".to_owned(), self.missing.len()),
            ("**twice within a lease**".to_owned(), self.twice.len()),
            ("twice for a moment, on a host that thawed".to_owned(), self.thawed.len()),
            ("done again after their host was lost".to_owned(), self.again.len()),
            ("faults".to_owned(), faults),
        ];
        rows.extend(
            COUNTED
                .iter()
                .map(|(_, words)| ((*words).to_owned(), self.told.get(words).copied().unwrap_or_default())),
        );
        let mut text = "| what | |\n|---|---|\n".to_owned();
        for (what, count) in rows {
            text.push_str(&format!("| {what} | {count} |\n"));
        }
        text.push_str(&format!("| time | {seconds:.0} s |\n"));
        text
    }
}

#[cfg(test)]
mod tests {
    use cm_testkit::hosts::written::attempts;

    use super::*;

    fn record(events: &[(&str, u64, &str)]) -> String {
        let line = |(kind, task, session): &(&str, u64, &str)| {
            let outcome = serde_json::json!({"state": "done"});
            serde_json::json!({"type": kind, "task": task, "sessionId": session, "outcome": outcome})
                .to_string()
                + "\n"
        };
        events.iter().map(line).collect()
    }

    #[test]
    fn what_is_missing_and_what_is_twice() {
        let check =
            |events: &[(&str, u64, &str)], written: &[(&str, &str)], faults: &[Done], expected: &str| {
                let written: Vec<Attempt> =
                    written.iter().flat_map(|(host, text)| attempts(host, text)).collect();
                let tally = Tally::new(1, &record(events), &written, faults);
                assert_eq!(tally.wrong(Some(0)).unwrap_or_default(), expected, "{tally:#?}");
            };
        let good = [("task_started", 1, "a"), ("task_finished", 1, "a")];
        check(&good, &[("h1", "t1 a 1 runs\nt1 a 2 ends")], &[], "");
        check(&good, &[("h1", "t1 a 1 runs")], &[], "1 missing: t1");
        check(&good, &[], &[], "1 missing: t1");
        check(&[], &[("h1", "t1 a 2 ends")], &[], "1 missing: t1; 0 results of 0 of 1 tasks");
        // The result is of the other session.
        check(&good, &[("h1", "t1 b 2 ends")], &[], "1 missing: t1");
        let both = [("h1", "t1 b 1 runs\nt1 b 5 runs"), ("h2", "t1 a 4 runs\nt1 a 6 ends")];
        check(&good, &both, &[], "1 twice: t1");
        check(&good, &[("h1", "t1 b 1 ends"), both[1]], &[], "");
        let thaw = |host: &str| Done {
            at: 0.0,
            words: String::new(),
            fault: true,
            frozen: Some((host.into(), 2.0, 4.5)),
        };
        check(&good, &both, &[thaw("h1")], "");
        check(&good, &both, &[thaw("h2")], "1 twice: t1");
        let twice = [good[0], good[1], good[1]];
        check(&twice, &[("h1", "t1 a 2 ends")], &[], "2 results of 1 of 1 tasks");
    }
}

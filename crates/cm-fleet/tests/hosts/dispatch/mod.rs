//! Runs over real hosts: what they write down there is counted, whatever was done to hosts, agents and clients.

use std::collections::BTreeMap;

use cm_testkit::hosts::written::{self, Attempt};
use cm_testkit::hosts::{Cast, Claimed};

use crate::support::{Fleet, Run};

mod faults;
mod lost;
mod resume;
mod spread;

/// Hosts with an agent each, and the fleet of them. `slots`: each host's.
pub fn crew(kinds: &[&str], slots: u32) -> (Vec<Claimed>, Fleet) {
    let hosts = Cast::load().claim_all(kinds);
    let mut fleet = Fleet::new(&hosts.iter().collect::<Vec<_>>());
    let with_slots = format!("    slots: {slots}\n    user: ");
    fleet.hosts = fleet.hosts.replace("    user: ", &with_slots);
    fleet.deploy(&[]).exits(0);
    (hosts, fleet)
}

/// So many tasks, each of so many seconds: `t1`, `t2`, …
pub fn tasks(count: usize, seconds: f64) -> Vec<String> {
    (1..=count).map(|number| written::script(&format!("t{number}"), seconds)).collect()
}

/// The arguments of a run of these tasks.
pub fn args<'a>(options: &[&'a str], tasks: &'a [String]) -> Vec<&'a str> {
    let mut all = vec!["--json", "--tool", "shell"];
    all.extend(options);
    all.extend(tasks.iter().map(String::as_str));
    all
}

/// All that tasks have written on hosts that run.
pub fn attempts(hosts: &[Claimed]) -> Vec<Attempt> {
    let read = format!("cat /home/deploy/{} 2>/dev/null || true", written::FILE);
    hosts.iter().flat_map(|host| written::attempts(&host.name, &host.root_says(&read))).collect()
}

/// That each task has been done exactly once, and never ran in two places at the same time.
#[track_caller]
pub fn once_each(count: usize, attempts: &[Attempt], run: &Run) {
    let mut ends: BTreeMap<&str, usize> = BTreeMap::new();
    attempts.iter().for_each(|attempt| *ends.entry(&attempt.task).or_default() += attempt.ends);
    let names: Vec<String> = (1..=count).map(|number| format!("t{number}")).collect();
    let wrong: Vec<(&str, Option<&usize>)> = names
        .iter()
        .map(|name| (name.as_str(), ends.get(name.as_str())))
        .filter(|(_, ends)| *ends != Some(&1))
        .collect();
    assert!(wrong.is_empty(), "not once: {wrong:?}\n{attempts:#?}\n{run:#?}");
    let together = written::together(attempts);
    assert!(together.is_empty(), "at the same time: {together:#?}\n{run:#?}");
}

/// That all tasks ended well, as the run says.
#[track_caller]
pub fn all_done(count: usize, run: &Run) {
    let done = run.of("task_finished").iter().filter(|event| event["outcome"]["state"] == "done").count();
    assert_eq!((run.summary_of_run()["done"].as_u64(), done), (Some(count as u64), count), "{run:#?}");
}

/// The agent's process.
pub fn agent_of(fleet: &Fleet, host: &Claimed) -> u64 {
    let status = fleet.status(&host.name);
    status["facts"]["running"]["pid"].as_u64().unwrap_or_else(|| panic!("no agent: {status}"))
}

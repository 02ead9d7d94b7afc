//! Which tasks run where: over all hosts, within their slots, where their `on` says and after whom they wait for.

use std::collections::{BTreeMap, BTreeSet};

use cm_testkit::hosts::written;

use super::{all_done, args, attempts, crew, once_each, tasks};
use crate::support::{Run, has};

/// Where each task was sent, in the order of their numbers.
fn hosts_of(run: &Run) -> BTreeMap<u64, Vec<&str>> {
    let mut found: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for event in run.of("task_placed") {
        let host = event["host"].as_str().unwrap_or_default();
        found.entry(event["task"].as_u64().unwrap_or_default()).or_default().push(host);
    }
    found
}

#[test]
fn f40_tasks_spread_over_the_selected_hosts_within_their_slots() {
    let (hosts, fleet) = crew(&["plain", "fish", "startups", "bastion", "inner"], 2);
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    // Four of the five; one of them behind another.
    let on = [names[0], names[1], names[3], names[4]].join(",");
    let tasks = tasks(24, 0.5);
    let run = fleet.run("dispatch", &args(&["--on", &on], &tasks)).exits(0);
    all_done(24, &run);
    let written = attempts(&hosts);
    once_each(24, &written, &run);
    for (index, name) in names.iter().enumerate() {
        let there = || written.iter().filter(|attempt| attempt.host == *name);
        let (count, most) = (there().count(), written::most_at_once(there()));
        match index {
            2 => assert_eq!(count, 0, "{name} was not selected: {run:#?}"),
            _ => assert!(count >= 3 && most <= 2, "{name} did {count}, {most} at once: {run:#?}"),
        }
    }
    // The hello says which release answers (failure mode 40).
    let releases: BTreeSet<&str> =
        run.of("host_connected").iter().filter_map(|event| event["agent"].as_str()).collect();
    assert_eq!(releases, BTreeSet::from([env!("CARGO_PKG_VERSION")]), "{run:#?}");

    let shown = fleet.run("dispatch", &["--plain", "--tool", "shell", "--each-host", "uname -n"]).exits(0);
    for name in &names {
        has(&shown.out, &[&format!("── {name} · uname -n "), &format!("\n{name}\n")]);
        let row = shown.out.lines().find(|line| line.starts_with(&format!("{name} ")));
        let words: Vec<&str> = row.into_iter().flat_map(str::split_whitespace).take(4).collect();
        assert_eq!(words, [name, "done", name, "0"], "{shown:#?}");
    }
    has(&shown.out, &["host"]);
}

#[test]
fn f38_a_file_of_tasks_says_where_and_in_which_order() {
    let (hosts, fleet) = crew(&["plain", "fish", "startups"], 2);
    let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
    let script = |task: &str| written::script(task, 0.5);
    let (t1, t2) = (script("t1"), script("t2"));
    let file = format!(
        "defaults: {{tool: shell}}\ntasks:\n  - name: first\n    on: {}\n    task: '{t1}'\n  - name: second\n    \
         on: {}\n    after: first\n    task: '{t2}'\n  - name: bad\n    on: {}\n    task: exit 3\n  \
         - name: never\n    after: bad\n    task: exit 0\n  - name: all\n    each_host: true\n    after: second\n    \
         task: uname -n\n",
        names[2], names[0], names[1]
    );
    std::fs::write(fleet.path("tasks.yaml"), file).unwrap();
    let run = fleet.run("dispatch", &["--json", "--tasks", "tasks.yaml"]).exits(1);
    let on = hosts_of(&run);
    // A task's own failure is not tried elsewhere (failure mode 38), and what waits for it is not run.
    let expected: BTreeMap<u64, Vec<&str>> =
        [(1, names[2]), (2, names[0]), (3, names[1]), (5, names[0]), (6, names[1]), (7, names[2])]
            .map(|(task, host)| (task, vec![host]))
            .into();
    assert_eq!(on, expected, "{run:#?}");
    assert_eq!(run.of("task_skipped").len(), 1, "{run:#?}");
    let sum = run.summary_of_run();
    assert_eq!((&sum["done"], &sum["failed"], &sum["skipped"]), (&5.into(), &1.into(), &1.into()));
    let written = attempts(&hosts);
    once_each(2, &written, &run);
    let at = |task: &str| written.iter().find(|attempt| attempt.task == task).unwrap();
    assert!(at("t1").last <= at("t2").first, "{written:#?}");
}

/// Failure mode 39: what may run on one host only waits for it, however idle the others are.
#[test]
fn f39_a_saturated_host_is_waited_for() {
    let (hosts, fleet) = crew(&["plain", "fish"], 1);
    let texts = tasks(4, 0.5);
    let mut file = "defaults: {tool: shell}\ntasks:\n".to_owned();
    for text in &texts {
        file.push_str(&format!("  - {{on: {}, task: '{text}'}}\n", hosts[1].name));
    }
    std::fs::write(fleet.path("tasks.yaml"), file).unwrap();
    let run = fleet.run("dispatch", &["--json", "--tasks", "tasks.yaml"]).exits(0);
    all_done(4, &run);
    let written = attempts(&hosts);
    once_each(4, &written, &run);
    assert!(written.iter().all(|attempt| attempt.host == hosts[1].name), "{written:#?}");
    assert_eq!(written::most_at_once(&written), 1, "{written:#?}");
}

/// Slots hold for everybody: two runs on one host share what the agent has.
#[test]
fn two_runs_share_the_slots_of_a_host() {
    let (hosts, fleet) = crew(&["plain"], 2);
    let (one, two) =
        (tasks(6, 0.5), (7..=12).map(|n| written::script(&format!("t{n}"), 0.5)).collect::<Vec<_>>());
    let first = fleet.start("dispatch", &args(&[], &one));
    let second = fleet.start("dispatch", &args(&[], &two));
    let (first, second) = (first.finish().exits(0), second.finish().exits(0));
    all_done(6, &first);
    all_done(6, &second);
    let written = attempts(&hosts);
    once_each(12, &written, &first);
    assert!(written::most_at_once(&written) <= 2, "{written:#?}");
}

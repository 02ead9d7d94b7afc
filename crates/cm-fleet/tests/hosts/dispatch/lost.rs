//! Hosts that are dead from the beginning, or die and boot while tasks run.

use std::time::Duration;

use super::{all_done, args, attempts, crew, once_each, tasks};
use crate::support::has;

/// Failure mode 28: the others do all the work, and nobody waits for the dead one.
#[test]
fn f28_a_dead_host_among_many_costs_nobody_anything() {
    let (hosts, fleet) = crew(&["plain", "fish", "startups", "nolinger"], 2);
    let dead = &hosts[0];
    dead.kill();
    let alive = &hosts[1..];
    let texts = tasks(12, 0.5);
    let options = ["--grace", "6s", "--connect-timeout", "3"];
    let run = fleet.run("dispatch", &args(&options, &texts)).exits(0);
    all_done(12, &run);
    assert!(run.took < Duration::from_secs(30), "{run:#?}");
    dead_and_alive(&run, &dead.name);

    // What only the dead one may do is not done: the others' results come, and the exit code says so.
    let run = fleet.run(
        "dispatch",
        &[&["--json", "--tool", "shell", "--each-host"][..], &options, &["uname -n"]].concat(),
    );
    let run = run.exits(1);
    let sum = run.summary_of_run();
    assert_eq!((&sum["done"], &sum["queued"]), (&3.into(), &1.into()), "{run:#?}");
    assert!(run.took < Duration::from_secs(30), "{run:#?}");
    has(run.of("host_given_up")[0].to_string(), &[&dead.name]);
    dead.start();
    once_each(12, &attempts(alive), &run);

    // Now it is there: the run is gone on with, and the rest is done.
    let run = fleet.begin(&["runs", "resume", "last", "--json"]).finish().exits(0);
    all_done(4, &fleet.begin(&["runs", "show", "last", "--json"]).finish());
    assert_eq!(run.of("task_placed").len(), 1, "{run:#?}");
    // Nobody at all.
    hosts.iter().for_each(|host| host.kill());
    let run = fleet.run("dispatch", &args(&options, &tasks(2, 0.0))).exits(3);
    assert!(run.took < Duration::from_secs(30), "{run:#?}");
    hosts.iter().for_each(|host| host.start());
}

fn dead_and_alive(run: &crate::support::Run, dead: &str) {
    let connected = |event: &&serde_json::Value| event["host"] == dead;
    assert!(!run.of("host_connected").iter().any(connected), "{run:#?}");
    assert!(run.of("task_placed").iter().all(|event| event["host"] != dead), "{run:#?}");
}

/// A reboot ends the sessions of a host: their tasks are done elsewhere, and the host is used again.
#[test]
fn a_host_that_reboots_loses_its_sessions_and_no_task() {
    let (hosts, fleet) = crew(&["plain", "plain"], 2);
    let tasks = tasks(12, 6.0);
    let options = ["--grace", "60s", "--connect-timeout", "3"];
    let mut running = fleet.start("dispatch", &args(&options, &tasks));
    running.until_type("task_started", 4);
    hosts[0].kill();
    hosts[0].start();
    let run = running.finish().exits(0);
    all_done(12, &run);
    once_each(12, &attempts(&hosts), &run);
    let failed = run.of("attempt_failed");
    assert_eq!(failed.len(), 2, "{run:#?}");
    for event in failed {
        assert_eq!((&event["class"], &event["outcome"]["state"]), (&"infrastructure".into(), &"lost".into()));
    }
    let again =
        |event: &&serde_json::Value| event["host"] == hosts[0].name.as_str() && event["again"] == true;
    assert!(run.of("host_connected").iter().any(again), "{run:#?}");
}

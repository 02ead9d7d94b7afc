//! Clients that are killed, followed, told to stop: the run is one, whoever looks after it.

use cm_testkit::hosts::written;
use serde_json::Value;

use super::{all_done, args, attempts, crew, once_each, tasks};
use crate::support::{Fleet, Run};

/// Goes on with the newest run.
fn resume(fleet: &Fleet) -> Run {
    fleet.begin(&["runs", "resume", "last", "--json"]).finish()
}

/// All that is written down of the newest run.
fn record(fleet: &Fleet) -> Run {
    fleet.begin(&["runs", "show", "last", "--json"]).finish().exits(0)
}

/// Failure mode 36 again: what ended while no client was there is kept by its host until one has it.
#[test]
fn f36_a_run_whose_client_is_killed_again_and_again_is_done_exactly_once() {
    let (hosts, fleet) = crew(&["plain", "fish", "startups"], 2);
    let tasks = tasks(24, 1.5);
    let mut running = fleet.start("dispatch", &args(&[], &tasks));
    running.until_type("task_finished", 3);
    running.kill();
    // In the middle of placing, in the middle of results.
    for kind in ["run_resumed", "task_placed", "task_started", "task_finished"] {
        let mut running = fleet.begin(&["runs", "resume", "last", "--json"]);
        running.until_type(kind, 1);
        running.kill();
    }
    resume(&fleet).exits(0);
    let run = record(&fleet);
    all_done(24, &run);
    let written = attempts(&hosts);
    once_each(24, &written, &run);
    assert_eq!(written.len(), 24, "one session each: {written:#?}");
    let over = resume(&fleet);
    assert_eq!(over.code, Some(4), "{over:#?}");
}

/// With `--orphan stop` nobody may come back too late: sessions end when nobody renews their lease, and their tasks
/// are done anew.
#[test]
fn a_run_that_is_left_longer_than_its_leases_is_done_by_new_sessions() {
    let (hosts, fleet) = crew(&["plain", "fish"], 2);
    let tasks = tasks(4, 7.0);
    let mut running = fleet.start("dispatch", &args(&["--grace", "6s", "--orphan", "stop"], &tasks));
    running.until_type("task_started", 4);
    running.kill();
    let ticking = "pgrep -u deploy -x sleep || true";
    for host in &hosts {
        crate::support::wait_until("the sessions end", std::time::Duration::from_secs(30), || {
            host.root_says(ticking).is_empty()
        });
    }
    resume(&fleet).exits(0);
    let run = record(&fleet);
    all_done(4, &run);
    once_each(4, &attempts(&hosts), &run);
    assert_eq!(run.of("attempt_failed").len(), 4, "{run:#?}");
}

#[test]
fn a_second_client_looks_on_and_a_third_one_cancels() {
    let (hosts, fleet) = crew(&["plain", "fish"], 3);
    let quick = tasks(6, 1.0);
    let mut first = fleet.start("dispatch", &args(&[], &quick));
    first.until_type("task_started", 1);
    let watching = fleet.begin(&["runs", "watch", "last", "--json"]);
    // Whoever wants to go on with it while it is gone on with looks on, too.
    let second = fleet.begin(&["runs", "resume", "last", "--json"]);
    let (first, watched, second) =
        (first.finish().exits(0), watching.finish().exits(0), second.finish().exits(0));
    for run in [&first, &watched, &second] {
        all_done(6, run);
    }
    once_each(6, &attempts(&hosts), &first);

    let long: Vec<String> = vec![written::script("long1", 300.0), written::script("long2", 300.0)];
    let mut first = fleet.start("dispatch", &args(&["--jobs", "1"], &long));
    first.until_type("task_started", 1);
    let cancel = fleet.begin(&["runs", "cancel", "last", "--json"]).finish().exits(130);
    let first = first.finish().exits(130);
    for run in [&cancel, &first] {
        let sum = run.summary_of_run();
        assert_eq!((&sum["failed"], &sum["queued"]), (&1.into(), &1.into()), "{run:#?}");
    }
    nothing_runs(&fleet);

    // One whose client is gone, whatever it had heard and written down of what it has begun.
    for kind in ["task_started", "task_placed"] {
        let mut first = fleet.start("dispatch", &args(&[], &long));
        first.until_type(kind, 2);
        first.kill();
        let cancel = fleet.begin(&["runs", "cancel", "last", "--json"]).finish().exits(130);
        let count = |what: &str| cancel.summary_of_run()[what].as_u64().unwrap_or_default();
        assert_eq!(count("failed") + count("queued"), 2, "{cancel:#?}");
        assert!(kind == "task_placed" || count("failed") == 2, "{cancel:#?}");
        nothing_runs(&fleet);
    }
}

#[track_caller]
fn nothing_runs(fleet: &Fleet) {
    let left = fleet.run("sessions", &["--json"]).exits(0);
    let living: Vec<&Value> = left.events.iter().filter(|row| row["state"] == "running").collect();
    assert!(living.is_empty(), "{living:#?}");
}

//! Agents that die and networks that fail while tasks run: nothing is lost, and nothing runs twice where it must not.

use std::time::Duration;

use cm_testkit::hosts::{Claimed, written};

use super::{agent_of, all_done, args, attempts, crew, once_each, tasks};
use crate::support::{Run, wait_until};

/// The host a task was first sent to.
fn first_host<'a>(hosts: &'a [Claimed], event: &serde_json::Value) -> &'a Claimed {
    hosts.iter().find(|host| event["host"] == host.name.as_str()).unwrap_or_else(|| panic!("{event}"))
}

/// Failure mode 36: sessions outlive their agent, and what ended meanwhile is told by the next one.
#[test]
fn f36_killed_agents_lose_nothing_and_keep_their_sessions() {
    let (hosts, fleet) = crew(&["plain", "bastion", "inner"], 4);
    let agents: Vec<u64> = hosts.iter().map(|host| agent_of(&fleet, host)).collect();
    let tasks = tasks(12, 3.0);
    let mut running = fleet.start("dispatch", &args(&[], &tasks));
    running.until_type("task_started", 12);
    for (host, pid) in hosts.iter().zip(&agents) {
        host.root_says(&format!("kill -9 {pid}"));
    }
    let run = running.finish().exits(0);
    all_done(12, &run);
    let written = attempts(&hosts);
    once_each(12, &written, &run);
    assert_eq!(written.len(), 12, "a session each: {written:#?}");
    assert!(run.of("attempt_failed").is_empty(), "{run:#?}");
    assert!(run.of("host_lost").len() >= 3, "{run:#?}");
}

/// Failure mode 37: the lease has ended the old attempt before the new one begins; who comes back is told.
#[test]
fn f37_a_host_cut_off_longer_than_the_grace_is_replaced_and_never_beside_the_new_attempt() {
    let (hosts, fleet) = crew(&["plain", "fish", "startups"], 3);
    let tasks = tasks(6, 8.0);
    let mut running = fleet.start("dispatch", &args(&["--grace", "6s", "--orphan", "stop"], &tasks));
    let first = running.until_type("task_placed", 1);
    running.until_type("task_started", 6);
    let cut = first_host(&hosts, &first);
    cut.cut();
    running.until(|event| event["type"] == "host_given_up" && event["host"] == cut.name.as_str());
    running.until_type("attempt_failed", 1);
    cut.uncut();
    running.until(|event| event["type"] == "host_fenced" && event["host"] == cut.name.as_str());
    let run = running.finish().exits(0);
    all_done(6, &run);
    once_each(6, &attempts(&hosts), &run);
    assert_eq!(run.of("attempt_failed").len(), 2, "{run:#?}");
}

/// With `--orphan keep` the old attempt goes on while nobody can reach it: it is ended when the host comes back,
/// and counts no more.
#[test]
fn f37_a_host_that_comes_back_ends_what_has_been_done_elsewhere_meanwhile() {
    let (hosts, fleet) = crew(&["plain", "bastion"], 2);
    let script = [written::script("t1", 20.0)];
    let mut running = fleet.start("dispatch", &args(&["--grace", "6s"], &script));
    let first = running.until_type("task_placed", 1);
    running.until_type("task_started", 1);
    let cut = first_host(&hosts, &first);
    cut.cut();
    // The second attempt.
    running.until_type("task_started", 1);
    cut.uncut();
    let fenced = running.until(|event| event["type"] == "host_fenced");
    assert_eq!(
        (&fenced["host"], fenced["ended"].as_array().map(Vec::len)),
        (&cut.name.as_str().into(), Some(1))
    );
    let run = running.finish().exits(0);
    all_done(1, &run);
    let written = attempts(&hosts);
    let ends: Vec<(&str, usize)> = written.iter().map(|a| (a.host.as_str(), a.ends)).collect();
    assert_eq!(written.iter().map(|attempt| attempt.ends).sum::<usize>(), 1, "{ends:?} {run:#?}");
    assert!(written.iter().any(|attempt| attempt.host == cut.name && attempt.ends == 0), "{ends:?}");
}

#[test]
fn a_cut_shorter_than_the_grace_moves_nothing() {
    let (hosts, fleet) = crew(&["plain", "plain"], 3);
    let check = |grace: &str, orphan: &str, cut_for: Duration| -> Run {
        let tasks = tasks(6, 8.0);
        let mut running = fleet.start("dispatch", &args(&["--grace", grace, "--orphan", orphan], &tasks));
        running.until_type("task_started", 6);
        hosts[0].cut();
        std::thread::sleep(cut_for);
        hosts[0].uncut();
        let run = running.finish().exits(0);
        all_done(6, &run);
        assert!(run.of("attempt_failed").is_empty(), "{run:#?}");
        assert!(!run.of("host_lost").is_empty(), "{run:#?}");
        let written = attempts(&hosts);
        once_each(6, &written, &run);
        assert_eq!(written.len(), 6, "{written:#?}");
        hosts.iter().for_each(|host| _ = host.root_says(&format!("rm /home/deploy/{}", written::FILE)));
        run
    };
    check("6s", "keep", Duration::from_secs(3));
    check("12s", "stop", Duration::from_secs(4));
}

/// A host that freezes is like one that is cut off, but its clock stands still for its processes only: the lease is
/// over when it thaws.
#[test]
fn a_frozen_host_is_replaced_and_its_sessions_end_when_it_thaws() {
    let (hosts, fleet) = crew(&["plain", "plain", "fish"], 3);
    let tasks = tasks(6, 12.0);
    let mut running = fleet.start("dispatch", &args(&["--grace", "6s", "--orphan", "stop"], &tasks));
    let first = running.until_type("task_placed", 1);
    running.until_type("task_started", 6);
    let frozen = first_host(&hosts, &first);
    frozen.pause();
    running.until_type("host_given_up", 1);
    running.until_type("task_started", 2);
    frozen.unpause();
    running.until(|event| event["type"] == "host_fenced");
    let run = running.finish().exits(0);
    all_done(6, &run);
    let written = attempts(&hosts);
    assert_eq!(written.iter().map(|attempt| attempt.ends).sum::<usize>(), 6, "{written:#?}\n{run:#?}");
    let left = "pgrep -u deploy -f 'CM_SESSION_ID' || true";
    wait_until("nothing runs there", Duration::from_secs(10), || frozen.root_says(left).is_empty());
}

/// A request for a session that lay in a frozen host's buffers while its task went elsewhere begins nothing, not even
/// for the moment until the host is told.
#[test]
fn f37_a_request_that_arrives_late_begins_nothing() {
    let (hosts, fleet) = crew(&["plain", "plain"], 1);
    let (here, frozen) = (&hosts[0], &hosts[1]);
    let (first, blocker, late) =
        (written::script("t1", 0.5), written::script("t2", 8.0), written::script("t3", 6.0));
    let file = format!(
        "defaults: {{tool: shell}}\ntasks:\n  - {{name: first, on: {here}, task: '{first}'}}\n  \
         - {{name: blocker, on: {here}, task: '{blocker}'}}\n  - {{name: late, after: first, task: '{late}'}}\n",
        here = here.name
    );
    std::fs::write(fleet.path("tasks.yaml"), file).unwrap();
    let options = ["--json", "--tasks", "tasks.yaml", "--grace", "6s", "--orphan", "stop"];
    let mut running = fleet.start("dispatch", &options);
    running.until_type("task_started", 1);
    frozen.pause();
    let placed = running.until(|event| event["type"] == "task_placed" && event["task"] == 3);
    assert_eq!(placed["host"], frozen.name.as_str(), "the host was lost before it was asked");
    // The second attempt, beside which there must be no other.
    running.until(|event| event["type"] == "task_started" && event["task"] == 3);
    frozen.unpause();
    running.until(|event| event["type"] == "host_fenced");
    let run = running.finish().exits(0);
    all_done(3, &run);
    let written = attempts(&hosts);
    assert!(written.iter().all(|attempt| attempt.host == here.name), "{written:#?}");
    once_each(3, &written, &run);
}

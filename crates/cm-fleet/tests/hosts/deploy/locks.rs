//! Who may work on a host: one at a time, and one fleet.

use std::time::Duration;

use cm_testkit::hosts::{Cast, another_build};

use super::sessions::{sleepers, start_sessions};
use crate::support::{Fleet, has, wait_until};

#[test]
fn of_two_deployments_at_once_one_is_refused_or_finds_nothing_to_do() {
    let host = Cast::load().claim("plain");
    let (one, mut two) = (Fleet::new(&[&host]), Fleet::new(&[&host]));
    two.vars.push(("USER".into(), "bob".into()));
    // Begun in the same moment.
    let (first, second) = (one.start_deploy(&[]), two.start_deploy(&[]));
    let runs = [first.finish(), second.finish()];
    let good = runs.iter().filter(|run| run.code == Some(0)).count();
    assert!(good >= 1, "{runs:?}");
    if let Some(bad) = runs.iter().find(|run| run.code != Some(0)) {
        assert_eq!(bad.code, Some(4), "{runs:?}");
        has(bad.is(&host.name, "refused").to_string(), &["since", " s", "expires in", "@"]);
    }
    // While the other is under way for sure.
    let mut one = one;
    one.agent = another_build(&one.agent, "v2", &one.path(""));
    let mut first = one.start_deploy(&[]);
    first.until_step("lock");
    let second = two.deploy(&[]);
    first.finish().exits(0).is(&host.name, "changed");
    if second.code != Some(0) {
        has(second.exits(4).is(&host.name, "refused").to_string(), &["ada@", "since", "expires in"]);
    }
    assert_eq!(two.status(&host.name)["facts"].get("lock"), None);
}

#[test]
fn a_client_that_is_killed_leaves_a_lock_that_expires() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    let first = fleet.agent.clone();
    start_sessions(&host, &fleet.status(&host.name), 3);
    let before = sleepers(&host);
    fleet.agent = another_build(&first, "v2", &fleet.path(""));
    let mut running = fleet.start_deploy(&["--confirm-within", "5"]);
    running.until_step("store");
    running.kill();
    // Nobody confirms: the host goes back, and is free.
    wait_until("its lock is gone", Duration::from_secs(60), || {
        let facts = &fleet.status(&host.name)["facts"];
        facts.get("lock").is_none() && facts["installed"]["generation"] == 1
    });
    assert_eq!(sleepers(&host), before);
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    assert_eq!(fleet.status(&host.name)["state"], "good");
}

#[test]
fn a_lock_that_was_left_is_taken_over_when_asked_and_that_is_said() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    let v2 = another_build(&fleet.agent, "v2", &fleet.path(""));
    fleet.agent = v2;
    let mut running = fleet.start_deploy(&["--confirm-within", "600"]);
    running.until_step("store");
    running.kill();
    let refused = fleet.deploy(&[]).exits(4);
    has(refused.is(&host.name, "refused").to_string(), &["ada@", "since", "expires in", "--take-over"]);
    let run = fleet.deploy(&["--take-over"]).exits(0);
    run.is(&host.name, "changed");
    has(&run.out, &["was taken over"]);
    assert_eq!(fleet.status(&host.name)["state"], "good");
}

#[test]
fn another_fleets_host_is_refused_until_it_is_taken_over() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    fleet.name = "others".into();
    let run = fleet.deploy(&[]).exits(4);
    has(run.is(&host.name, "refused").to_string(), &["the fleet `tests`", "ada@", "--take-over"]);
    assert_eq!(fleet.status(&host.name)["state"], "foreign");
    let run = fleet.run("uninstall", &["--yes", "--json"]).exits(4);
    has(run.is(&host.name, "refused").to_string(), &["the fleet `tests`"]);
    fleet.deploy(&["--take-over"]).exits(0).is(&host.name, "changed");
    assert_eq!(fleet.status(&host.name)["state"], "good");
    fleet.name = "tests".into();
    fleet.deploy(&[]).exits(4).is(&host.name, "refused");
}

#[test]
fn a_host_that_left_the_inventory_is_an_orphan_until_it_is_removed() {
    let hosts = Cast::load().claim_all(&["plain", "fish"]);
    let [one, two] = &hosts[..] else { panic!("two were claimed") };
    let mut fleet = Fleet::new(&[one, two]);
    fleet.deploy(&[]).exits(0);
    let all = fleet.hosts.clone();
    fleet.hosts = cm_testkit::hosts::inventory_yaml(&[one]);
    assert_eq!(fleet.status(&two.name)["state"], "orphan");
    has(fleet.run("status", &[]).exits(0).out, &["cm-fleet uninstall --orphans"]);
    fleet.deploy(&[]).exits(0);
    let run = fleet.run("uninstall", &["--yes", "--json", "--orphans"]).exits(0);
    run.is(&two.name, "removed");
    assert_eq!(run.summary()["changed"], 1);
    let status = fleet.run("status", &["--json"]).exits(0);
    assert_eq!((status.events.len(), &status.events[0]["state"]), (1, &"good".into()));
    fleet.hosts = all;
    assert_eq!(fleet.status(&two.name)["state"], "absent");
}

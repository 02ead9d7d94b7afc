//! Many hosts: canaries, batches, and the way back of those that changed when others fail.

use cm_testkit::hosts::{Cast, another_build};

use super::going_back::make_crash;
use crate::support::{Fleet, has};

/// A fleet whose first host's agent crashes at its start.
fn with_a_bad_one(fleet: &mut Fleet, bad: &str) {
    make_crash(fleet);
    let settings = std::mem::take(&mut fleet.settings);
    fleet.more = format!(
        "groups:\n  bad:\n    hosts: [{bad}]\n    agent: {{{}}}\n",
        settings.trim_start_matches(", ")
    );
}

#[test]
fn when_the_canary_fails_the_others_never_begin() {
    let hosts = Cast::load().claim_all(&["plain", "fish", "nofwd"]);
    let all: Vec<_> = hosts.iter().collect();
    let mut fleet = Fleet::new(&all);
    with_a_bad_one(&mut fleet, &hosts[0].name);
    let run = fleet.deploy(&["--canary", "1"]).exits(5);
    run.is(&hosts[0].name, "failed");
    for host in &hosts[1..] {
        run.is(&host.name, "skipped");
        assert!(run.steps(&host.name).is_empty(), "{run:?}");
        assert_eq!(host.root_says("ls -A /home/deploy/.local 2>/dev/null | grep -v share || true"), "");
        assert_eq!(host.root_says("pgrep -u deploy cm-agent || true"), "");
    }
    has(&run.out, &["\"event\":\"stopped\""]);
    // Without that host, it goes on.
    let run = fleet.deploy(&["--canary", "1", "--on", "!@bad"]).exits(0);
    assert_eq!(run.summary()["changed"], 2);
}

#[test]
fn when_a_batch_fails_those_that_changed_go_back() {
    let hosts = Cast::load().claim_all(&["plain", "fish", "nofwd"]);
    let [first, bad, never] = &hosts[..] else { panic!("three were claimed") };
    let mut fleet = Fleet::new(&[first, bad, never]);
    fleet.deploy(&[]).exits(0);
    let old = fleet.agent.clone();
    fleet.agent = another_build(&old, "v2", &fleet.path(""));
    with_a_bad_one(&mut fleet, &bad.name);
    let run = fleet.deploy(&["--batch", "1", "--max-failures", "0"]).exits(5);
    assert_eq!(run.is(&first.name, "taken_back")["generation"], 1, "{run:?}");
    let failed = run.is(&bad.name, "failed");
    assert_eq!(failed["hostAfter"]["state"], "reverted", "{run:?}");
    run.is(&never.name, "skipped");
    let summary = run.summary();
    assert_eq!(
        (&summary["changed"], &summary["back"], &summary["skipped"]),
        (&0.into(), &2.into(), &1.into())
    );
    fleet.agent = old;
    fleet.more.clear();
    for host in [first, bad, never] {
        assert_eq!(fleet.status(&host.name)["state"], "good");
    }
    // Where nothing is taken back, it stays.
    fleet.agent = another_build(&fleet.agent, "v3", &fleet.path(""));
    with_a_bad_one(&mut fleet, &bad.name);
    let run = fleet.deploy(&["--batch", "1", "--no-rollback"]).exits(5);
    run.is(&first.name, "changed");
    run.is(&bad.name, "failed");
    run.is(&never.name, "skipped");
}

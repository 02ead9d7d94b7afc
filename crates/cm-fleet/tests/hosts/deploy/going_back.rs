//! An agent that does not become healthy is gone again: the one before runs, or none where there was none.

use cm_testkit::hosts::{Cast, Claimed, another_build};

use super::sessions::{sleepers, start_sessions};
use crate::support::{Fleet, has, same, traces};

/// Its agents crash at their start: they cannot listen on what is no address of any host, say so and end.
pub fn make_crash(fleet: &mut Fleet) {
    fleet.settings = ", listen: \"203.0.113.1:9\", token: env:TOKEN".into();
    fleet.vars.push(("TOKEN".into(), "0123456789abcdef0123456789abcdef".into()));
}

#[test]
fn an_agent_that_crashes_at_its_start_is_removed_where_there_was_none() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.run("plan", &[]).exits(0);
    let before = traces(&host);
    make_crash(&mut fleet);
    let run = fleet.deploy(&[]).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!((&failed["step"], &failed["hostAfter"]["state"]), (&"healthy".into(), &"removed".into()));
    has(failed["log"].to_string(), &["203.0.113.1:9"]);
    only_its_log(&host, &before);
    assert_eq!(fleet.status(&host.name)["state"], "absent");
}

#[test]
fn an_agent_that_crashes_at_its_start_makes_way_for_the_one_before() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    start_sessions(&host, &fleet.status(&host.name), 3);
    let before = sleepers(&host);
    make_crash(&mut fleet);
    let run = fleet.deploy(&[]).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!(failed["hostAfter"], serde_json::json!({"state": "reverted", "generation": 1}), "{failed:#}");
    has(failed["log"].to_string(), &["203.0.113.1:9"]);
    assert_eq!(sleepers(&host), before);
    fleet.settings.clear();
    let status = fleet.status(&host.name);
    assert_eq!((&status["state"], &status["facts"]["running"]["sessions"]), (&"good".into(), &3.into()));
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
}

/// Nothing is left but what tells an operator what has happened here: the record of what was done, and the agent's state.
fn only_its_log(host: &Claimed, before: &str) {
    let log = "~/.local/share/cm-agent/deploy.log";
    has(host.user_says(&format!("cat {log}")), &["ada@"]);
    host.user_says("cd ~/.local/share/cm-agent; rm deploy.log; rm -f guard going-back; rmdir $PWD; rm -r ~/.local/state/cm-agent; rm -rf /run/user/$(id -u)/cm-agent");
    same(host, before);
}

/// Freezes each new agent of a host's in the moment in which it starts, as if it hung.
fn freeze_the_next(host: &Claimed) {
    host.root_says(
        "old=$(pgrep -u deploy -f 'cm-agent serve')\n\
         (i=0; while [ $i -lt 3000 ]; do\n\
           for p in $(pgrep -u deploy -f 'cm-agent serve'); do\n\
             [ \"$p\" = \"$old\" ] || { kill -STOP $p; exit; }\n\
           done; i=$((i+1)); sleep 0.01; done) >/dev/null 2>&1 &",
    );
}

#[test]
fn an_agent_that_hangs_makes_way_for_the_one_before() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    start_sessions(&host, &fleet.status(&host.name), 3);
    let before = sleepers(&host);
    let first = fleet.agent.clone();
    fleet.agent = another_build(&first, "v2", &fleet.path(""));
    freeze_the_next(&host);
    let run = fleet.deploy(&["--ready-within", "4"]).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!(failed["hostAfter"], serde_json::json!({"state": "reverted", "generation": 1}), "{failed:#}");
    assert_eq!(sleepers(&host), before);
    fleet.agent = first;
    assert_eq!(fleet.status(&host.name)["state"], "good");
}

#[test]
fn an_agent_that_hangs_is_removed_where_there_was_none() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    fleet.run("plan", &[]).exits(0);
    let before = traces(&host);
    freeze_the_next(&host);
    let run = fleet.deploy(&["--ready-within", "4"]).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!(failed["hostAfter"], serde_json::json!({"state": "removed"}), "{failed:#}");
    only_its_log(&host, &before);
}

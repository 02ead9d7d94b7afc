//! An agent that does not become healthy is gone again: the one before runs, or none where there was none.

use cm_testkit::hosts::Cast;

use super::sessions::{sleepers, start_sessions};
use crate::support::{Fleet, has, same, traces};

/// No address of any host: the agent cannot listen there, says so and ends.
const CRASHES: &str = ", listen: \"203.0.113.1:9\"";

#[test]
fn an_agent_that_crashes_at_its_start_is_removed_where_there_was_none() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.run("plan", &[]).exits(0);
    let before = traces(&host);
    fleet.settings = CRASHES.into();
    let run = fleet.deploy(&[]).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!((&failed["step"], &failed["hostAfter"]["state"]), (&"healthy".into(), &"removed".into()));
    has(failed["log"].to_string(), &["203.0.113.1:9"]);
    same(&host, &before);
    assert_eq!(fleet.status(&host.name)["state"], "absent");
}

#[test]
fn an_agent_that_crashes_at_its_start_makes_way_for_the_one_before() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    start_sessions(&host, &fleet.status(&host.name), 3);
    let before = sleepers(&host);
    fleet.settings = CRASHES.into();
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

/// It runs, and never says that it is ready: its state is behind a pipe that nobody writes to.
#[test]
fn an_agent_that_never_becomes_healthy_makes_way_for_the_one_before() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    let unit = host.user_says("systemctl --user show -P ExecStart cm-agent");
    // The same program, held up by a debugger's trick: a drop-in that nobody expects.
    has(&unit, &["cm-agent"]);
    host.user_says(
        "mkdir -p ~/.config/systemd/user/cm-agent.service.d\n\
         printf '[Service]\\nExecStart=\\nExecStart=/bin/sleep 1000\\n' > ~/.config/systemd/user/cm-agent.service.d/x.conf",
    );
    fleet.settings = ", max_clients: 5".into();
    let run = fleet.deploy(&["--ready-within", "4"]);
    println!("{run:#?}");
    host.user_says("rm -r ~/.config/systemd/user/cm-agent.service.d; systemctl --user daemon-reload");
    run.exits(5);
}

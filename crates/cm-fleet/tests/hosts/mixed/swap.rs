//! Deployments to container hosts that end in the middle: whoever deploys next finishes, and no session ends.

use cm_testkit::hosts::engine::images;

use super::{HERE, Mixed};
use crate::support::{has, wait_until};

/// What the agent's container is, whichever agent it is: the session's own process must stay the same.
fn sleeper(mixed: &Mixed) -> String {
    let keeper = format!("cm-keeper-{}", mixed.boxes[0].name);
    mixed.boxes[0].engine_says(&[
        "exec",
        &keeper,
        "sh",
        "-c",
        "for p in /proc/[0-9]*; do grep -qsx sleep $p/comm && cut -d' ' -f1,22 $p/stat; done; true",
    ])
}

/// Brings the host to the first image or the second, whatever state it is in; a deployment that died may hold it.
#[track_caller]
fn finishes(mixed: &Mixed, what: &str) {
    let mut run = mixed.fleet.deploy(&[]);
    if run.code == Some(4) {
        has(run.is(&mixed.boxes[0].name, "refused").to_string(), &["--take-over"]);
        run = mixed.fleet.deploy(&["--take-over"]);
    }
    let run = run.exits(0);
    run.is(HERE, "nothing");
    let again = mixed.fleet.deploy(&[]).exits(0);
    again.is(&mixed.boxes[0].name, "unchanged");
    assert_eq!(mixed.fleet.status(&mixed.boxes[0].name)["state"], "good", "after {what}");
    let deployed = mixed.boxes[0].deployed();
    assert!(!deployed.contains("-next "), "after {what}: {deployed}");
}

/// Nothing is left set aside.
#[track_caller]
fn whole(mixed: &Mixed) {
    let deployed = mixed.boxes[0].deployed();
    assert!(!deployed.contains("-next ") && !deployed.contains("-before "), "{deployed}");
}

#[test]
fn a_client_that_is_killed_at_any_step_leaves_what_the_next_one_finishes() {
    let mut mixed = Mixed::claim(&[], 1);
    let name = mixed.boxes[0].name.clone();
    let images = images();
    // The first deployment, too.
    for step in ["image", "create", "activate", "healthy"] {
        let mut running = mixed.fleet.start_deploy(&[]);
        running.until_step(step);
        running.kill();
        finishes(&mixed, step);
        mixed.fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
        assert_eq!(mixed.boxes[0].deployed(), "", "after {step}");
    }
    mixed.fleet.deploy(&[]).exits(0);
    mixed.must(&[
        "dispatch",
        "--tool",
        "shell",
        "-d",
        "-q",
        "--name",
        "long",
        "--on",
        &name,
        "exec sleep 3000",
    ]);
    wait_until("it sleeps", crate::support::PATIENCE, || !sleeper(&mixed).is_empty());
    let before = sleeper(&mixed);
    for (number, step) in ["image", "create", "activate", "healthy", "confirm"].into_iter().enumerate() {
        mixed.image(&images[(number + 1) % 2]);
        let mut running = mixed.fleet.start_deploy(&[]);
        running.until_step(step);
        running.kill();
        finishes(&mixed, step);
        assert_eq!(sleeper(&mixed), before, "after {step}");
    }
    // One that was confirmed and not cleaned up after is one to go back to all the same.
    let run = mixed.fleet.run("rollback", &["--yes", "--json"]).exits(0);
    run.is(&name, "changed");
    whole(&mixed);
    assert_eq!(sleeper(&mixed), before);
    mixed.fleet.deploy(&[]).exits(0).is(&name, "changed");
    mixed.must(&["kill", "long"]);
    mixed.fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    assert_eq!(mixed.boxes[0].deployed(), "");
}

#[test]
fn every_state_in_which_a_swap_can_end_is_one_to_go_on_from() {
    let mut mixed = Mixed::claim(&[], 1);
    let name = mixed.boxes[0].name.clone();
    let images = images();
    let (agent, keeper) = (format!("cm-agent-{name}"), format!("cm-keeper-{name}"));
    mixed.fleet.deploy(&[]).exits(0);
    let (agent_before, keeper_before) = (format!("{agent}-before"), format!("{keeper}-before"));
    let states: [(&str, &[&[&str]]); 5] = [
        ("the agent stopped", &[&["stop", &agent]]),
        ("it set aside", &[&["stop", &agent], &["rename", &agent, &agent_before]]),
        (
            "the keeper stopped",
            &[&["stop", &agent], &["rename", &agent, &agent_before], &["stop", "-t", "2", &keeper]],
        ),
        (
            "both set aside",
            &[
                &["stop", &agent],
                &["rename", &agent, &agent_before],
                &["stop", "-t", "2", &keeper],
                &["rename", &keeper, &keeper_before],
            ],
        ),
        ("all gone but the volume", &[&["rm", "-f", &agent], &["rm", "-f", &keeper]]),
    ];
    for (number, (what, acts)) in states.into_iter().enumerate() {
        for act in acts {
            mixed.boxes[0].engine_says(act);
        }
        mixed.image(&images[(number + 1) % 2]);
        let half = ["it set aside", "the keeper stopped", "both set aside"].contains(&what);
        if half {
            let run = mixed.fleet.run("rollback", &["--yes", "--json"]).exits(4);
            has(run.is(&name, "refused").to_string(), &["left half done", "cm-fleet deploy"]);
        }
        finishes(&mixed, what);
        whole(&mixed);
        has(mixed.must(&["dispatch", "--tool", "shell", "--json", "--on", &name, "echo works"]), &["works"]);
    }
    mixed.fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    assert_eq!(mixed.boxes[0].deployed(), "");
}

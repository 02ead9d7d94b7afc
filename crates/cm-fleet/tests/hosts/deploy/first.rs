//! Hosts become what the inventory says, stay so, and are as before when their agents are removed.

use cm_testkit::hosts::Cast;

use crate::support::{Fleet, has, same, traces};

#[test]
fn deploys_to_every_kind_of_host_then_changes_nothing_then_leaves_nothing() {
    let cast = Cast::load();
    let kinds = ["plain", "fish", "bastion", "inner", "passkey", "cert", "nostream", "nofwd", "startups"];
    let hosts = cast.claim_all(&kinds);
    let mut fleet = Fleet::new(&hosts.iter().collect::<Vec<_>>());
    let passphrase = std::fs::read_to_string(&cast.description().keys.passphrase).unwrap();
    fleet.vars.push(("CM_SSH_PASSPHRASE".into(), passphrase.trim_end().into()));

    let plan = fleet.run("plan", &["--json"]).exits(0);
    assert_eq!(plan.summary()["would_change"], hosts.len());
    // fish makes itself a home when somebody logs in for the first time.
    let before: Vec<String> = hosts.iter().map(traces).collect();

    let run = fleet.deploy(&[]).exits(0);
    for host in &hosts {
        let changed = run.is(&host.name, "changed");
        assert_eq!((&changed["generation"], &changed["previous"]), (&1.into(), &serde_json::Value::Null));
        let steps =
            ["lock", "verify", "store", "linger", "arm", "activate", "healthy", "sessions", "confirm"];
        let done = run.steps(&host.name);
        assert!(steps.iter().all(|step| done.contains(step)), "{}: {done:?}", host.name);
        assert_eq!(host.root_says("loginctl show-user -P Linger deploy"), "yes\n", "{}", host.name);
    }
    assert_eq!(run.summary()["changed"], hosts.len());

    let again = fleet.deploy(&[]).exits(0);
    for host in &hosts {
        again.is(&host.name, "unchanged");
        assert!(again.steps(&host.name).is_empty());
    }

    let status = fleet.run("status", &["--json"]).exits(0);
    assert_eq!(status.events.len(), hosts.len());
    for row in &status.events {
        assert_eq!(row["state"], "good", "{row:#}");
        assert_eq!(row["facts"]["unit"]["active"], "active");
        assert_eq!(row["facts"]["unit"]["enabled"], "enabled");
        assert_eq!(row["facts"]["running"]["sha256"], row["wanted"]["sha256"]);
    }

    let run = fleet.run("uninstall", &["--yes", "--json", "--purge"]).exits(0);
    for (host, before) in hosts.iter().zip(before) {
        run.is(&host.name, "removed");
        same(host, &before);
    }
    let status = fleet.run("status", &["--json"]).exits(0);
    assert!(status.events.iter().all(|row| row["state"] == "absent"), "{status:#?}");
    has(fleet.run("uninstall", &["--yes"]).exits(0).out, &["no agent is installed"]);
}

//! Hosts that somebody has changed by hand: seen, said, and mended.

use cm_testkit::hosts::{Cast, Claimed};

use crate::support::{Fleet, Run, has};

/// What is planned because of something that was done, and that deploying mends it.
fn mended(fleet: &Fleet, host: &Claimed, state: &str) -> Run {
    let plan = fleet.run("plan", &["--json", "--detailed-exitcode"]).exits(1);
    assert_eq!(plan.plan(&host.name)["do"], "change");
    assert_eq!(fleet.status(&host.name)["state"], state);
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    assert_eq!(fleet.status(&host.name)["state"], "good");
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
    plan
}

#[test]
fn what_was_changed_by_hand_is_planned_shown_and_mended() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);

    host.user_says("echo 'Nice=7' >> ~/.config/systemd/user/cm-agent.service");
    let shown = fleet.run("status", &[]).exits(1).out;
    has(shown, &["drift", "Nice=7"]);
    has(mended(&fleet, &host, "drift").out, &["drift", "Nice=7"]);

    host.user_says("systemctl --user -q disable cm-agent");
    has(mended(&fleet, &host, "drift").out, &["disabled"]);
    assert_eq!(host.user_says("systemctl --user is-enabled cm-agent"), "enabled\n");

    host.user_says("systemctl --user stop cm-agent");
    has(mended(&fleet, &host, "down").out, &["not_running", "inactive"]);

    host.user_says("rm ~/.config/systemd/user/cm-agent.service; systemctl --user daemon-reload");
    has(mended(&fleet, &host, "drift").out, &["drift"]);

    // A program that was replaced in place is none that can be started from.
    host.user_says("cd ~/.local/share/cm-agent/versions/*/; cp cm-agent x; printf x >> x; mv x cm-agent");
    host.user_says("systemctl --user restart cm-agent");
    mended(&fleet, &host, "stale");
}

#[test]
fn a_drop_in_is_shown_and_left_as_it_is() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    host.user_says(
        "mkdir -p ~/.config/systemd/user/cm-agent.service.d; cd ~/.config/systemd/user/cm-agent.service.d\n\
         printf '[Service]\\nNice=3\\n' > nice.conf; systemctl --user daemon-reload",
    );
    has(fleet.run("plan", &["--json"]).exits(0).out, &["cm-agent.service.d/nice.conf"]);
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
    assert_eq!(fleet.status(&host.name)["state"], "good");
    host.user_says("test -e ~/.config/systemd/user/cm-agent.service.d/nice.conf");
}

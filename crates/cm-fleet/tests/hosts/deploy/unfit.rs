//! Hosts on which something is in the way: said with the remedy, and nothing is left there.

use cm_testkit::hosts::{Cast, Claimed};

use crate::support::{Fleet, has, same, traces};

#[test]
fn without_the_right_to_linger_it_is_deployed_with_the_command_that_gives_it() {
    let host = Cast::load().claim("nolinger");
    let run = Fleet::new(&[&host]).deploy(&[]).exits(0);
    run.is(&host.name, "changed");
    has(run.warnings(&host.name), &["sudo loginctl enable-linger deploy"]);
}

#[test]
fn a_noexec_home_is_refused_and_another_directory_works() {
    let host = Cast::load().claim("noexec");
    let mut fleet = Fleet::new(&[&host]);
    let before = traces(&host);
    let run = fleet.deploy(&[]).exits(1);
    has(run.is(&host.name, "failed").to_string(), &["noexec", "agent: {dir: /opt/cm-agent}", "untouched"]);
    same(&host, &before);
    fleet.settings = ", dir: /var/tmp/cm-agent".into();
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
    assert_eq!(fleet.status(&host.name)["state"], "good");
    fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    same(&host, &before);
}

#[test]
fn without_tmux_the_remedy_is_said() {
    let host = Cast::load().claim("notmux");
    let before = traces(&host);
    let run = Fleet::new(&[&host]).deploy(&[]).exits(1);
    has(run.is(&host.name, "failed").to_string(), &["tmux is not installed", "apt-get install tmux"]);
    same(&host, &before);
}

#[test]
fn a_full_disk_is_told_in_bytes_and_nothing_is_left() {
    let host = Cast::load().claim("full");
    let before = traces(&host);
    let run = Fleet::new(&[&host]).deploy(&[]).exits(1);
    let failed = run.is(&host.name, "failed").to_string();
    has(&failed, &["the disk is full", "MB are needed", "are free", "agent: {dir: …}", "untouched"]);
    same(&host, &before);
}

/// The disk fills up after it was asked how much is free.
#[test]
fn a_disk_that_fills_up_while_the_program_is_sent_leaves_nothing() {
    let host = Cast::load().claim("full");
    let before = traces(&host);
    // A question that is answered by a stand-in of `df` cannot be told from one that was answered too early.
    host.root_says(
        "printf '#!/bin/sh\\necho x; echo /dev/x 9000000 1 9000000 1%% /' > /usr/local/bin/df; \
         chmod 755 /usr/local/bin/df",
    );
    let run = Fleet::new(&[&host]).deploy(&[]);
    host.root_says("rm /usr/local/bin/df");
    has(run.exits(1).is(&host.name, "failed").to_string(), &["No space left", "make room", "untouched"]);
    same(&host, &before);
}

#[test]
fn a_wrong_passphrase_is_said() {
    let host = Cast::load().claim("passkey");
    let mut fleet = Fleet::new(&[&host]);
    fleet.vars.push(("CM_SSH_PASSPHRASE".into(), "it-is-not-this".into()));
    let run = fleet.deploy(&[]).exits(3);
    has(run.is(&host.name, "unreachable").to_string(), &["passphrase", "id_locked"]);
    assert!(!format!("{run:?}").contains("it-is-not-this"));
    fleet.vars.clear();
    has(fleet.deploy(&[]).exits(3).is(&host.name, "unreachable").to_string(), &["CM_SSH_PASSPHRASE"]);
}

#[test]
fn a_changed_host_key_is_refused_with_both_fingerprints_file_and_line() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    let pinless = fleet.hosts.lines().filter(|line| !line.contains("host_key:"));
    fleet.hosts = pinless.map(|line| format!("{line}\n")).collect();
    fleet.run("plan", &["--json"]).exits(0);
    let keys =
        |host: &Claimed| host.root_says("cat /etc/ssh/ssh_host_*.pub | ssh-keygen -l -f - | cut -d' ' -f2");
    let old = keys(&host);
    host.root_says("rm /etc/ssh/ssh_host_*; ssh-keygen -q -A; systemctl restart ssh.service");
    let new = keys(&host);
    let run = fleet.deploy(&[]).exits(4);
    let why = run.is(&host.name, "refused").to_string();
    has(&why, &["KEY HAS CHANGED", &host.known_hosts.display().to_string(), "line "]);
    for keys in [&old, &new] {
        assert!(keys.lines().any(|key| why.contains(key)), "none of {keys} in {why}");
    }
    // With --accept-new, too: it is not new.
    fleet.deploy(&["--accept-new"]).exits(4).is(&host.name, "refused");
}

#[test]
fn a_pin_that_does_not_match_is_refused() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    let pin = "SHA256:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU";
    fleet.hosts = fleet.hosts.replace(&host.host_key, pin);
    let run = fleet.deploy(&[]).exits(4);
    has(run.is(&host.name, "refused").to_string(), &[pin, "SHA256:"]);
}

/// All test hosts have the kernel's clock, so only what a host says of it is off.
#[test]
fn a_clock_that_is_ten_minutes_off_is_said_and_in_nobodys_way() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    host.root_says(
        "printf '#!/bin/sh\\nexec /bin/date -d \"600 seconds\" \"$@\"\\n' > /usr/local/bin/date; \
         chmod 755 /usr/local/bin/date",
    );
    let run = fleet.deploy(&[]);
    host.root_says("rm /usr/local/bin/date");
    let run = run.exits(0);
    has(run.plan(&host.name).to_string(), &["its clock is 10 min ahead", "set-ntp"]);
    run.is(&host.name, "changed");
}

//! Connections that break, hosts that freeze or reboot, clients that are killed: at every step the host ends up whole.

use std::time::{Duration, Instant};

use cm_testkit::hosts::{Cast, Claimed, another_build};

use crate::support::{Fleet, has, same, traces, wait_until};

/// Connections notice a cut within this.
const SOON: &[&str] = &["--connect-timeout", "3"];

fn soon<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [SOON, more].concat()
}

#[test]
fn a_connection_cut_while_the_program_is_sent_leaves_the_host_as_it_was() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.run("plan", &[]).exits(0);
    let before = traces(&host);
    // Slow enough for the cut to fall into the middle.
    let relay = host.relay(Duration::from_millis(40));
    let direct = fleet.hosts.clone();
    fleet.hosts = direct.replace(&format!("port: {}", host.port), &format!("port: {}", relay.port));
    let known = host.known_hosts.display().to_string();
    fleet.hosts = fleet.hosts.replace(&known, &relay.known_hosts.display().to_string());
    let mut running = fleet.start_deploy(SOON);
    running.until(|event| event["event"] == "host_sent");
    host.cut();
    let began = Instant::now();
    drop(relay);
    let run = running.finish();
    assert!(began.elapsed() < Duration::from_secs(20), "{run:?}");
    assert!(matches!(run.code, Some(1 | 3)), "{run:?}");
    host.uncut();
    fleet.hosts = direct;
    wait_until("nothing is left", Duration::from_secs(60), || traces(&host) == before);
    fleet.deploy(&[]).exits(0).is(&host.name, "changed");
    fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    same(&host, &before);
}

/// A host with generation 1, and a deployment of generation 2 that has just become healthy.
fn unconfirmed(host: &Claimed, fleet: &mut Fleet, meanwhile: impl FnOnce()) -> crate::support::Run {
    let v2 = another_build(&fleet.agent, "v2", &fleet.path(""));
    fleet.agent = v2;
    let mut running = fleet.start_deploy(&soon(&["--confirm-within", "5"]));
    running.until_step("sessions");
    meanwhile();
    let run = running.finish();
    host.uncut();
    run
}

#[test]
fn a_connection_cut_before_the_confirmation_makes_the_host_go_back_by_itself() {
    // Its sshd opens no tunnels: what was connected before is of no use for confirming.
    let host = Cast::load().claim("nofwd");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    let first = fleet.agent.clone();
    // sshd lets nobody in any more from the moment in which the new agent is up: nobody comes to confirm.
    host.root_says(
        "sha=$(readlink -f /home/deploy/.local/share/cm-agent/current)\n\
         (i=0; while [ \"$(readlink -f /home/deploy/.local/share/cm-agent/current)\" = \"$sha\" ] && [ $i -lt 3000 ]; do\n\
           i=$((i+1)); sleep 0.01; done\n\
         for t in iptables iptables-legacy; do\n\
           $t -N CUT && $t -A CUT -p tcp --dport 22 --syn -j DROP && $t -I INPUT -j CUT && $t -I OUTPUT -j CUT && break\n\
         done) >/dev/null 2>&1 &",
    );
    let run = unconfirmed(&host, &mut fleet, || {}).exits(5);
    let failed = run.is(&host.name, "failed");
    assert_eq!(failed["step"], "confirm");
    has(failed.to_string(), &["goes back by itself", "\"reverted\""]);
    fleet.agent = first;
    wait_until("the host is back", Duration::from_secs(30), || fleet.status(&host.name)["state"] == "good");
    let status = fleet.status(&host.name);
    assert_eq!(status["facts"]["installed"]["generation"], 1);
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
}

#[test]
fn a_host_that_reboots_before_the_confirmation_goes_back() {
    let host = Cast::load().claim("plain");
    let mut fleet = Fleet::new(&[&host]);
    fleet.deploy(&[]).exits(0);
    let first = fleet.agent.clone();
    fleet.agent = another_build(&first, "v2", &fleet.path(""));
    let mut running = fleet.start_deploy(&soon(&["--confirm-within", "600"]));
    running.until_step("activate");
    // Before it can confirm: pulling the plug takes longer than that.
    running.kill();
    host.kill();
    host.start();
    fleet.agent = first;
    wait_until("the host is back", Duration::from_secs(30), || fleet.status(&host.name)["state"] == "good");
    assert_eq!(fleet.status(&host.name)["facts"]["installed"]["generation"], 1);
    fleet.deploy(&[]).exits(0).is(&host.name, "unchanged");
}

#[test]
fn a_host_that_reboots_at_any_step_becomes_what_it_should_by_deploying_again() {
    let hosts = Cast::load().claim_all(&["plain", "plain"]);
    let check = |host: &Claimed, step: &str| {
        let fleet = Fleet::new(&[host]);
        let mut running = fleet.start_deploy(&soon(&["--confirm-within", "5"]));
        running.until_step(step);
        host.kill();
        running.finish();
        host.start();
        fleet.deploy(&[]).exits(0);
        assert_eq!(fleet.status(&host.name)["state"], "good", "after {step}");
        fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    };
    std::thread::scope(|scope| {
        let [one, two] = &hosts[..] else { panic!("two were claimed") };
        scope.spawn(|| ["lock", "store", "arm", "activate"].iter().for_each(|step| check(one, step)));
        scope.spawn(|| ["verify", "linger", "healthy", "sessions"].iter().for_each(|step| check(two, step)));
    });
}

#[test]
fn a_host_that_is_frozen_for_a_moment_at_any_step_becomes_what_it_should() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    for step in ["lock", "verify", "store", "linger", "arm", "activate", "healthy", "sessions"] {
        let mut running = fleet.start_deploy(&[]);
        running.until_step(step);
        host.pause();
        host.unpause();
        running.finish().exits(0).is(&host.name, "changed");
        assert_eq!(fleet.status(&host.name)["state"], "good", "after {step}");
        fleet.run("uninstall", &["--yes", "--purge"]).exits(0);
    }
}

#[test]
fn a_paused_host_costs_its_own_deadline_and_the_others_finish() {
    let hosts = Cast::load().claim_all(&["plain", "fish", "nofwd"]);
    let [frozen, one, two] = &hosts[..] else { panic!("three were claimed") };
    let fleet = Fleet::new(&[frozen, one, two]);
    frozen.pause();
    let run = fleet.deploy(SOON).exits(1);
    run.is(&frozen.name, "unreachable");
    for host in [one, two] {
        run.is(&host.name, "changed");
    }
    assert!(run.took < Duration::from_secs(3 + 12), "{run:?}");
    let run = fleet.deploy(&soon(&["--on", &frozen.name])).exits(3);
    assert!(run.took < Duration::from_secs(5), "{run:?}");
    assert_eq!(run.summary()["unreachable"], 1);
    frozen.unpause();
    let run = fleet.deploy(SOON).exits(0);
    run.is(&frozen.name, "changed");
    run.is(&one.name, "unchanged");
}

#[test]
fn a_host_paused_in_the_middle_is_given_up_in_time_and_ends_up_whole() {
    let host = Cast::load().claim("plain");
    let fleet = Fleet::new(&[&host]);
    let mut running = fleet.start_deploy(&soon(&["--confirm-within", "5", "--ready-within", "5"]));
    running.until_step("arm");
    host.pause();
    let run = running.finish();
    host.unpause();
    assert!(run.took < Duration::from_secs(60), "{run:?}");
    has(run.exits(3).is(&host.name, "unreachable").to_string(), &["nothing was heard for 40 s"]);
    fleet.deploy(&[]).exits(0);
    assert_eq!(fleet.status(&host.name)["state"], "good");
}

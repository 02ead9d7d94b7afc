//! Hosts whose engine is not for their user.

use cm_testkit::hosts::engine::images;
use cm_testkit::hosts::{Cast, inventory_yaml};

use crate::support::{Fleet, has, same, traces};

#[test]
fn a_user_that_may_not_use_the_engine_is_told_how_to() {
    let hosts = Cast::load().claim_all(&["nodocker", "docker"]);
    let mut fleet = Fleet::new(&[]);
    let text: Vec<String> =
        hosts.iter().map(|host| inventory_yaml(&[host]).replace("hosts:\n", "")).collect();
    let boxed =
        format!("    runtime: container\n    container: {{image: \"{}\", network: none}}\n", images()[0]);
    fleet.hosts = format!("hosts:\n{}{boxed}{}{boxed}", text[0], text[1]);
    fleet.name = cm_testkit::hosts::engine::FLEET.to_owned();
    fleet.run("plan", &["--json"]);
    let before = traces(&hosts[0]);

    let remedy = "sudo usermod -aG docker deploy";
    let run = fleet.deploy(&[]).exits(1);
    let failed = run.is(&hosts[0].name, "failed").to_string();
    has(&failed, &["the user deploy may not use the engine's socket /var/run/docker.sock", remedy]);
    // The other host is none the worse for it.
    run.is(&hosts[1].name, "changed");
    let doctor = fleet.run("doctor", &["--on", &hosts[0].name]).exits(1);
    has(&doctor.out, &[remedy]);
    let status = fleet.run("status", &[]);
    has(format!("{}{}", status.out, status.err), &["may not use the engine's socket"]);
    same(&hosts[0], &before);

    // The remedy is one.
    let group = "$(stat -c %g /run/docker.sock)";
    hosts[0].root_says(&format!("usermod -aG {group} deploy"));
    let run = fleet.deploy(&[]);
    hosts[0].root_says(&format!("gpasswd -d deploy \"$(getent group {group} | cut -d: -f1)\""));
    run.exits(0).is(&hosts[0].name, "changed");
    for host in &hosts {
        host.remove_deployed();
    }
}

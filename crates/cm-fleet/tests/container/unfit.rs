//! Engines that are not there, do not run, or have what is not ours under our names.

use std::os::unix::net::UnixListener;

use crate::stage::{DOCKER, Stage, images, must};

#[test]
fn engines_that_do_not_answer() {
    let [one, _] = images();
    for over_ssh in [true, false] {
        let make = |name: &str| match over_ssh {
            true => Stage::over_ssh(name, &one),
            false => Stage::here(name, &one, DOCKER),
        };
        let mut stage = make("gone");
        stage.socket = "/run/no-such-engine.sock".to_owned();
        let run = stage.deploy().exits(1);
        run.is("failed");
        run.says(&["container engine", "sudo"]);
        stage.run("doctor", &[]).says(&["engine"]);

        // A socket that somebody has left behind.
        let left = stage.path("left.sock");
        drop(UnixListener::bind(&left).unwrap());
        stage.socket = left.display().to_string();
        stage.deploy().exits(1).says(&["nobody listens", "systemctl"]);
        stage.socket = DOCKER.to_owned();
    }
}

#[test]
fn what_has_our_name_and_is_not_ours_stays() {
    let [one, _] = images();
    let stage = Stage::here("theirs", &one, DOCKER);
    let name = format!("cm-agent-{}", stage.host);
    let theirs = must(DOCKER, &["create", "--name", &name, "--network", "none", &one]);
    let run = stage.deploy().exits(4);
    run.is("refused");
    run.says(&["that cm-fleet has not made"]);
    stage.run("uninstall", &["--yes", "--json", "--purge"]).exits(0).is("nothing");
    assert_eq!(must(DOCKER, &["inspect", "-f", "{{.Id}}", &name]), theirs);
    must(DOCKER, &["rm", &name]);
}

#[test]
fn an_image_that_is_nowhere() {
    let stage = Stage::here("nowhere", "cm-no-such-image:1", DOCKER);
    let run = stage.deploy().exits(1);
    run.is("failed");
    run.says(&["neither on the host nor here", "docker build"]);
}

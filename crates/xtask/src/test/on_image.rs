//! The tests of the image: run here, against containers of it that they start themselves.

use std::fs;

use cm_testkit::hosts::engine::{IMAGES, IMAGES_VARIABLE};

use crate::failure::Failure;
use crate::hosts::Docker;
use crate::image;
use crate::need::Need;
use crate::sh::{LONG, Run, SHORT};
use crate::test::{Runner, Tally, color, counted};
use crate::workspace::Workspace;

/// What these tests take.
pub const NEEDS: [Need; 6] =
    [Need::Nextest, Need::Docker, Need::Iptables, Need::Compose, Need::Mmdebstrap, Need::Podman];
/// How the tests are told how to call Docker.
const DOCKER: &str = "CM_TEST_DOCKER";
/// What is tested there: the image itself, and hosts that run it.
const TARGET: [&str; 8] = [
    "--package",
    "cm-agent",
    "--package",
    "cm-fleet",
    "--features",
    "cm-agent/container-tests,cm-fleet/container-tests",
    "--test",
    "container",
];

/// Builds the tests and the images, runs the tests.
pub fn run(workspace: &Workspace) -> Result<Tally, Failure> {
    // Built first: a mistake in the code shows soonest.
    nextest(workspace).arg("--no-run").live(LONG)?;
    compose(workspace)?;
    let docker = Docker::ready(workspace)?;
    images(workspace, &docker)?;
    let run = nextest(workspace).env(IMAGES_VARIABLE, IMAGES.join(" ")).env(DOCKER, docker.words().join(" "));
    let tally = counted(run, Runner::Nextest, "the tests of the image")?;
    if tally.ran() == 0 {
        return Err(Failure::check(
            "no test of the image ran, which proves nothing",
            "see crates/cm-agent/tests/container.rs".to_owned(),
        ));
    }
    Ok(tally)
}

/// The image, and the same with another program: what comes after an upgrade.
pub fn images(workspace: &Workspace, docker: &Docker) -> Result<(), Failure> {
    image::for_tests(workspace, docker, IMAGES[0])?;
    another(workspace, docker)
}

/// The compose file can be read: by Docker's plugin, or by the program of its own.
fn compose(workspace: &Workspace) -> Result<(), Failure> {
    let file = workspace.root.join("deploy/docker/compose.yaml");
    let plugin = Run::new("docker").args(["compose", "version"]).succeeds();
    let words: &[&str] = if plugin { &["docker", "compose"] } else { &["docker-compose"] };
    let check = Run::new(words[0]).args(&words[1..]).arg("--file").arg(&file).args(["config", "--quiet"]);
    check.live(SHORT)
}

/// The same image with another build of the program.
fn another(workspace: &Workspace, docker: &Docker) -> Result<(), Failure> {
    let dir = workspace.target.join("image/another");
    fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
    let program = crate::hosts::agent_path(workspace);
    let made = cm_testkit::hosts::another_build(&program, "two", &dir);
    let text = format!("FROM {}\nCOPY {} /usr/local/bin/cm-agent\n", IMAGES[0], "cm-agent-two");
    debug_assert!(made.ends_with("cm-agent-two"));
    let file = dir.join("Dockerfile");
    fs::write(&file, text).map_err(Failure::file("write", &file))?;
    docker.run(["build", "--quiet", "--tag", IMAGES[1]]).arg(&dir).capture(SHORT).map(drop)
}

fn nextest(workspace: &Workspace) -> Run {
    Run::cargo_with_tools(workspace)
        .args(["nextest", "run", "--locked", "--profile", "ci", "--color", color()])
        .args(TARGET)
}

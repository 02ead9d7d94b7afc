//! The tests that deploy: run here, against a cast of test hosts that is up for as long as they take.

use crate::failure::Failure;
use crate::hosts::{self, Docker};
use crate::sh::{LONG, Run};
use crate::test::on_image;
use crate::test::{Runner, Tally, color, counted};
use crate::workspace::Workspace;

/// All special hosts, and four plain ones.
const HOSTS: u8 = 20;
/// What of cm-fleet is tested there.
const TARGET: [&str; 6] = ["--package", "cm-fleet", "--features", "cm-fleet/host-tests", "--test", "hosts"];

/// Builds the tests, the agent they deploy and its images, has the hosts up, runs the tests.
pub fn run(workspace: &Workspace, docker: &Docker) -> Result<Tally, Failure> {
    // Built first: a mistake in the code shows before hosts are started.
    let agent = hosts::agent(workspace)?;
    nextest(workspace).arg("--no-run").live(LONG)?;
    on_image::images(workspace, docker)?;
    let cast = hosts::Cast::up(workspace, docker, HOSTS)?;
    let run = nextest(workspace).env(cm_testkit::hosts::AGENT_VARIABLE, &agent);
    let tally = counted(run, Runner::Nextest, "the deployment tests");
    let down = cast.down();
    let tally = tally?;
    down?;
    Ok(tally)
}

fn nextest(workspace: &Workspace) -> Run {
    Run::cargo_with_tools(workspace)
        .args(["nextest", "run", "--locked", "--profile", "ci", "--color", color()])
        .args(TARGET)
        .env(cm_testkit::hosts::VARIABLE, hosts::description(workspace))
}

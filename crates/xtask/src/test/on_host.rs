//! The tests that need systemd, run on a test host by a user with a user manager of its own.
//!
//! They start and stop units and end processes: nothing to do on the machine of whoever runs the tests.

use std::path::PathBuf;
use std::time::Duration;

use crate::failure::Failure;
use crate::hosts::{self, Container, Docker};
use crate::sh::{LONG, Run};
use crate::test::{Runner, Tally, counted};
use crate::workspace::Workspace;

/// The test target of cm-agent, and the feature that makes it a target at all.
const TARGET: &str = "systemd";
const FEATURE: &str = "systemd-tests";
/// Where the programs are put on the host.
const THERE: &str = "/opt/cm-test";
const READY: Duration = Duration::from_secs(120);

/// Starts a host, runs the tests there and removes the host.
pub fn run(workspace: &Workspace, docker: &Docker, programs: &Programs) -> Result<Tally, Failure> {
    let image = hosts::image(workspace, docker)?;
    let host = Container::passing(docker, workspace, &image)?;
    let result = on(&host, docker, workspace, programs);
    let removed = host.remove(docker, workspace);
    let tally = result?;
    removed?;
    Ok(tally)
}

/// The two programs that go to the host.
#[derive(Debug, PartialEq, Eq)]
pub struct Programs {
    test: PathBuf,
    agent: PathBuf,
}

/// Builds them. First of all: a mistake in the code shows before minutes go into a host.
pub fn build(workspace: &Workspace) -> Result<Programs, Failure> {
    let run = Run::cargo_with_tools(workspace)
        .args(["test", "--package", "cm-agent", "--features", FEATURE, "--test", TARGET, "--no-run"])
        .args(["--locked", "--message-format", "json-render-diagnostics"]);
    println!("$ {}", run.shown());
    let messages = run.capture(LONG)?;
    Programs::among(&messages).ok_or_else(|| {
        Failure::check(
            format!("cargo built no test `{TARGET}` or no program `cm-agent`"),
            format!("see that crates/cm-agent/tests/{TARGET}.rs exists, with the feature {FEATURE}"),
        )
    })
}

impl Programs {
    /// Reads cargo's messages, one JSON object a line.
    fn among(messages: &str) -> Option<Self> {
        let artifacts: Vec<serde_json::Value> = messages
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|message: &serde_json::Value| message["reason"] == "compiler-artifact")
            .collect();
        let built = |kind: &str, name: &str| {
            artifacts
                .iter()
                .filter(|artifact| artifact["target"]["kind"][0] == kind)
                .filter(|artifact| artifact["target"]["name"] == name)
                .find_map(|artifact| artifact["executable"].as_str().map(PathBuf::from))
        };
        Some(Self { test: built("test", TARGET)?, agent: built("bin", "cm-agent")? })
    }
}

fn on(
    host: &Container,
    docker: &Docker,
    workspace: &Workspace,
    programs: &Programs,
) -> Result<Tally, Failure> {
    host.wait_until_ready(docker, workspace, READY)?;
    println!("host {} is ready", host.short());
    host.as_root(docker, ["mkdir", "-p", THERE])?;
    let (test, agent) = (format!("{THERE}/{TARGET}"), format!("{THERE}/cm-agent"));
    host.put(docker, &programs.test, &test)?;
    host.put(docker, &programs.agent, &agent)?;
    host.as_root(docker, ["chmod", "0755", &test, &agent])?;
    // The path that was compiled into the test is of the machine that built it; at run time the
    // environment says where the program is, under the names cargo and nextest use.
    let cargo_says = format!("CARGO_BIN_EXE_cm-agent={agent}");
    let nextest_says = format!("NEXTEST_BIN_EXE_cm-agent={agent}");
    let run = host.ssh(workspace, &["env", &cargo_says, &nextest_says, "RUST_BACKTRACE=1", &test]);
    let tally = counted(run, Runner::Libtest, "the test on the host")?;
    if tally.ran() == 0 {
        return Err(Failure::check(
            "no test ran on the host, which proves nothing",
            format!("see crates/cm-agent/tests/{TARGET}.rs"),
        ));
    }
    Ok(tally)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_programs_are_found_among_cargos_messages() {
        let artifact = |kind: &str, name: &str, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"executable":{executable}}}"#
            )
        };
        let test = artifact("test", "systemd", r#""/t/systemd-1""#);
        let agent = artifact("bin", "cm-agent", r#""/t/cm-agent""#);
        let library = artifact("lib", "cm-agent", "null");
        let check = |lines: &[&str], expected: Option<(&str, &str)>| {
            let expected = expected.map(|(test, agent)| Programs { test: test.into(), agent: agent.into() });
            assert_eq!(Programs::among(&lines.join("\n")), expected, "{lines:?}");
        };
        check(&[&library, "not json", &agent, &test], Some(("/t/systemd-1", "/t/cm-agent")));
        check(&[&library, &test], None);
        check(&[], None);
    }
}

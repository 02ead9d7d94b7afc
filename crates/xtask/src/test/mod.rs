//! `cargo xtask test`: every check of this repository, in order; the first that fails ends the run.

mod on_cast;
mod on_host;
mod on_image;
mod packaging;
mod tally;

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use clap::ValueEnum;

use crate::failure::Failure;
use crate::hosts::{self, Docker};
use crate::image;
use crate::need::{self, Need};
use crate::schema;
use crate::sh::{LONG, Run};
use crate::tools;
use crate::workspace::Workspace;

pub use on_image::images;
pub use tally::{Runner, Tally};

/// One part of the whole check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Part {
    /// The code is formatted.
    Fmt,
    /// The code has no warnings.
    Clippy,
    /// Dependencies: licences, sources, bans.
    Deny,
    /// docs/protocol.schema.json is what the types say.
    Schema,
    /// Unit and integration tests.
    Unit,
    /// Examples in the documentation run, and the documentation builds without warnings.
    Doc,
    /// What is delivered besides the code: Nix, units, cloud-init, a release.
    Packaging,
    /// Tests with Claude Code and Codex themselves, against a model server on this machine.
    Tools,
    /// Tests that need a host with systemd, inside one; and those that deploy to a cast of hosts.
    Hosts,
    /// Tests of the agent's image, in containers of it.
    Containers,
    /// Builds all images of the Dockerfile, as users do: minutes.
    Images,
    /// The tests with all coding CLIs there are profiles of; only where named.
    ToolsAll,
}

impl Part {
    /// The parts to run: those named, or all, in the order in which a mistake shows soonest.
    pub fn chosen(named: &[Self], no_hosts: bool, no_tools: bool) -> Vec<Self> {
        Self::value_variants()
            .iter()
            .copied()
            .filter(|part| named.contains(part) || (named.is_empty() && *part != Self::ToolsAll))
            .filter(|part| !(no_hosts && matches!(part, Self::Hosts | Self::Containers | Self::Images)))
            .filter(|part| !(no_tools && *part == Self::Tools))
            .collect()
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::Clippy => "clippy",
            Self::Deny => "deny",
            Self::Schema => "schema",
            Self::Unit => "unit",
            Self::Doc => "doc",
            Self::Packaging => "packaging",
            Self::Tools => "tools",
            Self::Hosts => "hosts",
            Self::Containers => "containers",
            Self::Images => "images",
            Self::ToolsAll => "tools-all",
        }
    }

    const fn needs(self) -> &'static [Need] {
        match self {
            Self::Fmt => &[Need::Rustfmt],
            Self::Clippy => &[Need::Clippy],
            Self::Deny => &[Need::Deny],
            Self::Schema => &[],
            Self::Unit => &[Need::Git, Need::Tmux, Need::Ssh, Need::Sshd, Need::Nextest],
            Self::Doc => &[Need::Git, Need::Tmux],
            Self::Packaging => &packaging::NEEDS,
            Self::Tools | Self::ToolsAll => &[Need::Git, Need::Tmux, Need::Nextest],
            Self::Hosts => &hosts::TEST_NEEDS,
            Self::Containers => &on_image::NEEDS,
            Self::Images => &image::NEEDS,
        }
    }

    fn run(self, workspace: &Workspace) -> Result<Tally, Failure> {
        match self {
            Self::Fmt => fmt(workspace),
            Self::Clippy => clippy(workspace),
            Self::Deny => deny(workspace),
            Self::Schema => schema::check(workspace).map(|()| Tally::default()),
            Self::Unit => unit(workspace),
            Self::Doc => doc(workspace),
            Self::Packaging => packaging::run(workspace),
            Self::Tools => with_tools(workspace),
            Self::ToolsAll => with_all_tools(workspace),
            Self::Hosts => on_hosts(workspace),
            Self::Containers => on_image::run(workspace),
            Self::Images => {
                image::everything(workspace, &Docker::ready(workspace)?).map(|()| Tally::default())
            }
        }
    }
}

/// Runs `parts`. The last line is `N passed, M failed`, over all test runners, once tests have run.
pub fn run(workspace: &Workspace, parts: &[Part]) -> Result<(), Failure> {
    let mut needs: Vec<Need> = Vec::new();
    for need in parts.iter().flat_map(|part| part.needs()) {
        if !needs.contains(need) {
            needs.push(*need);
        }
    }
    let began = Instant::now();
    need::ensure(workspace, &needs)?;
    let mut times = vec![("setup", began.elapsed())];
    let mut total = Tally::default();
    for part in parts {
        println!("\n── {} ──", part.name());
        let began = Instant::now();
        let result = part.run(workspace);
        let took = began.elapsed();
        match result {
            Ok(tally) if tally.failed == 0 => total += tally,
            Ok(tally) => {
                total += tally;
                eprintln!("xtask: {} failed after {}", part.name(), seconds(took));
                // Both streams usually end in one log: the count stays the last line.
                println!("{} passed, {} failed", total.passed, total.failed);
                return Err(Failure::Told);
            }
            Err(failure) => {
                eprintln!("xtask: {} failed after {}", part.name(), seconds(took));
                return Err(failure);
            }
        }
        println!("── {} ok, {} ──", part.name(), seconds(took));
        times.push((part.name(), took));
    }
    println!("\n{}", closing(&times, total));
    Ok(())
}

/// The last lines of a good run.
fn closing(times: &[(&str, Duration)], total: Tally) -> String {
    let all: Duration = times.iter().map(|(_, took)| *took).sum();
    let each: Vec<String> = times.iter().map(|(name, took)| format!("{name} {}", seconds(*took))).collect();
    let mut lines = format!("all good in {}: {}", seconds(all), each.join(" · "));
    if total.skipped > 0 {
        lines += &format!("\n{} skipped", total.skipped);
    }
    if total.ran() > 0 {
        lines += &format!("\n{} passed, {} failed", total.passed, total.failed);
    }
    lines
}

fn seconds(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

fn fmt(workspace: &Workspace) -> Result<Tally, Failure> {
    Run::cargo_with_tools(workspace).args(["fmt", "--all", "--check"]).live(LONG)?;
    Ok(Tally::default())
}

fn clippy(workspace: &Workspace) -> Result<Tally, Failure> {
    Run::cargo_with_tools(workspace)
        .args([
            "clippy",
            "--workspace",
            "--all-targets",
            "--all-features",
            "--locked",
            "--",
            "-D",
            "warnings",
        ])
        .live(LONG)?;
    Ok(Tally::default())
}

fn deny(workspace: &Workspace) -> Result<Tally, Failure> {
    Run::cargo_with_tools(workspace)
        .args(["deny", "--locked", "check", "--hide-inclusion-graph", "bans", "licenses", "sources"])
        .live(LONG)?;
    Ok(Tally::default())
}

/// Everything but `systemd-tests`, which changes the machine it runs on and has a host of its own, and
/// `real-tools`, which needs what `cargo xtask tools` installs.
fn unit(workspace: &Workspace) -> Result<Tally, Failure> {
    let run = Run::cargo_with_tools(workspace).args([
        "nextest",
        "run",
        "--workspace",
        "--locked",
        "--profile",
        "ci",
        "--color",
        color(),
    ]);
    counted(run, Runner::Nextest, "nextest")
}

/// The agent with Claude Code and Codex, which are installed first.
fn with_tools(workspace: &Workspace) -> Result<Tally, Failure> {
    tools::install(workspace, &["claude".to_owned(), "codex".to_owned()])?;
    let run = Run::cargo_with_tools(workspace)
        .args(["nextest", "run", "--locked", "--profile", "ci", "--color", color()])
        .args(["-p", "cm-agent", "--features", "cm-agent/real-tools", "--test", "real_tools"]);
    counted(run, Runner::Nextest, "nextest")
}

/// The same with all tools, and the model server with each of them.
fn with_all_tools(workspace: &Workspace) -> Result<Tally, Failure> {
    tools::install(workspace, &[])?;
    let run = Run::cargo_with_tools(workspace)
        .args(["nextest", "run", "--locked", "--profile", "ci", "--color", color()])
        .args(["-p", "cm-agent", "-p", "cm-testkit"])
        .args(["--features", "cm-agent/all-tools,cm-testkit/real-tools", "--test", "real_tools"]);
    counted(run, Runner::Nextest, "nextest")
}

/// One host for the tests that run in it, then the cast for those that deploy.
fn on_hosts(workspace: &Workspace) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let programs = on_host::build(workspace)?;
    let docker = Docker::ready(workspace)?;
    tally += on_host::run(workspace, &docker, &programs)?;
    if tally.failed == 0 {
        tally += on_cast::run(workspace, &docker)?;
    }
    Ok(tally)
}

fn doc(workspace: &Workspace) -> Result<Tally, Failure> {
    let run = Run::cargo_with_tools(workspace).args(["test", "--doc", "--workspace", "--locked"]);
    let tally = counted(run, Runner::Libtest, "cargo test --doc")?;
    Run::cargo_with_tools(workspace)
        .args(["doc", "--workspace", "--no-deps", "--locked"])
        .env("RUSTDOCFLAGS", "-D warnings")
        .live(LONG)?;
    Ok(tally)
}

/// Runs tests, showing and counting them. A runner that fails without counting a failure
/// (the code did not compile, the runner was killed) is an error of its own.
pub fn counted(run: Run, runner: Runner, name: &str) -> Result<Tally, Failure> {
    let mut tally = Tally::default();
    let good = run.watch(LONG, |line| tally.take(runner, line))?;
    if !good && tally.failed == 0 {
        return Err(Failure::check(
            format!("{name} failed before or beside its tests"),
            "see its output above".to_owned(),
        ));
    }
    Ok(tally)
}

/// The runner writes into a pipe of ours: it must be told when a person is looking.
fn color() -> &'static str {
    if std::io::stderr().is_terminal() { "always" } else { "never" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_parts_unless_some_are_named() {
        let check = |named: &[Part], no_hosts, no_tools, expected: &[Part]| {
            assert_eq!(Part::chosen(named, no_hosts, no_tools), expected, "{named:?}");
        };
        check(&[], false, false, &Part::value_variants()[..11]);
        check(&[Part::ToolsAll], false, false, &[Part::ToolsAll]);
        check(&[], true, false, &Part::value_variants()[..8]);
        check(&[], true, true, &Part::value_variants()[..7]);
        check(&[Part::Unit, Part::Fmt], false, false, &[Part::Fmt, Part::Unit]);
        check(&[Part::Hosts], true, false, &[]);
        check(&[Part::Tools], false, true, &[]);
    }

    #[test]
    fn the_last_line_is_the_count() {
        let times = [("fmt", Duration::from_millis(1234)), ("unit", Duration::from_secs(60))];
        let tally = Tally { passed: 12, failed: 0, skipped: 1 };
        let expected = "all good in 61.2 s: fmt 1.2 s · unit 60.0 s\n1 skipped\n12 passed, 0 failed";
        assert_eq!(closing(&times, tally), expected);
        assert_eq!(closing(&times[..1], Tally::default()), "all good in 1.2 s: fmt 1.2 s");
    }

    #[test]
    fn a_runner_that_dies_without_a_count_is_not_a_pass() {
        let sh = |script: &str| Run::new("sh").args(["-c", script]);
        assert!(counted(sh("exit 101"), Runner::Libtest, "it").is_err());
        let line = "echo 'test result: FAILED. 1 passed; 1 failed; 0 ignored'; exit 101";
        assert_eq!(counted(sh(line), Runner::Libtest, "it").unwrap().failed, 1);
    }
}

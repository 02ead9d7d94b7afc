//! The table of what is needed: how each thing is recognised and how it is installed.

use crate::need::version::Version;
use crate::sh::Run;
use crate::workspace::Workspace;

/// tmux gained `pause-after` in control mode with 3.2.
const TMUX: Version = Version::new(3, 2);
/// The first nextest that knows everything `.config/nextest.toml` says.
const NEXTEST: Version = Version::new(0, 9);
/// Some of the real tools' packages say 18; one of the tools needs more and says so itself.
const NODE: Version = Version::new(18, 0);
/// Installed where there is none at all; a newer or older one that is there already will do.
const NEXTEST_CRATE: &str = "0.9.143";
const DENY_CRATE: &str = "0.20.2";

/// Something the machine must have. (A linker is not among it: without one there would be no xtask.)
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// git.
    Git,
    /// tmux, new enough.
    Tmux,
    /// rustfmt.
    Rustfmt,
    /// clippy.
    Clippy,
    /// The test runner.
    Nextest,
    /// The checker of dependencies.
    Deny,
    /// ssh and ssh-keygen.
    Ssh,
    /// The server that ssh is tested against.
    Sshd,
    /// Docker's client and daemon.
    Docker,
    /// Docker's daemon needs it for networks and published ports.
    Iptables,
    /// Makes a Debian root filesystem from packages.
    Mmdebstrap,
    /// Runs some of the real coding CLIs.
    Node,
    /// Installs them.
    Npm,
    /// Runs another, in an environment of its own.
    Python,
}

/// What a look found.
#[derive(Debug)]
pub enum State {
    /// It is there; the version it says.
    Good(String),
    /// It is not, or not good enough.
    Lacking(String),
}

/// How something gets onto the machine.
#[derive(Debug, Clone, Copy)]
pub enum How {
    /// With apt.
    Package(&'static [&'static str]),
    /// With rustup.
    Component(&'static str),
    /// With cargo, into the build directory.
    Crate {
        /// On the registry.
        name: &'static str,
        /// Fixed, so that a new release changes nothing here by itself.
        version: &'static str,
    },
}

/// Succeeds where Docker can be used; begins with the client's version.
const DOCKER: &str = "docker --version && { docker info >/dev/null 2>&1 || \
    PATH=$PATH:/usr/sbin:/sbin command -v dockerd; }";

/// sshd says its version only in a complaint, and the older ones not at all.
const SSHD: &str = "command -v sshd";

/// Debian has the making of environments in a package of its own.
const PYTHON: &str = "import sys, venv, ensurepip; print('Python', sys.version.split()[0])";

impl Need {
    /// What people call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Git => "git",
            Self::Tmux => "tmux",
            Self::Rustfmt => "rustfmt",
            Self::Clippy => "clippy",
            Self::Nextest => "cargo-nextest",
            Self::Deny => "cargo-deny",
            Self::Ssh => "ssh",
            Self::Sshd => "sshd",
            Self::Docker => "docker",
            Self::Iptables => "iptables",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Node => "node",
            Self::Npm => "npm",
            Self::Python => "python3",
        }
    }

    /// How it is installed.
    pub const fn how(self) -> How {
        match self {
            Self::Git => How::Package(&["git"]),
            Self::Tmux => How::Package(&["tmux"]),
            Self::Rustfmt => How::Component("rustfmt"),
            Self::Clippy => How::Component("clippy"),
            Self::Nextest => How::Crate { name: "cargo-nextest", version: NEXTEST_CRATE },
            Self::Deny => How::Crate { name: "cargo-deny", version: DENY_CRATE },
            Self::Ssh => How::Package(&["openssh-client"]),
            Self::Sshd => How::Package(&["openssh-server"]),
            Self::Docker => How::Package(&["docker.io"]),
            Self::Iptables => How::Package(&["iptables"]),
            Self::Mmdebstrap => How::Package(&["mmdebstrap"]),
            Self::Node => How::Package(&["nodejs"]),
            Self::Npm => How::Package(&["npm"]),
            Self::Python => How::Package(&["python3", "python3-venv"]),
        }
    }

    /// The packages it takes, if it comes in packages.
    pub const fn packages(self) -> &'static [&'static str] {
        match self.how() {
            How::Package(packages) => packages,
            How::Component(_) | How::Crate { .. } => &[],
        }
    }

    /// Looks for it by asking its version.
    pub fn look(self, workspace: &Workspace) -> State {
        match self {
            Self::Git => says(Run::new("git").arg("--version"), None),
            Self::Tmux => says(Run::new("tmux").arg("-V"), Some(TMUX)),
            Self::Rustfmt => says(Run::cargo().args(["fmt", "--version"]), None),
            Self::Clippy => says(Run::cargo().args(["clippy", "--version"]), None),
            Self::Nextest => {
                says(Run::cargo_with_tools(workspace).args(["nextest", "--version"]), Some(NEXTEST))
            }
            Self::Deny => says(Run::cargo_with_tools(workspace).args(["deny", "--version"]), None),
            // ssh tells its version on its standard error; ssh-keygen comes in the same package.
            Self::Ssh => says(Run::new("sh").args(["-c", "ssh -V 2>&1 && command -v ssh-keygen"]), None),
            Self::Sshd => says(Run::new("sh").env("PATH", with_sbin()).args(["-c", SSHD]), None),
            // The client alone, as some machines have it, is of no use: a daemon must answer or be there to start.
            Self::Docker => says(Run::new("sh").args(["-c", DOCKER]), None),
            Self::Iptables => says(Run::new("iptables").env("PATH", with_sbin()).arg("--version"), None),
            Self::Mmdebstrap => says(Run::new("mmdebstrap").arg("--version"), None),
            Self::Node => says(Run::new("node").arg("--version"), Some(NODE)),
            Self::Npm => says(Run::new("npm").arg("--version"), None),
            Self::Python => says(Run::new("python3").args(["-c", PYTHON]), None),
        }
    }
}

/// Takes the first line a program prints as its version.
fn says(run: Run, at_least: Option<Version>) -> State {
    let Ok(output) = run.capture(crate::sh::SHORT) else {
        return State::Lacking("not installed".to_owned());
    };
    let line = output.lines().next().unwrap_or_default().trim().to_owned();
    match at_least {
        Some(least) if Version::find(&line).is_some_and(|found| found < least) => {
            State::Lacking(format!("{line} is too old, {least} or newer is needed"))
        }
        Some(_) | None => State::Good(line),
    }
}

/// PATH with the directories of the administrator's programs, which a plain user's shell leaves out.
fn with_sbin() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

impl Run {
    /// Cargo, knowing the tools that were installed into the build directory (after the user's own).
    pub fn cargo_with_tools(workspace: &Workspace) -> Self {
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = std::env::split_paths(&path).chain([workspace.tools().join("bin")]);
        // Only a directory name with a colon in it cannot be joined; then the tools are not found, and said so.
        let joined = std::env::join_paths(all).unwrap_or(path);
        Self::cargo().env("PATH", joined).dir(&workspace.root)
    }
}

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
    /// Reads compose files; the plugin of Docker's or the program.
    Compose,
    /// The other engine that containers are tested with.
    Podman,
    /// Makes a Debian root filesystem from packages.
    Mmdebstrap,
    /// Runs some of the real coding CLIs.
    Node,
    /// Installs them.
    Npm,
    /// Runs another, in an environment of its own.
    Python,
    /// Links programs for aarch64, with its glibc.
    GccAarch64,
    /// Links programs for x86_64, with its glibc.
    GccX8664,
    /// Writes bills of materials.
    Cyclonedx,
    /// Evaluates and builds flake.nix.
    Nix,
    /// Formats Nix files.
    NixpkgsFmt,
    /// Finds what is not used in Nix files.
    Deadnix,
    /// The libraries that cm-fleet is linked to in Nix, where nixpkgs has them.
    Libraries,
    /// Looks at units of systemd.
    SystemdAnalyze,
    /// What cloud-init's own check of its files is written in.
    CloudInitModules,
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

/// Whichever compose there is says its version.
const COMPOSE: &str = "docker compose version --short 2>/dev/null || docker-compose version --short";
/// Succeeds where Docker can be used; begins with the client's version.
const DOCKER: &str = "docker --version && { docker info >/dev/null 2>&1 || \
    PATH=$PATH:/usr/sbin:/sbin command -v dockerd; }";

/// sshd says its version only in a complaint, and the older ones not at all.
const SSHD: &str = "command -v sshd";

/// The first whose service can do all that is asked of it; Debian 12 has 4.3.
const PODMAN: Version = Version::new(4, 0);

/// Flakes without a daemon of its own, in a store that a user may name.
const NIX: Version = Version::new(2, 8);

/// What cloud-init imports to check a file. The program itself is not installed: on a machine that is not its own it
/// would do its work at the next boot.
const CLOUD_INIT: [&str; 7] = [
    "python3",
    "python3-configobj",
    "python3-jinja2",
    "python3-jsonpatch",
    "python3-jsonschema",
    "python3-requests",
    "python3-yaml",
];
const MODULES: &str =
    "import configobj, jinja2, jsonpatch, jsonschema, requests, yaml; print('PyYAML', yaml.__version__)";

/// Succeeds where a program for another architecture can be linked statically; begins with the compiler's version.
fn linker(arch: &str) -> String {
    let gcc = format!("{arch}-linux-gnu-gcc");
    format!("{gcc} --version && test \"$({gcc} -print-file-name=libc.a)\" != libc.a")
}

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
            Self::Compose => "docker-compose",
            Self::Podman => "podman",
            Self::Mmdebstrap => "mmdebstrap",
            Self::Node => "node",
            Self::Npm => "npm",
            Self::Python => "python3",
            Self::GccAarch64 => "gcc for aarch64",
            Self::GccX8664 => "gcc for x86_64",
            Self::Cyclonedx => "cargo-cyclonedx",
            Self::Nix => "nix",
            Self::NixpkgsFmt => "nixpkgs-fmt",
            Self::Deadnix => "deadnix",
            Self::Libraries => "openssl, zlib",
            Self::SystemdAnalyze => "systemd-analyze",
            Self::CloudInitModules => "python modules",
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
            Self::Compose => How::Package(&["docker-compose"]),
            Self::Podman => How::Package(&["podman"]),
            Self::Mmdebstrap => How::Package(&["mmdebstrap"]),
            Self::Node => How::Package(&["nodejs"]),
            Self::Npm => How::Package(&["npm"]),
            Self::Python => How::Package(&["python3", "python3-venv"]),
            Self::GccAarch64 => How::Package(&["gcc-aarch64-linux-gnu", "libc6-dev-arm64-cross"]),
            Self::GccX8664 => How::Package(&["gcc-x86-64-linux-gnu", "libc6-dev-amd64-cross"]),
            Self::Cyclonedx => How::Crate { name: "cargo-cyclonedx", version: "0.5.9" },
            Self::Nix => How::Package(&["nix-bin"]),
            Self::NixpkgsFmt => How::Crate { name: "nixpkgs-fmt", version: "1.3.0" },
            Self::Deadnix => How::Crate { name: "deadnix", version: "1.3.1" },
            Self::Libraries => How::Package(&["pkg-config", "libssl-dev", "zlib1g-dev"]),
            Self::SystemdAnalyze => How::Package(&["systemd"]),
            Self::CloudInitModules => How::Package(&CLOUD_INIT),
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
            Self::Compose => says(Run::new("sh").args(["-c", COMPOSE]), None),
            Self::Podman => says(Run::new("podman").arg("--version"), Some(PODMAN)),
            Self::Mmdebstrap => says(Run::new("mmdebstrap").arg("--version"), None),
            Self::Node => says(Run::new("node").arg("--version"), Some(NODE)),
            Self::Npm => says(Run::new("npm").arg("--version"), None),
            Self::Python => says(Run::new("python3").args(["-c", PYTHON]), None),
            Self::GccAarch64 => says(Run::new("sh").args(["-c", &linker("aarch64")]), None),
            Self::GccX8664 => says(Run::new("sh").args(["-c", &linker("x86_64")]), None),
            Self::Cyclonedx => says(Run::cargo_with_tools(workspace).args(["cyclonedx", "--version"]), None),
            Self::Nix => says(Run::new("nix").arg("--version"), Some(NIX)),
            Self::NixpkgsFmt => {
                // It tells no version.
                let script = "echo { } | \"$0\" >/dev/null && echo usable";
                let program = workspace.tools().join("bin/nixpkgs-fmt");
                says(Run::new("sh").args(["-c", script]).arg(program), None)
            }
            Self::Deadnix => says(Run::new(workspace.tools().join("bin/deadnix")).arg("--version"), None),
            Self::Libraries => says(Run::new("pkg-config").args(["--modversion", "openssl", "zlib"]), None),
            Self::SystemdAnalyze => says(Run::new("systemd-analyze").arg("--version"), None),
            Self::CloudInitModules => says(Run::new("/usr/bin/python3").args(["-c", MODULES]), None),
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

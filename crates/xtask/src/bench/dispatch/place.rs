//! Where dispatching is measured: hosts with a release agent each, and a client that sees nothing of the person's.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use cm_testkit::hosts::Host;

use crate::bench::deploy::ground::{Ground, inventory};
use crate::bench::deploy::timed::{Bench, Took};
use crate::failure::Failure;
use crate::sh::{self, Run, SHORT};
use crate::workspace::Workspace;

/// Tasks each host runs at the same time: as many as `xargs` is given for each.
pub const SLOTS: u16 = 4;
/// From power on to a login.
const BOOT: Duration = Duration::from_secs(90);
/// A directory to take release builds from, instead of this workspace's.
const BUILDS: &str = "CM_BENCH_TARGET";

/// What is measured: release builds.
#[derive(Debug, Clone)]
pub struct Builds {
    /// `cm-fleet`.
    pub fleet: PathBuf,
    /// A static `cm-agent`.
    pub agent: PathBuf,
    /// The examples of `cm-fleet`.
    pub examples: PathBuf,
}

impl Builds {
    /// Those of this workspace, or of the build directory that `CM_BENCH_TARGET` names.
    pub fn of(workspace: &Workspace) -> Self {
        let target = std::env::var_os(BUILDS).map_or_else(|| workspace.target.clone(), PathBuf::from);
        let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
        Self {
            fleet: target.join("release/cm-fleet"),
            agent: target.join(triple).join("release/cm-agent"),
            examples: target.join("release/examples"),
        }
    }
}

/// The client's directory.
#[derive(Debug)]
pub struct Desk {
    /// Runs programs to their end, timed.
    pub bench: Bench,
    /// What is measured.
    pub builds: Builds,
}

impl Desk {
    /// A new one.
    pub fn new(workspace: &Workspace) -> Result<Self, Failure> {
        let bench = Bench::new(workspace.target.join("bench-dispatch"))?;
        bench.write("ssh_config", "")?;
        Ok(Self { bench, builds: Builds::of(workspace) })
    }

    /// `cm-fleet …`, to its end.
    pub fn timed(&self, args: &[&str]) -> Result<(Took, String), Failure> {
        self.bench.run(&self.builds.fleet, args)
    }

    /// `cm-fleet`, to be started.
    pub fn fleet(&self) -> Command {
        let home = self.bench.path("");
        let mut command = Command::new(&self.builds.fleet);
        command.env_clear().current_dir(&home).env("HOME", &home).env("USER", "bench");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }
}

/// The hosts, and the client's directory.
pub struct Place {
    /// The hosts.
    pub ground: Ground,
    /// The client's side.
    pub desk: Desk,
}

/// A host that stands still or has lost its power; it is well again when this is dropped.
pub struct Struck<'a> {
    place: &'a Place,
    host: &'a Host,
    back: &'static str,
}

impl Drop for Struck<'_> {
    fn drop(&mut self) {
        let back = self.place.docker(&[self.back, &self.host.container]);
        if let Err(failure) = back.and_then(|_| self.place.until_booted(self.host)) {
            eprintln!("xtask: {failure}");
        }
    }
}

impl Place {
    /// Has so many hosts up, like new, with the agent deployed.
    pub fn ready(workspace: &Workspace, desk: Desk, hosts: u8) -> Result<Self, Failure> {
        let ground = Ground::up(workspace, hosts)?;
        ground.reset()?;
        desk.bench.write(
            "fleet.yaml",
            &inventory("bench", Some(SLOTS.into()), &ground.hosts, &desk.builds.agent),
        )?;
        desk.timed(&["deploy", "fleet.yaml", "-F", "ssh_config", "--yes"])?;
        Ok(Self { ground, desk })
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.ground.hosts
    }

    /// The host of this name.
    pub fn host(&self, name: &str) -> Result<&Host, Failure> {
        let found = self.hosts().iter().find(|host| host.name == name);
        found.ok_or_else(|| Failure::check(format!("the run names a host {name:?}"), "report this"))
    }

    /// `dispatch` of shell tasks to these hosts, ready for more words.
    pub fn dispatch(&self, more: &[&str]) -> Command {
        let mut command = self.desk.fleet();
        command.args(["dispatch", "-i", "fleet.yaml", "-F", "ssh_config", "--tool", "shell"]).args(more);
        command
    }

    /// What a task has written into a file of its home, and nothing is left of it.
    pub fn take(&self, host: &Host, name: &str) -> Result<String, Failure> {
        let path = format!("/home/{}/{name}", host.user);
        self.ground.as_root(host, &format!("cat {path} && rm {path}"))
    }

    /// Takes a host's processor away.
    pub fn freeze<'a>(&'a self, host: &'a Host) -> Result<Struck<'a>, Failure> {
        self.docker(&["pause", &host.container])?;
        Ok(Struck { place: self, host, back: "unpause" })
    }

    /// Takes a host's power away.
    pub fn kill<'a>(&'a self, host: &'a Host) -> Result<Struck<'a>, Failure> {
        self.docker(&["kill", "--signal", "KILL", &host.container])?;
        Ok(Struck { place: self, host, back: "start" })
    }

    /// `docker …`.
    pub fn docker(&self, args: &[&str]) -> Result<String, Failure> {
        let mut words = self.ground.description.docker.iter();
        let run = Run::new(words.next().map_or("docker", String::as_str));
        run.args(words).args(args).capture(SHORT)
    }

    fn until_booted(&self, host: &Host) -> Result<(), Failure> {
        let up = "systemctl is-active --quiet ssh.service && test ! -e /run/nologin && \
                  pgrep -u deploy -x cm-agent";
        match sh::until(BOOT, || self.ground.as_root(host, up).ok()) {
            Some(_) => Ok(()),
            None => Err(Failure::check(
                format!("{} does not come back with its agent", host.name),
                format!("docker logs {}", host.container),
            )),
        }
    }
}

/// A file of the client's.
pub fn text_of(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(Failure::file("read", path))
}

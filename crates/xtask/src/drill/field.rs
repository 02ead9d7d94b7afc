//! Where the drill takes place: the hosts with an agent each, the files of the client, and what it writes down.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Duration;

use cm_testkit::hosts::Host;
use cm_testkit::hosts::written::{self, Attempt};

use crate::bench::ground::{Ground, inventory};
use crate::failure::Failure;
use crate::sh::{Run, SHORT};
use crate::workspace::Workspace;

/// Tasks each host runs at the same time.
const SLOTS: u32 = 3;
/// Deploying to all hosts.
const DEPLOY: Duration = Duration::from_secs(300);
/// From power on to a login.
const BOOT: Duration = Duration::from_secs(90);

/// The hosts, and a directory.
pub struct Field {
    ground: Ground,
    dir: PathBuf,
    program: PathBuf,
}

impl Field {
    /// Has so many hosts up, like new, with the agent deployed.
    pub fn ready(workspace: &Workspace, hosts: u8, agent: &Path) -> Result<Self, Failure> {
        let dir = workspace.target.join("drill");
        if dir.exists() {
            fs::remove_dir_all(&dir).map_err(Failure::file("remove", &dir))?;
        }
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        let ground = Ground::up(workspace, hosts)?;
        ground.reset()?;
        let field = Self { ground, dir, program: workspace.target.join("debug/cm-fleet") };
        field.write("fleet.yaml", &inventory("drill", Some(SLOTS), field.hosts(), agent))?;
        field.write("ssh_config", "")?;
        let words = ["deploy", "fleet.yaml", "-F", "ssh_config", "--yes"];
        let run = Run::new(&field.program).args(words).dir(&field.dir);
        run.env("HOME", &field.dir).env("XDG_STATE_HOME", field.path("state")).capture(DEPLOY)?;
        Ok(field)
    }

    /// The hosts.
    pub fn hosts(&self) -> &[Host] {
        &self.ground.hosts
    }

    /// A file of the drill.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Writes one.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, Failure> {
        let path = self.path(name);
        fs::write(&path, text).map_err(Failure::file("write", &path))?;
        Ok(path)
    }

    /// The program, which sees nothing of the person's who runs this.
    pub fn fleet(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.env_clear().current_dir(&self.dir).env("HOME", &self.dir);
        command.env("XDG_STATE_HOME", self.path("state")).env("USER", "drill");
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command
    }

    /// `docker …`.
    pub fn docker(&self, args: &[&str]) -> Result<String, Failure> {
        let mut words = self.ground.description.docker.iter();
        let run = Run::new(words.next().map_or("docker", String::as_str));
        run.args(words).args(args).capture(SHORT)
    }

    /// Runs a script on a host as root.
    pub fn as_root(&self, host: usize, script: &str) -> Result<String, Failure> {
        self.ground.as_root(&self.hosts()[host], script)
    }

    /// Waits until a host that was started lets its users in.
    pub fn until_booted(&self, host: usize) -> Result<(), Failure> {
        let up = "systemctl is-active --quiet ssh.service && test ! -e /run/nologin";
        match crate::sh::until(BOOT, || self.as_root(host, up).ok()) {
            Some(_) => Ok(()),
            None => Err(Failure::check(
                format!("{} does not boot", self.hosts()[host].name),
                format!("docker logs {}", self.hosts()[host].container),
            )),
        }
    }

    /// What the run's clients have written down.
    pub fn record_file(&self) -> Result<PathBuf, Failure> {
        let runs = self.path("state/cm-fleet/runs");
        let found = fs::read_dir(&runs).map_err(Failure::file("read", &runs))?;
        let dirs = found.filter_map(Result::ok).map(|entry| entry.path());
        let mut dirs = dirs.filter(|dir| dir.join("events.jsonl").is_file());
        let dir = dirs.next().ok_or_else(|| {
            Failure::check(
                "the run has written nothing down",
                format!("read {}", self.path("said").display()),
            )
        })?;
        Ok(dir.join("events.jsonl"))
    }

    /// The same, as text.
    pub fn record(&self) -> Result<String, Failure> {
        let path = self.record_file()?;
        fs::read_to_string(&path).map_err(Failure::file("read", path))
    }

    /// How many tasks have ended so far.
    pub fn finished(&self) -> usize {
        self.record().map_or(0, |text| text.matches("\"type\":\"task_finished\"").count())
    }

    /// What tasks have written on all hosts, also on those that do not run.
    pub fn written(&self) -> Result<Vec<Attempt>, Failure> {
        let dir = self.path("written");
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        let mut all = Vec::new();
        for host in self.hosts() {
            let to = dir.join(&host.name);
            let from = format!("{}:/home/{}/{}", host.container, host.user, written::FILE);
            match self.docker(&["cp", &from, &to.display().to_string()]) {
                Ok(_) => {}
                // It was never given anything.
                Err(Failure::Exit { output, .. }) if output.contains("Could not find") => continue,
                Err(failure) => return Err(failure),
            }
            let text = fs::read_to_string(&to).map_err(Failure::file("read", &to))?;
            all.extend(written::attempts(&host.name, &text));
        }
        Ok(all)
    }

    /// Everything runs again, and is like new.
    pub fn mend(&self) -> Result<(), Failure> {
        for (index, host) in self.hosts().iter().enumerate() {
            let state = self.docker(&["inspect", "--format", "{{.State.Status}}", &host.container])?;
            match state.trim() {
                "running" => {}
                "paused" => _ = self.docker(&["unpause", &host.container])?,
                _ => _ = self.docker(&["start", &host.container])?,
            }
            self.until_booted(index)?;
        }
        self.ground.reset()?;
        // Nothing of a host that was frozen is left to thaw.
        thread::sleep(Duration::from_millis(200));
        Ok(())
    }
}

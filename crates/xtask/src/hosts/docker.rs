//! Docker: finding a way to talk to its daemon, and running one where nothing else does.

use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::failure::Failure;
use crate::sh::{self, Run, SHORT};
use crate::workspace::Workspace;

/// From starting a daemon to its first answer.
const DAEMON_READY: Duration = Duration::from_secs(60);
/// From asking a daemon to stop to its end; it stops its containers first.
const DAEMON_GONE: Duration = Duration::from_secs(60);

/// A Docker whose daemon answers.
#[derive(Debug)]
pub struct Docker {
    through_sudo: bool,
    /// The daemon, if it was started here and ends with this value.
    daemon: Mutex<Option<Daemon>>,
}

/// A dockerd that was started by an xtask.
#[derive(Debug)]
struct Daemon {
    pid_file: PathBuf,
    pid: String,
}

impl Docker {
    /// One whose daemon runs already.
    pub fn running() -> Result<Option<Self>, Failure> {
        for through_sudo in [false, true] {
            let docker = Self { through_sudo, daemon: None.into() };
            if (!through_sudo || !sh::is_root()) && docker.run(["info"]).succeeds() {
                return Ok(Some(docker));
            }
        }
        Ok(None)
    }

    /// One whose daemon runs, started now if need be (and then stopped with the value that is returned,
    /// unless [`Docker::keep_running`] is called).
    pub fn ready(workspace: &Workspace) -> Result<Self, Failure> {
        if let Some(docker) = Self::running()? {
            return Ok(docker);
        }
        let fail = |why: String, next: &str| Failure::Host {
            host: "docker".to_owned(),
            act: "reach or start its daemon".to_owned(),
            why,
            next: next.to_owned(),
        };
        if !sh::may_be_root() {
            let why = "it does not answer, and only root may start it".to_owned();
            return Err(fail(why, "sudo systemctl start docker, and see that you are in the group docker"));
        }
        if fs::exists("/run/systemd/system").unwrap_or(false) {
            Run::as_root("systemctl").args(["start", "docker"]).live(SHORT)?;
            return match sh::until(DAEMON_READY, || Self::running().ok().flatten()) {
                Some(docker) => Ok(docker),
                None => Err(fail("systemd started it and it does not answer".into(), "journalctl -u docker")),
            };
        }
        let dir = workspace.testhosts();
        fs::create_dir_all(&dir).map_err(Failure::file("create", &dir))?;
        let log = dir.join("dockerd.log");
        File::create(&log).map_err(Failure::file("write", &log))?;
        println!("starting dockerd (log: {})", log.display());
        // A shell of root's leaves it behind, in a session of its own, and says its process id.
        let script = "PATH=$PATH:/usr/sbin:/sbin; setsid dockerd >\"$1\" 2>&1 </dev/null & echo $!";
        let pid = Run::as_root("sh").args(["-c", script, "sh"]).arg(&log).capture(SHORT)?;
        let daemon = Daemon { pid_file: dir.join("dockerd.pid"), pid: pid.trim().to_owned() };
        fs::write(&daemon.pid_file, &daemon.pid).map_err(Failure::file("write", &daemon.pid_file))?;
        match sh::until(DAEMON_READY, || Self::running().ok().flatten()) {
            Some(docker) => {
                docker.set_daemon(Some(daemon));
                Ok(docker)
            }
            None => {
                let said = fs::read_to_string(&log).unwrap_or_default();
                let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("nothing");
                daemon.stop();
                Err(fail(format!("it was started and does not answer; it said: {last}"), "read its log"))
            }
        }
    }

    /// Leaves a daemon that was started here running; `hosts down` stops it.
    pub fn keep_running(&self) {
        self.set_daemon(None);
    }

    /// How programs other than this one call it.
    pub fn words(&self) -> Vec<String> {
        let words: &[&str] =
            if self.through_sudo && !sh::is_root() { &["sudo", "-n", "docker"] } else { &["docker"] };
        words.iter().map(|&word| word.to_owned()).collect()
    }

    /// Says what was there before.
    fn set_daemon(&self, daemon: Option<Daemon>) -> Option<Daemon> {
        std::mem::replace(&mut *self.daemon.lock().unwrap_or_else(PoisonError::into_inner), daemon)
    }

    /// `docker …`.
    pub fn run<const N: usize>(&self, args: [&str; N]) -> Run {
        let run = if self.through_sudo { Run::as_root("docker") } else { Run::new("docker") };
        run.args(args)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(daemon) = self.set_daemon(None) {
            daemon.stop_if_idle(self);
        }
    }
}

/// Stops the daemon that an earlier xtask of this checkout started, unless containers run in it.
pub fn stop_ours(workspace: &Workspace, docker: &Docker) {
    let pid_file = workspace.testhosts().join("dockerd.pid");
    if let Ok(pid) = fs::read_to_string(&pid_file) {
        Daemon { pid_file, pid: pid.trim().to_owned() }.stop_if_idle(docker);
    }
}

impl Daemon {
    /// Whether the process is (still) a dockerd: numbers of processes are used again.
    fn lives(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).is_ok_and(|name| name.trim() == "dockerd")
    }

    /// Ends it, unless containers run in it: whoever started them meanwhile still needs it.
    fn stop_if_idle(self, docker: &Docker) {
        match docker.run(["ps", "--quiet"]).capture(SHORT) {
            Ok(running) if !running.trim().is_empty() => {
                println!("dockerd stays: other containers run in it");
            }
            // One that does not answer is of no use to anyone.
            Ok(_) | Err(_) => {
                println!("stopping dockerd");
                self.stop();
            }
        }
    }

    /// Asks it to end and waits; says so if it does not.
    fn stop(self) {
        if self.lives() && !Run::as_root("kill").args(["-TERM", &self.pid]).succeeds() {
            eprintln!("xtask: could not stop dockerd, process {}", self.pid);
            return;
        }
        if sh::until(DAEMON_GONE, || (!self.lives()).then_some(())).is_none() {
            eprintln!("xtask: dockerd, process {}, was asked to end and has not", self.pid);
            return;
        }
        // Gone already is as good.
        let _ = fs::remove_file(&self.pid_file);
    }
}

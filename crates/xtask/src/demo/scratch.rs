//! A private place for the demo's agent and sessions, and taking all of it away again.

use std::fs;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::failure::Failure;
use crate::sh;

/// What the directory's name begins with; the number of the process that made it follows.
const PREFIX: &str = "/tmp/cm-demo-";
/// From asking a process to end to ending it.
const GONE: Duration = Duration::from_secs(10);

/// A directory of our own; everything of the demo lives in it or names it.
#[derive(Debug)]
pub struct Scratch {
    root: PathBuf,
}

impl Scratch {
    /// Under /tmp, whatever TMPDIR says: the names of sockets in it must stay short.
    pub fn new() -> Result<Self, Failure> {
        let root = PathBuf::from(format!("{PREFIX}{}", std::process::id()));
        let mut private = fs::DirBuilder::new();
        // Fails if it exists: a directory someone else has made is not private.
        private.mode(0o700).create(&root).map_err(Failure::file("create", &root))?;
        let scratch = Self { root };
        for name in ["work", "run", "state"] {
            let dir = scratch.root.join(name);
            private.create(&dir).map_err(Failure::file("create", &dir))?;
        }
        Ok(scratch)
    }

    /// Takes away what a demo of this user that was interrupted has left behind.
    pub fn clear_stale() {
        let Ok(entries) = fs::read_dir("/tmp") else { return };
        let us = rustix::process::geteuid().as_raw();
        for root in entries.filter_map(|entry| Some(entry.ok()?.path())) {
            let pid = root.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
            let ours = fs::symlink_metadata(&root).is_ok_and(|meta| meta.is_dir() && meta.uid() == us);
            if ours && pid.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
                // It is swept when it is dropped.
                drop(Self { root });
            }
        }
    }

    /// Where the tasks run.
    pub fn work(&self) -> PathBuf {
        self.root.join("work")
    }

    /// Sends the agent's sockets and journal here. The user's service manager, which is found through
    /// the same variable, is named by itself, so that sessions get units of their own as always.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("XDG_RUNTIME_DIR", self.root.join("run").display().to_string()),
            ("XDG_STATE_HOME", self.root.join("state").display().to_string()),
        ];
        let bus = std::env::var_os("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("bus"));
        if let Some(bus) = bus.filter(|bus| bus.exists())
            && std::env::var_os("DBUS_SESSION_BUS_ADDRESS").is_none()
        {
            all.push(("DBUS_SESSION_BUS_ADDRESS", format!("unix:path={}", bus.display())));
        }
        all
    }

    /// Ends the agent and the sessions, and removes the directory.
    pub fn clean_up(self) -> Result<(), Failure> {
        self.sweep()
    }

    fn sweep(&self) -> Result<(), Failure> {
        for signal in [Signal::TERM, Signal::KILL] {
            for pid in self.processes() {
                // It may have ended by itself meanwhile.
                let _ = kill_process(pid, signal);
            }
            if sh::until(GONE, || self.processes().is_empty().then_some(())).is_some() {
                break;
            }
        }
        fs::remove_dir_all(&self.root).map_err(Failure::file("remove", &self.root))
    }

    /// The processes that are ours without doubt: whose command line or environment names the
    /// directory that only this run of the demo has.
    fn processes(&self) -> Vec<Pid> {
        let name = format!("{}/", self.root.display());
        let names_it = |pid: &Pid, file: &str| {
            let path = format!("/proc/{}/{file}", pid.as_raw_nonzero());
            fs::read(path).is_ok_and(|all| all.windows(name.len()).any(|part| part == name.as_bytes()))
        };
        let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let pids = numbers.filter_map(Pid::from_raw);
        pids.filter(|pid| names_it(pid, "cmdline") || names_it(pid, "environ")).collect()
    }
}

impl Drop for Scratch {
    /// For when the demo went wrong; what cannot be removed then has a name that says what it is.
    fn drop(&mut self) {
        if self.root.exists() {
            let _ = self.sweep();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn only_the_directories_of_dead_demos_are_stale() {
        let mut child = Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let stale = PathBuf::from(format!("{PREFIX}{}", child.id()));
        fs::create_dir(&stale).unwrap();
        let alive = PathBuf::from(format!("{PREFIX}{}", std::os::unix::process::parent_id()));
        let other = PathBuf::from(format!("{PREFIX}not-a-number-{}", std::process::id()));
        for dir in [&alive, &other] {
            fs::create_dir(dir).unwrap();
        }
        Scratch::clear_stale();
        assert!(!stale.exists() && alive.exists() && other.exists());
        for dir in [&alive, &other] {
            fs::remove_dir(dir).unwrap();
        }
    }

    #[test]
    fn what_names_the_directory_ends_with_it() {
        let scratch = Scratch::new().unwrap();
        let root = scratch.root.clone();
        let mut child = Command::new("sleep").arg("300").envs(scratch.environment()).spawn().unwrap();
        let mut other = Command::new("sleep").arg("300").spawn().unwrap();
        // Until it has become `sleep`, its environment is still ours.
        let found =
            sh::until(GONE, || (!scratch.processes().is_empty()).then(|| scratch.processes())).unwrap();
        assert_eq!(
            found.iter().map(|pid| pid.as_raw_nonzero().get()).collect::<Vec<_>>(),
            [child.id() as i32]
        );
        // A zombie has no environment: it counts as gone.
        scratch.clean_up().unwrap();
        assert!(!child.wait().unwrap().success());
        assert!(!root.exists());
        assert_eq!(other.try_wait().unwrap(), None, "a process of someone else was ended");
        other.kill().unwrap();
        other.wait().unwrap();
    }
}

//! A machine that can be killed, filled up, restarted: a real directory, and everything else made up.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_protocol::deploy::{InstallFailure, InstallLine, Installation, Running};
use sha2::{Digest, Sha256};

use super::super::back;
use super::super::host::{Clock, Did, Host, NoManager, Own, UnitNow};
use super::super::layout::Layout;
use super::super::lock::Holder;
use super::super::order::Order;
use super::super::sessions::Found;
use super::super::steps;
use crate::host::process::ProcessId;

/// What goes wrong, and at which change to the machine, counted from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    None,
    /// The process is killed before it.
    Dies(usize),
    /// The disk is full then, once.
    Full(usize),
    /// The service manager refuses, once.
    Refuses(usize),
}

/// The machine.
pub struct Fake {
    root: tempfile::TempDir,
    pub layout: Layout,
    pub fault: Fault,
    pub acts: Vec<String>,
    pub dead: bool,
    pub up: f64,
    pub boot: String,
    pub own: PathBuf,
    pub unit: UnitNow,
    pub running: Option<Running>,
    pub timer: Option<(String, f64)>,
    pub linger: bool,
    pub linger_refused: bool,
    pub sessions: Vec<Found>,
    /// A restart of the agent ends them.
    pub fragile: bool,
    pub no_manager: Option<NoManager>,
    pub refused: Vec<String>,
    process: u32,
    next_pid: u32,
    stop_queued: bool,
}

impl Fake {
    pub fn new() -> Self {
        // In memory where that is possible: everything is synced, and there is much of it.
        let memory = Path::new("/dev/shm");
        let parent = if memory.is_dir() { memory.to_path_buf() } else { std::env::temp_dir() };
        let root = tempfile::tempdir_in(parent).expect("a directory");
        let at = |name: &str| root.path().join(name);
        let layout = Layout { dir: at("share"), units: at("units"), state: at("state"), runtime: at("run") };
        Self {
            layout,
            fault: Fault::None,
            acts: Vec::new(),
            dead: false,
            up: 1000.0,
            boot: "b".into(),
            own: PathBuf::new(),
            unit: UnitNow { active: "inactive".into(), sub: "dead".into(), ..UnitNow::default() },
            running: None,
            timer: None,
            linger: false,
            linger_refused: false,
            sessions: Vec::new(),
            fragile: false,
            no_manager: None,
            refused: Vec::new(),
            process: 1,
            next_pid: 100,
            stop_queued: false,
            root,
        }
    }

    /// Puts a program into the installation's directory, as a client does; its digest.
    pub fn push(&mut self, text: &str) -> String {
        std::fs::create_dir_all(&self.layout.dir).expect("made");
        self.own = self.layout.dir.join("upload");
        std::fs::write(&self.own, text).expect("written");
        digest(text.as_bytes())
    }

    /// A process like the one that was killed, or the next one of a client.
    pub fn next_process(&mut self, fault: Fault) {
        self.process += 1;
        self.dead = false;
        self.fault = fault;
        self.acts.clear();
    }

    /// Runs an order; all lines of its report, and the outcome.
    pub fn run(&mut self, order: &Order) -> (Vec<InstallLine>, Result<Installation, InstallFailure>) {
        let mut lines = Vec::new();
        let layout = self.layout.clone();
        let outcome = steps::run(self, &layout, order, &mut |line| lines.push(line));
        (lines, outcome)
    }

    /// Lets the revert timer do its work, if it is armed.
    pub fn timer_fires(&mut self) {
        let Some((deployment, at)) = self.timer.take() else { return };
        self.next_process(Fault::None);
        self.up = self.up.max(at);
        let layout = self.layout.clone();
        back::at_deadline(self, &layout, &deployment).expect("it begins");
    }

    /// Power off and on: the unit starts as it is on the disk.
    pub fn reboot(&mut self) {
        self.next_process(Fault::None);
        (self.up, self.boot) = (1.0, format!("{}+", self.boot));
        (self.running, self.timer) = (None, None);
        self.sessions.clear();
        self.unit = UnitNow { active: "inactive".into(), sub: "dead".into(), ..UnitNow::default() };
        if self.layout.wanted().exists() && self.layout.unit_file().exists() {
            let layout = self.layout.clone();
            back::if_overdue(self, &layout).expect("it begins");
            if !std::mem::take(&mut self.stop_queued) {
                self.start();
            }
        }
    }

    /// The program that runs, as it was pushed.
    pub fn runs(&self) -> Option<String> {
        let sha256 = &self.running.as_ref()?.sha256;
        std::fs::read_to_string(self.layout.program(sha256)).ok()
    }

    fn act(&mut self, what: &str, of_disk: bool) -> io::Result<()> {
        if self.dead {
            return Err(io::Error::other("dead"));
        }
        let number = self.acts.len();
        self.acts.push(what.to_owned());
        match self.fault {
            Fault::Dies(at) if at == number => {
                self.dead = true;
                Err(io::Error::other("killed"))
            }
            Fault::Full(at) if at == number && of_disk => Err(io::ErrorKind::StorageFull.into()),
            Fault::Refuses(at) if at == number && !of_disk => Err(io::Error::other("no")),
            _ => Ok(()),
        }
    }

    fn manage(&mut self, what: &str) -> Did {
        self.act(what, false).map_err(|e| e.to_string())
    }

    fn start(&mut self) {
        if self.fragile {
            self.sessions.clear();
        }
        self.running = None;
        self.next_pid += 1;
        let place = std::fs::canonicalize(self.layout.current().join("cm-agent"));
        let Ok(place) = place.and_then(|place| Ok((std::fs::read(&place)?, place))) else {
            self.unit = UnitNow {
                active: "failed".into(),
                result: "exit-code".into(),
                loaded: true,
                ..UnitNow::default()
            };
            return;
        };
        let unit = std::fs::read_to_string(self.layout.unit_file()).unwrap_or_default();
        let not_set_up = self.refused.iter().any(|one| unit.lines().any(|line| line == one));
        let (active, result) = match &place.0[..4] {
            _ if not_set_up => ("failed", "exit-code"),
            b"good" => ("active", "success"),
            b"mute" => ("activating", "success"),
            _ => ("failed", "exit-code"),
        };
        self.unit = UnitNow {
            active: active.into(),
            result: result.into(),
            enabled: "enabled".into(),
            main_pid: if active == "failed" { 0 } else { self.next_pid },
            kill_mode: "process".into(),
            not_set_up,
            loaded: true,
            ..UnitNow::default()
        };
        if active == "active" {
            self.running = Some(Running {
                sha256: digest(&place.0),
                version: "0.1.0".into(),
                pid: self.next_pid,
                socket: self.layout.socket().display().to_string(),
                uptime: 0.0,
                sessions: u32::try_from(self.sessions.len()).expect("few"),
            });
        }
    }
}

pub fn digest(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A living session of the deployed agent.
pub fn session(layout: &Layout, name: &str, pid: i32) -> Found {
    let process = |pid| Some(ProcessId { pid, start: 7 });
    Found {
        session: name.into(),
        agent: Some(layout.socket().display().to_string()),
        server: process(pid),
        first: process(pid + 1),
        groups: String::new(),
    }
}

impl Host for Fake {
    fn before(&mut self, act: &str) -> io::Result<()> {
        self.act(act, true)
    }
    fn clock(&mut self) -> Clock {
        Clock { up: self.up, boot_id: self.boot.clone(), unix: self.up }
    }
    fn sleep(&mut self, time: Duration) {
        self.up += time.as_secs_f64();
    }
    fn own(&mut self) -> io::Result<Own> {
        // Like `/proc/self/exe`: there as long as the process.
        let exe = self.root.path().join("exe");
        if let Ok(bytes) = std::fs::read(&self.own) {
            std::fs::write(&exe, bytes)?;
        }
        let path = if self.own.is_file() { self.own.clone() } else { exe.clone() };
        let bytes = std::fs::read(&exe)?;
        Ok(Own { path, sha256: digest(&bytes), size: bytes.len() as u64 })
    }
    fn me(&self) -> (u32, u64) {
        (self.process, 0)
    }
    fn lives(&self, (process, _): (u32, u64)) -> bool {
        process == self.process && !self.dead
    }
    fn keep_lock(&mut self, _: &Layout, _: &Holder) {}
    fn can_execute(&mut self, _: &Path) -> bool {
        true
    }
    fn tmux(&mut self) -> bool {
        true
    }
    fn sessions(&mut self) -> Vec<Found> {
        self.sessions.clone()
    }
    fn programs_in_use(&mut self) -> Vec<PathBuf> {
        Vec::new()
    }
    fn agent(&mut self, _: &Path) -> Option<Running> {
        if self.dead { None } else { self.running.clone() }
    }
    fn ended_by_itself(&mut self, _: &Path, _: &str) -> Option<String> {
        None
    }
    fn shut_down(&mut self, _: &Path) -> Did {
        Ok(())
    }
    fn end_session(&mut self, _: &Path, session: &str) -> Did {
        self.manage("end a session")?;
        self.sessions.retain(|one| one.session != session);
        Ok(())
    }
    fn listener(&mut self, _: &Layout) -> Option<(u32, PathBuf)> {
        None
    }
    fn manager(&mut self) -> Result<String, NoManager> {
        self.no_manager.clone().map_or_else(|| Ok("m".into()), Err)
    }
    fn manager_kind(&mut self) -> String {
        "252".into()
    }
    fn unit(&mut self) -> Result<UnitNow, String> {
        if self.dead { Err("dead".into()) } else { Ok(self.unit.clone()) }
    }
    fn reload(&mut self) -> Did {
        self.manage("reload")
    }
    fn reload_later(&mut self) -> Did {
        self.manage("reload later")
    }
    fn restart(&mut self) -> Did {
        self.manage("restart")?;
        self.start();
        Ok(())
    }
    fn kill_main(&mut self) -> Did {
        self.manage("kill")
    }
    fn stop(&mut self, wait: bool) -> Did {
        self.manage("stop")?;
        if !wait {
            self.stop_queued = true;
        }
        self.running = None;
        self.unit = UnitNow { active: "inactive".into(), sub: "dead".into(), ..UnitNow::default() };
        Ok(())
    }
    fn forget_failure(&mut self) -> Did {
        self.manage("forget")
    }
    fn refused(&mut self, directives: &[&str]) -> Vec<String> {
        let refused = |one: &&&str| self.refused.iter().any(|r| r == **one);
        directives.iter().filter(refused).map(|one| (*one).to_owned()).collect()
    }
    fn arm(&mut self, _: &Path, _: &Layout, deployment: &str, seconds: f64) -> Did {
        self.manage("arm")?;
        self.timer = Some((deployment.to_owned(), self.up + seconds));
        Ok(())
    }
    fn disarm(&mut self) {
        if self.manage("disarm").is_ok() {
            self.timer = None;
        }
    }
    fn log(&mut self, _: f64) -> Vec<String> {
        vec!["last words".into()]
    }
    fn lingers(&mut self) -> bool {
        self.linger
    }
    fn linger(&mut self, on: bool) -> Did {
        self.manage("linger")?;
        if self.linger_refused {
            return Err("Access denied".into());
        }
        self.linger = on;
        Ok(())
    }
    fn user(&self) -> String {
        "deploy".into()
    }
}

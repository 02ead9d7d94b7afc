//! What an installation needs of the machine, as a trait: so that tests can break it anywhere.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_protocol::deploy::Running;

use super::layout::Layout;
use super::lock::Holder;
use super::sessions::Found;

/// What the host's clocks say.
#[derive(Debug, Clone, PartialEq)]
pub struct Clock {
    /// Seconds since the boot, sleep included; nobody can set it.
    pub up: f64,
    /// Which boot that is.
    pub boot_id: String,
    /// Unix seconds, for people.
    pub unix: f64,
}

/// The program that runs now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Own {
    /// Its file.
    pub path: PathBuf,
    /// SHA-256 of its bytes, in hex.
    pub sha256: String,
    /// Their number.
    pub size: u64,
}

/// The agent's unit, as the service manager has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct UnitNow {
    /// systemd's word: `active`, `activating`, `failed`, `inactive`.
    pub active: String,
    /// systemd's finer word: `running`, `start`, `auto-restart`, `dead`.
    pub sub: String,
    /// systemd's word: `enabled`, `disabled`, `not-found`; empty: not known.
    pub enabled: String,
    /// Its first process; 0: none.
    pub main_pid: u32,
    /// Restarts by systemd since it was started.
    pub restarts: u32,
    /// How it last ended: `success`, `exit-code`, `watchdog` …
    pub result: String,
    /// Code or signal of its last end, in words; empty: none.
    pub ended: String,
    /// The service manager ended it before its program ran: it could not set up what the unit asks for.
    pub not_set_up: bool,
    /// `process`, `control-group` …
    pub kill_mode: String,
    /// Files that change it, besides its own.
    pub drop_ins: Vec<String>,
    /// It was changed on the disk after it was loaded.
    pub stale: bool,
    /// systemd knows it.
    pub loaded: bool,
    /// It is about to be started or stopped: how it is now says nothing of how that goes.
    pub job: bool,
}

/// Why there is no user manager to work with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoManager {
    /// No systemd on this host.
    NoSystemd,
    /// Its socket is not there.
    NotRunning,
    /// It is there and does not answer.
    Mute(String),
}

/// What a command of the service manager's came to: nothing, or its words.
pub type Did = Result<(), String>;

/// The machine under an installation. Every act that changes something asks [`Host::before`] first.
pub trait Host {
    /// Called before each change to the disk, with words for it; an error stops it.
    ///
    /// # Errors
    /// In tests.
    fn before(&mut self, act: &str) -> io::Result<()>;
    /// The clocks.
    fn clock(&mut self) -> Clock;
    /// Lets time pass.
    fn sleep(&mut self, time: Duration);
    /// The program that runs now.
    ///
    /// # Errors
    /// It cannot be read.
    fn own(&mut self) -> io::Result<Own>;
    /// Which process this is: its pid and when it started.
    fn me(&self) -> (u32, u64);
    /// Whether that process still runs.
    fn lives(&self, process: (u32, u64)) -> bool;
    /// Renews the lock from now on, until this process ends or loses it.
    fn keep_lock(&mut self, layout: &Layout, holder: &Holder);
    /// Whether programs may run from a directory, as far as its mount says.
    fn can_execute(&mut self, dir: &Path) -> bool;
    /// Whether tmux can be run by a service.
    fn tmux(&mut self) -> bool;
    /// This user's sessions, by their processes.
    fn sessions(&mut self) -> Vec<Found>;
    /// Programs of ours that processes run from now, by file.
    fn programs_in_use(&mut self) -> Vec<PathBuf>;
    /// Asks the agent on a socket who it is.
    fn agent(&mut self, socket: &Path) -> Option<Running>;
    /// What a session's agent says of how the session ended; `None`: nothing, or that it was lost.
    fn ended_by_itself(&mut self, socket: &Path, session: &str) -> Option<String>;
    /// Asks the agent on a socket to end; its sessions go on.
    fn shut_down(&mut self, socket: &Path) -> Did;
    /// Ends a session with everything in it.
    fn end_session(&mut self, socket: &Path, session: &str) -> Did;
    /// Who listens where agents of this user do: pid and socket.
    fn listener(&mut self, layout: &Layout) -> Option<(u32, PathBuf)>;

    /// Whether a user manager is there; its own mark, which changes when it is started anew.
    ///
    /// # Errors
    /// There is none to work with.
    fn manager(&mut self) -> Result<String, NoManager>;
    /// Which service manager that is, as far as [`Host::refused`] is concerned.
    fn manager_kind(&mut self) -> String;
    /// The agent's unit.
    ///
    /// # Errors
    /// The manager does not answer.
    fn unit(&mut self) -> Result<UnitNow, String>;
    /// Makes the manager read unit files again.
    ///
    /// # Errors
    /// In its words.
    fn reload(&mut self) -> Did;
    /// Makes the manager do that in a moment: now it is starting our unit.
    ///
    /// # Errors
    /// In its words.
    fn reload_later(&mut self) -> Did;
    /// Starts the agent's unit anew, without waiting for it.
    ///
    /// # Errors
    /// In the manager's words.
    fn restart(&mut self) -> Did;
    /// Kills the agent's first process, so that a restart need not wait for it.
    ///
    /// # Errors
    /// In the manager's words.
    fn kill_main(&mut self) -> Did;
    /// Stops the agent's unit; `wait`: until that is done.
    ///
    /// # Errors
    /// In the manager's words.
    fn stop(&mut self, wait: bool) -> Did;
    /// Forgets that the unit failed.
    ///
    /// # Errors
    /// In the manager's words.
    fn forget_failure(&mut self) -> Did;
    /// Which of these directives this host's manager does not take.
    fn refused(&mut self, directives: &[&str]) -> Vec<String>;
    /// Starts the revert timer.
    ///
    /// # Errors
    /// In the manager's words.
    fn arm(&mut self, program: &Path, layout: &Layout, deployment: &str, seconds: f64) -> Did;
    /// Stops the revert timer, whether there is one or not.
    fn disarm(&mut self);
    /// The agent's last words since then (Unix seconds).
    fn log(&mut self, since: f64) -> Vec<String>;

    /// Whether the user's services run without a login.
    fn lingers(&mut self) -> bool;
    /// Sets that.
    ///
    /// # Errors
    /// Refused, in the system's words.
    fn linger(&mut self, on: bool) -> Did;
    /// The user's name.
    fn user(&self) -> String;
}

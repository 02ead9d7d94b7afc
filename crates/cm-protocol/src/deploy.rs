//! The words of a deployment: what a host is told to become, what it says of itself, and its report.
//!
//! They travel over ssh, not over the WebSocket: a [`Manifest`] goes to `cm-agent install` as one JSON line
//! on standard input, [`InstallLine`]s come back, one JSON line each; `cm-agent facts` prints [`Facts`].
//! A field that is added later is optional, so that a new client understands an old host and the other way.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that must not be read by others: written out only on the wire, never by `Debug`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Hidden(pub String);

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// What a host is to become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// This deployment's own name, never used twice: `[0-9a-z-]`, at most 40 characters.
    pub deployment: String,
    /// The fleet the host belongs to. Another fleet's host is not taken without [`Self::take_over`].
    pub fleet: String,
    /// Who deploys: `user@machine`.
    pub by: String,
    /// The program that is to run. Equal to the one that reads this, unless the host has it already.
    pub binary: Binary,
    /// What the agent is started with.
    pub settings: AgentSettings,
    /// Seconds until the host goes back by itself unless the deployment is confirmed; 0: confirmed at once.
    pub confirm_seconds: u64,
    /// Seconds until the new agent must be healthy.
    pub ready_seconds: u64,
    /// Go on although sessions will end.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
    /// Take the host from another fleet, or its lock from another deployment.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub take_over: bool,
}

/// A program, by what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Binary {
    /// Of all its bytes, in hex.
    pub sha256: String,
    /// Its length in bytes.
    pub size: u64,
    /// What it calls itself: `0.1.0`.
    pub version: String,
}

/// What an agent is started with, on any runtime.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AgentSettings {
    /// TCP address to listen on besides the unix socket.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Token for TCP. Without one, and with `listen`, the host makes one and keeps it over deployments.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<Hidden>,
    /// Living sessions allowed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_sessions: Option<u32>,
    /// Clients at a time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_clients: Option<u32>,
    /// Seconds the terminal of an ended program is kept for looking at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_finished: Option<u64>,
    /// Where sessions run: `auto`, `systemd`, `detached`, `keeper`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub placement: Option<String>,
    /// Journal and transcripts, absolute or `~/…`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<String>,
    /// What the log shows: a level or a filter (`info`, `cm_agent=debug`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What decides about prompts: a preset's name, or one of [`Self::policies`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Policies of the user's own, by name, as YAML text.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub policies: BTreeMap<String, String>,
    /// Variables of every session's environment.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, Hidden>,
    /// Directories before the usual ones in `PATH` (`~` allowed).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// How many tasks the fleet may place here at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// `false`: the agent's unit is not hardened. For hosts whose tasks' checks need what that forbids (sudo).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hardened: Option<bool>,
}

impl AgentSettings {
    /// What a digest of the settings is made of: the same text on both ends for the same settings. Hash it; it
    /// holds secrets.
    ///
    /// # Errors
    /// None in practice: the settings are texts and numbers.
    pub fn digest_text(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self)
    }
}

/// One line of an installation's report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "line", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum InstallLine {
    /// A step has been done.
    Step {
        /// Which.
        step: InstallStep,
        /// How long it took, in milliseconds.
        ms: u64,
        /// What there is to say about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Something a person should know; the installation goes on.
    Warning {
        /// What is not as it should be.
        what: String,
        /// The next move.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        remedy: Option<String>,
    },
    /// The last line: it has become what it was to become, and waits to be confirmed (unless nothing has to).
    Installed(Box<Installation>),
    /// The last line: it has not.
    Failed(Box<InstallFailure>),
}

/// The steps of an installation, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InstallStep {
    /// The lock is taken.
    Lock,
    /// The program's bytes are what was sent.
    Verify,
    /// The program, configuration and unit are on the disk, not yet in use.
    Store,
    /// The user's services run without a login.
    Linger,
    /// The revert timer runs.
    Arm,
    /// The link is switched, the unit loaded, the agent (re)started.
    Activate,
    /// The new agent answers and is the one that was sent.
    Healthy,
    /// Sessions are the same as before.
    Sessions,
    /// The revert timer is gone.
    Confirm,
    /// What is no longer needed is removed.
    Clean,
}

/// What an installation has led to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installation {
    /// The new generation's number.
    pub generation: u64,
    /// The generation before, if there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// Where the new agent listens, for the confirmation through a new tunnel.
    pub socket: String,
    /// What it said of itself.
    pub running: Running,
    /// Sessions' processes before.
    pub before: Vec<Pane>,
    /// And after.
    pub after: Vec<Pane>,
    /// Hardening that this host's user manager does not take, by directive.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dropped: Vec<String>,
    /// It was what it was to become: nothing was done, and nothing waits to be confirmed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub unchanged: bool,
}

/// Why an installation failed, and how the host is now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallFailure {
    /// In which step.
    pub step: InstallStep,
    /// What kind of failure.
    pub kind: FailureKind,
    /// Why.
    pub why: String,
    /// The next move.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// How the host is now.
    pub host: HostAfter,
    /// The agent's last words, where it was started and failed. Bounded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<String>,
}

/// What kind of failure it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// The host or the new agent is at fault.
    Failed,
    /// A rule says no: a lock, another fleet's host, sessions that would end.
    Refused,
}

/// How a host is after a failure.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum HostAfter {
    /// As before; nothing was activated.
    Untouched,
    /// The generation before runs again.
    Reverted {
        /// Its number.
        generation: u64,
    },
    /// There was none before: the new one is stopped and removed.
    Removed,
    /// Going back failed, too.
    Broken {
        /// Why.
        why: String,
    },
}

/// A session's first process, by what cannot be mistaken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pane {
    /// The session.
    pub session: String,
    /// Its first process.
    pub pid: u32,
    /// When that started, in clock ticks since boot (`/proc/<pid>/stat`, field 22).
    pub start: u64,
}

/// What a host says of itself. Everything that could not be found out is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// Its name, as the kernel has it.
    pub host: String,
    /// `x86_64`, `aarch64`: the kernel's word.
    pub arch: String,
    /// `Debian GNU/Linux 12 (bookworm)`.
    pub os: String,
    /// The user's name.
    pub user: String,
    /// The user's home.
    pub home: String,
    /// Changes with every boot.
    pub boot_id: String,
    /// The host's clock, Unix seconds.
    pub now: f64,
    /// Whether a systemd user manager answers.
    pub user_manager: bool,
    /// systemd's version, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub systemd: Option<String>,
    /// Whether the user's services run without a login.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub linger: Option<bool>,
    /// tmux's version, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tmux: Option<String>,
    /// git's version, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub git: Option<String>,
    /// Bytes free for this user where the agent is (to be) installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_free: Option<u64>,
    /// Whether programs may run from there; absent where it was not tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<bool>,
    /// Whether zstd is there to unpack with.
    pub zstd: bool,
    /// Processors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Load of the last minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<f64>,
    /// Bytes of memory available.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_available: Option<u64>,
    /// Bytes of memory in all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_total: Option<u64>,
    /// What is installed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub installed: Option<Installed>,
    /// What runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<Running>,
    /// The unit, as the service manager and the disk have it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Who deploys to this host right now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lock: Option<Lock>,
    /// The living sessions' processes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub panes: Vec<Pane>,
    /// Sessions that would end with the agent's unit, and why (none normally).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub endangered: Vec<Endangered>,
    /// What a closer look found, where one was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub doctor: Option<Vec<Finding>>,
}

/// One thing a closer look at a host found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// What was looked at: `linger`, `tmux`, `disk`, `tool claude` …
    pub what: String,
    /// How it is.
    pub verdict: Verdict,
    /// What was seen, in a few words.
    pub seen: String,
    /// The next move, where something is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

/// How something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// As it should be.
    Good,
    /// Not there, or not to be told from here; whether that matters depends on what the host is for.
    Unsure,
    /// It works, but not well, or not for long.
    Poor,
    /// The agent, or its sessions, will not work.
    Bad,
}

/// What is installed on a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Installed {
    /// The fleet that did it.
    pub fleet: String,
    /// The generation in use.
    pub generation: u64,
    /// The program of it.
    pub binary: Binary,
    /// [`Manifest`]'s settings, as [`AgentSettings::digest_text`] hashed with SHA-256, in hex.
    pub settings: String,
    /// When, Unix seconds by the host's clock.
    pub at: f64,
    /// By whom.
    pub by: String,
    /// The deployment that waits to be confirmed, if one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unconfirmed: Option<String>,
    /// All generations kept, oldest first, with the one in use.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub generations: Vec<Generation>,
    /// Programs that are kept, by sha256: these need not be sent again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stored: Vec<String>,
}

/// One state a host can go back to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Generation {
    /// Its number, counted from 1.
    pub number: u64,
    /// Its program.
    pub binary: Binary,
    /// The digest of its settings.
    pub settings: String,
    /// When it was installed, Unix seconds.
    pub at: f64,
    /// By whom.
    pub by: String,
}

/// An agent that runs, by its own word.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Its program.
    pub sha256: String,
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Where it listens.
    pub socket: String,
    /// How long it has run, in seconds.
    pub uptime: f64,
    /// Its living sessions.
    pub sessions: u32,
}

/// The agent's unit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Unit {
    /// systemd's word: `active`, `activating`, `failed`, `inactive`.
    pub active: String,
    /// systemd's word: `enabled`, `disabled`, `not-found`.
    pub enabled: String,
    /// How its files differ from what was installed: each a short sentence. Empty: not at all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<String>,
    /// Drop-ins, which are the user's own: deployments leave them as they are.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drop_ins: Vec<String>,
    /// How often it was restarted by systemd since it was started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts: Option<u32>,
}

/// Who holds a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Lock {
    /// The deployment.
    pub deployment: String,
    /// Whose: `user@machine`.
    pub owner: String,
    /// For how many seconds, by the host's own clock.
    pub held: f64,
    /// In how many seconds it expires unless it is renewed.
    pub expires: f64,
}

/// A session that would not survive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Endangered {
    /// The session.
    pub session: String,
    /// Why it would end.
    pub why: String,
}

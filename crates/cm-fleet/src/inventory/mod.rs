//! The inventory: which hosts there are, how they are reached, and what runs on them. PURE.
//!
//! `load` reads files into nodes that know where they stand, `file` says which keys there are, `resolve` makes
//! hosts of them, `select` chooses among the hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize, Serializer};

pub use error::InventoryError;
pub use find::{NAME, find};
pub use secret::{Secret, SecretError, SecretRef};
pub use select::{SelectError, Selector};

pub mod contexts;
pub mod doubt;
pub mod draft;
mod error;
pub mod file;
mod find;
mod load;
mod range;
mod resolve;
pub mod secret;
mod select;
pub mod ssh_config;
mod value;
mod vars;

/// All hosts of a file and of what it includes, settings inherited, ranges expanded.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Inventory {
    /// The fleet's name: `fleet:`, else the file's name, else that of its directory. Letters, digits, `-`,
    /// `_` and `.`; it marks on hosts what belongs to this fleet.
    pub name: String,
    /// The file it was read from.
    pub file: PathBuf,
    /// Every file that was read, `file` first.
    pub files: Vec<PathBuf>,
    /// Every group there is, also those without hosts.
    pub groups: BTreeSet<String>,
    /// In the order of the file, every name once.
    pub hosts: Vec<Host>,
}

/// One host with everything that holds for it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Host {
    /// Its name in the inventory: what people select and reports say.
    pub name: String,
    /// What ssh is told to connect to: a name (also one of `ssh_config`) or an address. The name by default.
    pub address: String,
    /// ssh's port, where the inventory says one.
    pub port: Option<u16>,
    /// Who logs in, where the inventory says it.
    pub user: Option<String>,
    /// Private keys to try, first one first; absolute.
    pub identity: Vec<PathBuf>,
    /// Hosts to go through, nearest first: `user@host:port`, names of `ssh_config`, or names of hosts of
    /// this inventory ([`Inventory::host`]). No host is reached through itself.
    pub jump: Vec<String>,
    /// `known_hosts` files in place of the user's own; absolute.
    pub known_hosts: Vec<PathBuf>,
    /// A pin: `SHA256:…`, or a key as in `known_hosts` (`ssh-ed25519 AAAA…`).
    pub host_key: Option<String>,
    /// The groups it is in, also those that hold its groups.
    pub groups: BTreeSet<String>,
    /// For selection and placement.
    pub labels: BTreeMap<String, String>,
    /// Tasks at a time, where the inventory says it.
    pub slots: Option<u32>,
    /// What the agent runs in.
    pub runtime: Runtime,
    /// The agent itself.
    pub agent: AgentSettings,
    /// What decides about prompts where a task does not say.
    pub policy: Option<PolicyRef>,
    /// Variables for the agent and its sessions.
    pub env: BTreeMap<String, Value>,
}

/// What the agent runs in.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Runtime {
    /// A unit of the user's own service manager.
    Systemd(SystemdSettings),
    /// A container of Docker or Podman.
    Container(ContainerSettings),
    /// This machine: the agent that commands start on demand. Nothing is deployed, ssh is not used.
    Local,
}

impl Runtime {
    /// The word of the file: `systemd`, `container` or `local`.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Systemd(_) => "systemd",
            Self::Container(_) => "container",
            Self::Local => "local",
        }
    }
}

/// `systemd:`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SystemdSettings {
    /// Whether lingering is asked for, without which the agent ends when its user logs out.
    pub linger: bool,
}

impl Default for SystemdSettings {
    fn default() -> Self {
        Self { linger: true }
    }
}

/// `container:`
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContainerSettings {
    /// Name with tag or digest; none means the image that belongs to this version.
    pub image: Option<String>,
    /// A file here with the image in it (`docker save`, or an OCI layout as tar, also compressed), absolute.
    pub archive: Option<PathBuf>,
    /// When the image is pulled by the host from a registry.
    pub pull: Pull,
    /// The engine is this machine's own: no ssh.
    pub local: bool,
    /// Whose socket is spoken to.
    pub engine: Engine,
    /// The engine's socket on the host, absolute; none means where the engine has it.
    pub socket: Option<String>,
    /// Directories of the host, and volumes.
    pub mounts: Vec<Mount>,
    /// Variables of the container alone, over those of [`Host::env`].
    pub env: BTreeMap<String, Value>,
    /// Cores.
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Name or uid, with `:group` or `:gid`.
    pub user: Option<String>,
    /// `host`, `bridge`, `none` or a network of the engine's.
    pub network: Option<String>,
    /// Further lines for `/etc/hosts`: name to address (or `host-gateway`).
    pub extra_hosts: BTreeMap<String, String>,
}

/// When an image is pulled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Pull {
    /// Never: it is there, or streamed from here.
    #[default]
    Never,
    /// Where it is not there.
    Missing,
    /// At every deployment.
    Always,
}

/// Which engine runs the container.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Engine {
    /// Docker where it answers, else Podman.
    #[default]
    Auto,
    /// Docker.
    Docker,
    /// Podman.
    Podman,
}

/// One mount of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Mount {
    /// On the host: absolute, `~/…`, or the name of a volume.
    pub source: String,
    /// In the container, absolute.
    pub target: String,
    /// Whether it cannot be written.
    pub read_only: bool,
}

/// `agent:`
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct AgentSettings {
    /// The program here that is put onto the host, absolute; `{arch}` stands for what `uname -m` says there.
    /// None: the one that belongs to this `cm-fleet`.
    pub binary: Option<PathBuf>,
    /// Where it is installed on the host, absolute or `~/…`; none means `~/.local/share/cm-agent`.
    pub dir: Option<String>,
    /// Its journal and transcripts on the host, absolute or `~/…`; none means the agent's own default.
    pub state_dir: Option<String>,
    /// `ADDRESS:PORT` for TCP besides the socket; there is a token then.
    pub listen: Option<core::net::SocketAddr>,
    /// What clients over TCP have to know.
    pub token: Option<SecretRef>,
    /// The port of the host's 127.0.0.1 where it is reached, in place of its socket.
    pub port: Option<u16>,
    /// Living sessions allowed.
    pub max_sessions: Option<u32>,
    /// Clients at a time.
    pub max_clients: Option<u32>,
    /// Seconds the terminal of an ended program is kept for looking at.
    pub keep_finished: Option<u64>,
    /// Where sessions run.
    pub placement: Option<Placement>,
    /// What it logs: `info`, `debug`, `cm_agent=trace`.
    pub log: Option<String>,
}

/// Where an agent's sessions run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// In systemd units where a user manager answers, else detached.
    Auto,
    /// In systemd units, or the agent does not start.
    Systemd,
    /// As processes of their own.
    Detached,
}

/// A policy: known to the agent by name, or a file here that goes along.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyRef {
    /// `read-only`, `careful`, `trusting`, or one of this user's own.
    Name(String),
    /// A YAML file here, absolute.
    File(PathBuf),
}

/// A variable's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// As it stands.
    Plain(String),
    /// To be fetched when it is needed, and never shown.
    Secret(SecretRef),
}

impl Serialize for Value {
    /// As in the file.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // A text that would read as a reference says that it is none.
            Self::Plain(text) if SecretRef::scheme(text).is_some() || text.starts_with("plain:") => {
                write!(f, "plain:{text}")
            }
            Self::Plain(text) => f.write_str(text),
            Self::Secret(secret) => secret.fmt(f),
        }
    }
}

impl Host {
    /// A host of which nothing but its name is known.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            address: name.to_owned(),
            port: None,
            user: None,
            identity: Vec::new(),
            jump: Vec::new(),
            known_hosts: Vec::new(),
            host_key: None,
            groups: BTreeSet::new(),
            labels: BTreeMap::new(),
            slots: None,
            runtime: Runtime::Systemd(SystemdSettings::default()),
            agent: AgentSettings::default(),
            policy: None,
            env: BTreeMap::new(),
        }
    }
}

impl Inventory {
    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }

    /// The hosts that one is reached through, the nearest first: its own, and before the first of them those that
    /// one is reached through itself. (The others are reached from the one before, as with `ssh -J`.) `None`: there
    /// are over `most`.
    pub fn way<'a>(&'a self, host: &'a Host, most: usize) -> Option<Vec<&'a str>> {
        // `none` is none, whatever ssh's configuration says.
        let hops = |host: &'a Host| host.jump.iter().map(String::as_str).filter(|hop| *hop != "none");
        let mut way: Vec<&str> = hops(host).collect();
        while let Some(first) = way.first().and_then(|first| self.host(first)) {
            let before: Vec<&str> = hops(first).collect();
            if before.is_empty() || way.len() > most {
                break;
            }
            way.splice(0..0, before);
        }
        (way.len() <= most).then_some(way)
    }
}

#[cfg(test)]
mod tests;

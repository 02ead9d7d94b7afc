//! What containers a host is to have: names, labels, the requests that make them, and their digest. PURE.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use bollard::models::{
    ContainerCreateBody, HealthConfig, HostConfig, RestartPolicy, RestartPolicyNameEnum, VolumeCreateRequest,
};
use cm_protocol::deploy::AgentSettings;
use serde_json::json;

use crate::deploy::wanted::hex;
use crate::inventory::{Engine, Mount, Pull};

/// The image that belongs to this version.
pub const IMAGE: &str = concat!("cm-agent:", env!("CARGO_PKG_VERSION"));
/// Where the state of all containers of a host is, in each of them.
pub const STATE: &str = "/var/lib/cm-agent";
/// Where an agent finds its settings. They are in its own container, not in what the keeper's sessions see.
pub const CONFIG: &str = "/etc/cm-agent/config.json";
/// Seconds a container has to end when it is told to.
pub const STOP: i64 = 10;
/// Nanoseconds of a second, and of a core.
const NANO: f64 = 1e9;

/// The keys of our labels.
pub mod label {
    /// The fleet.
    pub const FLEET: &str = "io.cm-fleet.fleet";
    /// The host's name in the inventory.
    pub const HOST: &str = "io.cm-fleet.host";
    /// `agent`, `keeper` or `state`.
    pub const ROLE: &str = "io.cm-fleet.role";
    /// The digest of all that was asked for.
    pub const WANTED: &str = "io.cm-fleet.wanted";
    /// The digest of mounts, limits, user and network.
    pub const SHAPE: &str = "io.cm-fleet.shape";
    /// The digest of the agent's settings.
    pub const SETTINGS: &str = "io.cm-fleet.settings";
    /// The id of the image that was asked for, as whoever deployed knows it.
    pub const IMAGE: &str = "io.cm-fleet.image-id";
    /// The generation's number.
    pub const GENERATION: &str = "io.cm-fleet.generation";
    /// The deployment's name.
    pub const DEPLOYMENT: &str = "io.cm-fleet.deployment";
    /// Who deployed.
    pub const BY: &str = "io.cm-fleet.by";
    /// When, Unix seconds.
    pub const AT: &str = "io.cm-fleet.at";
}

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The agent.
    Agent,
    /// What keeps the sessions' processes.
    Keeper,
}

impl Role {
    /// The word of the label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Keeper => "keeper",
        }
    }
}

/// What a host's containers are to be like, secrets and all.
#[derive(Debug, Clone, PartialEq)]
pub struct ContainerWanted {
    /// The host's name in the inventory.
    pub host: String,
    /// The fleet.
    pub fleet: String,
    /// The image.
    pub image: ImageWanted,
    /// All that `container:` says of the containers themselves.
    pub shape: Shape,
    /// What the agent is started with.
    pub settings: AgentSettings,
    /// Which engine, and where its socket is.
    pub engine: EngineWanted,
}

/// The image, and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ImageWanted {
    /// Name with tag or digest.
    pub reference: String,
    /// When the host pulls it.
    pub pull: Pull,
    /// The file here it is in.
    pub archive: Option<PathBuf>,
}

/// Which engine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EngineWanted {
    /// Docker, Podman, or what answers.
    pub kind: Engine,
    /// Its socket, where the inventory says it.
    pub socket: Option<String>,
    /// It is this machine's own: no ssh.
    pub here: bool,
}

/// What containers are like.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Shape {
    /// Directories of the host, and volumes.
    pub mounts: Vec<Mount>,
    /// Cores.
    pub cpus: Option<f64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Name or uid.
    pub user: Option<String>,
    /// A network.
    pub network: Option<String>,
    /// Lines for `/etc/hosts`.
    pub extra_hosts: BTreeMap<String, String>,
}

/// Limits as an engine has them; 0: none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Billionths of a core.
    pub nano_cpus: i64,
    /// Bytes.
    pub memory: i64,
    /// Processes and threads.
    pub pids: i64,
}

impl Shape {
    /// The limits.
    pub fn limits(&self) -> Limits {
        #[allow(clippy::cast_possible_truncation)] // the inventory has checked how many there may be
        let nano_cpus = self.cpus.map_or(0, |cores| (cores * NANO).round() as i64);
        Limits {
            nano_cpus,
            memory: self.memory.map_or(0, |bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            pids: self.pids.map_or(0, i64::from),
        }
    }
}

/// What one deployment adds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp {
    /// Its name.
    pub deployment: String,
    /// The generation's number.
    pub generation: u64,
    /// Who.
    pub by: String,
    /// When, Unix seconds.
    pub at: u64,
    /// The image's id as we know it.
    pub image: String,
    /// What the engine is told to make the containers of: the reference, or the id there.
    pub reference: String,
    /// The home of whoever logs in on the host, where mounts need it.
    pub home: String,
    /// The engine is Podman.
    pub podman: bool,
}

/// The names of a host's containers and volumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Names {
    /// The host, of characters that engines take.
    base: String,
}

impl Names {
    /// Of this host. Names that engines do not take are changed, and stay different from each other.
    pub fn new(host: &str) -> Self {
        let good = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        if !host.is_empty() && host.chars().all(good) {
            return Self { base: host.to_owned() };
        }
        let plain: String = host.chars().map(|c| if good(c) { c } else { '_' }).collect();
        let digest = hex(host.as_bytes());
        Self { base: format!("{plain}-{}", &digest[..8]) }
    }

    /// The container in use.
    pub fn of(&self, role: Role) -> String {
        format!("cm-{}-{}", role.as_str(), self.base)
    }

    /// The one that is being made.
    pub fn next(&self, role: Role) -> String {
        format!("{}-next", self.of(role))
    }

    /// The one that was in use, while the new one is not confirmed.
    pub fn before(&self, role: Role) -> String {
        format!("{}-before", self.of(role))
    }

    /// One that is kept to go back to.
    pub fn kept(&self, generation: u64) -> String {
        format!("{}-generation-{generation}", self.of(Role::Agent))
    }

    /// The volume with the agents' state.
    pub fn state(&self) -> String {
        format!("cm-agent-{}", self.base)
    }
}

impl ContainerWanted {
    /// The names.
    pub fn names(&self) -> Names {
        Names::new(&self.host)
    }

    /// The digest of the agent's settings, secrets included.
    pub fn settings_digest(&self) -> String {
        // Texts and numbers always serialize; a host would only be told again what it knows.
        hex(self.settings.digest_text().unwrap_or_default().as_bytes())
    }

    /// The digest of the containers' shape.
    pub fn shape_digest(&self) -> String {
        let shape = &self.shape;
        let limits = shape.limits();
        let mounts: Vec<String> = shape.mounts.iter().map(|mount| bind(mount, "~")).collect();
        let text = json!({
            "mounts": mounts, "cpus": limits.nano_cpus, "memory": limits.memory, "pids": limits.pids,
            "user": shape.user, "network": shape.network, "extraHosts": shape.extra_hosts,
        });
        hex(text.to_string().as_bytes())
    }

    /// The digest of all that is asked for of the agent's container.
    pub fn digest(&self, image: &str) -> String {
        hex(format!("{image}\n{}\n{}", self.shape_digest(), self.settings_digest()).as_bytes())
    }

    /// The digest of all that is asked for of the keeper.
    pub fn keeper_digest(&self, image: &str) -> String {
        hex(format!("{image}\n{}", self.shape_digest()).as_bytes())
    }

    /// What marks everything that is ours.
    fn labels(&self, role: &str) -> HashMap<String, String> {
        [(label::FLEET, self.fleet.as_str()), (label::HOST, self.host.as_str()), (label::ROLE, role)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn stamped(&self, role: Role, stamp: &Stamp) -> HashMap<String, String> {
        let mut labels = self.labels(role.as_str());
        let wanted = match role {
            Role::Agent => self.digest(&stamp.image),
            Role::Keeper => self.keeper_digest(&stamp.image),
        };
        let mut put = |key: &str, value: String| labels.insert(key.to_owned(), value);
        put(label::WANTED, wanted);
        put(label::IMAGE, stamp.image.clone());
        put(label::SHAPE, self.shape_digest());
        put(label::DEPLOYMENT, stamp.deployment.clone());
        put(label::BY, stamp.by.clone());
        put(label::AT, stamp.at.to_string());
        if role == Role::Agent {
            put(label::SETTINGS, self.settings_digest());
            put(label::GENERATION, stamp.generation.to_string());
        }
        labels
    }

    /// Our volume, unless the inventory mounts something there itself. The home of the image's user is in it.
    fn own_volume(&self) -> Option<String> {
        let free = !self.shape.mounts.iter().any(|mount| mount.target == STATE);
        free.then(|| self.names().state())
    }

    fn binds(&self, home: &str) -> Vec<String> {
        let own = self.own_volume().map(|name| format!("{name}:{STATE}"));
        own.into_iter().chain(self.shape.mounts.iter().map(|mount| bind(mount, home))).collect()
    }

    fn host_config(&self, stamp: &Stamp) -> HostConfig {
        let limits = self.shape.limits();
        let some = |value: i64| (value != 0).then_some(value);
        HostConfig {
            binds: Some(self.binds(&stamp.home)),
            nano_cpus: some(limits.nano_cpus),
            memory: some(limits.memory),
            pids_limit: some(limits.pids),
            // Until it is confirmed: a machine that restarts in between does not come up with what nobody has seen run.
            restart_policy: Some(first_policy(stamp.podman)),
            ..HostConfig::default()
        }
    }

    fn body(&self, role: Role, stamp: &Stamp, host_config: HostConfig) -> ContainerCreateBody {
        ContainerCreateBody {
            image: Some(stamp.reference.clone()),
            user: self.shape.user.clone(),
            labels: Some(self.stamped(role, stamp)),
            stop_timeout: Some(STOP),
            host_config: Some(host_config),
            ..ContainerCreateBody::default()
        }
    }

    /// The keeper.
    pub fn keeper(&self, stamp: &Stamp) -> ContainerCreateBody {
        let extra = self.shape.extra_hosts.iter().map(|(name, address)| format!("{name}:{address}"));
        let host_config = HostConfig {
            network_mode: self.shape.network.clone(),
            extra_hosts: Some(extra.collect()),
            ..self.host_config(stamp)
        };
        let own_name = self.shape.network.as_deref() != Some("host");
        ContainerCreateBody {
            hostname: own_name.then(|| self.names().base),
            cmd: Some(vec!["keeper".to_owned()]),
            healthcheck: Some(HealthConfig {
                test: Some(vec!["NONE".to_owned()]),
                ..HealthConfig::default()
            }),
            ..self.body(Role::Keeper, stamp, host_config)
        }
    }

    /// The agent: it sees the processes and the network of the keeper with this id, so that to it a session is where it
    /// has always been.
    pub fn agent(&self, stamp: &Stamp, keeper: &str) -> ContainerCreateBody {
        let keeper = format!("container:{keeper}");
        let host_config = HostConfig {
            pid_mode: Some(keeper.clone()),
            network_mode: Some(keeper),
            ..self.host_config(stamp)
        };
        let health = ["CMD", "cm-agent", "health", "--json"].map(str::to_owned).to_vec();
        let second = 1_000_000_000;
        ContainerCreateBody {
            cmd: Some(["serve", "--config", CONFIG].map(str::to_owned).to_vec()),
            healthcheck: Some(HealthConfig {
                test: Some(health),
                interval: Some(30 * second),
                timeout: Some(10 * second),
                retries: Some(3),
                start_period: Some(10 * second),
                start_interval: None,
            }),
            ..self.body(Role::Agent, stamp, host_config)
        }
    }

    /// The volume, which is there already or is made.
    pub fn volume(&self) -> Option<VolumeCreateRequest> {
        Some(VolumeCreateRequest {
            name: Some(self.own_volume()?),
            labels: Some(self.labels("state")),
            ..VolumeCreateRequest::default()
        })
    }

    /// Whether the home of whoever logs in on the host has to be known.
    pub fn needs_home(&self) -> bool {
        self.shape.mounts.iter().any(|mount| mount.source.starts_with('~'))
    }
}

/// The restart policy of a container that is not confirmed. Podman's engines of today cannot change it afterwards.
pub fn first_policy(podman: bool) -> RestartPolicy {
    restarts(if podman { RestartPolicyNameEnum::UNLESS_STOPPED } else { RestartPolicyNameEnum::NO })
}

/// A restart policy.
pub fn restarts(name: RestartPolicyNameEnum) -> RestartPolicy {
    RestartPolicy { name: Some(name), maximum_retry_count: None }
}

/// A mount as engines write it; `~` is `home`.
fn bind(mount: &Mount, home: &str) -> String {
    let end = if mount.read_only { ":ro" } else { "" };
    let source = match mount.source.strip_prefix('~') {
        Some(rest) => format!("{home}{rest}"),
        None => mount.source.clone(),
    };
    format!("{source}:{}{end}", mount.target)
}

#[cfg(test)]
mod tests;

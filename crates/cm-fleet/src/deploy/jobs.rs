//! From hosts of an inventory to hosts to work on: how they are reached, what they are to become.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_protocol::PolicyChoice;
use cm_protocol::deploy::{AgentSettings, Hidden};
use cm_ssh::config::{Given, Resolver};
use cm_ssh::{Target, UnknownHost};
use futures_util::StreamExt;

use super::event::Outcome;
use super::host::{Job, Ports};
use super::script::{DEFAULT_DIR, Dir};
use super::wanted::Wanted;
use crate::container::wanted::{self as container, ContainerWanted, EngineWanted, ImageWanted, Shape};
use crate::failure::Failure;
use crate::inventory::{Host, Inventory, Placement, PolicyRef, Runtime, SecretRef, Value};
use crate::policy;

/// How long a command that prints a secret may take.
const SECRET: Duration = Duration::from_secs(30);
/// `ssh -G` runs at the same time.
const RESOLVING: usize = 16;
/// Hosts that one is reached through, at most.
const HOPS: usize = 8;
/// Bytes of a policy file at most.
const POLICY_BYTES: u64 = 1 << 20;

/// How hosts are reached, beside what inventory and ssh configuration say.
#[derive(Debug, Clone)]
pub struct Reach {
    /// Believe keys of hosts that are in no file.
    pub accept_new: bool,
    /// For each step of a connection.
    pub connect_timeout: Duration,
    /// In place of the user's own.
    pub ssh_config: Option<PathBuf>,
}

/// How much has to be known of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    /// How they are reached.
    Reach,
    /// Also what their agents are to be started with: secrets are fetched.
    Settings,
}

/// Hosts to work on.
#[derive(Debug, Default)]
pub struct Jobs {
    /// Those that are reached over ssh.
    pub jobs: Vec<Job>,
    /// Those that are done with.
    pub settled: Vec<(String, Outcome)>,
}

/// Makes jobs of hosts.
///
/// # Errors
/// A secret or policy cannot be had: nothing has been done to any host then.
pub async fn jobs(inventory: &Inventory, hosts: &[Host], how: &Reach, depth: Depth) -> Result<Jobs, Failure> {
    let mut secrets = Fetched::default();
    let mut wanted = Vec::new();
    let mut made = Jobs::default();
    for host in hosts {
        match settled(host) {
            Some(outcome) => made.settled.push((host.name.clone(), outcome)),
            None => wanted.push((host, wanted_of(inventory, host, depth, &mut secrets).await?)),
        }
    }
    let roads = Roads { inventory, how, resolver: Resolver::new(how.ssh_config.clone()) };
    let targets = futures_util::stream::iter(wanted.iter().map(|(host, _)| roads.to(host)));
    let targets: Vec<Result<Target, Failure>> = targets.buffered(RESOLVING).collect().await;
    for ((host, wanted), target) in wanted.into_iter().zip(targets) {
        match target {
            Ok(target) => made.jobs.push(Job {
                name: host.name.clone(),
                target,
                binary: host.agent.binary.clone(),
                ports: Ports {
                    only: host.agent.port,
                    listen: host.agent.listen,
                    token: host.agent.token.clone(),
                },
                container: contained(inventory, host, &wanted.settings).map(Box::new),
                wanted,
            }),
            Err(failure) => {
                let why = failure.chain.join(": ");
                made.settled.push((host.name.clone(), super::host::failed("connect", why, None)));
            }
        }
    }
    Ok(made)
}

/// Hosts that nothing is to be deployed to.
fn settled(host: &Host) -> Option<Outcome> {
    match &host.runtime {
        Runtime::Systemd(_) | Runtime::Container(_) => None,
        Runtime::Local => {
            Some(Outcome::Nothing { why: "this machine: its agent starts when it is needed".to_owned() })
        }
    }
}

/// What a host's containers are to be.
fn contained(inventory: &Inventory, host: &Host, settings: &AgentSettings) -> Option<ContainerWanted> {
    let Runtime::Container(keys) = &host.runtime else { return None };
    Some(ContainerWanted {
        host: host.name.clone(),
        fleet: inventory.name.clone(),
        image: ImageWanted {
            reference: keys.image.clone().unwrap_or_else(|| container::IMAGE.to_owned()),
            pull: keys.pull,
            archive: keys.archive.clone(),
        },
        shape: Shape {
            mounts: keys.mounts.clone(),
            cpus: keys.cpus,
            memory: keys.memory,
            pids: keys.pids,
            user: keys.user.clone(),
            network: keys.network.clone(),
            extra_hosts: keys.extra_hosts.clone(),
        },
        settings: settings.clone(),
        engine: EngineWanted { kind: keys.engine, socket: keys.socket.clone(), here: keys.local },
    })
}

/// What a host is to become.
async fn wanted_of(
    inventory: &Inventory,
    host: &Host,
    depth: Depth,
    secrets: &mut Fetched,
) -> Result<Wanted, Failure> {
    let about = |what: String| Failure::usage(format!("host {}: {what}", host.name));
    let dir = Dir::new(host.agent.dir.as_deref().unwrap_or(DEFAULT_DIR)).map_err(|e| about(e.to_string()))?;
    let settings = match depth {
        Depth::Reach => AgentSettings::default(),
        Depth::Settings => settings(host, secrets).await.map_err(|failure| {
            let mut failure = failure;
            failure.chain.insert(0, format!("host {}", host.name));
            failure
        })?,
    };
    Ok(Wanted { fleet: inventory.name.clone(), dir, settings })
}

async fn settings(host: &Host, secrets: &mut Fetched) -> Result<AgentSettings, Failure> {
    let agent = &host.agent;
    let mut settings = AgentSettings {
        listen: agent.listen.map(|address| address.to_string()),
        token: None,
        max_sessions: agent.max_sessions,
        max_clients: agent.max_clients,
        keep_finished: agent.keep_finished,
        placement: agent.placement.map(|placement| {
            match placement {
                Placement::Auto => "auto",
                Placement::Systemd => "systemd",
                Placement::Detached => "detached",
            }
            .to_owned()
        }),
        state_dir: agent.state_dir.clone(),
        log: agent.log.clone(),
        slots: host.slots,
        ..AgentSettings::default()
    };
    if let Some(token) = &agent.token {
        settings.token = Some(secrets.get(token).await?);
    }
    // Variables of the container are of its sessions, and never where an inspection shows them.
    let inside = match &host.runtime {
        Runtime::Container(keys) => keys.env.iter().collect(),
        _ => Vec::new(),
    };
    for (name, value) in host.env.iter().chain(inside) {
        let value = match value {
            Value::Plain(text) => Hidden(text.clone()),
            Value::Secret(secret) => secrets.get(secret).await?,
        };
        settings.env.insert(name.clone(), value);
    }
    if let Some(reference) = &host.policy {
        let (name, text) = policy_of(reference)?;
        settings.policies.extend(text.map(|text| (name.clone(), text)));
        settings.policy = Some(name);
    }
    Ok(settings)
}

/// A policy's name, and its text where the agent does not have it already. It is read, and so known to be good.
fn policy_of(reference: &PolicyRef) -> Result<(String, Option<String>), Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let (wanted, path) = match reference {
        PolicyRef::Name(name) if policy::PRESETS.contains(&name.as_str()) => return Ok((name.clone(), None)),
        PolicyRef::Name(name) => {
            let own = policy::own_directory(env);
            let path =
                own.iter().flat_map(|dir| ["yaml", "yml"].map(|end| dir.join(format!("{name}.{end}"))));
            (name.clone(), path.into_iter().find(|path| path.exists()))
        }
        PolicyRef::File(path) => (path.display().to_string(), Some(path.clone())),
    };
    // Says what is wrong with it, or that there is none.
    match policy::choose(&wanted, policy::own_directory(env).as_deref())? {
        PolicyChoice::Name(name) => Ok((name, None)),
        PolicyChoice::Rules(_) => {
            let path = path.ok_or_else(|| Failure::usage(format!("there is no policy `{wanted}`")))?;
            let text = read(&path)?;
            let name = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or(wanted);
            Ok((name, Some(text)))
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    use std::io::Read;
    let cannot = |e: &std::io::Error| Failure::usage(format!("cannot read {}", path.display())).because(e);
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(|e| cannot(&e))?;
    file.take(POLICY_BYTES).read_to_string(&mut text).map_err(|e| cannot(&e))?;
    Ok(text)
}

/// Secrets, each fetched once.
#[derive(Default)]
struct Fetched(BTreeMap<String, Hidden>);

impl Fetched {
    async fn get(&mut self, reference: &SecretRef) -> Result<Hidden, Failure> {
        let key = reference.to_string();
        if let Some(known) = self.0.get(&key) {
            return Ok(known.clone());
        }
        let secret = reference
            .resolve(SECRET)
            .await
            .map_err(|e| Failure::usage(format!("the secret {key} cannot be had")).because(&e))?;
        let hidden = Hidden(secret.expose().to_owned());
        self.0.insert(key, hidden.clone());
        Ok(hidden)
    }
}

/// How hosts are reached: what the inventory says, over what ssh's configuration says.
struct Roads<'a> {
    inventory: &'a Inventory,
    how: &'a Reach,
    resolver: Resolver,
}

impl Roads<'_> {
    async fn to(&self, host: &Host) -> Result<Target, Failure> {
        if matches!(&host.runtime, Runtime::Container(keys) if keys.local) {
            return Ok(Target::new(host.name.clone(), "localhost", ""));
        }
        let mut target = self.last_leg(host).await?;
        let way = self.inventory.way(host, HOPS).ok_or_else(|| {
            Failure::usage(format!("host {}: over {HOPS} jump hosts behind each other", host.name))
        })?;
        let mut jumps = Vec::new();
        for hop in way {
            match self.inventory.host(hop) {
                Some(known) => jumps.push(self.last_leg(known).await?),
                None => jumps.extend(self.hop(hop).await?),
            }
        }
        if !jumps.is_empty() {
            target.jumps = jumps;
        }
        Ok(target)
    }

    /// A hop that is no host of the inventory: `user@host:port`.
    async fn hop(&self, text: &str) -> Result<Vec<Target>, Failure> {
        let (user, rest) = match text.rsplit_once('@') {
            Some((user, rest)) => (Some(user.to_owned()), rest),
            None => (None, text),
        };
        let (name, port) = match rest.rsplit_once(':') {
            Some((name, port)) if !name.contains(':') || name.ends_with(']') => (name, port.parse().ok()),
            _ => (rest, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let given = Given { user, port, ..self.given() };
        let mut target = self.resolver.resolve(name, &given).await.map_err(|e| cannot(name, &e))?;
        let mut all = std::mem::take(&mut target.jumps);
        all.push(target);
        Ok(all)
    }

    fn given(&self) -> Given {
        Given {
            unknown_host: self.how.accept_new.then_some(UnknownHost::AcceptNew),
            connect_timeout: Some(self.how.connect_timeout),
            ..Given::default()
        }
    }

    async fn last_leg(&self, host: &Host) -> Result<Target, Failure> {
        let pin = host.host_key.as_ref().map(|pin| pin.parse()).transpose();
        let given = Given {
            address: Some(host.address.clone()),
            port: host.port,
            user: host.user.clone(),
            identities: host.identity.clone(),
            jump: (!host.jump.is_empty()).then(|| "none".to_owned()),
            known_hosts: (!host.known_hosts.is_empty()).then(|| host.known_hosts.clone()),
            host_key: pin.map_err(|e: cm_ssh::PinError| cannot(&host.name, &e))?,
            ..self.given()
        };
        self.resolver.resolve(&host.name, &given).await.map_err(|e| cannot(&host.name, &e))
    }
}

fn cannot(name: &str, error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::usage(format!("cannot find out how to reach {name}")).because(error)
}

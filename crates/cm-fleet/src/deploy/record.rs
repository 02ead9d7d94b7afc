//! What is remembered here of a fleet: which hosts were deployed to (so that those which leave the inventory are
//! missed), and a report file where one was asked for.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{BufWriter, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::event::{DeployEvent, DeployEventKind, Outcome};
use crate::failure::{Failure, Kind};
use crate::inventory::{ContainerSettings, Engine, Host, Inventory, Runtime};

/// The most bytes of a record that are read.
const MOST: u64 = 64 << 20;

/// A host that was deployed to: enough to reach it again when no inventory names it any more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    /// What ssh is told to connect to.
    pub address: String,
    /// ssh's port, where the inventory said one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logged in, where the inventory said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Private keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identity: Vec<PathBuf>,
    /// Hosts to go through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jump: Vec<String>,
    /// `known_hosts` files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known_hosts: Vec<PathBuf>,
    /// The pinned key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host_key: Option<String>,
    /// Where the agent is installed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dir: Option<String>,
    /// How its containers are found, where its agent runs in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub container: Option<Contained>,
    /// When it was last deployed to, Unix seconds.
    pub at: u64,
}

/// A container host: how its engine is found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contained {
    /// Docker, Podman, or what answers.
    #[serde(default)]
    pub engine: Engine,
    /// The engine's socket, where the inventory said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The engine is this machine's own.
    #[serde(default)]
    pub local: bool,
}

/// All hosts that were deployed to, by name.
pub type Hosts = BTreeMap<String, Remembered>;

impl Remembered {
    /// As an inventory has it.
    fn of(host: &Host, at: f64) -> Self {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        // a time after 1970, in whole seconds
        let at = at.max(0.0) as u64;
        Self {
            address: host.address.clone(),
            port: host.port,
            user: host.user.clone(),
            identity: host.identity.clone(),
            jump: host.jump.clone(),
            known_hosts: host.known_hosts.clone(),
            host_key: host.host_key.clone(),
            dir: host.agent.dir.clone(),
            container: match &host.runtime {
                Runtime::Container(keys) => {
                    Some(Contained { engine: keys.engine, socket: keys.socket.clone(), local: keys.local })
                }
                _ => None,
            },
            at,
        }
    }

    /// As a host that can be worked on.
    pub fn host(&self, name: &str) -> Host {
        Host {
            name: name.to_owned(),
            address: self.address.clone(),
            port: self.port,
            user: self.user.clone(),
            identity: self.identity.clone(),
            jump: self.jump.clone(),
            known_hosts: self.known_hosts.clone(),
            host_key: self.host_key.clone(),
            agent: crate::inventory::AgentSettings { dir: self.dir.clone(), ..Default::default() },
            groups: Default::default(),
            labels: Default::default(),
            slots: None,
            runtime: match &self.container {
                Some(Contained { engine, socket, local }) => Runtime::Container(ContainerSettings {
                    engine: *engine,
                    socket: socket.clone(),
                    local: *local,
                    ..ContainerSettings::default()
                }),
                None => Runtime::Systemd(Default::default()),
            },
            policy: None,
            env: Default::default(),
        }
    }
}

/// PURE. Hosts that were deployed to and that the inventory does not name any more.
pub fn orphans(remembered: &Hosts, inventory: &Inventory) -> Vec<Host> {
    let known = |name: &&String| inventory.host(name).is_none();
    remembered.keys().filter(known).map(|name| remembered[name].host(name)).collect()
}

/// Where the record of a fleet lies: `$XDG_STATE_HOME/cm-fleet/fleets/<name>.json`.
///
/// # Errors
/// No home is known.
pub fn path(fleet: &str) -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var(name).ok().map(PathBuf::from).filter(|path| path.is_absolute());
    let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
    let state = state.ok_or_else(|| Failure::usage("neither XDG_STATE_HOME nor HOME is set"))?;
    Ok(state.join("cm-fleet/fleets").join(format!("{fleet}.json")))
}

/// What is remembered of a fleet; nothing where it was never deployed.
///
/// # Errors
/// The file is there and cannot be read: it is never taken for an empty one.
pub fn load(fleet: &str) -> Result<Hosts, Failure> {
    let path = path(fleet)?;
    let mut text = String::new();
    match File::open(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Hosts::new()),
        Err(e) => return Err(unreadable(&path).because(&e)),
        Ok(file) => file.take(MOST).read_to_string(&mut text).map_err(|e| unreadable(&path).because(&e))?,
    };
    if text.trim().is_empty() {
        return Ok(Hosts::new());
    }
    serde_json::from_str(&text).map_err(|e| unreadable(&path).because(&e))
}

fn unreadable(path: &Path) -> Failure {
    Failure::new(Kind::Task, format!("cannot read what is remembered of this fleet in {}", path.display()))
        .hint("mend or move that file; without it, hosts that left the inventory are not missed")
}

/// Writes along while hosts are worked on.
pub struct Record {
    fleet: String,
    report: Option<(PathBuf, BufWriter<File>)>,
    there: Hosts,
    gone: Vec<String>,
}

impl Record {
    /// `report`: a file that gets every event.
    ///
    /// # Errors
    /// The report file cannot be made.
    pub fn open(fleet: &str, report: Option<&Path>) -> Result<Self, Failure> {
        let report = report
            .map(|path| {
                let made = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(path);
                let cannot = |e| Failure::usage(format!("cannot write {}", path.display())).because(&e);
                made.map(|file| (path.to_owned(), BufWriter::new(file))).map_err(cannot)
            })
            .transpose()?;
        Ok(Self { fleet: fleet.to_owned(), report, there: Hosts::new(), gone: Vec::new() })
    }

    /// One more event; `known`: the hosts that are worked on.
    pub fn take(&mut self, event: &DeployEvent, known: &[Host]) {
        if let Some((_, file)) = &mut self.report {
            // What cannot be written shows when it is closed.
            let _ = serde_json::to_writer(&mut *file, event)
                .map_err(Into::into)
                .and_then(|()| file.write_all(b"\n"));
        }
        let DeployEventKind::HostFinished { host, outcome, .. } = &event.kind else { return };
        match outcome {
            Outcome::Changed(_) | Outcome::Unchanged { .. } | Outcome::TakenBack { generation: Some(_) } => {
                if let Some(found) = known.iter().find(|known| known.name == *host) {
                    self.there.insert(host.clone(), Remembered::of(found, event.at));
                }
            }
            Outcome::Removed | Outcome::TakenBack { generation: None } => {
                self.there.remove(host);
                self.gone.push(host.clone());
            }
            _ => {}
        }
    }

    /// Writes down what has changed, over what others have written meanwhile.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn close(mut self) -> Result<(), Failure> {
        if let Some((path, file)) = &mut self.report {
            let cannot = |e| Failure::new(Kind::Task, format!("cannot write {}", path.display())).because(&e);
            file.flush().map_err(cannot)?;
        }
        if self.there.is_empty() && self.gone.is_empty() {
            return Ok(());
        }
        let path = path(&self.fleet)?;
        let cannot = |e: &std::io::Error| {
            Failure::new(Kind::Task, format!("cannot remember the hosts of this fleet in {}", path.display()))
                .because(e)
        };
        let dir = path.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(dir).map_err(|e| cannot(&e))?;
        let lock = OpenOptions::new().create(true).append(true).mode(0o600).open(path.with_extension("lock"));
        let lock = lock.map_err(|e| cannot(&e))?;
        // Held for as long as it takes to read and write a small file.
        flock(&lock, FlockOperation::LockExclusive).map_err(|e| cannot(&e.into()))?;
        let mut hosts = load(&self.fleet)?;
        hosts.extend(std::mem::take(&mut self.there));
        for name in &self.gone {
            hosts.remove(name);
        }
        let text = serde_json::to_vec_pretty(&hosts).map_err(|e| cannot(&e.into()))?;
        cm_agent::host::places::write_private(&path, &text).map_err(|e| cannot(&e))
    }
}

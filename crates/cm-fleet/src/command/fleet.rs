//! Which agents a command about sessions talks to: selected hosts, or everything there is.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use super::hosts::{Opened, ReachArgs};
use super::inventory::InventoryOption;
use crate::cli::Global;
use crate::deploy::event::Outcome;
use crate::deploy::jobs::Depth;
use crate::dispatch::tasks::{HostFacts, Wanted};
use crate::failure::{Failure, Kind};
use crate::fleet::reach::{Fleet, Member, Unreached};
use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::inventory::{self, Host, Inventory, InventoryError};
use crate::local::Local;
use crate::report::event::HostPlan;
use crate::sessions::LOCAL;

/// The agents meant: with neither `-i`, `--on` nor `--ctx` all hosts of the inventory where there is one, and
/// this machine.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct FleetArgs {
    #[command(flatten)]
    inventory: InventoryOption,
    /// Only this context of `cm-fleet ctx`. May be repeated
    #[arg(long, value_name = "NAME", conflicts_with_all = ["inventory", "on"])]
    ctx: Vec<String>,
    /// Only this machine
    #[arg(long, conflicts_with_all = ["inventory", "on", "ctx"])]
    local: bool,
    #[command(flatten)]
    reach: ReachArgs,
}

impl FleetArgs {
    /// The agents meant. `--socket` alone is the one agent on that socket.
    ///
    /// # Errors
    /// The inventory cannot be used, or selects nothing.
    pub async fn fleet(&self, global: &Global) -> Result<Fleet, Failure> {
        let Some(Meant { inventory, hosts, found }) = self.meant(global)? else {
            return Ok(self.only_here(global));
        };
        let mut fleet = self.members(global, inventory, hosts, found).await?;
        if !found {
            return Ok(fleet);
        }
        // This machine's agent is one of them, unless it has nothing to say.
        let taken = |member: &Member| !member.way.is_remote() || member.host == LOCAL;
        if !fleet.members.iter().any(taken) && global.local(false).runs().await {
            // Should it die while it is followed, it is started again.
            fleet.members.insert(0, Member::here(global.local(true)));
        }
        Ok(fleet)
    }

    /// The hosts a run may use: those that are meant, else all of the inventory there is, else this machine.
    ///
    /// # Errors
    /// As [`Self::fleet`].
    pub async fn crew(&self, global: &Global) -> Result<Crew, Failure> {
        let Some(Meant { inventory, hosts, found }) = self.meant(global)? else {
            return Ok(Crew { fleet: self.only_here(global), inventory: None });
        };
        let fleet = self.members(global, inventory.clone(), hosts, found).await?;
        Ok(Crew { fleet, inventory: Some(inventory) })
    }

    fn only_here(&self, global: &Global) -> Fleet {
        Fleet::here(global.local(true), self.within())
    }

    /// The hosts of the inventory that is named, or of the one that is found; none: this machine alone.
    fn meant(&self, global: &Global) -> Result<Option<Meant>, Failure> {
        if self.local {
            return Ok(None);
        }
        let InventoryOption { inventory, on } = &self.inventory;
        if inventory.is_some() || !on.is_empty() || !self.ctx.is_empty() {
            let (inventory, hosts) = self.named()?;
            return Ok(Some(Meant { inventory, hosts, found: false }));
        }
        if global.names_socket() {
            return Ok(None);
        }
        let found = found()?.filter(|inventory| !inventory.hosts.is_empty());
        Ok(found.map(|inventory| Meant { hosts: inventory.hosts.clone(), inventory, found: true }))
    }

    /// The same, to be used again later and from anywhere: what was looked for is named.
    #[must_use]
    pub fn fixed(&self, crew: &Crew) -> Self {
        let mut fixed = self.clone();
        match &crew.inventory {
            None => fixed.local = true,
            Some(inventory) if fixed.ctx.is_empty() => {
                let file = std::path::absolute(&inventory.file).unwrap_or_else(|_| inventory.file.clone());
                fixed.inventory.inventory = Some(file);
            }
            Some(_) => {}
        }
        fixed
    }

    /// The hosts of the inventory that are meant, for commands about hosts rather than agents.
    ///
    /// # Errors
    /// As [`Self::fleet`].
    pub async fn hosts(&self) -> Result<Opened, Failure> {
        let (inventory, hosts) = self.named()?;
        self.reach.open(inventory, hosts, Depth::Reach).await
    }

    fn named(&self) -> Result<(Inventory, Vec<Host>), Failure> {
        if self.ctx.is_empty() { self.inventory.load() } else { super::ctx::select(&self.ctx) }
    }

    /// How long one agent may take to be reached: more than one step of its connection.
    fn within(&self) -> Duration {
        self.reach.timeout() * 3
    }

    /// `found`: nobody has named this inventory, it just lies here.
    async fn members(
        &self,
        global: &Global,
        inventory: Inventory,
        hosts: Vec<Host>,
        found: bool,
    ) -> Result<Fleet, Failure> {
        let lies_here = found && inventory.file == Path::new(inventory::NAME);
        let order: Vec<String> = hosts.iter().map(|host| host.name.clone()).collect();
        let Opened { jobs, settled, keys, .. } = self.reach.open(inventory, hosts, Depth::Reach).await?;
        let mut lost = Vec::new();
        let mut members = Vec::new();
        for job in jobs {
            let host = job.name.clone();
            let mut tunnel = Tunnel::new(job, Arc::clone(&keys));
            if lies_here {
                tunnel = tunnel.unnamed();
            }
            members.push(Member { host, way: Way::There(Arc::new(tunnel)) });
        }
        for (host, outcome) in settled {
            match outcome {
                Outcome::Nothing { .. } => members.push(Member { host, way: Way::Here(global.local(true)) }),
                outcome => lost.push(Unreached { failure: cannot(&host, &outcome), host }),
            }
        }
        let place = |name: &str| order.iter().position(|host| host == name);
        members.sort_by_key(|member| place(&member.host));
        Ok(Fleet { members, lost, within: self.within() })
    }
}

/// Hosts of an inventory.
struct Meant {
    inventory: Inventory,
    hosts: Vec<Host>,
    /// Nobody has named this inventory.
    found: bool,
}

/// Which of a run's hosts a task may use.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Chosen {
    /// Any.
    All,
    /// Those a selector selects.
    On(String),
    /// This one.
    Host(String),
}

impl Chosen {
    /// What a task says.
    pub fn by(task: &Wanted) -> Self {
        match (&task.host, &task.on) {
            (Some(host), _) => Self::Host(host.clone()),
            (None, Some(on)) => Self::On(on.clone()),
            (None, None) => Self::All,
        }
    }
}

/// Different choices, each once, and the number of each task's.
pub fn choices(wanted: &[Wanted]) -> (Vec<Chosen>, Vec<usize>) {
    let mut chosen = vec![Chosen::All];
    let mut known = BTreeMap::from([(Chosen::All, 0)]);
    let of_tasks = wanted.iter().map(|task| {
        let choice = Chosen::by(task);
        *known.entry(choice.clone()).or_insert_with(|| {
            chosen.push(choice);
            chosen.len() - 1
        })
    });
    let of_tasks = of_tasks.collect();
    (chosen, of_tasks)
}

/// The hosts of a run.
pub struct Crew {
    /// How they are reached.
    pub fleet: Fleet,
    /// Where they are described, unless it is this machine alone.
    pub inventory: Option<Inventory>,
}

impl Crew {
    fn place(&self, host: &str) -> Option<usize> {
        self.fleet.members.iter().position(|member| member.host == host)
    }

    fn described(&self, host: &str) -> Option<&Host> {
        self.inventory.as_ref()?.host(host)
    }

    /// What the run is told of its hosts. `slots`: of those of which the inventory does not say how many.
    pub fn plans(&self, slots: Option<u32>) -> Vec<HostPlan> {
        let plan = |member: &Member| HostPlan {
            name: member.host.clone(),
            slots: self.described(&member.host).and_then(|host| host.slots).or(slots),
        };
        self.fleet.members.iter().map(plan).collect()
    }

    /// What files of tasks may say of hosts.
    pub fn facts(&self) -> Vec<HostFacts> {
        let bare = |name: &str| HostFacts { name: name.to_owned(), ..HostFacts::default() };
        let members = self.fleet.members.iter();
        members.map(|m| self.described(&m.host).map_or_else(|| bare(&m.host), HostFacts::from)).collect()
    }

    /// The sets of hosts that are meant, by their numbers. An empty one is all hosts.
    ///
    /// # Errors
    /// One selects hosts that are not there.
    pub fn pools(&self, chosen: &[Chosen]) -> Result<Vec<Vec<usize>>, Failure> {
        chosen.iter().map(|chosen| self.pool(chosen)).collect()
    }

    fn pool(&self, chosen: &Chosen) -> Result<Vec<usize>, Failure> {
        let on = match chosen {
            Chosen::All => return Ok(Vec::new()),
            // A host that has gone is not all hosts.
            Chosen::Host(host) => return Ok(vec![self.place(host).unwrap_or(usize::MAX)]),
            Chosen::On(on) => on,
        };
        let Some(inventory) = &self.inventory else {
            return Err(Failure::usage(format!("a task is to run on `{on}`, and there is no inventory"))
                .hint("-i FILE names one"));
        };
        let selected = super::inventory::select(inventory, std::slice::from_ref(on))?;
        let pool: Vec<usize> = selected.iter().filter_map(|host| self.place(&host.name)).collect();
        if pool.is_empty() {
            let what = format!("a task is to run on `{on}`, and none of these hosts is used in this run");
            return Err(Failure::usage(what).hint("--on selects the hosts of the whole run"));
        }
        Ok(pool)
    }
}

/// The inventory at one of the places where it is looked for.
fn found() -> Result<Option<Inventory>, Failure> {
    let path = match inventory::find(None) {
        Err(InventoryError::Missing { .. }) => return Ok(None),
        other => other.map_err(|error| error.failure())?,
    };
    let loaded = Inventory::load(&path, &|name| std::env::var(name).ok());
    loaded.map(Some).map_err(|error| {
        error.failure().hint("--local means this machine alone; -i FILE names another inventory")
    })
}

/// Why a host cannot even be asked.
fn cannot(host: &str, outcome: &Outcome) -> Failure {
    let failure = Failure::new(Kind::Unreachable, format!("cannot reach the agent on {host}"));
    match outcome {
        Outcome::Unreachable { why } | Outcome::Refused { why, .. } | Outcome::Failed { why, .. } => {
            failure.caused_by(why.clone())
        }
        _ => failure,
    }
}

impl Local {
    /// Whether an agent runs, or there may be one that cannot be reached: worth asking.
    async fn runs(&self) -> bool {
        match self {
            Self::At(_) => true,
            Self::OnDemand | Self::IfRunning => match crate::local::places() {
                Ok(own) => {
                    !matches!(crate::local::reach(&own.socket).await, crate::local::Reached::Nobody(_))
                        || own.elsewhere().is_some()
                }
                Err(_) => false,
            },
        }
    }
}

//! Which agents a command about sessions talks to: selected hosts, or everything there is.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::hosts::{Opened, ReachArgs};
use super::inventory::InventoryOption;
use crate::cli::Global;
use crate::deploy::event::Outcome;
use crate::deploy::jobs::Depth;
use crate::failure::{Failure, Kind};
use crate::fleet::reach::{Fleet, Member, Unreached};
use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::inventory::{self, Host, Inventory, InventoryError, Runtime};
use crate::local::Local;
use crate::sessions::LOCAL;

/// The agents meant: with neither `-i`, `--on` nor `--ctx` all hosts of the inventory where there is one, and
/// this machine.
#[derive(Debug, Args)]
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
        let only_here = || Fleet::here(global.local(true), self.within());
        let named = self.inventory.inventory.is_some() || !self.inventory.on.is_empty();
        if self.local {
            return Ok(only_here());
        }
        if named || !self.ctx.is_empty() {
            let (inventory, hosts) = self.named()?;
            return self.members(global, inventory, hosts, false).await;
        }
        if global.names_socket() {
            return Ok(only_here());
        }
        let Some(inventory) = found()? else { return Ok(only_here()) };
        if inventory.hosts.is_empty() {
            return Ok(only_here());
        }
        let hosts = inventory.hosts.clone();
        // This machine's agent is one of them, unless it has nothing to say.
        let mut fleet = self.members(global, inventory, hosts, true).await?;
        let taken = |member: &Member| !member.way.is_remote() || member.host == LOCAL;
        if !fleet.members.iter().any(taken) && global.local(false).runs().await {
            // Should it die while it is followed, it is started again.
            fleet.members.insert(0, Member::here(global.local(true)));
        }
        Ok(fleet)
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
        let order: Vec<(String, bool)> =
            hosts.iter().map(|host| (host.name.clone(), host.runtime == Runtime::Local)).collect();
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
        let place = |name: &str| order.iter().position(|(host, _)| host == name);
        members.sort_by_key(|member| place(&member.host));
        Ok(Fleet { members, lost, within: self.within() })
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

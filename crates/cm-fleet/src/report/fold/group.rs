//! Tasks that can stand in for each other, and the hosts that have room for them. PURE.

use std::collections::{BTreeMap, BTreeSet};

use super::host::Host;

/// What tasks that can stand in for each other need: a pool of hosts, and a tool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kind {
    /// The pool's number; none of the run's: all hosts.
    pub pool: usize,
    /// The tool.
    pub tool: String,
}

/// How good a host is to be given a task; the best has the lowest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// How much of it is in use, counting what others do there.
    pub used: u32,
    /// How often it has failed tasks in a row.
    pub failures: u32,
    /// Its place among the run's hosts.
    pub host: usize,
}

impl Rank {
    /// Of a host, by its place.
    pub fn of(index: usize, host: &Host) -> Self {
        let held = u32::try_from(host.tasks.len()).unwrap_or(u32::MAX);
        let used = held.saturating_mul(1000) / host.slots();
        Self { used: used.saturating_add(u32::from(host.busy) * 250), failures: host.failures, host: index }
    }
}

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub struct Group {
    /// What they need.
    pub kind: Kind,
    /// Those that wait for their turn, and may go anywhere.
    pub ready: BTreeSet<usize>,
    /// Those to be tried again, by when (milliseconds of Unix time): not every host will do.
    pub retry: BTreeSet<(u64, usize)>,
    /// Those on hosts that are given up.
    pub stranded: BTreeSet<usize>,
    /// Hosts that can take one now, the best first.
    pub room: BTreeSet<Rank>,
    /// Of these the ones that have a repository, for each one that tasks of this group name, by address.
    pub near: BTreeMap<String, BTreeSet<Rank>>,
    /// Hosts it is for that are given up, or lastingly cannot run the tool.
    pub unable: usize,
    /// Hosts it is for that cannot run the tool, for whatever time.
    pub unfit: usize,
    pub(super) head: Option<usize>,
    pub(super) first: Option<(u64, usize)>,
}

impl Group {
    pub(super) fn new(kind: Kind) -> Self {
        Self {
            kind,
            ready: BTreeSet::new(),
            retry: BTreeSet::new(),
            stranded: BTreeSet::new(),
            room: BTreeSet::new(),
            near: BTreeMap::new(),
            unable: 0,
            unfit: 0,
            head: None,
            first: None,
        }
    }
}

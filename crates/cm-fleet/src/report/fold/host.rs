//! A host of a run and where it stands. PURE.

use std::collections::{BTreeMap, BTreeSet};

use cm_protocol::State;

use crate::report::event::{Class, RunEventKind, TaskPlan};

/// Tasks a host runs at the same time where neither the inventory nor its agent says how many.
pub const DEFAULT_SLOTS: u32 = 4;

/// Failures of hosts' own in a row that are forgiven when a host is trusted again: one more sets it aside again.
const REMEMBERED: u32 = 2;

/// A host, and what is known of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Tasks it runs at the same time, as the inventory says.
    pub slots: Option<u32>,
    /// The same, as its agent says.
    pub offered: Option<u32>,
    /// Whether its agent answers.
    pub link: Link,
    /// It holds as many sessions as it may.
    pub full: bool,
    /// It has been full before in this run.
    pub was_full: bool,
    /// It is given nothing new for a while.
    pub aside: Option<Aside>,
    /// How often it has failed tasks in a row.
    pub failures: u32,
    /// When the last of these was, Unix seconds.
    pub failed_at: f64,
    /// Tools it cannot run.
    pub unfit: BTreeMap<String, Unfit>,
    /// How busy it is, 0 to 4.
    pub busy: u8,
    /// Tasks it holds: asked for, or running.
    pub tasks: BTreeSet<usize>,
    /// Tasks of which an attempt may still run there that is not wanted any more.
    pub stale: BTreeSet<usize>,
    /// The run's repositories that it has, by address.
    pub repos: BTreeSet<String>,
}

/// Whether a host's agent answers.
#[derive(Debug, Clone, PartialEq)]
pub enum Link {
    /// Nobody has heard of it yet.
    Unknown {
        /// Waited for since then, Unix seconds.
        since: f64,
    },
    /// It does.
    Up,
    /// Not now; being reconnected.
    Lost {
        /// Why.
        error: String,
        /// When it was last heard, Unix seconds.
        since: f64,
    },
    /// Not for too long.
    GivenUp {
        /// Why.
        error: String,
    },
}

impl Link {
    /// A host that is no longer one of the run's. It is given up in its time, when leases there are over.
    pub fn gone(since: f64) -> Self {
        Self::Lost { error: "it is no longer among the hosts of this run".to_owned(), since }
    }
}

/// Why a host is given nothing for a while.
#[derive(Debug, Clone, PartialEq)]
pub struct Aside {
    /// What went wrong.
    pub error: String,
    /// Until when, Unix seconds.
    pub until: f64,
}

/// Why a host cannot run a tool.
#[derive(Debug, Clone, PartialEq)]
pub struct Unfit {
    /// In words.
    pub error: String,
    /// Until when, Unix seconds, where that is known.
    pub until: Option<f64>,
}

impl Host {
    /// A host nobody has heard of yet.
    pub fn new(name: String, slots: Option<u32>, now: f64) -> Self {
        Self {
            name,
            slots,
            offered: None,
            link: Link::Unknown { since: now },
            full: false,
            was_full: false,
            aside: None,
            failures: 0,
            failed_at: 0.0,
            unfit: BTreeMap::new(),
            busy: 0,
            tasks: BTreeSet::new(),
            stale: BTreeSet::new(),
            repos: BTreeSet::new(),
        }
    }

    /// Tasks it runs at the same time; at least 1.
    pub fn slots(&self) -> u32 {
        self.slots.or(self.offered).unwrap_or(DEFAULT_SLOTS).max(1)
    }

    /// Whether nobody waits for it any more.
    pub fn is_given_up(&self) -> bool {
        matches!(self.link, Link::GivenUp { .. })
    }

    /// Whether it can take a task now, as far as its own state goes.
    pub fn can_take(&self, detach: bool) -> bool {
        let room = detach || (self.tasks.len() as u64) < u64::from(self.slots());
        self.link == Link::Up && !self.full && self.aside.is_none() && room
    }

    /// Whether it may run this tool one day: it is not given up, and no lasting reason speaks against it.
    pub fn may_ever(&self, tool: &str) -> bool {
        let lasting = self.unfit.get(tool).is_some_and(|unfit| unfit.until.is_none());
        !self.is_given_up() && !lasting
    }

    pub(super) fn apply(&mut self, at: f64, kind: &RunEventKind) {
        match kind {
            RunEventKind::HostConnected { slots, .. } => {
                self.link = Link::Up;
                self.full = false;
                self.offered = slots.or(self.offered);
            }
            RunEventKind::HostLost { error, heard, .. } => {
                self.link = Link::Lost { error: error.clone(), since: heard.unwrap_or(at) };
            }
            RunEventKind::HostGivenUp { error, .. } => self.link = Link::GivenUp { error: error.clone() },
            RunEventKind::HostFull { .. } => (self.full, self.was_full) = (true, true),
            RunEventKind::HostRoom { .. } => self.full = false,
            RunEventKind::HostLoad { busy, .. } => self.busy = *busy,
            RunEventKind::HostHas { repos, .. } => self.repos = repos.iter().cloned().collect(),
            RunEventKind::HostSetAside { error, until, .. } => {
                self.aside = Some(Aside { error: error.clone(), until: *until });
            }
            RunEventKind::HostTrusted { .. } => {
                self.aside = None;
                self.failures = self.failures.min(REMEMBERED);
            }
            RunEventKind::HostUnfit { tool, error, until, .. } => {
                self.unfit.insert(tool.clone(), Unfit { error: error.clone(), until: *until });
            }
            RunEventKind::HostFit { tool, .. } => {
                self.unfit.remove(tool);
            }
            _ => {}
        }
    }

    /// Whether the failure of an attempt that began then is one more: what a single reboot ends is one failure,
    /// however many tasks ran.
    pub fn blames(&self, began: f64) -> bool {
        self.failures == 0 || began > self.failed_at
    }

    fn blame(&mut self, at: f64, began: f64) {
        if self.blames(began) {
            self.failures += 1;
            self.failed_at = at;
        }
    }

    /// What a task's news says about the host it ran on. `began`: its attempt.
    pub(super) fn hear_of_task(&mut self, at: f64, task: &TaskPlan, began: f64, kind: &RunEventKind) {
        match kind {
            // It was cloned for this one.
            RunEventKind::TaskStarted { .. } => self.repos.extend(task.repo.clone()),
            RunEventKind::TaskQueued { fence: true, .. } => _ = self.stale.insert(task.number),
            RunEventKind::AttemptFailed { class, fence, .. } => {
                match class {
                    Class::Infrastructure => self.blame(at, began),
                    _ => self.failures = 0,
                }
                if *fence {
                    self.stale.insert(task.number);
                }
            }
            RunEventKind::TaskParked { class: Class::Infrastructure, outcome, .. } => {
                self.blame(at, began);
                if outcome.is_none() {
                    self.stale.insert(task.number);
                }
            }
            RunEventKind::TaskFinished { outcome, .. } if outcome.state != State::Lost => self.failures = 0,
            _ => {}
        }
    }
}

impl RunEventKind {
    /// The host an event changes, where it is about a host alone.
    pub(super) fn host_changed(&self) -> Option<&str> {
        match self {
            Self::HostConnected { host, .. }
            | Self::HostLoad { host, .. }
            | Self::HostHas { host, .. }
            | Self::HostLost { host, .. }
            | Self::HostGivenUp { host, .. }
            | Self::HostSetAside { host, .. }
            | Self::HostTrusted { host }
            | Self::HostUnfit { host, .. }
            | Self::HostFit { host, .. }
            | Self::HostFull { host, .. }
            | Self::HostRoom { host } => Some(host),
            _ => None,
        }
    }
}

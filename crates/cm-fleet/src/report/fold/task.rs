//! A task of a run and where it stands. PURE.

use std::collections::BTreeSet;

use cm_protocol::{Outcome, Prompt, SessionId, State};

use crate::report::event::{Class, RunEventKind, TaskPlan};

/// A task and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What was asked.
    pub plan: TaskPlan,
    /// Where it stands.
    pub status: Status,
    /// The last attempt's number; 0 before the first.
    pub attempt: u32,
    /// Hosts that have failed it.
    pub tried: Vec<String>,
    /// Hosts where an earlier attempt may still run: nobody has told them yet that it is not wanted.
    pub loose: BTreeSet<String>,
    /// How often it has been tried again because it had failed.
    pub retried: u32,
    /// The commit its first attempt started from, and all that went on with its work.
    pub base: Option<String>,
    /// Ends of attempts that had been given up.
    pub late: Vec<Late>,
}

/// The end of an attempt that had been given up.
#[derive(Debug, Clone, PartialEq)]
pub struct Late {
    /// The attempt.
    pub attempt: u32,
    /// Where it ran.
    pub host: String,
    /// How it ended.
    pub outcome: Box<Outcome>,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// It waits.
    Queued(Wait),
    /// A host is being asked.
    Placed {
        /// The host.
        host: String,
        /// The attempt, from 1.
        attempt: u32,
        /// Since when.
        since: f64,
    },
    /// It has a session.
    Live(Live),
    /// It has ended.
    Ended {
        /// The host.
        host: String,
        /// Its session.
        session: SessionId,
        /// How.
        outcome: Outcome,
    },
    /// No host would start it.
    Refused {
        /// Why.
        error: String,
    },
    /// It cannot go on until somebody does something.
    Parked {
        /// What kind of failure.
        class: Class,
        /// In words.
        error: String,
        /// How its last attempt ended.
        outcome: Option<Box<Outcome>>,
    },
    /// It is not run.
    Skipped {
        /// The task it was to follow, which has not ended well.
        because: usize,
    },
}

/// What a queued task waits for.
#[derive(Debug, Clone, PartialEq)]
pub enum Wait {
    /// Its turn.
    Turn,
    /// So many other tasks.
    Others(usize),
    /// A time: its last attempt has failed.
    Until {
        /// Unix seconds.
        at: f64,
        /// What kind of failure.
        class: Class,
        /// In words.
        error: String,
    },
}

/// A task with a living session.
#[derive(Debug, Clone, PartialEq)]
pub struct Live {
    /// The host.
    pub host: String,
    /// Its session.
    pub session: SessionId,
    /// Since when, Unix seconds.
    pub since: f64,
    /// The session's state.
    pub state: State,
    /// Why it is in this state.
    pub reason: Option<String>,
    /// The question it waits on.
    pub prompt: Option<Prompt>,
    /// The last line of its screen; empty at first.
    pub line: String,
    /// The last prompt there is a receipt for.
    pub receipt: Option<u64>,
}

impl Task {
    pub(super) fn new(plan: &TaskPlan) -> Self {
        let wait = if plan.after.is_empty() { Wait::Turn } else { Wait::Others(plan.after.len()) };
        Self {
            plan: plan.clone(),
            status: Status::Queued(wait),
            attempt: 0,
            tried: Vec::new(),
            loose: BTreeSet::new(),
            retried: 0,
            base: None,
            late: Vec::new(),
        }
    }

    /// It is tried again, as if nothing had been tried; `left` tasks have to end before.
    pub(super) fn reopen(&mut self, left: usize) {
        self.tried.clear();
        self.retried = 0;
        self.base = None;
        self.status = Status::Queued(if left > 0 { Wait::Others(left) } else { Wait::Turn });
    }

    /// Whether not every host will do for it.
    pub fn is_choosy(&self) -> bool {
        !self.tried.is_empty() || !self.loose.is_empty()
    }

    /// Whether the event made sense here.
    pub(super) fn apply(&mut self, at: f64, kind: &RunEventKind) -> bool {
        let next = match (&mut self.status, kind) {
            (Status::Queued(_) | Status::Placed { .. }, RunEventKind::TaskPlaced { host, attempt, .. }) => {
                self.attempt = *attempt;
                Status::Placed { host: host.clone(), attempt: *attempt, since: at }
            }
            (Status::Placed { host, .. }, RunEventKind::TaskStarted { session_id, base, .. }) => {
                self.base = base.clone().or(self.base.take());
                Status::Live(Live::new(std::mem::take(host), session_id.clone(), at))
            }
            (Status::Placed { host, .. }, RunEventKind::TaskQueued { fence, .. }) => {
                self.loose.extend(fence.then(|| std::mem::take(host)));
                Status::Queued(Wait::Turn)
            }
            (Status::Queued(_) | Status::Placed { .. }, RunEventKind::TaskRefused { error, .. }) => {
                Status::Refused { error: error.clone() }
            }
            (
                status @ (Status::Placed { .. } | Status::Live(_)),
                RunEventKind::AttemptFailed { attempt, host, class, error, again_at, fence, .. },
            ) if *attempt == self.attempt => {
                if *fence {
                    self.loose.extend(status.host().map(str::to_owned));
                }
                match class {
                    // It begins anew.
                    Class::Task => (self.retried, self.base) = (self.retried + 1, None),
                    Class::Infrastructure => self.tried.push(host.clone()),
                    Class::Login | Class::Quota | Class::Policy => {}
                }
                Status::Queued(Wait::Until { at: *again_at, class: *class, error: error.clone() })
            }
            (status, RunEventKind::TaskParked { class, error, outcome, .. }) if !status.is_over() => {
                if *class == Class::Infrastructure && outcome.is_none() {
                    self.loose.extend(status.host().map(str::to_owned));
                }
                Status::Parked { class: *class, error: error.clone(), outcome: outcome.clone() }
            }
            (Status::Queued(_), RunEventKind::TaskSkipped { because, .. }) => {
                Status::Skipped { because: *because }
            }
            (Status::Live(live), RunEventKind::TaskFinished { outcome, .. }) => Status::Ended {
                host: std::mem::take(&mut live.host),
                session: live.session.clone(),
                outcome: outcome.clone(),
            },
            (_, RunEventKind::TaskLate { attempt, host, outcome, .. }) => {
                self.late.push(Late { attempt: *attempt, host: host.clone(), outcome: outcome.clone() });
                return false;
            }
            (Status::Live(live), kind) => return live.apply(kind),
            _ => return false,
        };
        self.status = next;
        true
    }
}

impl Live {
    fn new(host: String, session: SessionId, since: f64) -> Self {
        Self {
            host,
            session,
            since,
            state: State::Starting,
            reason: None,
            prompt: None,
            line: String::new(),
            receipt: None,
        }
    }

    fn apply(&mut self, kind: &RunEventKind) -> bool {
        match kind {
            RunEventKind::TaskState { state, reason, prompt, .. } => {
                self.state = *state;
                self.reason.clone_from(reason);
                self.prompt.clone_from(prompt);
            }
            RunEventKind::TaskOutput { line, .. } => self.line.clone_from(line),
            RunEventKind::TaskReceipt { receipt, .. } => self.receipt = Some(receipt.prompt.id),
            _ => return false,
        }
        true
    }
}

impl Status {
    /// The task's session, where it has one.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Live(live) => Some(&live.session),
            Self::Ended { session, .. } => Some(session),
            _ => None,
        }
    }

    /// The host it is on, or was last.
    pub fn host(&self) -> Option<&str> {
        match self {
            Self::Placed { host, .. } | Self::Ended { host, .. } => Some(host),
            Self::Live(live) => Some(&live.host),
            _ => None,
        }
    }

    /// When its attempt began, Unix seconds; 0 where there is none under way.
    pub fn since(&self) -> f64 {
        match self {
            Self::Placed { since, .. } => *since,
            Self::Live(live) => live.since,
            _ => 0.0,
        }
    }

    /// The host it takes a place on.
    pub(super) fn holder(&self) -> Option<&str> {
        match self {
            Self::Ended { .. } => None,
            other => other.host(),
        }
    }

    /// Nothing follows, unless somebody opens it again.
    pub fn is_over(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Refused { .. } | Self::Parked { .. } | Self::Skipped { .. })
    }

    /// It has ended well.
    pub fn is_done(&self) -> bool {
        matches!(self, Self::Ended { outcome, .. } if outcome.state == State::Done)
    }
}

impl RunEventKind {
    /// Whether a task stays where it is counted and looked up.
    pub(super) fn keeps_place(&self) -> bool {
        matches!(
            self,
            Self::TaskState { .. }
                | Self::TaskOutput { .. }
                | Self::TaskReceipt { .. }
                | Self::TaskConfirmed { .. }
                | Self::TaskLate { .. }
        )
    }
}

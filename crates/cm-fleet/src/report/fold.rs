//! Where a run stands: the fold of its events, and nothing but. PURE.

use std::collections::{BTreeMap, BTreeSet};

use cm_protocol::{Outcome, Prompt, SessionId, State};

use super::event::{RunEvent, RunEventKind, Stop, Summary, TaskPlan};
use crate::exit::Exit;

/// A run. Made by [`RunState::apply`] alone; every report is drawn from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// The run's id.
    pub run: String,
    /// When it began, Unix seconds.
    pub started_at: f64,
    /// How many tasks run at once at most.
    pub jobs: usize,
    /// Whether the run ends when every task has its session.
    pub detach: bool,
    /// The tasks; the one numbered `n` stands at `n - 1`.
    pub tasks: Vec<Task>,
    /// Whether the hosts' agents answer.
    pub hosts: BTreeMap<String, Link>,
    /// Hosts that have no room for another session.
    pub full: BTreeSet<String>,
    /// How the operator wants to stop.
    pub stop: Option<Stop>,
    /// How it ended; nothing follows.
    pub finished: Option<Finished>,
}

/// A run's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finished {
    /// What became of the tasks.
    pub summary: Summary,
    /// How long it took, seconds.
    pub seconds: f64,
    /// The command's exit code.
    pub exit: u8,
}

/// Whether a host's agent answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Link {
    /// It does.
    Up,
    /// Not now; being reconnected.
    Lost {
        /// Why.
        error: String,
    },
    /// Not for too long.
    GivenUp {
        /// Why.
        error: String,
    },
}

/// A task and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// What was asked.
    pub plan: TaskPlan,
    /// Where it stands.
    pub status: Status,
}

/// Where a task stands.
#[derive(Debug, Clone, PartialEq)]
pub enum Status {
    /// Nobody has been asked yet.
    Queued,
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

impl RunState {
    /// The state after one more event. Events about unknown tasks, or for a task in a state where they
    /// make no sense (a late repeat), change nothing.
    pub fn apply(&mut self, event: &RunEvent) {
        match &event.kind {
            RunEventKind::RunStarted { run, jobs, detach, tasks } => {
                *self = Self {
                    run: run.clone(),
                    started_at: event.at,
                    jobs: *jobs,
                    detach: *detach,
                    tasks: tasks.iter().map(|p| Task { plan: p.clone(), status: Status::Queued }).collect(),
                    ..Self::default()
                };
            }
            RunEventKind::HostConnected { host, .. } => self.link(host, Link::Up),
            RunEventKind::HostLost { host, error } => self.link(host, Link::Lost { error: error.clone() }),
            RunEventKind::HostGivenUp { host, error } => {
                self.link(host, Link::GivenUp { error: error.clone() });
            }
            RunEventKind::HostFull { host, .. } => {
                self.full.insert(host.clone());
            }
            RunEventKind::HostRoom { host } => {
                self.full.remove(host);
            }
            RunEventKind::StopRequested { stop } => self.stop = self.stop.max(Some(*stop)),
            RunEventKind::RunFinished { summary, seconds, exit, .. } => {
                self.finished = Some(Finished { summary: *summary, seconds: *seconds, exit: *exit });
            }
            RunEventKind::HostNotice { .. } | RunEventKind::CancelFailed { .. } => {}
            kind => {
                if let Some(task) = kind.task().and_then(|number| self.task_mut(number)) {
                    task.status.apply(event.at, kind);
                }
            }
        }
    }

    fn link(&mut self, host: &str, link: Link) {
        self.hosts.insert(host.to_owned(), link);
    }

    fn task_mut(&mut self, number: usize) -> Option<&mut Task> {
        self.tasks.get_mut(number.checked_sub(1)?)
    }

    /// The task with this number.
    pub fn task(&self, number: usize) -> Option<&Task> {
        self.tasks.get(number.checked_sub(1)?)
    }

    /// The number of the task this session belongs to.
    pub fn task_of(&self, session: &SessionId) -> Option<usize> {
        self.tasks.iter().find(|t| t.status.session() == Some(session)).map(|t| t.plan.number)
    }

    /// Tasks that have a session which has not ended.
    pub fn live(&self) -> impl Iterator<Item = (&TaskPlan, &Live)> {
        self.tasks.iter().filter_map(|t| match &t.status {
            Status::Live(live) => Some((&t.plan, live)),
            _ => None,
        })
    }

    /// What has become of the tasks so far.
    pub fn summary(&self) -> Summary {
        let mut sum = Summary::default();
        for task in &self.tasks {
            *match &task.status {
                Status::Queued => &mut sum.queued,
                Status::Placed { .. } | Status::Live(_) => &mut sum.running,
                Status::Ended { outcome, .. } if outcome.state == State::Done => &mut sum.done,
                Status::Ended { .. } | Status::Refused { .. } => &mut sum.failed,
            } += 1;
        }
        sum
    }

    /// The exit code that follows from where things stand.
    pub fn exit(&self) -> Exit {
        let sum = self.summary();
        let left = sum.running + sum.queued;
        if self.stop.is_some() {
            // Ctrl-C that came after the last task had ended changed nothing.
            return match (left, sum.failed) {
                (0, 0) => Exit::Done,
                _ => Exit::Interrupted,
            };
        }
        if left > 0 && self.hosts.values().all(|link| *link != Link::Up) {
            return Exit::Unreachable;
        }
        match sum.failed {
            0 => Exit::Done,
            _ => Exit::Failed,
        }
    }
}

impl Status {
    fn apply(&mut self, at: f64, kind: &RunEventKind) {
        match (&mut *self, kind) {
            (Self::Queued | Self::Placed { .. }, RunEventKind::TaskPlaced { host, attempt, .. }) => {
                *self = Self::Placed { host: host.clone(), attempt: *attempt, since: at };
            }
            (Self::Placed { host, .. }, RunEventKind::TaskStarted { session_id, .. }) => {
                *self = Self::Live(Live {
                    host: std::mem::take(host),
                    session: session_id.clone(),
                    since: at,
                    state: State::Starting,
                    reason: None,
                    prompt: None,
                    line: String::new(),
                    receipt: None,
                });
            }
            (Self::Placed { .. }, RunEventKind::TaskQueued { .. }) => *self = Self::Queued,
            (Self::Queued | Self::Placed { .. }, RunEventKind::TaskRefused { error, .. }) => {
                *self = Self::Refused { error: error.clone() };
            }
            (Self::Live(live), RunEventKind::TaskState { state, reason, prompt, .. }) => {
                live.state = *state;
                live.reason.clone_from(reason);
                live.prompt.clone_from(prompt);
            }
            (Self::Live(live), RunEventKind::TaskOutput { line, .. }) => live.line.clone_from(line),
            (Self::Live(live), RunEventKind::TaskReceipt { receipt, .. }) => {
                live.receipt = Some(receipt.prompt.id);
            }
            (Self::Live(live), RunEventKind::TaskFinished { outcome, .. }) => {
                *self = Self::Ended { session: live.session.clone(), outcome: outcome.clone() };
            }
            _ => {}
        }
    }

    /// The task's session, where it has one.
    pub fn session(&self) -> Option<&SessionId> {
        match self {
            Self::Live(live) => Some(&live.session),
            Self::Ended { session, .. } => Some(session),
            Self::Queued | Self::Placed { .. } | Self::Refused { .. } => None,
        }
    }
}

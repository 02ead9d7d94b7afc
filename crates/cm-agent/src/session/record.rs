//! What is kept of a session on disk, enough to find it again and to tell its story without it.

use std::collections::HashMap;

use cm_protocol::{
    Check, CheckResult, Event, EventKind, Fence, Lease, OnDone, Outcome, PolicyChoice, Prompt, Receipt,
    ResourceLimits, SessionDetail, SessionId, SessionInfo, Size, State, TaskRef,
};
use serde::{Deserialize, Serialize};

use crate::host::Moment;
use crate::host::process::ProcessId;
use crate::journal;
use crate::tool::Memory;
use crate::work::{Base, Tree};

/// One line of the journal.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "record", rename_all = "snake_case")]
pub enum Record {
    /// An announcement, as clients received it.
    Event(Event),
    /// A session as it is to be remembered; replaces what was remembered of it.
    Session(Box<SessionRecord>),
    /// Only what the state machine remembers of it.
    Memory {
        /// The session.
        session_id: SessionId,
        /// The machine's memory.
        memory: Box<Memory>,
    },
    /// Whose a session is, and until when, in place of what was remembered.
    Lease {
        /// The session.
        session_id: SessionId,
        /// Its lease.
        lease: Lease,
        /// What it lasts from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renewed: Option<Moment>,
    },
    /// These sessions' results have arrived where they are wanted.
    Acknowledged {
        /// The sessions.
        sessions: Vec<SessionId>,
    },
    /// Earlier attempts at a task are over.
    Fence(Fence),
    /// A session nobody needs to remember any more.
    Forgotten {
        /// The session.
        session_id: SessionId,
    },
    /// Everything remembered, at the head of a new segment.
    Checkpoint {
        /// All sessions, oldest first.
        sessions: Vec<SessionRecord>,
        /// All fences, oldest first.
        #[serde(default)]
        fences: Vec<Fence>,
    },
}

impl journal::Record for Record {
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Event(event) => Some(event.seq),
            _ => None,
        }
    }
}

/// How far a session has come.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "phase", rename_all = "snake_case")]
pub enum Phase {
    /// Its terminal is being made; a crash here leaves it to be found or declared lost.
    Launching,
    /// Its terminal exists.
    Open {
        /// The tmux server: pid and start time.
        server: ProcessId,
        /// The program in the terminal.
        program: ProcessId,
    },
    /// Its terminal is gone.
    Closed {
        /// Unix seconds.
        at: f64,
    },
}

/// A session as it is remembered. Values of its environment are not part of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord {
    /// The session.
    pub id: SessionId,
    /// How far it has come.
    #[serde(flatten)]
    pub phase: Phase,
    /// The tool as it was asked for.
    pub tool: String,
    /// Its working directory.
    pub path: String,
    /// The name it was given.
    pub name: Option<String>,
    /// Which attempt at which task it is.
    pub task: Option<TaskRef>,
    /// The task's text.
    pub task_text: String,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// The tmux socket.
    pub socket: String,
    /// The unit that holds it.
    pub unit: Option<String>,
    /// Names of the variables added to its environment.
    pub env_names: Vec<String>,
    /// The terminal's size at launch.
    pub size: Size,
    /// What happens when the task ends.
    pub on_done: OnDone,
    /// Seconds allowed, pauses not counted.
    pub timeout: Option<f64>,
    /// The limits asked for.
    pub limits: Option<ResourceLimits>,
    /// Those of them this host does not enforce.
    pub unenforced: Vec<String>,
    /// Unix seconds.
    pub created_at: f64,
    /// The kernel's boot id then.
    pub boot_id: String,
    /// Seconds it has stood paused so far.
    pub paused_for: f64,
    /// Since when it has stood paused, Unix seconds.
    pub paused_since: Option<f64>,
    /// The state last announced.
    pub state: State,
    /// Why it is in that state.
    pub reason: Option<String>,
    /// The question it waits on.
    pub prompt: Option<Prompt>,
    /// How its last task ended.
    pub outcome: Option<Outcome>,
    /// When the current task began, Unix seconds.
    pub task_began: f64,
    /// What its state rests on.
    pub authority: String,
    /// What the state machine remembers; absent until it has seen something.
    pub memory: Option<Box<Memory>>,
    /// The tool's own version, where it could be told.
    #[serde(default)]
    pub tool_version: Option<String>,
    /// The tool's own name for its conversation, to resume it by.
    #[serde(default)]
    pub tool_session: Option<String>,
    /// What decides about its prompts; the agent's own choice if absent.
    #[serde(default)]
    pub policy: Option<PolicyChoice>,
    /// The command that proves the task done.
    #[serde(default)]
    pub check: Option<Check>,
    /// What that said last.
    #[serde(default)]
    pub checked: Option<CheckResult>,
    /// Where its git repository stood when it began.
    #[serde(default)]
    pub base: Option<Base>,
    /// The work tree it was given for itself.
    #[serde(default)]
    pub tree: Option<Tree>,
    /// What was done about its prompts, the newest 50.
    #[serde(default)]
    pub receipts: Vec<Receipt>,
    /// Whose it is, where somebody asks after it.
    #[serde(default)]
    pub lease: Option<Lease>,
    /// What its lease lasts from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renewed: Option<Moment>,
    /// Its owner has its result.
    #[serde(default)]
    pub acknowledged: bool,
}

/// Receipts that are remembered with a session; the journal has all.
const RECEIPTS: usize = 50;

impl SessionRecord {
    /// Whether its terminal may exist.
    pub fn is_open(&self) -> bool {
        !matches!(self.phase, Phase::Closed { .. })
    }

    /// Whether its owner is still to fetch its result.
    pub fn is_awaited(&self) -> bool {
        self.lease.is_some() && !self.acknowledged
    }

    /// Takes note that its owner has its result; false where there is none yet.
    pub fn acknowledge(&mut self) -> bool {
        self.acknowledged |= self.outcome.is_some() || !self.is_open();
        self.acknowledged
    }

    /// Takes in what was announced of it, so that what is remembered is the fold of what was said.
    pub fn fold(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StateChange { state, reason, prompt, .. } => {
                // A round of work begins where there was none.
                let resting = self.state.is_terminal() || self.state == State::Idle;
                if resting && !state.is_terminal() && *state != State::Idle {
                    self.task_began = event.timestamp;
                    self.outcome = None;
                    self.checked = None;
                }
                self.state = *state;
                self.reason.clone_from(reason);
                self.prompt.clone_from(prompt);
            }
            EventKind::SessionCompleted { outcome, .. } => self.outcome.clone_from(outcome),
            EventKind::SessionClosed { .. } => {
                self.phase = Phase::Closed { at: event.timestamp };
                // Hundreds of these are remembered; long texts have done their work.
                shorten(&mut self.task_text, CLOSED_TASK);
            }
            EventKind::Receipt { receipt, .. } => {
                self.receipts.push((**receipt).clone());
                let over = self.receipts.len().saturating_sub(RECEIPTS);
                self.receipts.drain(..over);
            }
            EventKind::SessionAdded { .. } | EventKind::AutoConfirmed { .. } | EventKind::Notice(_) => {}
        }
    }

    /// As lists show it. `now`: Unix seconds.
    pub fn info(&self, now: f64) -> SessionInfo {
        let until = match self.phase {
            Phase::Closed { at } => at,
            Phase::Launching | Phase::Open { .. } => now,
        };
        SessionInfo {
            session_id: self.id.clone(),
            tool: self.tool.clone(),
            state: self.state,
            path: self.path.clone(),
            // Whole seconds are what the wire says; a clock set back must not make it negative.
            uptime: (until - self.created_at).max(0.0) as u64,
            alive: matches!(self.phase, Phase::Open { .. }),
            name: self.name.clone(),
            task: self.task.clone(),
            owner: self.lease.as_ref().map(|lease| lease.owner.clone()),
            summary: summary(&self.task_text),
            created_at: self.created_at,
            reason: self.reason.clone(),
            prompt: self.prompt.clone(),
            outcome: self.outcome.clone(),
        }
    }

    /// Everything known of it.
    pub fn detail(&self, now: f64) -> SessionDetail {
        SessionDetail {
            info: self.info(now),
            task_text: self.task_text.clone(),
            socket: self.is_open().then(|| self.socket.clone()),
            command: self.command.clone(),
            pid: match self.phase {
                Phase::Open { program, .. } => Some(program.pid),
                Phase::Launching | Phase::Closed { .. } => None,
            },
            unit: self.unit.clone(),
            env_names: self.env_names.clone(),
            size: self.size,
            on_done: self.on_done,
            timeout: self.timeout,
            limits: self.limits,
            unenforced: self.unenforced.clone(),
            authority: self.authority.clone(),
        }
    }
}

/// Bytes of a task's text that are remembered of a closed session.
const CLOSED_TASK: usize = 4096;

/// Cuts a text to at most so many bytes, and shows that it was cut.
pub(super) fn shorten(text: &mut String, bytes: usize) {
    if text.len() > bytes {
        let end = (0..=bytes).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

/// The first line of a task, at most 120 characters.
fn summary(task: &str) -> String {
    let line = task.lines().map(str::trim).find(|l| !l.is_empty()).unwrap_or("");
    match line.char_indices().nth(120) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line.to_owned(),
    }
}

/// What an earlier agent remembered.
#[derive(Debug, Default)]
pub struct Recovered {
    /// All sessions, oldest first.
    pub sessions: Vec<SessionRecord>,
    /// All fences, oldest first; later ones of the same task count.
    pub fences: Vec<Fence>,
}

/// All that is remembered, as a fold over the journal: a checkpoint, then what followed it.
pub fn recover(checkpoint: Option<Record>, tail: Vec<Record>) -> Recovered {
    let mut fenced: Vec<Fence> = Vec::new();
    let mut order: Vec<SessionId> = Vec::new();
    let mut known: HashMap<SessionId, SessionRecord> = HashMap::new();
    let mut remember = |known: &mut HashMap<SessionId, SessionRecord>, record: SessionRecord| {
        if !known.contains_key(&record.id) {
            order.push(record.id.clone());
        }
        known.insert(record.id.clone(), record);
    };
    for record in checkpoint.into_iter().chain(tail) {
        match record {
            Record::Checkpoint { sessions, fences } => {
                sessions.into_iter().for_each(|s| remember(&mut known, s));
                fenced = fences;
            }
            Record::Fence(fence) => fenced.push(fence),
            Record::Lease { session_id, lease, renewed } => {
                if let Some(session) = known.get_mut(&session_id) {
                    session.lease = Some(lease);
                    session.renewed = renewed.or(session.renewed.take());
                }
            }
            Record::Acknowledged { sessions } => {
                for id in sessions {
                    known.get_mut(&id).map(SessionRecord::acknowledge);
                }
            }
            Record::Session(session) => remember(&mut known, *session),
            Record::Event(event) => {
                if let Some(session) = event.kind.session_id().and_then(|id| known.get_mut(id)) {
                    session.fold(&event);
                }
            }
            Record::Memory { session_id, memory } => {
                if let Some(session) = known.get_mut(&session_id) {
                    session.memory = Some(memory);
                }
            }
            Record::Forgotten { session_id } => drop(known.remove(&session_id)),
        }
    }
    let sessions = order.into_iter().filter_map(|id| known.remove(&id)).collect();
    Recovered { sessions, fences: fenced }
}

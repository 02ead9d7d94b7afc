//! What an agent announces: durable events with a number, and screen frames without one.

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::prompt::{Prompt, Receipt};
use crate::session::{SessionId, SessionInfo, State, TaskRef};

/// One announcement. `seq` is strictly increasing per agent, also across its restarts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Event {
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
    /// Its number.
    #[serde(default)]
    pub seq: u64,
    /// When, Unix seconds.
    pub timestamp: f64,
}

/// Everything an agent announces. The first three are the original's; a client that has not subscribed
/// receives only those.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum EventKind {
    /// A session is in another state (original).
    StateChange {
        /// The session.
        session_id: SessionId,
        /// The new state.
        state: State,
        /// Which attempt at which task it is.
        #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskRef>,
        /// Why, where there is something to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// With `waiting`: the question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<Prompt>,
    },
    /// The agent answered a prompt by policy (original).
    AutoConfirmed {
        /// The session.
        session_id: SessionId,
        /// The prompt it answered.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<Prompt>,
        /// The rule that allowed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
    },
    /// A task has ended (original): exactly once for each, after its `state_change`.
    SessionCompleted {
        /// The session.
        session_id: SessionId,
        /// `done`, `failed`, `killed` or `lost`.
        state: State,
        /// Which attempt at which task it was.
        #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
        task: Option<TaskRef>,
        /// How it ended.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Outcome>,
    },
    /// Something was done about a prompt: by policy, or for a person.
    Receipt {
        /// The session.
        session_id: SessionId,
        /// What was done.
        receipt: Box<Receipt>,
    },
    /// A session exists now.
    SessionAdded {
        /// The session as it stands.
        session: Box<SessionInfo>,
    },
    /// A session's terminal is gone; its record stays until it is forgotten.
    SessionClosed {
        /// The session.
        session_id: SessionId,
    },
    /// Something about the agent itself that a person should know.
    Notice(Notice),
}

impl EventKind {
    /// Whether clients of the original agent know this event.
    pub fn is_original(&self) -> bool {
        matches!(self, Self::StateChange { .. } | Self::AutoConfirmed { .. } | Self::SessionCompleted { .. })
    }

    /// The session it is about.
    pub fn session_id(&self) -> Option<&SessionId> {
        match self {
            Self::StateChange { session_id, .. }
            | Self::AutoConfirmed { session_id, .. }
            | Self::SessionCompleted { session_id, .. }
            | Self::Receipt { session_id, .. }
            | Self::SessionClosed { session_id } => Some(session_id),
            Self::SessionAdded { session } => Some(&session.session_id),
            Self::Notice(_) => None,
        }
    }
}

/// Something about the agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Notice {
    /// A stable word: `journal_set_aside`, `disk`, `draining`, `agent_started`, …
    pub topic: String,
    /// In words, with the next move.
    pub message: String,
}

/// Where things stand, for a client that was away too long or reads too slowly. Events up to `seq` are
/// contained in it; the next one follows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Snapshot {
    /// The newest event contained.
    pub seq: u64,
    /// Unix seconds.
    pub timestamp: f64,
    /// All sessions the agent remembers.
    pub sessions: Vec<SessionInfo>,
}

/// A session's screen, whole, sent to its watchers. Not an event: only the newest one matters, so a slow
/// watcher skips frames and never sees an old one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ScreenFrame {
    /// The session.
    pub session_id: SessionId,
    /// Grows with every change.
    pub revision: u64,
    /// The visible lines, trailing blanks removed.
    pub output: String,
    /// Column and row of the cursor, from 0.
    pub cursor: (u16, u16),
    /// The size now (an attached person may have changed it).
    pub cols: u16,
    /// The size now.
    pub rows: u16,
    /// Finished lines so far: what `transcript` can be asked for.
    pub lines: u64,
    /// The terminal's title.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// No frame will follow.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub end: bool,
}

//! What a new session wants to be, and why it may not. PURE.

use cm_protocol::{ErrorCode, Lease, SessionId, TaskRef};

use crate::host::Moment;

/// What a new session wants to be.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its id, not used before.
    pub id: SessionId,
    /// Its identity across attempts.
    pub task: Option<TaskRef>,
    /// The name it is to have.
    pub name: Option<String>,
    /// Living sessions allowed.
    pub max_sessions: usize,
    /// Whose it is to be.
    pub lease: Option<Lease>,
    /// Running tasks allowed, where it has an owner.
    pub slots: Option<u32>,
    /// Now.
    pub now: Moment,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// A place is taken; fill it with `remember` or give it back with `abandon`.
    New,
    /// The task identity already has this session.
    Existing(SessionId),
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ClaimError {
    /// As many as allowed are alive.
    #[error("the agent already holds {0} sessions, its limit; end some or raise --max-sessions")]
    Full(usize),
    /// Another living session has the name.
    #[error("the name {name:?} belongs to {id}; choose another or end that session")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        id: SessionId,
    },
    /// All places for tasks are taken.
    #[error("the agent holds {0} tasks, as many as it may; ask again when one has ended")]
    NoSlot(u32),
    /// Somebody with fewer sessions waits for the next place.
    #[error("the next place is another run's turn; ask again soon")]
    NotItsTurn,
    /// A later attempt at the task counts.
    #[error("attempt {attempt} at {task_id:?} is superseded: attempt {by} runs elsewhere")]
    Superseded {
        /// The task.
        task_id: String,
        /// The attempt that is over.
        attempt: u32,
        /// The first that is not.
        by: u32,
    },
    /// The request was on its way for longer than the lease lasts, or what it asked for took longer.
    #[error("its lease was over before it could begin: the request, or getting ready, took more than {0} s")]
    LeaseOver(f64),
    /// The agent is going away.
    #[error("the agent is shutting down and takes no new sessions")]
    Draining,
    /// What is accepted must be written, and cannot be.
    #[error("{0}")]
    Disk(String),
}

impl ClaimError {
    /// The word for programs.
    pub fn code(&self) -> ErrorCode {
        match self {
            Self::Full(_) | Self::NoSlot(_) | Self::NotItsTurn => ErrorCode::Limit,
            Self::NameTaken { .. } | Self::Superseded { .. } | Self::LeaseOver(_) | Self::Draining => {
                ErrorCode::Conflict
            }
            Self::Disk(_) => ErrorCode::Internal,
        }
    }
}

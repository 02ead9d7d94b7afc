//! What a refused or failed command answers: the original's `{"error": …}` with a stable code added.

use serde::{Deserialize, Serialize};

use crate::request::RequestId;

/// The short stable word a program branches on; the text beside it is for people.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The token was missing or wrong.
    Unauthorized,
    /// No session has this id.
    NotFound,
    /// The action's name is not one this agent knows.
    UnknownAction,
    /// The command is malformed; `field` names the place.
    BadRequest,
    /// A frame or a field is over its stated limit.
    TooLarge,
    /// A stated limit (sessions, clients, log-ins) is reached; later may work.
    Limit,
    /// The session or the agent is in a state that does not allow this.
    Conflict,
    /// The agent or its host failed; the text says how.
    #[serde(other)]
    Internal,
}

/// An error as it stands on the wire. It never closes the connection, except for `unauthorized`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[error("{error}")]
pub struct ErrorReply {
    /// What went wrong, in words. The texts `Session not found: <id>`, `Unknown action: <name>` and
    /// `Failed to create session: <why>` are the original's and never change.
    pub error: String,
    /// The stable word for programs.
    #[serde(default = "internal")]
    pub code: ErrorCode,
    /// For `bad_request` and `too_large`: the field's path, e.g. `context.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// The `id` of the command that failed, where it had one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
}

fn internal() -> ErrorCode {
    ErrorCode::Internal
}

impl ErrorReply {
    /// An error without field or id.
    pub fn new(code: ErrorCode, error: impl Into<String>) -> Self {
        Self { error: error.into(), code, field: None, id: None }
    }

    /// The original's text for an id that is no session's.
    pub fn not_found(session: &str) -> Self {
        Self::new(ErrorCode::NotFound, format!("Session not found: {session}"))
    }

    /// The original's text for an action nobody knows.
    pub fn unknown_action(name: &str) -> Self {
        Self::new(ErrorCode::UnknownAction, format!("Unknown action: {name}"))
    }

    /// A malformed command, with the path of the field that is wrong.
    pub fn bad_request(field: impl Into<String>, error: impl Into<String>) -> Self {
        Self { field: Some(field.into()), ..Self::new(ErrorCode::BadRequest, error) }
    }

    /// The original's text for a session that could not be made.
    pub fn create_failed(code: ErrorCode, why: impl std::fmt::Display) -> Self {
        Self::new(code, format!("Failed to create session: {why}"))
    }

    /// The same error, answering the command `id`.
    #[must_use]
    pub fn answering(mut self, id: Option<RequestId>) -> Self {
        self.id = id;
        self
    }
}

//! Why a session is in its state: what was seen, heard and decided, and on what evidence.

use serde::{Deserialize, Serialize};

use crate::prompt::{Prompt, Receipt};
use crate::session::{SessionId, State};

/// `explain_session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ExplainSession {
    /// The session.
    pub session_id: SessionId,
}

/// Why a session is in its state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Explanation {
    /// The session.
    pub session_id: SessionId,
    /// The tool as it was asked for.
    pub tool: String,
    /// The tool's own version, where it could be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_version: Option<String>,
    /// The profile it is judged by, and the profile's version: `claude 3`.
    pub profile: String,
    /// The policy that decides about its prompts.
    pub policy: String,
    /// The state.
    pub state: State,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The rule the state rests on.
    pub rule: String,
    /// Whose word counts now: `process`, `screen`, `report`, `hooks` or `status`.
    pub authority: String,
    /// What every channel said last, the authority's word first.
    pub channels: Vec<Channel>,
    /// The open prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
    /// The last lines of the screen.
    #[serde(default)]
    pub screen: Vec<String>,
    /// The terminal's title.
    #[serde(default)]
    pub title: String,
    /// What led here, oldest first (at most 50).
    #[serde(default)]
    pub steps: Vec<Step>,
    /// What was done about prompts, oldest first (at most 50).
    #[serde(default)]
    pub receipts: Vec<Receipt>,
}

/// What one channel said last.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Channel {
    /// `status` (OSC 7501), `hooks`, `report`, `title`, `screen`, `process`.
    pub name: String,
    /// What it said, in one line.
    pub says: String,
    /// Seconds ago.
    pub ago: f64,
}

/// One thing that happened to the session's state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// When, Unix seconds.
    pub at: f64,
    /// The state from then on.
    pub state: State,
    /// The rule it rests on.
    pub rule: String,
}

/// `hook`: what a tool's hook was called with, from inside a session.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Hook {
    /// The session that speaks (`CM_SESSION_ID` in its environment).
    pub session_id: SessionId,
    /// The tool's own JSON, as it stood on the hook's standard input.
    pub event: serde_json::Value,
}

//! What a session is, as the wire tells it: identity, state, prompt, outcome.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::outcome::Outcome;
use crate::prompt::Prompt;
use crate::request::{OnDone, ResourceLimits, Size};

/// A session's opaque name: `cm-` and 32 hexadecimal digits. Never reused.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct SessionId(pub String);

impl SessionId {
    /// The id made of 128 random bits.
    pub fn from_bits(bits: u128) -> Self {
        Self(format!("cm-{bits:032x}"))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it has the shape this agent gives out: safe as a file and unit name.
    pub fn is_well_formed(&self) -> bool {
        self.0
            .strip_prefix("cm-")
            .is_some_and(|hex| hex.len() == 32 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for SessionId {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// A session's state. The first seven are the original's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The tool has been launched and is not ready yet.
    #[default]
    Starting,
    /// The tool is thinking or planning.
    Planning,
    /// The tool is changing files.
    Editing,
    /// The tool is running tests.
    Testing,
    /// The tool is working.
    Running,
    /// The task is finished.
    Done,
    /// The task has failed.
    Failed,
    /// A question or permission needs an answer.
    Waiting,
    /// The tool is ready and has no task.
    Idle,
    /// Stopped on request.
    Paused,
    /// Ended on request.
    Killed,
    /// The session vanished; the reason says why.
    Lost,
}

impl State {
    /// Whether a task in this state has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Failed | Self::Killed | Self::Lost)
    }

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Planning => "planning",
            Self::Editing => "editing",
            Self::Testing => "testing",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Waiting => "waiting",
            Self::Idle => "idle",
            Self::Paused => "paused",
            Self::Killed => "killed",
            Self::Lost => "lost",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Which attempt at which task a session is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TaskRef {
    /// The task's identity.
    pub task_id: String,
    /// The attempt's number, from 1.
    pub attempt: u32,
}

/// A session as lists show it. The first six fields are the original's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionInfo {
    /// The session.
    pub session_id: SessionId,
    /// The tool.
    pub tool: String,
    /// Its state.
    pub state: State,
    /// Its working directory.
    pub path: String,
    /// Whole seconds since it was created, until it ended.
    pub uptime: u64,
    /// Whether its terminal exists.
    pub alive: bool,
    /// The name it was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Which attempt at which task it is.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskRef>,
    /// Whose it is, where it was created with a lease.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The task's first line, at most 120 characters.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// When it was created, Unix seconds.
    #[serde(default)]
    pub created_at: f64,
    /// Why it is in this state, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The question it waits on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
    /// How its task ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Outcome>,
}

/// Everything known of one session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SessionDetail {
    /// What lists show.
    #[serde(flatten)]
    pub info: SessionInfo,
    /// The task's whole text.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub task_text: String,
    /// The tmux socket: `tmux -S <socket> attach`. Absent once the terminal is gone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<String>,
    /// The program and its arguments.
    #[serde(default)]
    pub command: Vec<String>,
    /// The pid of the program in the terminal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<i32>,
    /// The systemd unit that holds the session; absent where it runs detached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Names of the variables added to the environment; never their values.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env_names: Vec<String>,
    /// The terminal's size at launch.
    pub size: Size,
    /// What happens when the task ends.
    pub on_done: OnDone,
    /// Seconds allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// The limits asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
    /// Those of them that this host does not enforce.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unenforced: Vec<String>,
    /// What the state rests on: `process`, `screen` or `report`.
    #[serde(default)]
    pub authority: String,
}

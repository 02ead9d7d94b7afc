//! What a client may ask: one enum of actions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::explain::{ExplainSession, Hook};
use crate::fleet::{Acknowledge, Fence, Lease, Probe, Renew, RenewLease, Repo};
use crate::outcome::{Check, Worktree};
use crate::policy::PolicyChoice;
use crate::prompt::Answer;
use crate::session::SessionId;

/// The client's own mark on a command; its answer carries the same one and may overtake others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum RequestId {
    /// A whole number.
    Number(i64),
    /// Any text.
    Text(String),
}

/// A command: an action, and the mark its answer will carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Request {
    /// Without it, answers come in the order of the commands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
    /// What is asked.
    #[serde(flatten)]
    pub action: Action,
}

/// Everything that can be asked of an agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum Action {
    /// Start a session (original).
    CreateSession(Box<CreateSession>),
    /// Type into a session (original).
    SendKeys(SendKeys),
    /// Read a session's text (original).
    CapturePane(CapturePane),
    /// The sessions (original).
    ListSessions(ListSessions),
    /// End a session and its whole process tree (original).
    KillSession(KillSession),
    /// Every event from now on, or from a point in the past.
    Subscribe(Subscribe),
    /// Stop a session's processes and its clock.
    PauseSession(PauseSession),
    /// Let a paused session go on.
    ResumeSession(ResumeSession),
    /// Live screen frames of one session, to this client.
    WatchScreen(WatchScreen),
    /// No more of them.
    UnwatchScreen(UnwatchScreen),
    /// Everything known of one session, with its result.
    GetSession(GetSession),
    /// A session's text by line number, also after it ended.
    Transcript(Transcript),
    /// The agent's version, limits and use.
    AgentInfo,
    /// A status report from inside a session (a tool, a hook, a script).
    Report(Report),
    /// What a tool's hook was called with, from inside a session.
    Hook(Hook),
    /// Settle a prompt a session waits on.
    Answer(Answer),
    /// Why a session is in its state.
    ExplainSession(ExplainSession),
    /// An owner's sessions are still wanted.
    RenewLease(RenewLease),
    /// The same again.
    Renew(Renew),
    /// These sessions' results have arrived.
    Acknowledge(Acknowledge),
    /// Earlier attempts at a task are over.
    Fence(Fence),
    /// What the host has, and how busy it is.
    Probe(Probe),
    /// Keep the deployment this agent came with, instead of going back by itself.
    ConfirmDeployment(ConfirmDeployment),
    /// End the agent; sessions go on.
    Shutdown(Shutdown),
}

impl Action {
    /// Its word on the wire.
    pub fn word(&self) -> &'static str {
        match self {
            Self::CreateSession(_) => "create_session",
            Self::SendKeys(_) => "send_keys",
            Self::CapturePane(_) => "capture_pane",
            Self::ListSessions(_) => "list_sessions",
            Self::KillSession(_) => "kill_session",
            Self::Subscribe(_) => "subscribe",
            Self::PauseSession(_) => "pause_session",
            Self::ResumeSession(_) => "resume_session",
            Self::WatchScreen(_) => "watch_screen",
            Self::UnwatchScreen(_) => "unwatch_screen",
            Self::GetSession(_) => "get_session",
            Self::Transcript(_) => "transcript",
            Self::AgentInfo => "agent_info",
            Self::Report(_) => "report",
            Self::Hook(_) => "hook",
            Self::Answer(_) => "answer",
            Self::ExplainSession(_) => "explain_session",
            Self::RenewLease(_) => "renew_lease",
            Self::Renew(_) => "renew",
            Self::Acknowledge(_) => "acknowledge",
            Self::Fence(_) => "fence",
            Self::Probe(_) => "probe",
            Self::ConfirmDeployment(_) => "confirm_deployment",
            Self::Shutdown(_) => "shutdown",
        }
    }
}

/// `create_session`. Only `action` is required.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CreateSession {
    /// The tool's profile or program name; `claude` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool: Option<String>,
    /// What the tool is to do; empty starts the tool without a task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<String>,
    /// Where it is to be done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The task's identity across attempts; together with `attempt` the idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task_id: Option<String>,
    /// The attempt's number, from 1. A repeat of (taskId, attempt) answers with the existing session.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// A name for people; shown in lists, unique among living sessions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More arguments for the tool's program.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<String>,
    /// Variables added to the session's clean environment. Never logged, listed or stored.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// Seconds until the session is ended as failed; pauses do not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
    /// Limits of the session's process tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<ResourceLimits>,
    /// The terminal's size; 120 × 40 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// What happens to the terminal when the task has ended; `keep` if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_done: Option<OnDone>,
    /// What is decided about the tool's prompts without a person; the agent's own choice if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyChoice>,
    /// A command that proves the task done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Goes on with the conversation of an earlier session: its tool and its directory where none are given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resume: Option<SessionId>,
    /// A git work tree and branch for this task alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worktree: Option<Worktree>,
    /// Whose it is, and what becomes of it when nobody asks after it any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<Lease>,
}

impl CreateSession {
    /// The tool asked for; the original's default is `claude`.
    pub fn tool(&self) -> &str {
        self.tool.as_deref().unwrap_or("claude")
    }

    /// The task's text; empty where none was given.
    pub fn task(&self) -> &str {
        self.task.as_deref().unwrap_or("")
    }

    /// The working directory asked for.
    pub fn path(&self) -> Option<&str> {
        self.context.as_ref().and_then(|c| c.path.as_deref())
    }
}

/// Where a task is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Context {
    /// The working directory, absolute; the agent's own if absent. With `repo`: inside its work tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The repository to work on; the task gets a work tree of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<Repo>,
}

/// A terminal's size in character cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Size {
    /// Columns, 20 to 500.
    pub cols: u16,
    /// Rows, 5 to 200.
    pub rows: u16,
}

impl Default for Size {
    fn default() -> Self {
        Self { cols: 120, rows: 40 }
    }
}

/// Limits of a session's process tree. They are unit properties where a systemd user manager runs the
/// session; `get_session` says which are enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ResourceLimits {
    /// Bytes of memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<u64>,
    /// Cores: 1.5 is one and a half.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu: Option<f64>,
    /// Processes and threads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tasks: Option<u64>,
}

/// What happens to a session's terminal when its task has ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OnDone {
    /// It stays, to be looked at, attached to and talked to.
    #[default]
    Keep,
    /// It is closed; result and transcript stay.
    Close,
}

/// `send_keys`: text typed literally, then Enter; or named keys.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct SendKeys {
    /// The session.
    pub session_id: SessionId,
    /// The text; may be empty (just Enter).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<String>,
    /// `false`: no Enter after the text. `true` if absent (and there are no `named` keys).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub enter: Option<bool>,
    /// tmux key names pressed after the text: `C-c`, `Escape`, `Down`, …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub named: Vec<String>,
}

/// `capture_pane`: the last lines of a session's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct CapturePane {
    /// The session.
    pub session_id: SessionId,
    /// How many lines, 50 if absent; more than there are is all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lines: Option<u64>,
    /// Keep colours and attributes as escape sequences.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub escapes: bool,
}

/// `list_sessions`: those with a terminal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ListSessions {
    /// Also those whose terminal is closed, as far as they are remembered.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub all: bool,
    /// Only those of this owner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
}

/// `kill_session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct KillSession {
    /// The session.
    pub session_id: SessionId,
}

/// `pause_session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PauseSession {
    /// The session.
    pub session_id: SessionId,
}

/// `resume_session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ResumeSession {
    /// The session.
    pub session_id: SessionId,
}

/// `subscribe`: all events of all kinds from now on; with `since`, first those that followed it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Subscribe {
    /// The last `seq` the client has seen. Older than what is kept: a `snapshot` comes first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
}

/// `watch_screen`: a frame at once, then one for each change (at most about 30 in a second).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct WatchScreen {
    /// The session.
    pub session_id: SessionId,
}

/// `unwatch_screen`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct UnwatchScreen {
    /// The session.
    pub session_id: SessionId,
}

/// `get_session`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct GetSession {
    /// The session.
    pub session_id: SessionId,
}

/// `transcript`: finished lines by absolute number, so that a reader can follow without missing any.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Transcript {
    /// The session.
    pub session_id: SessionId,
    /// The first line wanted, counted from 0; absent: the last `limit` lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<u64>,
    /// How many lines at most, 1 to 5,000; 1,000 if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
}

/// What a tool, hook or script inside a session says of itself.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ReportStatus {
    /// Busy.
    #[default]
    Working,
    /// Ready for a task.
    Idle,
    /// The task is finished.
    Done,
    /// The task has failed.
    Failed,
    /// A person must answer; `message` is the question.
    Waiting,
}

/// `report`: a status from inside a session, better than anything read off a screen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// The session that speaks (`CM_SESSION_ID` in its environment).
    pub session_id: SessionId,
    /// What it says.
    pub status: ReportStatus,
    /// In its own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// `confirm_deployment`: whoever deployed has reached the new agent through a new tunnel; it stays.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct ConfirmDeployment {
    /// The deployment's name. Confirming it again is no error.
    pub deployment: String,
    /// SHA-256 of the program it brought: another one refuses. Whoever says it need not wait for the agent's hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

/// `shutdown`: end the agent. Sessions live outside it and go on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Shutdown {
    /// Take no new sessions and wait for running tasks first.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain: bool,
    /// Seconds to wait for them at most; absent: as long as it takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<f64>,
}

/// The actions' names, in the order of the documentation.
pub const ACTIONS: &[&str] = &[
    "create_session",
    "send_keys",
    "capture_pane",
    "list_sessions",
    "kill_session",
    "subscribe",
    "pause_session",
    "resume_session",
    "watch_screen",
    "unwatch_screen",
    "get_session",
    "transcript",
    "agent_info",
    "report",
    "hook",
    "answer",
    "explain_session",
    "renew_lease",
    "renew",
    "acknowledge",
    "fence",
    "probe",
    "confirm_deployment",
    "shutdown",
];

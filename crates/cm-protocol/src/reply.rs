//! What an agent answers: one enum of replies, and what it says of itself.

use serde::{Deserialize, Serialize};

use crate::explain::Explanation;
use crate::fleet::{Load, RepoFound, ToolFound};
use crate::request::RequestId;
use crate::session::{SessionDetail, SessionId, SessionInfo};

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Reply {
    /// What was answered.
    #[serde(flatten)]
    pub body: ReplyBody,
    /// The command's own mark.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<RequestId>,
}

/// Every answer there is; errors are [`crate::ErrorReply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum ReplyBody {
    /// To `create_session` (original).
    SessionCreated {
        /// The new session.
        session_id: SessionId,
        /// Its tmux socket.
        socket: String,
        /// True where (taskId, attempt) already had a session: this is that one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        existing: bool,
        /// Things worth knowing that are no errors, e.g. limits this host does not enforce.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// In a work tree of its own: the commit what changes is told from. Where the task is tried again elsewhere
        /// and goes on with its work, it is to be given back as `continues.base`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
    /// To `send_keys` (original; `observed` is ours).
    KeysSent {
        /// The session.
        session_id: SessionId,
        /// What was seen to happen.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        observed: Option<KeysObserved>,
    },
    /// To `capture_pane` (original).
    PaneOutput {
        /// The session.
        session_id: SessionId,
        /// Its last lines.
        output: String,
    },
    /// To `list_sessions` (original).
    SessionsList {
        /// All sessions the agent remembers, oldest first.
        sessions: Vec<SessionInfo>,
    },
    /// To `kill_session` (original). Its process tree is gone.
    SessionKilled {
        /// The session.
        session_id: SessionId,
    },
    /// To `subscribe`: replay begins after it.
    Subscribed {
        /// The newest event's number when the subscription began.
        seq: u64,
    },
    /// To `pause_session`.
    SessionPaused {
        /// The session.
        session_id: SessionId,
        /// Whether its processes really stand still (some tools ignore stop signals).
        frozen: bool,
    },
    /// To `resume_session`.
    SessionResumed {
        /// The session.
        session_id: SessionId,
    },
    /// To `watch_screen`: frames follow.
    ScreenWatched {
        /// The session.
        session_id: SessionId,
    },
    /// To `unwatch_screen`.
    ScreenUnwatched {
        /// The session.
        session_id: SessionId,
    },
    /// To `get_session`.
    Session {
        /// Everything known of it.
        session: Box<SessionDetail>,
    },
    /// To `transcript`.
    Transcript(TranscriptPage),
    /// To `agent_info`.
    AgentInfo {
        /// What the agent says of itself.
        agent: Box<AgentInfo>,
    },
    /// To `report`.
    Reported {
        /// The session.
        session_id: SessionId,
    },
    /// To `hook`: what the hook prints for its tool, if anything.
    HookAnswered {
        /// The session.
        session_id: SessionId,
        /// The hook's output; absent: nothing, the tool goes on as without a hook.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        output: Option<serde_json::Value>,
    },
    /// To `answer`.
    Answered {
        /// The session.
        session_id: SessionId,
        /// The prompt that was answered.
        prompt_id: u64,
        /// What was seen to happen; only `submitted` is success.
        observed: KeysObserved,
    },
    /// To `explain_session`.
    Explained {
        /// Why the session is in its state.
        explanation: Box<Explanation>,
    },
    /// To `renew_lease`.
    LeaseRenewed {
        /// Whose sessions.
        owner: String,
        /// How many of them live.
        sessions: usize,
        /// How busy the host is.
        load: Load,
        /// The agent's clock, see [`Hello::clock`].
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clock: Option<f64>,
    },
    /// To `renew`: what is different from what was told last over this connection.
    Renewed {
        /// How many of the owner's sessions live.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sessions: Option<usize>,
        /// How busy the host is; small changes are not told.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        load: Option<Load>,
        /// The agent's clock, see [`Hello::clock`].
        clock: f64,
    },
    /// To `acknowledge`.
    Acknowledged {
        /// How many of them are known here and have ended.
        sessions: usize,
    },
    /// To `fence`: nothing below runs any more.
    Fenced {
        /// The task.
        task_id: String,
        /// The sessions that were ended for it.
        sessions: Vec<SessionId>,
    },
    /// To `probe`.
    Probed {
        /// In the order they were asked for.
        tools: Vec<ToolFound>,
        /// In the order they were asked for.
        repos: Vec<RepoFound>,
        /// How busy the host is.
        load: Load,
    },
    /// To `confirm_deployment`: it stays.
    DeploymentConfirmed {
        /// The deployment's name.
        deployment: String,
        /// The generation that stays.
        generation: u64,
    },
    /// To `shutdown`: the agent will end.
    ShuttingDown {
        /// Tasks it still waits for.
        waiting_for: usize,
    },
}

/// What was seen after keys were sent. Only `submitted` is success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum KeysObserved {
    /// The text was seen, and Enter took it away.
    Submitted,
    /// The text (or a named key's effect) was seen; Enter was not asked for or had no effect yet.
    Typed,
    /// Nothing was seen to change.
    NoEvidence,
}

/// A piece of a session's text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct TranscriptPage {
    /// The session.
    pub session_id: SessionId,
    /// The number of the first line here.
    pub from: u64,
    /// The lines.
    pub lines: Vec<String>,
    /// Where to go on reading.
    pub next: u64,
    /// No line will follow: the session's text is complete and this page reaches its end.
    pub end: bool,
    /// Lines between the `from` asked for and the first here are gone (the terminal's history is
    /// bounded).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

/// What follows a log-in, beside `"status":"authenticated"`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Hello {
    /// The agent, its host and its use.
    pub agent: AgentInfo,
    /// The newest event's number.
    pub seq: u64,
    /// The agent's clock: seconds, from some moment that only another boot of the host changes. To be said again as
    /// `asOf` of leases.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<f64>,
}

/// What an agent says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct AgentInfo {
    /// Release, e.g. `0.1.0`.
    pub version: String,
    /// Source revision it was built from.
    pub build: String,
    /// SHA-256 of the running binary, hexadecimal.
    pub sha256: String,
    /// [`crate::PROTOCOL_VERSION`].
    pub protocol: u32,
    /// What this agent can do beyond the first release, as stable words.
    pub features: Vec<String>,
    /// The host's name.
    pub host: String,
    /// `linux`, …
    pub os: String,
    /// `x86_64`, `aarch64`, …
    pub arch: String,
    /// The kernel's boot id: another one means the host was restarted.
    pub boot_id: String,
    /// The agent's process id.
    pub pid: u32,
    /// Unix seconds.
    pub started_at: f64,
    /// tmux's version, e.g. `3.3a`.
    pub tmux: String,
    /// Where sessions run: `systemd` (units of their own), `keeper` (a container of their own) or `detached`.
    pub placement: String,
    /// No new sessions are taken.
    #[serde(default)]
    pub draining: bool,
    /// What is wrong with the agent itself (disk full, journal set aside …); empty is healthy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub problems: Vec<String>,
    /// Room and use.
    pub capacity: Capacity,
    /// The limits it enforces.
    pub limits: Limits,
}

/// How much of an agent is in use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Capacity {
    /// Living sessions.
    pub sessions: usize,
    /// Living sessions allowed.
    pub max_sessions: usize,
    /// Connected clients.
    pub clients: usize,
    /// Clients allowed.
    pub max_clients: usize,
    /// Tasks a fleet may place here at the same time; absent: the fleet decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
}

/// The limits an agent enforces; over them comes a typed error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Bytes in one frame from a client.
    pub frame_bytes: usize,
    /// Bytes of a task's text.
    pub task_bytes: usize,
    /// Bytes of one `send_keys`.
    pub keys_bytes: usize,
    /// Unanswered commands of one client; more wait in its socket.
    pub pending_commands: usize,
    /// Failed log-ins of one address before it must wait.
    pub login_failures: u32,
    /// Seconds for a log-in after the upgrade.
    pub login_seconds: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            frame_bytes: 1024 * 1024,
            task_bytes: 120 * 1024,
            keys_bytes: 256 * 1024,
            pending_commands: 64,
            login_failures: 5,
            login_seconds: 10,
        }
    }
}

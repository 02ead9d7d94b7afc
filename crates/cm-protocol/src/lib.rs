//! The words between fleet and agent: requests, replies, events and the frame they travel in.
//!
//! One JSON text frame holds one message. The first frame of a connection is [`Auth`]; after the
//! [`Hello`] that answers it the client sends [`Request`]s and receives [`ServerFrame`]s. This crate
//! knows serde and nothing else: no async, no I/O, no clock.
//!
//! Two promises are kept here and guarded by golden files (`tests/wire/*.json`):
//! every client written for the original agent keeps working, and everything added is additive.

pub mod deploy;
pub mod error;
pub mod event;
pub mod explain;
pub mod fleet;
mod forms;
pub mod frame;
pub mod outcome;
mod parse;
pub mod policy;
pub mod prompt;
pub mod reply;
pub mod request;
#[cfg(feature = "schema")]
pub mod schema;
pub mod session;

pub use error::{ErrorCode, ErrorReply};
pub use event::{Event, EventKind, Notice, ScreenFrame, Snapshot};
pub use explain::{Channel, ExplainSession, Explanation, Hook, Step};
pub use fleet::{
    Acknowledge, Continues, Fence, Lease, Load, Orphan, Probe, Renew, RenewLease, Repo, RepoFound, ToolFound,
};
pub use frame::{Auth, AuthReply, ClientFrame, FrameError, PROTOCOL_VERSION, ServerFrame};
pub use outcome::{Changes, Check, CheckResult, Outcome, Proof, Worktree};
pub use policy::{Policy, PolicyChoice, PolicyRule, PolicyVerdict};
pub use prompt::{Answer, AnswerDecision, Meaning, Prompt, PromptOption, Receipt};
pub use reply::{AgentInfo, Capacity, Hello, KeysObserved, Limits, Reply, ReplyBody, TranscriptPage};
pub use request::{
    Action, CapturePane, ConfirmDeployment, Context, CreateSession, GetSession, KillSession, ListSessions,
    OnDone, PauseSession, Report, ReportStatus, Request, RequestId, ResourceLimits, ResumeSession, SendKeys,
    Shutdown, Size, Subscribe, Transcript, UnwatchScreen, WatchScreen,
};
pub use session::{SessionDetail, SessionId, SessionInfo, State, TaskRef};

//! What can go wrong between a client and an agent, in words that name the next move.

use std::io;
use std::time::Duration;

use cm_protocol::{ErrorCode, ErrorReply, FrameError};

/// Why a command, a connection or an address failed.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The agent answered with an error; nothing is wrong with the connection.
    #[error("the agent refused: {0}")]
    Refused(#[from] ErrorReply),
    /// The connection ended before the answer came. Whether the command was executed is unknown.
    #[error("the connection to the agent ended: {why}")]
    Closed {
        /// How it ended.
        why: Closed,
    },
    /// No answer came in time. Whether the command was executed is unknown; the connection still stands.
    #[error(
        "no answer to {action} within {after:?}; the agent is busy or the link is slow: ask again, or allow more time"
    )]
    Timeout {
        /// The action's word.
        action: String,
        /// How long was waited.
        after: Duration,
    },
    /// There is no connection. The source's kind tells proofs (`NotFound`, `ConnectionRefused`: no agent
    /// is there) from mere silence (`TimedOut`).
    #[error("cannot reach the agent at {endpoint}: {source}; {hint}")]
    Connect {
        /// Where.
        endpoint: String,
        /// What the operating system or the handshake said.
        source: io::Error,
        /// The next move.
        hint: &'static str,
    },
    /// The agent did not accept the log-in.
    #[error("the agent at {endpoint} refused the log-in: {message}; {hint}")]
    Unauthorized {
        /// Where.
        endpoint: String,
        /// The agent's words.
        message: String,
        /// `unauthorized`, or `limit` after too many failed log-ins.
        code: ErrorCode,
        /// The next move.
        hint: &'static str,
    },
    /// The other side speaks, but not this protocol.
    #[error("the agent said something this client does not understand: {0}")]
    Protocol(String),
    /// The text is no address of an agent.
    #[error(
        "{text:?} is no address of an agent: {why} (expected unix:/path, /path, ws://host:port/ or host:port)"
    )]
    Address {
        /// What was given.
        text: String,
        /// What is wrong with it.
        why: String,
    },
}

impl ClientError {
    /// The error's stable word, where the agent refused.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused(refusal) => Some(refusal.code),
            Self::Unauthorized { code, .. } => Some(*code),
            _ => None,
        }
    }

    pub(crate) fn connect(endpoint: &str, source: io::Error) -> Self {
        let hint = hint(source.kind());
        Self::Connect { endpoint: endpoint.to_owned(), source, hint }
    }

    pub(crate) fn unauthorized(endpoint: &str, message: String, code: ErrorCode) -> Self {
        let hint = match code {
            ErrorCode::Limit => "wait a minute before the next try",
            _ => "use the token the agent was started with (its --token-file or CM_AGENT_TOKEN)",
        };
        Self::Unauthorized { endpoint: endpoint.to_owned(), message, code, hint }
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> Self {
        Self::Protocol(error.to_string())
    }
}

/// The next move after a connection that did not come about.
fn hint(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::NotFound => "no agent is running there: start it with `cm-agent serve`",
        io::ErrorKind::ConnectionRefused => "nobody listens there: start the agent with `cm-agent serve`",
        io::ErrorKind::PermissionDenied => {
            "the socket belongs to another user: run this as the user the agent runs as"
        }
        io::ErrorKind::TimedOut => {
            "it may be overloaded or stopped, or the address may belong to something else: look at its log"
        }
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::InvalidData => {
            "something listens there, but it does not behave like an agent: check the address and the agent's log"
        }
        _ => "check the address and that the agent is running",
    }
}

/// How a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// This side closed it, or dropped the last [`crate::Client`].
    #[error("it was closed here")]
    Here,
    /// The agent closed it; its reason where it gave one.
    #[error("the agent closed it{}", because(.0))]
    ByAgent(String),
    /// Nothing at all was heard for this long, not even answers to pings.
    #[error("nothing was heard for {} s", .0.as_secs())]
    Silent(Duration),
    /// The stream broke.
    #[error("{0}")]
    Broken(String),
}

fn because(reason: &str) -> String {
    if reason.is_empty() { String::new() } else { format!(": {reason}") }
}

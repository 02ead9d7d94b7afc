//! One text frame, read strictly: what a client may send, what a server may send, how a log-in goes.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::{ErrorCode, ErrorReply};
use crate::event::{Event, ScreenFrame, Snapshot};
use crate::reply::{Hello, Reply};
use crate::request::Request;

/// The wire's version. The original agent is 1.
pub const PROTOCOL_VERSION: u32 = 2;

/// The first frame of a connection. Never printed: `Debug` hides the token.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub struct Auth {
    /// The agent's token. Empty on a unix socket, where the kernel vouches for the user.
    pub auth_token: String,
}

impl std::fmt::Debug for Auth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Auth { auth_token: … }")
    }
}

/// The answer to the first frame.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum AuthReply {
    /// `{"status":"authenticated", …}`
    Authenticated {
        /// Always `authenticated`.
        status: String,
        /// What this agent is; absent from the original.
        #[serde(flatten)]
        hello: Option<Box<Hello>>,
    },
    /// `{"error":"Unauthorized","message":…}`; the socket closes.
    Refused {
        /// Always `Unauthorized`.
        error: String,
        /// In words.
        message: String,
        /// The stable word.
        #[serde(default = "unauthorized")]
        code: ErrorCode,
    },
}

fn unauthorized() -> ErrorCode {
    ErrorCode::Unauthorized
}

impl AuthReply {
    /// A log-in that worked.
    pub fn authenticated(hello: Hello) -> Self {
        Self::Authenticated { status: "authenticated".into(), hello: Some(Box::new(hello)) }
    }

    /// A log-in that did not; `message` is the original's `Invalid authentication token` or says what else.
    pub fn refused(message: impl Into<String>, code: ErrorCode) -> Self {
        Self::Refused { error: "Unauthorized".into(), message: message.into(), code }
    }
}

/// A frame that could not be read at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Not JSON.
    #[error("the frame is not JSON: {0}")]
    NotJson(String),
    /// JSON, but nothing this protocol says.
    #[error("the frame is not a message of this protocol: {0}")]
    NotAMessage(String),
}

/// What a client sends.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientFrame {
    /// A log-in.
    Auth(Auth),
    /// A command.
    Request(Request),
}

impl ClientFrame {
    /// Reads a frame from a client.
    ///
    /// # Errors
    /// The [`ErrorReply`] to send back; it carries the command's id where that could be read.
    pub fn parse(text: &str) -> Result<Self, Box<ErrorReply>> {
        let value: Value = serde_json::from_str(text)
            .map_err(|e| Box::new(ErrorReply::bad_request("", format!("the frame is not JSON: {e}"))))?;
        match value.get("auth_token") {
            Some(Value::String(token)) if value.get("action").is_none() => {
                Ok(Self::Auth(Auth { auth_token: token.clone() }))
            }
            _ => Request::from_value(value).map(Self::Request),
        }
    }
}

/// What an agent sends after the log-in.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerFrame {
    /// An answer.
    Reply(Reply),
    /// An answer that is an error.
    Error(ErrorReply),
    /// An announcement.
    Event(Event),
    /// Where things stand.
    Snapshot(Snapshot),
    /// A watched screen.
    Screen(ScreenFrame),
    /// A message newer than this client; to be ignored.
    Unknown(String),
}

/// A frame with the `type` word of its own in front.
#[derive(Serialize)]
struct Typed<'a, T> {
    r#type: &'static str,
    #[serde(flatten)]
    body: &'a T,
}

impl ServerFrame {
    /// The frame's text.
    pub fn to_text(&self) -> String {
        match self {
            Self::Reply(reply) => to_text(reply),
            Self::Error(error) => to_text(error),
            Self::Event(event) => to_text(event),
            Self::Snapshot(body) => to_text(&Typed { r#type: "snapshot", body }),
            Self::Screen(body) => to_text(&Typed { r#type: "screen", body }),
            Self::Unknown(text) => text.clone(),
        }
    }

    /// Reads a frame from an agent. A message with an unknown `type` is [`ServerFrame::Unknown`].
    ///
    /// # Errors
    /// The frame is not JSON, or a known message with fields that do not fit.
    pub fn parse(text: &str) -> Result<Self, FrameError> {
        let value: Value = serde_json::from_str(text).map_err(|e| FrameError::NotJson(e.to_string()))?;
        if value.get("error").is_some() {
            return read(value).map(Self::Error);
        }
        match value.get("type").and_then(Value::as_str) {
            Some(
                "state_change" | "auto_confirmed" | "session_completed" | "session_added" | "session_closed"
                | "receipt" | "notice",
            ) => read(value).map(Self::Event),
            Some("snapshot") => read(value).map(Self::Snapshot),
            Some("screen") => read(value).map(Self::Screen),
            Some(
                "session_created"
                | "keys_sent"
                | "pane_output"
                | "sessions_list"
                | "session_killed"
                | "subscribed"
                | "session_paused"
                | "session_resumed"
                | "screen_watched"
                | "screen_unwatched"
                | "session"
                | "transcript"
                | "agent_info"
                | "reported"
                | "hook_answered"
                | "answered"
                | "explained"
                | "lease_renewed"
                | "renewed"
                | "acknowledged"
                | "fenced"
                | "probed"
                | "deployment_confirmed"
                | "shutting_down",
            ) => read(value).map(Self::Reply),
            Some(_) => Ok(Self::Unknown(text.to_owned())),
            None => Err(FrameError::NotAMessage("no `type` and no `error`".into())),
        }
    }
}

fn read<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, FrameError> {
    serde_json::from_value(value).map_err(|e| FrameError::NotAMessage(e.to_string()))
}

/// A message's text. Our types always serialize: their maps have string keys and their floats are finite.
pub fn to_text<T: Serialize>(message: &T) -> String {
    serde_json::to_string(message)
        .unwrap_or_else(|e| format!(r#"{{"error":"internal: {e}","code":"internal"}}"#))
}

//! The strict reading of a command: what is wrong with it is said with the field's path.

use serde::Deserialize;
use serde_json::Value;

use crate::error::ErrorReply;
use crate::request::{Action, Request};

impl Request {
    /// A command without a mark.
    pub fn new(action: Action) -> Self {
        Self { id: None, action }
    }

    /// Reads a command that is already JSON.
    ///
    /// # Errors
    /// The [`ErrorReply`] to send back: `unknown_action`, or `bad_request` with the field's path.
    /// It already carries the command's `id` where that could be read.
    pub fn from_value(value: Value) -> Result<Self, Box<ErrorReply>> {
        let Value::Object(mut fields) = value else {
            return Err(Box::new(ErrorReply::bad_request("", "a command is a JSON object")));
        };
        let id = match fields.remove("id") {
            None | Some(Value::Null) => None,
            Some(raw) => Some(serde_json::from_value(raw).map_err(|_| {
                Box::new(ErrorReply::bad_request("id", "id: expected a string or a whole number"))
            })?),
        };
        Self::action_of(fields)
            .map(|action| Self { id: id.clone(), action })
            .map_err(|refusal| Box::new(refusal.answering(id)))
    }

    fn action_of(fields: serde_json::Map<String, Value>) -> Result<Action, ErrorReply> {
        let name = match fields.get("action") {
            Some(Value::String(name)) => name.clone(),
            Some(_) => return Err(ErrorReply::bad_request("action", "action: expected a string")),
            None => return Err(ErrorReply::bad_request("action", "action: missing")),
        };
        let fields = Value::Object(fields);
        Ok(match name.as_str() {
            "create_session" => Action::CreateSession(read(fields)?),
            "send_keys" => Action::SendKeys(read(fields)?),
            "capture_pane" => Action::CapturePane(read(fields)?),
            "list_sessions" => Action::ListSessions(read(fields)?),
            "kill_session" => Action::KillSession(read(fields)?),
            "subscribe" => Action::Subscribe(read(fields)?),
            "pause_session" => Action::PauseSession(read(fields)?),
            "resume_session" => Action::ResumeSession(read(fields)?),
            "watch_screen" => Action::WatchScreen(read(fields)?),
            "unwatch_screen" => Action::UnwatchScreen(read(fields)?),
            "get_session" => Action::GetSession(read(fields)?),
            "transcript" => Action::Transcript(read(fields)?),
            "agent_info" => Action::AgentInfo,
            "report" => Action::Report(read(fields)?),
            "hook" => Action::Hook(read(fields)?),
            "answer" => Action::Answer(read(fields)?),
            "explain_session" => Action::ExplainSession(read(fields)?),
            "renew_lease" => Action::RenewLease(read(fields)?),
            "renew" => Action::Renew(read(fields)?),
            "acknowledge" => Action::Acknowledge(read(fields)?),
            "fence" => Action::Fence(read(fields)?),
            "probe" => Action::Probe(read(fields)?),
            "confirm_deployment" => Action::ConfirmDeployment(read(fields)?),
            "shutdown" => Action::Shutdown(read(fields)?),
            other => return Err(ErrorReply::unknown_action(other)),
        })
    }
}

/// Reads one action's fields; `null` stands for an absent field, as Python clients send it.
fn read<T: for<'de> Deserialize<'de>>(mut fields: Value) -> Result<T, ErrorReply> {
    if let Value::Object(map) = &mut fields {
        map.retain(|_, value| !value.is_null());
    }
    serde_path_to_error::deserialize(fields).map_err(|e| {
        let path = e.path().to_string();
        let text = e.inner().to_string();
        // A missing field has no path of its own: serde names it in the text alone.
        let field = match text.strip_prefix("missing field `").and_then(|t| t.split('`').next()) {
            Some(missing) if path == "." => missing.to_owned(),
            Some(missing) => format!("{path}.{missing}"),
            None => path,
        };
        ErrorReply::bad_request(&field, format!("{field}: {text}"))
    })
}

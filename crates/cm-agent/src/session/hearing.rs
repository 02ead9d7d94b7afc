//! What comes from inside a session beside its screen: the tool's own status, its hooks, who is attached.

use serde_json::Value;

use super::actor::{Actor, Round};
use super::handle::Answer;
use crate::tmux::{Capture, Control, Snapshot};
use crate::tool::Input;
use crate::tool::hooks::Heard;
use crate::tool::osc::{Blocked, Status};
use crate::tool::state::Voice;
use cm_protocol::ReportStatus;

impl Actor {
    pub(super) async fn hook(&mut self, _: &Control, _: &Value, answer: Answer<Option<Value>>) -> Round {
        let _ = answer.send(Ok(None));
        Round::On
    }

    /// How this tool's screen is taken.
    pub(super) fn capture(&self) -> Capture {
        Capture { escapes: self.machine.profile().styles, ..Capture::default() }
    }

    /// Takes in what the terminal tells beside its screen.
    pub(super) async fn listen(&mut self, control: &Control, seen: &Snapshot) -> Round {
        let attached = seen.status.people > 0;
        if attached != self.view.attached {
            self.view.attached = attached;
            let round = self.step(Some(control), Input::Attached(attached)).await;
            if !matches!(round, Round::On) {
                return round;
            }
        }
        if seen.status.window_name != self.view.status {
            self.view.status.clone_from(&seen.status.window_name);
            if let Some(status) = Status::from_window_name(&self.view.status) {
                self.past.heard("status", status.as_str().to_owned());
                return self.step(Some(control), Input::Heard(Voice::Status, heard_of(status))).await;
            }
        }
        Round::On
    }
}

/// A status report as the state machine takes it.
fn heard_of(status: Status) -> Option<Heard> {
    let (status, message) = match status {
        Status::Idle => (ReportStatus::Idle, None),
        Status::Working => (ReportStatus::Working, None),
        Status::Done => (ReportStatus::Done, None),
        Status::Error => (ReportStatus::Failed, None),
        Status::Blocked(Blocked::Permission) => (ReportStatus::Waiting, Some("it asks for a permission")),
        Status::Blocked(Blocked::Question) => (ReportStatus::Waiting, Some("it asks a question")),
        Status::Blocked(Blocked::Other) => (ReportStatus::Waiting, Some("it waits for a person")),
        Status::Clear => return None,
    };
    Some(Heard { status, message: message.map(str::to_owned) })
}

//! What comes from inside a session beside its screen: the tool's own status, its hooks, who is attached.

use cm_protocol::{EventKind, Receipt, ReportStatus};
use serde_json::Value;

use super::actor::{Actor, Round};
use super::handle::Answer;
use crate::host::{clock, process};
use crate::tmux::{Capture, Control, Snapshot};
use crate::tool::hooks::Heard;
use crate::tool::hooks::claude::{HookAsk, HookEvent, HookKind, activity_of, ask_of, deny_output};
use crate::tool::osc::{Blocked, Status, Told};
use crate::tool::policy::Verdict;
use crate::tool::state::Voice;
use crate::tool::{Cause, Input};

impl Actor {
    /// A tool's hook was called: what it tells is taken in, and leave is given or refused without a key.
    pub(super) async fn hook(
        &mut self,
        control: &Control,
        event: &Value,
        answer: Answer<Option<Value>>,
    ) -> Round {
        let Some(event) = HookEvent::read(event) else {
            // It is none of a kind that is known: the tool goes on as without a hook.
            let _ = answer.send(Ok(None));
            return Round::On;
        };
        self.past.heard("hooks", in_words(&event));
        self.remember_conversation(&event);
        let left = ask_of(&event).and_then(|ask| self.leave(&ask));
        let (output, settled) = left.map_or((None, None), |(output, settled)| (Some(output), Some(settled)));
        // The tool waits for it: before anything else is done.
        let _ = answer.send(Ok(output));
        if let Some(settled) = settled {
            let round = self.step(Some(control), settled).await;
            if !matches!(round, Round::On) {
                return round;
            }
        }
        if let Some(heard) = told(&event) {
            let round = self.step(Some(control), Input::Heard(Voice::Hooks, Some(heard))).await;
            if !matches!(round, Round::On) {
                return round;
            }
        }
        match activity_of(&event) {
            Some(activity) => self.step(Some(control), Input::Works(activity)).await,
            None => Round::On,
        }
    }

    /// What a hook that asks for leave is answered, and the news of it; nothing where a person is to be asked, by
    /// the tool's own dialog.
    fn leave(&mut self, ask: &HookAsk) -> Option<(Value, Input<'static>)> {
        if self.record.paused_since.is_some() || self.machine.is_ended() {
            return None;
        }
        let subject = (!ask.subjects.is_empty()).then(|| ask.subjects.join("\n"));
        let decision = self.machine.decide(ask.kind, subject.as_deref(), "hook");
        let (output, verdict) = match &decision.verdict {
            Verdict::Ask => return None,
            Verdict::Allow => (ask.allow()?, "allow"),
            Verdict::Deny { message } => {
                let usual = format!("Refused by the policy's rule {}.", decision.rule);
                (deny_output(message.as_deref().unwrap_or(&usual), false), "deny")
            }
        };
        let prompt = self.machine.settled_prompt(ask.kind, ask.summary.clone(), subject);
        if self.left_to_a_person(verdict, &prompt).is_some() {
            // By its own dialog, which says why.
            return None;
        }
        let rule = format!("{} on hook", decision.rule);
        let settled = Input::Settled { prompt_id: prompt.id, rule: rule.clone() };
        self.receive(Receipt {
            at: clock::unix_now(),
            prompt: prompt.clone(),
            verdict: verdict.into(),
            rule: rule.clone(),
            channel: "hook".into(),
            option: None,
            keys: Vec::new(),
            before: self.last_rows(),
            after: Vec::new(),
            outcome: "accepted".into(),
        });
        if verdict == "allow" {
            self.engine.hub.publish(EventKind::AutoConfirmed {
                session_id: self.record.id.clone(),
                prompt: Some(prompt),
                rule: Some(rule),
            });
        }
        Some((output, settled))
    }

    /// Keeps the tool's own name for its conversation: by that it can be resumed.
    fn remember_conversation(&mut self, event: &HookEvent) {
        if event.agent_id.is_some() || event.session_id == self.record.tool_session {
            return;
        }
        if let Some(id) = event.session_id.clone().filter(|id| id.len() <= 200) {
            self.engine.hub.update(&self.record.id, |record| record.tool_session = Some(id));
            self.recall();
        }
    }

    /// Finds out what a tool calls its conversation that tells it by nothing but a file it keeps open.
    pub(super) async fn look_for_conversation(&mut self) {
        let Some(pattern) = self.machine.profile().launch.conversation.clone() else { return };
        let (None, Some(program)) = (&self.record.tool_session, self.program()) else { return };
        let look = move || {
            let files = process::open_files(&process::tree(&[program], None));
            files.iter().find_map(|path| pattern.first_group(path))
        };
        // Many processes take their time; nobody else waits for it.
        if let Ok(Some(id)) = tokio::task::spawn_blocking(look).await {
            self.engine.hub.update(&self.record.id, |record| record.tool_session = Some(id));
            self.recall();
        }
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
        let Some(told) = Told::from_window_name(&seen.status.window_name) else { return Round::On };
        // After a restart only the newest is news.
        let known = self.view.statuses.unwrap_or(told.count.saturating_sub(1));
        self.view.statuses = Some(told.count);
        for status in told.since(known) {
            self.past.heard("status", status.as_str().to_owned());
            let heard = heard_of(*status);
            let round = self.step(Some(control), Input::Heard(Voice::Status, heard)).await;
            if !matches!(round, Round::On) {
                return round;
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

/// What a hook's event says of the tool's turn, if anything.
fn told(event: &HookEvent) -> Option<Heard> {
    let heard = |status, message: Option<String>| Some(Heard { status, message });
    match &event.kind {
        HookKind::UserPromptSubmit { .. }
        | HookKind::PreToolUse(_)
        | HookKind::PermissionRequest(_)
        | HookKind::PostToolUse(_)
        | HookKind::PostToolUseFailure { .. } => heard(ReportStatus::Working, None),
        // Helpers of the tool's end turns of their own.
        _ if event.agent_id.is_some() => None,
        HookKind::Stop { background, .. } if *background > 0 => heard(ReportStatus::Working, None),
        HookKind::Stop { .. } => heard(ReportStatus::Done, None),
        HookKind::StopFailure { error, message } => {
            let cause = match error.as_str() {
                "rate_limit" | "billing_error" => Cause::RateLimited,
                "authentication_failed" | "oauth_org_not_allowed" => Cause::LoginRequired,
                _ => Cause::ApiError,
            };
            let words = message.clone().unwrap_or_else(|| error.clone());
            heard(ReportStatus::Failed, Some(format!("{}: {words}", cause.as_str())))
        }
        HookKind::Interrupt => {
            heard(ReportStatus::Failed, Some(format!("{}: by a person", Cause::Interrupted.as_str())))
        }
        HookKind::SessionStart { source } if source == "clear" => heard(ReportStatus::Idle, None),
        HookKind::SessionStart { .. }
        | HookKind::SessionEnd { .. }
        | HookKind::Notification { .. }
        | HookKind::SubagentStop
        | HookKind::PreCompact
        | HookKind::Other(_) => None,
    }
}

/// An event in a few words, for `explain`.
fn in_words(event: &HookEvent) -> String {
    let mut words = match &event.kind {
        HookKind::PreToolUse(call) => format!("PreToolUse {}", call.tool),
        HookKind::PermissionRequest(call) => format!("PermissionRequest {}", call.tool),
        HookKind::PostToolUse(call) => format!("PostToolUse {}", call.tool),
        HookKind::PostToolUseFailure { call, .. } => format!("PostToolUseFailure {}", call.tool),
        HookKind::SessionStart { source } => format!("SessionStart ({source})"),
        HookKind::SessionEnd { reason } => format!("SessionEnd ({reason})"),
        HookKind::UserPromptSubmit { .. } => "UserPromptSubmit".into(),
        HookKind::Notification { kind, .. } => format!("Notification {kind}"),
        HookKind::Stop { .. } => "Stop".into(),
        HookKind::StopFailure { error, .. } => format!("StopFailure {error}"),
        HookKind::Interrupt => "Interrupt".into(),
        HookKind::SubagentStop => "SubagentStop".into(),
        HookKind::PreCompact => "PreCompact".into(),
        HookKind::Other(name) => name.clone(),
    };
    if event.agent_id.is_some() {
        words += " of a helper";
    }
    words
}

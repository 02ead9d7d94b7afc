//! What a session does about what it has seen or was told: announce, type, press, finish, end.

use std::time::Duration;

use cm_protocol::{ErrorCode, ErrorReply, EventKind, KeysObserved, OnDone, Outcome, Prompt, State};

use super::actor::{Actor, Busy, Purpose, Round, Unreached};
use super::handle::{Answer, Command};
use super::launch;
use super::look::screen_of;
use super::record::Phase;
use super::typing::{Act, Keys, Typing};
use crate::host::clock;
use crate::host::process::{self, Frozen, Grace, Leader, Marker};
use crate::tmux::{Capture, CommandError, Control, Key};
use crate::tool::{Effect, Exit, Input, Screen};

/// Lines of output in a result.
const TAIL: u64 = 20;
/// What a process tree is given to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// A command that the terminal did not take in time or at all.
pub(super) fn not_now(error: CommandError) -> ErrorReply {
    ErrorReply::new(ErrorCode::Conflict, format!("the terminal did not answer: {error}; try again"))
}

impl Command {
    /// Answers it with an error.
    pub(super) fn refuse(self, error: &ErrorReply) {
        // Whoever asked and went away needs no answer.
        match self {
            Self::Send { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Capture { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Transcript { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Pause { answer } => drop(answer.send(Err(error.clone()))),
            Self::Watch { answer, .. }
            | Self::Report { answer, .. }
            | Self::Resume { answer }
            | Self::Kill { answer }
            | Self::Close { answer } => drop(answer.send(Err(error.clone()))),
            Self::Unwatch { .. } => {}
        }
    }
}

impl Actor {
    /// Carries out a command.
    pub(super) async fn command(&mut self, control: &Control, command: Command) -> Round {
        match command {
            Command::Send { keys, answer } => return self.send(control, keys, answer).await,
            Command::Capture { lines, escapes, answer } => {
                let _ = answer.send(self.last_lines(control, lines, escapes).await.map_err(not_now));
            }
            Command::Transcript { wanted, answer } => {
                let _ = answer.send(self.page(control, wanted).await);
            }
            Command::Watch { mailbox, answer } => {
                self.watch(mailbox);
                let _ = answer.send(Ok(()));
            }
            Command::Unwatch { mailbox } => self.unwatch(&mailbox),
            Command::Report { report, answer } => {
                let _ = answer.send(Ok(()));
                return self.step(Some(control), Input::Report(&report)).await;
            }
            Command::Pause { answer } => return self.pause(control, answer).await,
            Command::Resume { answer } => return self.resume(control, answer).await,
            Command::Kill { answer } => return self.kill(control, answer).await,
            Command::Close { answer } if self.view.ended => {
                let round = self.close(Some(control)).await;
                let _ = answer.send(Ok(()));
                return round;
            }
            Command::Close { answer } => {
                let _ = answer.send(Err(self.conflict("its program has not ended")));
            }
        }
        Round::On
    }

    fn conflict(&self, why: &str) -> ErrorReply {
        ErrorReply::new(ErrorCode::Conflict, format!("{}: {why}", self.record.id))
    }

    /// Lets the state machine decide about something, and does what it decided.
    pub(super) async fn step(&mut self, control: Option<&Control>, input: Input<'_>) -> Round {
        let effects = self.machine.step(input, clock::now());
        // Before anything is done about it, so that nothing is ever pressed or typed twice.
        self.engine.hub.remember_memory(&self.record.id, self.machine.memory(), self.machine.authority());
        let mut round = Round::On;
        for effect in effects {
            match effect {
                Effect::Announce { state, reason, prompt } => self.announce(state, reason, prompt),
                Effect::DeliverTask => {
                    let keys = Keys { text: self.record.task_text.clone(), named: Vec::new(), enter: true };
                    self.typing = Some(Busy {
                        typing: Typing::new(keys),
                        purpose: Purpose::Task,
                        until: Some(clock::now()),
                    });
                }
                Effect::Press { prompt, keys, rule } => {
                    if let Some(control) = control {
                        round = self.press(control, prompt, keys, rule).await;
                    }
                }
                Effect::Complete { state, reason, exit_code, signal } => {
                    self.complete(control, state, reason, exit_code, signal).await;
                }
            }
        }
        // What was announced is what is known.
        if let Some(record) = self.engine.hub.record(&self.record.id) {
            self.record = record;
        }
        round
    }

    /// Presses keys a policy has allowed, if the prompt is still the one that was decided on.
    async fn press(&mut self, control: &Control, prompt: Prompt, keys: Vec<String>, rule: String) -> Round {
        let seen = match control.snapshot(Capture::default()).await {
            Ok(seen) => seen,
            Err(error) => return self.lost_sight(&error),
        };
        if seen.status.ended().is_some() || !self.machine.still_there(&screen_of(&seen), &prompt) {
            tracing::info!(session = %self.record.id, "the prompt has gone; nothing pressed");
            return Round::On;
        }
        let keys: Vec<Key> = keys.iter().filter_map(|name| Key::parse(name).ok()).collect();
        if let Err(error) = press(control, &keys).await {
            return self.lost_sight(&error);
        }
        let session_id = self.record.id.clone();
        self.engine.hub.publish(EventKind::AutoConfirmed {
            session_id,
            prompt: Some(prompt),
            rule: Some(rule),
        });
        Round::On
    }

    /// A task has ended: gather the result, announce it, and make it last.
    async fn complete(
        &mut self,
        control: Option<&Control>,
        state: State,
        reason: Option<String>,
        exit_code: Option<i32>,
        signal: Option<String>,
    ) {
        let tail = match control {
            Some(control) => self.last_lines(control, TAIL, false).await.unwrap_or_default(),
            None => self.view.screen.as_ref().map(|s| s.lines.join("\n")).unwrap_or_default(),
        };
        let outcome = Outcome {
            state,
            exit_code,
            signal,
            duration: (clock::unix_now() - self.record.task_began).max(0.0),
            tail: super::transcript::last_lines(&tail, TAIL).lines().map(str::to_owned).collect(),
            reason,
        };
        self.engine.hub.publish(EventKind::SessionCompleted {
            session_id: self.record.id.clone(),
            state,
            task: self.record.task.clone(),
            outcome: Some(outcome),
        });
        // The result is what all this is for: it is on the disk before anything else happens.
        if let Err(error) = self.engine.hub.sync().await {
            tracing::error!(session = %self.record.id, %error, "its result is not on the disk yet");
        }
        self.plan_closing();
    }

    /// When the terminal is to be closed, now that a task or the program has ended.
    fn plan_closing(&mut self) {
        let now = clock::now();
        self.close_at = match self.record.on_done {
            OnDone::Close => Some(now),
            OnDone::Keep if self.view.ended => Some(now + self.engine.keep_finished),
            OnDone::Keep => None,
        };
    }

    /// Tells what an earlier agent had decided and written down, but did not live to announce.
    pub(super) async fn catch_up(&mut self, control: Option<&Control>, exit: &Exit) {
        let (state, reason) = (self.machine.state(), self.machine.reason().map(str::to_owned));
        if state != self.record.state {
            self.announce(state, reason.clone(), self.machine.prompt().cloned());
        }
        if state.is_terminal() && self.record.outcome.is_none() {
            self.complete(control, state, reason, exit.code, exit.signal.clone()).await;
        }
        self.plan_closing();
    }

    fn announce(&self, state: State, reason: Option<String>, prompt: Option<Prompt>) {
        self.engine.hub.publish(EventKind::StateChange {
            session_id: self.record.id.clone(),
            state,
            task: self.record.task.clone(),
            reason,
            prompt,
        });
    }

    async fn send(&mut self, control: &Control, keys: Keys, answer: Answer<KeysObserved>) -> Round {
        if self.view.ended {
            let _ = answer.send(Err(self.conflict("its program has ended, there is nothing to type into")));
            return Round::On;
        }
        if self.record.paused_since.is_some() {
            let _ = answer.send(Err(self.conflict("it is paused; resume it first")));
            return Round::On;
        }
        if self.typing.is_some() {
            self.waiting.push_back((keys, answer));
            return Round::On;
        }
        self.begin_typing(keys, answer);
        self.look(control).await
    }

    fn begin_typing(&mut self, keys: Keys, answer: Answer<KeysObserved>) {
        let purpose = Purpose::Client { answer, named: !keys.named.is_empty() };
        self.typing = Some(Busy { typing: Typing::new(keys), purpose, until: Some(clock::now()) });
    }

    /// Takes typing a step further, now that the screen has been seen.
    pub(super) async fn go_on_typing(&mut self, control: &Control, screen: &Screen) -> Round {
        let Some(mut busy) = self.typing.take() else { return Round::On };
        if self.view.ended {
            let result = busy.typing.ended().ok_or_else(|| self.conflict("its program has ended"));
            return self.typed(control, busy.purpose, result).await;
        }
        let done = match busy.typing.step(screen, clock::now()) {
            Act::Paste(text) => control.paste(&text).await,
            Act::Press(keys) => press(control, &keys).await,
            Act::Enter => press(control, &[Key::enter()]).await,
            Act::Look(at) => {
                busy.until = Some(at);
                self.typing = Some(busy);
                return Round::On;
            }
            Act::Finished(seen) => return self.typed(control, busy.purpose, Ok(seen)).await,
        };
        if let Err(error) = done {
            let lost = self.lost_sight(&error);
            // The answer goes out before the connection is made anew.
            self.typed(control, busy.purpose, Err(not_now(error))).await;
            return lost;
        }
        // The effect shows within milliseconds, or as output; the stage's own deadline comes with the look.
        busy.until = Some(clock::now() + Duration::from_millis(3));
        self.typing = Some(busy);
        Round::On
    }

    async fn typed(
        &mut self,
        control: &Control,
        purpose: Purpose,
        result: Result<KeysObserved, ErrorReply>,
    ) -> Round {
        self.typing = None;
        let round = match purpose {
            Purpose::Client { answer, named } => {
                // A key may be the answer to a question; text without Enter is none.
                let submitted = match result {
                    Ok(KeysObserved::Submitted) => true,
                    Ok(KeysObserved::Typed) => named,
                    Ok(KeysObserved::NoEvidence) | Err(_) => false,
                };
                let _ = answer.send(result);
                if submitted {
                    Box::pin(self.step(Some(control), Input::KeysSubmitted)).await
                } else {
                    Round::On
                }
            }
            Purpose::Task => {
                let input = match result {
                    Ok(KeysObserved::Submitted) => Input::TaskDelivered,
                    Ok(KeysObserved::Typed) => {
                        Input::TaskUndeliverable { why: "the task was typed but Enter had no effect".into() }
                    }
                    Ok(KeysObserved::NoEvidence) => {
                        Input::TaskUndeliverable { why: "the task was typed but never appeared".into() }
                    }
                    Err(error) => Input::TaskUndeliverable { why: error.error },
                };
                Box::pin(self.step(Some(control), input)).await
            }
        };
        if let Some((keys, answer)) = self.waiting.pop_front() {
            self.begin_typing(keys, answer);
        }
        round
    }

    async fn pause(&mut self, control: &Control, answer: Answer<bool>) -> Round {
        if self.record.paused_since.is_some() || self.view.ended {
            let why = if self.view.ended { "its program has ended" } else { "it is paused already" };
            let _ = answer.send(Err(self.conflict(why)));
            return Round::On;
        }
        let frozen = match self.program() {
            Some(program) => process::freeze(program, Leader::Shim, Some(&self.marker())).await,
            None => Frozen::No("its first process is not known"),
        };
        if let Frozen::No(why) = &frozen {
            tracing::info!(session = %self.record.id, why, "paused, but its processes go on");
        }
        self.engine.hub.update(&self.record.id, |r| r.paused_since = Some(clock::unix_now()));
        let round = self.step(Some(control), Input::Paused).await;
        let _ = answer.send(Ok(matches!(frozen, Frozen::Yes(_))));
        round
    }

    async fn resume(&mut self, control: &Control, answer: Answer<()>) -> Round {
        let Some(since) = self.record.paused_since else {
            let _ = answer.send(Err(self.conflict("it is not paused")));
            return Round::On;
        };
        if let Some(program) = self.program() {
            process::thaw(program, Some(&self.marker()));
        }
        self.engine.hub.update(&self.record.id, |r| {
            r.paused_for += (clock::unix_now() - since).max(0.0);
            r.paused_since = None;
        });
        let round = self.step(Some(control), Input::Resumed).await;
        let _ = answer.send(Ok(()));
        self.look_soon();
        round
    }

    async fn kill(&mut self, control: &Control, answer: Answer<()>) -> Round {
        // First the decision, so that the program's end is not taken for its own doing.
        self.step(Some(control), Input::KillRequested).await;
        let round = self.close(Some(control)).await;
        let _ = answer.send(Ok(()));
        round
    }

    /// Ends a session whose terminal does not answer.
    pub(super) async fn kill_unreachable(&mut self, answer: Answer<()>) {
        self.step(None, Input::KillRequested).await;
        self.close(None).await;
        let _ = answer.send(Ok(()));
    }

    pub(super) async fn time_out(&mut self, control: &Control) -> Round {
        let after = Duration::try_from_secs_f64(self.record.timeout.unwrap_or_default()).unwrap_or_default();
        self.step(Some(control), Input::TimedOut { after }).await;
        self.end_processes().await;
        // The terminal itself stays as long as it was meant to.
        self.look_soon();
        Round::On
    }

    /// Ends the program and everything it started, but not the terminal that shows its last words.
    async fn end_processes(&self) {
        if self.record.paused_since.is_some()
            && let Some(program) = self.program()
        {
            process::thaw(program, Some(&self.marker()));
        }
        let roots: Vec<_> = self.program().into_iter().collect();
        let grace = Grace { ask: GRACE, ..Grace::default() };
        let ended = process::end_tree(&roots, Some(&self.marker()), grace).await;
        if !ended.survivors.is_empty() {
            tracing::error!(session = %self.record.id, survivors = ?ended.survivors, "processes did not end");
        }
    }

    fn marker(&self) -> Marker {
        Marker::session(self.record.id.as_str())
    }

    /// Saves the text and removes everything the session owns.
    pub(super) async fn close(&mut self, control: Option<&Control>) -> Round {
        if let Some(control) = control {
            if let Err(error) = self.save_text(control).await {
                tracing::warn!(session = %self.record.id, %error, "its text could not be read");
            }
            self.end_processes().await;
            // A server that is gone already is what is wanted.
            let _ = control.kill_server().await;
        } else {
            self.end_processes().await;
        }
        launch::clear(&self.engine, &self.record.id).await;
        self.engine.hub.publish(EventKind::SessionClosed { session_id: self.record.id.clone() });
        self.record.phase = Phase::Closed { at: clock::unix_now() };
        Round::Over
    }

    /// The terminal's server is proven dead without anyone here having ended it.
    pub(super) async fn vanished(&mut self, error: &Unreached) {
        if !self.machine.state().is_terminal() {
            let cause = self.cause(error).await;
            self.step(None, Input::Vanished { cause }).await;
        } else {
            self.catch_up(None, &Exit::default()).await;
        }
        self.close(None).await;
    }

    /// Why it vanished, as well as can be known.
    async fn cause(&self, error: &Unreached) -> String {
        if self.record.boot_id != self.engine.boot_id {
            return "the host was restarted".into();
        }
        if let (Some(manager), Some(unit)) = (&self.engine.manager, &self.record.unit)
            && let Ok(state) = manager.unit_state(unit, GRACE).await
            && let Some(ending) = state.ending()
        {
            return format!("its terminal is gone: {ending}");
        }
        format!("its terminal is gone ({error})")
    }
}

/// Presses keys so that they reach the program, even if somebody left the terminal scrolled back.
async fn press(control: &Control, keys: &[Key]) -> Result<(), CommandError> {
    control.leave_copy_mode().await?;
    control.press(keys).await
}

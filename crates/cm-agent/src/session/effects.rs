//! What a session does about what it has seen or was told: answer, announce, finish.

use cm_protocol::{ErrorCode, ErrorReply, EventKind, OnDone, Outcome, Prompt, State};

use super::actor::{Actor, Purpose, Round};
use super::handle::Command;
use super::typing::Keys;
use crate::host::clock;
use crate::tmux::{CommandError, Control};
use crate::tool::detect::last_words;
use crate::tool::policy::insists;
use crate::tool::{Effect, Exit, Input};

/// Lines of output in a result.
const TAIL: u64 = 20;
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
            Self::Hook { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Settle { answer, .. } => drop(answer.send(Err(error.clone()))),
            Self::Explain { answer } => drop(answer.send(Err(error.clone()))),
            Self::Watch { answer, .. }
            | Self::Report { answer, .. }
            | Self::Resume { answer }
            | Self::Kill { answer, .. } => drop(answer.send(Err(error.clone()))),
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
            Command::Hook { event, answer } => return self.hook(control, &event, answer).await,
            Command::Settle { asked, answer } => return self.settle_prompt(control, asked, answer).await,
            Command::Explain { answer } => drop(answer.send(Ok(self.explain()))),
            Command::Pause { answer } => return self.pause(control, answer).await,
            Command::Resume { answer } => return self.resume(control, answer).await,
            Command::Kill { why, answer } => return self.kill(control, why, answer).await,
        }
        Round::On
    }

    pub(super) fn conflict(&self, why: &str) -> ErrorReply {
        ErrorReply::new(ErrorCode::Conflict, format!("{}: {why}", self.record.id))
    }

    /// Lets the state machine decide about something, and does what it decided.
    pub(super) async fn step(&mut self, control: Option<&Control>, input: Input<'_>) -> Round {
        let now = clock::now();
        self.recorder.input(&input, now);
        let effects = self.machine.step(input, now);
        self.recorder.effects(&effects, self.machine.rule(), now);
        self.past.decided(&effects, self.machine.rule());
        // Before anything is done about it, so that nothing is ever pressed or typed twice.
        self.engine.hub.remember_memory(&self.record.id, self.machine.memory(), self.machine.authority());
        let mut round = Round::On;
        // Most looks decide nothing; a record can hold a long task and is not copied for them.
        let told = !effects.is_empty();
        for effect in effects {
            match effect {
                Effect::Announce { state, reason, prompt } => self.announce(state, reason, prompt),
                Effect::DeliverTask => self.deliver(self.record.task_text.clone()),
                Effect::DeliverWords { words } => self.deliver(words),
                Effect::RunCheck => self.run_check(),
                Effect::Choose { prompt, label, verdict, rule } => {
                    match self.left_to_a_person(verdict, &prompt) {
                        Some(why) => {
                            let left = Input::Unanswered { prompt_id: prompt.id, why };
                            round = Box::pin(self.step(control, left)).await;
                        }
                        None => self.begin_choice(prompt, label, verdict, rule),
                    }
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
        if told {
            self.recall();
        }
        round
    }

    /// Why a person is asked in place of a refusal, if so.
    pub(super) fn left_to_a_person(&self, verdict: &str, prompt: &Prompt) -> Option<String> {
        let refused = verdict == "deny";
        refused.then(|| insists(&self.record.receipts, self.record.task_began, prompt)).flatten()
    }

    /// Types the task, or words that go on with it.
    fn deliver(&mut self, text: String) {
        let keys = Keys { text, named: Vec::new(), enter: true };
        if self.typing.is_some() {
            // A client types, say the answer to a question before the start: its text is not cut in two,
            // and it gets its answer.
            self.waiting.push_front((keys, Purpose::Task));
        } else {
            self.begin_typing(keys, Purpose::Task);
        }
    }

    /// Takes over what the hub knows: what was announced or changed there is what is known here.
    pub(super) fn recall(&mut self) {
        if let Some(record) = self.engine.hub.record(&self.record.id) {
            self.record = record;
        }
    }

    /// A task has ended: gather the result, announce it, and make it last.
    pub(super) async fn complete(
        &mut self,
        control: Option<&Control>,
        state: State,
        reason: Option<String>,
        exit_code: Option<i32>,
        signal: Option<String>,
    ) {
        self.look_for_conversation().await;
        self.save_last().await;
        let proven = self.proof(state).await;
        self.look_at_the_end(control).await;
        let tail = self.tail(control).await;
        let outcome = Outcome {
            state,
            proof: proven.proof,
            until: reason.as_deref().and_then(super::proving::until),
            check: proven.check,
            changes: proven.changes,
            receipts: self.record.receipts.clone(),
            exit_code,
            signal,
            duration: (clock::unix_now() - self.record.task_began).max(0.0),
            tail,
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

    /// A tool with a screen of its own may say that it is done before all of that is drawn.
    async fn look_at_the_end(&mut self, control: Option<&Control>) {
        let Some(control) = control.filter(|_| self.machine.profile().is_tui()) else { return };
        if let Ok(seen) = control.snapshot(self.capture()).await {
            self.take_in(&seen);
        }
    }

    /// The last lines of output: of a tool with a screen of its own, what it said above its box.
    async fn tail(&self, control: Option<&Control>) -> Vec<String> {
        let screen = self.view.screen.as_deref();
        let count = usize::try_from(TAIL).unwrap_or(usize::MAX);
        if let Some(words) = screen.and_then(|screen| last_words(self.machine.profile(), screen, count)) {
            return words;
        }
        let text = match control {
            Some(control) => self.last_lines(control, TAIL, false).await.unwrap_or_default(),
            None => screen.map(|s| s.lines.join("\n")).unwrap_or_default(),
        };
        super::transcript::last_lines(&text, TAIL).lines().map(str::to_owned).collect()
    }

    /// When the terminal is to be closed, now that a task or the program has ended.
    pub(super) fn plan_closing(&mut self) {
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
        let prompt = self.machine.prompt().cloned();
        let told = &self.record;
        if (state, &reason, &prompt) != (told.state, &told.reason, &told.prompt) {
            self.announce(state, reason.clone(), prompt);
        }
        if state.is_terminal() {
            if self.record.outcome.is_none() {
                self.complete(control, state, reason, exit.code, exit.signal.clone()).await;
            } else if self.close_at.is_none() {
                self.plan_closing();
            }
        }
        // What is told now must not be told again.
        self.recall();
    }

    pub(super) fn announce(&self, state: State, reason: Option<String>, prompt: Option<Prompt>) {
        self.engine.hub.publish(EventKind::StateChange {
            session_id: self.record.id.clone(),
            state,
            task: self.record.task.clone(),
            reason,
            prompt,
        });
    }
}

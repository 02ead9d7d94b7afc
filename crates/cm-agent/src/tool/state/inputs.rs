//! What each input does to a session, before any hold has run out (PURE).

use std::time::Duration;

use cm_protocol::{ReportStatus, State};

use super::asking::class_of;
use super::memory::{Instance, Mark, Phase, Source, Stage, Voice};
use super::{Effect, Exit, Input, Look, Machine};
use crate::tool::detect::{Seen, detect};
use crate::tool::dialog::FoundPrompt;
use crate::tool::hooks::{Heard, clean};
use crate::tool::profile::Life;
use crate::tool::screen::Screen;

/// A question that vanishes and is back unchanged this soon was redrawn, not asked anew.
const REDRAW: Duration = Duration::from_millis(300);

/// Lines of the screen that explain a tool which ended before it was ready.
const TAIL_LINES: usize = 3;

impl Machine {
    pub(super) fn take(&mut self, input: Input<'_>, effects: &mut Vec<Effect>) {
        if self.memory.is_ended() {
            return;
        }
        match input {
            Input::Screen(screen) => self.on_screen(screen, effects),
            Input::Report(report) => self.on_report(Voice::Report, Heard::from_report(report)),
            Input::Heard(voice, Some(heard)) => self.on_report(voice, heard),
            Input::Heard(voice, None) => self.on_silence(voice),
            Input::Works(activity) => self.on_activity(activity),
            Input::Attached(attached) => self.watch.attached = attached,
            Input::Answering { prompt_id } => self.on_answering(prompt_id, None),
            Input::Refusing { prompt_id, told } => self.on_answering(prompt_id, Some(told)),
            Input::Settled { prompt_id, rule } => {
                self.memory.prompts = self.memory.prompts.max(prompt_id);
                self.memory.rule = rule;
            }
            Input::Unanswered { prompt_id, why } => self.on_unanswered(prompt_id, why),
            Input::Checked { passed, summary, again } => self.on_checked(passed, &summary, again, effects),
            Input::Exited(exit) => self.on_exit(exit, effects),
            Input::Vanished { cause } => {
                self.end(State::Lost, Some(clean(&cause)), Exit::default(), "terminal gone", effects);
            }
            Input::KeysSubmitted => self.on_keys(true),
            Input::KeysPressed => self.on_keys(false),
            Input::Interrupting => self.on_interrupting(),
            Input::TaskDelivered => {
                if let Phase::Delivering { words } = &self.memory.phase {
                    let rule = if words.is_some() { "words delivered" } else { "task delivered" };
                    self.begin_round(rule);
                }
            }
            Input::TaskUndeliverable { why } => {
                if let Phase::Delivering { words } = &self.memory.phase {
                    let what = if words.is_some() { "what follows on the task" } else { "the task" };
                    let reason = format!("{what} could not be typed: {}", clean(&why));
                    self.settle(State::Failed, Some(reason), "task not delivered", effects);
                }
            }
            Input::Paused => self.memory.paused = true,
            Input::Resumed => self.on_resumed(),
            Input::KillRequested { why } => {
                let why = why.as_deref().map(clean);
                self.end(State::Killed, why, Exit::default(), "kill requested", effects);
            }
            Input::TimedOut { after } => self.on_timeout(after, effects),
            Input::Tick => {}
        }
    }

    fn on_screen(&mut self, screen: &Screen, effects: &mut Vec<Effect>) {
        self.keep_mark();
        let look = Look {
            observation: detect(&self.profile, &self.memory, screen),
            mark: Mark::of(screen),
            before_cursor: screen.before_cursor(),
        };
        let now = self.watch.now;
        let last = self.watch.look.as_ref();
        if last.is_none_or(|last| last.mark.print != look.mark.print) {
            self.watch.quiet_since = now;
        }
        if last.is_none_or(|last| {
            last.observation.kind != look.observation.kind || last.mark.row != look.mark.row
        }) {
            self.watch.steady_since = now;
        }
        if self.memory.is_starting() {
            self.watch.tail = screen.tail(TAIL_LINES).into_iter().map(clean).collect();
        }
        self.follow_question(&look);
        self.compare_with_mark(&look);
        self.follow_work(&look);
        self.watch.look = Some(look);
        // The task may have ended meanwhile in another way; then there is nothing left to find out.
        if std::mem::take(&mut self.watch.unsure) && matches!(self.memory.phase, Phase::Delivering { .. }) {
            self.resolve_delivery(effects);
        }
    }

    /// Whether the open question is still the one on the screen (failure 1).
    fn follow_question(&mut self, look: &Look) {
        let now = self.watch.now;
        let blocked;
        let found = match &look.observation.kind {
            Seen::Asking(found) => found,
            Seen::Blocked(trouble) => {
                blocked = FoundPrompt::blocked(trouble);
                &blocked
            }
            _ => {
                self.question_gone();
                return;
            }
        };
        let is_same = |asked: &Instance, also: &dyn Fn(&Mark) -> bool| match &asked.source {
            // A drawn dialog is known by what it says; where it stands and what moves beside it is no matter.
            Source::Drawn => {
                found.is_drawn() && asked.prompt.class.as_deref() == Some(class_of(found).as_str())
            }
            Source::Screen(mark) => {
                // An attached person's window reflows lines: the row is another, the question is not.
                let same_place = mark.row == look.mark.row || mark.size != look.mark.size;
                asked.prompt.text == found.text
                    && asked.prompt.kind == found.kind.as_str()
                    && same_place
                    && also(mark)
            }
            Source::Report => false,
        };
        match &mut self.memory.asked {
            Some(asked) if is_same(asked, &|_| true) => {
                if let Source::Screen(mark) = &mut asked.source
                    && (mark.row, mark.size) != (look.mark.row, look.mark.size)
                {
                    *mark = look.mark;
                }
                return;
            }
            _ => self.question_gone(),
        }
        let redrawn = self.watch.gone.take_if(|(gone, at)| {
            gone.stage != Stage::AnsweredByPerson
                && now.saturating_sub(*at) < REDRAW
                && is_same(gone, &|mark| mark.print == look.mark.print)
        });
        if let Some((instance, _)) = redrawn
            && self.memory.asked.is_none()
        {
            self.memory.asked = Some(instance);
        }
    }

    /// What the screen tells of the tool's work.
    fn follow_work(&mut self, look: &Look) {
        let Seen::Working { activity } = &look.observation.kind else { return };
        if let Phase::Round { worked, .. } = &mut self.memory.phase {
            *worked = true;
        }
        if self.watch.look.as_ref().is_some_and(|last| last.mark.print != look.mark.print) {
            self.goes_on();
        }
        if let (Some(activity), false) = (activity, self.memory.hooked) {
            self.memory.activity = Some(*activity);
        }
    }

    fn question_gone(&mut self) {
        if let Some(gone) = self.memory.asked.take_if(|asked| asked.source != Source::Report) {
            self.watch.gone = Some((gone, self.watch.now));
        }
    }

    /// Whether the screen has changed since the task was given.
    fn compare_with_mark(&mut self, look: &Look) {
        let (Phase::Round { left, .. }, Some(mark)) = (&mut self.memory.phase, &mut self.memory.mark) else {
            return;
        };
        if !*left && mark.size != look.mark.size {
            // The window was resized: everything moved, nothing happened.
            *mark = look.mark;
        }
        *left |= mark.print != look.mark.print;
    }

    /// Between tasks the screen before the next one is the last that stood still at the prompt: what a
    /// person did by hand in between is not the next task's work, and an answer faster than the news of
    /// the keys is.
    pub(super) fn keep_mark(&mut self) {
        let (Phase::Idle | Phase::Settled { .. }, Life::Screen { done, .. }, Some(look)) =
            (&self.memory.phase, &self.profile.life, &self.watch.look)
        else {
            return;
        };
        let still_for = self.watch.now.saturating_sub(self.watch.quiet_since);
        if matches!(look.observation.kind, Seen::AtPrompt { .. }) && still_for >= done.quiet {
            self.memory.mark = Some(look.mark);
        }
    }

    /// After a restart in the middle of typing: never type twice. A line that still begins with the prompt
    /// holds the task or a part of it; anything else is the tool at work.
    fn resolve_delivery(&mut self, effects: &mut Vec<Effect>) {
        let at_prompt = match (self.memory.ready_prompt(), &self.watch.look) {
            (_, Some(look)) if self.profile.is_tui() => {
                matches!(look.observation.kind, Seen::AtPrompt { turn: None, .. })
            }
            (Some(prompt), Some(Look { before_cursor: Some(text), .. })) => text.starts_with(prompt),
            _ => false,
        };
        if at_prompt {
            let reason = "the agent was restarted while it typed the task; it may stand there unsubmitted";
            self.settle(State::Failed, Some(reason.into()), "restarted while typing", effects);
        } else {
            self.begin_round("task delivered before a restart");
        }
    }

    fn on_unanswered(&mut self, prompt_id: u64, why: String) {
        if let Some(asked) = self.memory.asked.as_mut().filter(|asked| asked.prompt.id == prompt_id) {
            asked.stage = Stage::Asked;
            asked.reason = Some(clean(&why));
            self.memory.refusal = None;
        }
    }

    /// The check of a task that is said to be done.
    fn on_checked(&mut self, passed: bool, summary: &str, again: Option<String>, effects: &mut Vec<Effect>) {
        let Phase::Checking { exit, reason } = self.memory.phase.clone() else { return };
        let (state, reason) = match (passed, again) {
            (true, _) => (State::Done, reason),
            (false, Some(words)) if exit.is_none() => {
                return self.tell(words, "the check failed: the tool is to mend it", effects);
            }
            (false, _) => (State::Failed, Some(format!("check_failed: {}", clean(summary)))),
        };
        let rule = if passed { "the check passed" } else { "the check failed" };
        let phase = match exit {
            Some(_) => Phase::Ended { state, reason },
            None => Phase::Settled { state, reason },
        };
        let exit = exit.map(|(code, signal)| Exit { code, signal }).unwrap_or_default();
        self.finish(phase, exit, rule, effects);
    }

    fn on_resumed(&mut self) {
        if std::mem::take(&mut self.memory.paused) {
            // What stood still because it was stopped proves nothing.
            let now = self.watch.now;
            self.watch.quiet_since = now;
            self.watch.steady_since = now;
            self.watch.reported_at = now;
            self.watch.answered_at = now;
        }
    }

    fn on_timeout(&mut self, after: Duration, effects: &mut Vec<Effect>) {
        let reason = Some(format!("timed out after {}", seconds(after)));
        if self.profile.life_is_process() {
            self.end(State::Failed, reason, Exit::default(), "time limit", effects);
        } else if !matches!(self.memory.phase, Phase::Settled { .. }) {
            self.settle(State::Failed, reason, "time limit", effects);
        }
    }

    fn on_exit(&mut self, exit: Exit, effects: &mut Vec<Effect>) {
        let how = match &exit {
            Exit { signal: Some(signal), .. } => Some(format!("ended by {signal}")),
            Exit { code: Some(0), .. } => None,
            Exit { code: Some(code), .. } => Some(format!("exit code {code}")),
            Exit { code: None, signal: None } => Some("ended, its exit code is not known".to_owned()),
        };
        if let Phase::Checking { exit: ended, .. } = &mut self.memory.phase {
            *ended = Some((exit.code, exit.signal));
            return;
        }
        let early = match self.memory.phase {
            Phase::Starting { task, given } => Some(task || given),
            Phase::Delivering { .. } => Some(true),
            _ => None,
        };
        let reason = match early {
            Some(task) if task || how.is_some() => {
                let mut reason = "exited before it was ready".to_owned();
                if matches!(self.memory.phase, Phase::Delivering { .. }) {
                    reason = "exited before it had its task".to_owned();
                }
                if let Some(how) = &how {
                    reason += &format!(" ({how})");
                }
                if !self.watch.tail.is_empty() {
                    reason += &format!(": {}", self.watch.tail.join(" | "));
                }
                Some(reason)
            }
            _ if self.is_crash(&exit) => {
                Some(format!("crashed: {}", how.as_deref().unwrap_or("it exited while it was at work")))
            }
            _ => how.clone(),
        };
        let failed = how.is_some() || early == Some(true) || self.is_crash(&exit);
        let state = if failed { State::Failed } else { State::Done };
        self.end(state, reason, exit, "process ended", effects);
    }

    /// Whether a coding tool has ended in the middle of its work: leaving at its prompt is an end like any.
    fn is_crash(&self, exit: &Exit) -> bool {
        let seen = self.watch.look.as_ref().map(|look| &look.observation.kind);
        let resting = matches!(seen, Some(Seen::AtPrompt { .. }));
        let coding = self.profile.facts.input.is_some();
        coding && self.memory.is_round() && (exit.code != Some(0) || (self.profile.is_tui() && !resting))
    }

    /// The program's end. A task that had ended before keeps its outcome.
    fn end(
        &mut self,
        state: State,
        reason: Option<String>,
        exit: Exit,
        rule: &str,
        effects: &mut Vec<Effect>,
    ) {
        if let Phase::Settled { state, reason } = &self.memory.phase {
            self.memory.phase = Phase::Ended { state: *state, reason: reason.clone() };
        } else if state == State::Done && self.bearings.check {
            self.begin_check(Some((exit.code, exit.signal)), reason, effects);
        } else {
            self.finish(Phase::Ended { state, reason }, exit, rule, effects);
        }
    }

    /// The task is said to be done: its check has the word.
    fn begin_check(
        &mut self,
        exit: Option<(Option<i32>, Option<String>)>,
        reason: Option<String>,
        effects: &mut Vec<Effect>,
    ) {
        self.memory.phase = Phase::Checking { exit, reason };
        self.memory.rule = "the task's check runs".into();
        self.memory.asked = None;
        self.memory.checks += 1;
        self.announce(effects);
        effects.push(Effect::RunCheck);
    }

    /// The task's end while the tool lives.
    pub(super) fn settle(
        &mut self,
        state: State,
        reason: Option<String>,
        rule: &str,
        effects: &mut Vec<Effect>,
    ) {
        // The screen it ended on is the one before the next task.
        if let Some(look) = &self.watch.look {
            self.memory.mark = Some(look.mark);
        }
        if state == State::Done && self.bearings.check {
            return self.begin_check(None, reason, effects);
        }
        self.finish(Phase::Settled { state, reason }, Exit::default(), rule, effects);
    }

    pub(super) fn begin_round(&mut self, rule: &str) {
        let left = match (&self.watch.look, &self.memory.mark) {
            (Some(look), Some(mark)) => look.mark.print != mark.print,
            (None, Some(_)) => false,
            // It had its task before anything was seen of it.
            (_, None) => true,
        };
        let worked = self.memory.report.as_ref().is_some_and(|heard| heard.status == ReportStatus::Working)
            || matches!(
                self.watch.look.as_ref().map(|look| &look.observation.kind),
                Some(Seen::Working { .. })
            );
        self.memory.phase = Phase::Round { left, worked };
        self.memory.interrupting = false;
        // It may have said so while the task was still being typed.
        self.memory.spoken =
            self.memory.report.as_ref().is_some_and(|heard| heard.status == ReportStatus::Working);
        self.memory.aside = None;
        self.memory.activity = None;
        self.memory.rule = rule.to_owned();
        // What stood before the task was given says nothing about it.
        self.watch.quiet_since = self.watch.now;
        self.watch.steady_since = self.watch.now;
        if let Some(heard) = &mut self.memory.report
            && heard.status != ReportStatus::Working
        {
            *heard = Heard { status: ReportStatus::Working, message: None };
        }
    }
}

/// A time for people: `90 s`, `0.5 s`.
fn seconds(time: Duration) -> String {
    format!("{} s", (time.as_secs_f64() * 10.0).round() / 10.0)
}

//! What each input does to a session, before any hold has run out (PURE).

use std::time::Duration;

use cm_protocol::{ReportStatus, State};

use super::memory::{Instance, Mark, Phase, Source, Stage};
use super::{Effect, Exit, Input, Look, Machine};
use crate::tool::detect::{Seen, detect};
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
            Input::Report(report) => self.on_report(Heard::from_report(report)),
            Input::Exited(exit) => self.on_exit(exit, effects),
            Input::Vanished { cause } => {
                self.end(State::Lost, Some(clean(&cause)), Exit::default(), "terminal gone", effects);
            }
            Input::KeysSubmitted => self.on_keys(),
            Input::TaskDelivered => {
                if self.memory.phase == Phase::Delivering {
                    self.begin_round("task delivered");
                }
            }
            Input::TaskUndeliverable { why } => {
                if self.memory.phase == Phase::Delivering {
                    let reason = format!("the task could not be typed: {}", clean(&why));
                    self.settle(State::Failed, Some(reason), "task not delivered", effects);
                }
            }
            Input::Paused => self.memory.paused = true,
            Input::Resumed => self.on_resumed(),
            Input::KillRequested => self.end(State::Killed, None, Exit::default(), "kill requested", effects),
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
        if last.is_none_or(|last| last.observation != look.observation || last.mark.row != look.mark.row) {
            self.watch.steady_since = now;
        }
        if self.memory.is_starting() {
            self.watch.tail = screen.tail(TAIL_LINES).into_iter().map(clean).collect();
        }
        self.follow_question(&look);
        self.compare_with_mark(&look);
        self.watch.look = Some(look);
        // The task may have ended meanwhile in another way; then there is nothing left to find out.
        if std::mem::take(&mut self.watch.unsure) && self.memory.phase == Phase::Delivering {
            self.resolve_delivery(effects);
        }
    }

    /// Whether the open question is still the one on the screen (failure 1).
    fn follow_question(&mut self, look: &Look) {
        let now = self.watch.now;
        let Seen::Asking(found) = &look.observation.kind else {
            self.question_gone();
            return;
        };
        let is_same = |asked: &Instance, also: &dyn Fn(&Mark) -> bool| match &asked.source {
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

    fn question_gone(&mut self) {
        if let Some(gone) = self.memory.asked.take_if(|asked| matches!(asked.source, Source::Screen(_))) {
            self.watch.gone = Some((gone, self.watch.now));
        }
    }

    /// Whether the screen has changed since the task was given.
    fn compare_with_mark(&mut self, look: &Look) {
        let (Phase::Round { left }, Some(mark)) = (&mut self.memory.phase, &mut self.memory.mark) else {
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
    fn keep_mark(&mut self) {
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

    fn on_report(&mut self, mut heard: Heard) {
        if self.profile.life_is_process() && heard.status != ReportStatus::Waiting {
            // Only its exit ends it; what it says is still worth showing.
            heard.status = ReportStatus::Working;
        }
        if self.memory.report.as_ref() == Some(&heard) {
            return;
        }
        let same_question = heard.status == ReportStatus::Waiting
            && self.memory.asked.as_ref().is_some_and(|asked| {
                asked.source == Source::Report
                    && asked.prompt.text == heard.message.as_deref().unwrap_or_default()
            });
        if !same_question {
            self.memory.asked = None;
            self.watch.gone = None;
        }
        let works = heard.status == ReportStatus::Working;
        self.memory.report = Some(heard);
        self.watch.reported_at = self.watch.now;
        if works && matches!(self.memory.phase, Phase::Idle | Phase::Settled { .. }) {
            self.keep_mark();
            self.begin_round("report: working");
        }
    }

    fn on_keys(&mut self) {
        if let Some(asked) = &mut self.memory.asked {
            if asked.source == Source::Report {
                self.memory.asked = None;
                self.memory.report = Some(Heard { status: ReportStatus::Working, message: None });
            } else {
                asked.stage = Stage::AnsweredByPerson;
            }
            self.watch.answered_at = self.watch.now;
        } else if matches!(self.memory.phase, Phase::Idle | Phase::Settled { .. }) {
            self.keep_mark();
            self.begin_round("keys submitted");
        }
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
        let early = match self.memory.phase {
            Phase::Starting { task } => Some(task),
            Phase::Delivering => Some(true),
            _ => None,
        };
        let reason = match early {
            Some(task) if task || how.is_some() => {
                let mut reason = "exited before it was ready".to_owned();
                if self.memory.phase == Phase::Delivering {
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
            _ => how.clone(),
        };
        let failed = how.is_some() || early == Some(true);
        let state = if failed { State::Failed } else { State::Done };
        self.end(state, reason, exit, "process ended", effects);
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
        } else {
            self.finish(Phase::Ended { state, reason }, exit, rule, effects);
        }
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
        self.finish(Phase::Settled { state, reason }, Exit::default(), rule, effects);
    }

    fn begin_round(&mut self, rule: &str) {
        let left = match (&self.watch.look, &self.memory.mark) {
            (Some(look), Some(mark)) => look.mark.print != mark.print,
            _ => false,
        };
        self.memory.phase = Phase::Round { left };
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

//! What will be believed if it goes on standing, and when (PURE).

use std::time::Duration;

use cm_protocol::{Prompt, ReportStatus, State};

use super::memory::{Instance, Mark, Phase, Source, Stage};
use super::{Effect, Machine};
use crate::tool::detect::Seen;
use crate::tool::dialog::FoundPrompt;
use crate::tool::hooks::Heard;
use crate::tool::policy::{Verdict, decide};
use crate::tool::profile::{Done, Life, PromptKind, Ready};

/// What a hold that has run out leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// The tool takes a task.
    Ready,
    /// The tool, idle, has shown its prompt at last.
    LearnPrompt(String),
    /// The task is over.
    Finish { state: State, reason: Option<String>, rule: String },
    /// A question on the screen is real.
    Ask(FoundPrompt, Mark),
    /// A report's question.
    AskByReport(String),
    /// An answer had no effect.
    AskAgain,
}

impl Machine {
    /// The next thing that will be believed, and when.
    pub(super) fn pending(&self) -> Option<(Duration, Move)> {
        if self.memory.paused || matches!(self.memory.phase, Phase::Settled { .. } | Phase::Ended { .. }) {
            return None;
        }
        let moves = [self.by_report(), self.by_question(), self.by_prompt()];
        moves.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    fn by_report(&self) -> Option<(Duration, Move)> {
        let heard = self.memory.report.as_ref()?;
        let at = self.watch.reported_at;
        if heard.status == ReportStatus::Waiting {
            // Never held back (failure 10).
            let open = self.memory.asked.is_some();
            return (!open).then(|| (at, Move::AskByReport(heard.message.clone().unwrap_or_default())));
        }
        let Life::Screen { done, .. } = &self.profile.life else { return None };
        let finish = |state| {
            let rule = format!("report: {}", if state == State::Done { "done" } else { "failed" });
            Some((at + done.report, Move::Finish { state, reason: heard.message.clone(), rule }))
        };
        match (heard.status, &self.memory.phase) {
            (ReportStatus::Idle | ReportStatus::Done, Phase::Starting { .. }) => Some((at, Move::Ready)),
            (ReportStatus::Idle | ReportStatus::Done, Phase::Round { .. }) => finish(State::Done),
            (ReportStatus::Failed, Phase::Starting { .. } | Phase::Round { .. }) => finish(State::Failed),
            _ => None,
        }
    }

    fn by_question(&self) -> Option<(Duration, Move)> {
        if self.memory.phase == Phase::Delivering {
            return None;
        }
        if let Some(asked) = &self.memory.asked {
            let answered = matches!(asked.stage, Stage::AnsweredByPerson | Stage::Pressed);
            return answered.then(|| (self.watch.answered_at + self.profile.asking.answered, Move::AskAgain));
        }
        let look = self.watch.look.as_ref()?;
        match &look.observation.kind {
            Seen::Asking(found) if self.memory.report.is_none() => Some((
                self.watch.quiet_since + self.profile.asking.quiet,
                Move::Ask(found.clone(), look.mark),
            )),
            _ => None,
        }
    }

    fn by_prompt(&self) -> Option<(Duration, Move)> {
        let Life::Screen { ready, done } = &self.profile.life else { return None };
        let seen = self.watch.look.as_ref().map(|look| &look.observation.kind);
        match (&self.memory.phase, seen) {
            _ if self.memory.asked.is_some() => None,
            (Phase::Starting { .. }, Some(Seen::Asking(_))) => None,
            (Phase::Starting { .. }, _) => Some((self.ready_at(ready), Move::Ready)),
            (Phase::Idle, Some(Seen::AtPrompt { prompt_text, .. })) if self.memory.ready_prompt.is_none() => {
                Some((self.watch.quiet_since + ready.quiet, Move::LearnPrompt(prompt_text.clone())))
            }
            (Phase::Round { left }, Some(Seen::AtPrompt { .. })) if self.memory.report.is_none() => {
                let rule = "the tool's prompt is back".to_owned();
                Some((self.done_at(done, *left)?, Move::Finish { state: State::Done, reason: None, rule }))
            }
            _ => None,
        }
    }

    fn ready_at(&self, ready: &Ready) -> Duration {
        let (quiet, steady) = (self.watch.quiet_since, self.watch.steady_since);
        match self.watch.look.as_ref().map(|look| &look.observation.kind) {
            Some(Seen::AtPrompt { .. }) => (quiet + ready.quiet).min(steady + ready.animated),
            _ => quiet + ready.silent,
        }
    }

    /// When the prompt at the cursor proves the task done: it must be a new one (on a later line) or the
    /// screen must have changed since, or it is the one the task was typed at.
    fn done_at(&self, done: &Done, left: bool) -> Option<Duration> {
        let look = self.watch.look.as_ref()?;
        let (quiet, steady) = (self.watch.quiet_since, self.watch.steady_since);
        match &self.memory.mark {
            Some(mark) if look.mark.row > mark.row && look.mark.size == mark.size => {
                Some((quiet + done.quiet).min(steady + done.animated))
            }
            _ => left.then_some(steady + done.animated),
        }
    }

    /// Makes a move whose time has come.
    pub(super) fn make(&mut self, next: Move, effects: &mut Vec<Effect>) {
        match next {
            Move::Ready => self.become_ready(effects),
            Move::LearnPrompt(text) => {
                self.memory.ready_prompt = Some(text);
                self.memory.mark = self.watch.look.as_ref().map(|look| look.mark);
            }
            Move::Finish { state, reason, rule } => self.settle(state, reason, &rule, effects),
            Move::Ask(found, mark) => self.ask(&found, mark, effects),
            Move::AskByReport(text) => {
                let prompt = self.new_prompt(PromptKind::Report, text);
                self.memory.rule = "report: waiting".into();
                self.memory.asked = Some(Instance { prompt, source: Source::Report, stage: Stage::Asked });
            }
            Move::AskAgain => {
                if let Some(asked) = &mut self.memory.asked {
                    asked.stage = Stage::AskedAgain;
                }
            }
        }
    }

    fn become_ready(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Starting { task } = self.memory.phase else { return };
        self.memory.rule = "quiet, no prompt".into();
        if let Some(look) = &self.watch.look {
            self.memory.mark = Some(look.mark);
            if let Seen::AtPrompt { prompt_text, .. } = &look.observation.kind {
                self.memory.ready_prompt = Some(prompt_text.clone());
                self.memory.rule = look.observation.rule.clone();
            }
        }
        if self.memory.report.is_some() {
            self.memory.rule = "report: ready".into();
        }
        if task {
            self.memory.phase = Phase::Delivering;
            self.announce(effects);
            effects.push(Effect::DeliverTask);
        } else {
            self.memory.phase = Phase::Idle;
        }
    }

    fn ask(&mut self, found: &FoundPrompt, mark: Mark, effects: &mut Vec<Effect>) {
        let prompt = self.new_prompt(found.kind, found.text.clone());
        let decision = decide(&self.policy, found);
        let press = match decision.verdict {
            Verdict::Ask => None,
            Verdict::Allow { press } => Some(press),
        };
        let stage = if press.is_some() { Stage::Pressed } else { Stage::Asked };
        self.memory.asked = Some(Instance { prompt: prompt.clone(), source: Source::Screen(mark), stage });
        self.memory.rule.clone_from(&decision.rule);
        self.announce(effects);
        if let Some(keys) = press {
            self.watch.answered_at = self.watch.now;
            effects.push(Effect::Press { prompt, keys, rule: decision.rule });
        }
    }

    fn new_prompt(&mut self, kind: PromptKind, text: String) -> Prompt {
        self.memory.prompts += 1;
        Prompt { id: self.memory.prompts, kind: kind.as_str().to_owned(), text, ..Prompt::default() }
    }

    /// The newest report, for tests and `explain`.
    pub fn heard(&self) -> Option<&Heard> {
        self.memory.report.as_ref()
    }
}

//! What will be believed if it goes on standing, and when (PURE).

use std::time::Duration;

use cm_protocol::{ReportStatus, State};

use super::memory::{Mark, Phase, Stage, Voice};
use super::{Effect, Machine};
use crate::tool::detect::{NEITHER, Seen, Turn};
use crate::tool::dialog::{Cause, FoundPrompt, Trouble};
use crate::tool::hooks::Heard;
use crate::tool::profile::{Done, Life, Ready};

/// How long a drawn dialog must stand: long enough for the rest of its frame to follow.
const DIALOG: Duration = Duration::from_millis(60);
/// The same where the tool itself says that it is not asking: its word may be on the way.
const DIALOG_UNSAID: Duration = Duration::from_millis(600);
/// How long an unanswered dialog must stand untouched while a person has the terminal open (failure 18).
const PERSON: Duration = Duration::from_secs(2);
/// The prompt is back, and the line that ends a turn stands above it.
const TOLD: Duration = Duration::from_millis(300);
/// The prompt of a full-screen tool that was never seen at work.
const UNWORKED: Duration = Duration::from_secs(10);
/// A tool that was given its task as an argument stands at its prompt as if it had none.
const UNTAKEN: Duration = Duration::from_secs(4);
/// At work: a program's last words before it ends look like that for a moment.
const TAKEN: Duration = Duration::from_millis(200);
/// How long a tool that was refused its folder may take to end.
const DISTRUSTED: Duration = Duration::from_secs(5);
/// What stands in the tool's way is believed after this.
const BLOCKED: Duration = Duration::from_secs(1);
/// Hooks say that it works, but the prompt stands there: they are silent when a turn is broken off.
const BROKEN_OFF: Duration = Duration::from_secs(3);

/// What a hold that has run out leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Move {
    /// The tool takes a task.
    Ready,
    /// The tool, idle, has shown its prompt at last.
    LearnPrompt(String),
    /// The tool was started with its task, and has taken it.
    Taken,
    /// The task is over.
    Finish { state: State, reason: Option<String>, rule: String },
    /// The turn was broken off.
    BrokenOff(String),
    /// A question on the screen is real.
    Ask(FoundPrompt, Option<String>, Mark),
    /// A report's question.
    AskByReport(String),
    /// An answer had no effect.
    AskAgain,
}

impl Machine {
    /// The next thing that will be believed, and when.
    pub(super) fn pending(&self) -> Option<(Duration, Move)> {
        let over =
            matches!(self.memory.phase, Phase::Settled { .. } | Phase::Ended { .. } | Phase::Checking { .. });
        if self.memory.paused || over {
            return None;
        }
        let moves = [self.by_report(), self.by_question(), self.by_prompt(), self.by_distrust()];
        moves.into_iter().flatten().min_by_key(|(at, _)| *at)
    }

    /// A tool that was refused its folder usually ends. One that does not has no task any more.
    fn by_distrust(&self) -> Option<(Duration, Move)> {
        let refusal = self.memory.refusal.as_ref().filter(|refusal| refusal.trust)?;
        let look = &self.watch.look.as_ref()?.observation;
        let rests = match look.kind {
            Seen::Asking(_) | Seen::Blocked(_) | Seen::NotReady => true,
            Seen::Working { .. } => look.rule == NEITHER,
            Seen::AtPrompt { .. } => false,
        };
        if !rests {
            // It goes on without.
            return None;
        }
        let reason = Some(format!("denied: by {}", refusal.rule));
        let next = Move::Finish { state: State::Failed, reason, rule: "not trusted".into() };
        self.memory.asked.is_none().then_some((self.watch.answered_at + DISTRUSTED, next))
    }

    pub(super) fn turn_on_screen(&self) -> Option<&Turn> {
        match &self.watch.look.as_ref()?.observation.kind {
            Seen::AtPrompt { turn, .. } => turn.as_ref(),
            _ => None,
        }
    }

    fn by_question(&self) -> Option<(Duration, Move)> {
        if matches!(self.memory.phase, Phase::Delivering { .. }) {
            return None;
        }
        if let Some(asked) = &self.memory.asked {
            let answered = !matches!(asked.stage, Stage::Asked | Stage::AskedAgain);
            return answered.then(|| (self.watch.answered_at + self.profile.asking.answered, Move::AskAgain));
        }
        let look = self.watch.look.as_ref()?;
        let (steady, quiet) = (self.watch.steady_since, self.watch.quiet_since);
        match &look.observation.kind {
            Seen::Asking(found) if found.is_drawn() => {
                let (since, mut hold) = self.dialog_hold(steady)?;
                if self.watch.attached && self.answers_itself(found) {
                    hold = hold.max(PERSON);
                }
                Some((since + hold, Move::Ask(found.clone(), self.in_the_way(found), look.mark)))
            }
            Seen::Asking(found) if self.memory.report.is_none() => {
                Some((quiet + self.profile.asking.quiet, Move::Ask(found.clone(), None, look.mark)))
            }
            Seen::Blocked(trouble) if self.memory.report.is_none() || !self.memory.is_round() => {
                let found = FoundPrompt::blocked(trouble);
                Some((steady + BLOCKED, Move::Ask(found, Some(reason_of(trouble)), look.mark)))
            }
            _ => None,
        }
    }

    /// Why nothing goes on before a dialog is settled, where the profile knows it.
    fn in_the_way(&self, found: &FoundPrompt) -> Option<String> {
        let rule = self.profile.facts.dialogs.iter().find(|rule| rule.name == found.rule)?;
        Some(format!("{}: {}", rule.reason.as_ref()?, found.text))
    }

    /// Since when, and how long, a drawn dialog must stand; none: what a script reports counts instead.
    fn dialog_hold(&self, steady: Duration) -> Option<(Duration, Duration)> {
        let stands = DIALOG.max(self.profile.asking.deaf);
        match &self.memory.report {
            Some(_) if self.memory.voice == Voice::Report => None,
            Some(heard) if heard.status == ReportStatus::Waiting => Some((steady, stands)),
            Some(_) if self.memory.voice == Voice::Status && self.memory.is_round() => {
                Some((steady.max(self.watch.reported_at), DIALOG_UNSAID))
            }
            _ => Some((steady, stands)),
        }
    }

    fn by_prompt(&self) -> Option<(Duration, Move)> {
        let Life::Screen { ready, done } = &self.profile.life else { return None };
        if self.memory.asked.is_some() {
            return None;
        }
        let steady = self.watch.steady_since;
        let look = self.watch.look.as_ref().map(|look| &look.observation);
        let seen = look.map(|observation| &observation.kind);
        match (&self.memory.phase, seen) {
            (Phase::Starting { .. }, Some(Seen::Asking(_) | Seen::Blocked(_))) => None,
            // Anything that is printed at a start, so far.
            (Phase::Starting { given: true, .. }, Some(Seen::Working { activity }))
                if (activity.is_none() || self.memory.distrusted)
                    && look.is_some_and(|observation| observation.rule == NEITHER) =>
            {
                Some((steady + UNTAKEN, Move::Taken))
            }
            (Phase::Starting { given: true, .. }, Some(Seen::Working { .. })) => {
                Some((steady + TAKEN, Move::Taken))
            }
            (Phase::Starting { given: true, .. }, Some(Seen::AtPrompt { turn: Some(_), .. })) => {
                Some((steady, Move::Taken))
            }
            (Phase::Starting { given: true, .. }, Some(Seen::AtPrompt { draft: false, .. })) => {
                Some((steady + UNTAKEN, Move::Ready))
            }
            (Phase::Starting { .. }, _) => Some((self.ready_at(ready)?, Move::Ready)),
            (Phase::Idle, Some(Seen::AtPrompt { prompt_text, .. })) if self.memory.ready_prompt.is_none() => {
                Some((self.watch.quiet_since + ready.quiet, Move::LearnPrompt(prompt_text.clone())))
            }
            (Phase::Round { left, worked }, Some(Seen::AtPrompt { turn, draft, .. })) => {
                self.end_at_prompt(done, (*left, *worked), (turn.as_ref(), *draft))
            }
            _ => None,
        }
    }

    /// The prompt is there while a task is worked on.
    fn end_at_prompt(
        &self,
        done: &Done,
        (left, worked): (bool, bool),
        (turn, draft): (Option<&Turn>, bool),
    ) -> Option<(Duration, Move)> {
        let rule = "the tool's prompt is back".to_owned();
        let steady = self.watch.steady_since;
        if self.memory.report.is_some() && (self.memory.voice == Voice::Report || self.memory.spoken) {
            // Hooks do not tell of a turn that was broken off; nothing else is believed against them.
            return match turn {
                Some(Turn::Failed(trouble)) if self.memory.voice == Voice::Hooks => {
                    Some((steady + BROKEN_OFF, ended_by(trouble, rule)))
                }
                _ if self.memory.voice == Voice::Hooks && self.memory.interrupting => {
                    Some((steady + done.quiet / 2, Move::BrokenOff(by_a_person())))
                }
                // Broken off before it had begun, its task stands in its box again.
                None if self.memory.voice == Voice::Hooks && draft => {
                    let why = format!("{}: its task was given back", Cause::Interrupted.as_str());
                    Some((steady + BROKEN_OFF, Move::BrokenOff(why)))
                }
                _ => None,
            };
        }
        if let Some(Turn::Failed(trouble)) = turn {
            return left.then(|| (steady + TOLD.max(done.quiet / 2), ended_by(trouble, rule)));
        }
        let at = match (self.profile.is_tui(), turn) {
            (true, Some(Turn::Done)) if worked => left.then_some(steady + TOLD)?,
            (true, _) if worked => left.then_some(steady + done.quiet)?,
            (true, Some(Turn::Done)) => left.then_some(steady + done.quiet)?,
            (true, _) => left.then_some(steady + UNWORKED)?,
            (false, _) => self.done_at(done, left)?,
        };
        if self.memory.interrupting {
            return Some((at, Move::BrokenOff(by_a_person())));
        }
        Some((at, Move::Finish { state: State::Done, reason: None, rule }))
    }

    fn ready_at(&self, ready: &Ready) -> Option<Duration> {
        let (quiet, steady) = (self.watch.quiet_since, self.watch.steady_since);
        match self.watch.look.as_ref().map(|look| &look.observation.kind) {
            // Somebody has typed something: it is theirs to finish (failure 18).
            Some(Seen::AtPrompt { draft: true, .. }) => None,
            Some(Seen::AtPrompt { .. }) => Some((quiet + ready.quiet).min(steady + ready.animated)),
            // A tool that draws its prompt is ready when it has drawn it.
            _ if self.profile.is_tui() => None,
            _ => Some(quiet + ready.silent),
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
            Move::Taken => self.begin_round("the tool has taken its task"),
            Move::Finish { state, reason, rule } => self.settle(state, reason, &rule, effects),
            Move::BrokenOff(text) => self.broken_off(text, effects),
            Move::Ask(found, reason, mark) => self.ask(&found, reason, mark, effects),
            Move::AskByReport(text) => self.ask_by_report(text),
            Move::AskAgain => {
                if let Some(asked) = &mut self.memory.asked {
                    asked.stage = Stage::AskedAgain;
                }
            }
        }
    }

    fn become_ready(&mut self, effects: &mut Vec<Effect>) {
        let Phase::Starting { task, given } = self.memory.phase else { return };
        self.memory.rule = "quiet, no prompt".into();
        if let Some(look) = &self.watch.look {
            self.memory.mark = Some(look.mark);
            if let Seen::AtPrompt { prompt_text, .. } = &look.observation.kind {
                self.memory.ready_prompt = Some(prompt_text.clone());
                self.memory.rule = look.observation.rule.clone();
            }
        }
        if self.memory.report.is_some() && self.memory.voice == Voice::Report {
            self.memory.rule = "report: ready".into();
        }
        if task || given {
            self.memory.phase = Phase::Delivering { words: None };
            self.announce(effects);
            effects.push(Effect::DeliverTask);
        } else {
            self.memory.phase = Phase::Idle;
        }
    }

    /// The turn was broken off: by a refusal of the policy's, or by a person.
    fn broken_off(&mut self, text: String, effects: &mut Vec<Effect>) {
        self.memory.forget_turn();
        match self.memory.refusal.take() {
            Some(refusal) => match refusal.message {
                Some(message) => self.tell(message, "the tool is told why it was refused", effects),
                None => {
                    let reason = format!("denied: by {}", refusal.rule);
                    self.settle(State::Failed, Some(reason), "refused", effects);
                }
            },
            None => {
                self.memory.rule = "the turn was broken off".into();
                self.memory.activity = None;
                self.memory.phase = Phase::Interrupted { reason: text };
            }
        }
    }

    /// Gives the tool words that go on with its task.
    pub(super) fn tell(&mut self, words: String, rule: &str, effects: &mut Vec<Effect>) {
        self.memory.rule = rule.to_owned();
        self.memory.phase = Phase::Delivering { words: Some(words.clone()) };
        self.announce(effects);
        effects.push(Effect::DeliverWords { words });
    }

    /// The newest word from inside, for tests and `explain`.
    pub fn heard(&self) -> Option<&Heard> {
        self.memory.report.as_ref()
    }
}

/// The reason for people and programs: its first word is stable.
pub(super) fn reason_of(trouble: &Trouble) -> String {
    let until = trouble.until.as_ref().map(|until| format!(" (until {until})")).unwrap_or_default();
    format!("{}: {}{until}", trouble.cause.as_str(), trouble.text)
}

/// Why a turn ended that a person broke off with a key.
pub(super) fn by_a_person() -> String {
    format!("{}: by a person", Cause::Interrupted.as_str())
}

pub(super) fn ended_by(trouble: &Trouble, rule: String) -> Move {
    match trouble.cause {
        Cause::Interrupted => Move::BrokenOff(reason_of(trouble)),
        Cause::RateLimited | Cause::LoginRequired | Cause::ApiError => {
            Move::Finish { state: State::Failed, reason: Some(reason_of(trouble)), rule }
        }
    }
}

//! What follows from what a tool or a script says of itself, and how soon (PURE).

use std::time::Duration;

use cm_protocol::{ReportStatus, State};

use super::Machine;
use super::holds::{Move, by_a_person, ended_by};
use super::memory::{ByHooks, Phase, Voice};
use crate::tool::detect::{Seen, Turn};
use crate::tool::dialog::Cause;
use crate::tool::hooks::Heard;
use crate::tool::profile::Life;

/// How long the tool's word that it is blocked may go without a dialog that is understood.
const UNSEEN: Duration = Duration::from_millis(1500);
/// After the tool's exact word that its turn is over, with the end of the turn on the screen, too.
const EXACT: Duration = Duration::from_millis(60);
/// The same while the screen does not show it yet: it says more of how the turn ended.
const UNSHOWN: Duration = Duration::from_millis(1500);

impl Machine {
    pub(super) fn by_report(&self) -> Option<(Duration, Move)> {
        let heard = self.memory.report.as_ref()?;
        let at = self.watch.reported_at;
        let exact = self.memory.voice != Voice::Report;
        if heard.status == ReportStatus::Waiting {
            let open = self.memory.asked.is_some();
            return if open { None } else { Some(self.blocked(heard, at, exact)) };
        }
        let Life::Screen { done, .. } = &self.profile.life else { return None };
        let hold = match (exact, self.turn_on_screen()) {
            (false, _) => done.report,
            _ if self.is_all_said(heard) => Duration::ZERO,
            (true, Some(Turn::Done)) if self.hooks_know_no_end(heard) => UNSHOWN,
            (true, Some(_)) => EXACT,
            (true, None) if self.is_interrupted(heard) => EXACT,
            (true, None) => UNSHOWN,
        };
        match (heard.status, &self.memory.phase) {
            (ReportStatus::Idle | ReportStatus::Done, Phase::Starting { given: true, .. }) => None,
            (ReportStatus::Idle | ReportStatus::Done, Phase::Starting { .. }) if exact => None,
            (ReportStatus::Idle | ReportStatus::Done, Phase::Starting { .. }) => Some((at, Move::Ready)),
            (ReportStatus::Idle | ReportStatus::Done, Phase::Round { .. })
                if exact && !self.memory.spoken =>
            {
                None
            }
            (ReportStatus::Idle | ReportStatus::Done, Phase::Round { .. }) => {
                Some((at + hold, self.concluded(State::Done, heard)))
            }
            (ReportStatus::Failed, Phase::Starting { .. } | Phase::Round { .. }) => {
                Some((at + hold, self.concluded(State::Failed, heard)))
            }
            _ => None,
        }
    }

    /// Whether nothing is left to be seen: the tool says that it is done, and so do its hooks, or the end of its
    /// turn stands on its screen; or it says that it has failed, and why stands there.
    fn is_all_said(&self, heard: &Heard) -> bool {
        let left = matches!(self.memory.phase, Phase::Round { left: true, .. });
        let drawn = self.turn_on_screen().filter(|_| left);
        let by_hooks = self.memory.by_hooks == ByHooks::Over && self.memory.aside.is_none();
        let all = match (heard.status, drawn) {
            (ReportStatus::Done, Some(Turn::Done)) => self.memory.aside.is_none(),
            (ReportStatus::Done, None) => by_hooks,
            (ReportStatus::Failed, Some(Turn::Failed(_))) => true,
            _ => false,
        };
        all && self.memory.voice == Voice::Status
    }

    /// What it means that the tool says it waits for somebody, and no dialog is known of.
    fn blocked(&self, heard: &Heard, at: Duration, exact: bool) -> (Duration, Move) {
        let rule = format!("{}: waiting", self.memory.voice.as_str());
        let failed = match (self.turn_on_screen(), &self.memory.aside) {
            _ if !exact || !self.memory.is_round() => None,
            (Some(Turn::Failed(trouble)), _) => Some(ended_by(trouble, rule)),
            (_, Some(why)) => Some(Move::Finish { state: State::Failed, reason: Some(why.clone()), rule }),
            _ => None,
        };
        match failed {
            // It waits for a log-in, say: its turn is over.
            Some(failed) => (at + UNSEEN / 2, failed),
            // Never held back (failure 10), but for the dialog itself, which says more.
            None => {
                let wait = if exact { UNSEEN } else { Duration::ZERO };
                (at + wait, Move::AskByReport(heard.message.clone().unwrap_or_default()))
            }
        }
    }

    /// How a turn ended that the tool says is over; why, the screen may know better.
    fn concluded(&self, state: State, heard: &Heard) -> Move {
        let rule = format!(
            "{}: {}",
            self.memory.voice.as_str(),
            if state == State::Done { "done" } else { "failed" }
        );
        let aside = self
            .memory
            .aside
            .as_ref()
            .filter(|_| state == State::Failed || heard.status == ReportStatus::Idle);
        let why = heard.message.as_ref().or(aside);
        match (self.turn_on_screen(), why) {
            (Some(Turn::Failed(trouble)), _) => ended_by(trouble, rule),
            (_, Some(why)) if why.starts_with("interrupted:") => Move::BrokenOff(why.clone()),
            _ if self.is_interrupted(heard) => Move::BrokenOff(by_a_person()),
            _ if self.is_idle_without_end(heard) || self.hooks_know_no_end(heard) => {
                Move::BrokenOff(format!("{}: the tool is idle again", Cause::Interrupted.as_str()))
            }
            _ => Move::Finish {
                state,
                reason: why.filter(|_| state == State::Failed || heard.message.is_some()).cloned(),
                rule,
            },
        }
    }

    /// Whether the tool is idle again since a person pressed the key that breaks its turn off.
    fn is_interrupted(&self, heard: &Heard) -> bool {
        let idle = self.memory.voice == Voice::Status && heard.status == ReportStatus::Idle;
        idle && self.memory.interrupting
    }

    /// Whether the tool is idle again, and its hooks, which told of the turn's begin, have told of no end: they
    /// are silent when a person breaks a turn off, in whatever terminal.
    fn hooks_know_no_end(&self, heard: &Heard) -> bool {
        let idle = self.memory.voice == Voice::Status && heard.status == ReportStatus::Idle;
        idle && self.memory.by_hooks == ByHooks::Begun && !self.memory.interrupting
    }

    /// Whether the tool is idle again without having said that it is done, and the screen shows no end either:
    /// its task stands in its box again, say.
    fn is_idle_without_end(&self, heard: &Heard) -> bool {
        let exact = self.memory.voice == Voice::Status && heard.status == ReportStatus::Idle;
        let seen = self.watch.look.as_ref().map(|look| &look.observation.kind);
        let told = self.profile.facts.transcript.piece.is_some();
        exact
            && told
            && matches!(seen, Some(Seen::AtPrompt { turn: None, .. } | Seen::AtPrompt { draft: true, .. }))
    }
}

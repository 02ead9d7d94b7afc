//! What the state machine must not forget: stored by the session, given back after a restart (PURE).
//!
//! No times stand here: they have no meaning in another process. Holds begin again after a restart.

use cm_protocol::{Prompt, ReportStatus, State};
use serde::{Deserialize, Serialize};

use crate::tool::hooks::Heard;
use crate::tool::screen::Screen;

/// What the state machine must not forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Where the session is in its life.
    pub(super) phase: Phase,
    /// Nothing is announced, pressed or completed.
    pub(super) paused: bool,
    /// The newest report; from the first on, reports beat the screen.
    pub(super) report: Option<Heard>,
    /// The tool's prompt, as it stood when the tool was ready.
    pub(super) ready_prompt: Option<String>,
    /// The screen before the present task: its prompt there is the old one.
    pub(super) mark: Option<Mark>,
    /// The open question.
    pub(super) asked: Option<Instance>,
    /// How many questions there have been: the newest one's id.
    pub(super) prompts: u64,
    /// What was announced last.
    pub(super) shown: Shown,
    /// The rule the present state rests on.
    pub(super) rule: String,
}

/// Where a session is in its life.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// Launched, not ready.
    Starting {
        /// A task is to be typed.
        task: bool,
    },
    /// The session is typing the task.
    Delivering,
    /// Ready, never had a task.
    Idle,
    /// At work on a task.
    Round {
        /// The screen has changed since the task was given.
        left: bool,
    },
    /// The task is over, the tool lives.
    Settled {
        /// How it ended.
        state: State,
        /// Why.
        reason: Option<String>,
    },
    /// Nothing will happen any more.
    Ended {
        /// How it ended.
        state: State,
        /// Why.
        reason: Option<String>,
    },
}

/// What clients have been told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shown {
    pub(super) state: State,
    pub(super) reason: Option<String>,
    pub(super) prompt: Option<Prompt>,
}

/// A screen, as far as it must be told from later ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// [`Screen::absolute_row`].
    pub(super) row: u64,
    /// [`Screen::print`].
    pub(super) print: u64,
    /// Columns and rows.
    pub(super) size: (u16, u16),
}

impl Mark {
    pub(super) fn of(screen: &Screen) -> Self {
        Self { row: screen.absolute_row(), print: screen.print(), size: (screen.cols, screen.rows) }
    }
}

/// One question, from its appearance until it is gone (failure 1).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Instance {
    pub(super) prompt: Prompt,
    pub(super) source: Source,
    pub(super) stage: Stage,
}

/// Where a question comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// It stands on the screen, last seen so.
    Screen(Mark),
    /// A report said it.
    Report,
}

/// What has been done about a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Stage {
    /// A person is asked.
    Asked,
    /// A person is asked, because an answer had no effect.
    AskedAgain,
    /// A person has typed something.
    AnsweredByPerson,
    /// The agent has pressed the keys the policy allowed.
    Pressed,
}

impl Memory {
    /// A session that has just been launched. `task`: one is to be typed once the tool is ready.
    pub(super) fn launched(phase: Phase) -> Self {
        Self {
            phase,
            paused: false,
            report: None,
            ready_prompt: None,
            mark: None,
            asked: None,
            prompts: 0,
            shown: Shown { state: State::Starting, reason: None, prompt: None },
            rule: "launched".into(),
        }
    }

    /// What is known of a tool seen for the first time: for looking at one screen without a session.
    pub fn fresh() -> Self {
        Self::launched(Phase::Starting { task: false })
    }

    /// A tool at work, or one that has not been ready, with a remembered prompt.
    #[cfg(test)]
    pub(crate) fn for_test(works: bool, ready_prompt: Option<String>) -> Self {
        let works = works || ready_prompt.is_some();
        let phase = if works { Phase::Round { left: false } } else { Phase::Starting { task: false } };
        Self { ready_prompt, ..Self::launched(phase) }
    }

    /// Whether the tool has not been ready yet.
    pub fn is_starting(&self) -> bool {
        matches!(self.phase, Phase::Starting { .. })
    }

    /// The tool's prompt, as it stood when the tool was ready.
    pub fn ready_prompt(&self) -> Option<&str> {
        self.ready_prompt.as_deref()
    }

    /// Whether a text that looks like a prompt may be taken for the tool's own. Never while it works: what
    /// it prints then may look like anything.
    pub fn may_learn_prompt(&self) -> bool {
        self.ready_prompt.is_none() && matches!(self.phase, Phase::Starting { .. } | Phase::Idle)
    }

    pub(super) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }

    /// What clients should be told now.
    pub(super) fn displayed(&self) -> Shown {
        let show =
            |state, reason: Option<&str>, prompt| Shown { state, reason: reason.map(str::to_owned), prompt };
        match &self.phase {
            Phase::Settled { state, reason } | Phase::Ended { state, reason } => {
                return show(*state, reason.as_deref(), None);
            }
            _ if self.paused => return show(State::Paused, None, None),
            Phase::Starting { .. } | Phase::Delivering | Phase::Idle | Phase::Round { .. } => {}
        }
        match &self.asked {
            Some(Instance { prompt, stage: Stage::Asked, .. }) => {
                return show(State::Waiting, None, Some(prompt.clone()));
            }
            Some(Instance { prompt, stage: Stage::AskedAgain, .. }) => {
                let reason = "an answer was given, but the question still stands";
                return show(State::Waiting, Some(reason), Some(prompt.clone()));
            }
            Some(Instance { stage: Stage::AnsweredByPerson | Stage::Pressed, .. }) | None => {}
        }
        match self.phase {
            Phase::Idle => show(State::Idle, None, None),
            Phase::Round { .. } => {
                let working = self.report.as_ref().filter(|heard| heard.status == ReportStatus::Working);
                show(State::Running, working.and_then(|heard| heard.message.as_deref()), None)
            }
            _ => show(State::Starting, None, None),
        }
    }
}

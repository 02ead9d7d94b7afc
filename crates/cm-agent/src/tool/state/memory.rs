//! What the state machine must not forget: stored by the session, given back after a restart (PURE).
//!
//! No times stand here: they have no meaning in another process. Holds begin again after a restart.

use cm_protocol::{Prompt, ReportStatus, State};
use serde::{Deserialize, Serialize};

use crate::tool::detect::Activity;
use crate::tool::hooks::Heard;
use crate::tool::screen::Screen;

/// What the state machine must not forget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// Where the session is in its life.
    pub(super) phase: Phase,
    /// Nothing is announced, pressed or completed.
    pub(super) paused: bool,
    /// The newest word from inside; from the first on, such words beat the screen.
    pub(super) report: Option<Heard>,
    /// Who said it: a stronger voice silences the weaker ones (failure 7).
    #[serde(default)]
    pub(super) voice: Voice,
    /// That voice has said in this round that the tool works: only then is its `idle` an end. Tools say
    /// `idle` at their start, too.
    #[serde(default)]
    pub(super) spoken: bool,
    /// A person has pressed the key that breaks a turn off, and the tool has not gone on since.
    #[serde(default)]
    pub(super) interrupting: bool,
    /// It has asked whether it may trust its work tree. Some tools start anew then, and may forget the task
    /// they were given.
    #[serde(default)]
    pub(super) distrusted: bool,
    /// What the tool's hooks have said of its turn.
    #[serde(default)]
    pub(super) by_hooks: ByHooks,
    /// Why the turn failed, in the words of a weaker voice.
    #[serde(default)]
    pub(super) aside: Option<String>,
    /// Its hooks speak: what it works at comes from them.
    #[serde(default)]
    pub(super) hooked: bool,
    /// What the tool works at, by its tool calls.
    #[serde(default)]
    pub(super) activity: Option<Activity>,
    /// A refusal of the policy's may end the turn; the tool is to be told why, and which rule it was.
    #[serde(default)]
    pub(super) refusal: Option<Refusal>,
    /// How often the task's check has been run.
    #[serde(default)]
    pub(super) checks: u32,
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
        /// The tool has the task already, as an argument.
        #[serde(default)]
        given: bool,
    },
    /// The session is typing the task, or words of the agent's own that go on with it.
    Delivering {
        /// Those words; absent: the task.
        #[serde(default)]
        words: Option<String>,
    },
    /// Ready, never had a task.
    Idle,
    /// At work on a task.
    Round {
        /// The screen has changed since the task was given.
        left: bool,
        /// The tool was seen or heard at work.
        #[serde(default)]
        worked: bool,
    },
    /// A person broke the task off; the tool waits for words.
    Interrupted {
        /// In the tool's words.
        reason: String,
    },
    /// The tool says that the task is done; its check runs.
    Checking {
        /// How the program ended, if it has.
        exit: Option<(Option<i32>, Option<String>)>,
        /// What the tool said of the end.
        reason: Option<String>,
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

/// Who speaks from inside a session, the weakest first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Voice {
    /// `cm-agent report`: a script or a hook of the user's.
    #[default]
    Report,
    /// The tool's hooks. They say nothing when a person breaks a turn off.
    Hooks,
    /// The tool's own status reports (OSC 7501), exact at every transition.
    Status,
}

impl Voice {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Report => "report",
            Self::Hooks => "hooks",
            Self::Status => "status",
        }
    }
}

/// What hooks have said of a turn. They say nothing when it is broken off.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ByHooks {
    /// Nothing.
    #[default]
    Nothing,
    /// It has begun.
    Begun,
    /// It has ended well.
    Over,
}

/// A prompt the policy refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Refusal {
    /// By which rule.
    pub(super) rule: String,
    /// What the tool is told.
    pub(super) message: Option<String>,
    /// It was about trust: the tool can do nothing without.
    #[serde(default)]
    pub(super) trust: bool,
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
    /// Why a person is needed, where that is more than the question.
    #[serde(default)]
    pub(super) reason: Option<String>,
    pub(super) source: Source,
    pub(super) stage: Stage,
}

/// Where a question comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Source {
    /// It stands at the cursor, last seen so.
    Screen(Mark),
    /// It is a drawn dialog, known by what it says.
    Drawn,
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
    /// The agent answers or has answered, as the policy says.
    Pressed,
    /// The agent answers or has answered for a person.
    PressedForPerson,
}

impl Memory {
    /// A session that has just been launched. `task`: one is to be typed once the tool is ready.
    pub(super) fn launched(phase: Phase) -> Self {
        Self {
            phase,
            paused: false,
            report: None,
            voice: Voice::default(),
            spoken: false,
            interrupting: false,
            distrusted: false,
            by_hooks: ByHooks::Nothing,
            aside: None,
            hooked: false,
            activity: None,
            refusal: None,
            checks: 0,
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
        Self::launched(Phase::Starting { task: false, given: false })
    }

    /// A tool at work, or one that has not been ready, with a remembered prompt.
    #[cfg(test)]
    pub(crate) fn for_test(works: bool, ready_prompt: Option<String>) -> Self {
        let works = works || ready_prompt.is_some();
        let phase = if works {
            Phase::Round { left: false, worked: false }
        } else {
            Phase::Starting { task: false, given: false }
        };
        Self { ready_prompt, ..Self::launched(phase) }
    }

    /// A turn is over: what was known of how it would end holds no more.
    pub(super) fn forget_turn(&mut self) {
        self.interrupting = false;
        self.by_hooks = ByHooks::Nothing;
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

    /// Whether the task is being worked on, as far as is known.
    pub(super) fn is_round(&self) -> bool {
        matches!(self.phase, Phase::Round { .. })
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
            Phase::Checking { .. } => return show(State::Testing, Some("the task's check runs"), None),
            Phase::Starting { .. }
            | Phase::Delivering { .. }
            | Phase::Idle
            | Phase::Interrupted { .. }
            | Phase::Round { .. } => {}
        }
        match &self.asked {
            Some(Instance { prompt, reason, stage: Stage::Asked, .. }) => {
                return show(State::Waiting, reason.as_deref(), Some(prompt.clone()));
            }
            Some(Instance { prompt, stage: Stage::AskedAgain, .. }) => {
                let reason = "an answer was given, but the question still stands";
                return show(State::Waiting, Some(reason), Some(prompt.clone()));
            }
            Some(Instance {
                stage: Stage::AnsweredByPerson | Stage::Pressed | Stage::PressedForPerson,
                ..
            })
            | None => {}
        }
        match &self.phase {
            Phase::Idle => show(State::Idle, None, None),
            Phase::Interrupted { reason } => show(State::Idle, Some(reason), None),
            Phase::Round { .. } => {
                let working = self.report.as_ref().filter(|heard| heard.status == ReportStatus::Working);
                let state = match self.activity {
                    Some(Activity::Planning) => State::Planning,
                    Some(Activity::Editing) => State::Editing,
                    Some(Activity::Testing) => State::Testing,
                    Some(Activity::Running) | None => State::Running,
                };
                show(state, working.and_then(|heard| heard.message.as_deref()), None)
            }
            // Told of a task it has taken already.
            Phase::Delivering { words: Some(_) } => show(State::Running, None, None),
            _ => show(State::Starting, None, None),
        }
    }
}

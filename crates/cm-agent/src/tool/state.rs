//! A session's state machine: what is seen, heard and done goes in, what follows from it comes out (PURE).
//!
//! Three authorities, the stronger first: the process (an exit beats everything), reports from inside, the
//! screen. Prose on the screen is none. Whatever is read off a screen must stand for a while before it is
//! believed; [`Machine::deadline`] says when to look at the clock again, and a session where nothing stands
//! undecided has no deadline: it costs nothing.

mod asking;
mod holds;
mod inputs;
mod memory;
mod reported;
mod told;

use std::sync::Arc;
use std::time::Duration;

use cm_protocol::{Prompt, Report, State};

use super::detect::{Activity, Observation, Seen, detect, still_there};
use super::dialog::FoundPrompt;
use super::hooks::Heard;
use super::policy::{Compiled, Policies};
use super::profile::{Life, Profile};
use super::screen::Screen;
use asking::class_of;
use memory::{Instance, Mark, Phase, Source, Stage};

pub use memory::{Memory, Voice};

/// What happens to a session.
#[derive(Debug, Clone)]
pub enum Input<'a> {
    /// The screen, after output. Giving the same one twice changes nothing.
    Screen(&'a Screen),
    /// A script inside says how things stand.
    Report(&'a Report),
    /// The tool itself says how things stand; absent: what it said before holds no more.
    Heard(Voice, Option<Heard>),
    /// The tool's hooks say what it works at.
    Works(Activity),
    /// A person has the terminal open, or has left it.
    Attached(bool),
    /// Somebody's answer to the open question is being given.
    Answering {
        /// The question.
        prompt_id: u64,
    },
    /// The same, and it is a refusal.
    Refusing {
        /// The question.
        prompt_id: u64,
        /// What the tool is to be told about it, once its turn has ended.
        told: Option<String>,
    },
    /// The policy has answered in a tool's hook, before anything was drawn.
    Settled {
        /// The question, as [`Machine::settled_prompt`] numbered it.
        prompt_id: u64,
        /// What was answered, and by which rule.
        rule: String,
    },
    /// An answer could not be given: the question is open again.
    Unanswered {
        /// The question.
        prompt_id: u64,
        /// Why, in words.
        why: String,
    },
    /// The task's check has run.
    Checked {
        /// Whether it proves the task done.
        passed: bool,
        /// How it ended, in words.
        summary: String,
        /// What the tool is told, if it is to mend what failed.
        again: Option<String>,
    },
    /// The program has ended. Give the last screen before.
    Exited(Exit),
    /// The terminal is gone and nobody saw the program end.
    Vanished {
        /// What is known of why.
        cause: String,
    },
    /// A person has submitted text (not: the agent's own presses).
    KeysSubmitted,
    /// A person has pressed keys that enter nothing: Escape, Ctrl-C, an option's digit.
    KeysPressed,
    /// A person is pressing the key that breaks a turn off: it may also leave a dialog, or clear the box.
    Interrupting,
    /// The task has been typed and submitted.
    TaskDelivered,
    /// The task could not be typed.
    TaskUndeliverable {
        /// Why, in words.
        why: String,
    },
    /// Pause was asked for.
    Paused,
    /// The end of the pause was asked for.
    Resumed,
    /// The end of the session was asked for.
    KillRequested {
        /// Why, where it is not a person's wish.
        why: Option<String>,
    },
    /// The time allowed for the task is over.
    TimedOut {
        /// How much it was.
        after: Duration,
    },
    /// The deadline has come.
    Tick,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exit {
    /// Its exit code, if it exited.
    pub code: Option<i32>,
    /// The signal that ended it, e.g. `SIGKILL`.
    pub signal: Option<String>,
}

/// What follows from an input, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The state, its reason or its question is another one.
    Announce {
        /// The state now.
        state: State,
        /// Why.
        reason: Option<String>,
        /// With `waiting`: the question.
        prompt: Option<Prompt>,
    },
    /// Type the task now: the tool is ready. Answer with `TaskDelivered` or `TaskUndeliverable`.
    DeliverTask,
    /// Type these words now; they go on with the task. Answer as for the task.
    DeliverWords {
        /// The words.
        words: String,
    },
    /// Run the task's check. Answer with `Checked`.
    RunCheck,
    /// Take this option of this question, if it is still there on a fresh screen. Once per instance of a
    /// question.
    Choose {
        /// The question.
        prompt: Prompt,
        /// The option's label.
        label: String,
        /// `allow` or `deny`.
        verdict: &'static str,
        /// The rule that says so.
        rule: String,
    },
    /// Press these keys for this question, unless [`Machine::still_there`] denies on a fresh screen. Once per
    /// instance of a question.
    Press {
        /// The question.
        prompt: Prompt,
        /// The keys, as tmux names them.
        keys: Vec<String>,
        /// The rule that allows it.
        rule: String,
    },
    /// The task has ended: exactly once for each.
    Complete {
        /// `done`, `failed`, `killed` or `lost`.
        state: State,
        /// Why, where the state alone does not say it.
        reason: Option<String>,
        /// The program's exit code, where it exited.
        exit_code: Option<i32>,
        /// The signal that ended it, e.g. `SIGKILL`.
        signal: Option<String>,
    },
}

/// One session's state.
#[derive(Debug)]
pub struct Machine {
    profile: Arc<Profile>,
    bearings: Bearings,
    memory: Memory,
    watch: Watch,
}

/// What a session's prompts are judged by.
#[derive(Debug, Clone)]
pub struct Bearings {
    /// The policy.
    pub policy: Arc<Compiled>,
    /// The tool as it was asked for.
    pub tool: String,
    /// The root of the work tree, absolute.
    pub work_dir: String,
    /// The user's home.
    pub home: String,
    /// A check is to prove the task done.
    pub check: bool,
}

impl Default for Bearings {
    fn default() -> Self {
        Self {
            policy: Policies::careful(),
            tool: String::new(),
            work_dir: "/".into(),
            home: "/".into(),
            check: false,
        }
    }
}

/// What is only known while watching: the last look, and since when things stand as they do.
#[derive(Debug)]
struct Watch {
    /// The newest time given.
    now: Duration,
    /// The last look at the screen.
    look: Option<Look>,
    /// Nothing on the screen has changed since.
    quiet_since: Duration,
    /// What is seen, and where, has not changed since.
    steady_since: Duration,
    /// When the newest report came.
    reported_at: Duration,
    /// When the open question was answered.
    answered_at: Duration,
    /// When a person pressed the key that breaks a turn off.
    interrupted_at: Duration,
    /// The last question on the screen that went away, and when.
    gone: Option<(Instance, Duration)>,
    /// The screen's last lines while the tool starts: the reason if it does not get further.
    tail: Vec<String>,
    /// This agent was restarted while the task was being typed.
    unsure: bool,
    /// A person has the terminal open.
    attached: bool,
}

#[derive(Debug)]
struct Look {
    observation: Observation,
    mark: Mark,
    /// The text before the cursor, whatever it is.
    before_cursor: Option<String>,
}

impl Watch {
    fn new(now: Duration) -> Self {
        Self {
            now,
            look: None,
            quiet_since: now,
            steady_since: now,
            reported_at: now,
            answered_at: now,
            interrupted_at: now,
            gone: None,
            tail: Vec::new(),
            unsure: false,
            attached: false,
        }
    }
}

impl Machine {
    /// A session launched `now`. `has_task`: it was created with a task. The policy is the careful one.
    pub fn new(profile: impl Into<Arc<Profile>>, has_task: bool, now: Duration) -> Self {
        let profile = profile.into();
        let phase = match profile.life {
            Life::Process => Phase::Round { left: false, worked: false },
            Life::Screen { .. } => Phase::Starting {
                task: has_task && profile.types_task(),
                given: has_task && !profile.types_task(),
            },
        };
        Self {
            profile,
            bearings: Bearings::default(),
            memory: Memory::launched(phase),
            watch: Watch::new(now),
        }
    }

    /// A session found again by a restarted agent. The first screen continues it: what has not changed is
    /// not announced again, and a question answered before is not answered again.
    pub fn restore(profile: impl Into<Arc<Profile>>, memory: Memory, now: Duration) -> Self {
        let unsure = matches!(memory.phase, Phase::Delivering { .. });
        let watch = Watch { unsure, ..Watch::new(now) };
        Self { profile: profile.into(), bearings: Bearings::default(), memory, watch }
    }

    /// The same, its prompts judged by these.
    #[must_use]
    pub fn with_bearings(mut self, bearings: Bearings) -> Self {
        self.bearings = bearings;
        self
    }

    /// The facts it is judged by.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// What its prompts are judged by.
    pub fn bearings(&self) -> &Bearings {
        &self.bearings
    }

    /// Takes one input in. `now` never goes back; an earlier time counts as the newest one given.
    pub fn step(&mut self, input: Input<'_>, now: Duration) -> Vec<Effect> {
        self.watch.now = self.watch.now.max(now);
        let mut effects = Vec::new();
        // A process-ruled session is running as soon as anything is known of it, even if that is its end.
        self.announce(&mut effects);
        self.take(input, &mut effects);
        // Each move leaves the state that led to it, so this ends; the bound is for the day a rule is wrong.
        for _ in 0..8 {
            match self.pending() {
                Some((at, next)) if at <= self.watch.now => self.make(next, &mut effects),
                _ => break,
            }
        }
        self.announce(&mut effects);
        effects
    }

    /// When to give a `Tick` if nothing else happens; none: never. Later than the last step's `now`, except
    /// before the first step.
    pub fn deadline(&self) -> Option<Duration> {
        if self.memory.displayed() != self.memory.shown {
            return Some(self.watch.now);
        }
        self.pending().map(|(at, _)| at)
    }

    /// The state, as last announced.
    pub fn state(&self) -> State {
        self.memory.shown.state
    }

    /// Why it is in this state.
    pub fn reason(&self) -> Option<&str> {
        self.memory.shown.reason.as_deref()
    }

    /// The question it waits on.
    pub fn prompt(&self) -> Option<&Prompt> {
        self.memory.shown.prompt.as_ref()
    }

    /// What the state rests on: `process`, `screen`, `report`, `hooks` or `status`.
    pub fn authority(&self) -> &'static str {
        match self.profile.life {
            _ if self.memory.is_ended() => "process",
            _ if self.memory.report.is_some() => self.memory.voice.as_str(),
            Life::Process => "process",
            Life::Screen { .. } => "screen",
        }
    }

    /// The rule the present state rests on, for `explain`.
    pub fn rule(&self) -> &str {
        &self.memory.rule
    }

    /// What is seen on the newest screen, for `explain`.
    pub fn observation(&self) -> Option<&Observation> {
        self.watch.look.as_ref().map(|look| &look.observation)
    }

    /// Whether the program has ended, as far as the machine was told: no input has an effect any more.
    pub fn is_ended(&self) -> bool {
        self.memory.is_ended()
    }

    /// What must be stored to go on after a restart. It changes only with what happens, not with every
    /// screen: store it when it differs from what was stored.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Whether a question is still the open one and still stands on a fresh screen. Ask immediately before
    /// pressing a key for it; drop the press if not.
    pub fn still_there(&self, screen: &Screen, prompt: &Prompt) -> bool {
        let open = self.memory.asked.as_ref().filter(|asked| asked.prompt.id == prompt.id);
        !self.memory.paused
            && open.is_some_and(|asked| match asked.source {
                Source::Drawn => self.found_again(screen, prompt).is_some(),
                Source::Screen(mark) => {
                    let here = Mark::of(screen);
                    (mark.row == here.row || mark.size != here.size) && still_there(screen, prompt)
                }
                Source::Report => false,
            })
    }

    /// The open question as it stands on a fresh screen, if it does: with the highlight where it is now.
    pub fn found_again(&self, screen: &Screen, prompt: &Prompt) -> Option<FoundPrompt> {
        match detect(&self.profile, &self.memory, screen).kind {
            Seen::Asking(found) if Some(class_of(&found)) == prompt.class => Some(found),
            _ => None,
        }
    }

    /// The open question: the one with this id, or any.
    pub fn open_prompt(&self, id: Option<u64>) -> Option<&Prompt> {
        let asked = self.memory.asked.as_ref()?;
        let open = matches!(asked.stage, Stage::Asked | Stage::AskedAgain);
        (open && id.is_none_or(|id| id == asked.prompt.id)).then_some(&asked.prompt)
    }

    /// Says what is new to clients, if anything is.
    fn announce(&mut self, effects: &mut Vec<Effect>) {
        let shown = self.memory.displayed();
        if shown != self.memory.shown {
            self.memory.shown = shown.clone();
            effects.push(Effect::Announce { state: shown.state, reason: shown.reason, prompt: shown.prompt });
        }
    }

    /// Ends the task, and with it what was open.
    fn finish(&mut self, phase: Phase, exit: Exit, rule: &str, effects: &mut Vec<Effect>) {
        let (Phase::Settled { state, reason } | Phase::Ended { state, reason }) = phase.clone() else {
            return;
        };
        self.memory.phase = phase;
        self.memory.asked = None;
        self.memory.refusal = None;
        self.memory.forget_turn();
        self.memory.rule = rule.to_owned();
        self.watch.gone = None;
        self.announce(effects);
        effects.push(Effect::Complete { state, reason, exit_code: exit.code, signal: exit.signal });
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

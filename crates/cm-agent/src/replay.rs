//! The decisions of a recorded session, made again from what it was given: no clock, no terminal (PURE).

use std::sync::Arc;
use std::time::Duration;

use crate::tool::policy::Policies;
use crate::tool::recording::{Entry, Line, Start, shown};
use crate::tool::state::Bearings;
use crate::tool::{Input, Machine, Profiles, Screen};

/// Lines of a recording that are read at most.
const LINES: usize = 5_000_000;

/// What a replay says, a line each.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Replayed {
    /// A session begins, judged by this profile and policy now.
    Started {
        /// Seconds.
        at: f64,
        /// As it was recorded.
        start: Box<Start>,
        /// The profile it is judged by now: name and version.
        profile: String,
    },
    /// A decision.
    Decided {
        /// Seconds.
        at: f64,
        /// In short.
        effect: String,
        /// The rule it rests on.
        rule: String,
        /// Whether the recorded session decided the same next.
        same: bool,
    },
    /// A decision of the recorded session that is not made any more.
    Missing {
        /// Seconds.
        at: f64,
        /// In short.
        effect: String,
        /// The rule it rested on then.
        rule: String,
    },
    /// A line that could not be read.
    Unreadable {
        /// Its number, from 1.
        line: usize,
        /// Why.
        why: String,
    },
}

/// Replays a recording, a text with one JSON object a line.
pub fn replay(text: &str, profiles: &Profiles, policies: &Policies) -> Vec<Replayed> {
    let mut replay =
        Replay { profiles, policies, machine: None, screen: None, out: Vec::new(), open: Vec::new() };
    for (number, line) in text.lines().enumerate().take(LINES).filter(|(_, line)| !line.trim().is_empty()) {
        match serde_json::from_str::<Line>(line) {
            Ok(line) => replay.line(line),
            Err(error) => {
                let why = error.to_string();
                replay.out.push(Replayed::Unreadable { line: number + 1, why });
            }
        }
    }
    replay.settle();
    replay.out
}

struct Replay<'a> {
    profiles: &'a Profiles,
    policies: &'a Policies,
    machine: Option<Machine>,
    screen: Option<Screen>,
    out: Vec<Replayed>,
    /// Decisions made again that the recording has not come to: indices into `out`.
    open: Vec<usize>,
}

impl Replay<'_> {
    fn line(&mut self, line: Line) {
        let Line { at, entry } = line;
        match &entry {
            Entry::Start(start) => return self.start(at, start),
            Entry::Decided { effect, rule } => return self.compare(at, effect, rule),
            _ => {}
        }
        let mut screen = self.screen.take();
        if let Some(input) = entry.input(&mut screen) {
            self.give(input, at);
        }
        self.screen = screen;
    }

    fn start(&mut self, at: f64, start: &Start) {
        self.settle();
        let now = seconds(at);
        let profile = self.profiles.for_version(&start.tool, start.tool_version.as_deref());
        // A policy that is not to be had here any more asks for everything it did not allow.
        let policy = self.policies.resolve(start.policy.as_ref()).unwrap_or_else(|_| Policies::careful());
        let bearings = Bearings {
            policy,
            tool: start.tool.clone(),
            work_dir: start.work_dir.clone(),
            home: start.home.clone(),
            check: start.check,
        };
        let name = format!("{} {}", profile.name, profile.version);
        let profile = Arc::new(profile);
        let machine = match &start.memory {
            Some(memory) => Machine::restore(profile, memory.clone(), now),
            None => Machine::new(profile, start.task, now),
        };
        self.machine = Some(machine.with_bearings(bearings));
        self.screen = None;
        self.out.push(Replayed::Started { at, start: Box::new(start.clone()), profile: name });
    }

    fn give(&mut self, input: Input<'_>, at: f64) {
        let Some(machine) = &mut self.machine else { return };
        let effects = machine.step(input, seconds(at));
        for effect in &effects {
            self.open.push(self.out.len());
            let rule = machine.rule().to_owned();
            self.out.push(Replayed::Decided { at, effect: shown(effect), rule, same: false });
        }
    }

    /// The recorded session decided this: is it among what was decided again?
    fn compare(&mut self, at: f64, effect: &str, rule: &str) {
        let found = self.open.iter().position(
            |index| matches!(&self.out[*index], Replayed::Decided { effect: again, .. } if again == effect),
        );
        match found {
            Some(place) => {
                let index = self.open.remove(place);
                if let Replayed::Decided { same, .. } = &mut self.out[index] {
                    *same = true;
                }
            }
            None => self.out.push(Replayed::Missing { at, effect: effect.into(), rule: rule.into() }),
        }
    }

    /// A life of the agent is over: what it decided that is new stays marked as such.
    fn settle(&mut self) {
        self.open.clear();
    }
}

/// A recording may say anything; a time that is none counts as the beginning.
fn seconds(at: f64) -> Duration {
    Duration::try_from_secs_f64(at).unwrap_or_default()
}

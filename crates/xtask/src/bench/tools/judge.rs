//! A session's recording held against what its tool said of itself: how often the state was right (PURE).

use std::sync::Arc;
use std::time::Duration;

use cm_agent::tool::policy::Policies;
use cm_agent::tool::recording::{Entry, Line, Start, shown};
use cm_agent::tool::state::{Bearings, Voice};
use cm_agent::tool::{Machine, Profiles, Screen};
use cm_protocol::ReportStatus;

/// Between two samples, in seconds. What the tool says has its time from the agent's look at it, a few
/// milliseconds after it was said: finer than this nothing is judged.
const EVERY: f64 = 0.05;

/// A hook may be answered before the tool says that it is blocked, by at most so many seconds.
const EARLY: f64 = 0.3;

/// So long after its last line a recording's state machine is still given its time: what it has not decided by
/// then it decides never.
const AFTER: Duration = Duration::from_secs(30);

/// Samples of one way of seeing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub samples: u32,
    /// Those in which the state was the true one.
    pub right: u32,
    /// Those in which the tool was blocked by a prompt, and the policy was answering it: no person is told of
    /// such a prompt, the session is said to work.
    pub answering: u32,
    /// Those in which the end of the work was told, and it worked.
    pub rested: u32,
}

impl Tally {
    /// Takes others in.
    pub fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.right += other.right;
        self.answering += other.answering;
        self.rested += other.rested;
    }

    /// Samples in which the announced state was the tool's own, in percent.
    pub fn strict(&self) -> f64 {
        f64::from(self.right) / f64::from(self.samples) * 100.0
    }

    /// The same, a prompt that the policy is answering counted as work.
    pub fn percent(&self) -> f64 {
        f64::from(self.right + self.answering) / f64::from(self.samples) * 100.0
    }
}

/// Both ways of seeing the same session.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// What was announced.
    pub announced: Tally,
    /// What would have been announced by one that sees the screen and nothing else.
    pub screen_only: Tally,
}

/// What holds from a time on.
type Steps<T> = Vec<(f64, T)>;

/// What a state or a status comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Working,
    Waiting,
    Resting,
    Failed,
    Other,
}

impl Is {
    fn of_status(status: ReportStatus) -> Self {
        match status {
            ReportStatus::Working => Self::Working,
            ReportStatus::Waiting => Self::Waiting,
            ReportStatus::Idle | ReportStatus::Done => Self::Resting,
            ReportStatus::Failed => Self::Failed,
        }
    }

    /// Of an effect in short; none: it announces no state.
    fn of_effect(effect: &str) -> Option<Self> {
        let effect = effect.strip_prefix("complete ").unwrap_or(effect);
        Some(match effect.split_whitespace().next()? {
            "starting" | "planning" | "editing" | "testing" | "running" => Self::Working,
            "waiting" => Self::Waiting,
            "done" | "idle" => Self::Resting,
            "failed" => Self::Failed,
            "paused" | "killed" | "lost" => Self::Other,
            _ => return None,
        })
    }
}

/// What a way of seeing led to.
#[derive(Debug, Default)]
struct Judged {
    states: Steps<Is>,
    /// When a prompt was answered without a person.
    answers: Vec<f64>,
}

impl Judged {
    fn take(&mut self, at: f64, effect: &str) {
        self.states.extend(Is::of_effect(effect).map(|is| (at, is)));
        if effect.starts_with("choose ") || effect.starts_with("press ") {
            self.answers.push(at);
        }
    }

    /// Whether one was answered while the tool was blocked, or directly before it said so.
    fn answers_within(&self, (from, to): (f64, f64)) -> bool {
        self.answers.iter().any(|at| (from - EARLY..to).contains(at))
    }
}

/// Judges a recording. `None`: the tool never said that it works.
///
/// The time that counts begins when the tool says first that it works, and ends when it has said its last word
/// and the state that is judged has come to rest, too: whoever is late loses every sample of it.
pub fn judge(text: &str, profiles: &Profiles) -> Option<Seen> {
    // What comes of ending the session is no part of its work.
    let killed = |line: &Line| matches!(&line.entry, Entry::Event { word, .. } if word == "killed");
    let lines = text.lines().filter_map(|line| serde_json::from_str(line).ok());
    let lines: Vec<Line> = lines.take_while(|line| !killed(line)).collect();
    let mut truth: Steps<Option<Is>> = Vec::new();
    let mut announced = Judged::default();
    // Answers in hooks are none of any state machine's.
    let mut in_hooks = Vec::new();
    for Line { at, entry } in &lines {
        match entry {
            Entry::Heard { voice: Voice::Status, heard } => {
                truth.push((*at, heard.as_ref().map(|heard| Is::of_status(heard.status))));
            }
            Entry::Event { word, .. } if word == "settled" => in_hooks.push(*at),
            Entry::Decided { effect, .. } => announced.take(*at, effect),
            _ => {}
        }
    }
    let mut screen_only = screen_only(&lines, profiles);
    announced.answers.extend(&in_hooks);
    screen_only.answers.extend(&in_hooks);
    Some(Seen { announced: tally(&truth, &announced)?, screen_only: tally(&truth, &screen_only)? })
}

fn tally(truth: &Steps<Option<Is>>, judged: &Judged) -> Option<Tally> {
    let begin = truth.iter().find(|(_, is)| *is == Some(Is::Working))?.0;
    let last = |at: Option<f64>| at.unwrap_or(begin);
    let end = last(truth.last().map(|(at, _)| *at)).max(last(judged.states.last().map(|(at, _)| *at)));
    let mut tally = Tally::default();
    let mut at = begin;
    while at <= end {
        let real = holds(truth, at).copied().flatten();
        // A session is told of as one that starts.
        let said = holds(&judged.states, at).copied().unwrap_or(Is::Working);
        if let Some(real) = real {
            tally.samples += 1;
            tally.right += u32::from(said == real);
            tally.rested += u32::from((real, said) == (Is::Working, Is::Resting));
            let answering =
                (real, said) == (Is::Waiting, Is::Working) && judged.answers_within(span(truth, at));
            tally.answering += u32::from(answering);
        }
        at += EVERY;
    }
    Some(tally)
}

/// From when to when what holds at a time holds.
fn span<T: PartialEq>(steps: &Steps<T>, at: f64) -> (f64, f64) {
    let next = steps.iter().position(|(from, _)| *from > at).unwrap_or(steps.len());
    let what = next.checked_sub(1).and_then(|now| steps.get(now)).map(|(_, what)| what);
    let same = steps[..next].iter().rev().take_while(|(_, other)| Some(other) == what);
    (same.last().map_or(at, |(from, _)| *from), steps.get(next).map_or(f64::INFINITY, |(from, _)| *from))
}

fn holds<T>(steps: &Steps<T>, at: f64) -> Option<&T> {
    steps.iter().take_while(|(from, _)| *from <= at).last().map(|(_, what)| what)
}

/// The states that follow from everything but what the tool and its hooks say.
fn screen_only(lines: &[Line], profiles: &Profiles) -> Judged {
    let (mut machine, mut screen): (Option<Machine>, Option<Screen>) = (None, None);
    let mut told = Judged::default();
    for Line { at, entry } in lines {
        if let Entry::Start(start) = entry {
            machine = Some(begin(start, *at, profiles));
        }
        let Some(machine) = &mut machine else { continue };
        // It is given its own ticks: those of the recording came when another state of mind needed them.
        let now = seconds(*at);
        tick_until(machine, now, &mut told);
        let unheard = |voice: &Voice| matches!(voice, Voice::Status | Voice::Hooks);
        let left_out = match entry {
            Entry::Heard { voice, .. } => unheard(voice),
            Entry::Works { .. } => true,
            _ => false,
        };
        if left_out {
            continue;
        }
        if let Some(input) = entry.input(&mut screen) {
            let effects = machine.step(input, now);
            effects.iter().for_each(|effect| told.take(*at, &shown(effect)));
        }
    }
    if let (Some(machine), Some(last)) = (&mut machine, lines.last()) {
        tick_until(machine, seconds(last.at) + AFTER, &mut told);
    }
    told
}

/// Gives it the ticks it asks for before a time.
fn tick_until(machine: &mut Machine, until: Duration, told: &mut Judged) {
    while let Some(due) = machine.deadline().filter(|due| *due < until) {
        let effects = machine.step(cm_agent::tool::Input::Tick, due);
        effects.iter().for_each(|effect| told.take(due.as_secs_f64(), &shown(effect)));
    }
}

fn begin(start: &Start, at: f64, profiles: &Profiles) -> Machine {
    let mut profile = profiles.for_version(&start.tool, start.tool_version.as_deref());
    profile.status = None;
    profile.hooks = None;
    let policy = Policies::builtin().resolve(start.policy.as_ref()).unwrap_or_else(|_| Policies::careful());
    let bearings = Bearings {
        policy,
        tool: start.tool.clone(),
        work_dir: start.work_dir.clone(),
        home: start.home.clone(),
        check: start.check,
    };
    Machine::new(Arc::new(profile), start.task, seconds(at)).with_bearings(bearings)
}

fn seconds(at: f64) -> Duration {
    Duration::try_from_secs_f64(at).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: Option<Is> = Some(Is::Working);
    const RESTS: Option<Is> = Some(Is::Resting);
    const BLOCKED: Option<Is> = Some(Is::Waiting);

    #[track_caller]
    fn check(truth: &[(f64, Option<Is>)], decided: &[(f64, &str)], expected: (u32, u32, u32, u32)) {
        let mut judged = Judged::default();
        decided.iter().for_each(|(at, effect)| judged.take(*at, effect));
        let tally = tally(&truth.to_vec(), &judged).unwrap();
        let (samples, wrong, rested, answering) = expected;
        assert!(tally.samples.abs_diff(samples) <= 1, "{tally:?}");
        assert!((tally.samples - tally.right).abs_diff(wrong) <= 1, "{tally:?}");
        assert!(tally.rested.abs_diff(rested) <= 1, "{tally:?}");
        assert!(tally.answering.abs_diff(answering) <= 1, "{tally:?}");
    }

    #[test]
    fn a_late_or_wrong_state_costs_its_samples() {
        let truth = [(0.5, RESTS), (1.0, WORKS), (2.0, RESTS)];
        let well = [(0.9, "running"), (2.0, "done (it said so)"), (2.0, "complete done")];
        check(&truth, &well, (20, 0, 0, 0));
        check(&truth, &[(0.9, "running"), (2.5, "done"), (2.5, "type the task")], (30, 10, 0, 0));
        check(&truth, &[(0.9, "editing"), (1.5, "idle"), (2.0, "done")], (20, 10, 10, 0));
        check(&truth, &[(0.9, "running"), (1.5, "waiting #1 command"), (2.0, "done")], (20, 10, 0, 0));
        // It starts, as far as is told.
        check(&truth, &[], (20, 0, 0, 0));
    }

    #[test]
    fn a_prompt_the_policy_answers_is_counted_apart() {
        let truth = [(1.0, WORKS), (1.5, BLOCKED), (2.0, WORKS), (3.0, BLOCKED), (3.5, RESTS)];
        let ends = (3.5, "done");
        let choose = "choose \"Yes\" (allow) for #1";
        check(&truth, &[(0.9, "running"), (1.7, choose), (3.0, "waiting"), ends], (50, 10, 0, 10));
        check(&truth, &[(0.9, "running"), (1.3, choose), (3.0, "waiting"), ends], (50, 10, 0, 10));
        // Nobody answers: it should have been told.
        check(&truth, &[(0.9, "running"), (1.0, choose), (3.0, "waiting"), ends], (50, 10, 0, 0));
        check(&truth, &[(0.9, "running"), (1.7, choose), ends], (50, 20, 0, 10));
        check(
            &truth,
            &[(0.9, "running"), (1.5, "waiting"), (2.0, "running"), (3.0, "waiting"), ends],
            (50, 0, 0, 0),
        );
    }
}

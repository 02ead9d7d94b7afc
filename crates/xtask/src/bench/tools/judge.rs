//! A session's recording held against what its tool said of itself: how often the state was right (PURE).

use std::sync::Arc;
use std::time::Duration;

use cm_agent::tool::policy::Policies;
use cm_agent::tool::recording::{Entry, Line, Start, shown};
use cm_agent::tool::state::{Bearings, Voice};
use cm_agent::tool::{Machine, Profiles, Screen};
use cm_protocol::ReportStatus;

/// Between two samples, in seconds.
const EVERY: f64 = 0.05;

/// Samples of one way of seeing.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// All of them.
    pub samples: u32,
    /// Those in which the state was the true one.
    pub right: u32,
    /// Those in which the end of the work was told, and it worked.
    pub rested: u32,
}

impl Tally {
    /// Takes others in.
    pub fn add(&mut self, other: Self) {
        self.samples += other.samples;
        self.right += other.right;
        self.rested += other.rested;
    }

    /// Right samples, in percent.
    pub fn percent(&self) -> f64 {
        f64::from(self.right) / f64::from(self.samples) * 100.0
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

/// Judges a recording. `None`: the tool never said that it works.
///
/// The time that counts begins when the tool says first that it works, and ends when it has said its last word
/// and the state that is judged has come to rest, too: whoever is late loses every sample of it.
pub fn judge(text: &str, profiles: &Profiles) -> Option<Seen> {
    let lines: Vec<Line> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let mut truth: Steps<Option<Is>> = Vec::new();
    let mut announced: Steps<Is> = Vec::new();
    for Line { at, entry } in &lines {
        match entry {
            Entry::Heard { voice: Voice::Status, heard } => {
                truth.push((*at, heard.as_ref().map(|heard| Is::of_status(heard.status))));
            }
            Entry::Decided { effect, .. } => announced.extend(Is::of_effect(effect).map(|is| (*at, is))),
            _ => {}
        }
    }
    let screen_only = screen_only(&lines, profiles);
    Some(Seen { announced: tally(&truth, &announced)?, screen_only: tally(&truth, &screen_only)? })
}

fn tally(truth: &Steps<Option<Is>>, judged: &Steps<Is>) -> Option<Tally> {
    let begin = truth.iter().find(|(_, is)| *is == Some(Is::Working))?.0;
    let last = |at: Option<f64>| at.unwrap_or(begin);
    let end = last(truth.last().map(|(at, _)| *at)).max(last(judged.last().map(|(at, _)| *at)));
    let mut tally = Tally::default();
    let mut at = begin;
    while at <= end {
        let (real, said) = (holds(truth, at).copied().flatten(), holds(judged, at).copied());
        if let Some(real) = real {
            tally.samples += 1;
            tally.right += u32::from(said == Some(real));
            tally.rested += u32::from(real == Is::Working && said == Some(Is::Resting));
        }
        at += EVERY;
    }
    Some(tally)
}

fn holds<T>(steps: &Steps<T>, at: f64) -> Option<&T> {
    steps.iter().take_while(|(from, _)| *from <= at).last().map(|(_, what)| what)
}

/// The states that follow from everything but what the tool and its hooks say.
fn screen_only(lines: &[Line], profiles: &Profiles) -> Steps<Is> {
    let (mut machine, mut screen, mut told): (Option<Machine>, Option<Screen>, _) = (None, None, Vec::new());
    for Line { at, entry } in lines {
        if let Entry::Start(start) = entry {
            machine = Some(begin(start, *at, profiles));
        }
        let Some(machine) = &mut machine else { continue };
        // It is given its own ticks: those of the recording came when another state of mind needed them.
        let now = seconds(*at);
        while let Some(due) = machine.deadline().filter(|due| *due < now) {
            let effects = machine.step(cm_agent::tool::Input::Tick, due);
            told.extend(effects.iter().filter_map(|e| Some((due.as_secs_f64(), Is::of_effect(&shown(e))?))));
        }
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
            told.extend(effects.iter().filter_map(|e| Some((*at, Is::of_effect(&shown(e))?))));
        }
    }
    told
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

    #[test]
    fn a_late_or_wrong_state_costs_its_samples() {
        #[track_caller]
        fn check(judged: &[(f64, &str)], samples: u32, wrong: u32, rested: u32) {
            let truth = vec![(0.5, Some(Is::Resting)), (1.0, Some(Is::Working)), (2.0, Some(Is::Resting))];
            let judged = judged.iter().filter_map(|(at, word)| Some((*at, Is::of_effect(word)?))).collect();
            let tally = tally(&truth, &judged).unwrap();
            assert!(tally.samples.abs_diff(samples) <= 1, "{tally:?}");
            assert!((tally.samples - tally.right).abs_diff(wrong) <= 1, "{tally:?}");
            assert!(tally.rested.abs_diff(rested) <= 1, "{tally:?}");
        }
        check(&[(0.9, "running"), (2.0, "done (it said so)"), (2.0, "complete done")], 20, 0, 0);
        check(&[(0.9, "running"), (2.5, "done"), (2.5, "type the task")], 30, 10, 0);
        check(&[(0.9, "editing"), (1.5, "idle"), (2.0, "done")], 20, 10, 10);
        check(&[(0.9, "running"), (1.5, "waiting #1 command"), (2.0, "done")], 20, 10, 0);
        check(&[], 20, 20, 0);
    }
}

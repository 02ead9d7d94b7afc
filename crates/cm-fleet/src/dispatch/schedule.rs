//! What a run does next, given where it stands. PURE.

use std::collections::BTreeSet;

use crate::report::event::Stop;
use crate::report::fold::{Link, RunState, Status};

/// Requests on their way at once when nobody waits for the results.
const DETACHED_AT_ONCE: usize = 16;

/// The tasks an agent is to be asked for now, by number: queued ones while there is room, and those whose
/// request got lost with the connection (asking again is safe: the identity is the same).
/// An agent without room for more sessions is asked for no further ones.
/// `asking` are the tasks with a request on its way.
pub fn to_place(state: &RunState, host: &str, asking: &BTreeSet<usize>) -> Vec<usize> {
    if state.stop.is_some() || state.hosts.get(host) != Some(&Link::Up) {
        return Vec::new();
    }
    let mut room = if state.detach { DETACHED_AT_ONCE } else { state.jobs };
    let mut place = Vec::new();
    for task in &state.tasks {
        let number = task.plan.number;
        match &task.status {
            Status::Placed { .. } => {
                room = room.saturating_sub(1);
                if !asking.contains(&number) {
                    place.push(number);
                }
            }
            Status::Live(_) if !state.detach => room = room.saturating_sub(1),
            _ => {}
        }
    }
    if state.full.contains(host) {
        return place;
    }
    let queued = state.tasks.iter().filter(|task| task.status == Status::Queued);
    place.extend(queued.take(room).map(|task| task.plan.number));
    place
}

/// How long things have gone on that must not go on for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Patience {
    /// The time in which a second Ctrl-C turns a detach into a cancel is over.
    pub detach_over: bool,
    /// The time sessions have to end after a cancel is over.
    pub cancel_over: bool,
}

/// Whether the run has ended.
pub fn is_over(state: &RunState, patience: Patience) -> bool {
    let sum = state.summary();
    let placed = state.tasks.iter().any(|task| matches!(task.status, Status::Placed { .. }));
    let given_up =
        !state.hosts.is_empty() && state.hosts.values().all(|link| matches!(link, Link::GivenUp { .. }));
    if sum.running + sum.queued == 0 || given_up {
        return true;
    }
    match state.stop {
        Some(Stop::Detach) => sum.running == 0 || patience.detach_over,
        Some(Stop::Cancel) => sum.running == 0 || patience.cancel_over,
        None => state.detach && sum.queued == 0 && !placed,
    }
}

//! What an attempt's end means: settled, tried again, tried elsewhere, or left to a person. PURE.

use cm_protocol::{ErrorCode, Outcome, State};

use super::schedule::{End, failed};
use crate::report::event::{Class, RunEventKind};
use crate::report::fold::{RunState, Status, Task};

/// Failures of a host's own in a row after which it is given nothing for a while.
const TOO_MANY: u32 = 3;

/// How long that is, seconds.
const ASIDE: f64 = 300.0;

/// What kind of failure an end was; `None`: it went well, or a person ended it.
///
/// The stable words an outcome's reason begins with are [`Outcome::reason`]'s.
pub fn class(outcome: &Outcome) -> Option<Class> {
    let word = outcome.reason.as_deref().unwrap_or_default().split(':').next().unwrap_or_default();
    match (outcome.state, word) {
        (State::Done, _) => None,
        (State::Lost, _) | (_, "out_of_memory" | "lease_expired" | "superseded") => {
            Some(Class::Infrastructure)
        }
        (State::Killed, _) => None,
        (_, "login_required") => Some(Class::Login),
        (_, "rate_limited") => Some(Class::Quota),
        (_, "denied") => Some(Class::Policy),
        _ => Some(Class::Task),
    }
}

/// What follows from the end of a task's attempt.
pub fn ended(state: &RunState, task: &Task, outcome: Outcome, now: f64) -> Vec<RunEventKind> {
    let number = task.plan.number;
    let Status::Live(live) = &task.status else { return Vec::new() };
    let host = live.host.clone();
    let error = words(&outcome);
    let settled = |outcome| vec![RunEventKind::TaskFinished { task: number, outcome }];
    // Whoever leaves or cancels wants to know how things ended, and nothing new.
    let Some(class) = class(&outcome).filter(|_| state.stop.is_none()) else { return settled(outcome) };
    match class {
        Class::Task if task.retried < task.plan.retries => {
            vec![failed(state, task, class, error, now, End::Known(Box::new(outcome)))]
        }
        Class::Task => settled(outcome),
        // There is nowhere else to go.
        _ if state.attempts <= 1 => settled(outcome),
        Class::Infrastructure => {
            let end = End::Known(Box::new(outcome));
            let mut events = vec![failed(state, task, class, error.clone(), now, end)];
            events.extend(set_aside(state, task, &host, &error, now));
            events
        }
        Class::Policy => {
            vec![RunEventKind::TaskParked { task: number, class, error, outcome: Some(Box::new(outcome)) }]
        }
        Class::Login | Class::Quota => unfit(state, task, class, outcome, now),
    }
}

/// A tool nobody is logged in to, or whose quota is used up: not on this host, for now.
fn unfit(state: &RunState, task: &Task, class: Class, outcome: Outcome, now: f64) -> Vec<RunEventKind> {
    let Status::Live(live) = &task.status else { return Vec::new() };
    let (error, until) = (words(&outcome), outcome.until);
    // News of a limit may be older than its end.
    if until.is_some_and(|until| until <= now) {
        return vec![failed(state, task, class, error, now, End::Known(Box::new(outcome)))];
    }
    let tool = task.plan.tool.clone();
    let unfit = RunEventKind::HostUnfit { host: live.host.clone(), tool, error: error.clone(), until };
    // With a single host the wait is only worth it where its end is known.
    if state.hosts.len() == 1 && until.is_none() {
        let outcome = Some(Box::new(outcome));
        return vec![RunEventKind::TaskParked { task: task.plan.number, class, error, outcome }];
    }
    vec![unfit, failed(state, task, class, error, now, End::Known(Box::new(outcome)))]
}

/// A host that keeps failing tasks is given nothing for a while, where there are others.
fn set_aside(state: &RunState, task: &Task, name: &str, error: &str, now: f64) -> Option<RunEventKind> {
    let host = state.host(name)?;
    let another = host.blames(task.status.since());
    let enough = another && host.failures + 1 >= TOO_MANY && host.aside.is_none() && state.hosts.len() > 1;
    enough.then(|| RunEventKind::HostSetAside {
        host: name.to_owned(),
        error: format!(
            "it failed tasks {} times in a row, through no fault of theirs: {error}",
            host.failures + 1
        ),
        until: now + ASIDE,
    })
}

/// What follows from a host's refusal to start a task. `code` is the agent's, where it was one that answered; `again`:
/// it was asked more than once, and an earlier request may still be on its way.
pub fn refused(
    state: &RunState,
    task: &Task,
    host: &str,
    (code, again): (Option<ErrorCode>, bool),
    error: String,
    now: f64,
) -> Vec<RunEventKind> {
    let number = task.plan.number;
    let alone = state.hosts.len() == 1;
    match code {
        _ if alone => vec![RunEventKind::TaskRefused { task: number, error }],
        // Something about the host, not about the task.
        Some(_) if error.starts_with("tool not found") => {
            let tool = task.plan.tool.clone();
            let unfit = RunEventKind::HostUnfit { host: host.to_owned(), tool, error, until: None };
            vec![unfit, RunEventKind::TaskQueued { task: number, fence: again }]
        }
        Some(ErrorCode::Conflict | ErrorCode::Internal) | None => {
            // An agent that answers does not run it; without an answer it may.
            let end = if code.is_some() && !again { End::Refused } else { End::Unknown };
            let mut events = vec![failed(state, task, Class::Infrastructure, error.clone(), now, end)];
            events.extend(set_aside(state, task, host, &error, now));
            events
        }
        Some(_) => vec![RunEventKind::TaskRefused { task: number, error }],
    }
}

/// An end in words: its reason, or its exit code.
fn words(outcome: &Outcome) -> String {
    match (&outcome.reason, outcome.exit_code, &outcome.signal) {
        (Some(reason), _, _) => reason.clone(),
        (None, Some(code), _) => format!("exit code {code}"),
        (None, None, Some(signal)) => format!("ended by {signal}"),
        (None, None, None) => outcome.state.to_string(),
    }
}

#[cfg(test)]
mod tests;

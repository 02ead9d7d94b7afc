//! What an agent announces, as events of the run. PURE.

use cm_protocol::{Event, EventKind, Outcome, Prompt, SessionId, SessionInfo, Snapshot, State};

use crate::report::clean::clean;
use crate::report::event::RunEventKind;
use crate::report::fold::{Live, RunState, Status};

/// The run's events in one announcement of `host`'s agent; sessions of others are none of ours.
pub fn event(state: &RunState, host: &str, event: &Event) -> Vec<RunEventKind> {
    let live = |session: &SessionId| live_task(state, session);
    match &event.kind {
        EventKind::StateChange { session_id, state, reason, prompt, .. } => match live(session_id) {
            Some((task, known)) if is_news(known, *state, prompt.as_ref(), reason.as_deref()) => {
                vec![RunEventKind::TaskState {
                    task,
                    state: *state,
                    reason: reason.clone(),
                    prompt: prompt.clone(),
                }]
            }
            _ => Vec::new(),
        },
        EventKind::AutoConfirmed { session_id, rule, prompt } => live(session_id)
            .map(|(task, _)| RunEventKind::TaskConfirmed {
                task,
                rule: rule.clone(),
                prompt: prompt.as_ref().map(|prompt| prompt.id),
            })
            .into_iter()
            .collect(),
        EventKind::Receipt { session_id, receipt } => live(session_id)
            .map(|(task, _)| RunEventKind::TaskReceipt { task, receipt: receipt.clone() })
            .into_iter()
            .collect(),
        EventKind::SessionCompleted { session_id, state: end, outcome, .. } => {
            let bare = |since: f64| bare(*end, event.timestamp - since, None);
            match live(session_id) {
                Some((task, known)) => {
                    let outcome = outcome.clone().unwrap_or_else(|| bare(known.since));
                    vec![RunEventKind::TaskFinished { task, outcome }]
                }
                None => {
                    late(state, host, session_id, outcome.clone().unwrap_or_else(|| bare(event.timestamp)))
                }
            }
        }
        EventKind::Notice(notice) => vec![RunEventKind::HostNotice {
            host: host.to_owned(),
            topic: notice.topic.clone(),
            message: notice.message.clone(),
        }],
        EventKind::SessionAdded { .. } | EventKind::SessionClosed { .. } => Vec::new(),
    }
}

/// The end of an attempt that is no longer the task's latest: evidence.
fn late(state: &RunState, host: &str, session: &SessionId, outcome: Outcome) -> Vec<RunEventKind> {
    let Some((task, attempt)) = state.attempt_of(session) else { return Vec::new() };
    let Some(known) = state.task(task) else { return Vec::new() };
    let told = known.late.iter().any(|late| late.attempt == attempt);
    let given_up =
        known.attempt > attempt || matches!(known.status, Status::Queued(_) | Status::Parked { .. });
    if told || !given_up {
        return Vec::new();
    }
    vec![RunEventKind::TaskLate { task, attempt, host: host.to_owned(), outcome: Box::new(outcome) }]
}

/// What a snapshot of `host`'s agent changes, and the tasks whose session it does not contain. Those are to be asked about:
/// the snapshot may be older than the session.
pub fn snapshot(
    state: &RunState,
    host: &str,
    snapshot: &Snapshot,
) -> (Vec<RunEventKind>, Vec<(usize, SessionId)>) {
    let (mut events, mut missing) = (Vec::new(), Vec::new());
    let Some(host) = state.host_index(host) else { return (events, missing) };
    for task in state.on_host(host) {
        let (number, Status::Live(live)) = (task.plan.number, &task.status) else { continue };
        match snapshot.sessions.iter().find(|s| s.session_id == live.session) {
            Some(info) => events.extend(info_events(number, live, info, snapshot.timestamp)),
            None => missing.push((number, live.session.clone())),
        }
    }
    (events, missing)
}

/// The end of a task whose session the agent does not know any more.
pub fn forgotten(task: usize, live: &Live, now: f64) -> RunEventKind {
    let reason = Some("the agent does not know this session any more");
    RunEventKind::TaskFinished { task, outcome: bare(State::Lost, now - live.since, reason) }
}

/// What a session's record changes for its task.
pub fn info_events(task: usize, live: &Live, info: &SessionInfo, now: f64) -> Vec<RunEventKind> {
    let mut events = Vec::new();
    if is_news(live, info.state, info.prompt.as_ref(), info.reason.as_deref()) {
        events.push(RunEventKind::TaskState {
            task,
            state: info.state,
            reason: info.reason.clone(),
            prompt: info.prompt.clone(),
        });
    }
    if info.state.is_terminal() {
        let outcome = info
            .outcome
            .clone()
            .unwrap_or_else(|| bare(info.state, now - live.since, info.reason.as_deref()));
        events.push(RunEventKind::TaskFinished { task, outcome });
    }
    events
}

/// Whether this is told. Another reason is news only to somebody who waits.
fn is_news(known: &Live, state: State, prompt: Option<&Prompt>, reason: Option<&str>) -> bool {
    known.state != state
        || known.prompt.as_ref() != prompt
        || (state == State::Waiting && known.reason.as_deref() != reason)
}

/// The last line of a screen that says something.
pub fn last_line(screen: &str) -> Option<String> {
    screen.lines().rev().map(clean).map(|line| line.trim().to_owned()).find(|line| !line.is_empty())
}

fn live_task<'a>(state: &'a RunState, session: &SessionId) -> Option<(usize, &'a Live)> {
    let number = state.task_of(session)?;
    match &state.task(number)?.status {
        Status::Live(live) => Some((number, live)),
        _ => None,
    }
}

/// An outcome of which only the state is known.
fn bare(state: State, duration: f64, reason: Option<&str>) -> Outcome {
    Outcome {
        state,
        exit_code: None,
        signal: None,
        duration: duration.max(0.0),
        tail: Vec::new(),
        reason: reason.map(str::to_owned),
        ..Outcome::default()
    }
}

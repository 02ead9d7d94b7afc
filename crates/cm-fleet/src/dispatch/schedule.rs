//! What a run does next, given where it stands: which task goes where, what is due, when it is over. PURE.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::report::event::{Class, RunEventKind, Stop};
use crate::report::fold::{Alarm, Group, Link, Rank, RunState, Status, Task, millis};

/// Requests on their way at once when nobody waits for the results.
const DETACHED_AT_ONCE: usize = 16;

/// Tasks that are moved away from hosts that are given up, at one time.
const MOVED_AT_ONCE: usize = 1000;

/// How much more a host may be in use and still be preferred to another because it has a repository (thousandths of
/// its slots): nothing at first; half of it for a task that goes on elsewhere, which has lost enough time.
const DETOUR: u32 = 500;

/// Hosts that are looked at because they have a repository, at most: what it costs does not grow with the fleet.
const NEAR: usize = 64;

/// A task and the host it goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Placement {
    /// The task's number.
    pub task: usize,
    /// The host's place among the run's hosts.
    pub host: usize,
    /// The attempt this will be, from 1.
    pub attempt: u32,
}

/// What has been found out while placing, and holds until something else happens.
#[derive(Debug, Default)]
pub struct Round {
    /// Groups of tasks no host has room for.
    exhausted: BTreeSet<usize>,
    /// By group, the last of those to be tried again that was looked at in vain.
    passed: BTreeMap<usize, (u64, usize)>,
    /// No host is given more than so many.
    most: Option<usize>,
}

impl Round {
    /// While not all hosts have answered yet: none is given more than its share, so that the first that answers
    /// does not get everything.
    pub fn sharing(state: &RunState) -> Self {
        let sum = state.summary();
        let hosts = state.hosts.len().saturating_sub(state.given_up().len()).max(1);
        Self { most: Some((sum.queued + sum.running).div_ceil(hosts)), ..Self::default() }
    }
}

/// The next task to be placed, and where; `None` when nothing can be placed now. To be called again, with the
/// same `round`, after the placement has become part of `state`.
///
/// The first in line goes first. It goes to the host that is used least, of those that are up, have a free slot,
/// are in its pool, can run its tool and have not failed it; one that has failed it only if no other ever can. Of
/// equally good ones, one that has its repository already.
pub fn place(state: &RunState, now: f64, round: &mut Round) -> Option<Placement> {
    if state.stop.is_some() || room(state) == 0 {
        return None;
    }
    again(state, now, round).or_else(|| first_in_line(state, round))
}

/// The first of the tasks to be tried again that a host has room for.
fn again(state: &RunState, now: f64, round: &mut Round) -> Option<Placement> {
    let now = (millis(now), usize::MAX);
    for (_, of) in state.retries().iter().take_while(|(first, _)| *first <= now) {
        let group = &state.groups()[*of];
        let from = round.passed.get(of).map_or(Bound::Unbounded, |last| Bound::Excluded(*last));
        if round.passed.get(of).is_some_and(|last| *last >= now) {
            continue;
        }
        for due in group.retry.range((from, Bound::Included(now))) {
            let Some(task) = state.task(due.1) else { continue };
            if let Some(host) = choose(state, group, task, round.most) {
                return Some(placement(task, host));
            }
            round.passed.insert(*of, *due);
        }
    }
    None
}

fn first_in_line(state: &RunState, round: &mut Round) -> Option<Placement> {
    for (number, of) in state.heads() {
        if round.exhausted.contains(of) {
            continue;
        }
        let task = state.task(*number)?;
        match choose(state, &state.groups()[*of], task, round.most) {
            Some(host) => return Some(placement(task, host)),
            None => _ = round.exhausted.insert(*of),
        }
    }
    None
}

fn placement(task: &Task, host: usize) -> Placement {
    Placement { task: task.plan.number, host, attempt: task.attempt + 1 }
}

/// How many more tasks may be placed.
fn room(state: &RunState) -> usize {
    if state.detach {
        DETACHED_AT_ONCE.saturating_sub(state.placed())
    } else {
        state.jobs.saturating_sub(state.summary().running)
    }
}

/// The best host with room for a task.
fn choose(state: &RunState, group: &Group, task: &Task, most: Option<usize>) -> Option<usize> {
    if is_loose(state, task) {
        return None;
    }
    let has_room = |host: usize| most.is_none_or(|most| state.hosts[host].tasks.len() < most);
    let mut tried = None;
    for host in group.room.iter().map(|rank| rank.host).filter(|host| has_room(*host)) {
        if !has_failed(state, host, task) {
            return Some(nearer(state, group, task, host, &has_room).unwrap_or(host));
        }
        tried = tried.or(Some(host));
    }
    // One that has failed it may do, if there is no other to wait for.
    tried.filter(|_| !has_other(state, task))
}

/// A host that does as well as `best` and has the task's repository. None is waited for.
fn nearer(
    state: &RunState,
    group: &Group,
    task: &Task,
    best: usize,
    has_room: &dyn Fn(usize) -> bool,
) -> Option<usize> {
    let near = group.near.get(task.plan.repo.as_ref()?)?;
    let best = Rank::of(best, &state.hosts[best]);
    let detour = if task.tried.is_empty() { 0 } else { DETOUR };
    let may = near.iter().take_while(|rank| rank.used <= best.used.saturating_add(detour)).take(NEAR);
    let good = |rank: &&Rank| rank.failures <= best.failures && has_room(rank.host);
    may.filter(good).map(|rank| rank.host).find(|host| !has_failed(state, *host, task))
}

/// Whether an earlier attempt may still run somewhere and be kept alive: its host is going to be told, or given
/// up in its time.
fn is_loose(state: &RunState, task: &Task) -> bool {
    task.loose.iter().any(|name| state.host(name).is_some_and(|host| !host.is_given_up()))
}

fn has_failed(state: &RunState, host: usize, task: &Task) -> bool {
    !task.tried.is_empty() && task.tried.contains(&state.hosts[host].name)
}

/// Whether a host that has not failed a task may run it now or later.
fn has_other(state: &RunState, task: &Task) -> bool {
    let may = |host: &usize| {
        state.is_in_pool(task.plan.pool, *host) && state.hosts[*host].may_ever(&task.plan.tool)
    };
    let tried: BTreeSet<usize> =
        task.tried.iter().filter_map(|name| state.host_index(name)).filter(may).collect();
    state.able(state.group_of(task)) > tried.len()
}

/// What has become due: hosts given up, set free or fit again; tasks that move away from hosts that are given
/// up, cannot run any more, or can run nowhere.
pub fn due(state: &RunState, now: f64) -> Vec<RunEventKind> {
    let mut events: Vec<RunEventKind> = state
        .doomed()
        .iter()
        .map(|(task, because)| RunEventKind::TaskSkipped { task: *task, because: *because })
        .collect();
    let rung = state.alarms().iter().take_while(|(at, _)| *at <= millis(now));
    events.extend(rung.map(|(_, alarm)| rings(state, alarm)));
    if state.stop.is_none() {
        events.extend(moving(state, now));
        events.extend(hopeless(state));
    }
    events
}

fn rings(state: &RunState, alarm: &Alarm) -> RunEventKind {
    let name = |host: &usize| state.hosts[*host].name.clone();
    match alarm {
        Alarm::Silent(host) => {
            let error = match &state.hosts[*host].link {
                Link::Lost { error, .. } => error.clone(),
                _ => format!("no answer for {:.0} s", state.grace),
            };
            RunEventKind::HostGivenUp { host: name(host), error }
        }
        Alarm::Aside(host) => RunEventKind::HostTrusted { host: name(host) },
        Alarm::Fit(host, tool) => RunEventKind::HostFit { host: name(host), tool: tool.clone() },
    }
}

/// Tasks on hosts that are given up, where another host may take them. Where none can, they stay: their
/// sessions may well go on, and the host may come back.
fn moving(state: &RunState, now: f64) -> Vec<RunEventKind> {
    let numbers = state.movable().iter().flat_map(|of| &state.groups()[*of].stranded);
    let tasks = numbers.filter_map(|number| state.task(*number)).take(MOVED_AT_ONCE);
    let moved = tasks.filter_map(|task| {
        let host = state.host(task.status.host()?)?;
        let Link::GivenUp { error } = &host.link else { return None };
        let error = format!("{} is given up: {error}", host.name);
        Some(failed(state, task, Class::Infrastructure, error, now, End::Unknown))
    });
    moved.collect()
}

/// Tasks of which no host can ever run one, and why; only where something else than the hosts' absence is to
/// blame: absent hosts come back.
fn hopeless(state: &RunState) -> Vec<RunEventKind> {
    let mut events = Vec::new();
    for group in state.hopeless().iter().map(|of| &state.groups()[*of]).filter(|group| group.unfit > 0) {
        let tool = &group.kind.tool;
        let in_pool = state.hosts.iter().enumerate().filter(|(n, _)| state.is_in_pool(group.kind.pool, *n));
        let why = in_pool.filter_map(|(_, host)| Some((host, host.unfit.get(tool)?))).next();
        let Some((host, unfit)) = why else { continue };
        let error = format!("no host can run {tool}; {}: {}", host.name, unfit.error);
        let tasks = group.ready.iter().chain(group.retry.iter().map(|(_, number)| number));
        events.extend(tasks.map(|task| RunEventKind::TaskParked {
            task: *task,
            class: Class::Login,
            error: error.clone(),
            outcome: None,
        }));
    }
    events
}

/// What is known of the end of an attempt.
pub(super) enum End {
    /// Nothing: it may still run.
    Unknown,
    /// It never began.
    Refused,
    /// All.
    Known(Box<cm_protocol::Outcome>),
}

/// The end of an attempt through no fault of the task: it goes back into the queue, or is parked after too many.
pub(super) fn failed(
    state: &RunState,
    task: &Task,
    class: Class,
    error: String,
    now: f64,
    end: End,
) -> RunEventKind {
    let fence = matches!(end, End::Unknown);
    let outcome = match end {
        End::Known(outcome) => Some(outcome),
        End::Unknown | End::Refused => None,
    };
    let failures = u32::try_from(task.tried.len()).unwrap_or(u32::MAX).saturating_add(1);
    if class == Class::Infrastructure && failures >= state.attempts {
        let error = match failures {
            1 => error,
            n => format!("{error}; that was attempt {n}"),
        };
        return RunEventKind::TaskParked { task: task.plan.number, class, error, outcome };
    }
    RunEventKind::AttemptFailed {
        task: task.plan.number,
        attempt: task.attempt,
        host: task.status.host().unwrap_or_default().to_owned(),
        class,
        error,
        again_at: now + back_off(failures),
        fence,
        outcome,
    }
}

/// Seconds before the next attempt: none after the first failure, for another host is waiting; then 2, 4, … 60.
fn back_off(failures: u32) -> f64 {
    match failures {
        0 | 1 => 0.0,
        n => f64::from(1_u32 << (n - 1).min(6)).min(60.0),
    }
}

/// When something becomes due by itself, Unix seconds. Tasks that are due already wait for room.
pub fn wake_at(state: &RunState, now: f64) -> Option<f64> {
    let alarm = state.alarms().first().map(|(at, _)| *at);
    let later = (Bound::Excluded((millis(now), usize::MAX)), Bound::Unbounded);
    let retry = state.delayed().range(later).next().map(|(at, _)| *at).filter(|_| state.stop.is_none());
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of this millennium")]
    [alarm, retry].into_iter().flatten().min().map(|at| at as f64 / 1000.0)
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
    if sum.running + sum.queued == 0 {
        return true;
    }
    match state.stop {
        Some(Stop::Detach) => sum.running == 0 || patience.detach_over,
        Some(Stop::Cancel) => sum.running == 0 || patience.cancel_over,
        None if state.detach && sum.queued == 0 && state.placed() == 0 => true,
        None => is_stuck(state),
    }
}

/// Whether nothing can happen any more: all that runs is on hosts that are given up, and no other may ever take
/// what waits.
fn is_stuck(state: &RunState) -> bool {
    if state.given_up().is_empty() {
        return false;
    }
    if state.stranded() < state.summary().running || !state.doomed().is_empty() {
        return false;
    }
    state.given_up().len() == state.hosts.len() || state.hopeful().is_empty()
}

/// Tasks of a host whose request got lost with the connection: asking again is safe, the identity is the same.
pub fn to_ask_again<'a>(
    state: &'a RunState,
    host: usize,
    asking: &'a BTreeSet<usize>,
) -> impl Iterator<Item = &'a Task> {
    state
        .on_host(host)
        .filter(|task| matches!(task.status, Status::Placed { .. }) && !asking.contains(&task.plan.number))
}

#[cfg(test)]
pub(crate) mod tests;

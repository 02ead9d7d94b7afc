//! Stopping a session's processes for a while, and letting them go on.
//!
//! tmux resumes a *direct child* that stops by SIGSTOP or SIGTSTP, and lets it lie only after SIGTTIN or
//! SIGTTOU. But the kernel ignores those two in an orphaned process group, and a pane's leader is always in
//! one: its parent, the tmux server, is in another session. So a pane's leader cannot be stopped as long as
//! its tmux runs. A session whose leader is a shim, which does nothing but wait for the tool below it, can
//! be: everything below the shim stops by SIGSTOP.

use std::{collections::HashSet, time::Duration};

use rustix::process::Signal;
use tokio::time::Instant;

use super::{Marker, ProcessId, handle::Handle, tree};

/// How long a stop may take to show in `/proc`.
const STOP_WITHIN: Duration = Duration::from_millis(500);

/// How often is looked.
const POLL: Duration = Duration::from_millis(5);

/// How many times new children are looked for. A tree that forks faster than it is stopped is let go again.
const ROUNDS: usize = 20;

/// What the first process of a terminal is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leader {
    /// It only waits for what is below it: it is left alone, everything below is stopped.
    Shim,
    /// It works itself: it has to stop too, by SIGTTIN. If it does not, nothing is stopped.
    Tool,
}

/// How a stop went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frozen {
    /// Everything that should be stopped is: these, parents before children.
    Yes(Vec<ProcessId>),
    /// Nothing is stopped (any more), and why.
    No(&'static str),
}

/// Stops a session's processes: those below `leader` and the marked ones, parents before their children, so
/// that no shell sees its job stop.
pub async fn freeze(leader: ProcessId, kind: Leader, marker: Option<&Marker>) -> Frozen {
    let Some(handle) = Handle::open(leader) else { return Frozen::No("its first process has ended") };
    if kind == Leader::Tool {
        handle.signal(Signal::TTIN);
        if !within(STOP_WITHIN, || leader.stat().is_none_or(|stat| stat.is_stopped())).await {
            return Frozen::No(
                "its first process does not stop: the kernel ignores the only signal tmux allows",
            );
        }
    }
    let mut done: Vec<ProcessId> = Vec::new();
    let mut known = HashSet::new();
    for _ in 0..ROUNDS {
        let fresh: Vec<ProcessId> =
            tree(&[leader], marker).into_iter().filter(|id| *id != leader && !known.contains(id)).collect();
        if fresh.is_empty() {
            return settle(leader, kind, done);
        }
        for id in fresh {
            known.insert(id);
            if Handle::open(id).is_some_and(|handle| handle.signal(Signal::STOP)) {
                done.push(id);
            }
        }
        if !stopped(&done).await {
            break;
        }
    }
    thaw(leader, marker);
    Frozen::No("its processes do not all stop")
}

fn settle(leader: ProcessId, kind: Leader, mut done: Vec<ProcessId>) -> Frozen {
    match kind {
        Leader::Tool => done.insert(0, leader),
        Leader::Shim if done.is_empty() => return Frozen::No("nothing runs below its first process"),
        Leader::Shim => {}
    }
    Frozen::Yes(done)
}

/// Lets a session's processes go on, children before their parents: when a shell wakes up, its job runs
/// already. Harmless for those that were not stopped. Returns how many were told.
pub fn thaw(leader: ProcessId, marker: Option<&Marker>) -> usize {
    let all = tree(&[leader], marker);
    let told = |id: &&ProcessId| Handle::open(**id).is_some_and(|handle| handle.signal(Signal::CONT));
    all.iter().rev().filter(told).count()
}

/// Waits until all of them are stopped or gone; `false` if one still runs after a while.
///
/// Who sleeps in the kernel where no signal reaches (`D`) counts as stopped: the signal waits for it on its
/// way out. A parent between `vfork` and its child's `exec` is such a one, and if the child stops first, it
/// stays there until both go on.
async fn stopped(ids: &[ProcessId]) -> bool {
    let runs = |id: &ProcessId| {
        id.stat().is_some_and(|stat| !stat.is_stopped() && !stat.is_dead() && stat.state != 'D')
    };
    within(STOP_WITHIN, || !ids.iter().any(runs)).await
}

/// Looks until something is so, or the time is over; whether it is so.
async fn within(time: Duration, is_so: impl Fn() -> bool) -> bool {
    let deadline = Instant::now() + time;
    while !is_so() {
        if Instant::now() >= deadline {
            return false;
        }
        tokio::time::sleep(POLL).await;
    }
    true
}

//! Ending a whole tree: asked first, killed after a grace, until none is left.

use std::{collections::HashSet, time::Duration};

use rustix::process::Signal;
use tokio::time::Instant;

use super::{Marker, ProcessId, handle::Handle, tree};

/// How many ends are waited for at once; more only cost more rounds.
const WAITED_FOR: usize = 256;

/// How long ending may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grace {
    /// Between being asked (SIGTERM, later SIGHUP) and being killed.
    pub ask: Duration,
    /// For the kernel to end what was killed. Who is stuck in a dead network disk needs longer than anyone waits.
    pub kill: Duration,
}

impl Default for Grace {
    fn default() -> Self {
        Self { ask: Duration::from_secs(3), kill: Duration::from_secs(5) }
    }
}

/// How an end went.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// Processes that were found and are gone.
    pub ended: usize,
    /// Those among them that had to be killed.
    pub killed: usize,
    /// Processes that are still there: report them, they run on.
    pub survivors: Vec<ProcessId>,
}

/// Ends `roots`, everything marked, and all their descendants, those that come to be meanwhile included.
///
/// SIGTERM comes first, so that who handles it can tidy up. SIGHUP comes with it for who ignores that, as
/// interactive shells do, and after half of the time for who has not ended by then.
/// Returns when none is left or the time is over, whichever is first. Zombies count as ended: their parents
/// reap them.
pub async fn end_tree(roots: &[ProcessId], marker: Option<&Marker>, grace: Grace) -> Ended {
    let mut found = HashSet::new();
    let (mut asked, mut hung_up) = (HashSet::new(), HashSet::new());
    let (deadline, hang_up) = (Instant::now() + grace.ask, Instant::now() + grace.ask / 2);
    loop {
        let living = look(roots, marker, &mut found);
        if living.is_empty() {
            return Ended { ended: found.len(), killed: 0, survivors: Vec::new() };
        }
        if Instant::now() >= deadline {
            break;
        }
        let late = Instant::now() >= hang_up;
        let handles: Vec<Handle> = living.iter().filter_map(|id| Handle::open(*id)).collect();
        for handle in &handles {
            let fresh = asked.insert(handle.id());
            let hangs_up =
                (late || fresh && handle.id().ignores(Signal::TERM)) && hung_up.insert(handle.id());
            // CONT, for a stopped process gets no other signal before it goes on.
            let signals = [(fresh, Signal::TERM), (hangs_up, Signal::HUP), (fresh || hangs_up, Signal::CONT)];
            for (_, signal) in signals.into_iter().filter(|(due, _)| *due) {
                handle.signal(signal);
            }
        }
        wait(handles, if late { deadline } else { hang_up }).await;
    }
    kill(roots, marker, grace.kill, found).await
}

async fn kill(
    roots: &[ProcessId],
    marker: Option<&Marker>,
    time: Duration,
    mut found: HashSet<ProcessId>,
) -> Ended {
    let deadline = Instant::now() + time;
    let mut killed = HashSet::new();
    loop {
        let living = look(roots, marker, &mut found);
        let gone = |id: &&ProcessId| !living.contains(id);
        if living.is_empty() || Instant::now() >= deadline {
            return Ended {
                ended: found.iter().filter(gone).count(),
                killed: killed.iter().filter(gone).count(),
                survivors: living,
            };
        }
        let handles: Vec<Handle> = living.iter().filter_map(|id| Handle::open(*id)).collect();
        // First all are stopped, so that nobody forks while the others die; then all are killed.
        for signal in [Signal::STOP, Signal::KILL] {
            for handle in &handles {
                handle.signal(signal);
            }
        }
        killed.extend(living);
        wait(handles, deadline).await;
    }
}

async fn wait(handles: Vec<Handle>, deadline: Instant) {
    // A round is bounded too: someone new may need asking while an old one takes its time.
    let round = deadline.min(Instant::now() + Duration::from_millis(250));
    for handle in handles.into_iter().take(WAITED_FOR) {
        if !handle.ended(round).await {
            return;
        }
    }
}

/// Who is alive now. Children of someone who has just died hang on pid 1 and are found by their mark only;
/// so everyone ever found stays a root.
fn look(roots: &[ProcessId], marker: Option<&Marker>, found: &mut HashSet<ProcessId>) -> Vec<ProcessId> {
    let mut from = roots.to_vec();
    from.extend(found.iter().copied());
    let living = tree(&from, marker);
    found.extend(living.iter().copied());
    living
}

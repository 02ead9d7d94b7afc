//! A run's files: made when it begins, found and read again by the commands about runs.

use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::fleet::{Chosen, FleetArgs};
use crate::dispatch::ledger::{self, Ledger, LedgerError, Listed, PLAN, Place, Tail};
use crate::dispatch::plan::Plan;
use crate::dispatch::record::OnDisk;
use crate::failure::{Failure, Kind};
use crate::report::event::RunEvent;
use crate::report::fold::RunState;

/// Runs that are kept however old they are.
const KEEP: usize = 100;
/// Others are kept for so many days.
const DAYS: u32 = 30;

/// All it takes to go on with a run, as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kept {
    /// What is to be done.
    pub plan: Plan,
    /// Where its hosts are described.
    pub origin: FleetArgs,
    /// The sets of hosts its tasks choose from.
    pub pools: Vec<Chosen>,
}

/// Where runs are.
///
/// # Errors
/// This user has no home.
pub fn place() -> Result<Place, Failure> {
    Place::new(&|name| std::env::var(name).ok()).map_err(|error| error.failure())
}

/// Makes the files of a run that begins, and clears away those of old ones.
///
/// # Errors
/// They cannot be written: nothing has been begun.
pub fn create(plan: &Plan, origin: &FleetArgs, pools: &[Chosen]) -> Result<OnDisk, Failure> {
    let place = place()?;
    let made = || -> Result<OnDisk, LedgerError> {
        let dir = place.create(&plan.run)?;
        let kept = Kept { plan: plan.without_secrets(), origin: origin.clone(), pools: pools.to_vec() };
        let bytes = serde_json::to_vec(&kept).map_err(|e| LedgerError::Encode(e.to_string()))?;
        ledger::write_private(&dir, PLAN, &bytes)?;
        let ledger = Ledger::create(&dir, SystemTime::now())?;
        Ok(OnDisk::new(ledger, dir))
    };
    let record = made().map_err(|error| error.failure())?;
    match place.prune(KEEP, DAYS, SystemTime::now()) {
        Ok(pruned) => tracing::debug!(removed = pruned.removed.len(), "old runs are cleared away"),
        Err(error) => tracing::warn!(%error, "old runs are not cleared away"),
    }
    Ok(record)
}

/// The run a person means.
///
/// # Errors
/// There is none such, or several.
pub fn find(query: &str) -> Result<Listed, Failure> {
    place()?.find(query).map_err(|error| error.failure())
}

/// What was kept of a run that is gone on with.
///
/// # Errors
/// It cannot be read.
pub fn kept(dir: &Path) -> Result<Kept, Failure> {
    let bytes = ledger::read_private(dir, PLAN).map_err(|error| error.failure())?;
    let missing = || {
        Failure::new(Kind::Task, format!("{} is not there, so this run cannot be gone on with", shown(dir)))
            .hint("`cm-fleet runs show` still says what became of it")
    };
    serde_json::from_slice(&bytes.ok_or_else(missing)?)
        .map_err(|e| Failure::new(Kind::Task, format!("{} cannot be read", shown(dir))).because(&e))
}

fn shown(dir: &Path) -> String {
    dir.join(PLAN).display().to_string()
}

/// A run that is gone on with by this process: its record, and where it stands.
pub struct Reopened {
    /// Its record.
    pub record: OnDisk,
    /// Where it stands.
    pub state: RunState,
}

/// Takes a run over; `None` while another process has it.
///
/// # Errors
/// Its record cannot be read or written.
pub fn reopen(dir: &Path) -> Result<Option<Reopened>, Failure> {
    match Ledger::open::<RunEvent>(dir, SystemTime::now()) {
        Ok(opened) => {
            // What was asked of somebody else is not asked of us.
            let _ = ledger::take_stop(dir);
            if let Some(torn) = opened.torn {
                tracing::warn!(?torn, "the record's last line was not written to its end, and is cut off");
            }
            let state = fold(&opened.events);
            Ok(Some(Reopened { record: OnDisk::new(opened.ledger, dir.to_owned()), state }))
        }
        Err(LedgerError::Held { .. }) => Ok(None),
        Err(error) => Err(error.failure()),
    }
}

/// Goes through what a run's record says, in order, as long as `act` wants more.
///
/// # Errors
/// It cannot be read; or `act`'s own.
pub fn each(dir: &Path, mut act: impl FnMut(RunEvent) -> Result<bool, Failure>) -> Result<(), Failure> {
    let mut tail: Tail<RunEvent> = Tail::open(dir).map_err(|error| error.failure())?;
    loop {
        let news = tail.next_lines().map_err(|error| error.failure())?;
        for event in news.events {
            if !act(event)? {
                return Ok(());
            }
        }
        if !news.more {
            return Ok(());
        }
    }
}

/// Where a run stands, as far as its record says.
///
/// # Errors
/// It cannot be read.
pub fn state(dir: &Path) -> Result<RunState, Failure> {
    let mut state = RunState::default();
    each(dir, |event| {
        state.apply(&event);
        Ok(true)
    })?;
    Ok(state)
}

/// Everything a run's record says, in order.
///
/// # Errors
/// It cannot be read.
pub fn events(dir: &Path) -> Result<Vec<RunEvent>, Failure> {
    let mut events = Vec::new();
    each(dir, |event| {
        events.push(event);
        Ok(true)
    })?;
    Ok(events)
}

fn fold(events: &[RunEvent]) -> RunState {
    let mut state = RunState::default();
    events.iter().for_each(|event| state.apply(event));
    state
}

/// Whether some process has the run now.
///
/// # Errors
/// That cannot be known.
pub fn is_held(dir: &Path) -> Result<bool, Failure> {
    ledger::holder(dir).map(|holder| holder.is_some()).map_err(|error| error.failure())
}

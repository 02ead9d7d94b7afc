//! What the server's connections share, and the test looks at.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use hyper::StatusCode;

use tokio::sync::watch;

use super::asked::{Asked, Place};
use super::gates::Gates;
use super::record::{Outcome, Record, Records};
use super::scenario::{Error, Scenarios, Step};

/// What connections share, and the test looks at.
pub(super) struct Shared {
    pub(super) started: Instant,
    /// Makes the names of messages unlike those of other servers.
    pub(super) seed: u64,
    scenarios: Mutex<Scenarios>,
    failed: Mutex<BTreeMap<(Place, Option<String>), u32>>,
    records: Mutex<Records>,
    changed: watch::Sender<()>,
    log: Mutex<Option<Box<dyn Write + Send>>>,
    pub(super) gates: Gates,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Shared").field("records", &self.records).finish_non_exhaustive()
    }
}

impl Shared {
    pub(super) fn new(
        scenarios: Scenarios,
        keep: usize,
        seed: u64,
        log: Option<Box<dyn Write + Send>>,
    ) -> Self {
        Self {
            started: Instant::now(),
            seed,
            scenarios: Mutex::new(scenarios),
            failed: Mutex::default(),
            records: Mutex::new(Records::new(keep)),
            changed: watch::Sender::new(()),
            log: Mutex::new(log),
            gates: Gates::new(),
        }
    }

    /// A request has come. Returns its number.
    pub(super) fn came(&self, record: Record) -> u64 {
        let number = locked(&self.records).add(record);
        self.changed.send_replace(());
        number
    }

    /// The requests so far.
    pub(super) fn requests(&self) -> Vec<Record> {
        locked(&self.records).all()
    }

    /// Told whenever something happens to a request.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Adds scenarios, or puts them in place of others.
    pub(super) fn learn(&self, more: Scenarios) {
        locked(&self.scenarios).extend(more);
    }

    /// A request has ended so.
    pub(super) fn ended(&self, number: u64, outcome: Outcome) {
        let record = locked(&self.records).change(number, |record| {
            record.ended = Some(Instant::now());
            record.outcome = outcome;
        });
        if let (Some(record), Some(log)) = (record, locked(&self.log).as_mut()) {
            // A log that cannot be written is no reason to answer nothing.
            let _ = writeln!(log, "{}", record.line(self.started)).and_then(|()| log.flush());
        }
        self.changed.send_replace(());
    }

    /// A request is answered with this status.
    pub(super) fn status(&self, number: u64, status: StatusCode) {
        locked(&self.records).change(number, |record| record.status = status.as_u16());
        self.changed.send_replace(());
    }

    /// The step to play now, and whether it fails this time.
    pub(super) fn step(&self, asked: &Asked) -> (Place, Step, Option<Error>) {
        let scenarios = locked(&self.scenarios);
        let place = asked.place(&scenarios);
        let step = scenarios.get(&place.name).and_then(|scenario| scenario.step.get(place.step));
        let step = step.cloned().unwrap_or_default();
        let error = match &step.error {
            None => None,
            // Something beside the conversation fails with it, but is not counted.
            Some(error) if error.times.is_none() => Some(error.clone()),
            Some(_) if asked.wants.is_side() => None,
            Some(error) => {
                let mut failed = locked(&self.failed);
                let count = failed.entry((place.clone(), asked.cwd.clone())).or_default();
                *count += 1;
                (*count <= error.times.unwrap_or(0)).then(|| error.clone())
            }
        };
        (place, step, error)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What is locked here is changed in one go: a panic elsewhere leaves nothing half-done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

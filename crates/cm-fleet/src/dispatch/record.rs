//! Where a run's events are kept: a ledger on disk, or nowhere.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::{BoxFuture, FutureExt, Shared, ready};

use super::ledger::{Ledger, LedgerError, Mark, take_stop};
use crate::report::event::{RunEvent, Stop};

/// Resolves when everything that had been given to a record is kept; an error when it could not be, in words.
pub type Kept = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// Keeps events, in their order. Nothing waits here: what must not happen before it is kept waits for [`Kept`].
pub trait Record: Send {
    /// One more event.
    fn append(&mut self, event: &RunEvent);

    /// When everything appended so far is kept.
    fn kept(&self) -> Kept;

    /// Tries again to keep what could not be kept.
    fn retry(&mut self);

    /// The directory of the run's files, where there is one.
    fn directory(&self) -> Option<&Path> {
        None
    }

    /// What another process wants of this run since it was last asked.
    fn wish(&mut self) -> Option<Stop> {
        None
    }
}

/// Keeps nothing.
#[derive(Debug, Default)]
pub struct Nowhere;

impl Record for Nowhere {
    fn append(&mut self, _: &RunEvent) {}

    fn kept(&self) -> Kept {
        ready(Ok(())).boxed().shared()
    }

    fn retry(&mut self) {}
}

/// Keeps events in a run's directory.
#[derive(Debug)]
pub struct OnDisk {
    ledger: Ledger,
    dir: PathBuf,
    last: Option<Mark>,
    /// Events the ledger would not take: the disk is full, and so is the queue to it.
    waiting: Vec<RunEvent>,
}

impl OnDisk {
    /// In this ledger of that directory.
    pub fn new(ledger: Ledger, dir: PathBuf) -> Self {
        Self { ledger, dir, last: None, waiting: Vec::new() }
    }

    fn give(&mut self, event: &RunEvent) -> Result<(), LedgerError> {
        self.last = Some(self.ledger.append(event)?);
        Ok(())
    }
}

impl Record for OnDisk {
    fn append(&mut self, event: &RunEvent) {
        // They stay in their order.
        if self.waiting.is_empty() {
            match self.give(event) {
                Ok(()) => return,
                Err(error) => tracing::error!(%error, "an event waits to be written down"),
            }
        }
        self.waiting.push(event.clone());
    }

    fn kept(&self) -> Kept {
        let Some(mark) = self.last else { return ready(Ok(())).boxed().shared() };
        if !self.waiting.is_empty() {
            return ready(Err("there is too much that could not be written down".into())).boxed().shared();
        }
        let synced = self.ledger.synced();
        async move { synced.wait(mark).await.map_err(|error| Arc::from(error.to_string())) }.boxed().shared()
    }

    fn retry(&mut self) {
        self.ledger.retry();
        for event in std::mem::take(&mut self.waiting) {
            self.append(&event);
        }
    }

    fn directory(&self) -> Option<&Path> {
        Some(&self.dir)
    }

    fn wish(&mut self) -> Option<Stop> {
        take_stop(&self.dir)
    }
}

//! Gates: an answer waits at one until the test lets it through.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

/// Something did not happen in time.
#[derive(Debug, thiserror::Error)]
#[error("waited {} ms for {what}; {seen}", .after.as_millis())]
pub struct Late {
    /// What was waited for.
    pub what: String,
    /// For how long.
    pub after: Duration,
    /// What was there instead.
    pub seen: String,
}

/// All gates of a server. They exist from when they are first named, closed.
#[derive(Debug)]
pub(super) struct Gates {
    all: Mutex<HashMap<String, Gate>>,
    changed: watch::Sender<()>,
}

#[derive(Debug, Default)]
struct Gate {
    /// How many may pass.
    passes: usize,
    /// Any may.
    open: bool,
    /// How many stand before it.
    waiting: usize,
}

impl Gates {
    pub(super) fn new() -> Self {
        Self { all: Mutex::default(), changed: watch::Sender::new(()) }
    }

    /// Lets one through: the one that waits, or the next to come.
    pub(super) fn release(&self, name: &str) {
        self.all().entry(name.to_owned()).or_default().passes += 1;
        self.changed.send_replace(());
    }

    /// Lets all through from now on, or stops them again.
    pub(super) fn set_open(&self, name: &str, open: bool) {
        self.all().entry(name.to_owned()).or_default().open = open;
        self.changed.send_replace(());
    }

    /// How many stand before it.
    pub(super) fn waiting(&self, name: &str) -> usize {
        self.all().get(name).map_or(0, |gate| gate.waiting)
    }

    /// Told whenever something changes at a gate.
    pub(super) fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// Waits to be let through.
    pub(super) async fn pass(&self, name: &str) {
        let mut changes = self.changes();
        let _standing = Standing::before(self, name);
        loop {
            {
                let mut all = self.all();
                let gate = all.entry(name.to_owned()).or_default();
                if gate.open {
                    return;
                }
                if gate.passes > 0 {
                    gate.passes -= 1;
                    return;
                }
            }
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Gate>> {
        // Nothing that holds it can leave it half-changed.
        self.all.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Counts one that waits, also if it gives up.
struct Standing<'a> {
    gates: &'a Gates,
    name: &'a str,
}

impl<'a> Standing<'a> {
    fn before(gates: &'a Gates, name: &'a str) -> Self {
        gates.all().entry(name.to_owned()).or_default().waiting += 1;
        gates.changed.send_replace(());
        Self { gates, name }
    }
}

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        if let Some(gate) = self.gates.all().get_mut(self.name) {
            gate.waiting = gate.waiting.saturating_sub(1);
        }
        self.gates.changed.send_replace(());
    }
}

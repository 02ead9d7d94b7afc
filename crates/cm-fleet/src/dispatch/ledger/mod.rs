//! The record of a run on disk: what happened, line by line, kept by one process and read by any.
//!
//! A run's directory holds `events.jsonl` (the ledger), `plan.json` (all it takes to make the requests again), `lock`
//! (who keeps it) and `stop` (what somebody else asks for). `place` finds runs, `lock` says whose one is, `read`
//! makes events of lines, `write` appends them and says when they are on the disk, `tail` follows along, `files`
//! keeps the two small ones.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::lock::Lock;
use self::write::{WAITING, Writer};

pub use self::error::LedgerError;
pub use self::files::{PLAN, read_private, request_stop, take_stop, write_private};
pub use self::lock::{Holder, holder};
pub use self::place::{FindError, Listed, Place, Pruned};
pub use self::read::Torn;
pub use self::tail::{News, Tail};
pub use self::write::{Mark, Synced};

mod error;
mod files;
mod lock;
mod place;
mod read;
mod sink;
mod tail;
mod write;

#[cfg(test)]
mod tests;

/// The ledger's file in a run's directory.
pub const EVENTS: &str = "events.jsonl";

/// A run's record, kept by this process as long as this lives.
#[derive(Debug)]
pub struct Ledger {
    // Before the lock: the thread ends before somebody else may write.
    writer: Writer,
    _lock: Lock,
    path: PathBuf,
}

/// A ledger that was there already.
#[derive(Debug)]
pub struct Opened<E> {
    /// To go on with.
    pub ledger: Ledger,
    /// Everything in it, in order.
    pub events: Vec<E>,
    /// A last line that was not written to its end, and has been cut off.
    pub torn: Option<Torn>,
}

impl Ledger {
    /// Begins a ledger in a run's directory. `now`: for the lock, which is waited for up to 0.2 s.
    ///
    /// # Errors
    /// There is one already, somebody else holds the lock, or the file system refuses.
    pub fn create(dir: &Path, now: SystemTime) -> Result<Self, LedgerError> {
        let lock = Lock::take(dir, now)?;
        let path = dir.join(EVENTS);
        if std::fs::symlink_metadata(&path).is_ok() {
            return Err(LedgerError::Exists { path });
        }
        let file = sink::open(&path)?;
        sink::sync_dir(dir)?;
        let writer = Writer::start(sink::Disk::new(file, 0), path.clone(), 0, WAITING)?;
        Ok(Self { writer, _lock: lock, path })
    }

    /// Opens a ledger and reads what is in it; one that was never begun is empty. A last line that was not written
    /// to its end was told to nobody: it is cut off.
    ///
    /// # Errors
    /// Somebody else holds the lock; a line cannot be read, and nothing is changed then; or the file system refuses.
    pub fn open<E: DeserializeOwned>(dir: &Path, now: SystemTime) -> Result<Opened<E>, LedgerError> {
        let lock = Lock::take(dir, now)?;
        let path = dir.join(EVENTS);
        let file = sink::open(&path)?;
        let whole = read::whole(BufReader::new(&file), &path)?;
        if whole.torn.is_some() {
            cut(&file, whole.good, &path)?;
        }
        sink::sync_dir(dir)?;
        let disk = sink::Disk::new(file, whole.good);
        let writer = Writer::start(disk, path.clone(), whole.lines, WAITING)?;
        let ledger = Self { writer, _lock: lock, path };
        Ok(Opened { ledger, events: whole.events, torn: whole.torn })
    }

    /// Puts an event behind all others, without waiting for the disk: [`Synced::wait`] does that.
    ///
    /// # Errors
    /// [`LedgerError::Behind`]: so much waits for the disk that the event is not taken; nothing else does. It has no
    /// JSON form, or the ledger is closed.
    pub fn append<E: Serialize>(&self, event: &E) -> Result<Mark, LedgerError> {
        self.writer.append(event)
    }

    /// To wait for the disk with.
    pub fn synced(&self) -> Synced {
        self.writer.synced()
    }

    /// Tries again to write what could not be written. Nothing of it was lost.
    pub fn retry(&self) {
        self.writer.retry();
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes what is left and gives the lock back.
    ///
    /// # Errors
    /// Something could not be written, or the disk does not answer.
    pub async fn close(mut self) -> Result<(), LedgerError> {
        let closed = self.writer.close().await;
        if matches!(closed, Err(LedgerError::Slow { .. })) {
            // The thread may still write: the lock stays until the process ends.
            std::mem::forget(self);
        }
        closed
    }
}

fn cut(file: &File, good: u64, path: &Path) -> Result<(), LedgerError> {
    let cut = file.set_len(good).and_then(|()| file.sync_all());
    cut.map_err(|e| LedgerError::io("cut off the torn end of", path, e))
}

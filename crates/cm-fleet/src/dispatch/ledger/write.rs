//! Appending without waiting: lines go into a queue, one thread writes what is queued at once, syncs it and says how
//! far it has come.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::watch;

use super::error::LedgerError;
use super::sink::Disk;

/// Bytes that may wait for the disk. A single line may be longer.
pub const WAITING: usize = 64 << 20;
/// How long closing waits for the disk.
const CLOSE: Duration = Duration::from_secs(30);

/// A line's place in the ledger: how many lines there are with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark(u64);

/// How far the thread has come.
#[derive(Debug, Default)]
struct State {
    /// Lines on the disk.
    synced: u64,
    /// Why it does not go on; until it is asked to try again.
    error: Option<LedgerError>,
    /// It has ended.
    closed: bool,
}

/// What the thread is to do.
#[derive(Debug, Default)]
struct Queue {
    /// Lines that it has not taken yet.
    bytes: Vec<u8>,
    /// Bytes that it has taken and that are not on the disk yet.
    taken: usize,
    /// All lines there are with these.
    lines: u64,
    retry: bool,
    closing: bool,
}

struct Shared {
    queue: Mutex<Queue>,
    wake: Condvar,
    state: watch::Sender<State>,
    path: PathBuf,
    most: usize,
}

/// The end of the queue that lines are put in.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// Waits for lines to be on the disk. Clones are cheap.
#[derive(Debug, Clone)]
pub struct Synced {
    state: watch::Receiver<State>,
}

impl Synced {
    /// Waits until a line, and with it all before it, is on the disk.
    ///
    /// # Errors
    /// It cannot be written: the line is kept, and [`super::Ledger::retry`] tries again. Or the ledger was closed
    /// before.
    pub async fn wait(&self, mark: Mark) -> Result<(), LedgerError> {
        let mut state = self.state.clone();
        let done = |state: &State| state.synced >= mark.0 || state.error.is_some() || state.closed;
        // An error says that the writer has gone; what it said last still counts.
        let _ = state.wait_for(done).await;
        let last = state.borrow();
        match &last.error {
            _ if last.synced >= mark.0 => Ok(()),
            Some(error) => Err(error.clone()),
            None => Err(LedgerError::Closed),
        }
    }

    /// Whether a line is on the disk already.
    pub fn has(&self, mark: Mark) -> bool {
        self.state.borrow().synced >= mark.0
    }

    /// Why nothing is written any more, where that is so.
    pub fn error(&self) -> Option<LedgerError> {
        self.state.borrow().error.clone()
    }
}

impl Writer {
    /// Starts the thread. `lines`: those that are there; `most`: bytes that may wait.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(disk: Disk, path: PathBuf, lines: u64, most: usize) -> Result<Self, LedgerError> {
        let shared = Arc::new(Shared {
            queue: Mutex::new(Queue { lines, ..Queue::default() }),
            wake: Condvar::new(),
            state: watch::Sender::new(State { synced: lines, ..State::default() }),
            path,
            most,
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(move || {
            let ending = Ending(&theirs);
            theirs.write(disk);
            drop(ending);
        });
        let thread = thread.map_err(|e| LedgerError::io("start the thread that writes", &shared.path, e))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    pub fn append<E: Serialize>(&self, event: &E) -> Result<Mark, LedgerError> {
        let mut line = serde_json::to_vec(event).map_err(|e| LedgerError::Encode(e.to_string()))?;
        line.push(b'\n');
        let mut queue = self.shared.queue();
        if queue.closing {
            return Err(LedgerError::Closed);
        }
        let waiting = queue.bytes.len() + queue.taken;
        if waiting > 0 && waiting + line.len() > self.shared.most {
            return Err(LedgerError::Behind { path: self.shared.path.clone(), bytes: waiting });
        }
        queue.bytes.append(&mut line);
        queue.lines += 1;
        let mark = Mark(queue.lines);
        drop(queue);
        self.shared.wake.notify_one();
        Ok(mark)
    }

    pub fn synced(&self) -> Synced {
        Synced { state: self.shared.state.subscribe() }
    }

    pub fn retry(&self) {
        let mut queue = self.shared.queue();
        let mut failed = false;
        self.shared.state.send_if_modified(|state| {
            failed = state.error.take().is_some();
            failed
        });
        if failed {
            queue.retry = true;
            drop(queue);
            self.shared.wake.notify_one();
        }
    }

    /// Writes what is left, once more where it has failed before, and joins the thread.
    pub async fn close(&mut self) -> Result<(), LedgerError> {
        self.shared.end();
        let mut state = self.shared.state.subscribe();
        let ended = tokio::time::timeout(CLOSE, state.wait_for(|state| state.closed)).await.is_ok();
        let Some(thread) = self.thread.take() else { return Err(LedgerError::Closed) };
        if !ended {
            // It is left to itself: there is no ending what waits for a disk.
            return Err(LedgerError::Slow { path: self.shared.path.clone(), seconds: CLOSE.as_secs() });
        }
        // It has said so as its last act.
        let _ = thread.join();
        let last = self.shared.state.borrow();
        last.error.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Writer {
    /// Waits for the thread, so that nothing is written when the lock is given back.
    fn drop(&mut self) {
        self.shared.end();
        if let Some(thread) = self.thread.take() {
            // What it could not write it has said.
            let _ = thread.join();
        }
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("path", &self.shared.path).finish_non_exhaustive()
    }
}

/// Says that the thread has ended, however it ends.
struct Ending<'a>(&'a Shared);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.state.send_modify(|state| state.closed = true);
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        self.queue().closing = true;
        self.wake.notify_one();
    }

    /// The thread.
    fn write(&self, mut disk: Disk) {
        let mut batch = Vec::new();
        while let Some(lines) = self.take(&mut batch) {
            while let Err((act, error)) = disk.put(&batch) {
                let error = LedgerError::io(act, &self.path, error);
                self.state.send_modify(|state| state.error = Some(error));
                if !self.again() {
                    return;
                }
            }
            batch.clear();
            self.queue().taken = 0;
            self.state.send_modify(|state| (state.synced, state.error) = (lines, None));
        }
    }

    /// Waits for lines, and takes all there are; how many there have been with them. None: nothing is to come.
    fn take(&self, batch: &mut Vec<u8>) -> Option<u64> {
        let idle = |queue: &mut Queue| queue.bytes.is_empty() && !queue.closing;
        let queue = self.wake.wait_while(self.queue(), idle);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        if queue.bytes.is_empty() {
            return None;
        }
        std::mem::swap(batch, &mut queue.bytes);
        queue.taken = batch.len();
        Some(queue.lines)
    }

    /// Waits until it is to be tried again; once more at the end. False: that was at the end.
    fn again(&self) -> bool {
        let waits = |queue: &mut Queue| !queue.retry && !queue.closing;
        let queue = self.wake.wait_while(self.queue(), waits);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut queue.retry)
    }
}

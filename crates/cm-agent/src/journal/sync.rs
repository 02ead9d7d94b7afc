//! Getting the journal onto the disk: one thread, one `fdatasync` for all who wait.

use std::{
    fs::File,
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use tokio::sync::oneshot;

use super::JournalError;

/// Asks for what was appended to be put on the disk. Clones share one thread; it ends with the journal.
#[derive(Debug, Clone)]
pub struct Syncer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    work: Condvar,
}

/// Positions count the bytes appended since the journal was opened, over all segments.
#[derive(Debug)]
struct State {
    file: Arc<File>,
    path: PathBuf,
    written: u64,
    synced: u64,
    wanted: u64,
    waiters: Vec<(u64, oneshot::Sender<Result<(), JournalError>>)>,
    failed: Option<String>,
    closed: bool,
}

impl Syncer {
    /// Everything appended before this call is on the disk when it returns. Many callers share one sync.
    ///
    /// A disk can hang: give it a deadline. Dropping the future is harmless.
    ///
    /// # Errors
    /// [`JournalError::Unsynced`] once a sync has failed, until the journal is rotated;
    /// [`JournalError::Closed`] when the journal is gone.
    pub async fn sync(&self) -> Result<(), JournalError> {
        let answer = {
            let mut state = self.lock();
            if let Some(why) = &state.failed {
                return Err(JournalError::Unsynced { why: why.clone() });
            }
            if state.synced >= state.written {
                return Ok(());
            }
            if state.closed {
                return Err(JournalError::Closed);
            }
            let (sender, answer) = oneshot::channel();
            state.wanted = state.written;
            let position = state.written;
            state.waiters.push((position, sender));
            answer
        };
        self.shared.work.notify_one();
        answer.await.unwrap_or(Err(JournalError::Closed))
    }

    /// Starts the thread; `file` is the active segment.
    pub(super) fn start(file: Arc<File>, path: PathBuf) -> Result<(Self, JoinHandle<()>), JournalError> {
        let state = State {
            file,
            path: path.clone(),
            written: 0,
            synced: 0,
            wanted: 0,
            waiters: Vec::new(),
            failed: None,
            closed: false,
        };
        let syncer = Self { shared: Arc::new(Shared { state: Mutex::new(state), work: Condvar::new() }) };
        let thread = std::thread::Builder::new()
            .name("journal-sync".into())
            .spawn({
                let syncer = syncer.clone();
                move || syncer.run()
            })
            .map_err(|source| JournalError::io("start the sync thread for", path, source))?;
        Ok((syncer, thread))
    }

    /// `bytes` more were appended; the new position.
    pub(super) fn appended(&self, bytes: u64) -> u64 {
        let mut state = self.lock();
        state.written += bytes;
        state.written
    }

    /// Starts a sync of everything appended so far without waiting for it.
    pub(super) fn request(&self) {
        let mut state = self.lock();
        state.wanted = state.written;
        drop(state);
        self.shared.work.notify_one();
    }

    /// How far the disk has followed.
    pub(super) fn synced(&self) -> u64 {
        self.lock().synced
    }

    /// Whether a sync has failed.
    pub(super) fn failed(&self) -> bool {
        self.lock().failed.is_some()
    }

    /// Syncs here and now, on the caller's thread.
    pub(super) fn sync_now(&self) -> Result<(), JournalError> {
        let (file, target) = {
            let state = self.lock();
            if let Some(why) = &state.failed {
                return Err(JournalError::Unsynced { why: why.clone() });
            }
            (Arc::clone(&state.file), state.written)
        };
        self.settle(&file, target)
    }

    /// The journal goes on in another segment, which is on the disk, and so is everything before it.
    pub(super) fn switch(&self, file: Arc<File>, path: PathBuf) {
        let mut state = self.lock();
        state.file = file;
        state.path = path;
        state.failed = None;
        state.synced = state.written;
        state.answer();
    }

    /// Syncs what is left and ends the thread.
    pub(super) fn close(&self) {
        self.lock().closed = true;
        self.shared.work.notify_all();
    }

    fn run(&self) {
        loop {
            let mut state = self.lock();
            while (state.wanted <= state.synced || state.failed.is_some()) && !state.closed {
                state = self.shared.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            let last = state.closed;
            let (file, target) = (Arc::clone(&state.file), state.written);
            let needed = state.synced < target && state.failed.is_none();
            drop(state);
            if needed {
                // The failure is kept in the state, where every waiter finds it.
                let _ = self.settle(&file, target);
            }
            if last {
                return;
            }
        }
    }

    fn settle(&self, file: &Arc<File>, target: u64) -> Result<(), JournalError> {
        let result = file.sync_data();
        let mut state = self.lock();
        // After a switch the result speaks of a segment that no longer matters.
        let current = Arc::ptr_eq(file, &state.file);
        match result {
            Ok(()) => state.synced = state.synced.max(target),
            Err(error) if current => {
                let why = format!("{}: {error}", state.path.display());
                state.failed.get_or_insert(why);
                state.wanted = state.synced;
            }
            Err(_) => {}
        }
        state.answer();
        match &state.failed {
            Some(why) => Err(JournalError::Unsynced { why: why.clone() }),
            None => Ok(()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing panics while holding it; and a position is right whoever panicked.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Answers every waiter that can be answered.
    fn answer(&mut self) {
        if let Some(why) = &self.failed {
            for (_, waiter) in self.waiters.drain(..) {
                // A waiter that has gone away needs no answer.
                let _ = waiter.send(Err(JournalError::Unsynced { why: why.clone() }));
            }
            return;
        }
        for (_, waiter) in self.waiters.extract_if(.., |(position, _)| *position <= self.synced) {
            let _ = waiter.send(Ok(()));
        }
    }
}

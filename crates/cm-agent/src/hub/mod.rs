//! The one owner of all sessions and of the order of events.
//!
//! Everything that happens is [`Hub::publish`]ed: it gets its number, is written to the journal, folded
//! into what is remembered of its session, put into the ring of recent events, and then every client is
//! woken. A client has no queue here: it has a cursor into the ring and reads at its own pace, so a slow
//! one costs nothing and slows nobody. One that fell out of the ring gets a snapshot.

mod claim;
mod fences;
mod owned;
mod owners;
mod retention;
mod ring;
mod roster;
mod share;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use cm_protocol::{Event, EventKind, Notice, SessionDetail, SessionId, SessionInfo, Snapshot};
use tokio::sync::{Notify, watch};

pub use claim::{Claim, ClaimError, Claimed};
pub use retention::Retention;
pub use ring::{Kept, Recent};

use crate::host::clock;
use crate::journal::{Journal, JournalError, Page, ReadHandle, Syncer};
use crate::session::SessionHandle;
use crate::session::record::{Record, Recovered, SessionRecord};
use crate::tool::Memory;
use ring::Ring;
use roster::Roster;

/// Events a slow client may be behind before it gets a snapshot.
const RING_EVENTS: usize = 4096;
/// And their bytes.
const RING_BYTES: usize = 4 * 1024 * 1024;
/// Records kept in memory while the disk takes none.
const BACKLOG: usize = 4096;
/// How long a disk may take to keep a promise.
const SYNC: Duration = Duration::from_secs(10);

/// See the module.
pub struct Hub {
    inner: Mutex<Inner>,
    head: watch::Sender<u64>,
    syncer: Syncer,
    reader: ReadHandle,
    keep: Retention,
    /// A session may be over earlier than was thought.
    leases: Notify,
}

struct Inner {
    journal: Journal,
    /// Records the disk did not take, in order; written before anything newer.
    backlog: Vec<Record>,
    /// The backlog overflowed: a new checkpoint takes its place, and the events in it cannot be replayed.
    overflowed: bool,
    /// A checkpoint is due that could not be written.
    needs_checkpoint: bool,
    disk_problem: Option<String>,
    /// What happened when no number was left to give: announced when the disk takes writes again.
    unnumbered: Vec<EventKind>,
    start_problems: Vec<String>,
    ring: Ring,
    roster: Roster,
}

impl Hub {
    /// A hub over an opened journal. `known` is what [`crate::session::record::recover`] made of it.
    pub fn new(
        journal: Journal,
        known: Recovered,
        head: u64,
        problems: Vec<String>,
        keep: Retention,
    ) -> Arc<Self> {
        let mut roster = Roster::new(known.sessions, &clock::moment());
        for fence in known.fences {
            roster.fences.raise(&fence.task_id, fence.below);
        }
        let syncer = journal.syncer();
        let reader = journal.reader();
        let damaged = !problems.is_empty();
        let hub = Arc::new(Self {
            inner: Mutex::new(Inner {
                journal,
                backlog: Vec::new(),
                overflowed: false,
                needs_checkpoint: false,
                disk_problem: None,
                unnumbered: Vec::new(),
                start_problems: problems,
                ring: Ring::new(head, RING_EVENTS, RING_BYTES),
                roster,
            }),
            head: watch::Sender::new(head),
            syncer,
            reader,
            keep,
            leases: Notify::new(),
        });
        if damaged {
            // The whole state stands in one undamaged place again.
            hub.lock().checkpoint();
        }
        hub
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic while holding the lock leaves plain data behind, never a broken invariant.
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Announces something: numbered, written, folded, and on its way to every client. With a full disk it
    /// is announced all the same (silence would be worse) and written as soon as there is room.
    pub fn publish(&self, kind: EventKind) {
        let mut inner = self.lock();
        inner.publish(kind);
        // Under the lock, so that heads are announced in order.
        self.head.send_replace(inner.ring.head());
    }

    /// Announces something about the agent itself.
    pub fn notice(&self, topic: &str, message: impl Into<String>) {
        self.publish(EventKind::Notice(Notice { topic: topic.into(), message: message.into() }));
    }

    /// Waits until everything published or remembered so far is on the disk itself.
    ///
    /// # Errors
    /// The journal could not be written or synced; the text names the file and the cause.
    pub async fn sync(&self) -> Result<(), JournalError> {
        if let Some(error) = self.disk_problem() {
            return Err(JournalError::Unsynced { why: error });
        }
        match tokio::time::timeout(SYNC, self.syncer.sync()).await {
            Ok(result) => result,
            Err(_) => {
                Err(JournalError::Unsynced { why: format!("the disk has not answered within {SYNC:?}") })
            }
        }
    }

    /// The newest event's number, as something to wait on.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.subscribe()
    }

    /// At most `max` events after `seq` that are still in memory.
    pub fn recent(&self, seq: u64, max: usize) -> Recent {
        self.lock().ring.after(seq, max)
    }

    /// At most `max` events after `seq` from the disk. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// A segment cannot be read.
    pub fn replay(&self, seq: u64, max: usize) -> Result<Page<Record>, JournalError> {
        self.reader.read_since(seq, max)
    }

    /// All sessions, and the newest event contained.
    pub fn snapshot(&self) -> Snapshot {
        let inner = self.lock();
        let timestamp = clock::unix_now();
        Snapshot { seq: inner.ring.head(), timestamp, sessions: inner.roster.list(timestamp, true, None) }
    }

    /// The sessions with a terminal or all, of everybody or one owner, oldest first.
    pub fn list(&self, all: bool, owner: Option<&str>) -> Vec<SessionInfo> {
        self.lock().roster.list(clock::unix_now(), all, owner)
    }

    /// Everything known of one session.
    pub fn detail(&self, id: &SessionId) -> Option<SessionDetail> {
        self.lock().roster.record(id).map(|r| r.detail(clock::unix_now()))
    }

    /// What is remembered of one session.
    pub fn record(&self, id: &SessionId) -> Option<SessionRecord> {
        self.lock().roster.record(id).cloned()
    }

    /// The way to a session whose task runs; `None` once its terminal is gone.
    pub fn handle(&self, id: &SessionId) -> Option<SessionHandle> {
        self.lock().roster.handle(id)
    }

    /// All running sessions' handles.
    pub fn handles(&self) -> Vec<SessionHandle> {
        self.lock().roster.handles()
    }

    /// Living terminals, and those still being made.
    pub fn open_sessions(&self) -> usize {
        self.lock().roster.open()
    }

    /// Sessions whose task has not ended.
    pub fn unfinished(&self) -> usize {
        self.lock().roster.unfinished()
    }

    /// Takes a place for a new session, or answers with the one that already has this identity.
    ///
    /// # Errors
    /// The limit is reached, the name is taken, or no new sessions are accepted.
    pub fn claim(&self, claim: Claim) -> Result<Claimed, ClaimError> {
        let mut inner = self.lock();
        if let Some(problem) = inner.disk_problem.clone() {
            inner.retry();
            // What had no number yet may have been announced.
            self.head.send_replace(inner.ring.head());
            if inner.disk_problem.is_some() {
                return Err(ClaimError::Disk(problem));
            }
        }
        let claimed = inner.roster.claim(claim);
        self.leases.notify_one();
        claimed
    }

    /// No new sessions from now on.
    pub fn drain(&self) {
        self.lock().roster.drain();
    }

    /// Whether new sessions are refused.
    pub fn is_draining(&self) -> bool {
        self.lock().roster.is_draining()
    }

    /// Gives back a place that came to nothing.
    pub fn abandon(&self, id: &SessionId) {
        let mut inner = self.lock();
        if inner.roster.abandon(id) {
            inner.write(Record::Forgotten { session_id: id.clone() });
        }
        // No event tells of it, but whoever waits for the last session to be over must look again.
        self.head.send_replace(inner.ring.head());
    }

    /// Remembers a session as it stands now, in place of what was remembered of it.
    pub fn remember(&self, record: SessionRecord) {
        let mut inner = self.lock();
        let record = inner.roster.remember(record, &clock::moment());
        inner.write(Record::Session(Box::new(record)));
    }

    /// Changes what is remembered of a session.
    pub fn update(&self, id: &SessionId, change: impl FnOnce(&mut SessionRecord)) {
        let mut inner = self.lock();
        let Some(mut record) = inner.roster.record(id).cloned() else { return };
        change(&mut record);
        let record = inner.roster.remember(record, &clock::moment());
        inner.write(Record::Session(Box::new(record)));
    }

    /// Remembers what a session's state machine remembers.
    pub fn remember_memory(&self, id: &SessionId, memory: &Memory, authority: &str) {
        let mut inner = self.lock();
        if inner.roster.set_memory(id, memory, authority) {
            inner.write(Record::Memory { session_id: id.clone(), memory: Box::new(memory.clone()) });
        }
    }

    /// The session runs: commands for it go this way.
    pub fn attach(&self, handle: SessionHandle) {
        self.lock().roster.attach(handle);
    }

    /// The session's task has ended and nothing answers for it any more; returns the ids of sessions that
    /// are forgotten to make room.
    pub fn detach(&self, id: &SessionId) -> Vec<SessionId> {
        let mut inner = self.lock();
        inner.roster.detach(id);
        self.forget(&mut inner)
    }

    /// Tries again to write what the disk did not take. Call it now and then while
    /// [`Hub::disk_problem`] says so.
    pub fn retry_disk(&self) {
        let mut inner = self.lock();
        inner.retry();
        self.head.send_replace(inner.ring.head());
    }

    /// Why the journal cannot be written, while it cannot.
    pub fn disk_problem(&self) -> Option<String> {
        self.lock().disk_problem.clone()
    }

    /// Everything wrong with the agent itself; empty is healthy.
    pub fn problems(&self) -> Vec<String> {
        let inner = self.lock();
        inner.start_problems.iter().chain(&inner.disk_problem).cloned().collect()
    }
}

impl Inner {
    fn publish(&mut self, kind: EventKind) {
        let timestamp = clock::unix_now();
        match self.journal.next_seq() {
            Ok(seq) => {
                let event = Event { kind, seq, timestamp };
                self.roster.fold(&event);
                self.ring.push(&event);
                self.write(Record::Event(event));
            }
            // Thousands of numbers were in reserve; the disk has been full for a long time.
            Err(error) => {
                self.disk_failed(&error);
                self.roster.fold(&Event { kind: kind.clone(), seq: 0, timestamp });
                self.keep_unnumbered(kind);
            }
        }
    }

    /// Keeps what could not be announced. Of too much, states that others replaced go first: what they led
    /// to is remembered all the same.
    fn keep_unnumbered(&mut self, kind: EventKind) {
        if self.unnumbered.len() >= BACKLOG {
            let replaced = |kind: &EventKind| matches!(kind, EventKind::StateChange { .. });
            let at = self.unnumbered.iter().position(replaced).unwrap_or(0);
            self.unnumbered.remove(at);
        }
        self.unnumbered.push(kind);
    }

    /// Writes one record after everything that waits, and starts a new segment when it is time.
    fn write(&mut self, record: Record) {
        if self.disk_problem.is_some() {
            if self.backlog.len() >= BACKLOG {
                // The whole state will be written instead, once the disk takes anything.
                self.backlog.clear();
                self.overflowed = true;
            }
            self.backlog.push(record);
            return;
        }
        if let Err(error) = self.journal.append(&record) {
            self.disk_failed(&error);
            self.backlog.push(record);
        } else if self.journal.should_rotate() {
            self.checkpoint();
        }
    }

    fn retry(&mut self) {
        if self.disk_problem.is_none() {
            return;
        }
        let written = if self.overflowed {
            self.journal.skip(self.ring.head());
            let state = self.state();
            self.journal.rotate(&state)
        } else {
            self.journal.append_all(&self.backlog)
        };
        if let Err(error) = written {
            return self.disk_failed(&error);
        }
        self.overflowed = false;
        self.backlog.clear();
        self.disk_problem = None;
        tracing::info!("the journal can be written again");
        for kind in std::mem::take(&mut self.unnumbered) {
            self.publish(kind);
        }
        if std::mem::take(&mut self.needs_checkpoint) {
            self.checkpoint();
        }
    }

    /// Everything that is remembered.
    fn state(&self) -> Record {
        Record::Checkpoint { sessions: self.roster.records(), fences: self.roster.fences.all() }
    }

    fn checkpoint(&mut self) {
        let record = self.state();
        if let Err(error) = self.journal.rotate(&record) {
            self.needs_checkpoint = true;
            self.disk_failed(&error);
        }
    }

    fn disk_failed(&mut self, error: &JournalError) {
        let problem = format!("{error}; new sessions are refused until there is room");
        if self.disk_problem.as_ref() != Some(&problem) {
            tracing::error!("{problem}");
        }
        self.disk_problem = Some(problem);
    }
}

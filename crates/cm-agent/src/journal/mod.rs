//! The append-only record on disk: numbered, rotated, bounded, synced where a promise was given.
//!
//! A journal is a directory of segments, `<first number>.jsonl`, one JSON value a line. It knows nothing of
//! sessions: whoever uses it brings a [`Record`] type. One process writes (the state directory's lock sees to
//! that); any number of [`ReadHandle`]s read beside it.
//!
//! What it promises:
//! - an event's number is never given to another event, not across restarts and not across a power cut;
//! - after [`Syncer::sync`] returned, everything appended before it survives a power cut;
//! - nothing that could not be read is ever overwritten: bytes of a torn line go to `….torn`, a damaged
//!   segment stays beside its readable rest as `….unreadable-<unix time>`;
//! - a file never holds half a line in its middle, whatever the disk did.

mod error;
mod mark;
mod numbers;
mod page;
mod recover;
mod segment;
mod sync;
mod write;

use serde::{Serialize, de::DeserializeOwned};

pub use error::JournalError;
pub use page::{Page, ReadHandle};
pub use sync::Syncer;
pub use write::Journal;

/// What a journal can hold.
pub trait Record: Serialize + DeserializeOwned {
    /// An event's number; `None` for a record that is not an event (a checkpoint, a note of one's own).
    fn seq(&self) -> Option<u64>;
}

/// How large a journal may grow, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalLimits {
    /// Beyond this, [`Journal::should_rotate`] says so.
    pub segment_bytes: u64,
    /// Beyond this, a rotation removes the oldest segments; the newest is never removed.
    pub total_bytes: u64,
}

impl Default for JournalLimits {
    fn default() -> Self {
        Self { segment_bytes: 8 << 20, total_bytes: 64 << 20 }
    }
}

/// A journal that was opened, and what stands in it.
#[derive(Debug)]
pub struct Opened<R> {
    /// To write on.
    pub journal: Journal,
    /// The newest whole state that could be read.
    pub checkpoint: Option<R>,
    /// Everything after it, in order.
    pub tail: Vec<R>,
    /// The highest event number known.
    pub head: u64,
    /// What was wrong, in words for people. With any of them the caller should rotate soon, so that the whole
    /// state stands in one undamaged segment again.
    pub problems: Vec<String>,
}

//! What can go wrong with a journal, each with the file, the act and the next move.

use std::{io, path::PathBuf};

use rustix::io::Errno;

/// Why the journal could not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The disk or the quota is full. Nothing of the record is in the file; the same append works again once
    /// there is space.
    #[error("the disk is full: cannot write {}; free some space there", path.display())]
    Full {
        /// The file that was written.
        path: PathBuf,
    },
    /// The system refused.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// An earlier sync failed. Linux then forgets which pages were dirty, so no later sync of the same file
    /// proves anything: only a rotation, which writes the whole state anew, helps.
    #[error("what was written to the journal may not be on the disk ({why}); rotate it")]
    Unsynced {
        /// The first failure.
        why: String,
    },
    /// A record's number did not come from [`super::Journal::next_seq`], or came twice.
    #[error("event {seq} is out of order: the journal stands at {head}")]
    Order {
        /// The record's number.
        seq: u64,
        /// The highest number written.
        head: u64,
    },
    /// A record is longer than a reader would accept.
    #[error("a record of {bytes} bytes is too long for the journal (at most {max})")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The most there may be.
        max: usize,
    },
    /// A record has no JSON form.
    #[error("a record cannot be written as JSON: {0}")]
    Encode(#[from] serde_json::Error),
    /// The journal has been closed.
    #[error("the journal is closed")]
    Closed,
}

impl JournalError {
    /// Whether space on the disk would help.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// The error of an act on a file.
    pub(super) fn io(act: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
        match source.raw_os_error() {
            Some(code) if full.contains(&code) => Self::Full { path },
            _ => Self::Io { act, path, source },
        }
    }
}

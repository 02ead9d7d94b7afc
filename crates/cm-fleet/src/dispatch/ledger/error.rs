//! What can go wrong with a run's record, each with the file, the act and the next move.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::io::Errno;

use super::lock::Holder;
use crate::failure::{Failure, Kind};

/// Why a run's record could not be kept or read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// No place for runs is known.
    #[error("neither XDG_STATE_HOME nor HOME is set: there is no place for the records of runs")]
    NoHome,
    /// It cannot be a run's id.
    #[error("`{0}` is no run's id: `run-` and 16 hexadecimal digits")]
    BadId(String),
    /// Another process keeps the run.
    #[error("the run in {} is kept by {}", dir.display(), words(holder.as_ref(), *now))]
    Held {
        /// The run's directory.
        dir: PathBuf,
        /// Who; `None` in the instant between its locking and its writing.
        holder: Option<Holder>,
        /// When that was asked, Unix seconds.
        now: u64,
    },
    /// It is there already.
    #[error("{} is there already", path.display())]
    Exists {
        /// What.
        path: PathBuf,
    },
    /// Somebody has removed the run.
    #[error("the run in {} is gone", dir.display())]
    Gone {
        /// Its directory.
        dir: PathBuf,
    },
    /// The disk or the quota is full. Nothing that was appended is lost: it is written once there is room.
    #[error("the disk is full: cannot write {}", path.display())]
    Full {
        /// The file.
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
        source: Arc<io::Error>,
    },
    /// A line is not what a ledger holds. The file is left as it is.
    #[error("line {line} of {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// From one.
        line: u64,
        /// Why.
        why: String,
    },
    /// So much waits to be written that no more is taken.
    #[error("{} is not written fast enough: {bytes} bytes wait for it", path.display())]
    Behind {
        /// The file.
        path: PathBuf,
        /// What waits.
        bytes: usize,
    },
    /// The disk does not answer.
    #[error("{} was not written within {seconds} s: the disk does not answer", path.display())]
    Slow {
        /// The file.
        path: PathBuf,
        /// How long it was waited for.
        seconds: u64,
    },
    /// An event has no JSON form.
    #[error("an event cannot be written as JSON: {0}")]
    Encode(String),
    /// The ledger has been closed.
    #[error("the record of this run is closed")]
    Closed,
}

impl LedgerError {
    /// The error of an act on a file.
    pub fn io(act: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        let (path, source) = (path.into(), source.into());
        let full = [Errno::NOSPC, Errno::DQUOT].map(Errno::raw_os_error);
        match source.raw_os_error() {
            Some(code) if full.contains(&code) => Self::Full { path },
            _ => Self::Io { act, path, source: Arc::new(source) },
        }
    }

    /// Whether space on the disk would help.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// As people read it, at the edge.
    pub fn failure(&self) -> Failure {
        let kind = match self {
            Self::NoHome | Self::BadId(_) => Kind::Usage,
            Self::Held { .. } => Kind::Refused,
            _ => Kind::Task,
        };
        let failure = Failure::new(kind, self.to_string());
        match self.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NoHome => "export HOME, or XDG_STATE_HOME",
            Self::Held { .. } => {
                "one process keeps a run: watch that one, stop it, or wait until it has ended"
            }
            Self::Full { .. } => "free some space there: what waits to be written is kept until then",
            Self::Unreadable { .. } => {
                "another version wrote it, or it is damaged: use that version, or mend or move the file away"
            }
            Self::Behind { .. } | Self::Slow { .. } => "look after the disk it is on",
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "it has to belong to you, and be writable"
            }
            _ => return None,
        })
    }
}

fn words(holder: Option<&Holder>, now: u64) -> String {
    let Some(Holder { pid, host, since }) = holder else {
        return "another process that has just begun".to_owned();
    };
    let ago = now.saturating_sub(*since);
    let since = match ago {
        0..120 => format!("{ago} s"),
        120..7200 => format!("{} min", ago / 60),
        7200..172_800 => format!("{} h", ago / 3600),
        _ => format!("{} days", ago / 86_400),
    };
    format!("process {pid} on {host}, for {since}")
}

//! One agent to a state directory: a lock that ends with its holder, however that ends.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// The state directory is ours as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its pid.
    pub pid: u32,
    /// Since when, Unix seconds.
    pub since: u64,
}

/// Why the state directory could not be locked.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Another agent has it.
    #[error("{} is in use by {}; stop that agent, or give this one a --state-dir of its own", path.display(), words(holder.as_ref(), *now))]
    Held {
        /// The lock.
        path: PathBuf,
        /// Who; `None` in the instant between its locking and its writing.
        holder: Option<LockHolder>,
        /// When it was tried, Unix seconds.
        now: u64,
    },
    /// The system refused.
    #[error("cannot lock {}: {source}", path.display())]
    Io {
        /// The lock.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl Lock {
    /// Takes `<state>/lock`, without waiting. The kernel gives it back when the process ends; the file stays.
    ///
    /// # Errors
    /// [`LockError::Held`] names the holder.
    pub fn acquire(state: &Path, now: SystemTime) -> Result<Self, LockError> {
        let path = state.join("lock");
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let failed = |source: io::Error| LockError::Io { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LockError::Held { holder: read_holder(&file), path, now });
            }
            Err(error) => return Err(failed(error.into())),
        }
        if let Err(error) = write_holder(&mut file, now) {
            // The lock counts, the words are for people; a full disk must not keep the agent from starting.
            tracing::warn!(%error, path = %path.display(), "cannot write into the lock who holds it");
        }
        Ok(Self { _file: file })
    }
}

fn read_holder(file: &File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(200).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, now: u64) -> io::Result<()> {
    let holder = LockHolder { pid: std::process::id(), since: now };
    file.set_len(0)?;
    file.seek(SeekFrom::Start(0))?;
    file.write_all(&serde_json::to_vec(&holder)?)
}

fn words(holder: Option<&LockHolder>, now: u64) -> String {
    let Some(holder) = holder else { return "another agent that has just started".into() };
    let ago = Duration::from_secs(now.saturating_sub(holder.since)).as_secs();
    let since = match ago {
        0..120 => format!("{ago} s"),
        120..7200 => format!("{} min", ago / 60),
        7200..172_800 => format!("{} h", ago / 3600),
        _ => format!("{} days", ago / 86_400),
    };
    format!("another agent (pid {}, for {since})", holder.pid)
}

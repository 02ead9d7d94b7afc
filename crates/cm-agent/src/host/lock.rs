//! One agent to a state directory: a lock that ends with its holder, however that ends, and says where it listens.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use rustix::{
    fs::{FlockOperation, flock},
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, sockopt},
};
use serde::{Deserialize, Serialize};

/// The most bytes of a lock that are read: a socket's longest path, even if every byte of it is escaped.
const MAX_BYTES: u64 = 1024;

/// The state directory is ours as long as this lives.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    holder: LockHolder,
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockHolder {
    /// Its pid.
    pub pid: u32,
    /// Since when, Unix seconds.
    pub since: u64,
    /// Where it listens; `None` until it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
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
        let file = OpenOptions::new()
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
        let lock =
            Self { file, path, holder: LockHolder { pid: std::process::id(), since: now, socket: None } };
        lock.write(lock.file.set_len(0));
        Ok(lock)
    }

    /// Writes down where this agent listens, for [`listening`].
    pub fn listens_on(&mut self, socket: &Path) {
        self.holder.socket = Some(socket.to_path_buf());
        self.write(Ok(()));
    }

    /// Writes the holder over what is there, which is a shorter text of the same beginning, or none.
    fn write(&self, before: io::Result<()>) {
        let written = before
            .and_then(|()| Ok(serde_json::to_vec(&self.holder)?))
            .and_then(|text| self.file.write_all_at(&text, 0));
        if let Err(error) = written {
            // The lock counts, the words are for people; a full disk must not keep the agent from starting.
            tracing::warn!(%error, path = %self.path.display(), "cannot write into the lock who holds it");
        }
    }
}

/// The socket of the agent that has the lock of `state`, wherever it was told to listen. `None` where no such
/// agent listens: the one that last wrote the lock must be the process that answers.
pub fn listening(state: &Path) -> Option<PathBuf> {
    listening_with_pid(state).map(|(_, socket)| socket)
}

/// As [`listening`], with the agent's process.
pub fn listening_with_pid(state: &Path) -> Option<(u32, PathBuf)> {
    let holder = read_holder(&File::open(state.join("lock")).ok()?)?;
    let socket = holder.socket?;
    (listener(&socket).ok()? == holder.pid).then_some((holder.pid, socket))
}

/// The pid of whoever listens on a socket, without waiting.
///
/// # Errors
/// Nobody does, or the kernel will not say.
pub fn listener(socket: &Path) -> rustix::io::Result<u32> {
    let address = SocketAddrUnix::new(socket)?;
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let probe = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&probe, &address)?;
    Ok(sockopt::socket_peercred(&probe)?.pid.as_raw_nonzero().get().cast_unsigned())
}

fn read_holder(file: &File) -> Option<LockHolder> {
    let mut text = String::new();
    file.take(MAX_BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
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
    let socket = holder.socket.as_ref().map(|socket| format!(", listening on {}", socket.display()));
    format!("another agent (pid {}, for {since}{})", holder.pid, socket.unwrap_or_default())
}

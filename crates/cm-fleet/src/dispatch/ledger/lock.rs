//! Whose a run is: a lock that ends with its holder, however that ends, and says who it is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::error::LedgerError;

/// The lock's file in a run's directory.
const NAME: &str = "lock";
/// The most bytes of it that are read.
const BYTES: u64 = 1024;
/// Somebody who only looks holds the lock for an instant: so often it is tried again, and so long after.
const TRIES: u32 = 20;
const LOOK: Duration = Duration::from_millis(10);

/// Who holds a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process.
    pub pid: u32,
    /// The machine it runs on.
    pub host: String,
    /// Since when, Unix seconds.
    pub since: u64,
}

/// The run is ours as long as this lives.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of a run's directory. The kernel gives it back when the process ends; the file stays.
    ///
    /// # Errors
    /// [`LedgerError::Held`] names the holder; the run is gone; the file system refuses.
    pub fn take(dir: &Path, now: SystemTime) -> Result<Self, LedgerError> {
        let now = now.duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
        let path = dir.join(NAME);
        let open =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = match open {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return Err(LedgerError::Gone { dir: dir.to_owned() });
            }
            open => open.map_err(|e| LedgerError::io("open", &path, e))?,
        };
        if !locked(&file, TRIES).map_err(|e| LedgerError::io("lock", &path, e))? {
            return Err(LedgerError::Held { dir: dir.to_owned(), holder: told(&file), now });
        }
        // Whoever clears old runs away may have had it between opening and locking.
        let same =
            std::fs::metadata(&path).and_then(|there| Ok((there.dev(), there.ino(), file.metadata()?)));
        match same {
            Ok((dev, ino, ours)) if (dev, ino) == (ours.dev(), ours.ino()) => {}
            _ => return Err(LedgerError::Gone { dir: dir.to_owned() }),
        }
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let holder = Holder { pid: std::process::id(), host, since: now };
        let written = file
            .set_len(0)
            .and_then(|()| Ok(serde_json::to_vec(&holder)?))
            .and_then(|text| file.write_all_at(&text, 0));
        if let Err(error) = written {
            // The lock counts, the words are for people.
            tracing::warn!(%error, path = %path.display(), "cannot write into the lock who holds it");
        }
        Ok(Self { _file: file })
    }
}

/// Who holds a run now. `Some(None)`: somebody who has not said so yet. `None`: nobody.
///
/// # Errors
/// The lock cannot be looked at.
pub fn holder(dir: &Path) -> Result<Option<Option<Holder>>, LedgerError> {
    let path = dir.join(NAME);
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open.map_err(|e| LedgerError::io("open", &path, e))?,
    };
    // Shared: those who look do not keep each other from seeing that it is free.
    match flock(&file, FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(None),
        Err(Errno::WOULDBLOCK) => Ok(Some(told(&file))),
        Err(e) => Err(LedgerError::io("look at the lock", &path, e)),
    }
}

fn locked(file: &File, tries: u32) -> io::Result<bool> {
    for left in (0..tries).rev() {
        match flock(file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(true),
            Err(Errno::WOULDBLOCK | Errno::INTR) if left > 0 => std::thread::sleep(LOOK),
            Err(Errno::WOULDBLOCK | Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(false)
}

fn told(file: &File) -> Option<Holder> {
    let mut text = String::new();
    file.take(BYTES).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

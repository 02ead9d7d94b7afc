//! The small files of a run: its plan, and what somebody else asks of the process that keeps it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::LedgerError;
use super::sink::sync_dir;
use crate::report::event::Stop;

/// The plan's file: all it takes to make a run's requests again.
pub const PLAN: &str = "plan.json";
/// What is asked for.
const STOP: &str = "stop";
/// Bytes of a file at most.
const BYTES: u64 = 1 << 30;

/// Writes a file of a run that nobody else can read, whole or not at all, and on the disk when this returns.
///
/// # Errors
/// The file system's own; what was there before is still there then.
pub fn write_private(dir: &Path, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
    let path = dir.join(name);
    // Two processes may write the same file: each has its own on the way.
    let fresh = dir.join(format!(".{name}.{}", std::process::id()));
    let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&fresh);
    let written = made.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&fresh, &path)
    });
    if let Err(error) = written {
        // Half a file is of no use to anyone.
        let _ = std::fs::remove_file(&fresh);
        return Err(LedgerError::io("write", path, error));
    }
    sync_dir(dir)
}

/// Reads a file of a run; `None` where it is not there.
///
/// # Errors
/// The file system's own; it is over 1 GiB.
pub fn read_private(dir: &Path, name: &str) -> Result<Option<Vec<u8>>, LedgerError> {
    let path = dir.join(name);
    let file = match File::open(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        open => open.map_err(|e| LedgerError::io("open", &path, e))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(BYTES + 1).read_to_end(&mut bytes).and_then(|_| match bytes.len() as u64 > BYTES {
        true => Err(io::Error::other("it is over 1 GiB")),
        false => Ok(()),
    });
    read.map_err(|e| LedgerError::io("read", path, e))?;
    Ok(Some(bytes))
}

/// Asks the process that keeps a run to stop. What was asked before stays where it is stronger.
///
/// # Errors
/// The file system's own.
pub fn request_stop(dir: &Path, stop: Stop) -> Result<(), LedgerError> {
    let asked = read_private(dir, STOP)?.and_then(|bytes| parsed(&bytes));
    match asked >= Some(stop) {
        true => Ok(()),
        false => write_private(dir, STOP, word(stop).as_bytes()),
    }
}

/// What has been asked for since the last time: looked for again and again by the process that keeps the run, and
/// once before it goes on with one. Costs a system call where there is nothing.
pub fn take_stop(dir: &Path) -> Option<Stop> {
    let taken = dir.join(".stop.taken");
    // Renamed first: what is asked from now on is a file of its own.
    std::fs::rename(dir.join(STOP), &taken).ok()?;
    let bytes = read_private(dir, ".stop.taken");
    // It is overwritten by the next one.
    let _ = std::fs::remove_file(&taken);
    let stop = bytes.ok().flatten().and_then(|bytes| parsed(&bytes));
    if stop.is_none() {
        tracing::warn!(dir = %dir.display(), "the file `stop` holds neither `detach` nor `cancel`");
    }
    stop
}

fn word(stop: Stop) -> &'static str {
    match stop {
        Stop::Detach => "detach",
        Stop::Cancel => "cancel",
    }
}

fn parsed(bytes: &[u8]) -> Option<Stop> {
    let text = std::str::from_utf8(bytes).ok()?.trim();
    [Stop::Detach, Stop::Cancel].into_iter().find(|stop| word(*stop) == text)
}

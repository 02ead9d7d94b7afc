//! Where lines go: a file that is appended to and synced, or what tests put in its place.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use super::error::LedgerError;

/// As little of a file as a ledger needs.
pub trait Sink: Send {
    /// Puts bytes at the end; after an error some of them may be there.
    ///
    /// # Errors
    /// The file system's own.
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Returns when all that was put there is on the disk.
    ///
    /// # Errors
    /// The file system's own; then nothing is certain of what was put there since the last time.
    fn sync(&mut self) -> io::Result<()>;
    /// Cuts off what is behind so many bytes.
    ///
    /// # Errors
    /// The file system's own.
    fn cut(&mut self, good: u64) -> io::Result<()>;
}

impl Sink for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, good: u64) -> io::Result<()> {
        self.set_len(good)
    }
}

/// A sink that takes bytes whole and synced, or can be asked again.
pub struct Disk {
    sink: Box<dyn Sink>,
    /// The bytes that are on the disk for certain.
    good: u64,
    /// Something may stand behind them.
    dirty: bool,
}

impl Disk {
    /// `good`: the bytes that are there.
    pub fn new(sink: impl Sink + 'static, good: u64) -> Self {
        Self { sink: Box::new(sink), good, dirty: false }
    }

    /// Puts bytes at the end and on the disk. After an error it can be tried again with the same bytes: what is
    /// there of them is cut off first. It is written anew also where only the sync has failed, because Linux then
    /// forgets which pages were not on the disk, and a second sync proves nothing.
    ///
    /// # Errors
    /// What was tried, and the file system's own.
    pub fn put(&mut self, bytes: &[u8]) -> Result<(), (&'static str, io::Error)> {
        if self.dirty {
            self.sink.cut(self.good).map_err(|e| ("cut off what is half written in", e))?;
        }
        self.dirty = true;
        self.sink.append(bytes).map_err(|e| ("write", e))?;
        self.sink.sync().map_err(|e| ("sync", e))?;
        self.dirty = false;
        self.good += bytes.len() as u64;
        Ok(())
    }
}

/// Opens a ledger's file to read and append.
///
/// # Errors
/// The file system's own.
pub fn open(path: &Path) -> Result<File, LedgerError> {
    let open = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    open.map_err(|e| LedgerError::io("open", path, e))
}

/// Makes sure that what was made or renamed in a directory is still there after a power cut.
///
/// # Errors
/// The file system's own.
pub fn sync_dir(dir: &Path) -> Result<(), LedgerError> {
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    synced.map_err(|e| LedgerError::io("sync", dir, e))
}

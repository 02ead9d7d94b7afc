//! Files of results: each whole or not at all, for this user alone; what is there already, read back.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// What became of the task.
pub const RESULT: &str = "result.json";
/// Everything the task changed.
pub const PATCH: &str = "patch";
/// The session's text.
pub const TRANSCRIPT: &str = "transcript";
/// What was done about its prompts.
pub const RECEIPTS: &str = "receipts.jsonl";
/// Bytes of a result that is read back, at most.
const BYTES: u64 = 64 << 20;

/// What an earlier collecting left, as far as it matters now.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Before {
    /// The run.
    pub run: String,
    /// The session whose text and patch these are.
    pub session_id: Option<String>,
    /// Nothing was missing and nothing is going to follow.
    #[serde(default)]
    pub complete: bool,
}

/// What is in a directory of results; `None`: nothing that can be read.
pub fn before(folder: &Path) -> Option<Before> {
    let file = File::open(folder.join(RESULT)).ok()?;
    serde_json::from_reader(io::Read::take(io::BufReader::new(file), BYTES)).ok()
}

/// Makes a directory that only this user can look into.
///
/// # Errors
/// The file system's own.
pub fn directory(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// A file on its way: it takes its place when it is whole. One that is dropped before is removed.
#[derive(Debug)]
pub struct Fresh {
    path: PathBuf,
    on_the_way: PathBuf,
    file: Option<BufWriter<File>>,
}

impl Fresh {
    /// One that is going to be `folder/name`.
    ///
    /// # Errors
    /// The file system's own.
    pub fn begin(folder: &Path, name: &str) -> io::Result<Self> {
        let on_the_way = folder.join(format!(".{name}.{}", std::process::id()));
        let file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&on_the_way)?;
        Ok(Self { path: folder.join(name), on_the_way, file: Some(BufWriter::new(file)) })
    }

    /// More of it.
    ///
    /// # Errors
    /// The file system's own.
    pub fn more(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), |file| file.write_all(bytes))
    }

    /// That was all: it takes its place.
    ///
    /// # Errors
    /// The file system's own; what was there before is still there then.
    pub fn done(mut self) -> io::Result<()> {
        if let Some(file) = self.file.take() {
            file.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        }
        fs::rename(&self.on_the_way, &self.path)
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        // After `done` there is none of this name any more.
        let _ = fs::remove_file(&self.on_the_way);
    }
}

/// Writes a file whole, or not at all.
///
/// # Errors
/// The file system's own.
pub fn write(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let mut fresh = Fresh::begin(folder, name)?;
    fresh.more(bytes)?;
    fresh.done()
}

/// Removes a file that another attempt left; one that is not there is fine.
///
/// # Errors
/// The file system's own.
pub fn remove(folder: &Path, name: &str) -> io::Result<()> {
    match fs::remove_file(folder.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_not_at_all() {
        let dir = tempfile::tempdir().expect("a directory");
        let folder = dir.path().join("a/b");
        directory(&folder).expect("made");
        write(&folder, PATCH, b"one").expect("written");
        let mut fresh = Fresh::begin(&folder, PATCH).expect("begun");
        fresh.more(b"two").expect("written");
        drop(fresh);
        let names = || fs::read_dir(&folder).expect("there").count();
        assert_eq!((fs::read(folder.join(PATCH)).expect("there"), names()), (b"one".to_vec(), 1));
        write(&folder, PATCH, b"three").expect("written");
        assert_eq!(fs::read(folder.join(PATCH)).expect("there"), b"three");
        remove(&folder, PATCH).expect("removed");
        remove(&folder, PATCH).expect("it is not there");
        assert_eq!((names(), before(&folder)), (0, None));
        write(&folder, RESULT, br#"{"run":"run-1","sessionId":"cm-1","complete":true,"x":1}"#)
            .expect("written");
        let expected = Before { run: "run-1".into(), session_id: Some("cm-1".into()), complete: true };
        assert_eq!(before(&folder), Some(expected));
    }
}

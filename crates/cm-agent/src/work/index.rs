//! An index of our own, which knows the files the user's does not.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, DirBuilder, File},
    io,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
};

use rustix::fs::{Access, access};
use tokio::task::spawn_blocking;

use super::parse::RawPath;

/// A private directory for a while; gone when dropped.
#[derive(Debug)]
pub(super) struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one among the system's temporary files.
    pub(super) fn new() -> io::Result<Self> {
        let mut random = [0; 12];
        getrandom::fill(&mut random).map_err(io::Error::other)?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let path = std::env::temp_dir().join(format!("cm-work-{name}"));
        // Not recursive: one that exists already is somebody else's.
        DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path })
    }

    /// A file in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What is left lies among the temporary files, private.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Copies an index with its time, by which git tells files that changed right after it was written. No index
/// is an empty index.
pub(super) async fn copy(from: PathBuf, to: PathBuf) -> io::Result<()> {
    blocking(move || {
        let modified = match fs::metadata(&from) {
            Ok(meta) => meta.modified()?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        fs::copy(&from, &to)?;
        File::options().write(true).open(&to)?.set_modified(modified)
    })
    .await
}

/// Those of `paths` (below `root`) that can be read and have at most `largest` bytes, and the number of bytes in them.
/// One unreadable file would keep git from saying anything at all.
pub(super) async fn readable(
    root: PathBuf,
    paths: Vec<RawPath>,
    largest: u64,
) -> io::Result<(Vec<RawPath>, u64)> {
    blocking(move || {
        let mut bytes = 0;
        let readable = |path: &RawPath| {
            let path = root.join(OsStr::from_bytes(path));
            let Ok(meta) = fs::symlink_metadata(&path) else { return true };
            if meta.len() > largest {
                return false;
            }
            bytes += meta.len();
            meta.is_symlink() || access(&path, Access::READ_OK).is_ok()
        };
        let paths = paths.into_iter().filter(readable).collect();
        Ok((paths, bytes))
    })
    .await
}

async fn blocking<T: Send + 'static>(act: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    spawn_blocking(act).await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// For `git update-index -z --index-info`: each of these is an empty file as far as the index is concerned. What
/// is really in it git finds when it compares.
pub(super) fn entries<'p>(paths: impl IntoIterator<Item = &'p RawPath>, empty_blob: &str) -> Vec<u8> {
    let mut text = Vec::new();
    for path in paths {
        text.extend_from_slice(b"100644 ");
        text.extend_from_slice(empty_blob.as_bytes());
        text.push(b'\t');
        text.extend_from_slice(path);
        text.push(0);
    }
    text
}

/// A directory for `GIT_ALTERNATE_OBJECT_DIRECTORIES`, quoted: it may contain a colon.
pub(super) fn alternate(objects: &Path) -> OsString {
    let mut quoted = vec![b'"'];
    for byte in objects.as_os_str().as_bytes() {
        match byte {
            b'"' | b'\\' => quoted.extend([b'\\', *byte]),
            b'\n' => quoted.extend(b"\\n"),
            other => quoted.push(*other),
        }
    }
    quoted.push(b'"');
    OsStr::from_bytes(&quoted).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_an_empty_file() {
        assert_eq!(
            entries(&[b"a b".to_vec(), b"c\nd".to_vec()], "e6"),
            b"100644 e6\ta b\x00100644 e6\tc\nd\0"
        );
        assert_eq!(entries(&[], "e6"), b"");
    }

    #[test]
    fn directories_are_quoted() {
        assert_eq!(alternate(Path::new("/a:b/\"c\\")), OsStr::new(r#""/a:b/\"c\\""#));
    }
}

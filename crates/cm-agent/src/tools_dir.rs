//! The user's own tool profiles on this host's disk.

use std::path::{Path, PathBuf};

use crate::tool::{ProfileError, Profiles};

/// Bytes of a profile's file at most.
const BYTES: u64 = 1024 * 1024;
/// Files that are read of a directory.
const FILES: usize = 1000;

/// The built-in profiles and those of a directory (`*.toml`); what is wrong with the files that were left out.
/// A directory that is not there has none.
pub fn load(dir: &Path) -> (Profiles, Vec<ProfileError>) {
    let Ok(entries) = std::fs::read_dir(dir) else { return (Profiles::builtin(), Vec::new()) };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(FILES).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "toml"));
    paths.sort();
    let mut unreadable = Vec::new();
    let texts: Vec<(String, String)> = paths
        .iter()
        .filter_map(|path| match read(path) {
            Ok(text) => Some((path.display().to_string(), text)),
            Err(error) => {
                unreadable.push(error);
                None
            }
        })
        .collect();
    let files = texts.iter().map(|(file, text)| (file.as_str(), text.as_str()));
    let (profiles, errors) = Profiles::builtin().with_files(files);
    unreadable.extend(errors);
    (profiles, unreadable)
}

/// Reads a profile's file.
///
/// # Errors
/// It cannot be read, or is far too long.
pub fn read(path: &Path) -> Result<String, ProfileError> {
    let wrong =
        |message: String| ProfileError { file: path.display().to_string(), line: 1, column: 1, message };
    let meta = std::fs::metadata(path).map_err(|e| wrong(format!("cannot be read: {e}")))?;
    if !meta.is_file() || meta.len() > BYTES {
        return Err(wrong(format!("is no file, or over {BYTES} bytes")));
    }
    std::fs::read_to_string(path).map_err(|e| wrong(format!("cannot be read: {e}")))
}

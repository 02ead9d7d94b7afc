//! What changed in a work tree since a task began.

use std::{
    ffi::OsString,
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use cm_protocol::Changes;

use super::{
    Base, WorkError,
    base::{self, Before},
    git::Git,
    index::{self, Scratch},
    parse::{self, RawPath, Status},
    words,
};

/// How long looking may take.
const WITHIN: Duration = Duration::from_secs(30);

/// How large a patch may be, in bytes.
pub const PATCH: usize = 32 << 20;

/// How many commits are named.
const COMMITS: usize = 50;

/// How wide and long git draws. With its summary and our remarks a diffstat has at most 50 lines.
const STAT: [&str; 2] = ["--stat=100,70", "--stat-count=41"];

/// What is compared how, whatever the user has set; no program of the user's is started for it.
const DIFF: [&str; 7] = [
    "diff",
    "--no-color",
    "--no-ext-diff",
    "--no-textconv",
    "--find-renames",
    "--ignore-submodules=untracked",
    "--submodule=short",
];

/// What makes a patch that `git apply` takes anywhere.
const APPLICABLE: [&str; 7] = [
    "--patch",
    "--binary",
    "--full-index",
    "--src-prefix=a/",
    "--dst-prefix=b/",
    "--unified=3",
    "--inter-hunk-context=0",
];

/// What changed since `base`: commits made, what is not committed, and new files that are not ignored. The
/// user's index is not touched. With `patch_file`, all of it goes there as one patch (mode 0600, at most
/// 32 MiB); if nothing changed there is no file. `worktree` of the answer is left to the caller.
///
/// What cannot be known within 30 s is left out, and `diffstat` says so.
///
/// # Errors
/// The work tree is gone, not trusted, or git is.
pub async fn changes(base: &Base, patch_file: Option<&Path>) -> Result<Changes, WorkError> {
    changes_within(base, patch_file, WITHIN).await
}

/// [`changes`] with another deadline.
///
/// # Errors
/// As there.
pub async fn changes_within(
    base: &Base,
    patch_file: Option<&Path>,
    within: Duration,
) -> Result<Changes, WorkError> {
    let git = Git::new("see what changed in", &base.root, within);
    let mut changes = Changes { base: base.commit.clone(), ..Changes::default() };
    let mut notes = Vec::new();
    let looked = async {
        let found = base::find(&git, &base.root).await?;
        let (status, cut) = base::status(&git).await?;
        Ok((found, status, cut))
    };
    let (found, status, cut) = match looked.await {
        Ok(looked) => looked,
        Err(error @ WorkError::Timeout { .. }) => {
            changes.diffstat = words::line(&format!("not known: {error}"));
            return Ok(changes);
        }
        Err(error) => return Err(error),
    };
    changes.commit.clone_from(&status.commit);
    changes.branch.clone_from(&status.branch);
    changes.uncommitted = status.uncommitted() > 0;
    if let Before::Lost { why } = &base.before {
        notes.push(format!("what was not committed before the task is counted too: {why}"));
    }
    if cut {
        notes.push("there are more new files than could be listed; the rest is not counted".into());
    }
    for nested in status.nested.iter().take(2) {
        let path = String::from_utf8_lossy(nested).into_owned();
        notes.push(format!("{path} is a git repository of its own and not looked into"));
    }
    match commits(&git, base, &status).await {
        Ok(list) => changes.commits = list,
        Err(error) => notes.push(format!("commits are not known: {error}")),
    }
    match compare(&git, base, &found.index, &status, patch_file, &mut changes).await {
        Ok(more) => notes.extend(more),
        Err(error) => notes.push(format!("not known: {error}")),
    }
    for note in notes {
        changes.diffstat.push_str(&words::line(&note));
        changes.diffstat.push('\n');
    }
    changes.diffstat.truncate(changes.diffstat.trim_end().len());
    Ok(changes)
}

/// The commits since the base, oldest first; the newest of them if there are many.
async fn commits(git: &Git<'_>, base: &Base, status: &Status) -> Result<Vec<String>, WorkError> {
    if status.commit.is_none() || status.commit == base.commit {
        return Ok(Vec::new());
    }
    let range = base.commit.as_ref().map_or_else(|| "HEAD".to_owned(), |base| format!("{base}..HEAD"));
    let count = format!("--max-count={COMMITS}");
    let args = [
        "log",
        "--no-show-signature",
        "--no-color",
        "--encoding=UTF-8",
        "--format=%h %s",
        &count,
        "--reverse",
        &range,
        "--",
    ];
    let printed = git.ask(&args).await?;
    Ok(String::from_utf8_lossy(&printed).lines().map(words::line).collect())
}

/// Compares the work tree with what it was; returns what else should be said.
async fn compare(
    git: &Git<'_>,
    base: &Base,
    user_index: &Path,
    status: &Status,
    patch_file: Option<&Path>,
    changes: &mut Changes,
) -> Result<Vec<String>, WorkError> {
    let mut notes = Vec::new();
    let empty = match status.commit.as_ref().or(base.commit.as_ref()) {
        Some(id) => parse::empty_like(id),
        // Nothing in it has an id that would tell its kind. stdin is empty.
        None => {
            parse::empty_like(String::from_utf8_lossy(&git.ask(&["hash-object", "--stdin"]).await?).trim())
        }
    };
    let (scratch, unreadable) = own_index(git, user_index, status, empty.blob).await?;
    let mut git = git.clone();
    if let Some((_, file)) = &scratch {
        git = git.with("GIT_INDEX_FILE", file.clone());
    }
    if unreadable > 0 {
        notes.push(format!("new files that cannot be read: {unreadable}; they are not counted"));
    }
    let from = match &base.before {
        Before::Kept { tree, objects } => {
            git = git.with("GIT_ALTERNATE_OBJECT_DIRECTORIES", index::alternate(objects));
            tree.as_str()
        }
        _ => base.commit.as_deref().unwrap_or(empty.tree),
    };
    let args = [&DIFF[..], &STAT, &[from, "--"]].concat();
    let printed = git.ask(&args).await?;
    let drawn = String::from_utf8_lossy(&printed);
    let (files, added, removed) = parse::summary(&drawn).ok_or_else(|| WorkError::Git {
        act: "see what changed in",
        path: base.root.clone(),
        why: "a diffstat that cannot be read".into(),
    })?;
    (changes.files, changes.insertions, changes.deletions) = (files, added, removed);
    changes.diffstat = drawn.lines().map(|line| words::line(line) + "\n").collect();
    if let Some(file) = patch_file.filter(|_| files > 0) {
        match patch(&git, from, file).await {
            Ok(cut) => {
                changes.patch = Some(file.to_string_lossy().into_owned());
                notes.extend(cut.then(|| format!("the patch is cut at {} MiB", PATCH >> 20)));
            }
            Err(error) => notes.push(format!("no patch: {error}")),
        }
    }
    Ok(notes)
}

/// An index that knows the new files too, and no conflicts; `None` where the user's own will do. The second is how
/// many new files cannot be read.
async fn own_index(
    git: &Git<'_>,
    user_index: &Path,
    status: &Status,
    empty_blob: &str,
) -> Result<(Option<(Scratch, PathBuf)>, usize), WorkError> {
    if status.untracked.is_empty() && status.unmerged.is_empty() {
        return Ok((None, 0));
    }
    let make = async {
        let scratch = Scratch::new()?;
        let file = scratch.file("index");
        index::copy(user_index.to_owned(), file.clone()).await?;
        io::Result::Ok((scratch, file))
    };
    let io = |source| git.io("make an index of our own for", user_index, source);
    let (scratch, file) = make.await.map_err(io)?;
    let root = git.path().to_owned();
    let (new, _): (Vec<RawPath>, u64) =
        index::readable(root, status.untracked.clone(), u64::MAX).await.map_err(io)?;
    let entries = index::entries(new.iter().chain(&status.unmerged), empty_blob);
    let own = git.with("GIT_INDEX_FILE", OsString::from(&file));
    own.tell(&["update-index", "-z", "--index-info"], &entries).await?;
    Ok((Some((scratch, file)), status.untracked.len() - new.len()))
}

/// Writes the patch; whether it is cut, then before the first file that does not fit.
async fn patch(git: &Git<'_>, from: &str, path: &Path) -> Result<bool, WorkError> {
    let io = |source| git.io("write", path, source);
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let written = write_patch(git, from, &fresh, io).await;
    let done = written.and_then(|cut| fs::rename(&fresh, path).map_err(io).map(|()| cut));
    if done.is_err() {
        // Half a patch is of no use to anyone.
        let _ = fs::remove_file(&fresh);
    }
    done
}

async fn write_patch(
    git: &Git<'_>,
    from: &str,
    path: &Path,
    io: impl Fn(io::Error) -> WorkError,
) -> Result<bool, WorkError> {
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path).map_err(&io)?;
    let args = [&DIFF[..], &APPLICABLE, &[from, "--"]].concat();
    let answer = git.stream(&args, b"", PATCH, &mut file).await?;
    if !answer.success {
        return Err(git.refused(&answer));
    }
    if answer.cut {
        // Whole files can still be applied.
        let whole = parse::whole_files(&fs::read(path).map_err(&io)?);
        file.set_len(whole as u64).map_err(&io)?;
    }
    Ok(answer.cut)
}

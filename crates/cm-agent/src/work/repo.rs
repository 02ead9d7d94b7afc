//! Repositories that hosts get by address: a bare mirror of each, cloned once and brought up to date later.
//!
//! Branches of the original are kept as `refs/remotes/origin/…`, so that `refs/heads/` belongs to the tasks whose
//! work trees are made from the mirror, and bringing it up to date touches nothing of theirs.

use std::{
    collections::HashMap,
    fs::{self, DirBuilder},
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{Instant, timeout_at};

use super::{
    WorkError,
    git::{Answer, Git},
    parse,
    remote::{self, Remote},
    words,
};

/// How long cloning, or bringing up to date, may take, waiting for another that does it included.
const WITHIN: Duration = Duration::from_secs(600);

/// How long looking into a mirror may take.
const LOOKING: Duration = Duration::from_secs(10);

/// Lines of git's that are repeated when it fails; the last ones say why.
const LAST_LINES: usize = 4;

/// Locks of mirrors that are kept although nobody holds them.
const LOCKS: usize = 64;

/// A file in a mirror that was written when somebody asked for it last.
pub(super) const USED: &str = "cm-used";

/// Hands the login to git. It stands in variables: arguments can be seen by anybody on the host. Whatever else
/// git wants done with it (to store it, say) is not done.
const HELPER: &str = r#"credential.helper=!f() { test "$1" = get && printf "username=%s\npassword=%s\n" "$CM_GIT_USER" "$CM_GIT_PASSWORD"; }; f"#;

/// A mirror on this host, and the commit in it that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// The bare repository.
    pub dir: PathBuf,
    /// The commit.
    pub commit: String,
}

/// Whether this agent has a mirror of the repository, so that it need not be cloned. Looks at the disk once.
pub fn is_present(state: &Path, url: &str) -> bool {
    Remote::read(url).is_ok_and(|remote| remote.mirror(state).join("HEAD").exists())
}

/// When a mirror was last brought up to date.
type Slot = Arc<tokio::sync::Mutex<Option<Instant>>>;

/// One at a time brings a mirror up to date.
fn slot(dir: &Path) -> Slot {
    static SLOTS: LazyLock<Mutex<HashMap<PathBuf, Slot>>> = LazyLock::new(Mutex::default);
    let mut slots = SLOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if slots.len() >= LOCKS {
        slots.retain(|_, slot| Arc::strong_count(slot) > 1);
    }
    slots.entry(dir.to_owned()).or_default().clone()
}

/// Does something with a mirror while nobody brings it up to date; `None` if somebody does just now.
pub(super) async fn alone<T, F: Future<Output = T>>(dir: &Path, act: impl FnOnce() -> F) -> Option<T> {
    let slot = slot(dir);
    let mut fresh_since = slot.try_lock().ok()?;
    // It may be another one afterwards.
    *fresh_since = None;
    Some(act().await)
}

/// Clones the repository to `<state>/repos/`, or brings its mirror up to date, and finds a commit in it: a
/// branch, tag or commit's name, or the original's default branch. A commit that is there already is not asked
/// for again; those who ask at the same time share one answer. At most 10 minutes.
///
/// # Errors
/// git's own trouble with it, in words without the address's login; or it has no such commit.
pub async fn obtain(state: &Path, remote: &Remote, reference: Option<&str>) -> Result<Mirror, WorkError> {
    let asked = Instant::now();
    let dir = remote.mirror(state);
    let slot = slot(&dir);
    let late = || failed(remote, &format!("it took longer than {} s", WITHIN.as_secs()));
    let mut fresh_since = timeout_at(asked + WITHIN, slot.lock()).await.map_err(|_| late())?;
    let there = dir.join("HEAD").exists();
    if there {
        // While the lock is held: whoever removes what nobody uses sees it. That it cannot be written means nothing.
        let _ = fs::write(dir.join(USED), "");
    }
    if let Some(id) = reference.filter(|id| there && parse::is_id(id))
        && let Some(commit) = find(&dir, Some(id)).await?
    {
        return Ok(Mirror { dir, commit });
    }
    if fresh_since.is_none_or(|since| since < asked) {
        let began = Instant::now();
        let within = WITHIN.saturating_sub(asked.elapsed());
        match there {
            true => {
                // It may have been made only to be sent an earlier attempt's work.
                configure(&dir, remote).await?;
                update(&dir, remote, within).await?;
            }
            false => clone(&dir, remote, within).await?,
        }
        *fresh_since = Some(began);
    }
    if let Some(commit) = find(&dir, reference).await? {
        return Ok(Mirror { dir, commit });
    }
    let within = WITHIN.saturating_sub(asked.elapsed());
    if let Some(more) = reference.and_then(remote::besides)
        && fetch(&dir, remote, &["--", remote.url(), &more], within).await?.success
        && let Some(commit) = find(&dir, reference).await?
    {
        return Ok(Mirror { dir, commit });
    }
    Err(WorkError::UnknownReference {
        reference: reference
            .map_or_else(|| "default branch".into(), |name| format!("commit, branch or tag {name:?}")),
        url: remote.url().to_owned(),
    })
}

/// Whether a commit in a mirror has this directory (not through symbolic links).
///
/// # Errors
/// git's own trouble.
pub async fn has_directory(mirror: &Mirror, below: &str) -> Result<bool, WorkError> {
    let git = Git::new("look into", &mirror.dir, LOOKING);
    let place = format!("{}:{}", mirror.commit, below.trim_end_matches('/'));
    let answer = git.run(&["cat-file", "-t", &place], b"", 1 << 10).await?;
    Ok(answer.success && answer.out.trim_ascii() == b"tree")
}

/// Looks for a commit in a mirror.
async fn find(dir: &Path, reference: Option<&str>) -> Result<Option<String>, WorkError> {
    let git = Git::new("look into", dir, LOOKING);
    for place in remote::candidates(reference) {
        let name = format!("{place}^{{commit}}");
        let answer = git.run(&["rev-parse", "--verify", "--quiet", &name], b"", 1 << 10).await?;
        let id = String::from_utf8_lossy(&answer.out).trim().to_owned();
        if answer.success && parse::is_id(&id) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Clones beside the place where it belongs, so that what stands there is always whole.
async fn clone(dir: &Path, remote: &Remote, within: Duration) -> Result<(), WorkError> {
    let by = Instant::now() + within;
    let parent = dir.parent().unwrap_or(dir);
    let io = |path: &Path| {
        let path = path.to_owned();
        move |source| WorkError::Io { act: "make", path, source }
    };
    DirBuilder::new().recursive(true).mode(0o700).create(parent).map_err(io(parent))?;
    let fresh = parent.join("new");
    // Of an earlier one that was broken off. Nobody else is here.
    remove(&fresh).await;
    let made = make(&fresh, remote).await;
    let done = match made {
        Ok(()) => update(&fresh, remote, by.saturating_duration_since(Instant::now())).await,
        Err(error) => Err(error),
    };
    let done = done.and_then(|()| fs::rename(&fresh, dir).map_err(io(dir)));
    if done.is_err() {
        remove(&fresh).await;
    }
    done
}

/// Removes a directory that may be large; what is left of it is tried again the next time.
async fn remove(dir: &Path) {
    let dir = dir.to_owned();
    let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(dir)).await;
}

/// An empty one.
async fn make(dir: &Path, remote: &Remote) -> Result<(), WorkError> {
    DirBuilder::new().mode(0o700).create(dir).map_err(|source| WorkError::Io {
        act: "make",
        path: dir.into(),
        source,
    })?;
    let git = Git::new("make a mirror in", dir, LOOKING);
    git.ask(&["-c", "init.defaultBranch=main", "init", "--quiet", "--bare", "--template="]).await?;
    configure(dir, remote).await
}

/// Has `git fetch` and `git push` lead from it to the original.
async fn configure(dir: &Path, remote: &Remote) -> Result<(), WorkError> {
    let git = Git::new("set up the mirror in", dir, LOOKING);
    let known = git.run(&["config", "remote.origin.url"], b"", 1 << 12).await?;
    if String::from_utf8_lossy(&known.out).trim() != remote.url() {
        git.ask(&["config", "remote.origin.url", remote.url()]).await?;
        git.ask(&["config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*"]).await?;
    }
    Ok(())
}

/// Brings branches, tags and the default branch up to date; tags made here stay.
async fn update(dir: &Path, remote: &Remote, within: Duration) -> Result<(), WorkError> {
    const HEAD: &str = "+HEAD:refs/remotes/origin/HEAD";
    const BRANCHES: &str = "+refs/heads/*:refs/remotes/origin/*";
    let by = Instant::now() + within;
    let all = ["--prune", "--tags"];
    let mut answer =
        fetch(dir, remote, &[&all[..], &["--", remote.url(), HEAD, BRANCHES]].concat(), within).await?;
    if answer.complaint.contains("remote ref HEAD") {
        // Its default branch is one that does not exist (yet).
        let left = by.saturating_duration_since(Instant::now());
        answer = fetch(dir, remote, &[&all[..], &["--", remote.url(), BRANCHES]].concat(), left).await?;
    }
    match answer.success {
        true => Ok(()),
        false => Err(failed(remote, &last_lines(&answer.complaint))),
    }
}

/// Runs `git fetch` in a mirror.
async fn fetch(dir: &Path, remote: &Remote, more: &[&str], within: Duration) -> Result<Answer, WorkError> {
    let mut git = Git::new("bring up to date", dir, within).with("GIT_ASKPASS", "");
    // One that stands still is given up long before the end of all patience.
    let mut args = vec!["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=60"];
    if let Some(login) = remote.login() {
        git = git.with("CM_GIT_USER", &login.user).with("CM_GIT_PASSWORD", &login.password);
        // The first forgets the user's own helpers, which would be told to store it.
        args.extend(["-c", "credential.helper=", "-c", HELPER]);
    }
    if remote.is_ssh() && git.ask(&["config", "core.sshCommand"]).await.is_err() {
        git = git.with("GIT_SSH_COMMAND", "ssh -o BatchMode=yes -o ConnectTimeout=20");
    }
    args.extend(["fetch", "--quiet", "--force", "--no-write-fetch-head", "--no-recurse-submodules"]);
    args.extend(more);
    git.run(&args, b"", 1 << 16).await.map_err(|error| match error {
        WorkError::Timeout { within, .. } => {
            failed(remote, &format!("it took longer than {} s", within.as_secs()))
        }
        other => other,
    })
}

fn failed(remote: &Remote, why: &str) -> WorkError {
    WorkError::Fetch { url: remote.url().to_owned(), why: remote.without_login(why) }
}

/// git's last lines as one.
fn last_lines(complaint: &str) -> String {
    let lines: Vec<String> = complaint
        .lines()
        .map(words::line)
        .filter(|line| !line.trim().is_empty() && !line.starts_with("hint:"))
        .map(|line| line.trim_start_matches("fatal: ").trim().to_owned())
        .collect();
    let from = lines.len().saturating_sub(LAST_LINES);
    match lines[from..].join("; ") {
        said if said.is_empty() => "git gives no reason".to_owned(),
        said => said,
    }
}

//! Mirrors of repositories that nobody needs any more, and their end.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::{WorkError, git::Git, repo};

/// How long looking into one may take.
const LOOKING: Duration = Duration::from_secs(10);

/// One that was used within this time stays in any case: a task may just be beginning.
const FRESH: Duration = Duration::from_secs(3600);

/// What one that is on its way out is called, beside the others.
const GONE: &str = "gone";

/// How long mirrors are kept, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Those that were not used for so long go; `None`: never for that.
    pub unused: Option<Duration>,
    /// Of more than so many, those go that were not used for longest.
    pub most: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { unused: Some(Duration::from_secs(14 * 86_400)), most: 100 }
    }
}

/// A mirror, and how long it was not used.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Found {
    dir: PathBuf,
    idle: Duration,
}

/// Which of these may go, those first that were not used for longest. PURE.
fn unused(mut found: Vec<Found>, keep: &Keep) -> Vec<Found> {
    found.sort_by(|a, b| b.idle.cmp(&a.idle).then_with(|| a.dir.cmp(&b.dir)));
    let over = found.len().saturating_sub(keep.most);
    let too_long = |one: &Found| keep.unused.is_some_and(|longest| one.idle >= longest);
    let goes = |(at, one): &(usize, Found)| one.idle >= FRESH && (*at < over || too_long(one));
    found.into_iter().enumerate().filter(goes).map(|(_, one)| one).collect()
}

/// Removes mirrors below an agent's own directory that were not used for long, or are too many; returns those that are
/// gone. One stays that has a work tree, whoever's, or a branch with commits that stand nowhere else; and one that
/// cannot be looked into.
pub async fn sweep(state: &Path, keep: &Keep) -> Vec<PathBuf> {
    let repos = state.join("repos");
    let listed = tokio::task::spawn_blocking(move || list(&repos, SystemTime::now())).await;
    let Ok(Ok(found)) = listed else { return Vec::new() };
    let mut gone = Vec::new();
    for Found { dir, .. } in unused(found, keep) {
        match repo::alone(&dir, || remove(&dir)).await {
            Some(Ok(true)) => gone.push(dir),
            Some(Ok(false)) | None => {}
            Some(Err(error)) => tracing::warn!(mirror = %dir.display(), %error, "it stays"),
        }
    }
    gone
}

/// The mirrors that are there. What is left of one that was on its way out is removed.
fn list(repos: &Path, now: SystemTime) -> io::Result<Vec<Found>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(repos)? {
        let place = entry?.path();
        if place.extension().is_some_and(|extension| extension == GONE) {
            let _ = fs::remove_dir_all(&place);
            continue;
        }
        // One that is just being cloned is called otherwise.
        for mirror in fs::read_dir(&place).into_iter().flatten().flatten() {
            let dir = mirror.path();
            if dir.extension().is_some_and(|extension| extension == "git") && dir.join("HEAD").exists() {
                let idle = last_used(&dir)
                    .map_or(Duration::ZERO, |used| now.duration_since(used).unwrap_or_default());
                found.push(Found { dir, idle });
            }
        }
    }
    Ok(found)
}

/// When it was brought up to date, asked for, or a work tree of it came or went last.
fn last_used(dir: &Path) -> Option<SystemTime> {
    let at = |path: PathBuf| fs::metadata(path).and_then(|meta| meta.modified()).ok();
    [repo::USED, "HEAD", "refs", "packed-refs", "worktrees", ""]
        .into_iter()
        .filter_map(|name| at(dir.join(name)))
        .max()
}

/// Removes one, if nothing would be lost with it.
async fn remove(dir: &Path) -> Result<bool, WorkError> {
    let git = Git::new("look into", dir, LOOKING);
    if has_trees(dir).map_err(|source| git.io("look for work trees of", dir, source))? {
        return Ok(false);
    }
    let args = ["rev-list", "--max-count=1", "--branches", "--not", "--remotes", "--tags", "--"];
    if !git.ask(&args).await?.is_empty() {
        return Ok(false);
    }
    let Some(place) = dir.parent().map(Path::to_owned) else { return Ok(false) };
    let away = place.with_extension(GONE);
    let io = |source| git.io("remove", dir, source);
    fs::rename(&place, &away).map_err(io)?;
    // What is left of it is removed the next time.
    let _ = tokio::task::spawn_blocking(move || fs::remove_dir_all(away)).await;
    Ok(true)
}

/// Whether a work tree of it is still there.
fn has_trees(dir: &Path) -> io::Result<bool> {
    let trees = match fs::read_dir(dir.join("worktrees")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        trees => trees?,
    };
    for tree in trees {
        let place = fs::read_to_string(tree?.path().join("gitdir"))?;
        if Path::new(place.trim_end()).exists() {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    #[test]
    fn which_ones_go() {
        let check = |hours: &[u64], keep: Keep, expected: &[u64]| {
            let found = hours.iter().map(|hours| Found {
                dir: PathBuf::from(format!("/{hours}")),
                idle: Duration::from_secs(hours * 3600),
            });
            let gone: Vec<u64> =
                unused(found.collect(), &keep).iter().map(|one| one.idle.as_secs() / 3600).collect();
            assert_eq!(gone, expected, "{hours:?} {keep:?}");
        };
        let keep =
            |days: Option<u64>, most| Keep { unused: days.map(|days| Duration::from_secs(days * DAY)), most };
        check(&[0, 1, 335, 336, 900], Keep::default(), &[900, 336]);
        check(&[0, 1, 335, 336, 900], keep(None, 9), &[]);
        check(&[0, 1, 335, 336, 900], keep(None, 2), &[900, 336, 335]);
        // What was used just now stays, however many there are.
        check(&[0, 0, 0, 5], keep(None, 1), &[5]);
        check(&[0, 3], keep(Some(0), 9), &[3]);
    }
}

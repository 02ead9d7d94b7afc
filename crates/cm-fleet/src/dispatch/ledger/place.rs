//! Where the records of runs are: made, listed, found by the beginning of an id, cleared away.

use std::fs::{DirBuilder, File};
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::error::LedgerError;
use super::lock::Lock;
use super::sink::sync_dir;
use super::{EVENTS, lock};
use crate::failure::Failure;

/// What a run's id begins with.
const RUN: &str = "run-";
/// What the name of a directory begins with that is being removed.
const LEAVING: &str = ".gone-";
/// Ids that an error shows.
const SHOWN: usize = 8;

/// The directory of all runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    dir: PathBuf,
}

/// A run that is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Listed {
    /// Its id: `run-` and 16 hexadecimal digits.
    pub id: String,
    /// Its directory.
    pub dir: PathBuf,
    /// When it began, Unix seconds.
    pub started: f64,
}

/// Why it is not known which run is meant.
#[derive(Debug, Clone, thiserror::Error)]
pub enum FindError {
    /// No run is called so.
    #[error("there is no run `{query}`")]
    None {
        /// What was typed.
        query: String,
        /// Those there are, newest first; a few of them.
        there: Vec<String>,
        /// Where they are.
        dir: PathBuf,
    },
    /// Several are.
    #[error("`{query}` may be {} runs", ids.len())]
    Several {
        /// What was typed.
        query: String,
        /// All of them, newest first.
        ids: Vec<String>,
    },
    /// They cannot be looked through.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// What became of old runs.
#[derive(Debug, Clone, Default)]
pub struct Pruned {
    /// Removed.
    pub removed: Vec<String>,
    /// Old, but some process keeps them.
    pub held: Vec<String>,
    /// Could not be removed.
    pub failed: Vec<(String, LedgerError)>,
}

impl Place {
    /// `$XDG_STATE_HOME/cm-fleet/runs`, or the same under `~/.local/state`. Nothing is made there yet.
    ///
    /// # Errors
    /// Neither variable is set.
    pub fn new(env: &dyn Fn(&str) -> Option<String>) -> Result<Self, LedgerError> {
        let set = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = set("XDG_STATE_HOME").or_else(|| set("HOME").map(|home| home.join(".local/state")));
        let state = state.ok_or(LedgerError::NoHome)?;
        Ok(Self { dir: state.join("cm-fleet/runs") })
    }

    /// The directory of all runs.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes the directory of a new run, which nobody else can read, and says which it is.
    ///
    /// # Errors
    /// It is no id, the run is there already, or the file system refuses.
    pub fn create(&self, run: &str) -> Result<PathBuf, LedgerError> {
        if !is_id(run) {
            return Err(LedgerError::BadId(run.to_owned()));
        }
        let private =
            |recursive: bool, path: &Path| DirBuilder::new().mode(0o700).recursive(recursive).create(path);
        private(true, &self.dir).map_err(|e| LedgerError::io("make", &self.dir, e))?;
        let path = self.dir.join(run);
        match private(false, &path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Err(LedgerError::Exists { path }),
            made => made.map_err(|e| LedgerError::io("make", &path, e))?,
        }
        sync_dir(&self.dir)?;
        Ok(path)
    }

    /// All runs, newest first.
    ///
    /// # Errors
    /// The directory is there and cannot be read.
    pub fn list(&self) -> Result<Vec<Listed>, LedgerError> {
        let mut all = Vec::new();
        for name in self.names()? {
            let dir = self.dir.join(&name);
            // One that is cleared away just now is not there.
            if is_id(&name)
                && let Some(started) = started(&dir)
            {
                all.push(Listed { id: name, dir, started });
            }
        }
        all.sort_by(|a, b| b.started.total_cmp(&a.started).then_with(|| a.id.cmp(&b.id)));
        Ok(all)
    }

    fn names(&self) -> Result<Vec<String>, LedgerError> {
        let entries = match std::fs::read_dir(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(|e| LedgerError::io("read", &self.dir, e))?,
        };
        let directory = |entry: &std::fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
        let names = entries.flatten().filter(directory).map(|entry| entry.file_name().into_string());
        Ok(names.flatten().collect())
    }

    /// The run a person means: `last`, or the beginning of an id, with or without `run-`.
    ///
    /// # Errors
    /// There is none, or several.
    pub fn find(&self, query: &str) -> Result<Listed, FindError> {
        let mut all = self.list()?;
        let lower = query.trim().to_lowercase();
        let digits = lower.strip_prefix(RUN).unwrap_or(&lower);
        let meant: Vec<usize> = match digits {
            "last" => (0..all.len().min(1)).collect(),
            "" => Vec::new(),
            _ => (0..all.len()).filter(|at| all[*at].id[RUN.len()..].starts_with(digits)).collect(),
        };
        match meant[..] {
            [at] => Ok(all.swap_remove(at)),
            [] => Err(FindError::None {
                query: query.to_owned(),
                there: all.into_iter().take(SHOWN).map(|run| run.id).collect(),
                dir: self.dir.clone(),
            }),
            _ => Err(FindError::Several {
                query: query.to_owned(),
                ids: meant.into_iter().map(|at| all[at].id.clone()).collect(),
            }),
        }
    }

    /// Removes runs that are neither among the newest `keep` nor were written to within so many days; never one that
    /// some process keeps.
    ///
    /// # Errors
    /// The directory cannot be read; what happens to a single run is in what is returned.
    pub fn prune(&self, keep: usize, older_than: u32, now: SystemTime) -> Result<Pruned, LedgerError> {
        let age = Duration::from_secs(u64::from(older_than) * 86_400);
        let mut pruned = Pruned::default();
        // What an earlier clearing did not get done.
        for name in self.names()?.into_iter().filter(|name| name.starts_with(LEAVING)) {
            let _ = std::fs::remove_dir_all(self.dir.join(name));
        }
        for run in self.list()?.into_iter().skip(keep) {
            // A clock that was put back makes nothing old.
            let old =
                written(&run.dir).and_then(|then| now.duration_since(then).ok()).is_some_and(|is| is > age);
            if !old {
                continue;
            }
            match self.remove(&run, now) {
                Ok(()) => pruned.removed.push(run.id),
                Err(LedgerError::Gone { .. }) => {}
                Err(LedgerError::Held { .. }) => pruned.held.push(run.id),
                Err(error) => pruned.failed.push((run.id, error)),
            }
        }
        Ok(pruned)
    }

    fn remove(&self, run: &Listed, now: SystemTime) -> Result<(), LedgerError> {
        if let Some(holder) = lock::holder(&run.dir)? {
            return Err(LedgerError::Held { dir: run.dir.clone(), holder, now: 0 });
        }
        let _lock = Lock::take(&run.dir, now)?;
        // Out of the way first: half a run is never listed.
        let leaving = self.dir.join(format!("{LEAVING}{}", run.id));
        let gone = std::fs::rename(&run.dir, &leaving).and_then(|()| std::fs::remove_dir_all(&leaving));
        gone.map_err(|e| LedgerError::io("remove", &run.dir, e))
    }
}

impl FindError {
    /// As people read it, at the edge.
    pub fn failure(&self) -> Failure {
        let few = |ids: &[String]| {
            let more = if ids.len() > SHOWN { ", …" } else { "" };
            format!("{}{more}", ids.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", "))
        };
        let failure = Failure::usage(self.to_string());
        match self {
            Self::None { there, dir, .. } if there.is_empty() => {
                failure.hint(format!("there are no runs in {}", dir.display()))
            }
            Self::None { there, .. } => failure.hint(format!("there is {}", few(there))),
            Self::Several { ids, .. } => failure.hint(format!("write more of it: {}", few(ids))),
            Self::Ledger(error) => error.failure(),
        }
    }
}

fn is_id(name: &str) -> bool {
    let hex = |c: u8| c.is_ascii_digit() || (b'a'..=b'f').contains(&c);
    name.strip_prefix(RUN).is_some_and(|digits| digits.len() == 16 && digits.bytes().all(hex))
}

/// When a run began: what its first line says, else when its directory was made.
fn started(dir: &Path) -> Option<f64> {
    let first = File::open(dir.join(EVENTS)).ok().and_then(|file| {
        let mut head = Vec::new();
        file.take(64).read_to_end(&mut head).ok()?;
        said_at(&String::from_utf8_lossy(&head))
    });
    let made = || {
        let then = std::fs::metadata(dir).and_then(|meta| meta.modified()).ok()?;
        then.duration_since(UNIX_EPOCH).ok().map(|since| since.as_secs_f64())
    };
    first.or_else(made)
}

/// The time at the beginning of a line. The first line holds all tasks and may be long: it is not read whole.
fn said_at(head: &str) -> Option<f64> {
    let number = head.strip_prefix(r#"{"at":"#)?;
    number[..number.find([',', '}'])?].parse().ok().filter(|at: &f64| at.is_finite())
}

/// When a run was last written to.
fn written(dir: &Path) -> Option<SystemTime> {
    let meta = std::fs::metadata(dir.join(EVENTS)).or_else(|_| std::fs::metadata(dir)).ok()?;
    meta.modified().ok()
}

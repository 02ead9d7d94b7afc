//! A run whose results are collected: what is asked of its hosts, and what is written.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::branches::Work;
use super::files::{self, PATCH, RECEIPTS, RESULT, TRANSCRIPT};
use super::gather::{Got, Want};
use super::history::History;
use super::report::TaskResult;
use crate::dispatch::plan::Plan;
use crate::failure::{Failure, Kind};
use crate::report::clean::clean;
use crate::report::fold::RunState;
use crate::report::words;

/// A run, and where its results go.
pub struct Run {
    /// The run's own directory.
    pub dir: PathBuf,
    /// What was asked.
    pub plan: Plan,
    /// Where it stands.
    pub state: RunState,
    /// What became of its tasks, by task.
    pub histories: Vec<History>,
    /// Names of their directories, by task.
    pub folders: Vec<String>,
    /// Where these are.
    pub out: PathBuf,
}

/// Results of tasks, each with the task's place among the run's.
pub type Results<'a> = Vec<(usize, TaskResult<'a>)>;

impl Run {
    /// The directory of a task's results.
    pub fn folder(&self, task: usize) -> PathBuf {
        self.out.join(&self.folders[task])
    }

    /// The tasks that have ended, by their place.
    pub fn results(&self) -> Results<'_> {
        let tasks = self.state.tasks.iter().zip(&self.histories).enumerate();
        tasks.filter_map(|(n, (task, h))| Some((n, TaskResult::of(&self.state.run, task, h)?))).collect()
    }

    /// Makes the directories.
    ///
    /// # Errors
    /// The file system's own.
    pub fn make_room(&self, results: &[(usize, TaskResult<'_>)]) -> Result<(), Failure> {
        results.iter().try_for_each(|(task, _)| {
            let folder = self.folder(*task);
            files::directory(&folder).map_err(|error| unwritable(&folder, &error))
        })
    }

    /// Results of another run are not mixed with these.
    ///
    /// # Errors
    /// There are some.
    pub fn is_free(&self, results: &[(usize, TaskResult<'_>)]) -> Result<(), Failure> {
        for (task, _) in results {
            let folder = self.folder(*task);
            if let Some(before) = files::before(&folder).filter(|before| before.run != self.state.run) {
                let (shown, run) = (folder.display().to_string(), words::run(&before.run));
                return Err(Failure::usage(format!(
                    "{} holds results of the run {}",
                    clean(&shown),
                    clean(&run)
                ))
                .hint("name another directory with --out"));
            }
        }
        Ok(())
    }

    /// What each host is asked for; not again what is complete already.
    pub fn asks(&self, results: &[(usize, TaskResult<'_>)]) -> BTreeMap<String, Vec<Want>> {
        let mut asks: BTreeMap<String, Vec<Want>> = BTreeMap::new();
        for (task, result) in results {
            let (Some(host), Some(session)) = (result.host, result.session_id) else { continue };
            let folder = self.folder(*task);
            let changes = result.outcome.and_then(|outcome| outcome.changes.as_ref());
            let patch = changes.and_then(|changes| changes.patch.clone());
            let whole =
                folder.join(TRANSCRIPT).is_file() && (patch.is_none() || folder.join(PATCH).is_file());
            let same = |before: &files::Before| before.session_id.as_deref() == Some(session.as_str());
            if whole && files::before(&folder).is_some_and(|before| before.complete && same(&before)) {
                continue;
            }
            let want = Want { task: *task, folder, session: session.clone(), patch };
            asks.entry(host.to_owned()).or_default().push(want);
        }
        asks
    }

    /// The branches of each host.
    pub fn works(&self, results: &[(usize, TaskResult<'_>)]) -> BTreeMap<String, Vec<Work>> {
        let mut works: BTreeMap<String, Vec<Work>> = BTreeMap::new();
        for (task, result) in results {
            let Some(changes) = result.outcome.and_then(|outcome| outcome.changes.as_ref()) else { continue };
            let (Some(host), Some(repository)) = (result.host, &changes.repository) else { continue };
            let Some(branch) = &changes.branch else { continue };
            let saves =
                self.plan.requests.get(*task).and_then(|request| request.worktree.as_ref()?.save_every);
            // What an attempt went on with is on its branch from the beginning.
            let wanted = if changes.commit != changes.base || changes.continues.is_some() {
                format!("refs/heads/{branch}")
            } else if changes.uncommitted && saves.is_some() {
                // Nothing was committed but what the agent saved of it.
                cm_agent::work::names::wip_ref(&result.plan.task_id)
            } else {
                continue;
            };
            // Not where only the work it went on with is known, and not where that began.
            let begin = |base: &String| changes.continues.as_ref().is_none_or(|work| work.commit != *base);
            let base = changes.base.clone().filter(begin);
            let folder = self.folders[*task].clone();
            // Such an attempt leaves no branch if it had nothing to add.
            let added = changes.commit != changes.base || changes.continues.is_none();
            let saved = (!added).then(|| {
                let git = self.dir.join("git").display().to_string();
                (git, cm_agent::work::names::wip_ref(&result.plan.task_id))
            });
            let work = Work { task: *task, folder, repository: repository.clone(), wanted, base, saved };
            works.entry(host.to_owned()).or_default().push(work);
        }
        works
    }

    /// Writes what the record says; whether anything is missing.
    ///
    /// # Errors
    /// The file system's own.
    pub fn write(
        &self,
        results: &mut [(usize, TaskResult<'_>)],
        asks: &BTreeMap<String, Vec<Want>>,
        got: &BTreeMap<usize, Got>,
    ) -> Result<bool, Failure> {
        let asked: BTreeSet<usize> = asks.values().flatten().map(|want| want.task).collect();
        let mut missing = false;
        for (task, result) in results {
            let folder = self.folder(*task);
            match got.get(task) {
                Some(got) => {
                    result.missing.clone_from(&got.missing);
                    result.complete = got.missing.is_empty() && !got.open;
                }
                None if asked.contains(task) => {
                    let host = result.host.unwrap_or_default();
                    result.missing.push(format!("{host} did not answer"));
                    self.tidy(&folder, result).map_err(|error| unwritable(&folder, &error))?;
                }
                None => result.complete = true,
            }
            missing |= !result.missing.is_empty();
            let receipts = self.histories[*task].receipts();
            let mut lines = String::new();
            for receipt in receipts {
                lines.push_str(&crate::command::json(receipt)?);
            }
            let json = serde_json::to_vec_pretty(&result)
                .map_err(|e| Failure::new(Kind::Task, "cannot write JSON").because(&e))?;
            // The result last: it says whether the others are whole.
            files::write(&folder, RECEIPTS, lines.as_bytes())
                .and_then(|()| files::write(&folder, RESULT, &[&json[..], b"\n"].concat()))
                .map_err(|error| unwritable(&folder, &error))?;
        }
        Ok(missing)
    }

    /// What another session left is not passed off as this one's.
    fn tidy(&self, folder: &Path, result: &TaskResult<'_>) -> std::io::Result<()> {
        let session = result.session_id.map(|session| session.as_str());
        if files::before(folder).is_some_and(|before| before.session_id.as_deref() != session) {
            files::remove(folder, TRANSCRIPT)?;
            files::remove(folder, PATCH)?;
        }
        Ok(())
    }
}

/// The failure of writing there.
fn unwritable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::new(Kind::Task, format!("cannot write {}", path.display()))
        .because(error)
        .hint("name another directory with --out")
}

//! Work in progress on its way: fetched from hosts while tasks run, taken along when a task goes on elsewhere.
//!
//! What was fetched last stands in the run's directory: the commits in `git`, and in `work/<task>.json` which
//! attempt on which host they are from. So it outlives this process, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cm_client::Client;
use cm_client::protocol::Continues;
use tokio::sync::{OnceCell, Semaphore};
use tokio::time::{Instant, timeout};

use super::carry::Commit;
use super::plan::Plan;
use crate::fleet::way::Way;
use crate::report::event::{Class, RunEventKind};
use crate::report::fold::{RunState, Status, Wait};

mod parts;

use parts::{Parts, Source, read, write};

/// Tasks whose work is fetched at the same time; and as many tasks are sent work to go on with.
const AT_ONCE: usize = 4;
/// How long what an attempt left is looked for on its host, if that answers.
const LAST: Duration = Duration::from_secs(60);
/// How long a task waits for the work it is to go on with.
const BRING: Duration = Duration::from_secs(180);
/// Work is fetched so much later than it is saved, at most.
const LATER: Duration = Duration::from_secs(5);

/// What a task's work is fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Errand {
    /// The task's number.
    pub(super) task: usize,
    /// The host's place among the run's.
    pub(super) host: usize,
    /// The attempt that runs there.
    pub(super) attempt: u32,
}

/// The work of a run's tasks.
pub(super) struct Relay {
    dir: PathBuf,
    ways: Vec<Way>,
    /// By the tasks' numbers.
    sources: BTreeMap<usize, Source>,
    due: BTreeSet<(Instant, usize)>,
    when: BTreeMap<usize, Instant>,
    fetching: BTreeSet<usize>,
    /// Tasks that go on elsewhere, and the host and number of the attempt that failed.
    onward: BTreeMap<usize, (String, u32)>,
    /// What is to be gone on with, once that is there.
    ready: BTreeMap<(usize, u32), Option<Continues>>,
    made: Arc<OnceCell<()>>,
    room: Arc<Semaphore>,
}

impl Relay {
    /// For a run whose files are in `dir`; `None` where no task saves its work or nobody is there to take it along.
    pub(super) fn of(plan: &Plan, ways: Vec<Way>, dir: &Path, state: &RunState) -> Option<Self> {
        if plan.detach || ways.len() < 2 {
            return None;
        }
        let sources: BTreeMap<usize, Source> = plan
            .requests
            .iter()
            .zip(&plan.tasks)
            .filter_map(|(request, task)| Some((task.number, Source::of(request)?)))
            .collect();
        if sources.is_empty() {
            return None;
        }
        let mut relay = Self {
            dir: dir.to_owned(),
            ways,
            sources,
            due: BTreeSet::new(),
            when: BTreeMap::new(),
            fetching: BTreeSet::new(),
            onward: BTreeMap::new(),
            ready: BTreeMap::new(),
            made: Arc::default(),
            room: Arc::new(Semaphore::new(AT_ONCE)),
        };
        relay.remember(state);
        Some(relay)
    }

    /// Finds where things stand in a run that is gone on with.
    fn remember(&mut self, state: &RunState) {
        for task in &state.tasks {
            let last = task.tried.last().cloned();
            match &task.status {
                Status::Live(_) => self.fetch_later(task.plan.number),
                Status::Queued(Wait::Until { class, .. }) if *class != Class::Task => {
                    let last = (last.unwrap_or_default(), task.attempt);
                    self.onward.insert(task.plan.number, last);
                }
                Status::Placed { attempt, .. } => {
                    if let Some(host) = last {
                        self.onward.insert(task.plan.number, (host, attempt.saturating_sub(1)));
                    }
                }
                _ => {}
            }
        }
    }

    /// What has happened.
    pub(super) fn hear(&mut self, kind: &RunEventKind) {
        match kind {
            RunEventKind::TaskStarted { task, .. } => self.fetch_later(*task),
            // A task that failed by itself begins anew.
            RunEventKind::AttemptFailed { task, class: Class::Task, .. } => self.forget(*task),
            RunEventKind::AttemptFailed { task, attempt, host, .. } => {
                // One that never began left nothing.
                let began = self.when.contains_key(task);
                self.unschedule(*task);
                if began {
                    self.onward.insert(*task, (host.clone(), *attempt));
                }
            }
            RunEventKind::TasksReopened { tasks } => tasks.iter().for_each(|task| self.forget(*task)),
            RunEventKind::TaskFinished { task, .. } | RunEventKind::TaskParked { task, .. } => {
                self.unschedule(*task);
                self.onward.remove(task);
            }
            _ => {}
        }
    }

    fn fetch_later(&mut self, task: usize) {
        let Some(source) = self.sources.get(&task) else { return };
        let at = Instant::now() + source.every + (source.every / 4).min(LATER);
        self.unschedule(task);
        self.due.insert((at, task));
        self.when.insert(task, at);
    }

    fn unschedule(&mut self, task: usize) {
        if let Some(at) = self.when.remove(&task) {
            self.due.remove(&(at, task));
        }
    }

    fn forget(&mut self, task: usize) {
        self.unschedule(task);
        self.onward.remove(&task);
        let _ = fs::remove_file(self.note(task));
    }

    /// Whose work is to be fetched now. Each is answered by [`Self::fetched`].
    pub(super) fn errands(&mut self, now: Instant, state: &RunState) -> Vec<Errand> {
        let mut errands = Vec::new();
        let due: Vec<usize> =
            self.due.iter().take_while(|(at, _)| *at <= now).map(|(_, task)| *task).collect();
        for task in due {
            if self.fetching.len() >= AT_ONCE {
                break;
            }
            self.fetch_later(task);
            let Some((known, Status::Live(live))) = state.task(task).map(|known| (known, &known.status))
            else {
                self.unschedule(task);
                continue;
            };
            let Some(host) = state.host_index(&live.host).filter(|host| *host < self.ways.len()) else {
                continue;
            };
            if self.fetching.insert(task) {
                errands.push(Errand { task, host, attempt: known.attempt });
            }
        }
        errands
    }

    /// Fetches a task's work.
    pub(super) fn fetch(
        &self,
        client: Client,
        errand: Errand,
    ) -> impl Future<Output = Result<Option<Commit>, String>> + Send + use<> {
        let parts = self.parts(errand.task, errand.host);
        async move { parts.ok_or("it is not known where it works")?.fetch(&client).await }
    }

    /// What came of it.
    pub(super) fn fetched(
        &mut self,
        errand: Errand,
        host: &str,
        result: Result<Option<Commit>, String>,
        state: &RunState,
    ) {
        let Errand { task, attempt, .. } = errand;
        self.fetching.remove(&task);
        let current = state.task(task).is_some_and(|known| known.attempt == attempt);
        match result {
            Ok(Some(commit)) if current => {
                let work =
                    Continues { host: host.to_owned(), attempt, commit: commit.to_string(), base: None };
                self.write(task, &work);
            }
            Ok(_) => {}
            Err(error) => tracing::debug!(task, host, %error, "its work in progress was not fetched"),
        }
    }

    fn note(&self, task: usize) -> PathBuf {
        self.dir.join("work").join(format!("{task}.json"))
    }

    fn write(&self, task: usize, work: &Continues) {
        if let Err(error) = write(&self.note(task), work) {
            tracing::debug!(task, %error, "what was fetched of it cannot be noted");
        }
    }

    /// Whether work has to be brought to the host before the task is asked for there.
    pub(super) fn must_bring(&self, task: usize, attempt: u32) -> bool {
        self.sources.contains_key(&task)
            && self.onward.contains_key(&task)
            && !self.ready.contains_key(&(task, attempt))
    }

    /// The host of the attempt that failed.
    pub(super) fn left_on(&self, task: usize) -> Option<&str> {
        self.onward.get(&task).map(|(host, _)| host.as_str())
    }

    /// Brings the work of a task's last attempts to a host; `old` is the host it was on, where that answers. `None`:
    /// there is none.
    pub(super) fn bring(
        &self,
        task: usize,
        (host, client): (usize, Client),
        old: Option<(usize, Client)>,
    ) -> impl Future<Output = Result<Option<Continues>, String>> + Send + use<> {
        let to = self.parts(task, host);
        let from = old.and_then(|(host, client)| Some((self.parts(task, host)?, client)));
        let last = self.onward.get(&task).cloned();
        let (note, room) = (self.note(task), Arc::clone(&self.room));
        async move {
            let Some(to) = to else { return Ok(None) };
            let _permit = room.acquire_owned().await.map_err(|error| error.to_string())?;
            let bringing = async {
                let mut work = read(&note);
                if let (Some((from, client)), Some((host, attempt))) = (from, last) {
                    let newest = timeout(LAST, from.fetch(&client)).await;
                    match newest {
                        Ok(Ok(Some(commit))) => {
                            let newest = Continues { host, attempt, commit: commit.to_string(), base: None };
                            let _ = write(&note, &newest);
                            work = read(&note).or(Some(newest));
                        }
                        other => tracing::debug!(task, ?other, "what was left there last is not to be had"),
                    }
                }
                let Some(work) = work else { return Ok(None) };
                to.send(&client).await?;
                Ok(Some(work))
            };
            let late = || format!("it took longer than {} s to bring its work there", BRING.as_secs());
            timeout(BRING, bringing).await.unwrap_or_else(|_| Err(late()))
        }
    }

    /// What was brought, if anything.
    pub(super) fn brought(&mut self, task: usize, attempt: u32, work: Option<Continues>) {
        self.ready.insert((task, attempt), work);
    }

    /// What the attempt is to go on with.
    pub(super) fn goes_on_with(&self, task: usize, attempt: u32) -> Option<&Continues> {
        self.ready.get(&(task, attempt))?.as_ref()
    }

    fn parts(&self, task: usize, host: usize) -> Option<Parts> {
        Some(Parts {
            way: self.ways.get(host)?.clone(),
            source: self.sources.get(&task)?.clone(),
            git: self.dir.join("git"),
            made: Arc::clone(&self.made),
        })
    }
}

#[cfg(test)]
mod tests;

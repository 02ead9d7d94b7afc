//! One task's work: where it is on hosts, how it is carried, what is noted of it here.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cm_agent::work::names::wip_ref;
use cm_client::Client;
use cm_client::protocol::{Continues, CreateSession};
use tokio::sync::OnceCell;

use crate::dispatch::carry::{self, Commit, Place};
use crate::fleet::way::Way;

/// Where work is, on a host.
#[derive(Debug, Clone)]
pub(super) struct Source {
    /// The address of a repository that hosts have by themselves.
    pub(super) url: Option<String>,
    /// Else where the task works.
    pub(super) path: String,
    /// The ref, by its whole name.
    pub(super) wanted: String,
    pub(super) every: Duration,
}

impl Source {
    pub(super) fn of(request: &CreateSession) -> Option<Self> {
        let every = request.worktree.as_ref()?.save_every?;
        let context = request.context.as_ref();
        let path = match context.and_then(|context| context.path.as_deref()).unwrap_or("") {
            "" | "~" => "~/.".to_owned(),
            path if path.starts_with(['/', '~']) => path.to_owned(),
            // As agents take it.
            path => format!("~/{path}"),
        };
        Some(Self {
            url: context.and_then(|context| Some(context.repo.as_ref()?.url.clone())),
            path,
            wanted: wip_ref(request.task_id.as_deref()?),
            every: Duration::try_from_secs_f64(every).ok()?,
        })
    }
}

/// All it takes to carry one task's work from or to one host.
pub(super) struct Parts {
    pub(super) way: Way,
    pub(super) source: Source,
    pub(super) git: PathBuf,
    pub(super) made: Arc<OnceCell<()>>,
}

impl Parts {
    pub(super) async fn fetch(&self, client: &Client) -> Result<Option<Commit>, String> {
        // Made once: two at a time would be in each other's way.
        let git = self.git.to_str().ok_or("the run's directory is no valid text")?;
        self.made
            .get_or_try_init(|| carry::prepare(&Place::Here, git))
            .await
            .map_err(|error| error.to_string())?;
        let (directory, present) = self.locate(client).await?;
        if !present {
            return Ok(None);
        }
        let place = Place::from(&self.way);
        let fetched = carry::fetch(&place, &directory, &self.source.wanted, &self.git).await;
        fetched.map_err(|error| error.to_string())
    }

    pub(super) async fn send(&self, client: &Client) -> Result<(), String> {
        let (directory, present) = self.locate(client).await?;
        let place = Place::from(&self.way);
        if !present {
            carry::prepare(&place, &directory).await.map_err(|error| error.to_string())?;
        }
        let sent = carry::send(&self.git, &self.source.wanted, &place, &directory).await;
        sent.map(drop).map_err(|error| error.to_string())
    }

    /// The repository's directory on the host, and whether it is there.
    async fn locate(&self, client: &Client) -> Result<(String, bool), String> {
        let Some(url) = &self.source.url else { return Ok((self.source.path.clone(), true)) };
        let probed = client.probe(Vec::new(), vec![url.clone()]).await.map_err(|error| error.to_string())?;
        let found = probed.repos.into_iter().find(|found| found.url == *url);
        let found = found.and_then(|found| Some((found.directory?, found.present)));
        found.ok_or_else(|| "its agent does not say where the repository is".to_owned())
    }
}

/// Notes which attempt saved work, unless it is what is known already.
pub(super) fn write(note: &Path, work: &Continues) -> std::io::Result<()> {
    if read(note).is_some_and(|known| known.commit == work.commit) {
        return Ok(());
    }
    let fresh = note.with_extension("new");
    fs::create_dir_all(note.parent().unwrap_or(note))?;
    fs::write(&fresh, serde_json::to_vec(work)?)?;
    fs::rename(&fresh, note)
}

pub(super) fn read(note: &Path) -> Option<Continues> {
    serde_json::from_slice(&fs::read(note).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_a_tasks_work_is() {
        #[track_caller]
        fn check(path: Option<&str>, expected: &str) {
            let request = CreateSession {
                context: Some(cm_client::protocol::Context {
                    path: path.map(str::to_owned),
                    ..Default::default()
                }),
                task_id: Some("run-1-1".into()),
                worktree: Some(cm_client::protocol::Worktree {
                    save_every: Some(60.0),
                    ..Default::default()
                }),
                ..CreateSession::default()
            };
            let source = Source::of(&request).expect("it saves");
            assert_eq!((source.path.as_str(), source.wanted.as_str()), (expected, "refs/cm/run-1-1/wip"));
        }
        check(None, "~/.");
        check(Some("~"), "~/.");
        check(Some("~/src"), "~/src");
        check(Some("src/app"), "~/src/app");
        check(Some("/srv/app"), "/srv/app");
        assert!(Source::of(&CreateSession::default()).is_none());
    }

    #[test]
    fn whose_work_it_was_is_kept_while_it_is_the_same() {
        let dir = tempfile::tempdir().expect("a directory");
        let note = dir.path().join("work/1.json");
        let work = |attempt, commit: &str| Continues {
            host: "h".into(),
            attempt,
            commit: commit.into(),
            base: None,
        };
        assert_eq!(read(&note), None);
        for (given, kept) in [(work(1, "a"), 1), (work(2, "a"), 1), (work(2, "b"), 2)] {
            write(&note, &given).expect("written");
            assert_eq!(read(&note).map(|work| work.attempt), Some(kept));
        }
    }
}

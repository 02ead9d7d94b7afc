//! Keeping work in progress: at intervals while a task works, and once more when it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use cm_protocol::SessionId;
use tokio::task::JoinHandle;

use super::actor::Actor;
use super::record::SessionRecord;
use crate::host::clock;
use crate::work::{self, Tree, names};

/// A session whose work is saved.
pub(super) struct Saving {
    every: Duration,
    /// When to save next.
    due: Duration,
    running: Option<JoinHandle<()>>,
    /// Trouble has been told; more of it is not.
    troubled: Arc<AtomicBool>,
}

impl Saving {
    /// Where the task asked for it.
    pub(super) fn of(record: &SessionRecord) -> Option<Self> {
        let seconds = record.tree.as_ref()?.save_every?;
        let every = Duration::try_from_secs_f64(seconds).ok()?;
        let due = clock::now() + every;
        Some(Self { every, due, running: None, troubled: Arc::default() })
    }
}

impl Actor {
    /// When work is to be saved next. Nothing is done in a task that has ended or stands still.
    pub(super) fn save_at(&self) -> Option<Duration> {
        let rests =
            self.view.ended || self.record.paused_since.is_some() || self.machine.state().is_terminal();
        self.saving.as_ref().filter(|_| !rests).map(|saving| saving.due)
    }

    /// Saves, without anybody waiting for it. One that is still under way is left alone.
    pub(super) fn save(&mut self) {
        let (stop, work) = (self.engine.stop.clone(), self.work());
        let Some(saving) = &mut self.saving else { return };
        saving.due = clock::now() + saving.every;
        let Some(work) = work else { return };
        if saving.running.as_ref().is_some_and(|running| !running.is_finished()) {
            return;
        }
        saving.running = Some(self.engine.tracker.spawn(async move {
            tokio::select! {
                () = work.save() => {}
                () = stop.cancelled() => {}
            }
        }));
    }

    /// Saves what there is in the end, and waits for it.
    pub(super) async fn save_last(&mut self) {
        let Some(work) = self.work() else { return };
        if let Some(running) = self.saving.as_mut().and_then(|saving| saving.running.take()) {
            // It has a deadline of its own.
            let _ = running.await;
        }
        work.save().await;
    }

    /// Lets go of what was saved where the work tree has gone too: all of it stands elsewhere.
    pub(super) async fn forget_saved(&self) {
        let Some(work) = self.work() else { return };
        if let Err(error) = work::save::forget(&work.tree.repository, &work.reference).await {
            tracing::debug!(session = %work.session, %error, "what was saved of it stays");
        }
    }

    fn work(&self) -> Option<Work> {
        let (saving, tree) = (self.saving.as_ref()?, self.record.tree.clone()?);
        let record = &self.record;
        let task = record.task.as_ref().map(|task| task.task_id.clone()).or_else(|| record.name.clone());
        let task = task.unwrap_or_else(|| record.id.to_string());
        let reference = names::wip_ref(&task);
        let troubled = saving.troubled.clone();
        Some(Work { session: record.id.clone(), task, reference, tree, troubled })
    }
}

/// What is saved, and where.
struct Work {
    session: SessionId,
    task: String,
    reference: String,
    tree: Tree,
    troubled: Arc<AtomicBool>,
}

impl Work {
    async fn save(self) {
        let message = format!("work in progress: {}\n\nSaved by cm-agent in {}.\n", self.task, self.session);
        let saved = work::save(&self.tree.root, &self.reference, &self.tree.commit, &message).await;
        let first = !self.troubled.load(Ordering::Relaxed);
        match saved {
            Ok(Some(saved)) if saved.left_out > 0 && first => {
                self.troubled.store(true, Ordering::Relaxed);
                let count = saved.left_out;
                tracing::warn!(session = %self.session, count, "too large or unreadable, and not saved");
            }
            Ok(saved) => tracing::debug!(session = %self.session, ?saved, "saved"),
            Err(error) if first => {
                self.troubled.store(true, Ordering::Relaxed);
                tracing::warn!(session = %self.session, %error, "its work in progress is not saved");
            }
            Err(error) => tracing::debug!(session = %self.session, %error, "still not saved"),
        }
    }
}

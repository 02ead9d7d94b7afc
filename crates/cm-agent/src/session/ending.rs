//! Pausing and ending a session: its processes, its terminal, and everything else it owns.

use std::time::Duration;

use cm_protocol::EventKind;

use super::actor::{Actor, Round, Unreached};
use super::handle::Answer;
use super::launch;
use super::record::Phase;
use crate::host::clock;
use crate::host::process::{self, Frozen, Grace, Leader, Marker};
use crate::tmux::Control;
use crate::tool::{Exit, Input};
use crate::work::{self, Removed};

/// What a process tree is given to end by itself.
const GRACE: Duration = Duration::from_secs(2);

impl Actor {
    pub(super) async fn pause(&mut self, control: &Control, answer: Answer<bool>) -> Round {
        if self.record.paused_since.is_some() || self.view.ended {
            let why = if self.view.ended { "its program has ended" } else { "it is paused already" };
            let _ = answer.send(Err(self.conflict(why)));
            return Round::On;
        }
        let frozen = match self.program() {
            Some(program) => process::freeze(program, Leader::Shim, Some(&self.marker())).await,
            None => Frozen::No("its first process is not known"),
        };
        if let Frozen::No(why) = &frozen {
            tracing::info!(session = %self.record.id, why, "paused, but its processes go on");
        }
        self.engine.hub.update(&self.record.id, |r| r.paused_since = Some(clock::unix_now()));
        self.recall();
        let round = self.step(Some(control), Input::Paused).await;
        let _ = answer.send(Ok(matches!(frozen, Frozen::Yes(_))));
        round
    }

    pub(super) async fn resume(&mut self, control: &Control, answer: Answer<()>) -> Round {
        let Some(since) = self.record.paused_since else {
            let _ = answer.send(Err(self.conflict("it is not paused")));
            return Round::On;
        };
        if let Some(program) = self.program() {
            process::thaw(program, Some(&self.marker()));
        }
        self.engine.hub.update(&self.record.id, |r| {
            r.paused_for += (clock::unix_now() - since).max(0.0);
            r.paused_since = None;
        });
        self.recall();
        let round = self.step(Some(control), Input::Resumed).await;
        let _ = answer.send(Ok(()));
        self.look_soon();
        round
    }

    pub(super) async fn kill(&mut self, control: &Control, why: Option<String>, answer: Answer<()>) -> Round {
        // First the decision, so that the program's end is not taken for its own doing.
        self.step(Some(control), Input::KillRequested { why }).await;
        let round = self.close(Some(control)).await;
        let _ = answer.send(Ok(()));
        round
    }

    /// Ends a session whose terminal does not answer.
    pub(super) async fn kill_unreachable(&mut self, why: Option<String>, answer: Answer<()>) {
        self.step(None, Input::KillRequested { why }).await;
        self.close(None).await;
        let _ = answer.send(Ok(()));
    }

    pub(super) async fn time_out(&mut self, control: &Control) -> Round {
        let after = Duration::try_from_secs_f64(self.record.timeout.unwrap_or_default()).unwrap_or_default();
        self.step(Some(control), Input::TimedOut { after }).await;
        self.end_processes().await;
        // The terminal itself stays as long as it was meant to.
        self.look_soon();
        Round::On
    }

    /// Ends the program and everything it started, but not the terminal that shows its last words.
    pub(super) async fn end_processes(&self) {
        if self.record.paused_since.is_some()
            && let Some(program) = self.program()
        {
            process::thaw(program, Some(&self.marker()));
        }
        let roots: Vec<_> = self.program().into_iter().collect();
        let grace = Grace { ask: GRACE, ..Grace::default() };
        let ended = process::end_tree(&roots, Some(&self.marker()), grace).await;
        if !ended.survivors.is_empty() {
            tracing::error!(session = %self.record.id, survivors = ?ended.survivors, "processes did not end");
        }
    }

    pub(super) fn marker(&self) -> Marker {
        Marker::session(self.record.id.as_str())
    }

    /// Saves the text and removes everything the session owns.
    pub(super) async fn close(&mut self, control: Option<&Control>) -> Round {
        if let Some(control) = control {
            if let Err(error) = self.save_text(control).await {
                tracing::warn!(session = %self.record.id, %error, "its text could not be read");
            }
            self.end_processes().await;
            // A server that is gone already is what is wanted.
            let _ = control.kill_server().await;
        } else {
            self.end_processes().await;
        }
        launch::clear(&self.engine, &self.record.id).await;
        self.leave_tree().await;
        // What stood there before is not needed any more: nothing will change now.
        let _ = std::fs::remove_dir_all(self.engine.base_dir(&self.record.id));
        self.engine.hub.publish(EventKind::SessionClosed { session_id: self.record.id.clone() });
        self.record.phase = Phase::Closed { at: clock::unix_now() };
        Round::Over
    }

    /// A work tree in which nothing was done goes; one that holds work is left where it is, and said.
    async fn leave_tree(&self) {
        let Some(tree) = &self.record.tree else { return };
        match work::remove_worktree(tree, false).await {
            Ok(Removed::Gone) => self.forget_saved().await,
            Ok(Removed::Kept(why)) => tracing::info!(session = %self.record.id, why, "its work tree stays"),
            Err(error) => {
                tracing::warn!(session = %self.record.id, %error, "its work tree cannot be removed")
            }
        }
    }

    /// The terminal's server is proven dead without anyone here having ended it.
    pub(super) async fn vanished(&mut self, error: &Unreached) {
        if !self.machine.state().is_terminal() {
            let cause = self.cause(error).await;
            self.step(None, Input::Vanished { cause }).await;
        } else {
            self.catch_up(None, &Exit::default()).await;
        }
        self.close(None).await;
    }

    /// Why it vanished, as well as can be known.
    pub(super) async fn cause(&self, error: &Unreached) -> String {
        if self.record.boot_id != self.engine.boot_id {
            return "the host was restarted".into();
        }
        if let (Some(manager), Some(unit)) = (&self.engine.manager, &self.record.unit)
            && let Ok(state) = manager.unit_state(unit, GRACE).await
            && let Some(ending) = state.ending()
        {
            return format!("its terminal is gone with the unit {unit}: {ending}");
        }
        match &self.record.unit {
            Some(unit) => format!("its terminal, the unit {unit}, is gone ({error})"),
            None => format!("its terminal is gone ({error})"),
        }
    }
}

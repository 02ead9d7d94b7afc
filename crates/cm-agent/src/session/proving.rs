//! What proves a task done: its check, and what changed in the work tree.

use std::time::Duration;

use cm_protocol::{Changes, CheckResult, Proof, State};
use tokio::sync::oneshot;

use super::actor::{Actor, Round};
use crate::host::clock;
use crate::tmux::Control;
use crate::tool::{Input, until};
use crate::work;

/// How long a check may take where the task does not say.
const CHECK: Duration = Duration::from_secs(600);

/// A check under way. Dropping it ends it with everything it started.
pub(super) struct Checking {
    result: oneshot::Receiver<CheckResult>,
    /// Cancels the check when the session ends before it.
    _stop: tokio_util::sync::DropGuard,
}

/// What stands behind the end of a task.
#[derive(Default)]
pub(super) struct Proven {
    pub(super) proof: Option<Proof>,
    pub(super) check: Option<CheckResult>,
    pub(super) changes: Option<Changes>,
}

impl Checking {
    /// The result of a check, once it is there; never, where none is under way.
    pub(super) async fn wait(slot: &mut Option<Self>) -> CheckResult {
        let Some(checking) = slot else { return std::future::pending().await };
        let result = (&mut checking.result).await;
        *slot = None;
        result.unwrap_or_else(|_| CheckResult {
            error: Some("the agent ended while it ran".into()),
            ..CheckResult::default()
        })
    }
}

impl Actor {
    /// Starts the task's check. Its result comes as an event of its own: nobody waits for it here.
    pub(super) fn run_check(&mut self) {
        let Some(check) = self.record.check.clone() else { return };
        let (told, result) = oneshot::channel();
        let stop = self.engine.stop.child_token();
        let timeout = check.timeout.and_then(|s| Duration::try_from_secs_f64(s).ok()).unwrap_or(CHECK);
        let (dir, env) = (self.work_dir(), self.env.clone());
        let session = self.record.id.to_string();
        let cancelled = stop.clone();
        self.engine.tracker.spawn(async move {
            let run = work::check(&check.command, &dir, &env, timeout, &session);
            tokio::select! {
                result = run => drop(told.send(result)),
                () = cancelled.cancelled() => {}
            }
        });
        self.checking = Some(Checking { result, _stop: stop.drop_guard() });
    }

    /// The check has run.
    pub(super) async fn checked(&mut self, control: &Control, mut result: CheckResult) -> Round {
        let runs = self.record.checked.as_ref().map_or(0, |before| before.runs) + 1;
        result.runs = runs;
        let passed = result.exit_code == Some(0);
        let retries = self.record.check.as_ref().map_or(0, |check| check.retries);
        let again = (!passed && runs <= retries).then(|| work::failure_message(&result));
        let summary = match (&result.exit_code, &result.error) {
            (Some(code), _) => format!("exit code {code} from {:?}", result.command),
            (None, Some(error)) => error.clone(),
            (None, None) => "it did not end".into(),
        };
        self.engine.hub.update(&self.record.id, |record| record.checked = Some(result));
        self.recall();
        self.step(Some(control), Input::Checked { passed, summary, again }).await
    }

    /// What stands behind the end of the task.
    pub(super) async fn proof(&self, state: State) -> Proven {
        let check = self.record.checked.clone();
        let verified = check.as_ref().is_some_and(|check| check.exit_code == Some(0));
        // A script claims nothing: its exit code is its result.
        let claims = !self.machine.profile().life_is_process();
        let proof = match (state, verified) {
            (State::Done, true) => Some(Proof::Verified),
            (State::Done, false) if claims => Some(Proof::Claimed),
            _ => None,
        };
        Proven { proof, check, changes: self.changes().await }
    }

    async fn changes(&self) -> Option<Changes> {
        let base = self.record.base.as_ref()?;
        let patch = self.record.tree.is_some().then(|| self.engine.patch_file(&self.record.id));
        match work::changes(base, patch.as_deref()).await {
            Ok(mut changes) => {
                let tree = self.record.tree.as_ref();
                changes.worktree = tree.map(|tree| tree.root.display().to_string());
                let repository = tree.map_or(&base.root, |tree| &tree.repository);
                changes.repository = Some(repository.display().to_string());
                changes.continues = tree.and_then(|tree| tree.continues.clone());
                Some(changes)
            }
            Err(error) => {
                tracing::warn!(session = %self.record.id, %error, "what changed cannot be told");
                None
            }
        }
    }

    /// The directory the task works in.
    pub(super) fn work_dir(&self) -> std::path::PathBuf {
        self.record.path.clone().into()
    }
}

/// When a limit is over, Unix seconds: as the reason says it, if it does.
pub(super) fn until(reason: &str) -> Option<f64> {
    let words = reason.strip_prefix("rate_limited")?;
    until::parse(words, clock::unix_now(), clock::utc_offset())
}

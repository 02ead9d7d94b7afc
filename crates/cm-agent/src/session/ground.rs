//! The ground a task works on: a repository by address, a work tree of its own, and where both stood when it began.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::{ErrorCode, ErrorReply};

use super::Engine;
use super::create::Spec;
use crate::work::{self, WorkError, mirrors, names, repo};

/// How often it is looked for repositories that nobody needs.
const SWEEP: Duration = Duration::from_secs(86_400);

/// Removes repositories that nobody needs any more, now and once a day, for as long as the agent lives.
pub fn watch_mirrors(engine: &Arc<Engine>, keep: mirrors::Keep) {
    let (state, stop) = (engine.state.clone(), engine.stop.clone());
    engine.tracker.spawn(async move {
        loop {
            let swept = async {
                for gone in mirrors::sweep(&state, &keep).await {
                    tracing::info!(mirror = %gone.display(), "nobody has needed it for long; removed");
                }
                tokio::time::sleep(SWEEP).await;
            };
            tokio::select! {
                () = swept => {}
                () = stop.cancelled() => return,
            }
        }
    });
}

/// Gets the repository that a task asks for; minutes where it has to be cloned. From then on the task's directory
/// is there.
///
/// # Errors
/// What to answer.
pub(super) async fn fetch(engine: &Engine, spec: &mut Spec) -> Result<(), ErrorReply> {
    let Some(wanted) = &spec.repo else { return Ok(()) };
    let obtain = repo::obtain(&engine.state, &wanted.remote, wanted.reference.as_deref());
    let obtained = tokio::select! {
        obtained = obtain => obtained,
        // Its end need not wait for a clone.
        () = engine.stop.cancelled() => {
            return Err(ErrorReply::create_failed(ErrorCode::Internal, "the agent is ending"));
        }
    };
    let mirror = obtained.map_err(|error| match error {
        WorkError::UnknownReference { .. } => bad("context.repo.ref", &error),
        _ => ErrorReply::create_failed(ErrorCode::Internal, error),
    })?;
    if let Some(below) = &wanted.below
        && !repo::has_directory(&mirror, below).await.map_err(|error| bad("context.path", &error))?
    {
        let (url, short) = (wanted.remote.url(), &mirror.commit[..10]);
        return Err(bad("context.path", &format!("the commit {short} of {url} has no directory {below:?}")));
    }
    spec.path = mirror.dir.display().to_string();
    let tree = spec.worktree.get_or_insert_default();
    tree.base.get_or_insert(mirror.commit);
    Ok(())
}

/// A work tree of its own if the task is to have one, and where the repository stands.
///
/// # Errors
/// What to answer.
pub(super) async fn prepare(
    engine: &Engine,
    spec: &mut Spec,
    warnings: &mut Vec<String>,
) -> Result<(Option<work::Base>, Option<work::Tree>), ErrorReply> {
    let tree = match &spec.worktree {
        None => None,
        Some(wanted) => {
            let task = spec.name.clone().or_else(|| spec.task.as_ref().map(|task| task.task_id.clone()));
            let task = task.unwrap_or_else(|| spec.id.to_string());
            let parent = engine.worktrees().join(spec.id.as_str());
            let tree = work::add_worktree(Path::new(&spec.path), wanted, &task, &parent).await;
            let mut tree = tree.map_err(|error| match &error {
                WorkError::UnknownBase { .. } if wanted.continues.is_some() => {
                    bad("worktree.continues.commit", &error)
                }
                _ => bad("worktree", &error),
            })?;
            if let Some(below) = spec.repo.as_ref().and_then(|wanted| wanted.below.as_deref()) {
                tree.dir = tree.root.join(below);
                // What is gone on with may not have it any more.
                std::fs::create_dir_all(&tree.dir).map_err(|error| bad("context.path", &error))?;
            }
            if wanted.continues.is_none() {
                forget_stale(spec, &tree).await;
            }
            spec.path = tree.dir.display().to_string();
            warnings.extend(tree.warnings.iter().cloned());
            Some(tree)
        }
    };
    // A repository that cannot be read is no reason not to start: only what changed will not be told.
    // A script is over in a moment and says itself what it does; the work of a coding tool is worth telling
    // apart from what stood there before.
    let keep = tree.is_none() && !spec.profile.life_is_process();
    let keep = keep.then(|| engine.base_dir(&spec.id));
    let base = match work::base(Path::new(&spec.path), keep.as_deref()).await {
        // The whole of what the task has changed, whichever attempt did it.
        Ok(base) => base.map(|base| work::Base {
            commit: tree.as_ref().and_then(|tree| tree.origin.clone()).or(base.commit),
            ..base
        }),
        Err(error) => {
            warnings.push(format!("what changes cannot be told: {error}"));
            None
        }
    };
    Ok((base, tree))
}

/// One that begins anew must not be taken for what an earlier attempt saved: nobody is to go on with that.
async fn forget_stale(spec: &Spec, tree: &work::Tree) {
    let Some(task) = spec.task.as_ref().filter(|_| tree.save_every.is_some()) else { return };
    let reference = names::wip_ref(&task.task_id);
    if let Err(error) = work::save::discard(&tree.repository, &reference).await {
        tracing::warn!(session = %spec.id, %error, "what an earlier attempt saved is still there");
    }
}

fn bad(field: &str, why: &(impl ToString + ?Sized)) -> ErrorReply {
    let mut reply = ErrorReply::create_failed(ErrorCode::BadRequest, why.to_string());
    reply.field = Some(field.to_owned());
    reply
}

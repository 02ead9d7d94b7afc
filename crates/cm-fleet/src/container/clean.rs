//! What is left of deployments: of one that died in the middle, and of those before.

use std::cmp::Reverse;

use bollard::query_parameters::RemoveImageOptions;
use tokio::time::Instant;

use super::ask::{self, Depth};
use super::engine::Engine;
use super::error::EngineError;
use super::facts::{Listed, Seen};
use super::plan::Known;
use super::steps::Work;
use super::swap::Swap;
use super::wanted::{Names, Role, label};
use super::{image, make};

/// Agents that are kept to go back to, beside the one in use.
const KEPT: usize = 3;

/// PURE. The generation of a container.
fn number(one: &Listed) -> u64 {
    one.labels.get(label::GENERATION).and_then(|number| number.parse().ok()).unwrap_or(0)
}

/// PURE. The agents that are kept, the newest first.
fn kept<'a>(names: &Names, ours: &'a [Listed]) -> Vec<&'a Listed> {
    let mut kept: Vec<&Listed> = ours.iter().filter(|one| one.name == names.kept(number(one))).collect();
    kept.sort_by_key(|one| Reverse(number(one)));
    kept
}

/// Podman does not let go of a keeper while a kept agent was made for it: those cannot come back then, either.
async fn remove_keeper(
    engine: &Engine,
    names: &Names,
    ours: &[Listed],
    keeper: &str,
) -> Result<(), EngineError> {
    let Err(error) = make::remove(engine, keeper).await else { return Ok(()) };
    tracing::debug!(%error, "the old keeper is removed with the agents made for it");
    for one in kept(names, ours) {
        make::remove(engine, &one.id).await?;
    }
    make::remove(engine, keeper).await
}

/// Undoes what an earlier deployment has left half done; what is there then.
///
/// # Errors
/// The engine does not do it, or does not say.
pub async fn tidy(work: &Work<'_>, engine: &Engine, seen: &Seen) -> Result<Seen, EngineError> {
    let names = work.wanted.names();
    let by_name = |name: &str| seen.ours.iter().find(|one| one.name == name);
    for role in [Role::Agent, Role::Keeper] {
        if let Some(left) = by_name(&names.next(role)) {
            make::remove(engine, &left.id).await?;
        }
    }
    let (agent, keeper) = (by_name(&names.before(Role::Agent)), by_name(&names.before(Role::Keeper)));
    if agent.is_none() && keeper.is_none() {
        return Ok(seen.clone());
    }
    let confirmed = seen.agent.as_ref().is_some_and(|found| !found.unconfirmed());
    for (role, old, found) in [(Role::Agent, agent, &seen.agent), (Role::Keeper, keeper, &seen.keeper)] {
        match old {
            // It was done but for this.
            Some(old) if confirmed && role == Role::Agent => {
                make::rename(engine, &old.id, &names.kept(number(old))).await?;
            }
            Some(old) if confirmed => remove_keeper(engine, &names, &seen.ours, &old.id).await?,
            Some(old) => {
                if let Some(found) = found {
                    make::remove(engine, &found.id).await?;
                }
                make::rename(engine, &old.id, &names.of(role)).await?;
            }
            None => {}
        }
    }
    if !confirmed {
        work.warn("an earlier deployment was left unconfirmed: it was undone first".to_owned(), None);
    }
    let known = Known::Elsewhere { why: String::new() };
    ask::ask(engine, work.wanted, &known, Depth::Whole).await
}

/// Keeps the old agent to go back to, and removes what is kept no longer. What fails here is tried again next time.
pub async fn clean(work: &Work<'_>, engine: &Engine, seen: &Seen, swap: &Swap) {
    let began = Instant::now();
    if let Err(error) = try_clean(work, engine, seen, swap).await {
        work.warn(format!("something old is left there: {error}"), None);
    }
    work.step("clean", began, None);
}

async fn try_clean(work: &Work<'_>, engine: &Engine, seen: &Seen, swap: &Swap) -> Result<(), EngineError> {
    let names = work.wanted.names();
    let was_good = seen.agent.as_ref().is_some_and(|agent| !agent.unconfirmed());
    match &swap.old {
        Some((old, generation)) if was_good && *generation > 0 => {
            make::rename(engine, old, &names.kept(*generation)).await?;
        }
        Some((old, _)) => make::remove(engine, old).await?,
        None => {}
    }
    let ours = ask::ours(engine, work.wanted).await?;
    let mut kept = kept(&names, &ours);
    let mut images = Vec::new();
    for one in kept.drain(kept.len().min(KEPT)..) {
        make::remove(engine, &one.id).await?;
        images.push(one.image.clone());
    }
    if let Some(old) = &swap.old_keeper {
        remove_keeper(engine, &names, &ours, old).await?;
    }
    for id in images {
        // One that has a name, or that a container uses, stays.
        if image::inspect(engine, &id).await?.is_some_and(|image| image.tags.is_empty()) {
            let _ = engine.docker.remove_image(&id, None::<RemoveImageOptions>, None).await;
        }
    }
    Ok(())
}

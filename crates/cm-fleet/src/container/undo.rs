//! The ways back: an earlier generation, no container at all.

use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::RemoveVolumeOptionsBuilder;
use cm_protocol::deploy::HostAfter;
use tokio::time::Instant;

use super::ask::{self, Depth};
use super::engine::Engine;
use super::error::EngineError;
use super::facts::{Image, Listed, Seen, bare};
use super::plan::Known;
use super::steps::{self, Work};
use super::swap::Swap;
use super::wanted::{Role, STOP, Stamp, first_policy, label};
use super::{clean, image, make};
use crate::deploy::event::Outcome;
use crate::deploy::host;

/// Nothing of ours is known of an image here.
fn unknown() -> Known {
    Known::Elsewhere { why: String::new() }
}

/// Takes a host back that had changed well, because others did not: to the generation before, or to none.
pub async fn take_back(work: &Work<'_>) -> Outcome {
    let engine = match work.road.connect(work.keys, None).await {
        Ok(engine) => engine,
        Err(error) => return error.outcome("rollback", None),
    };
    let seen = match ask::ask(&engine, work.wanted, &unknown(), Depth::Whole).await {
        Ok(seen) => seen,
        Err(error) => return error.outcome("rollback", None),
    };
    let outcome = match chosen(work, &seen, None) {
        Some(_) => roll_back(work, engine, None).await,
        None => uninstall(work, engine, false, true).await,
    };
    match outcome {
        Outcome::Changed(done) => Outcome::TakenBack { generation: Some(done.generation) },
        Outcome::Removed => Outcome::TakenBack { generation: None },
        other => other,
    }
}

/// The kept container to go back to: `to`, a number or the beginning of an image's id, else the newest.
fn chosen<'a>(work: &Work<'_>, seen: &'a Seen, to: Option<&str>) -> Option<&'a Listed> {
    let names = work.wanted.names();
    let current = names.of(Role::Agent);
    let number =
        |one: &Listed| one.labels.get(label::GENERATION).and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
    let fits = |one: &&Listed| match to {
        None => true,
        Some(to) if to.len() < 8 => number(one).to_string() == to,
        Some(to) => one.labels.get(label::IMAGE).is_some_and(|id| bare(id).starts_with(to)),
    };
    let agents =
        seen.ours.iter().filter(|one| one.labels.get(label::ROLE).is_some_and(|role| role == "agent"));
    agents
        .filter(|one| one.name != current && one.name == names.kept(number(one)))
        .filter(fits)
        .max_by_key(|one| number(one))
}

/// Brings a host back to an earlier generation, which becomes the newest: made anew of what is kept of it, and
/// confirmed like any other change.
pub async fn roll_back(work: &Work<'_>, engine: Engine, to: Option<&str>) -> Outcome {
    let untouched = Some(HostAfter::Untouched);
    let seen = match ask::ask(&engine, work.wanted, &unknown(), Depth::Whole).await {
        Ok(seen) => seen,
        Err(error) => return error.outcome("rollback", untouched),
    };
    if let Some(refused) = not_ours(work, &seen, work.manner.take_over) {
        return refused;
    }
    if seen.agent.is_none() && seen.ours.is_empty() {
        return Outcome::Nothing { why: "no agent is installed".to_owned() };
    }
    let seen = match settled(work, &engine, seen).await {
        Ok(seen) => seen,
        Err(outcome) => return outcome,
    };
    let Some(kept) = chosen(work, &seen, to) else {
        let why = match to {
            Some(to) => format!("no generation {to} is kept"),
            None => "no earlier generation is kept".to_owned(),
        };
        return Outcome::Refused { why, remedy: Some("`cm-fleet versions` lists what is kept".to_owned()) };
    };
    let before = steps::sessions(work, &engine, &seen).await;
    let mut swap = Swap { names: Some(work.wanted.names()), ..Swap::default() };
    let began = Instant::now();
    let (stamp, there) = match again(work, &engine, &seen, kept, &mut swap).await {
        Ok(made) => made,
        Err(error) => {
            swap.drop_new(&engine).await;
            return error.outcome("create", untouched);
        }
    };
    work.step("create", began, None);
    let began = Instant::now();
    if let Err(error) = swap.go(&engine).await {
        return steps::not_started(work, &engine, &swap, &error).await;
    }
    work.step("activate", began, None);
    steps::finish(work, &engine, &seen, &swap, &stamp, &there, before).await
}

/// What an earlier deployment has left is set right, unless it died in the middle: that is for a deployment to undo.
async fn settled(work: &Work<'_>, engine: &Engine, seen: Seen) -> Result<Seen, Outcome> {
    let names = work.wanted.names();
    let aside = [names.next(Role::Agent), names.before(Role::Agent)];
    let half = seen.ours.iter().any(|one| aside.contains(&one.name))
        && seen.agent.as_ref().is_none_or(super::facts::Found::unconfirmed);
    if half {
        return Err(Outcome::Refused {
            why: "a deployment to it was left half done".to_owned(),
            remedy: Some("`cm-fleet deploy` undoes it and goes on; roll back then".to_owned()),
        });
    }
    let untouched = Some(HostAfter::Untouched);
    clean::tidy(work, engine, &seen).await.map_err(|error| error.outcome("rollback", untouched))
}

/// Makes a container like one that is kept, with its settings.
async fn again(
    work: &Work<'_>,
    engine: &Engine,
    seen: &Seen,
    kept: &Listed,
    swap: &mut Swap,
) -> Result<(Stamp, Image), EngineError> {
    let missing = |what: &str| EngineError::Here {
        why: format!("{what} is not there any more"),
        remedy: Some("cm-fleet deploy makes everything anew".to_owned()),
    };
    let keeper = seen.keeper.as_ref().filter(|keeper| keeper.runs()).ok_or_else(|| missing("its keeper"))?;
    let there = image::inspect(engine, &kept.image).await?.ok_or_else(|| missing("its image"))?;
    let act = format!("looking at the container {}", kept.name);
    let old = engine.docker.inspect_container(&kept.id, None).await.map_err(|e| EngineError::of(&act, &e))?;
    let numbers = seen.ours.iter().filter_map(|one| one.labels.get(label::GENERATION)?.parse::<u64>().ok());
    let generation = numbers.max().unwrap_or(0) + 1;
    let config = old.config.unwrap_or_default();
    let mut labels = config.labels.unwrap_or_default();
    let deployment = host::mark().map_err(|why| EngineError::Here { why, remedy: None })?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time after 1970, in whole seconds
    let at = crate::deploy::stage::now().max(0.0) as u64;
    let image = labels.get(label::IMAGE).cloned().unwrap_or_else(|| there.id.clone());
    labels.insert(label::GENERATION.to_owned(), generation.to_string());
    labels.insert(label::DEPLOYMENT.to_owned(), deployment.clone());
    labels.insert(label::BY.to_owned(), work.manner.by.clone());
    labels.insert(label::AT.to_owned(), at.to_string());
    let podman = steps::is_podman(seen);
    let joined = Some(format!("container:{}", keeper.id));
    let host_config = HostConfig {
        pid_mode: joined.clone(),
        network_mode: joined,
        restart_policy: Some(first_policy(podman)),
        ..as_asked(old.host_config.unwrap_or_default())
    };
    let user = config.user.clone().unwrap_or_default();
    let body = ContainerCreateBody {
        image: Some(there.id.clone()),
        user: config.user,
        labels: Some(labels),
        cmd: config.cmd,
        healthcheck: config.healthcheck,
        stop_timeout: Some(STOP),
        host_config: Some(host_config),
        ..ContainerCreateBody::default()
    };
    let settings = make::read_config(engine, &kept.id).await?;
    swap.old = seen.agent.as_ref().map(|agent| (agent.id.clone(), agent.generation()));
    swap.new = make::container(engine, &work.wanted.names().next(Role::Agent), body).await?;
    let user = if user.is_empty() { there.user.clone() } else { user };
    make::config(engine, &swap.new, &user, &settings).await?;
    let (by, reference, home) = (work.manner.by.clone(), there.id.clone(), String::new());
    Ok((Stamp { deployment, generation, by, at, image, reference, home, podman }, there))
}

/// Of a container's configuration what we have asked for; the rest is the engine's own, and not always taken back.
fn as_asked(old: HostConfig) -> HostConfig {
    HostConfig {
        binds: old.binds,
        nano_cpus: old.nano_cpus,
        memory: old.memory.filter(|memory| *memory > 0),
        pids_limit: old.pids_limit.filter(|pids| *pids > 0),
        ..HostConfig::default()
    }
}

/// Whether the agent there is another fleet's.
fn not_ours(work: &Work<'_>, seen: &Seen, all_the_same: bool) -> Option<Outcome> {
    let agent = seen.agent.as_ref()?;
    if !agent.is_ours(&work.wanted.host, Role::Agent) {
        return Some(host::blocked(&crate::deploy::plan::Blocked::Name { name: agent.name.clone() }));
    }
    let fleet = agent.label(label::FLEET).unwrap_or_default();
    (fleet != work.wanted.fleet && !all_the_same).then(|| Outcome::Refused {
        why: format!("it belongs to the fleet `{fleet}`"),
        remedy: Some("--take-over (uninstall: --force) goes on all the same".to_owned()),
    })
}

/// Removes a host's containers; with `purge` what they remember, too. Living sessions are in the way unless `force`.
pub async fn uninstall(work: &Work<'_>, engine: Engine, purge: bool, force: bool) -> Outcome {
    match try_uninstall(work, &engine, purge, force).await {
        Ok(outcome) => outcome,
        Err(error) => error.outcome("uninstall", None),
    }
}

async fn try_uninstall(
    work: &Work<'_>,
    engine: &Engine,
    purge: bool,
    force: bool,
) -> Result<Outcome, EngineError> {
    let seen = ask::ask(engine, work.wanted, &unknown(), Depth::Whole).await?;
    let mut volumes = Vec::new();
    let name = work.wanted.names().state();
    if purge && is_our_volume(work, engine, &name).await? {
        volumes.push(name);
    }
    if seen.ours.is_empty() && volumes.is_empty() {
        return Ok(Outcome::Nothing { why: "no agent is installed".to_owned() });
    }
    if let Some(refused) = not_ours(work, &seen, force) {
        return Ok(refused);
    }
    if !force {
        let living = steps::sessions(work, engine, &seen).await.unwrap_or_default();
        if !living.is_empty() {
            return Ok(Outcome::Refused {
                why: format!("{} running sessions would end", living.len()),
                remedy: Some("wait until they have ended, or --force to end them".to_owned()),
            });
        }
    }
    // The agent in use last: a repeat finds what is left.
    let current = work.wanted.names().of(Role::Agent);
    let mut ours: Vec<&Listed> = seen.ours.iter().collect();
    ours.sort_by_key(|one| {
        (one.name == current, one.labels.get(label::ROLE).is_some_and(|role| role == "keeper"))
    });
    if let Some(agent) = &seen.agent {
        make::stop(engine, &agent.id).await?;
    }
    let (keepers, agents): (Vec<&Listed>, Vec<&Listed>) =
        ours.into_iter().partition(|one| one.labels.get(label::ROLE).is_some_and(|role| role == "keeper"));
    for one in agents.iter().chain(&keepers) {
        make::remove(engine, &one.id).await?;
    }
    for name in volumes {
        let options = RemoveVolumeOptionsBuilder::default().build();
        let removed = engine.docker.remove_volume(&name, Some(options)).await;
        removed.map_err(|e| EngineError::of(&format!("removing the volume {name}"), &e))?;
    }
    Ok(Outcome::Removed)
}

async fn is_our_volume(work: &Work<'_>, engine: &Engine, name: &str) -> Result<bool, EngineError> {
    let act = format!("looking at the volume {name}");
    match engine.docker.inspect_volume(name).await.map_err(|e| EngineError::of(&act, &e)) {
        Ok(volume) => Ok(volume.labels.get(label::HOST) == Some(&work.wanted.host)
            && volume.labels.get(label::ROLE).is_some_and(|role| role == "state")),
        Err(error) if error.is_missing() => Ok(false),
        Err(error) => Err(error),
    }
}

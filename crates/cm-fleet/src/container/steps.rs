//! Brings a host's containers to what they are to be: image, new containers beside the old, swap, health over new
//! connections, and only then the old one is done with. Whatever fails ends with what was there before.

use std::time::Duration;

use cm_protocol::deploy::HostAfter;
use cm_ssh::Keys;
use tokio::time::Instant;

use super::ask::{self, Depth};
use super::clean;
use super::engine::{Engine, Road};
use super::error::EngineError;
use super::facts::{Found, Image, Seen, bare, kernel_arch};
use super::healthy::{self, Session, Sick, Well};
use super::image::{self, Images};
use super::plan::{self, Known};
use super::run::{self, Command};
use super::swap::Swap;
use super::wanted::{ContainerWanted, Role, Stamp, label};
use super::{make, way};
use crate::deploy::event::{Changed, DeployEventKind, NoteText, Outcome};
use crate::deploy::host::{self, Tell};
use crate::deploy::plan::{Blocked, Plan, Reason};
use crate::deploy::wanted::Manner;

/// How long an old agent may take to say which sessions live.
const BEFORE: Duration = Duration::from_secs(10);

/// All that a change works with.
pub struct Work<'a> {
    /// What the host is to have.
    pub wanted: &'a ContainerWanted,
    /// How its engine is reached.
    pub road: &'a Road,
    /// How it is done.
    pub manner: &'a Manner,
    /// Our keys.
    pub keys: &'a Keys,
    /// Tells what happens.
    pub tell: &'a Tell,
}

impl Work<'_> {
    /// A step is done.
    pub fn step(&self, step: &str, began: Instant, note: Option<String>) {
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.tell.say(|host| DeployEventKind::HostStep { host, step: step.to_owned(), ms, note });
    }

    /// Something a person should know.
    pub fn warn(&self, what: String, remedy: Option<String>) {
        self.tell.say(|host| DeployEventKind::HostWarning { host, note: NoteText { what, remedy } });
    }

    fn ready(&self) -> Duration {
        Duration::from_secs(self.manner.ready_seconds)
    }
}

/// Changes a host. `engine`: the connection over which it was asked.
pub async fn change(work: &Work<'_>, engine: Engine, known: &Known, images: &Images) -> Outcome {
    let untouched = Some(HostAfter::Untouched);
    let looked = ask::ask(&engine, work.wanted, known, Depth::Whole).await;
    // While others had their turn the connection may have broken.
    let (engine, seen) = match looked {
        Ok(seen) => (engine, seen),
        Err(EngineError::Lost { .. } | EngineError::Ssh(_)) => match again(work, known).await {
            Ok(answer) => answer,
            Err(error) => return error.outcome("begin", untouched),
        },
        Err(error) => return error.outcome("begin", untouched),
    };
    let planned = plan::plan(work.wanted, known, &seen, work.manner, crate::deploy::stage::now());
    match planned {
        Plan::Nothing { sessions, .. } => Outcome::Unchanged { sessions },
        Plan::Blocked(blocked) => host::blocked(&blocked),
        Plan::Change(change) => {
            let mends = |reason: &Reason| matches!(reason, Reason::NotRunning { .. } | Reason::Drift { .. });
            if change.reasons.iter().all(mends)
                && let Some(outcome) = mend(work, &engine, &seen).await
            {
                return outcome;
            }
            replace(work, &engine, &seen, known, images).await
        }
    }
}

async fn again(work: &Work<'_>, known: &Known) -> Result<(Engine, Seen), EngineError> {
    let engine = work.road.connect(work.keys, None).await?;
    let seen = ask::ask(&engine, work.wanted, known, Depth::Whole).await?;
    Ok((engine, seen))
}

/// Starts what was stopped by hand and sets back what was changed; none where that is not enough.
async fn mend(work: &Work<'_>, engine: &Engine, seen: &Seen) -> Option<Outcome> {
    let (agent, keeper) = (seen.agent.as_ref()?, seen.keeper.as_ref()?);
    let began = Instant::now();
    let limits = work.wanted.shape.limits();
    for (found, role) in [(keeper, Role::Keeper), (agent, Role::Agent)] {
        let drifted =
            plan::drift(work.wanted, seen).iter().any(|line| line.starts_with(&work.wanted.names().of(role)));
        if drifted {
            make::keep_up(engine, &found.id, Some(limits)).await.ok()?;
        }
        if !found.runs() {
            make::start(engine, &found.id).await.ok()?;
        }
    }
    work.step("activate", began, None);
    let well = healthy::wait(work.road, engine, &agent.id, "", work.ready(), work.keys).await.ok()?;
    work.step("healthy", began, None);
    // Limits of containers that are kept cannot be taken away, only changed.
    let now =
        ask::ask(engine, work.wanted, &Known::Elsewhere { why: String::new() }, Depth::Whole).await.ok()?;
    if !plan::drift(work.wanted, &now).is_empty() {
        return None;
    }
    Some(changed(agent.label(label::IMAGE)?, agent.generation(), None, &well, None))
}

/// Makes a new agent (and a keeper, where there is none or it is free) in place of the old.
async fn replace(work: &Work<'_>, engine: &Engine, seen: &Seen, known: &Known, images: &Images) -> Outcome {
    let untouched = Some(HostAfter::Untouched);
    let began = Instant::now();
    let there = match image::ensure(engine, work.wanted, known, images, seen, work.tell).await {
        Ok(there) => there,
        Err(error) => return error.outcome("image", untouched),
    };
    if let Some(blocked) = unfit(work.wanted, &there, seen) {
        return host::blocked(&blocked);
    }
    work.step("image", began, None);
    let began = Instant::now();
    let seen = match clean::tidy(work, engine, seen).await {
        Ok(seen) => seen,
        Err(error) => return error.outcome("begin", untouched),
    };
    let stamp = match stamp(work, known, &there, &seen).await {
        Ok(stamp) => stamp,
        Err(error) => return error.outcome("begin", untouched),
    };
    let before = sessions(work, engine, &seen).await;
    let mut swap = Swap { names: Some(work.wanted.names()), ..Swap::default() };
    if let Err(error) = prepare(work, engine, &seen, &stamp, before.as_deref(), &there, &mut swap).await {
        swap.drop_new(engine).await;
        if error.is_conflict() {
            let why = "somebody else deploys to it right now".to_owned();
            let remedy = Some("wait, or --take-over if nobody is at work there any more".to_owned());
            return Outcome::Refused { why, remedy };
        }
        return error.outcome("create", untouched);
    }
    work.step("create", began, None);
    let began = Instant::now();
    if let Err(error) = swap.go(engine).await {
        return not_started(work, engine, &swap, &error).await;
    }
    work.step("activate", began, None);
    finish(work, engine, &seen, &swap, &stamp, &there, before).await
}

/// What it means that the new containers do not start.
pub async fn not_started(work: &Work<'_>, engine: &Engine, swap: &Swap, error: &EngineError) -> Outcome {
    let names = work.wanted.names();
    let mut why = error.to_string().replace(&swap.new, &names.of(Role::Agent));
    let mut log = healthy::words(engine, &swap.new).await;
    if let Some(id) = &swap.new_keeper {
        why = why.replace(id, &names.of(Role::Keeper));
        // An agent does not start where its keeper has ended.
        if let Ok(Some(keeper)) = ask::container(engine, id).await
            && keeper.state == "exited"
        {
            why = format!("{} ended with {}", names.of(Role::Keeper), keeper.exit_code);
            log = healthy::words(engine, id).await;
        }
    }
    failed("activate", why, error.remedy(), log, undo(work, engine, swap).await)
}

/// Waits until the new agent is well, and makes it the one: or goes back.
pub async fn finish(
    work: &Work<'_>,
    engine: &Engine,
    seen: &Seen,
    swap: &Swap,
    stamp: &Stamp,
    there: &Image,
    before: Option<Vec<Session>>,
) -> Outcome {
    let began = Instant::now();
    let waited = healthy::wait(work.road, engine, &swap.new, &there.version, work.ready(), work.keys).await;
    let well = match waited {
        Ok(well) => well,
        Err(Sick { why, log }) => {
            let after = undo(work, engine, swap).await;
            return failed("healthy", why, Some("`cm-fleet plan` shows what differs".into()), log, after);
        }
    };
    work.step("healthy", began, None);
    let began = Instant::now();
    let mut kept = make::keep_up(engine, &swap.new, None).await;
    if let (Ok(()), Some(keeper)) = (&kept, &swap.new_keeper) {
        kept = make::keep_up(engine, keeper, None).await;
    }
    if let Err(error) = kept {
        return failed(
            "confirm",
            error.to_string(),
            error.remedy(),
            Vec::new(),
            undo(work, engine, swap).await,
        );
    }
    work.step("confirm", began, None);
    clean::clean(work, engine, seen, swap).await;
    let previous = swap.old.as_ref().map(|(_, generation)| *generation);
    changed(&stamp.image, stamp.generation, previous, &well, before)
}

fn changed(
    image: &str,
    generation: u64,
    previous: Option<u64>,
    well: &Well,
    before: Option<Vec<Session>>,
) -> Outcome {
    let after = well.sessions.clone().unwrap_or_default();
    let before = before.unwrap_or_default();
    let (kept, lost): (Vec<Session>, Vec<Session>) = before.into_iter().partition(|one| after.contains(one));
    Outcome::Changed(Box::new(Changed {
        generation,
        previous: previous.filter(|n| *n > 0),
        version: well.version.clone(),
        sha256: bare(image).to_owned(),
        kept: kept.len(),
        lost: lost.into_iter().map(|(session, _)| session).collect(),
        dropped: Vec::new(),
    }))
}

/// A failure, and how the host is after it.
pub fn failed(
    step: &str,
    why: String,
    remedy: Option<String>,
    log: Vec<String>,
    after: HostAfter,
) -> Outcome {
    Outcome::Failed { step: step.to_owned(), why, remedy, host_after: Some(after), log }
}

/// Goes back, over a new connection where the one there was is broken.
pub async fn undo(work: &Work<'_>, engine: &Engine, swap: &Swap) -> HostAfter {
    match swap.back(engine).await {
        HostAfter::Broken { why } => match work.road.connect(work.keys, Some(&engine.socket)).await {
            Ok(engine) => swap.back(&engine).await,
            Err(error) => HostAfter::Broken {
                why: format!("{why}; then: {error}. The next deployment goes back before it begins"),
            },
        },
        after => after,
    }
}

/// Whether the engine is Podman.
pub fn is_podman(seen: &Seen) -> bool {
    seen.engine.as_ref().is_some_and(|engine| engine.kind == "podman")
}

/// The image that is there is for another machine.
fn unfit(wanted: &ContainerWanted, there: &Image, seen: &Seen) -> Option<Blocked> {
    let engine = seen.engine.as_ref().map(|engine| engine.arch.as_str()).filter(|arch| !arch.is_empty())?;
    (!there.arch.is_empty() && there.arch != engine).then(|| Blocked::Arch {
        image: wanted.image.reference.clone(),
        arch: kernel_arch(&there.arch).to_owned(),
        host: kernel_arch(engine).to_owned(),
    })
}

async fn stamp(work: &Work<'_>, known: &Known, there: &Image, seen: &Seen) -> Result<Stamp, EngineError> {
    let numbers = seen.ours.iter().filter_map(|one| one.labels.get(label::GENERATION)?.parse::<u64>().ok());
    let last = numbers.max().unwrap_or(0);
    let reference = &work.wanted.image.reference;
    let named = there
        .tags
        .iter()
        .any(|tag| tag == reference || tag.strip_prefix("docker.io/library/") == Some(reference));
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // a time after 1970, in whole seconds
    let at = crate::deploy::stage::now().max(0.0) as u64;
    Ok(Stamp {
        deployment: host::mark().map_err(|why| EngineError::Here { why, remedy: None })?,
        generation: last + 1,
        by: work.manner.by.clone(),
        at,
        image: known.image().map_or_else(|| there.id.clone(), |image| image.id.clone()),
        reference: if named { reference.clone() } else { there.id.clone() },
        podman: is_podman(seen),
        home: if work.wanted.needs_home() { work.road.home(work.keys).await? } else { String::new() },
    })
}

/// The sessions that live now: the agent says it, else the keeper. None where neither does.
pub async fn sessions(work: &Work<'_>, engine: &Engine, seen: &Seen) -> Option<Vec<Session>> {
    if let Some(agent) = seen.agent.as_ref().filter(|agent| agent.runs())
        && let Some(sessions) = living(work, engine, agent).await
    {
        return Some(sessions);
    }
    let keeper = seen.keeper.as_ref().filter(|keeper| keeper.runs())?;
    let command = ["cm-agent", "keeper", "--living"].map(str::to_owned);
    let other = work.road.connect(work.keys, Some(&engine.socket)).await.ok()?;
    let said = run::run(other, engine, &Command::new(&keeper.id, &command, BEFORE), |_| {}).await.ok()?;
    let living: Living = serde_json::from_slice(&said.stdout).ok()?;
    Some((0..living.living).map(|number| (format!("session {}", number + 1), None)).collect())
}

/// What `cm-agent keeper --living` says.
#[derive(serde::Deserialize)]
struct Living {
    living: u32,
}

/// The sessions that live now; none where the old agent does not say.
pub async fn living(work: &Work<'_>, engine: &Engine, agent: &Found) -> Option<Vec<Session>> {
    let reach = way::connect(work.road, &agent.id, work.keys, Some(&engine.socket));
    let (client, _) = tokio::time::timeout(BEFORE, reach).await.ok()?.ok()?;
    let sessions = healthy::sessions(&client).await;
    client.close().await;
    sessions
}

/// Makes the new containers, beside the old ones. What is made is in `swap` as soon as it is.
async fn prepare(
    work: &Work<'_>,
    engine: &Engine,
    seen: &Seen,
    stamp: &Stamp,
    before: Option<&[Session]>,
    there: &Image,
    swap: &mut Swap,
) -> Result<(), EngineError> {
    let (wanted, names) = (work.wanted, work.wanted.names());
    swap.volumes = make::volumes(engine, wanted).await?;
    swap.old = seen.agent.as_ref().map(|agent| (agent.id.clone(), agent.generation()));
    let free = seen.keeper.as_ref().map(|keeper| is_free(work, stamp, keeper, before));
    let keeper = match (&seen.keeper, free) {
        (Some(keeper), Some(false)) => keeper.id.clone(),
        (old, _) => {
            swap.old_keeper = old.as_ref().map(|old| old.id.clone());
            let made = make::container(engine, &names.next(Role::Keeper), wanted.keeper(stamp)).await?;
            swap.new_keeper = Some(made.clone());
            made
        }
    };
    swap.new = make::container(engine, &names.next(Role::Agent), wanted.agent(stamp, &keeper)).await?;
    let user = wanted.shape.user.as_deref().unwrap_or(&there.user);
    make::settings(engine, &swap.new, user, &wanted.settings).await
}

/// Whether a keeper may be replaced: it is another one than is wanted, and no session lives in it. One that does not
/// run has none.
fn is_free(work: &Work<'_>, stamp: &Stamp, keeper: &Found, before: Option<&[Session]>) -> bool {
    let same = keeper.label(label::WANTED) == Some(work.wanted.keeper_digest(&stamp.image).as_str());
    if !keeper.runs() {
        return true;
    }
    let empty = before.is_some_and(<[Session]>::is_empty);
    if !same && !empty && !work.manner.force {
        let what = match before {
            Some(sessions) => format!("{} sessions live in {}", sessions.len(), keeper.name),
            None => format!("whether sessions live in {} could not be asked", keeper.name),
        };
        work.warn(
            format!("{what}: it stays as it is (image, limits, mounts), and only the agent is renewed"),
            Some("deploy again once they have ended, or --force to end them".to_owned()),
        );
    }
    !same && (empty || work.manner.force)
}

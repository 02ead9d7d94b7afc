//! What has to be done with a host's containers, and why: what they are to be against what they are. PURE.

use cm_protocol::deploy::{Binary, Endangered, Lock};

use super::facts::{Found, Image, Seen, bare, kernel_arch};
use super::wanted::{ContainerWanted, Limits, Role, label};
use crate::deploy::plan::{Blocked, Change, ImageComes, Note, Plan, Reason};
use crate::deploy::wanted::Manner;
use crate::inventory::Pull;

/// Seconds after which a deployment that has left its half-made container behind is taken for dead.
const STALE: f64 = 600.0;

/// What is known here of the wanted image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Known {
    /// It is here, and can be sent.
    Here(Image),
    /// It is not; the host has it, or pulls it.
    Elsewhere {
        /// Why it is not here.
        why: String,
    },
}

impl Known {
    /// It, where it is here.
    pub fn image(&self) -> Option<&Image> {
        match self {
            Self::Here(image) => Some(image),
            Self::Elsewhere { .. } => None,
        }
    }
}

/// The id of the image that is wanted, as far as it is known: by us, else by the host.
pub fn wanted_id<'a>(known: &'a Known, seen: &'a Seen) -> Option<&'a str> {
    match known {
        Known::Here(image) => Some(&image.id),
        Known::Elsewhere { .. } => seen.image.as_ref().map(|image| image.id.as_str()),
    }
}

/// Whether the first look says it all: everything is as it should be, and nothing else needs to be asked.
pub fn settled(wanted: &ContainerWanted, known: &Known, seen: &Seen) -> bool {
    let Some(agent) = &seen.agent else { return false };
    wanted_id(known, seen).is_some_and(|id| reasons(wanted, Some(id), seen).is_empty())
        && agent.is_ours(&wanted.host, Role::Agent)
}

/// What is to be done, at `now` (Unix seconds).
pub fn plan(wanted: &ContainerWanted, known: &Known, seen: &Seen, manner: &Manner, now: f64) -> Plan {
    let id = wanted_id(known, seen);
    let reasons = reasons(wanted, id, seen);
    let mut notes = notes(wanted, id, seen);
    let sessions = sessions(seen);
    if let Some(blocked) = foreign(wanted, seen) {
        return Plan::Blocked(blocked);
    }
    if reasons.is_empty() {
        return Plan::Nothing { sessions, notes };
    }
    if let Some(blocked) = blocked(wanted, known, seen, manner, now) {
        return Plan::Blocked(blocked);
    }
    if sessions == 0 {
        // It is replaced along with the agent.
        notes.clear();
    }
    let arch = seen.engine.as_ref().map(|engine| kernel_arch(&engine.arch).to_owned()).unwrap_or_default();
    let image = match (&seen.image, wanted.image.pull) {
        (Some(_), Pull::Never | Pull::Missing) => ImageComes::There,
        (None, Pull::Never) => ImageComes::Sent,
        // An image in a file here is sent whatever else is said.
        (None, _) if known.image().is_some() => ImageComes::Sent,
        (Some(_), Pull::Always) if known.image().is_some() => ImageComes::There,
        (None, Pull::Missing) | (_, Pull::Always) => ImageComes::Pulled,
    };
    let send = image == ImageComes::Sent;
    let ends = Vec::<Endangered>::new();
    Plan::Change(Change { reasons, arch, send, image: Some(image), sessions, ends, notes })
}

fn sessions(seen: &Seen) -> usize {
    let health = seen.agent.as_ref().and_then(|agent| agent.health.as_ref());
    health.map_or(0, |health| usize::try_from(health.sessions).unwrap_or(usize::MAX))
}

fn reasons(wanted: &ContainerWanted, id: Option<&str>, seen: &Seen) -> Vec<Reason> {
    let Some(agent) = seen.agent.as_ref().filter(|agent| agent.is_ours(&wanted.host, Role::Agent)) else {
        return vec![Reason::Absent];
    };
    let mut reasons = Vec::new();
    let fleet = agent.label(label::FLEET).unwrap_or_default();
    if fleet != wanted.fleet {
        reasons.push(Reason::TakenOver { from: fleet.to_owned() });
    }
    let has = agent.label(label::IMAGE).unwrap_or(&agent.image);
    let image = id.is_none_or(|id| id != has) || wanted.image.pull == Pull::Always && !same(seen, agent);
    if image {
        let from = Binary { sha256: bare(has).to_owned(), size: 0, version: version(agent) };
        reasons.push(Reason::Image { from, reference: wanted.image.reference.clone() });
    }
    if agent.label(label::SETTINGS) != Some(wanted.settings_digest().as_str()) {
        reasons.push(Reason::Settings);
    }
    if agent.label(label::SHAPE) != Some(wanted.shape_digest().as_str()) {
        reasons.push(Reason::Container);
    }
    let free = agent.health.as_ref().is_some_and(|health| health.sessions == 0);
    if reasons.is_empty() && free && stale_keeper(wanted, id, seen).is_some() {
        reasons.push(Reason::Keeper);
    }
    if agent.unconfirmed() {
        reasons.push(Reason::Unconfirmed);
    }
    if !agent.runs() {
        reasons.push(Reason::NotRunning { state: ended(agent) });
    }
    let drift = drift(wanted, seen);
    if !drift.is_empty() {
        reasons.push(Reason::Drift { what: drift });
    }
    reasons
}

/// Whether the agent's container is made of the very image the reference names there now.
fn same(seen: &Seen, agent: &Found) -> bool {
    seen.image.as_ref().is_none_or(|image| bare(&image.id) == bare(&agent.image))
}

fn version(agent: &Found) -> String {
    agent.health.as_ref().map(|health| health.version.clone()).unwrap_or_default()
}

/// `exited with 1`, `created: …`
fn ended(found: &Found) -> String {
    match (found.state.as_str(), found.error.as_str()) {
        ("exited", "") => format!("exited with {}", found.exit_code),
        (state, "") => state.to_owned(),
        (state, error) => format!("{state}: {error}"),
    }
}

/// What was changed by hand, in short sentences.
pub fn drift(wanted: &ContainerWanted, seen: &Seen) -> Vec<String> {
    let names = wanted.names();
    let mut drift = Vec::new();
    for (role, found) in [(Role::Agent, &seen.agent), (Role::Keeper, &seen.keeper)] {
        let name = names.of(role);
        let Some(found) = found.as_ref().filter(|found| found.is_ours(&wanted.host, role)) else {
            if role == Role::Keeper && seen.agent.is_some() {
                drift.push(format!("{name} was removed"));
            }
            continue;
        };
        if role == Role::Keeper && !found.runs() {
            drift.push(format!("{name} {}", ended(found)));
        }
        if !found.unconfirmed() && found.restarts != "unless-stopped" {
            drift.push(format!("{name}: restart policy {}", found.restarts));
        }
        // A keeper that waits for its sessions to end has the limits of its time.
        if found.label(label::SHAPE) == Some(wanted.shape_digest().as_str()) {
            drift.extend(limits(&name, wanted.shape.limits(), found.limits));
        }
    }
    drift
}

fn limits(name: &str, wanted: Limits, found: Limits) -> Vec<String> {
    let pairs = [
        ("cpus", wanted.nano_cpus, found.nano_cpus),
        ("memory", wanted.memory, found.memory),
        ("pids", wanted.pids, found.pids),
    ];
    let said = |value: i64| if value == 0 { "none".to_owned() } else { value.to_string() };
    pairs
        .iter()
        // What engines add by themselves where nothing was asked for (Podman: 2048 processes) is no drift.
        .filter(|(what, wanted, found)| wanted != found && !(*what == "pids" && *wanted == 0))
        .map(|(what, wanted, found)| format!("{name}: {what} {} (wanted: {})", said(*found), said(*wanted)))
        .collect()
}

/// A container that has one of our names and is not ours.
fn foreign(wanted: &ContainerWanted, seen: &Seen) -> Option<Blocked> {
    [(Role::Agent, &seen.agent), (Role::Keeper, &seen.keeper)]
        .into_iter()
        .find(|(role, found)| found.as_ref().is_some_and(|found| !found.is_ours(&wanted.host, *role)))
        .map(|(role, _)| Blocked::Name { name: wanted.names().of(role) })
}

fn blocked(
    wanted: &ContainerWanted,
    known: &Known,
    seen: &Seen,
    manner: &Manner,
    now: f64,
) -> Option<Blocked> {
    let fleet_of = |found: &Found| found.label(label::FLEET).unwrap_or_default().to_owned();
    if let Some(agent) =
        seen.agent.as_ref().filter(|agent| fleet_of(agent) != wanted.fleet && !manner.take_over)
    {
        let by = agent.label(label::BY).unwrap_or_default().to_owned();
        return Some(Blocked::OtherFleet { fleet: fleet_of(agent), by });
    }
    if let (Some(lock), false) = (lock(wanted, seen, now), manner.take_over) {
        return Some(Blocked::Locked(lock));
    }
    let image = known.image().or(seen.image.as_ref());
    let engine = seen.engine.as_ref().map(|engine| engine.arch.as_str()).unwrap_or_default();
    match (image, known) {
        (Some(image), _) if !image.arch.is_empty() && !engine.is_empty() && image.arch != engine => {
            Some(Blocked::Arch {
                image: wanted.image.reference.clone(),
                arch: kernel_arch(&image.arch).to_owned(),
                host: kernel_arch(engine).to_owned(),
            })
        }
        (None, Known::Elsewhere { why }) if wanted.image.pull == Pull::Never => {
            Some(Blocked::NoImage { image: wanted.image.reference.clone(), why: why.clone() })
        }
        _ => None,
    }
}

/// Who is at work there: whoever's half-made container is not older than such a thing can be.
fn lock(wanted: &ContainerWanted, seen: &Seen, now: f64) -> Option<Lock> {
    let next = wanted.names().next(Role::Agent);
    let one = seen.ours.iter().find(|one| one.name == next)?;
    let get = |key: &str| one.labels.get(key).cloned().unwrap_or_default();
    let held = now - get(label::AT).parse::<f64>().unwrap_or(0.0);
    (held < STALE).then(|| Lock {
        deployment: get(label::DEPLOYMENT),
        owner: get(label::BY),
        held: held.max(0.0),
        expires: STALE - held.max(0.0),
    })
}

/// The keeper, where it is another than is wanted: it waits for its sessions to end.
fn stale_keeper<'a>(wanted: &ContainerWanted, id: Option<&str>, seen: &'a Seen) -> Option<&'a Found> {
    let keeper = seen.keeper.as_ref().filter(|keeper| keeper.is_ours(&wanted.host, Role::Keeper))?;
    (keeper.label(label::WANTED) != Some(wanted.keeper_digest(id?).as_str())).then_some(keeper)
}

fn notes(wanted: &ContainerWanted, id: Option<&str>, seen: &Seen) -> Vec<Note> {
    let Some(keeper) = stale_keeper(wanted, id, seen) else { return Vec::new() };
    vec![Note {
        what: format!(
            "{} is as an earlier deployment made it until its sessions have ended (another image, or other limits \
             and mounts)",
            keeper.name
        ),
        remedy: Some("deploy again once no session lives there".to_owned()),
    }]
}

#[cfg(test)]
mod tests;

//! What dispatching costs, beside OpenSSH doing the same on the same hosts in the same run.

mod connect;
mod crowd;
mod events;
mod following;
mod latency;
mod place;
mod running;
mod schedule;
mod simulated;
mod spent;
mod struck;
mod throughput;
mod traffic;
mod tunnel;

use crate::failure::Failure;
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

use super::Row;
use super::deploy::ways;
use place::{Desk, Place};
use simulated::Simulated;

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Part {
    /// Very many tasks that do nothing, beside xargs, OpenSSH and tmux.
    Tasks,
    /// From the command to the task, and from its end to the report.
    Latency,
    /// Following tasks that run.
    Following,
    /// A host that stands still.
    Frozen,
    /// A host that dies.
    Death,
    /// Connecting to all hosts.
    Connect,
    /// A client with two hundred connections.
    Crowd,
    /// A command through the tunnel, beside `ssh -L`.
    Tunnel,
    /// Decisions of the scheduler.
    Schedule,
}

impl Part {
    /// All of them, in order: hosts die last.
    const ALL: [Self; 9] = [
        Self::Tasks,
        Self::Latency,
        Self::Following,
        Self::Connect,
        Self::Frozen,
        Self::Death,
        Self::Crowd,
        Self::Tunnel,
        Self::Schedule,
    ];

    /// It takes test hosts.
    const fn needs_hosts(self) -> bool {
        !self.needs_simulated() && !matches!(self, Self::Schedule)
    }

    /// It takes simulated hosts.
    const fn needs_simulated(self) -> bool {
        matches!(self, Self::Crowd | Self::Tunnel)
    }
}

/// What is to be measured.
#[derive(Debug)]
pub struct Wanted {
    /// On so many test hosts.
    pub hosts: u8,
    /// With so many tasks, where there are many.
    pub tasks: u16,
    /// With the release builds that are there.
    pub built: bool,
    /// Only these; none is all.
    pub only: Vec<Part>,
}

/// Everything that is wanted, as rows. What cannot be measured is a row that says so.
pub fn all(workspace: &Workspace, wanted: &Wanted) -> Result<Vec<Row>, Failure> {
    let parts: Vec<Part> =
        Part::ALL.into_iter().filter(|part| wanted.only.is_empty() || wanted.only.contains(part)).collect();
    if !wanted.built {
        build(workspace)?;
    }
    let mut desk = Desk::new(workspace)?;
    let mut rows = Vec::new();
    if parts.iter().any(|part| part.needs_hosts()) {
        let place = Place::ready(workspace, desk, wanted.hosts)?;
        for part in parts.iter().filter(|part| part.needs_hosts()) {
            rows.extend(tried(*part, || on_hosts(*part, &place, wanted.tasks)));
        }
        place.ground.reset()?;
        desk = place.desk;
    }
    // Connecting to simulated hosts is a part of connecting.
    if parts.iter().any(|part| part.needs_simulated() || *part == Part::Connect) {
        let simulated = Simulated::start(workspace, &desk)?;
        for part in &parts {
            rows.extend(tried(*part, || on_simulated(*part, &desk, &simulated, wanted.tasks)));
        }
    }
    if parts.contains(&Part::Schedule) {
        rows.extend(tried(Part::Schedule, || schedule::measure(&desk.builds)));
    }
    Ok(rows)
}

fn on_hosts(part: Part, place: &Place, tasks: u16) -> Result<Vec<Row>, Failure> {
    println!("measuring: {part:?} …");
    match part {
        Part::Tasks => throughput::measure(place, tasks),
        Part::Latency => latency::measure(place),
        Part::Following => following::measure(place),
        Part::Connect => connect::real(place),
        Part::Frozen => struck::frozen(place),
        Part::Death => struck::death(place),
        Part::Crowd | Part::Tunnel | Part::Schedule => Ok(Vec::new()),
    }
}

fn on_simulated(part: Part, desk: &Desk, simulated: &Simulated, tasks: u16) -> Result<Vec<Row>, Failure> {
    match part {
        Part::Connect => connect::simulated(desk),
        Part::Crowd => crowd::measure(desk, tasks),
        Part::Tunnel => tunnel::measure(desk, simulated),
        _ => Ok(Vec::new()),
    }
}

/// A part that fails does not take the others along.
fn tried(part: Part, measure: impl FnOnce() -> Result<Vec<Row>, Failure>) -> Vec<Row> {
    match measure() {
        Ok(rows) => {
            rows.iter().for_each(|row| println!("  {}: {}", row.what, row.measured));
            rows
        }
        Err(failure) => {
            eprintln!("xtask: {part:?}: {failure}");
            let measured = failure.to_string().lines().next().unwrap_or_default().to_owned();
            vec![Row { what: format!("{part:?}"), measured, goal: "measured", original: "", good: false }]
        }
    }
}

/// Builds what is measured: client, agent, and the examples that measure from inside.
fn build(workspace: &Workspace) -> Result<(), Failure> {
    ways::build(workspace)?;
    Run::cargo()
        .dir(&workspace.root)
        .args(["build", "--release", "-p", "cm-fleet", "--example", "schedule", "--example", "ping"])
        .live(LONG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_has_its_turn_and_one_that_fails_is_a_row() {
        use clap::ValueEnum as _;
        assert!(Part::value_variants().iter().all(|part| Part::ALL.contains(part)));
        let rows = tried(Part::Tunnel, || Err(Failure::check("no tunnel", "dig")));
        assert_eq!((rows[0].measured.as_str(), rows[0].mark()), ("no tunnel", "missed"));
    }
}

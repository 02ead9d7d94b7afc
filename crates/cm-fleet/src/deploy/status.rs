//! How a host is, in a row of a table: what runs against what should. PURE.

use cm_protocol::deploy::{Binary, Facts};
use serde::Serialize;

use super::event::Outcome;
use super::words::{short_sha, without_name};
use crate::report::clean::clean;
use crate::report::paint::Paint;
use crate::report::table::{Cell, Column, render};
use crate::report::words::age;

/// How one host is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStatus {
    /// Its name.
    pub host: String,
    /// In a word.
    pub state: State,
    /// What stands behind the word, where it is not good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// The program it should run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wanted: Option<Binary>,
    /// Everything it says of itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub facts: Option<Box<Facts>>,
}

/// A host's state in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The program it should run runs.
    Good,
    /// Another program is installed than should be.
    Outdated,
    /// Another program runs than is installed.
    Stale,
    /// Its files were changed by hand.
    Drift,
    /// A deployment waits to be confirmed.
    Unconfirmed,
    /// It is installed and does not run.
    Down,
    /// Nothing is installed.
    Absent,
    /// The inventory does not name it any more.
    Orphan,
    /// It belongs to another fleet.
    Foreign,
    /// It could not be reached.
    Silent,
    /// Its key, or something else, is not as it must be.
    Refused,
    /// It was reached, and something failed.
    Failed,
}

impl State {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Outdated => "outdated",
            Self::Stale => "stale",
            Self::Drift => "drift",
            Self::Unconfirmed => "unconfirmed",
            Self::Down => "down",
            Self::Absent => "absent",
            Self::Orphan => "orphan",
            Self::Foreign => "foreign",
            Self::Silent => "silent",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }

    fn colour(self) -> fn(Paint, &str) -> String {
        match self {
            Self::Good => Paint::good,
            Self::Outdated | Self::Stale | Self::Drift | Self::Unconfirmed | Self::Orphan | Self::Absent => {
                Paint::attention
            }
            Self::Down | Self::Foreign | Self::Silent | Self::Refused | Self::Failed => Paint::bad,
        }
    }
}

/// How a host that answered is.
pub fn of_facts(host: &str, fleet: &str, orphan: bool, wanted: Option<Binary>, facts: Facts) -> HostStatus {
    let (state, why) = judge(fleet, orphan, wanted.as_ref(), &facts);
    HostStatus { host: host.to_owned(), state, why, wanted, facts: Some(Box::new(facts)) }
}

fn judge(fleet: &str, orphan: bool, wanted: Option<&Binary>, facts: &Facts) -> (State, Option<String>) {
    let Some(installed) = &facts.installed else { return (State::Absent, None) };
    if installed.fleet != fleet {
        return (State::Foreign, Some(format!("it belongs to the fleet `{}`", installed.fleet)));
    }
    let drift = facts.unit.as_ref().map(|unit| unit.drift.as_slice()).unwrap_or_default();
    match &facts.running {
        _ if orphan => (State::Orphan, Some("the inventory does not name it any more".to_owned())),
        None => {
            let unit = facts.unit.as_ref().map_or("no unit", |unit| unit.active.as_str());
            (State::Down, Some(format!("its agent does not run ({unit})")))
        }
        Some(running) if running.sha256 != installed.binary.sha256 => {
            (State::Stale, Some(format!("{} runs", short_sha(&running.sha256))))
        }
        Some(_) if installed.unconfirmed.is_some() => (State::Unconfirmed, None),
        Some(_) if wanted.is_some_and(|wanted| wanted.sha256 != installed.binary.sha256) => {
            let wanted = wanted.map(|wanted| short_sha(&wanted.sha256)).unwrap_or_default();
            (State::Outdated, Some(format!("{wanted} is wanted")))
        }
        Some(_) if !drift.is_empty() => (State::Drift, Some(drift.join("; "))),
        Some(_) => (State::Good, None),
    }
}

/// How a host that did not answer is.
pub fn of_outcome(host: &str, orphan: bool, outcome: &Outcome) -> HostStatus {
    let (state, why) = match outcome {
        Outcome::Unreachable { why } => (State::Silent, why.clone()),
        Outcome::Refused { why, .. } => (State::Refused, why.clone()),
        Outcome::Failed { why, .. } => (State::Failed, why.clone()),
        Outcome::Nothing { why } => (State::Good, why.clone()),
        _ => (State::Failed, "it was left".to_owned()),
    };
    let why = if orphan { format!("{why} (the inventory does not name it any more)") } else { why };
    HostStatus { host: host.to_owned(), state, why: Some(why), wanted: None, facts: None }
}

const HEAD: [Column; 9] = [
    Column::text("host"),
    Column::text("state"),
    Column::text("agent"),
    Column::text("unit"),
    Column::number("up"),
    Column::number("sessions"),
    Column::number("load"),
    Column::number("free"),
    Column::elastic("note"),
];

/// All hosts as a table, and what they come to.
pub fn table(rows: &[HostStatus], columns: Option<usize>, paint: Paint) -> String {
    let cells: Vec<Vec<Cell>> = rows.iter().map(row).collect();
    let mut text = render(&HEAD, &cells, columns, paint);
    let good = rows.iter().filter(|row| row.state == State::Good).count();
    let sessions: u32 = rows
        .iter()
        .filter_map(|row| row.facts.as_ref()?.running.as_ref())
        .map(|running| running.sessions)
        .sum();
    text.push_str(&paint.dim(&format!("{good} of {} good · {sessions} sessions", rows.len())));
    text.push('\n');
    if rows.iter().any(|row| row.state == State::Orphan) {
        text.push_str("orphans stay until `cm-fleet uninstall --orphans` removes their agents\n");
    }
    text
}

#[allow(clippy::cast_precision_loss)] // shown with one digit
fn row(status: &HostStatus) -> Vec<Cell> {
    let facts = status.facts.as_deref();
    let installed = facts.and_then(|facts| facts.installed.as_ref());
    let running = facts.and_then(|facts| facts.running.as_ref());
    let agent = running
        .map(|r| (r.version.as_str(), r.sha256.as_str()))
        .or_else(|| installed.map(|i| (i.binary.version.as_str(), i.binary.sha256.as_str())));
    let load = facts.and_then(|facts| Some((facts.load?, facts.cpus.unwrap_or(1))));
    let memory = facts.and_then(|facts| facts.memory_available);
    vec![
        clean(&status.host).into(),
        Cell::coloured(status.state.as_str(), status.state.colour()),
        agent
            .map(|(version, sha)| format!("{} {}", clean(version), short_sha(sha)))
            .unwrap_or_default()
            .into(),
        facts.and_then(|f| f.unit.as_ref()).map(|unit| clean(&unit.active)).unwrap_or_default().into(),
        running.map(|running| age(running.uptime)).unwrap_or_default().into(),
        running.map(|running| running.sessions.to_string()).unwrap_or_default().into(),
        load.map(|(load, cpus)| format!("{load:.1}/{cpus}")).unwrap_or_default().into(),
        memory.map(|bytes| format!("{:.1} GB", bytes as f64 / 1e9)).unwrap_or_default().into(),
        clean(without_name(&status.host, status.why.as_deref().unwrap_or_default())).into(),
    ]
}

#[cfg(test)]
mod tests {
    use cm_protocol::deploy::{Installed, Running, Unit};

    use super::*;

    fn binary(sha: &str) -> Binary {
        Binary { sha256: sha.into(), size: 1, version: "0.1.0".into() }
    }

    fn facts(change: impl FnOnce(&mut Facts)) -> Facts {
        let mut facts = Facts {
            installed: Some(Installed {
                fleet: "f".into(),
                generation: 1,
                binary: binary("aaaa"),
                settings: String::new(),
                at: 0.0,
                by: "ada@laptop".into(),
                unconfirmed: None,
                generations: vec![],
                stored: vec![],
            }),
            running: Some(Running {
                sha256: "aaaa".into(),
                version: "0.1.0".into(),
                pid: 1,
                socket: "/s".into(),
                uptime: 7300.0,
                sessions: 3,
            }),
            unit: Some(Unit {
                active: "active".into(),
                enabled: "enabled".into(),
                drift: vec![],
                drop_ins: vec![],
                restarts: None,
            }),
            load: Some(0.42),
            cpus: Some(8),
            memory_available: Some(3_400_000_000),
            ..Facts::default()
        };
        change(&mut facts);
        facts
    }

    fn all() -> Vec<HostStatus> {
        let of = |name, wanted, change: &dyn Fn(&mut Facts)| {
            of_facts(name, "f", name == "gone", Some(binary(wanted)), facts(|f| change(f)))
        };
        vec![
            of("good", "aaaa", &|_| {}),
            of("old", "bbbb", &|_| {}),
            of("stale", "aaaa", &|f| f.running.as_mut().unwrap().sha256 = "cccc".into()),
            of("drift", "aaaa", &|f| f.unit.as_mut().unwrap().drift = vec!["Nice=5 was added".into()]),
            of("down", "aaaa", &|f| {
                f.running = None;
                f.unit.as_mut().unwrap().active = "failed".into();
            }),
            of("absent", "aaaa", &|f| *f = Facts::default()),
            of("gone", "aaaa", &|_| {}),
            of("other", "aaaa", &|f| f.installed.as_mut().unwrap().fleet = "theirs".into()),
            of_outcome("dead", false, &Outcome::Unreachable { why: "no answer within 10 s".into() }),
        ]
    }

    #[test]
    fn a_fleet_at_a_glance() {
        insta::assert_snapshot!(table(&all(), None, Paint::OFF), @r"
        host    state     agent       unit    up  sessions   load    free  note
        good    good      0.1.0 aaaa  active  2h         3  0.4/8  3.4 GB
        old     outdated  0.1.0 aaaa  active  2h         3  0.4/8  3.4 GB  bbbb is wanted
        stale   stale     0.1.0 cccc  active  2h         3  0.4/8  3.4 GB  cccc runs
        drift   drift     0.1.0 aaaa  active  2h         3  0.4/8  3.4 GB  Nice=5 was added
        down    down      0.1.0 aaaa  failed                0.4/8  3.4 GB  its agent does not run (failed)
        absent  absent
        gone    orphan    0.1.0 aaaa  active  2h         3  0.4/8  3.4 GB  the inventory does not name it any more
        other   foreign   0.1.0 aaaa  active  2h         3  0.4/8  3.4 GB  it belongs to the fleet `theirs`
        dead    silent                                                     no answer within 10 s
        1 of 9 good · 18 sessions
        orphans stay until `cm-fleet uninstall --orphans` removes their agents
        ");
    }
}

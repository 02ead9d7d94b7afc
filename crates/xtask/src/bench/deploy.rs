//! What deploying costs, beside other ways to do the same on the same hosts in the same run.

mod counted;
mod far;
pub mod ground;
pub mod many;
pub mod timed;
pub mod ways;

use crate::failure::Failure;
use crate::workspace::Workspace;

use super::Row;
use counted::Counted;
use far::Far;
use ground::Ground;
use many::{MANY, Many};
use timed::{Took, median};
use ways::{Way, Ways};

/// Rounds of each way: the slow ones are not what the goals are about.
const ROUNDS: [(Way, usize); 4] = [(Way::Fleet, 5), (Way::ByHand, 5), (Way::Pyinfra, 2), (Way::Ansible, 1)];
/// In each round, deployments that change nothing.
const AGAIN: usize = 3;

/// All measurements of one way.
#[derive(Debug, Default)]
struct Measured {
    first: Vec<Took>,
    unchanged: Vec<Took>,
    upgrade: Vec<Took>,
}

/// Everything, on so many hosts, as rows.
pub fn all(workspace: &Workspace, hosts: u8, built: bool) -> Result<Vec<Row>, Failure> {
    let ground = Ground::up(workspace, hosts)?;
    if !built {
        ways::build(workspace)?;
    }
    let ways = Ways::ready(workspace, &ground)?;
    let mut measured = ROUNDS.map(|(way, _)| (way, Measured::default()));
    for round in 0..ROUNDS[0].1 {
        for (index, (way, rounds)) in ROUNDS.into_iter().enumerate() {
            if round < rounds && ways.can(way) {
                self::round(&ways, &ground, way, &mut measured[index].1)?;
            }
        }
    }
    println!("counting …");
    ground.reset()?;
    ways.deploy(Way::Fleet, 0)?;
    let counted = counted::unchanged(&ways, &ground)?;
    println!("measuring from far away …");
    let far = Far::measure(&ways, &ground)?;
    println!("first: {}\nnothing changed: {}", far::words(&far.first), far::words(&far.unchanged));
    ground.reset()?;
    println!("measuring {MANY} hosts …");
    let many = Many::start(workspace, &ways.bench)?;
    let look = many.look(&ways)?;
    drop(many);
    let mut rows = against_others(&measured, hosts);
    rows.push(connections(counted));
    rows.push(processor(&measured, hosts));
    rows.extend(round_trips(&far));
    let Took { wall, cpu } = look;
    rows.push(Row {
        what: format!("{MANY} simulated hosts on this machine: connect and check, in one run"),
        measured: format!(
            "{wall:.1} s, {:.1} ms of the client's processor each",
            cpu * 1e3 / f64::from(MANY)
        ),
        goal: "",
        original: "",
        good: true,
    });
    Ok(rows)
}

/// One way, from hosts like new.
fn round(ways: &Ways, ground: &Ground, way: Way, into: &mut Measured) -> Result<(), Failure> {
    ground.reset()?;
    let first = ways.deploy(way, 0)?.0;
    into.first.push(first);
    let mut again = Vec::new();
    for _ in 0..AGAIN {
        again.push(match way {
            // What is done by hand is not looked at before it is done again: the least is to reach the hosts.
            Way::ByHand => ways.reach()?,
            other => ways.deploy(other, 0)?.0,
        });
    }
    into.unchanged.extend(&again);
    // pyinfra writes into the program that runs, which the kernel refuses; ansible would take minutes.
    if matches!(way, Way::Fleet | Way::ByHand) {
        into.upgrade.push(ways.deploy(way, 1)?.0);
    }
    let upgrade = into.upgrade.last().map(|upgrade| format!(", upgrade {:.2} s", upgrade.wall));
    println!(
        "{}: first {:.2} s, nothing changed {:.2} s{} (load {})",
        way.name(),
        first.wall,
        walls(&again),
        upgrade.unwrap_or_default(),
        load()
    );
    Ok(())
}

/// The load of the last minute.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().unwrap_or("unknown").to_owned()
}

fn walls(all: &[Took]) -> f64 {
    median(all.iter().map(|took| took.wall))
}

fn against_others(measured: &[(Way, Measured)], hosts: u8) -> Vec<Row> {
    type Part = fn(&Measured) -> &Vec<Took>;
    let parts: [(&str, Part, &str, &'static str, f64); 3] = [
        ("first deployment", |m| &m.first, "by hand", "≤ 0.9 × by hand", 0.9),
        ("nothing changed", |m| &m.unchanged, "`ssh HOST true`", "≤ 1.1 × `ssh HOST true`", 1.1),
        ("upgrade", |m| &m.upgrade, "by hand", "≤ by hand", 1.0),
    ];
    let row = |(what, part, bar, goal, most): (&str, Part, &str, &'static str, f64)| {
        let of = |wanted: Way| {
            let all = measured.iter().find(|(way, _)| *way == wanted).map(|(_, m)| part(m));
            all.filter(|all| !all.is_empty()).map(|all| walls(all))
        };
        let (ours, by_hand) = (of(Way::Fleet).unwrap_or(f64::NAN), of(Way::ByHand).unwrap_or(f64::NAN));
        let others: Vec<String> = [Way::Pyinfra, Way::Ansible]
            .into_iter()
            .map(|way| match of(way) {
                Some(theirs) => format!("{} {theirs:.1} s ({:.1} ×)", way.name(), theirs / by_hand),
                None if what == "upgrade" => format!("{} not measured", way.name()),
                None => format!("{} not here", way.name()),
            })
            .collect();
        Row {
            what: format!("{hosts} hosts, {what}"),
            measured: format!(
                "**{:.2} ×**: {ours:.2} s, {bar} {by_hand:.2} s; {}",
                ours / by_hand,
                others.join(", ")
            ),
            goal,
            original: "",
            good: ours / by_hand <= most,
        }
    };
    parts.into_iter().map(row).collect()
}

fn connections(Counted { connections, commands }: Counted) -> Row {
    Row {
        what: "a host on which nothing changes: connections and commands".to_owned(),
        measured: format!("{connections} and {commands}"),
        goal: "1 and 1",
        original: "",
        good: (connections, commands) == (1, 1),
    }
}

fn processor(measured: &[(Way, Measured)], hosts: u8) -> Row {
    let each = |wanted: Way, part: fn(&Measured) -> &Vec<Took>| {
        let all = measured.iter().find(|(way, _)| *way == wanted).map(|(_, m)| part(m));
        median(all.into_iter().flatten().map(|took| took.cpu)) * 1e3 / f64::from(hosts)
    };
    let of = |way| [each(way, |m| &m.first), each(way, |m| &m.unchanged), each(way, |m| &m.upgrade)];
    let words =
        |[first, unchanged, upgrade]: [f64; 3]| format!("{first:.1} / {unchanged:.1} / {upgrade:.1} ms");
    let ours = of(Way::Fleet);
    Row {
        what: "the client's processor for each host: first, nothing changed, upgrade".to_owned(),
        measured: format!("{}; OpenSSH by hand {}", words(ours), words(of(Way::ByHand))),
        goal: "≤ 10 ms",
        original: "",
        good: ours.into_iter().all(|each| each <= 10.0),
    }
}

fn round_trips(far: &Far) -> [Row; 2] {
    let first = far::without_transfer(&far.first);
    let unchanged = far::without_transfer(&far.unchanged);
    [
        Row {
            what: "a host 50 ms away, first deployment: round trips beside the bytes".to_owned(),
            measured: format!("{first:.1} ({})", far::words(&far.first)),
            goal: "≤ 10",
            original: "",
            // Half a round trip is noise.
            good: first < 10.5,
        },
        Row {
            what: "a host 50 ms away, nothing changed: round trips".to_owned(),
            measured: format!("{unchanged:.1} ({})", far::words(&far.unchanged)),
            goal: "≤ 9 with the connection",
            original: "",
            good: unchanged < 9.5,
        },
    ]
}

//! What deploying containers costs, beside `docker save`, `docker load` and `docker run` by hand on the same engines.

mod engines;
mod ways;

use cm_testkit::hosts::engine::IMAGES;

use super::Row;
use super::deploy::timed::{Took, median};
use crate::failure::Failure;
use crate::hosts::Docker;
use crate::need;
use crate::test;
use crate::workspace::Workspace;
use engines::Engines;
use ways::{Way, Ways};

/// Rounds of each way.
const ROUNDS: usize = 3;
/// In each round, deployments that change nothing.
const AGAIN: usize = 3;

/// All measurements of one way, seconds.
#[derive(Debug, Default)]
struct Measured {
    first: Vec<Took>,
    unchanged: Vec<Took>,
    upgrade: Vec<Took>,
}

/// Everything, on so many hosts, as rows. `built`: with the release build of `cm-fleet` that is there.
pub fn all(workspace: &Workspace, hosts: u8, built: bool) -> Result<Vec<Row>, Failure> {
    need::ensure(workspace, &engines::NEEDS)?;
    if !built {
        super::deploy::ways::build(workspace)?;
    }
    let docker = Docker::ready(workspace)?;
    test::images(workspace, &docker)?;
    let engines = Engines::start(hosts)?;
    let ways = Ways::ready(workspace, &engines)?;
    let mut measured = [(Way::Fleet, Measured::default()), (Way::ByHand, Measured::default())];
    for _ in 0..ROUNDS {
        for (way, into) in &mut measured {
            round(&ways, &engines, *way, into)?;
        }
    }
    engines.reset()?;
    let size =
        docker.run(["image", "inspect", "--format", "{{.Size}}", IMAGES[0]]).capture(crate::sh::SHORT)?;
    let megabytes = size.trim().parse::<f64>().unwrap_or_default() / 1e6;
    Ok(rows(&measured, hosts, megabytes))
}

/// One way, from engines without anything.
fn round(ways: &Ways, engines: &Engines, way: Way, into: &mut Measured) -> Result<(), Failure> {
    engines.reset()?;
    let first = ways.deploy(way, 0)?;
    let mut again = Vec::new();
    for _ in 0..AGAIN {
        again.push(match way {
            Way::Fleet => ways.deploy(way, 0)?,
            // By hand nobody looks before doing it again: the least is to reach the hosts.
            Way::ByHand => ways.reach()?,
        });
    }
    let upgrade = ways.deploy(way, 1)?;
    println!(
        "{}: first {:.2} s, nothing changed {:.2} s, upgrade {:.2} s (load {})",
        way.name(),
        first.wall,
        median(again.iter().map(|took| took.wall)),
        upgrade.wall,
        super::deploy::load()
    );
    into.first.push(first);
    into.unchanged.extend(again);
    into.upgrade.push(upgrade);
    Ok(())
}

fn rows(measured: &[(Way, Measured); 2], hosts: u8, megabytes: f64) -> Vec<Row> {
    type Part = fn(&Measured) -> &Vec<Took>;
    let parts: [(&str, Part, &str, &'static str, f64); 3] = [
        ("first deployment", |m| &m.first, "by hand", "≤ by hand", 1.0),
        ("nothing changed", |m| &m.unchanged, "`ssh HOST true`", "≤ 1.2 × `ssh HOST true`", 1.2),
        ("another program in the image", |m| &m.upgrade, "by hand", "≤ by hand", 1.0),
    ];
    let [(_, ours), (_, by_hand)] = measured;
    let row = |(what, part, bar, goal, most): (&str, Part, &str, &'static str, f64)| {
        let wall = |m: &Measured| median(part(m).iter().map(|took| took.wall));
        let cpu = |m: &Measured| median(part(m).iter().map(|took| took.cpu)) / f64::from(hosts);
        let ratio = wall(ours) / wall(by_hand);
        Row {
            what: format!("{hosts} hosts with containers of {megabytes:.0} MB, {what}"),
            measured: format!(
                "**{ratio:.2} ×**: {:.2} s, {bar} {:.2} s; the client's processor for each host {:.0} and {:.0} ms",
                wall(ours),
                wall(by_hand),
                cpu(ours) * 1e3,
                cpu(by_hand) * 1e3
            ),
            goal,
            original: "",
            good: ratio <= most,
        }
    };
    parts.into_iter().map(row).collect()
}

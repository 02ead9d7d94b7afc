//! Connecting to a whole fleet: every host reached, its agent logged in to and asked one thing.

use std::path::Path;

use crate::bench::Row;
use crate::bench::deploy::timed::{Took, median};
use crate::failure::Failure;

use super::place::{Desk, Place};
use super::simulated;

/// So often, in turn with OpenSSH.
const ROUNDS: usize = 5;

/// The test hosts, beside `ssh HOST true` on all of them at once.
pub fn real(place: &Place) -> Result<Vec<Row>, Failure> {
    let bench = &place.desk.bench;
    let names = place.ground.names();
    let config = place.ground.description.ssh_config.display();
    bench.write("reach.txt", &names.iter().map(|name| format!("{name} true\n")).collect::<String>())?;
    let reach = format!("xargs -P{} -L1 ssh -F {config} <reach.txt\n", names.len());
    bench.write("reach.sh", &reach)?;
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        ours.push(sessions(&place.desk, "fleet.yaml")?);
        theirs.push(bench.run(Path::new("sh"), &["reach.sh"])?.0);
    }
    let walls = |all: &[Took]| median(all.iter().map(|took| took.wall));
    let each = |all: &[Took]| median(all.iter().map(|took| took.cpu)) * 1e3 / names.len() as f64;
    Ok(vec![Row {
        what: format!("connect to {} hosts and ask each for its sessions", names.len()),
        measured: format!(
            "{:.2} s, {:.1} ms of the client's processor each; `ssh HOST true` {:.2} s, {:.1} ms",
            walls(&ours),
            each(&ours),
            walls(&theirs),
            each(&theirs)
        ),
        goal: "",
        original: "",
        good: true,
    }])
}

/// The simulated ones.
pub fn simulated(desk: &Desk) -> Result<Vec<Row>, Failure> {
    let took = sessions(desk, "crowd.yaml")?;
    let hosts = simulated::hosts();
    Ok(vec![Row {
        what: format!("connect to {hosts} simulated hosts ({} agents) and ask the same", simulated::AGENTS),
        measured: format!(
            "{:.1} s, {:.1} ms of the client's processor each",
            took.wall,
            took.cpu * 1e3 / hosts as f64
        ),
        goal: "",
        original: "",
        good: true,
    }])
}

fn sessions(desk: &Desk, inventory: &str) -> Result<Took, Failure> {
    let words = ["sessions", "-i", inventory, "-F", "ssh_config", "--connect-timeout", "60"];
    desk.timed(&words).map(|(took, _)| took)
}

//! `cm-fleet check`: whether an inventory can be used, and what it says.

use clap::Args;
use serde::Serialize;

use super::inventory::{InventoryArgs, read, select};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::inventory::doubt::{Doubt, doubts};
use crate::inventory::{Host, Inventory, InventoryError};
use crate::policy;
use crate::report::clean::{clean, pad, width};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet check                                  fleet.yaml here, or your own
  cm-fleet check lab.yaml --on '@gpu & zone=eu'   which hosts are selected
  cm-fleet check --json | jq '.hosts[].address'   what is known of each host

No host is contacted, no command of a secret is run and no secret is shown.

Exit codes: 0 it can be used (there may be warnings) · 2 it has mistakes")]
pub struct Check {
    #[command(flatten)]
    inventory: InventoryArgs,
    /// The hosts with everything that holds for them, as JSON; secrets as references
    #[arg(long)]
    json: bool,
}

/// An inventory for programs.
#[derive(Serialize)]
struct Told<'a> {
    name: &'a str,
    file: &'a std::path::Path,
    files: &'a [std::path::PathBuf],
    groups: &'a std::collections::BTreeSet<String>,
    hosts: &'a [Host],
    warnings: &'a [Doubt],
}

/// Checks, and says what it found.
///
/// # Errors
/// There is no inventory, it has mistakes, or a selector selects nothing.
pub fn run(args: &Check) -> Result<Exit, Failure> {
    let inventory = match read(args.inventory.path()) {
        Err(InventoryError::Wrong(mistakes)) if args.json => {
            super::print(&super::json(&mistakes)?)?;
            return Ok(Exit::Usage);
        }
        other => other.map_err(|error| error.failure())?,
    };
    policies(&inventory)?;
    let hosts = select(&inventory, &args.inventory.on)?;
    let warnings = doubts(&hosts, &|name| std::env::var(name).ok());
    if args.json {
        let Inventory { name, file, files, groups, .. } = &inventory;
        super::print(&super::json(&Told { name, file, files, groups, hosts: &hosts, warnings: &warnings })?)?;
        return Ok(Exit::Done);
    }
    for warning in &warnings {
        super::say(&format!("warning: {}\n", clean(&warning.to_string())));
    }
    let text = if args.inventory.on.is_empty() { verdict(&inventory) } else { table(&hosts) };
    super::print(&text)?;
    Ok(Exit::Done)
}

/// Policies can be read here, so they are.
fn policies(inventory: &Inventory) -> Result<(), Failure> {
    use crate::inventory::PolicyRef;
    let own = policy::own_directory(|name| std::env::var(name).ok());
    let mut good = std::collections::HashSet::new();
    for host in &inventory.hosts {
        let wanted = match &host.policy {
            None => continue,
            Some(PolicyRef::Name(name)) => name.clone(),
            Some(PolicyRef::File(path)) => path.display().to_string(),
        };
        if good.insert(wanted.clone()) {
            policy::choose(&wanted, own.as_deref()).map_err(|mut failure| {
                failure.chain.insert(0, format!("the policy of the host {} cannot be used", host.name));
                failure
            })?;
        }
    }
    Ok(())
}

fn verdict(inventory: &Inventory) -> String {
    let count = |number: usize, one: &str| match number {
        0 => format!("no {one}s"),
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    };
    let file = clean(&inventory.file.display().to_string());
    let hosts = count(inventory.hosts.len(), "host");
    let groups = match inventory.groups.len() {
        0 => String::new(),
        number => format!(" in {}", count(number, "group")),
    };
    format!("{file}: {hosts}{groups}, good\n")
}

fn table(hosts: &[Host]) -> String {
    let rows: Vec<[String; 5]> = hosts
        .iter()
        .map(|host| {
            let groups: Vec<&str> = host.groups.iter().map(String::as_str).collect();
            let labels: Vec<String> =
                host.labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
            [host.name.clone(), whereto(host), host.runtime.word().into(), groups.join(","), labels.join(",")]
        })
        .collect();
    let head = ["host", "address", "runtime", "groups", "labels"].map(str::to_owned);
    let all: Vec<[String; 5]> =
        std::iter::once(head).chain(rows).map(|row| row.map(|cell| clean(&cell))).collect();
    let width = |column: usize| all.iter().map(|row| width(&row[column])).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(width).collect();
    let line = |row: &[String; 5]| {
        let cells: Vec<String> = row.iter().zip(&widths).map(|(cell, width)| pad(cell, *width)).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    all.iter().map(line).collect()
}

/// As one would give it to ssh.
fn whereto(host: &Host) -> String {
    let user = host.user.as_ref().map(|user| format!("{user}@")).unwrap_or_default();
    let port = host.port.map(|port| format!(":{port}")).unwrap_or_default();
    match host.address.contains(':') && host.port.is_some() {
        true => format!("{user}[{}]{port}", host.address),
        false => format!("{user}{}{port}", host.address),
    }
}

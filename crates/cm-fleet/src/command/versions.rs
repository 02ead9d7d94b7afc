//! `cm-fleet versions`: the generations each host keeps, and can go back to.

use clap::Args;
use cm_protocol::deploy::{Facts, Generation};
use serde::Serialize;

use super::hosts::{HostsArgs, Opened};
use crate::deploy::each::ask_all;
use crate::deploy::event::Outcome;
use crate::deploy::jobs::Depth;
use crate::deploy::words::{short_sha, without_name};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::clean::clean;
use crate::report::table::{Cell, Column, render};
use crate::report::terminal;
use crate::report::words::age;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet versions
  cm-fleet rollback --on h1 --to 3     to one of them")]
pub struct Versions {
    #[command(flatten)]
    hosts: HostsArgs,
    /// One JSON object a generation
    #[arg(long)]
    json: bool,
}

/// One generation of a host.
#[derive(Debug, Serialize)]
struct Row<'a> {
    host: &'a str,
    #[serde(flatten)]
    generation: &'a Generation,
    current: bool,
}

/// Lists them.
///
/// # Errors
/// The inventory cannot be used.
pub async fn run(args: Versions) -> Result<Exit, Failure> {
    let Opened { jobs, keys, .. } = args.hosts.open(Depth::Reach).await?;
    let all = ask_all(jobs, &keys, "").await;
    let mut rows = Vec::new();
    let mut unreached = 0;
    for (host, answer) in &all {
        match answer {
            Ok(facts) => rows.extend(rows_of(host, facts)),
            Err(outcome) => {
                unreached += 1;
                let why = match outcome {
                    Outcome::Unreachable { why }
                    | Outcome::Refused { why, .. }
                    | Outcome::Failed { why, .. } => why,
                    _ => "it was left",
                };
                super::say(&format!("{}: {}\n", clean(host), clean(without_name(host, why))));
            }
        }
    }
    if args.json {
        for (row, _) in &rows {
            if !super::print(&super::json(row)?)? {
                break;
            }
        }
    } else {
        super::print(&draw(&rows))?;
    }
    Ok(match unreached {
        0 => Exit::Done,
        n if n == all.len() => Exit::Unreachable,
        _ => Exit::Failed,
    })
}

/// A host's generations, newest first, and how long ago each was installed by the host's own clock.
fn rows_of<'a>(host: &'a str, facts: &'a Facts) -> Vec<(Row<'a>, f64)> {
    let Some(installed) = &facts.installed else { return Vec::new() };
    let row = |generation: &'a Generation| {
        let current = generation.number == installed.generation;
        (Row { host, generation, current }, facts.now - generation.at)
    };
    installed.generations.iter().rev().map(row).collect()
}

fn draw(rows: &[(Row<'_>, f64)]) -> String {
    if rows.is_empty() {
        return "nothing is installed\n".to_owned();
    }
    let head = [
        Column::text("host"),
        Column::number("generation"),
        Column::text(""),
        Column::text("version"),
        Column::text("program"),
        Column::number("age"),
        Column::elastic("by"),
    ];
    let cells: Vec<Vec<Cell>> = rows
        .iter()
        .map(|(row, old)| {
            let generation = row.generation;
            vec![
                clean(row.host).into(),
                generation.number.to_string().into(),
                if row.current { "in use" } else { "" }.into(),
                clean(&generation.binary.version).into(),
                short_sha(&generation.binary.sha256).into(),
                age(*old).into(),
                clean(&generation.by).into(),
            ]
        })
        .collect();
    render(&head, &cells, terminal::stdout_columns(), terminal::paint_stdout())
}

//! `cm-fleet schema`: the JSON Schema of an inventory or of a file of tasks, for editors.

use clap::{Args, ValueEnum};

use crate::dispatch::tasks;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::inventory::file;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Editors complete and check a file that begins with a line such as
  # yaml-language-server: $schema=fleet.schema.json

Examples:
  cm-fleet schema > fleet.schema.json
  cm-fleet schema tasks > tasks.schema.json")]
pub struct Schema {
    /// Of which file
    #[arg(value_enum, default_value_t = What::Inventory)]
    what: What,
}

/// The files there are.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum What {
    /// Hosts, how they are reached, what runs on them
    Inventory,
    /// Tasks for `cm-fleet dispatch --tasks`
    Tasks,
}

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Schema) -> Result<Exit, Failure> {
    let schema = match args.what {
        What::Inventory => file::schema(),
        What::Tasks => tasks::schema(),
    };
    let text = serde_json::to_string_pretty(&schema)
        .map_err(|e| Failure::new(Kind::Task, "cannot write the schema").because(&e))?;
    super::print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

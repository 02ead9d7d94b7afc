//! `cm-fleet schema`: the JSON Schema of an inventory, for editors.

use clap::Args;

use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::inventory::file;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Editors complete and check an inventory that begins with a line such as
  # yaml-language-server: $schema=fleet.schema.json

Example:
  cm-fleet schema > fleet.schema.json")]
pub struct Schema {}

/// Prints the schema.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(_: &Schema) -> Result<Exit, Failure> {
    let text = serde_json::to_string_pretty(&file::schema())
        .map_err(|e| Failure::new(Kind::Task, "cannot write the schema").because(&e))?;
    super::print(&format!("{text}\n"))?;
    Ok(Exit::Done)
}

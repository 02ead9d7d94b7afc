//! `cm-fleet completions`: a shell's completion script.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  cm-fleet completions bash > ~/.local/share/bash-completion/completions/cm-fleet"
)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Prints the script.
///
/// # Errors
/// Standard output cannot be written.
pub fn run(args: &Completions) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::cli::Cli::command(), "cm-fleet", &mut script);
    super::print(&String::from_utf8_lossy(&script))?;
    Ok(Exit::Done)
}

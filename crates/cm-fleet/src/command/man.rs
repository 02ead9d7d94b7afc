//! `cm-fleet man`: manual pages, one for each command, made from the command line itself.

use std::fs;
use std::path::PathBuf;

use clap::{Args, CommandFactory};

use crate::cli::Cli;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet man | man -l -                            the first page, right here
  cm-fleet man --dir ~/.local/share/man/man1         all of them, for `man cm-fleet-deploy`")]
pub struct Man {
    /// Write the page of every command into this directory, instead of the first one to standard output
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes them.
///
/// # Errors
/// The directory cannot be written.
pub fn run(args: &Man) -> Result<Exit, Failure> {
    let cannot = |e: &std::io::Error| Failure::new(Kind::Task, "cannot write the manual pages").because(e);
    let Some(dir) = &args.dir else {
        let mut page = Vec::new();
        clap_mangen::Man::new(Cli::command()).render(&mut page).map_err(|e| cannot(&e))?;
        super::print(&String::from_utf8_lossy(&page))?;
        return Ok(Exit::Done);
    };
    fs::create_dir_all(dir).map_err(|e| cannot(&e))?;
    clap_mangen::generate_to(Cli::command(), dir).map_err(|e| cannot(&e))?;
    super::print(&format!("manual pages are in {}\n", dir.display()))?;
    Ok(Exit::Done)
}

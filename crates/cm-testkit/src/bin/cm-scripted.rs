//! `cm-scripted`: draws the screens of a script and reacts as it says; a stand-in for a tool.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use cm_testkit::scripted;

/// Draws the screens of a script, and logs every byte it reads.
#[derive(Debug, Parser)]
#[command(name = "cm-scripted")]
struct Args {
    /// The script (TOML).
    script: PathBuf,
    /// Where to write what happens, a line of JSON each (added to).
    #[arg(long, value_name = "FILE", env = "CM_SCRIPTED_LOG")]
    log: Option<PathBuf>,
    /// Only check the script.
    #[arg(long)]
    check: bool,
    /// What a tool would be called with besides; taken, and of no effect.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    rest: Vec<String>,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("cm-scripted: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<u8, scripted::RunError> {
    let script = scripted::load(&args.script)?;
    if args.check {
        println!("{} frames: {}", script.frame.len(), script.about);
        return Ok(0);
    }
    scripted::run(script, args.log.as_deref())
}

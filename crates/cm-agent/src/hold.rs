//! The first process of a session's terminal: starts the tool, waits, and ends exactly as the tool ended.
//!
//! It exists so that a session can be paused. tmux sends a stopped child of its own on again at once, and
//! the stop signals it would respect are ignored by the kernel in a pane's first process group. A tool one
//! level down can be stopped like any process.

use std::ffi::OsString;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};

use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a shell says of a program it cannot find, or not run.
const NOT_FOUND: u8 = 127;
const NOT_RUNNABLE: u8 = 126;

/// Runs a program to its end. Returns its exit code; if a signal ended it, ends by the same signal.
pub fn run(argv: &[OsString]) -> ExitCode {
    let Some((program, args)) = argv.split_first() else {
        eprintln!("cm-agent hold: no program to run");
        return ExitCode::from(2);
    };
    let status = match start_and_wait(program, args) {
        Ok(status) => status,
        Err(error) => {
            eprintln!("cm-agent: {} cannot be run: {error}", program.display());
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            return ExitCode::from(if missing { NOT_FOUND } else { NOT_RUNNABLE });
        }
    };
    end_as(status)
}

fn start_and_wait(program: &OsString, args: &[OsString]) -> std::io::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Ctrl-C goes to everyone in the foreground; what to make of it is the tool's business. A signal
        // that is caught, unlike one that is ignored, is a fresh one for the program started next.
        let _caught = [SignalKind::interrupt(), SignalKind::quit()]
            .map(signal)
            .into_iter()
            .collect::<Result<Vec<Signal>, _>>()?;
        tokio::process::Command::new(program).args(args).spawn()?.wait().await
    })
}

fn end_as(status: ExitStatus) -> ExitCode {
    if let Some(code) = status.code() {
        // Exit codes are bytes; the kernel has cut them already.
        return ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX));
    }
    let signal = status.signal().unwrap_or(9);
    // A program that has just been replaced has no handlers left in its way, and leaves no second core file.
    let error = Command::new("/bin/sh").args(["-c", &format!("ulimit -c 0; kill -{signal} $$")]).exec();
    eprintln!("cm-agent: the program was ended by signal {signal}, which cannot be passed on: {error}");
    ExitCode::from(128_u8.saturating_add(u8::try_from(signal).unwrap_or(0)))
}

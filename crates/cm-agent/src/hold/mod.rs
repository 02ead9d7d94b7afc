//! The first process of a session's terminal: starts the tool, waits, and ends exactly as the tool ended.
//!
//! It exists so that a session can be paused. tmux sends a stopped child of its own on again at once, and
//! the stop signals it would respect are ignored by the kernel in a pane's first process group. A tool one
//! level down can be stopped like any process. It also sees to it that nothing the tool printed is lost:
//! when a terminal's first process ends, the kernel throws away what the terminal has not read yet.
//!
//! With status it also stands between the two terminals and understands what the tool says of itself (see
//! [`crate::tool::osc`]).

mod shim;

use std::ffi::OsString;
use std::fs::OpenOptions;
use std::io::{Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitCode, ExitStatus};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
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
    match start_and_wait(program, args) {
        Ok(status) => end(status),
        Err(error) => cannot_run(program, &error),
    }
}

/// The same, in a terminal of the program's own, with its status passed on as the window's name. `starter`:
/// what calls [`become_tool`] with the arguments behind it, beginning with this program's name. Where there is
/// no terminal, or no second one can be had, it is [`run`].
pub fn run_with_status(starter: &[&str], argv: &[OsString]) -> ExitCode {
    let (Some(program), Ok(terminals)) = (argv.first(), shim::Terminals::open()) else { return run(argv) };
    let command: Vec<OsString> = starter.iter().map(OsString::from).chain(argv.iter().cloned()).collect();
    match shim::run(terminals, &command) {
        Ok(status) => end(status),
        Err(error) => cannot_run(program, &error),
    }
}

/// Makes the terminal we were started in that of a session of our own, and becomes the program. Returns only
/// if that fails.
pub fn become_tool(argv: &[OsString]) -> ExitCode {
    let Some((program, args)) = argv.split_first() else { return ExitCode::from(2) };
    let taken = rustix::process::setsid()
        .and_then(|_| rustix::process::ioctl_tiocsctty(std::io::stdin()))
        .map_err(std::io::Error::from);
    let error = match taken {
        Ok(()) => Command::new(program).args(args).exec(),
        Err(error) => error,
    };
    cannot_run(program, &error)
}

fn cannot_run(program: &OsString, error: &std::io::Error) -> ExitCode {
    eprintln!("cm-agent: {} cannot be run: {error}", program.display());
    let missing = error.kind() == std::io::ErrorKind::NotFound;
    ExitCode::from(if missing { NOT_FOUND } else { NOT_RUNNABLE })
}

fn end(status: ExitStatus) -> ExitCode {
    // Without a terminal, or no longer in its foreground, there is nothing to wait for.
    let _ = await_display();
    end_as(status)
}

/// How long the terminal may take to have read everything.
const DISPLAY: Duration = Duration::from_secs(3);
/// Ends an escape sequence the tool may have left unfinished, then asks the terminal whether it is well. It
/// answers when it comes to the question, so after everything that was printed before.
const QUESTION: &[u8] = b"\x18\x1b[5n";
/// The answer.
const WELL: &[u8] = b"\x1b[0n";

/// Waits until the terminal has taken in all that was printed.
fn await_display() -> std::io::Result<()> {
    let mut terminal = OpenOptions::new().read(true).write(true).open("/dev/tty")?;
    let mut mode = tcgetattr(&terminal)?;
    // The answer comes as input: it must not be shown, nor wait for a line's end.
    mode.make_raw();
    tcsetattr(&terminal, OptionalActions::Now, &mode)?;
    terminal.write_all(QUESTION)?;
    let until = Instant::now() + DISPLAY;
    let (mut heard, mut buffer) = (Vec::new(), [0; 256]);
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        let left = Timespec::try_from(left).map_err(std::io::Error::other)?;
        if poll(&mut [PollFd::new(&terminal, PollFlags::IN)], Some(&left))? == 0 {
            break;
        }
        let count = terminal.read(&mut buffer)?;
        heard.extend_from_slice(&buffer[..count]);
        if count == 0 || heard.windows(WELL.len()).any(|w| w == WELL) {
            break;
        }
        // Whatever else was typed is of no use to anyone any more.
        heard.drain(..heard.len().saturating_sub(WELL.len()));
    }
    Ok(())
}

fn start_and_wait(program: &OsString, args: &[OsString]) -> std::io::Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let _caught = caught()?;
        tokio::process::Command::new(program).args(args).spawn()?.wait().await
    })
}

/// Ctrl-C goes to everyone in the foreground; what to make of it is the tool's business. A signal that is
/// caught, unlike one that is ignored, is a fresh one for the program started next.
fn caught() -> std::io::Result<Vec<Signal>> {
    [SignalKind::interrupt(), SignalKind::quit()].map(signal).into_iter().collect()
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

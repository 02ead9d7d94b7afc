//! A running child: reading its output, waiting for its end, ending it.

use std::io::{BufRead as _, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::failure::Failure;

/// How often a running program is looked at.
pub const TICK: Duration = Duration::from_millis(20);
/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pipe {
    /// Its standard output.
    Out,
    /// Its standard error.
    Err,
}

/// Sends what comes out of a pipe, line by line, until it ends or nobody listens.
pub fn reader(
    pipe: impl Read + Send + 'static,
    from: Pipe,
    sender: mpsc::SyncSender<(Pipe, Vec<u8>)>,
) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        // A line longer than the limit arrives in pieces.
        while let Ok(1..) = pipe.by_ref().take(64 * 1024).read_until(b'\n', &mut line) {
            if sender.send((from, std::mem::take(&mut line))).is_err() {
                return;
            }
        }
    })
}

/// Waits for its end, or ends it.
pub fn wait(child: &mut Child, shown: &str, deadline: Duration) -> Result<ExitStatus, Failure> {
    let end = Instant::now() + deadline;
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status),
            Ok(None) if Instant::now() > end => {
                stop(child);
                let command = shown.to_owned();
                return Err(Failure::Late { command, after: deadline, output: String::new() });
            }
            Ok(None) => thread::sleep(TICK),
            Err(source) => return Err(Failure::Start { command: shown.to_owned(), source }),
        }
    }
}

/// Ends it now.
pub fn stop(child: &mut Child) {
    // Both fail only if it has ended by itself meanwhile.
    let _ = child.kill();
    let _ = child.wait();
}

//! Running a program with its input given, its output kept, and a deadline.

use std::io::{Read, Write as _};
use std::process::{Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How often a child is asked whether it has ended.
const TICK: Duration = Duration::from_millis(5);

/// Runs it to its end; panics if it cannot be started or does not end in time.
pub(super) fn run(command: &mut Command, input: &[u8], deadline: Duration) -> Output {
    let shown = format!("{command:?}");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("could not start {shown}: {error}"));
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    thread::scope(|scope| {
        scope.spawn(move || {
            // A program that does not read what it is given says so with its exit status.
            stdin.map(|mut pipe| pipe.write_all(input))
        });
        let stdout = scope.spawn(|| all(stdout));
        let stderr = scope.spawn(|| all(stderr));
        let end = Instant::now() + deadline;
        let status = loop {
            match child.try_wait() {
                Ok(Some(status)) => break Some(status),
                Ok(None) if Instant::now() < end => thread::sleep(TICK),
                Ok(None) | Err(_) => break None,
            }
        };
        if status.is_none() {
            // Both fail only if it has ended by itself meanwhile.
            let _ = child.kill();
            let _ = child.wait();
        }
        let (stdout, stderr) = (stdout.join().unwrap_or_default(), stderr.join().unwrap_or_default());
        match status {
            Some(status) => Output { status, stdout, stderr },
            None => panic!("{shown} had not ended after {deadline:?}; it said: {}", text(&stderr)),
        }
    })
}

/// As [`run`], and panics with its last words if it fails.
pub(super) fn must(command: &mut Command, input: &[u8], deadline: Duration) -> Output {
    let output = run(command, input, deadline);
    assert!(
        output.status.success(),
        "{command:?} failed ({}): {}{}",
        output.status,
        text(&output.stdout),
        text(&output.stderr)
    );
    output
}

fn all(pipe: Option<impl Read>) -> Vec<u8> {
    let mut bytes = Vec::new();
    // What was read before an error is worth having.
    let _ = pipe.map(|mut pipe| pipe.read_to_end(&mut bytes));
    bytes
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

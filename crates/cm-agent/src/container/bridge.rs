//! `cm-agent bridge`: standard input and output joined to the agent's socket, for whoever can only run a program here.

use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

/// No agent listens there.
const NOBODY: u8 = 3;
/// How much is passed on at once, in bytes.
const PIECE: usize = 64 << 10;

/// Copies both ways until the agent ends its side, or nobody reads any more. The end of standard input is passed
/// on, and what the agent still says then is too.
pub fn run(socket: &Path) -> ExitCode {
    let stream = match UnixStream::connect(socket) {
        Ok(stream) => stream,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cm-agent bridge: no agent on {}: {error}", socket.display());
            return ExitCode::from(NOBODY);
        }
    };
    match between(stream) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cm-agent bridge: {error}");
            ExitCode::FAILURE
        }
    }
}

fn between(mut stream: UnixStream) -> io::Result<()> {
    // Not through the buffers of std's own: what comes is to leave at once.
    let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let mut output = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    let mut there = stream.try_clone()?;
    // Ends with the process: it may wait for input that never comes.
    thread::Builder::new().spawn(move || {
        let _ = pass(&mut input, &mut there);
        let _ = there.shutdown(Shutdown::Write);
    })?;
    match pass(&mut stream, &mut output) {
        // An agent that was killed, or a reader that has seen enough: over, one way or the other.
        Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe) => {
            Ok(())
        }
        done => done,
    }
}

fn pass(from: &mut impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        match from.read(&mut piece) {
            Ok(0) => return Ok(()),
            Ok(count) => to.write_all(&piece[..count])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

//! The scripts on this machine: a shell of ours, with the bounds that ssh has.

use std::io;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::time::timeout;

use super::Said;

/// How long one that was ended may take to be gone.
const GONE: Duration = Duration::from_secs(1);

/// Runs a script and keeps at most `limit` bytes of each of its outputs; the rest is read and dropped.
///
/// # Errors
/// The shell cannot be run; `TimedOut`, if it took too long, and then it was ended with all it started.
pub(super) async fn run(
    script: &str,
    input: &[Arc<[u8]>],
    limit: usize,
    within: Duration,
) -> io::Result<Said> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", script])
        .env("GIT_TERMINAL_PROMPT", "0")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    match timeout(within, talk(&mut child, input, limit)).await {
        Ok(Ok(said)) => Ok(said),
        Ok(Err(error)) => {
            end(&mut child).await;
            Err(error)
        }
        Err(_) => {
            end(&mut child).await;
            Err(io::ErrorKind::TimedOut.into())
        }
    }
}

/// Writes and reads at once, so that no pipe stands full.
async fn talk(child: &mut Child, input: &[Arc<[u8]>], limit: usize) -> io::Result<Said> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let ((), (out, cut), (complaints, _)) =
        tokio::try_join!(give(stdin, input), keep(stdout, limit), keep(stderr, limit))?;
    let status = child.wait().await?;
    let complaints = String::from_utf8_lossy(&complaints).into_owned();
    Ok(Said { code: status.code(), out, complaints, cut })
}

async fn give(stdin: Option<ChildStdin>, input: &[Arc<[u8]>]) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    for part in input {
        match stdin.write_all(part).await {
            // It ended without reading all; its exit code and complaints say why.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
            other => other?,
        }
    }
    Ok(())
}

/// Reads all and keeps the beginning; whether there was more.
async fn keep(from: Option<impl AsyncRead + Unpin>, limit: usize) -> io::Result<(Vec<u8>, bool)> {
    let (mut kept, mut cut) = (Vec::new(), false);
    let Some(mut from) = from else { return Ok((kept, cut)) };
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok((kept, cut));
        }
        let wanted = count.min(limit - kept.len());
        kept.extend_from_slice(&chunk[..wanted]);
        cut |= wanted < count;
    }
}

/// Ends the shell and what it started.
async fn end(child: &mut Child) {
    // Not reaped yet: the group is still its own.
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    // One that hangs in a dead disk ends when the disk answers; nobody waits for that.
    let _ = timeout(GONE, child.wait()).await;
}

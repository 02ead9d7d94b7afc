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

#[cfg(test)]
mod tests {
    use super::super::script;
    use super::*;

    async fn said(script: &str, input: &str, limit: usize, within: Duration) -> io::Result<Said> {
        run(script, &[input.as_bytes().into()], limit, within).await
    }

    #[tokio::test]
    async fn it_is_bounded_in_bytes_and_time() {
        let patience = Duration::from_secs(30);
        let all = said("cat; exit 3", "abc", 3, patience).await.expect("run");
        assert_eq!((all.code, &all.out[..], all.cut), (Some(3), &b"abc"[..], false));
        let some = said("cat", "abcd", 3, patience).await.expect("run");
        assert_eq!((&some.out[..], some.cut), (&b"abc"[..], true));
        let long = "x".repeat(1 << 20);
        let deaf = said("exec 0<&-; echo done", &long, 100, patience).await.expect("run");
        assert_eq!(&deaf.out[..], b"done\n");
        let late = said("sleep 600 & wait", "", 3, Duration::from_millis(50)).await.map(drop);
        assert_eq!(late.expect_err("ended").kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn a_bundle_that_is_too_large_is_cut_and_says_so() {
        let dir = tempfile::tempdir().expect("a directory");
        let made = "git init -q . && echo x > x && git add x && \
                    git -c user.name=x -c user.email=x@x commit -qm x && git update-ref refs/cm/t/wip HEAD";
        let made = format!("cd {} && {made}", dir.path().display());
        assert_eq!(said(&made, "", 1 << 10, Duration::from_secs(30)).await.expect("run").code, Some(0));
        let input = format!("{}\nrefs/cm/t/wip\n", dir.path().display());
        for (most, whole) in [(1 << 20, true), (20, false)] {
            let answer =
                said(&script::give(most), &input, 1 << 21, Duration::from_secs(30)).await.expect("run");
            let bundle = script::answer(&answer.out).expect("a mark");
            assert_eq!(bundle.len() <= most, whole, "{answer:?}");
            assert!(bundle.starts_with(b"# v2 git bundle"));
            assert!(!whole || script::status(&answer.complaints).0 == Some(0), "{answer:?}");
        }
    }
}

//! Running a task's check: a command, its exit code, and the end of what it printed.

use std::{
    collections::BTreeMap,
    io,
    os::{fd::OwnedFd, unix::process::ExitStatusExt},
    path::Path,
    pin::pin,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use cm_protocol::CheckResult;
use tokio::{
    io::AsyncReadExt,
    net::unix::pipe::Receiver,
    process::{Child, Command},
    time::{Instant, sleep_until, timeout},
};

use super::words::Tail;
use crate::host::{
    process::{Ended, Grace, Marker, ProcessId, end_tree},
    signal::signal_name,
};

/// How long a check's processes may take to end.
const GRACE: Grace = Grace { ask: Duration::from_secs(2), kill: Duration::from_secs(5) };

/// How long the directory may take to answer.
const LOOK: Duration = Duration::from_secs(5);

/// How much is read of what others still print when the check's shell has ended, in bytes.
const AFTER: usize = 4 << 20;

/// Runs `command` with `sh -c` in `dir` and exactly the environment `env`, with nothing to read. `session` is the
/// id of the session it is for: the check's processes carry it, so ending the session ends them, and a mark of
/// their own, so that ending the check ends nothing else. When the command has ended, what it left
/// behind is ended too: the next run finds no port taken. One check per session at a time.
///
/// Never fails and takes at most `timeout` and fifteen seconds: whatever goes wrong is in the answer (`runs` is
/// 1). If it is dropped, its shell is killed, the rest by [`end_stale`] or the session's end.
pub async fn check(
    command: &str,
    dir: &Path,
    env: &BTreeMap<String, String>,
    timeout: Duration,
    session: &str,
) -> CheckResult {
    end_stale(session).await;
    let begun = Instant::now();
    let mut result = CheckResult { command: command.into(), runs: 1, ..CheckResult::default() };
    let mut tail = Tail::default();
    match start(command, dir, env, session).await {
        Ok(running) => match running.finish(timeout, &mut tail).await {
            Ending::Exited(status) => {
                result.exit_code = status.code();
                result.error = status.signal().map(|signal| format!("ended by {}", signal_name(signal)));
            }
            Ending::TimedOut(ended) => result.error = Some(timed_out(timeout, &ended)),
            Ending::Unknown(error) => result.error = Some(format!("its end cannot be seen: {error}")),
        },
        Err(why) => result.error = Some(format!("cannot be run: {why}")),
    }
    result.tail = tail.lines();
    result.duration = begun.elapsed().as_secs_f64();
    result
}

/// Ends what an earlier check of this session left behind, be it an earlier agent's. [`check`] does so itself.
pub async fn end_stale(session: &str) {
    end_tree(&[], Some(&Marker::check(session)), GRACE).await;
}

/// A check under way.
struct Running {
    child: Child,
    root: Option<ProcessId>,
    /// Both its output streams; `None` once nobody has them open any more.
    output: Option<Receiver>,
    mark: Marker,
}

/// How a check ended.
enum Ending {
    Exited(ExitStatus),
    TimedOut(Ended),
    Unknown(io::Error),
}

/// What happens while a check runs.
enum Happening {
    Ended(io::Result<ExitStatus>),
    Printed(io::Result<usize>),
    Late,
}

async fn start(
    command: &str,
    dir: &Path,
    env: &BTreeMap<String, String>,
    session: &str,
) -> Result<Running, String> {
    if command.trim().is_empty() {
        return Err("the command is empty".into());
    }
    is_there(dir).await?;
    let pipe = || {
        // One pipe for both streams, so that lines stay in their order.
        let (reader, writer) = io::pipe()?;
        Ok((Receiver::from_owned_fd(OwnedFd::from(reader))?, writer.try_clone()?, writer))
    };
    let (output, out, err) = pipe().map_err(|error: io::Error| error.to_string())?;
    // The command, with our ends of the pipe, goes as soon as it has started.
    let child = Command::new("/bin/sh")
        .args(["-c", command])
        .current_dir(dir)
        .env_clear()
        .envs(env)
        .env(Marker::SESSION, session)
        .env(Marker::CHECK, session)
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| format!("/bin/sh in {}: {error}", dir.display()))?;
    let root = child.id().and_then(|id| ProcessId::of(i32::try_from(id).ok()?));
    Ok(Running { child, root, output: Some(output), mark: Marker::check(session) })
}

/// A directory on a dead disk must not hold up the agent, which changing into it would.
async fn is_there(dir: &Path) -> Result<(), String> {
    let look = tokio::task::spawn_blocking({
        let dir = dir.to_owned();
        move || dir.is_dir()
    });
    match timeout(LOOK, look).await {
        Ok(Ok(true)) => Ok(()),
        Ok(_) => Err(format!("{} is not a directory (any more)", dir.display())),
        Err(_) => Err(format!("{} does not answer within {} s", dir.display(), LOOK.as_secs())),
    }
}

impl Running {
    async fn finish(mut self, within: Duration, tail: &mut Tail) -> Ending {
        let late = Instant::now().checked_add(within);
        let mut chunk = vec![0; 64 << 10];
        loop {
            let happening = tokio::select! {
                status = self.child.wait() => Happening::Ended(status),
                count = read(self.output.as_mut(), &mut chunk) => Happening::Printed(count),
                () = until(late) => Happening::Late,
            };
            match happening {
                Happening::Printed(Ok(count)) if count > 0 => tail.push(&chunk[..count]),
                // Closed: what is left is its end.
                Happening::Printed(_) => self.output = None,
                Happening::Ended(status) => {
                    self.drain(tail, &mut chunk);
                    self.end(&mut Tail::default(), &mut chunk).await;
                    return status.map_or_else(Ending::Unknown, Ending::Exited);
                }
                Happening::Late => {
                    let ended = self.end(tail, &mut chunk).await;
                    self.drain(tail, &mut chunk);
                    // Reaped, unless it is one of the survivors.
                    let _ = timeout(Duration::from_secs(1), self.child.wait()).await;
                    return Ending::TimedOut(ended);
                }
            }
        }
    }

    /// Ends all of its processes that there still are, and reads on meanwhile: last words are worth having,
    /// and nobody hangs in a full pipe.
    async fn end(&mut self, tail: &mut Tail, chunk: &mut [u8]) -> Ended {
        let roots: Vec<ProcessId> = self.root.into_iter().collect();
        let mut ending = pin!(end_tree(&roots, Some(&self.mark), GRACE));
        loop {
            tokio::select! {
                ended = &mut ending => return ended,
                count = read(self.output.as_mut(), chunk) => match count {
                    Ok(count) if count > 0 => tail.push(&chunk[..count]),
                    _ => self.output = None,
                },
            }
        }
    }

    /// Reads what is in the pipe now. Not by the runtime's leave: it may not have heard of the newest yet.
    fn drain(&mut self, tail: &mut Tail, chunk: &mut [u8]) {
        let Some(output) = &self.output else { return };
        let mut read = 0;
        while read < AFTER {
            match rustix::io::read(output, &mut *chunk) {
                Ok(count) if count > 0 => tail.push(&chunk[..count]),
                _ => return,
            }
            read += chunk.len();
        }
    }
}

/// Reads from the pipe; never ready if there is none.
async fn read(output: Option<&mut Receiver>, chunk: &mut [u8]) -> io::Result<usize> {
    match output {
        Some(output) => output.read(chunk).await,
        None => std::future::pending().await,
    }
}

/// Never, if the time is beyond counting.
async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

fn timed_out(within: Duration, ended: &Ended) -> String {
    let said = format!("timed out after {} s", within.as_secs_f64());
    if ended.survivors.is_empty() {
        return said;
    }
    let pids: Vec<String> = ended.survivors.iter().take(5).map(|id| id.pid.to_string()).collect();
    format!("{said}, and {} of its processes run on (pid {})", ended.survivors.len(), pids.join(", "))
}

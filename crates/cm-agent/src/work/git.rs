//! Running git: a clean environment, a deadline, bounded output.

use std::{
    ffi::{OsStr, OsString},
    io::{self, Write},
    path::Path,
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStdin, Command},
    time::{Instant, timeout, timeout_at},
};

use super::{
    WorkError,
    parse::{self, Refusal},
};

/// How much of git's answers is taken where nothing else is said, in bytes: a list of 100,000 long paths.
pub(super) const OUTPUT: usize = 16 << 20;

/// How much of its complaints is kept, in bytes.
const COMPLAINTS: usize = 4 << 10;

/// Settings of the user's that our own calls do without: programs that git would start, and what differs in
/// output or leaves traces.
const SETTINGS: [&str; 10] = [
    "core.fsmonitor=false",
    "core.hooksPath=/dev/null",
    "core.quotePath=false",
    "core.splitIndex=false",
    "core.bigFileThreshold=128m",
    "diff.orderFile=/dev/null",
    "submodule.recurse=false",
    "status.renames=false",
    "gc.auto=0",
    "safe.bareRepository=all",
];

/// One act in one place, as several calls of git with one deadline.
#[derive(Debug, Clone)]
pub(super) struct Git<'a> {
    act: &'static str,
    path: &'a Path,
    deadline: Instant,
    within: Duration,
    env: Vec<(&'static str, OsString)>,
}

/// What git said.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether its exit code was 0.
    pub success: bool,
    /// What it printed, as far as it was taken.
    pub out: Vec<u8>,
    /// What it complained of.
    pub complaint: String,
    /// Whether it would have printed more (and was stopped).
    pub cut: bool,
}

impl<'a> Git<'a> {
    /// Begins an act: `act` and `path` say in errors what was tried and where. git works in `path`.
    pub(super) fn new(act: &'static str, path: &'a Path, within: Duration) -> Self {
        Self { act, path, deadline: Instant::now() + within, within, env: Vec::new() }
    }

    /// The same act going on elsewhere.
    pub(super) fn at(git: &Git<'a>, path: &'a Path) -> Self {
        Self { path, ..git.clone() }
    }

    /// The same with one more variable.
    pub(super) fn with(&self, name: &'static str, value: impl Into<OsString>) -> Self {
        let mut git = self.clone();
        git.env.push((name, value.into()));
        git
    }

    /// Where git works.
    pub(super) fn path(&self) -> &Path {
        self.path
    }

    /// The act's end.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// The error of something of the system's own during this act.
    pub(super) fn io(&self, act: &'static str, path: &Path, source: io::Error) -> WorkError {
        WorkError::Io { act, path: path.into(), source }
    }

    /// The error of an act that takes too long.
    pub(super) fn timeout(&self) -> WorkError {
        WorkError::Timeout { act: self.act, path: self.path.into(), within: self.within }
    }

    /// Runs git and takes what it prints; an error if its exit code is not 0.
    pub(super) async fn ask(&self, args: &[impl AsRef<OsStr>]) -> Result<Vec<u8>, WorkError> {
        let answer = self.run(args, b"", OUTPUT).await?;
        if answer.success { Ok(answer.out) } else { Err(self.refused(&answer)) }
    }

    /// Runs git with something to read; an error if its exit code is not 0.
    pub(super) async fn tell(&self, args: &[impl AsRef<OsStr>], input: &[u8]) -> Result<(), WorkError> {
        let answer = self.run(args, input, OUTPUT).await?;
        if answer.success { Ok(()) } else { Err(self.refused(&answer)) }
    }

    /// Runs git and takes at most `limit` bytes of what it prints.
    pub(super) async fn run(
        &self,
        args: &[impl AsRef<OsStr>],
        input: &[u8],
        limit: usize,
    ) -> Result<Answer, WorkError> {
        let mut out = Vec::new();
        let answer = self.stream(args, input, limit, &mut out).await?;
        Ok(Answer { out, ..answer })
    }

    /// Runs git and writes at most `limit` bytes of what it prints to `sink`.
    pub(super) async fn stream(
        &self,
        args: &[impl AsRef<OsStr>],
        input: &[u8],
        limit: usize,
        sink: &mut impl Write,
    ) -> Result<Answer, WorkError> {
        let mut child =
            self.command(args, !input.is_empty()).spawn().map_err(|source| match source.kind() {
                io::ErrorKind::NotFound => WorkError::NoGit { act: self.act, path: self.path.into() },
                _ => self.io("start git for", self.path, source),
            })?;
        match timeout_at(self.deadline, talk(&mut child, input, limit, sink)).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(source)) => {
                end(&mut child).await;
                Err(self.io("take down what git says of", self.path, source))
            }
            Err(_) => {
                end(&mut child).await;
                Err(self.timeout())
            }
        }
    }

    /// The error behind an exit code that is not 0.
    pub(super) fn refused(&self, answer: &Answer) -> WorkError {
        let (act, path) = (self.act, self.path.into());
        match parse::refusal(&answer.complaint) {
            Refusal::NotARepository => WorkError::NotARepository { act, path },
            Refusal::NotTrusted { remedy } => WorkError::NotTrusted { act, path, remedy },
            Refusal::Other(why) => WorkError::Git { act, path, why },
        }
    }

    fn command(&self, args: &[impl AsRef<OsStr>], reads: bool) -> Command {
        let mut command = Command::new("git");
        for (name, _) in std::env::vars_os() {
            // Another repository, index, configuration, tracing: whoever started the agent may have set them.
            if name.as_encoded_bytes().starts_with(b"GIT_") {
                command.env_remove(name);
            }
        }
        command
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("LC_ALL", "C")
            .envs(self.env.iter().map(|(name, value)| (name, value)));
        // `-C`, not our own chdir: a directory on a dead disk holds up git, and not the agent.
        command.arg("--no-pager").arg("-C").arg(self.path);
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        command
            .args(args)
            .stdin(if reads { Stdio::piped() } else { Stdio::null() })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        command
    }
}

/// Writes, reads and waits, all at once, so that no pipe stands full.
async fn talk(child: &mut Child, input: &[u8], limit: usize, sink: &mut impl Write) -> io::Result<Answer> {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut complaint = Vec::new();
    let work = async {
        let (cut, ..) = tokio::try_join!(
            take(stdout, limit, sink, true),
            take(stderr, COMPLAINTS, &mut complaint, false),
            give(stdin, input),
        )?;
        io::Result::Ok(cut)
    };
    let cut = work.await?;
    if cut {
        end(child).await;
    }
    let status = child.wait().await?;
    let complaint = String::from_utf8_lossy(&complaint).into_owned();
    Ok(Answer { success: status.success() || cut, out: Vec::new(), complaint, cut })
}

async fn give(stdin: Option<ChildStdin>, input: &[u8]) -> io::Result<()> {
    let Some(mut stdin) = stdin else { return Ok(()) };
    match stdin.write_all(input).await {
        // It ended without reading all; its exit code and complaint say why.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

/// Reads at most `limit` bytes; whether there was more. The rest is read and dropped, unless `stop`.
async fn take(
    from: Option<impl AsyncRead + Unpin>,
    limit: usize,
    sink: &mut impl Write,
    stop: bool,
) -> io::Result<bool> {
    let Some(mut from) = from else { return Ok(false) };
    let mut left = limit;
    let mut cut = false;
    let mut chunk = vec![0; 32 << 10];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(cut);
        }
        let wanted = count.min(left);
        sink.write_all(&chunk[..wanted])?;
        left -= wanted;
        cut |= wanted < count;
        if cut && stop {
            return Ok(true);
        }
    }
}

/// Ends git and what it started.
async fn end(child: &mut Child) {
    // Not reaped yet: the group is still its own.
    if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
    // One that hangs in a dead disk ends when the disk answers; nobody waits for that.
    let _ = timeout(Duration::from_secs(1), child.wait()).await;
}

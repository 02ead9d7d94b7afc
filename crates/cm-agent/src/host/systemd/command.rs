//! Running systemctl and systemd-run: clean environment, bounded output, a deadline.

use std::{io::Read, path::Path, process::Stdio, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    process::Command,
    time::timeout,
};

use super::SystemdError;

/// How much of what a tool prints is read, in bytes: some thousand units.
const OUTPUT: u64 = 4 << 20;
/// How much of a program's complaints is passed on, in bytes.
const COMPLAINTS: u64 = 2 << 10;

/// Which tool.
#[derive(Debug, Clone, Copy)]
pub(super) enum Tool {
    Systemctl,
    SystemdRun,
}

/// What it said.
#[derive(Debug)]
pub(crate) struct Answer {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Answer {
    /// Its complaint, on one line.
    pub(super) fn why(&self) -> String {
        on_one_line(&self.stderr)
    }
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum NoAnswer {
    Io(std::io::Error),
    Timeout,
}

impl Tool {
    fn name(self) -> &'static str {
        match self {
            Self::Systemctl => "systemctl",
            Self::SystemdRun => "systemd-run",
        }
    }

    /// Runs it about a unit.
    pub(super) async fn run(
        self,
        runtime: &Path,
        args: &[&str],
        within: Duration,
        act: &'static str,
        unit: &str,
    ) -> Result<Answer, SystemdError> {
        self.ask(runtime, args, within).await.map_err(|error| match error {
            NoAnswer::Io(source) => SystemdError::Io { tool: self.name(), source },
            NoAnswer::Timeout => SystemdError::Timeout { act, unit: unit.into(), within },
        })
    }

    /// Runs it. When the time is over it is killed (and reaped by the runtime).
    pub(super) async fn ask(
        self,
        runtime: &Path,
        args: &[&str],
        within: Duration,
    ) -> Result<Answer, NoAnswer> {
        let talk = hear(self.name(), runtime, args, OUTPUT);
        timeout(within, talk).await.map_err(|_| NoAnswer::Timeout)?.map_err(NoAnswer::Io)
    }
}

/// What a program has written into a file, on one line; `None` if nothing.
pub(super) fn first_lines(file: &Path) -> Option<String> {
    let mut text = Vec::new();
    std::fs::File::open(file).ok()?.take(COMPLAINTS).read_to_end(&mut text).ok()?;
    Some(on_one_line(&String::from_utf8_lossy(&text))).filter(|text| !text.is_empty())
}

pub(crate) fn on_one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

/// Runs a program of the system's in a clean environment and hears it out, at most `most` bytes of each output.
/// It is killed when this is dropped. The deadline is the caller's.
pub(crate) async fn hear(program: &str, runtime: &Path, args: &[&str], most: u64) -> std::io::Result<Answer> {
    let mut command = Command::new(program);
    command
        .args(args)
        .env("XDG_RUNTIME_DIR", runtime)
        // One left over from another login would lead elsewhere; without it the runtime directory counts.
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env("LC_ALL", "C")
        .env("SYSTEMD_PAGER", "")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (stdout, stderr) = tokio::try_join!(all_of(stdout, most), all_of(stderr, most))?;
    let status = child.wait().await?;
    Ok(Answer { success: status.success(), stdout, stderr })
}

async fn all_of(from: Option<impl AsyncRead + Unpin>, most: u64) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let mut from = from.take(most);
        from.read_to_end(&mut bytes).await?;
        // The rest is read and dropped, so that the tool can end.
        tokio::io::copy(&mut from.into_inner(), &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

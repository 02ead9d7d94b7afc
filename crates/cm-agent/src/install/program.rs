//! Running a program of the system's: clean environment, bounded output, a deadline.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

/// How long one command of the service manager's may take.
pub const WITHIN: Duration = Duration::from_secs(20);
/// Bytes of a program's words that are read.
const WORDS: u64 = 256 << 10;

/// What a program said.
#[derive(Debug)]
pub struct Said {
    pub good: bool,
    pub out: String,
    pub err: String,
}

/// Runs a program of the system's, with a deadline.
pub async fn said(xdg: &Path, program: &str, args: &[&str]) -> io::Result<Said> {
    let mut command = tokio::process::Command::new(program);
    command
        .args(args)
        .env("XDG_RUNTIME_DIR", xdg)
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env("LC_ALL", "C")
        .env("SYSTEMD_PAGER", "")
        .env("SYSTEMD_COLORS", "0")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let talk = async {
        let mut child = command.spawn()?;
        let (out, err) = (child.stdout.take(), child.stderr.take());
        let (out, err) = tokio::try_join!(all_of(out), all_of(err))?;
        Ok(Said { good: child.wait().await?.success(), out, err })
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", WITHIN.as_secs()));
    tokio::time::timeout(WITHIN, talk).await.map_err(|_| late())?
}

/// Its complaint, on one line.
pub fn one_line(text: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ")
}

async fn all_of(from: Option<impl tokio::io::AsyncRead + Unpin>) -> io::Result<String> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        let mut from = from.take(WORDS);
        from.read_to_end(&mut bytes).await?;
        // The rest is read and dropped, so that the program can end.
        tokio::io::copy(&mut from.into_inner(), &mut tokio::io::sink()).await?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

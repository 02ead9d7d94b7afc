//! Running a program of the system's: clean environment, bounded output, a deadline.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::host::systemd::command::hear;
pub(crate) use crate::host::systemd::command::on_one_line as one_line;

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
    let talk = async {
        let said = hear(program, xdg, args, WORDS).await?;
        Ok(Said { good: said.success, out: said.stdout, err: said.stderr })
    };
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} s", WITHIN.as_secs()));
    tokio::time::timeout(WITHIN, talk).await.map_err(|_| late())?
}

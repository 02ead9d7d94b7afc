//! Which tmux: found on a PATH, asked for its version, new enough or refused with the next move.

use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt;

/// The oldest tmux that has what we use: `pause-after`, `ignore-size`, `run-shell -C`, `copy-mode -q`.
pub const NEEDED: (u32, u32) = (3, 2);

/// A tmux program that is new enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tmux {
    /// Where it is.
    pub program: PathBuf,
    /// What it says it is.
    pub version: Version,
}

/// A version as `tmux -V` tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Version {
    /// `3.3a`; also `next-3.6`, which is what comes before 3.6.
    Release {
        /// The 3.
        major: u32,
        /// The other 3.
        minor: u32,
        /// As written.
        text: String,
    },
    /// Built from the newest source.
    Master,
    /// The one in OpenBSD's base system, by that system's version.
    OpenBsd {
        /// The system's version.
        major: u32,
        /// Its second number.
        minor: u32,
    },
}

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Release { text, .. } => f.write_str(text),
            Self::Master => f.write_str("master"),
            Self::OpenBsd { major, minor } => write!(f, "openbsd-{major}.{minor}"),
        }
    }
}

impl Version {
    /// Reads what `tmux -V` prints.
    pub fn parse(printed: &str) -> Option<Self> {
        let text = printed.trim().strip_prefix("tmux ")?.trim();
        if text == "master" {
            return Some(Self::Master);
        }
        if let Some(system) = text.strip_prefix("openbsd-") {
            let (major, minor) = numbers(system)?;
            return Some(Self::OpenBsd { major, minor });
        }
        let (major, minor) = numbers(text.strip_prefix("next-").unwrap_or(text))?;
        Some(Self::Release { major, minor, text: text.to_owned() })
    }

    /// Whether it has what we use.
    pub fn is_enough(&self) -> bool {
        match self {
            Self::Release { major, minor, .. } => (*major, *minor) >= NEEDED,
            Self::Master => true,
            // OpenBSD 7.0 came half a year after 3.2 and its base system follows the newest source.
            Self::OpenBsd { major, .. } => *major >= 7,
        }
    }
}

/// The two numbers at the start of `3.3a`.
fn numbers(text: &str) -> Option<(u32, u32)> {
    let (major, rest) = text.split_once('.')?;
    let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

/// No tmux to work with.
#[derive(Debug, thiserror::Error)]
pub enum TmuxError {
    /// None on the PATH.
    #[error("tmux not found on PATH {searched:?}; install it (Debian and Ubuntu: apt-get install tmux)")]
    Missing {
        /// The PATH.
        searched: String,
    },
    /// Found, but too old.
    #[error("{} is tmux {found}, at least {}.{} is needed; install a newer one and put it first on PATH", program.display(), NEEDED.0, NEEDED.1)]
    TooOld {
        /// Where.
        program: PathBuf,
        /// Which version.
        found: Version,
    },
    /// Found, but what it printed is no version.
    #[error("{} -V printed {printed:?}, which is no tmux version; check that it is tmux", program.display())]
    NotTmux {
        /// Where.
        program: PathBuf,
        /// What it printed, at most 200 characters.
        printed: String,
    },
    /// Found, but could not be run.
    #[error("cannot run {} -V: {source}", program.display())]
    Run {
        /// Where.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// Found, but it does not answer.
    #[error("{} -V has not answered within {after:?}; check that it is tmux", program.display())]
    Timeout {
        /// Where.
        program: PathBuf,
        /// How long it was waited for.
        after: Duration,
    },
}

impl Tmux {
    /// Finds the first tmux on `path` and asks it for its version.
    ///
    /// # Errors
    /// There is none, it does not answer `within` that time, or it is too old.
    pub async fn find(path: &OsStr, within: Duration) -> Result<Self, TmuxError> {
        let program = std::env::split_paths(path)
            // An empty or relative entry would make the answer depend on where the agent was started.
            .filter(|dir| dir.is_absolute())
            .map(|dir| dir.join("tmux"))
            .find(|file| is_executable(file))
            .ok_or_else(|| TmuxError::Missing { searched: path.to_string_lossy().into_owned() })?;
        let printed = match tokio::time::timeout(within, ask(&program)).await {
            Ok(Ok(printed)) => printed,
            Ok(Err(source)) => return Err(TmuxError::Run { program, source }),
            Err(_) => return Err(TmuxError::Timeout { program, after: within }),
        };
        match Version::parse(&printed) {
            Some(version) if version.is_enough() => Ok(Self { program, version }),
            Some(found) => Err(TmuxError::TooOld { program, found }),
            None => Err(TmuxError::NotTmux { program, printed: printed.chars().take(200).collect() }),
        }
    }
}

fn is_executable(file: &Path) -> bool {
    std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// What `tmux -V` prints, at most 4 KiB of it. Dropped early, the process is killed.
async fn ask(program: &Path) -> std::io::Result<String> {
    let mut child = tokio::process::Command::new(program)
        .arg("-V")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()?;
    let mut printed = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        stdout.take(4096).read_to_end(&mut printed).await?;
    }
    child.wait().await?;
    Ok(String::from_utf8_lossy(&printed).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(printed: &str, expected: Option<(&str, bool)>) {
        let found = Version::parse(printed).map(|v| (v.to_string(), v.is_enough()));
        assert_eq!(found, expected.map(|(text, enough)| (text.to_owned(), enough)), "{printed:?}");
    }

    #[test]
    fn versions() {
        check("tmux 3.3a\n", Some(("3.3a", true)));
        check("tmux 3.2", Some(("3.2", true)));
        check("tmux 3.2-rc", Some(("3.2-rc", true)));
        check("tmux 3.1c", Some(("3.1c", false)));
        check("tmux 2.9", Some(("2.9", false)));
        check("tmux 3.10", Some(("3.10", true)));
        check("tmux 4.0", Some(("4.0", true)));
        check("tmux next-3.6", Some(("next-3.6", true)));
        check("tmux openbsd-7.5", Some(("openbsd-7.5", true)));
        check("tmux openbsd-6.6", Some(("openbsd-6.6", false)));
        check("tmux master", Some(("master", true)));
        check("tmux", None);
        check("screen 4.9", None);
        check("tmux three", None);
        check("tmux 3.", None);
        check("", None);
    }
}

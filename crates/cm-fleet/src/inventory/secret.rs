//! References to secrets, and the secrets themselves, which no output shows.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub use cm_ssh::Secret;
use serde::{Serialize, Serializer};
use tokio::io::AsyncReadExt;
use zeroize::Zeroizing;

/// Bytes of a secret at most.
const MOST: usize = 64 * 1024;

/// Where a secret is to be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretRef {
    /// `env:NAME`: a variable of this command's environment.
    Env(String),
    /// `file:PATH`: a file here; absolute once an inventory is loaded.
    File(PathBuf),
    /// `cmd:COMMAND`: what a command prints, run by `sh -c` here.
    Cmd(String),
}

/// A secret that cannot be had. No variant holds a part of it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// No such variable.
    #[error("the secret env:{0} is not set here: export {0}=…, then try again")]
    NotSet(String),
    /// The file cannot be read.
    #[error("cannot read the secret {0}")]
    File(PathBuf, #[source] std::io::Error),
    /// The command cannot be run.
    #[error("cannot run the command of the secret cmd:{0}")]
    Run(String, #[source] std::io::Error),
    /// The command failed.
    #[error("the command of the secret cmd:{command} failed ({status}): {said}")]
    Failed {
        /// What was run.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it said on standard error.
        said: String,
    },
    /// The command did not end.
    #[error("the command of the secret cmd:{0} did not end within {1:?}")]
    Slow(String, Duration),
    /// Nothing, too much, or no text.
    #[error("the secret {0} {1}")]
    Unfit(String, &'static str),
}

impl SecretRef {
    /// The scheme and the rest, if `text` reads as a reference.
    pub fn scheme(text: &str) -> Option<(&'static str, &str)> {
        ["env", "file", "cmd"].into_iter().find_map(|scheme| {
            let rest = text.strip_prefix(scheme)?.strip_prefix(':')?;
            Some((scheme, rest))
        })
    }

    /// Reads `env:NAME`, `file:PATH` or `cmd:COMMAND`. The text is not repeated in errors: it may be the
    /// secret itself.
    ///
    /// # Errors
    /// In words: it is no reference, or there is nothing in it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = Self::scheme(text).ok_or(
            "a secret is not written here but referred to: `env:NAME`, `file:PATH` or `cmd:COMMAND`",
        )?;
        let rest = rest.trim();
        if rest.is_empty() || rest.contains('\0') {
            return Err(format!("there is nothing usable after `{scheme}:`"));
        }
        match scheme {
            "env" => match variable(rest) {
                true => Ok(Self::Env(rest.to_owned())),
                false => Err("after `env:` stands the name of a variable: letters, digits and _".to_owned()),
            },
            "file" => Ok(Self::File(PathBuf::from(rest))),
            _ => Ok(Self::Cmd(rest.to_owned())),
        }
    }

    /// Fetches the secret; one newline at its end is taken away. A command gets so much time, and its
    /// process group is killed when it needs more.
    ///
    /// # Errors
    /// It is not there, is empty, over 64 KiB or no text, or its command fails.
    pub async fn resolve(&self, within: Duration) -> Result<Secret, SecretError> {
        let bytes = match self {
            Self::Env(name) => {
                let value = std::env::var_os(name).ok_or_else(|| SecretError::NotSet(name.clone()))?;
                Zeroizing::new(std::os::unix::ffi::OsStringExt::into_vec(value))
            }
            Self::File(path) => read(path).map_err(|e| SecretError::File(path.clone(), e))?,
            Self::Cmd(command) => run(command, within).await?,
        };
        let unfit = |why| Err(SecretError::Unfit(self.to_string(), why));
        if bytes.len() > MOST {
            return unfit("is over 64 KiB");
        }
        let Ok(text) = std::str::from_utf8(&bytes) else { return unfit("is not UTF-8 text") };
        let text = text.strip_suffix('\n').map_or(text, |t| t.strip_suffix('\r').unwrap_or(t));
        match text {
            "" => unfit("is empty"),
            text if text.contains('\0') => unfit("contains a NUL byte"),
            text => Ok(Secret::new(text.to_owned())),
        }
    }
}

impl fmt::Display for SecretRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{}", path.display()),
            Self::Cmd(command) => write!(f, "cmd:{command}"),
        }
    }
}

impl Serialize for SecretRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether this can be the name of a variable.
pub fn variable(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn read(path: &Path) -> std::io::Result<Zeroizing<Vec<u8>>> {
    let file = std::fs::File::open(path)?;
    // The whole room at once: a vector that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
    file.take(MOST as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A process group that is killed unless it has ended by itself.
struct Group(Option<rustix::process::Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // What has ended meanwhile needs no killing.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

async fn run(command: &str, within: Duration) -> Result<Zeroizing<Vec<u8>>, SecretError> {
    let cannot = |e| SecretError::Run(command.to_owned(), e);
    let mut child = tokio::process::Command::new("sh")
        .args(["-c", command])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(cannot)?;
    let (Some(mut out), Some(mut err)) = (child.stdout.take(), child.stderr.take()) else {
        return Err(cannot(std::io::Error::other("it has no output")));
    };
    let mut group = Group(child.id().and_then(|id| rustix::process::Pid::from_raw(id.cast_signed())));
    let mut bytes = Zeroizing::new(Vec::with_capacity(MOST + 1));
    let mut said = Vec::new();
    let read = async {
        (&mut out).take(MOST as u64 + 1).read_to_end(&mut bytes).await?;
        match bytes.len() > MOST {
            // Nobody waits for the rest.
            true => Err(std::io::Error::from(std::io::ErrorKind::FileTooLarge)),
            false => Ok(()),
        }
    };
    let hear = async {
        (&mut err).take(4096).read_to_end(&mut said).await?;
        tokio::io::copy(&mut err, &mut tokio::io::sink()).await
    };
    let all = async {
        tokio::try_join!(read, hear)?;
        child.wait().await
    };
    let ended = tokio::time::timeout(within, all).await;
    let status = match ended {
        Err(_) => return Err(SecretError::Slow(command.to_owned(), within)),
        Ok(Err(e)) if e.kind() == std::io::ErrorKind::FileTooLarge => return Ok(bytes),
        Ok(ended) => ended.map_err(cannot)?,
    };
    group.0 = None;
    if status.success() {
        return Ok(bytes);
    }
    let said = String::from_utf8_lossy(&said);
    let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing").to_owned();
    Err(SecretError::Failed { command: command.to_owned(), status: status.to_string(), said })
}

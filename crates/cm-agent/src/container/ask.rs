//! An agent's side of its keeper: is it there, and would it start this.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{Instant, sleep, timeout};

use super::wire::{self, Ask, Hello, LONGEST, Start, Told};
use crate::host::dirs::RuntimeDir;

/// How long a keeper may take to say who it is.
const HELLO: Duration = Duration::from_secs(3);
/// How long is waited for a keeper that is just being started.
const APPEARS: Duration = Duration::from_secs(10);
/// How often it is looked for meanwhile.
const BETWEEN: Duration = Duration::from_millis(100);
/// What an answer may take beyond the time that the program was given.
const SLACK: Duration = Duration::from_secs(2);

/// The keeper of this agent's sessions.
#[derive(Debug, Clone)]
pub struct Keeper {
    socket: PathBuf,
}

/// A keeper that does not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// Nobody listens.
    #[error(
        "the keeper of the sessions does not answer on {}: {why}; start its container (`cm-agent keeper`, same volume) and try again",
        socket.display()
    )]
    Unreachable {
        /// Its socket.
        socket: PathBuf,
        /// What was seen.
        why: String,
    },
    /// It cannot be this agent's.
    #[error("the keeper on {} cannot be used: {why}", socket.display())]
    Unfit {
        /// Its socket.
        socket: PathBuf,
        /// Why, and what to do.
        why: String,
    },
    /// It did not start the program; nothing is left of it.
    #[error("the keeper did not start it: {0}")]
    Refused(String),
}

impl Keeper {
    /// The socket of a runtime directory's keeper.
    pub fn socket(runtime: &RuntimeDir) -> PathBuf {
        runtime.path().join("keeper.sock")
    }

    /// The keeper that is there, if there is one: what an earlier one left behind is none.
    ///
    /// # Errors
    /// There is one, and it cannot be used.
    pub async fn find(runtime: &RuntimeDir) -> Result<Option<Self>, KeeperError> {
        let keeper = Self { socket: Self::socket(runtime) };
        if !keeper.socket.exists() {
            return Ok(None);
        }
        match keeper.fitting().await {
            Ok(()) => Ok(Some(keeper)),
            Err(KeeperError::Unreachable { why, .. }) => {
                tracing::warn!(
                    "there is no keeper any more ({why}); sessions run in this container and end with it"
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The keeper that must be there; one that is just being started is waited for.
    ///
    /// # Errors
    /// It does not come, or cannot be used.
    pub async fn wait(runtime: &RuntimeDir) -> Result<Self, KeeperError> {
        let keeper = Self { socket: Self::socket(runtime) };
        let until = Instant::now() + APPEARS;
        loop {
            match keeper.fitting().await {
                Ok(()) => return Ok(keeper),
                Err(KeeperError::Unreachable { .. }) if Instant::now() < until => sleep(BETWEEN).await,
                Err(error) => return Err(error),
            }
        }
    }

    async fn fitting(&self) -> Result<(), KeeperError> {
        let hello = self.hello().await?;
        let own = namespace();
        wire::fits(&hello, &own).map_err(|why| KeeperError::Unfit { socket: self.socket.clone(), why })
    }

    /// Who it is.
    ///
    /// # Errors
    /// It does not answer.
    pub async fn hello(&self) -> Result<Hello, KeeperError> {
        match self.ask(&Ask::Hello, HELLO).await? {
            Told::Hello(hello) => Ok(hello),
            Told::Refused { why } => Err(KeeperError::Unfit { socket: self.socket.clone(), why }),
            Told::Started { .. } => Err(self.unreachable("it answered something else")),
        }
    }

    /// Has a program started that leaves a server behind.
    ///
    /// # Errors
    /// It was not, or nobody knows: the caller ends what may be left.
    pub async fn start(&self, start: Start) -> Result<(), KeeperError> {
        let within = Duration::from_millis(start.within_ms) + SLACK;
        match self.ask(&Ask::Start(start), within).await? {
            Told::Started { .. } => Ok(()),
            Told::Refused { why } => Err(KeeperError::Refused(why)),
            Told::Hello(_) => Err(self.unreachable("it answered something else")),
        }
    }

    async fn ask(&self, ask: &Ask, within: Duration) -> Result<Told, KeeperError> {
        match timeout(within, exchange(&self.socket, ask)).await {
            Ok(Ok(told)) => Ok(told),
            Ok(Err(error)) => Err(self.unreachable(error)),
            Err(_) => Err(self.unreachable(format!("no answer within {} s", within.as_secs()))),
        }
    }

    fn unreachable(&self, why: impl ToString) -> KeeperError {
        KeeperError::Unreachable { socket: self.socket.clone(), why: why.to_string() }
    }
}

/// This process's process namespace, by name; empty where `/proc` does not say.
pub(super) fn namespace() -> String {
    std::fs::read_link("/proc/self/ns/pid").map(|link| link.display().to_string()).unwrap_or_default()
}

async fn exchange(socket: &Path, ask: &Ask) -> std::io::Result<Told> {
    let mut stream = UnixStream::connect(socket).await?;
    let mut line = serde_json::to_vec(ask)?;
    line.push(b'\n');
    stream.write_all(&line).await?;
    let mut answer = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut answer).await?;
    if answer.is_empty() {
        return Err(std::io::Error::other("it ended without an answer"));
    }
    Ok(serde_json::from_slice(&answer)?)
}

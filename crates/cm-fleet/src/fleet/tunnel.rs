//! A host's agent through ssh: one connection, one stream to the agent's socket, one client.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cm_client::{Client, ClientError, Token};
use cm_ssh::{Keys, Remote, Ssh, SshError};

use crate::deploy::event::Outcome;
use crate::deploy::host::{self, Job};

/// Log-in at the agent, once the stream stands.
const LOGIN: Duration = Duration::from_secs(10);

/// The way to one host's agent. Each connection is a new one; where the agent listens is asked once.
#[derive(Debug)]
pub struct Tunnel {
    job: Job,
    keys: Arc<Keys>,
    socket: Mutex<Option<PathBuf>>,
}

/// Why there is no connection to a host's agent.
#[derive(Debug, thiserror::Error)]
pub enum TunnelError {
    /// The host, or the way to it.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// It was reached and has no agent that runs.
    #[error(
        "{host}: no agent runs there; `cm-fleet deploy --on {host}` installs one, `cm-fleet doctor` says more"
    )]
    NoAgent {
        /// The host.
        host: String,
    },
    /// It could not be asked.
    #[error("{host}: {why}")]
    Asking {
        /// The host.
        host: String,
        /// Why not.
        why: String,
    },
    /// The agent does not take us.
    #[error("{host}: {source}")]
    Client {
        /// The host.
        host: String,
        /// Why not.
        source: ClientError,
    },
}

impl Tunnel {
    /// To this host.
    pub fn new(job: Job, keys: Arc<Keys>) -> Self {
        Self { job, keys, socket: Mutex::new(None) }
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.job.name
    }

    /// A new connection: ssh, stream, log-in. Each has its own deadline.
    ///
    /// # Errors
    /// See [`TunnelError`].
    pub async fn connect(&self) -> Result<Client, TunnelError> {
        let known = self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (ssh, socket) = match known {
            Some(socket) => (Ssh::connect(&self.job.target, &self.keys).await?, socket),
            None => self.ask().await?,
        };
        let stream = match ssh.stream(Remote::Unix(socket.clone())).await {
            Ok(stream) => stream,
            Err(error) => {
                // It may listen elsewhere by now: ask again the next time.
                self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
                return Err(error.into());
            }
        };
        let client = Client::over(stream, &Token::new(""), LOGIN)
            .await
            .map_err(|source| TunnelError::Client { host: self.job.name.clone(), source })?;
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        Ok(client)
    }

    /// Connects and finds out where the agent listens.
    async fn ask(&self) -> Result<(Ssh, PathBuf), TunnelError> {
        let host = &self.job.name;
        let mut ssh = Ssh::connect(&self.job.target, &self.keys).await?;
        let facts = host::facts(&self.job, &mut ssh, "").await.map_err(|outcome| {
            let why = match outcome {
                Outcome::Unreachable { why } | Outcome::Refused { why, .. } | Outcome::Failed { why, .. } => {
                    why
                }
                _ => "it could not be asked".to_owned(),
            };
            TunnelError::Asking { host: host.clone(), why }
        })?;
        match facts.running {
            Some(running) => Ok((ssh, running.socket.into())),
            None => Err(TunnelError::NoAgent { host: host.clone() }),
        }
    }
}

impl From<TunnelError> for ClientError {
    /// For followers, which try again whatever it was.
    fn from(error: TunnelError) -> Self {
        match error {
            TunnelError::Client { source, .. } => source,
            other => Self::Connect {
                endpoint: "the host".to_owned(),
                source: io::Error::other(other.to_string()),
                hint: "`cm-fleet doctor` says more",
            },
        }
    }
}

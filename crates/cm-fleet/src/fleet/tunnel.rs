//! A host's agent through ssh: one connection, one stream to the agent's socket, one client.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use cm_client::{Client, ClientError, Token};
use cm_ssh::{Keys, Remote, Secret, Ssh, SshError, Target};
use tokio::sync::OnceCell;

use crate::container;
use crate::container::engine::Road;
use crate::container::error::EngineError;
use crate::container::wanted::Role;
use crate::container::way::WayError;
use crate::deploy::event::Outcome;
use crate::deploy::host::{self, Job};

/// Log-in at the agent, once the stream stands.
const LOGIN: Duration = Duration::from_secs(10);
/// How long a command that prints a token may take.
const SECRET: Duration = Duration::from_secs(30);
/// A host's own address.
const LOOPBACK: &str = "127.0.0.1";

/// The way to one host's agent. Each connection is a new one; where the agent listens is asked once.
#[derive(Debug)]
pub struct Tunnel {
    job: Job,
    keys: Arc<Keys>,
    /// Nobody has named the inventory.
    unnamed: bool,
    socket: Mutex<Option<PathBuf>>,
    token: OnceCell<Secret>,
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
    /// Its TCP port wants a token, and there is none.
    #[error("{host}: {why}")]
    Token {
        /// The host.
        host: String,
        /// Why not.
        why: String,
    },
    /// It could not be asked.
    #[error("{host}: {why}")]
    Asking {
        /// The host.
        host: String,
        /// Why not.
        why: String,
    },
    /// Its engine, or the container its agent is in.
    #[error("{host}: {}{}", source, source.remedy().map(|remedy| format!("; {remedy}")).unwrap_or_default())]
    Container {
        /// The host.
        host: String,
        /// Why not.
        source: WayError,
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
        Self { job, keys, unnamed: false, socket: Mutex::new(None), token: OnceCell::new() }
    }

    /// Without a token: nobody has named the inventory, it just lies where the command was started. One that came
    /// with somebody's repository could name any file as the token, and a host of theirs to send it to.
    #[must_use]
    pub fn unnamed(mut self) -> Self {
        self.unnamed = true;
        self
    }

    /// The host's name.
    pub fn host(&self) -> &str {
        &self.job.name
    }

    /// How the host is reached.
    pub fn target(&self) -> &Target {
        &self.job.target
    }

    /// What is shown to it.
    pub fn keys(&self) -> &Keys {
        &self.keys
    }

    /// A new connection to the host itself, for something else than its agent.
    ///
    /// # Errors
    /// It cannot be reached.
    pub async fn ssh(&self) -> Result<Ssh, SshError> {
        Ssh::connect(&self.job.target, &self.keys).await
    }

    /// A new connection: ssh, stream, log-in. Each has its own deadline.
    ///
    /// # Errors
    /// See [`TunnelError`].
    pub async fn connect(&self) -> Result<Client, TunnelError> {
        if let (Some(road), Some(wanted)) = (container::host::road(&self.job), &self.job.container) {
            return self.contained(&road, &wanted.names().of(Role::Agent)).await;
        }
        if let Some(port) = self.job.ports.only {
            // Nothing is asked of a host whose agent is none of ours.
            let token = self.token().await?;
            let stream = self.ssh().await?.stream(Remote::Tcp(LOOPBACK.to_owned(), port)).await?;
            return self.log_in(stream, token).await;
        }
        let known = self.socket.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (ssh, socket) = match known {
            Some(socket) => (self.ssh().await?, socket),
            None => self.ask().await?,
        };
        let client = match ssh.stream(Remote::Unix(socket.clone())).await {
            Ok(stream) => self.log_in(stream, &Secret::new(String::new())).await?,
            Err(error) => {
                // It may listen elsewhere by now: ask again the next time.
                self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
                self.instead(error).await?
            }
        };
        *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket);
        Ok(client)
    }

    /// The agent's container, by way of its host's engine.
    async fn contained(&self, road: &Road, name: &str) -> Result<Client, TunnelError> {
        let known = self.socket.lock().unwrap_or_else(PoisonError::into_inner).take();
        let known = known.as_ref().map(|path| path.to_string_lossy().into_owned());
        match container::way::connect(road, name, &self.keys, known.as_deref()).await {
            Ok((client, socket)) => {
                *self.socket.lock().unwrap_or_else(PoisonError::into_inner) = Some(socket.into());
                Ok(client)
            }
            Err(WayError::Engine(EngineError::Ssh(error))) => Err(error.into()),
            Err(WayError::Engine(error)) if error.is_missing() => {
                Err(TunnelError::NoAgent { host: self.job.name.clone() })
            }
            Err(source) => Err(TunnelError::Container { host: self.job.name.clone(), source }),
        }
    }

    /// Whether its agent runs in a container: files and programs are in there then.
    pub fn is_container(&self) -> bool {
        self.job.container.is_some()
    }

    /// The container that keeps the sessions' processes.
    pub fn keeper(&self) -> Option<String> {
        Some(self.job.container.as_ref()?.names().of(Role::Keeper))
    }

    /// The agent's container and the way to its engine, where it runs in one.
    pub fn container(&self) -> Option<(Road, String)> {
        let road = container::host::road(&self.job)?;
        Some((road, self.job.container.as_ref()?.names().of(Role::Agent)))
    }

    /// Where its sshd opens no stream to the socket: over TCP, if the agent listens there.
    async fn instead(&self, error: SshError) -> Result<Client, TunnelError> {
        let refused = matches!(error, SshError::Channel { .. } | SshError::Forbidden { .. });
        let Some(to) = self.job.ports.listen.filter(|_| refused).map(from_inside) else {
            return Err(error.into());
        };
        if self.job.ports.token.is_none() {
            let why = format!(
                "its sshd opens no stream to the agent's socket ({error}); over TCP ({to}) a token is needed: \
                 write `agent: {{token: …}}` into the inventory"
            );
            return Err(TunnelError::Token { host: self.job.name.clone(), why });
        }
        let token = self.token().await?;
        let stream = self.ssh().await?.stream(to).await?;
        self.log_in(stream, token).await
    }

    async fn log_in(&self, stream: cm_ssh::SshStream, token: &Secret) -> Result<Client, TunnelError> {
        Client::over(stream, &Token::new(token.expose()), LOGIN)
            .await
            .map_err(|source| TunnelError::Client { host: self.job.name.clone(), source })
    }

    /// The token, fetched once.
    async fn token(&self) -> Result<&Secret, TunnelError> {
        let host = &self.job.name;
        let missing = |why: String| TunnelError::Token { host: host.clone(), why };
        let reference = self.job.ports.token.as_ref().ok_or_else(|| {
            missing(
                "its agent is reached over TCP, which wants a token: write `agent: {token: …}`".to_owned(),
            )
        })?;
        if self.unnamed {
            return Err(missing(
                "its agent wants a token, and none is sent for an inventory that nobody has named: -i fleet.yaml \
                 names it"
                    .to_owned(),
            ));
        }
        self.token
            .get_or_try_init(|| reference.resolve(SECRET))
            .await
            .map_err(|error| missing(format!("its token cannot be had: {}", chain(&error))))
    }

    /// Connects and finds out where the agent listens.
    async fn ask(&self) -> Result<(Ssh, PathBuf), TunnelError> {
        let host = &self.job.name;
        let mut ssh = self.ssh().await?;
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

/// An address the agent listens on, seen from the host itself.
fn from_inside(listen: SocketAddr) -> Remote {
    let host = match listen.ip() {
        ip if !ip.is_unspecified() => ip.to_string(),
        IpAddr::V4(_) => LOOPBACK.to_owned(),
        IpAddr::V6(_) => "::1".to_owned(),
    };
    Remote::Tcp(host, listen.port())
}

/// An error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
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

#[cfg(test)]
mod tests;

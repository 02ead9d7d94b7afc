//! The agent of this machine: where it listens, and how it comes to life when nobody has started it.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use cm_client::{Client, ClientError, Connector, Endpoint};
use tokio::net::UnixStream;

use crate::failure::{Failure, Kind};

pub mod background;
pub mod start;

/// Time for one connection attempt.
const CONNECT: Duration = Duration::from_secs(5);

/// Which agent a command talks to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Local {
    /// This user's own agent, started when it does not run.
    OnDemand,
    /// This user's own agent, if it runs.
    IfRunning,
    /// Whichever agent listens on this socket; never started by us.
    At(PathBuf),
}

/// The places of this user's own agent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// The socket it listens on when it is started from here.
    pub socket: PathBuf,
    /// What outlives it; there is one agent to it.
    pub state: PathBuf,
}

/// What trying to reach a socket showed.
#[derive(Debug)]
pub enum Reached {
    /// Somebody listens.
    Yes(UnixStream),
    /// Nobody does: no such file, or refused. Nothing else proves that.
    Nobody(io::Error),
    /// It cannot be known.
    Unclear(io::Error),
}

impl Local {
    /// Makes sure that somebody listens, and says where.
    ///
    /// # Errors
    /// Nobody does and none may or could be started; the failure says why and what to do.
    pub async fn ensure(&self) -> Result<PathBuf, Failure> {
        let own = match self {
            Self::At(socket) => return given(socket).await,
            Self::OnDemand | Self::IfRunning => places()?,
        };
        match reach(&own.socket).await {
            Reached::Yes(_) => return Ok(own.socket),
            Reached::Unclear(error) => return Err(unclear(&own.socket, &error)),
            Reached::Nobody(_) => {}
        }
        if let Some(socket) = own.elsewhere() {
            return Ok(socket);
        }
        if *self == Self::IfRunning {
            return Err(not_running(&own.socket));
        }
        start::start(&start::Launch::agent(&own.socket), &own).await
    }

    /// What a [`cm_client::Follower`] connects with, as often as it must: an agent that ended is started
    /// again where that is allowed, and finds its sessions.
    pub fn connector(self) -> impl Connector {
        move || {
            let local = self.clone();
            async move {
                let socket = local.ensure().await.map_err(|failure| ClientError::Connect {
                    endpoint: "this machine".into(),
                    source: io::Error::other(failure.chain.join(": ")),
                    hint: "`cm-fleet agent log` may say more",
                })?;
                Client::connect(&Endpoint::Unix(socket), CONNECT).await
            }
        }
    }
}

impl Places {
    /// What the agent says of itself when it runs in the background.
    pub fn log(&self) -> PathBuf {
        self.state.join("agent.log")
    }

    /// The socket of an agent with the same state that was told to listen somewhere else, or was started with
    /// another `XDG_RUNTIME_DIR` (another terminal, `su`, cron).
    pub fn elsewhere(&self) -> Option<PathBuf> {
        cm_agent::host::lock::listening(&self.state)
    }
}

/// A socket somebody named.
async fn given(socket: &Path) -> Result<PathBuf, Failure> {
    let socket = std::path::absolute(socket)
        .map_err(|e| Failure::usage(format!("--socket {}", socket.display())).because(&e))?;
    match reach(&socket).await {
        Reached::Yes(_) => Ok(socket),
        Reached::Unclear(error) => Err(unclear(&socket, &error)),
        Reached::Nobody(error) => Err(nobody_listens(&socket, &error)),
    }
}

/// One bounded attempt to connect.
pub async fn reach(socket: &Path) -> Reached {
    match tokio::time::timeout(CONNECT, UnixStream::connect(socket)).await {
        Ok(Ok(stream)) => Reached::Yes(stream),
        Ok(Err(e)) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => {
            Reached::Nobody(e)
        }
        Ok(Err(e)) => Reached::Unclear(e),
        Err(_) => Reached::Unclear(io::Error::new(io::ErrorKind::TimedOut, "no answer in 5 s")),
    }
}

fn cannot_reach(socket: &Path, error: &io::Error) -> Failure {
    Failure::new(Kind::Unreachable, format!("cannot connect to the agent at {}", socket.display()))
        .because(error)
}

fn unclear(socket: &Path, error: &io::Error) -> Failure {
    cannot_reach(socket, error).hint(match error.kind() {
        io::ErrorKind::PermissionDenied => {
            "it belongs to another user: run this as that user, or name another socket with --socket"
        }
        _ => "the agent may be stopped or overloaded; `cm-fleet agent log` may say more",
    })
}

fn nobody_listens(socket: &Path, error: &io::Error) -> Failure {
    cannot_reach(socket, error)
        .hint(format!("start one there: cm-agent serve --socket {}", socket.display()))
        .hint("or leave --socket away: this machine's own agent is started when it is needed")
}

fn not_running(socket: &Path) -> Failure {
    Failure::new(Kind::Unreachable, format!("no agent runs here (nobody listens on {})", socket.display()))
        .hint("`cm-fleet dispatch` starts one")
}

/// The places of this user's own agent, found as the agent itself finds them.
///
/// # Errors
/// They cannot be made, or are open to others.
pub fn places() -> Result<Places, Failure> {
    let env = |name: &str| std::env::var(name).ok();
    let found = cm_agent::host::places::Places::find(None, None, &env).map_err(|error| {
        Failure::usage("cannot tell where the agent lives")
            .because(&error)
            .hint("set HOME or XDG_STATE_HOME to a place you can write to, or name a running agent's socket with --socket")
    })?;
    Ok(Places { socket: found.runtime.agent_socket(), state: found.state })
}

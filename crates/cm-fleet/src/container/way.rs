//! The way to the agent in a container: `cm-agent bridge`, run by the engine, as a stream of bytes.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{CreateExecOptions, StartExecOptions, StartExecResults};
use cm_client::{Client, ClientError, Token};
use cm_ssh::Keys;
use futures_util::Stream;
use hyper::body::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

use super::engine::{Engine, Road};
use super::error::EngineError;
use super::wanted::{Names, Role};
use super::{ask, make};

/// Log-in at the agent, once the stream stands.
const LOGIN: Duration = Duration::from_secs(10);
/// How long an agent that had to be started may take to answer.
const REVIVED: Duration = Duration::from_secs(10);
/// Before it is tried again.
const AGAIN: Duration = Duration::from_millis(200);
/// How much of what a bridge complains about is kept, in bytes.
const COMPLAINT: usize = 2000;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum WayError {
    /// The engine, or the way to it.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// There is a container, and no agent answers in it.
    #[error("no agent answers in {container}: {why}")]
    Agent {
        /// The container.
        container: String,
        /// What the bridge said.
        why: String,
    },
    /// The agent does not take us.
    #[error(transparent)]
    Client(#[from] ClientError),
}

impl WayError {
    /// The next move, where one can be named.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Engine(EngineError::Refused { status: 409, .. }) => {
                Some("its container does not run: `cm-fleet deploy` starts it".to_owned())
            }
            Self::Engine(error) => error.remedy(),
            Self::Agent { .. } | Self::Client(_) => {
                Some("`cm-fleet logs --agent` shows what it has written".to_owned())
            }
        }
    }
}

/// A client of the agent in this container, over a new connection, and where the engine was found to listen.
///
/// # Errors
/// See [`WayError`].
pub async fn connect(
    road: &Road,
    container: &str,
    keys: &Keys,
    known: Option<&str>,
) -> Result<(Client, String), WayError> {
    match once(road, container, keys, known).await {
        Err(WayError::Engine(error))
            if error.is_conflict() && revive(road, container, keys, known).await? =>
        {
            let until = Instant::now() + REVIVED;
            loop {
                match once(road, container, keys, known).await {
                    Err(_) if Instant::now() < until => tokio::time::sleep(AGAIN).await,
                    other => return other,
                }
            }
        }
        other => other,
    }
}

/// Starts a container that could not come up with its machine, because its keeper came later. One that somebody has
/// stopped stays so. Whether it was started.
async fn revive(road: &Road, name: &str, keys: &Keys, known: Option<&str>) -> Result<bool, EngineError> {
    let engine = road.connect(keys, known).await?;
    let Some(found) = ask::container(&engine, name).await? else { return Ok(false) };
    let failed = !found.error.is_empty() && !found.runs() && !found.unconfirmed();
    if !failed || !found.is_ours(&road.host, Role::Agent) {
        return Ok(false);
    }
    make::start(&engine, &Names::new(&road.host).of(Role::Keeper)).await?;
    make::start(&engine, &found.id).await?;
    Ok(true)
}

async fn once(
    road: &Road,
    container: &str,
    keys: &Keys,
    known: Option<&str>,
) -> Result<(Client, String), WayError> {
    let engine = road.connect(keys, known).await?;
    let socket = engine.socket.clone();
    let bridge = bridge(engine, container).await?;
    let complaint = Arc::clone(&bridge.complaint);
    match Client::over(bridge, &Token::new(""), LOGIN).await {
        Ok(client) => Ok((client, socket)),
        Err(error) => {
            let why = complaint.lock().unwrap_or_else(PoisonError::into_inner).trim().to_owned();
            if why.is_empty() {
                Err(error.into())
            } else {
                Err(WayError::Agent { container: container.into(), why })
            }
        }
    }
}

/// Makes an engine's connection a stream to the agent.
async fn bridge(engine: Engine, container: &str) -> Result<Bridge, EngineError> {
    let act = format!("reaching the agent in {container}");
    let options = CreateExecOptions {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        cmd: Some(vec!["cm-agent", "bridge"]),
        ..CreateExecOptions::default()
    };
    let made = engine.docker.create_exec(container, options).await.map_err(|e| EngineError::of(&act, &e))?;
    let start = StartExecOptions { output_capacity: Some(64 * 1024), ..StartExecOptions::default() };
    match engine.docker.start_exec(&made.id, Some(start)).await.map_err(|e| EngineError::of(&act, &e))? {
        StartExecResults::Attached { output, input } => Ok(Bridge::new(engine, output, input)),
        StartExecResults::Detached => {
            Err(EngineError::Lost { act, why: "the engine did not attach".to_owned() })
        }
    }
}

/// What a command prints, piece by piece.
type Pieces = Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>;

/// A command's input and output as a stream.
pub struct Bridge {
    output: Pieces,
    input: Pin<Box<dyn AsyncWrite + Send>>,
    rest: Bytes,
    complaint: Arc<Mutex<String>>,
    _engine: Engine,
}

impl Bridge {
    /// Of a command that runs.
    pub fn new(engine: Engine, output: Pieces, input: Pin<Box<dyn AsyncWrite + Send>>) -> Self {
        Self { output, input, rest: Bytes::new(), complaint: Arc::default(), _engine: engine }
    }
}

impl AsyncRead for Bridge {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        while me.rest.is_empty() {
            match me.output.as_mut().poll_next(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => return Poll::Ready(Ok(())),
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(io::Error::other(error))),
                Poll::Ready(Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message }))) => {
                    me.rest = message;
                }
                Poll::Ready(Some(Ok(LogOutput::StdErr { message }))) => {
                    let mut complaint = me.complaint.lock().unwrap_or_else(PoisonError::into_inner);
                    if complaint.len() < COMPLAINT {
                        complaint.push_str(&String::from_utf8_lossy(&message));
                    }
                }
                Poll::Ready(Some(Ok(LogOutput::StdIn { .. }))) => {}
            }
        }
        let count = me.rest.len().min(buffer.remaining());
        buffer.put_slice(&me.rest.split_to(count));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Bridge {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.get_mut().input.as_mut().poll_write(cx, data)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().input.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().input.as_mut().poll_shutdown(cx)
    }
}

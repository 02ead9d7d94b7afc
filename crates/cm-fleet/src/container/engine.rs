//! An engine, spoken to: bollard over a stream of our own, which is the host's ssh connection or a socket here.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bollard::{BollardRequest, ClientVersion, Docker};
use cm_ssh::{Input, Keys, Remote, Ssh, SshError, Target};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::{HOST, HeaderValue};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use super::error::EngineError;
use super::socket::{self, Next};
use super::wanted::EngineWanted;
use crate::deploy::host::ASK;

/// Seconds an engine may take for the beginning of an answer. Stopping a container takes up to [`STOP`](super::wanted::STOP).
const ANSWER: u64 = 60;
/// How long a socket here may take to open.
const OPEN: Duration = Duration::from_secs(10);
/// What bollard writes into paths; see [`Line::send`].
const VERSION: ClientVersion = ClientVersion { major_version: 1, minor_version: 44 };

/// How an engine is reached.
#[derive(Debug, Clone)]
pub struct Road {
    /// The host's name.
    pub host: String,
    /// Its ssh, unless the engine is here.
    pub target: Target,
    /// Which engine.
    pub wanted: EngineWanted,
}

/// A connection to an engine. Requests go one after another.
#[derive(Debug, Clone)]
pub struct Engine {
    /// What bollard calls.
    pub docker: Docker,
    /// Where it listens, on its host.
    pub socket: String,
}

/// A stream to an engine's socket.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

impl Road {
    /// Connects. `known`: where it was found to listen before.
    ///
    /// # Errors
    /// The host is not reached, or no engine answers there: which of the reasons it is, and the next move.
    pub async fn connect(&self, keys: &Keys, known: Option<&str>) -> Result<Engine, EngineError> {
        let (stream, socket) =
            if self.wanted.here { self.here().await? } else { self.there(keys, known).await? };
        let lost = |why: String| EngineError::Lost { act: "speaking to the engine".to_owned(), why };
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| lost(error.to_string()))?;
        // It ends with the sender: the engine's last copy.
        tokio::spawn(connection.with_upgrades());
        let line = Line { sender: Arc::new(Mutex::new(sender)) };
        let docker = Docker::connect_with_custom_transport(
            move |request| line.clone().send(request),
            Some("http://engine"),
            ANSWER,
            &VERSION,
        )
        .map_err(|error| EngineError::of("speaking to the engine", &error))?;
        Ok(Engine { docker, socket })
    }

    /// A socket on this machine.
    async fn here(&self) -> Result<(Box<dyn Stream>, String), EngineError> {
        let mut ways = socket::guesses(&self.wanted, "");
        if self.wanted.socket.is_none() {
            let own = std::env::var("XDG_RUNTIME_DIR").ok();
            let own = own
                .iter()
                .flat_map(|dir| [format!("{dir}/docker.sock"), format!("{dir}/podman/podman.sock")]);
            ways.extend(own.filter(|path| socket::fits(&self.wanted, path)));
            ways.extend(socket::fits(&self.wanted, socket::PODMAN).then(|| socket::PODMAN.to_owned()));
        }
        let home = std::env::var("HOME").unwrap_or_default();
        if let Some(rest) = self.wanted.socket.as_deref().and_then(|own| own.strip_prefix('~')) {
            ways.push(format!("{home}{rest}"));
        }
        ways.dedup();
        let mut worst = None;
        for path in &ways {
            match tokio::time::timeout(OPEN, UnixStream::connect(path)).await {
                Ok(Ok(stream)) => return Ok((Box::new(stream), path.clone())),
                Ok(Err(error)) => worst = worse(worst, path, &error),
                Err(_) => worst = Some(socket::stopped(&format!("{path} does not answer"), path)),
            }
        }
        let (trouble, why, remedy) = worst.unwrap_or_else(|| socket::absent(&self.wanted));
        let remedy = remedy.replace("on the host: ", "");
        Err(EngineError::Trouble { trouble, why: format!("on this machine, {why}"), remedy })
    }

    /// A stream over ssh.
    async fn there(
        &self,
        keys: &Keys,
        known: Option<&str>,
    ) -> Result<(Box<dyn Stream>, String), EngineError> {
        let tried: Vec<String> = match known {
            Some(path) => vec![path.to_owned()],
            None => socket::guesses(&self.wanted, &self.target.user),
        };
        let mut ssh = Ssh::connect(&self.target, keys).await?;
        if let Some(path) = tried.first() {
            match ssh.stream(Remote::Unix(path.into())).await {
                Ok(stream) => return Ok((Box::new(stream), path.clone())),
                Err(SshError::Channel { .. } | SshError::Forbidden { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            ssh = Ssh::connect(&self.target, keys).await?;
        }
        let look = self.look(&mut ssh).await?;
        match socket::next(&self.wanted, &look, &tried) {
            Next::Give { trouble, why, remedy } => Err(EngineError::Trouble { trouble, why, remedy }),
            Next::Try(path) => match ssh.stream(Remote::Unix(Path::new(&path).into())).await {
                Ok(stream) => Ok((Box::new(stream), path)),
                Err(SshError::Channel { .. } | SshError::Forbidden { .. }) => {
                    let (trouble, why, remedy) = socket::stopped(&format!("{path} opens no stream"), &path);
                    Err(EngineError::Trouble { trouble, why, remedy })
                }
                Err(error) => Err(error.into()),
            },
        }
    }

    /// Has somebody look where engines may be.
    async fn look(&self, ssh: &mut Ssh) -> Result<socket::Look, EngineError> {
        let output = ssh.exec(&socket::look(&self.wanted), Input::None, ASK).await?;
        socket::seen(&output.stdout_text()).ok_or_else(|| EngineError::Here {
            why: format!(
                "no engine answers at its usual place, and a look around failed: {}",
                output.stderr_text().trim()
            ),
            remedy: Some("name its socket: container: {socket: …}".to_owned()),
        })
    }

    /// The home of whoever logs in there.
    ///
    /// # Errors
    /// The host does not say it.
    pub async fn home(&self, keys: &Keys) -> Result<String, EngineError> {
        if self.wanted.here {
            return std::env::var("HOME").map_err(|_| EngineError::Here {
                why: "HOME is not set here, and a mount needs it".to_owned(),
                remedy: None,
            });
        }
        let mut ssh = Ssh::connect(&self.target, keys).await?;
        let look = self.look(&mut ssh).await?;
        ssh.close().await;
        Ok(look.home)
    }
}

/// The error that says most of those at several places.
fn worse(
    known: Option<(super::error::Trouble, String, String)>,
    path: &str,
    error: &std::io::Error,
) -> Option<(super::error::Trouble, String, String)> {
    use std::io::ErrorKind::{ConnectionRefused, NotFound, PermissionDenied};
    match (error.kind(), known) {
        (PermissionDenied, None) => {
            let user = cm_agent::host::identity::account(&|name| std::env::var(name).ok()).name;
            Some(socket::denied(path, &user))
        }
        (ConnectionRefused, None) => Some(socket::stopped(&format!("nobody listens at {path}"), path)),
        (NotFound, None) => None,
        (_, None) => Some(socket::stopped(&error.to_string(), path)),
        (_, known) => known,
    }
}

/// One HTTP connection, on which requests take turns.
#[derive(Clone)]
struct Line {
    sender: Arc<Mutex<SendRequest<Body>>>,
}

/// The body of bollard's requests, which has no name of its own.
trait Carries {
    type Body;
}

impl<B> Carries for hyper::Request<B> {
    type Body = B;
}

type Body = <BollardRequest as Carries>::Body;

impl Line {
    async fn send(
        self,
        mut request: BollardRequest,
    ) -> Result<hyper::Response<hyper::body::Incoming>, bollard::errors::Error> {
        // Without a version in its path a request is in the engine's own: nobody has to be asked for it first.
        let path = request.uri().path_and_query().map(ToString::to_string).unwrap_or_default();
        *request.uri_mut() = unversioned(&path).parse()?;
        request.headers_mut().insert(HOST, HeaderValue::from_static("engine"));
        let mut sender = self.sender.lock().await;
        sender.ready().await?;
        Ok(sender.send_request(request).await?)
    }
}

/// PURE. `/v1.44/containers/json` without its version.
fn unversioned(path: &str) -> &str {
    let Some((version, _)) = path.strip_prefix("/v").and_then(|rest| rest.split_once('/')) else {
        return path;
    };
    let number = !version.is_empty() && version.chars().all(|c| c.is_ascii_digit() || c == '.');
    if number { &path[2 + version.len()..] } else { path }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_without_a_version() {
        let check = |path: &str, expected: &str| assert_eq!(unversioned(path), expected);
        check("/v1.44/containers/json?all=true", "/containers/json?all=true");
        check("/volumes/create", "/volumes/create");
        check("/version", "/version");
        check("/v1.44", "/v1.44");
    }
}

//! Connections: listen, log in, read commands, write answers and events.
//!
//! `listen` opens the sockets, `pending` bounds who is at the door, `login` and `welcome` decide who may
//! come in, `connection` is one client's loop, `renewing` what it was told of its leases, and `dispatch` turns an action
//! into its answer.

mod connection;
mod dispatch;
mod info;
mod listen;
mod login;
mod pending;
mod renewing;
mod welcome;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use info::Facts;
pub use listen::{ListenError, listen_tcp, listen_unix};
pub use login::Token;

use crate::session::Engine;
use login::Logins;
use pending::{Pending, Turn};

/// Connections of one listener that are not logged in yet; more wait in the kernel's queue.
const PENDING: usize = 128;
/// What accepting waits after an error such as "too many open files".
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What all connections share.
pub struct Server {
    pub(crate) engine: Arc<Engine>,
    pub(crate) facts: Facts,
    token: Option<Token>,
    logins: Logins,
    clients: Arc<Semaphore>,
    max_clients: usize,
    pub(crate) installation: Option<PathBuf>,
    connected: watch::Sender<usize>,
    shutdown: mpsc::Sender<cm_protocol::Shutdown>,
    stop: CancellationToken,
    tracker: TaskTracker,
}

/// What a [`Server`] is made from.
pub struct ServerParts {
    /// What commands are carried out by.
    pub engine: Arc<Engine>,
    /// What the agent says of itself.
    pub facts: Facts,
    /// What clients on TCP must know; none: only the unix socket is open.
    pub token: Option<Token>,
    /// Clients at the same time.
    pub max_clients: usize,
    /// Where the agent is installed, if a deployment installed it.
    pub installation: Option<PathBuf>,
    /// Where `shutdown` goes.
    pub shutdown: mpsc::Sender<cm_protocol::Shutdown>,
}

/// Who is at the other end, as far as the kernel knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Peer {
    /// The same user, vouched for by the kernel.
    SameUser,
    /// Another user on this host.
    OtherUser,
    /// Somebody over TCP.
    Remote(SocketAddr),
}

impl Server {
    /// A server without listeners yet.
    pub fn new(parts: ServerParts) -> Arc<Self> {
        Arc::new(Self {
            engine: parts.engine,
            facts: parts.facts,
            token: parts.token,
            logins: Logins::default(),
            clients: Arc::new(Semaphore::new(parts.max_clients)),
            max_clients: parts.max_clients,
            installation: parts.installation,
            connected: watch::Sender::new(0),
            shutdown: parts.shutdown,
            stop: CancellationToken::new(),
            tracker: TaskTracker::new(),
        })
    }

    /// How many clients are connected, as something to wait on.
    pub fn connected(&self) -> watch::Receiver<usize> {
        self.connected.subscribe()
    }

    /// Clients that are logged in.
    pub(crate) fn client_count(&self) -> usize {
        self.max_clients - self.clients.available_permits()
    }

    /// Serves a unix socket until the server ends.
    pub fn serve_unix(self: &Arc<Self>, listener: UnixListener) {
        let server = self.clone();
        let uid = rustix::process::geteuid().as_raw();
        // Its own places: strangers on TCP must not keep this user out.
        let pending = Pending::new(PENDING);
        self.tracker.spawn(async move {
            while let Some((stream, turn)) = server.accept(&pending, || listener.accept()).await {
                let stream: UnixStream = stream.0;
                let peer = match stream.peer_cred() {
                    Ok(credentials) if credentials.uid() == uid => Peer::SameUser,
                    Ok(_) | Err(_) => Peer::OtherUser,
                };
                server.admit(stream, peer, turn);
            }
        });
    }

    /// Serves a TCP socket until the server ends.
    pub fn serve_tcp(self: &Arc<Self>, listener: TcpListener) {
        let server = self.clone();
        let pending = Pending::new(PENDING);
        self.tracker.spawn(async move {
            while let Some((stream, turn)) = server.accept(&pending, || listener.accept()).await {
                let (stream, address): (TcpStream, SocketAddr) = stream;
                // Only latency is at stake.
                let _ = stream.set_nodelay(true);
                server.admit(stream, Peer::Remote(address), turn);
            }
        });
    }

    /// The next connection, with its turn to log in; none when the server ends.
    async fn accept<T, F: Future<Output = std::io::Result<T>>>(
        &self,
        pending: &Arc<Pending>,
        accept: impl Fn() -> F,
    ) -> Option<(T, Turn)> {
        let next = async {
            loop {
                match accept().await {
                    Ok(stream) => return (stream, pending.enter().await),
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(ACCEPT_PAUSE).await;
                    }
                }
            }
        };
        tokio::select! {
            () = self.stop.cancelled() => None,
            next = next => Some(next),
        }
    }

    fn admit<S>(self: &Arc<Self>, stream: S, peer: Peer, turn: Turn)
    where
        S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
    {
        let server = self.clone();
        self.tracker.spawn(async move {
            if let Some(mut connection) = connection::Connection::open(&server, stream, peer, turn).await {
                server.connected.send_modify(|n| *n += 1);
                let why = connection.run().await;
                tracing::debug!(?peer, why, "client gone");
                drop(connection);
                server.connected.send_modify(|n| *n -= 1);
            }
        });
    }

    /// Tells all clients good-bye and waits until they are gone. `sockets`: files to remove.
    pub async fn close(&self, sockets: &[PathBuf]) {
        self.stop.cancel();
        for path in sockets {
            // Another agent may have made it its own by now, or never made it.
            let _ = std::fs::remove_file(path);
        }
        self.tracker.close();
        if tokio::time::timeout(Duration::from_secs(3), self.tracker.wait()).await.is_err() {
            tracing::warn!("some clients did not go in time");
        }
    }
}

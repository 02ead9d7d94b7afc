//! One connection to an agent: opening it, logging in, asking, closing.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use cm_protocol::frame::to_text;
use cm_protocol::{Action, Auth, AuthReply, Hello, Limits, ReplyBody, Subscribe};
use serde_json::{Map, Value};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::driver::{Body, Call, Driver, End, Waiting};
use crate::endpoint::{Endpoint, Stream, Token};
use crate::error::{ClientError, Closed};
use crate::events::{CAPACITY, Events, Inbox, Incoming, Listeners};
use crate::pending::Pending;
use crate::renewing::Renewing;
use crate::wire::{Wire, io_error};

/// How long a command waits for its answer, unless [`Client::with_timeout`] says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Commands that wait for the connection's task.
const CALLS: usize = 64;

/// A connection to an agent. Clones share it; it ends with [`Client::close`] or the last clone.
///
/// Dropping a command's future is safe at any point: the command may or may not be executed, and its
/// answer is thrown away when it comes.
#[derive(Debug, Clone)]
pub struct Client {
    shared: Arc<Shared>,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    calls: mpsc::Sender<Call>,
    listeners: Arc<Listeners>,
    hello: Option<Box<Hello>>,
    endpoint: String,
    stop: CancellationToken,
    /// What need not be said again.
    renewing: Mutex<Renewing>,
    /// The connection's task; `None` once somebody joins it. Dropped with the last client: aborted.
    driver: Mutex<Option<AbortOnDropHandle<()>>>,
}

impl Client {
    /// Connects and logs in, all within `deadline`.
    ///
    /// # Errors
    /// [`ClientError::Connect`] or [`ClientError::Unauthorized`].
    pub async fn connect(endpoint: &Endpoint, deadline: Duration) -> Result<Self, ClientError> {
        let name = endpoint.to_string();
        let url = match endpoint {
            Endpoint::Unix(_) => "ws://localhost/".to_owned(),
            Endpoint::Tcp { .. } => name.clone(),
        };
        let opening = async {
            let stream = endpoint.dial().await.map_err(|e| ClientError::connect(&name, e))?;
            Self::open(stream, &url, &name, &endpoint.token()).await
        };
        in_time(&name, deadline, opening).await
    }

    /// Logs in over a stream that is already open (an ssh channel, a pipe), all within `deadline`.
    /// An empty token is right where the other end of the stream is an agent's unix socket.
    ///
    /// # Errors
    /// [`ClientError::Connect`] or [`ClientError::Unauthorized`].
    pub async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        token: &Token,
        deadline: Duration,
    ) -> Result<Self, ClientError> {
        let name = "the other end of the stream";
        in_time(name, deadline, Self::open(Box::new(stream), "ws://localhost/", name, token)).await
    }

    /// [`Client::over`] and one command, which goes out with the log-in: a round trip less. The answer to the command
    /// is the inner result. All within `deadline`.
    ///
    /// # Errors
    /// As [`Client::over`].
    pub async fn over_with(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        token: &Token,
        action: Action,
        deadline: Duration,
    ) -> Result<(Self, Result<ReplyBody, ClientError>), ClientError> {
        let name = "the other end of the stream";
        let opening = async {
            let mut early = Pending::default();
            let (answer, answered) = oneshot::channel();
            let mark = early.insert(Waiting { since: None, follower: None, answer });
            let text = Body::Typed(action).into_text(mark);
            let client =
                Self::open_with(Box::new(stream), "ws://localhost/", name, token, (early, Some(text)))
                    .await?;
            let answer = answered.await.unwrap_or_else(|_| {
                let why = client.ended().unwrap_or(Closed::Here);
                Err(ClientError::Closed { why })
            });
            Ok((client, answer))
        };
        in_time(name, deadline, opening).await
    }

    async fn open(
        stream: Box<dyn Stream>,
        url: &str,
        endpoint: &str,
        token: &Token,
    ) -> Result<Self, ClientError> {
        Self::open_with(stream, url, endpoint, token, (Pending::default(), None)).await
    }

    /// `early`: a command that does not wait for the log-in's answer.
    async fn open_with(
        stream: Box<dyn Stream>,
        url: &str,
        endpoint: &str,
        token: &Token,
        (pending, early): (Pending<Waiting>, Option<String>),
    ) -> Result<Self, ClientError> {
        let failed = |e: io::Error| ClientError::connect(endpoint, e);
        let mut wire = Wire::upgrade(stream, url).await.map_err(failed)?;
        wire.queue(Message::text(to_text(&Auth { auth_token: token.reveal().to_owned() })));
        if let Some(text) = early {
            wire.queue(Message::text(text));
        }
        let answer = first_text(&mut wire).await.map_err(failed)?;
        let hello = match serde_json::from_str::<AuthReply>(&answer) {
            Ok(AuthReply::Authenticated { status, hello }) if status == "authenticated" => hello,
            Ok(AuthReply::Refused { message, code, .. }) => {
                return Err(ClientError::unauthorized(endpoint, message, code));
            }
            Ok(AuthReply::Authenticated { status, .. }) => {
                return Err(ClientError::Protocol(format!("the log-in was answered with status {status:?}")));
            }
            Err(_) => return Err(ClientError::Protocol("the log-in's answer is none".into())),
        };
        Ok(Self::start(wire, pending, hello, endpoint))
    }

    fn start(wire: Wire, pending: Pending<Waiting>, hello: Option<Box<Hello>>, endpoint: &str) -> Self {
        let (calls, asked) = mpsc::channel(CALLS);
        let stop = CancellationToken::new();
        let listeners = Arc::new(Listeners::default());
        let limits = hello.as_ref().map_or_else(Limits::default, |hello| hello.agent.limits);
        let driver = Driver {
            wire,
            pending,
            calls: asked,
            stop: stop.clone(),
            listeners: End(Arc::clone(&listeners)),
            marks: hello.is_some(),
            frame_bytes: limits.frame_bytes,
        };
        let driver = Mutex::new(Some(AbortOnDropHandle::new(tokio::spawn(driver.run()))));
        let endpoint = endpoint.to_owned();
        let knows = |hello: &Hello| hello.agent.features.iter().any(|word| word == "renew");
        let known = hello.as_deref().is_some_and(knows);
        let renewing = Mutex::new(Renewing::new(known));
        let shared = Arc::new(Shared { calls, listeners, hello, endpoint, stop, renewing, driver });
        Self { shared, timeout: DEFAULT_TIMEOUT }
    }

    /// What the agent said of itself at the log-in; `None` from the original agent.
    pub fn hello(&self) -> Option<&Hello> {
        self.shared.hello.as_deref()
    }

    pub(crate) fn renewing(&self) -> MutexGuard<'_, Renewing> {
        // It is whole whoever panicked.
        self.shared.renewing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where it is connected to, for messages.
    pub fn endpoint(&self) -> &str {
        &self.shared.endpoint
    }

    /// The same connection, its commands with another deadline.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), timeout }
    }

    /// Sends a command and waits for its answer. The typed methods are made of this.
    ///
    /// # Errors
    /// [`ClientError::Refused`], [`ClientError::Timeout`] or [`ClientError::Closed`].
    pub async fn call(&self, action: Action) -> Result<ReplyBody, ClientError> {
        let name = action.word();
        self.ask(name, Body::Typed(action), None).await
    }

    /// Sends a command by its name: one of a newer agent, or a wrong one to see the refusal.
    ///
    /// # Errors
    /// As [`Client::call`]; [`ClientError::Protocol`] where the answer is none this client knows.
    pub async fn call_named(
        &self,
        action: &str,
        fields: Map<String, Value>,
    ) -> Result<ReplyBody, ClientError> {
        self.ask(action, Body::Named(action.to_owned(), fields), None).await
    }

    async fn ask(
        &self,
        name: &str,
        body: Body,
        follower: Option<Arc<Inbox>>,
    ) -> Result<ReplyBody, ClientError> {
        let closed = || {
            let why = self.shared.listeners.ended().unwrap_or(Closed::Here);
            ClientError::Closed { why }
        };
        let asking = async {
            let (answer, answered) = oneshot::channel();
            self.shared.calls.send(Call { body, follower, answer }).await.map_err(|_| closed())?;
            answered.await.unwrap_or_else(|_| Err(closed()))
        };
        match timeout(self.timeout, asking).await {
            Ok(answer) => answer,
            Err(_) => Err(ClientError::Timeout { action: name.to_owned(), after: self.timeout }),
        }
    }

    /// What the agent announces from now on, to this reader. Without [`Client::subscribe`] an agent sends
    /// only the original's three kinds of events.
    pub fn events(&self) -> Events {
        self.events_bounded(CAPACITY)
    }

    /// [`Client::events`] with room for `capacity` events that are not read yet (at least one).
    pub fn events_bounded(&self, capacity: usize) -> Events {
        let inbox = Inbox::new(capacity.max(1));
        self.shared.listeners.join(&inbox);
        Events { inbox }
    }

    /// Subscribes, and reads from exactly there: with `since` every event after that one, else every event
    /// from now on; each once and in order. Where the agent no longer has them a snapshot comes first.
    ///
    /// # Errors
    /// As [`Client::call`]. The original agent refuses.
    pub async fn follow(&self, since: Option<u64>) -> Result<Events, ClientError> {
        self.follow_bounded(since, CAPACITY).await
    }

    /// [`Client::follow`] with room for `capacity` events that are not read yet (at least one).
    ///
    /// # Errors
    /// As [`Client::follow`].
    pub async fn follow_bounded(&self, since: Option<u64>, capacity: usize) -> Result<Events, ClientError> {
        let events = Events { inbox: Inbox::new(capacity.max(1)) };
        self.subscribe_for(&events, since).await?;
        Ok(events)
    }

    /// After [`Incoming::Missed`] on a stream from [`Client::follow`] of this client: subscribes again from
    /// where the hole begins.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn resume(&self, events: &Events) -> Result<(), ClientError> {
        self.subscribe_for(events, Some(events.position())).await
    }

    async fn subscribe_for(&self, events: &Events, since: Option<u64>) -> Result<(), ClientError> {
        let body = Body::Typed(Action::Subscribe(Subscribe { since }));
        self.ask("subscribe", body, Some(Arc::clone(&events.inbox))).await.map(drop)
    }

    /// Calls `handler` for everything the agent announces, until the connection ends. It runs on the
    /// connection's own task, before any reader gets the same: it must return at once and not block.
    pub fn handle(&self, handler: impl FnMut(&Incoming) + Send + 'static) {
        self.shared.listeners.handle(Box::new(handler));
    }

    /// How the connection ended; `None` while it stands.
    pub fn ended(&self) -> Option<Closed> {
        self.shared.listeners.ended()
    }

    /// Waits for the end of the connection.
    pub async fn closed(&self) -> Closed {
        self.shared.listeners.wait_for_end().await
    }

    /// Closes the connection for all clones and waits until its task has ended (at most about a second).
    pub async fn close(&self) {
        self.shared.stop.cancel();
        let driver = self.shared.driver.lock().unwrap_or_else(PoisonError::into_inner).take();
        match driver {
            // A task that panicked has told everybody already.
            Some(driver) => drop(driver.await),
            None => drop(self.closed().await),
        }
    }
}

async fn in_time<T>(
    endpoint: &str,
    deadline: Duration,
    opening: impl Future<Output = Result<T, ClientError>>,
) -> Result<T, ClientError> {
    timeout(deadline, opening).await.unwrap_or_else(|_| {
        let words = format!("no answer within {deadline:?}");
        Err(ClientError::connect(endpoint, io::Error::new(io::ErrorKind::TimedOut, words)))
    })
}

/// The first text frame: the answer to the log-in.
async fn first_text(wire: &mut Wire) -> io::Result<String> {
    loop {
        match wire.next().await {
            Some(Ok(Message::Text(text))) => return Ok(text.to_string()),
            Some(Ok(Message::Close(frame))) => {
                let reason = frame.map(|f| f.reason.to_string()).unwrap_or_default();
                let words = format!("it closed the connection during the log-in {reason}");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words.trim_end().to_owned()));
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => return Err(io_error(error)),
            None => {
                let words = "it closed the connection during the log-in";
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, words));
            }
        }
    }
}

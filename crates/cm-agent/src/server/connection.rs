//! One client: its log-in, then one loop that reads commands and writes answers, events and screens.
//!
//! Nothing here holds a queue of events: the connection has a cursor into the hub's ring. Commands with
//! an `id` are carried out at the same time; those without one after another, so that their answers keep
//! their order. When too many are under way no more are read, and TCP tells the client to wait.

mod news;

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::frame::to_text;
use cm_protocol::{
    AuthReply, ClientFrame, ErrorCode, ErrorReply, Reply, Request, RequestId, ScreenFrame, ServerFrame,
};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::dispatch::{self, Answered, Own};
use super::pending::Turn;
use super::welcome::{WRITE, close, linger, log_in, refuse};
use super::{Peer, Server};

/// Without a sign of life for so long, a client is asked for one.
const PING: Duration = Duration::from_secs(30);
/// Without any sign of life for so long, a client is gone.
const SILENCE: Duration = Duration::from_secs(95);

type Answer = Pin<Box<dyn Future<Output = (Option<RequestId>, Answered)> + Send>>;

/// A logged-in client.
pub(super) struct Connection<S> {
    server: Arc<Server>,
    ws: WebSocketStream<S>,
    own: Arc<Own>,
    head: watch::Receiver<u64>,
    /// The last event this client has, or was told by a snapshot.
    cursor: u64,
    /// All events, or only those the original agent had.
    subscribed: bool,
    /// What follows the cursor may be read from the disk: the client asked for the past.
    replaying: bool,
    /// There is more to write without waiting for news.
    behind: bool,
    ordered: VecDeque<Asked>,
    current: Option<Answer>,
    free: FuturesUnordered<Answer>,
    heard: Instant,
    _place: OwnedSemaphorePermit,
}

/// What waits for its turn.
enum Asked {
    /// A command.
    Request(Request),
    /// One that cannot be read; its error keeps its place.
    Refused(ErrorReply),
}

/// Everything that can happen to a connection.
enum Wake {
    Frame(Option<Result<Message, WsError>>),
    Answer(Option<RequestId>, Answered),
    Events,
    Screens(Vec<Arc<ScreenFrame>>),
    Ping,
    Stop,
}

/// Why a connection ends, for the log.
type Gone = &'static str;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Upgrades and logs in; none if that came to nothing. `turn` is given back when it is over, and when
    /// another one needs it.
    pub(super) async fn open(server: &Arc<Server>, stream: S, peer: Peer, turn: Turn) -> Option<Self> {
        tokio::select! {
            () = turn.over() => None,
            () = server.stop.cancelled() => None,
            opened = Self::come_in(server, stream, peer) => opened,
        }
    }

    async fn come_in(server: &Arc<Server>, stream: S, peer: Peer) -> Option<Self> {
        let deadline = Instant::now() + Duration::from_secs(server.engine.limits.login_seconds);
        let limit = server.engine.limits.frame_bytes;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            // A little over the limit is answered with an error instead of cutting the connection.
            .max_message_size(Some(limit * 2))
            .max_frame_size(Some(limit * 2));
        let upgrade = tokio_tungstenite::accept_async_with_config(stream, Some(config));
        let mut ws = timeout_at(deadline, upgrade).await.ok()?.ok()?;
        let first = match log_in(server, &mut ws, peer, deadline).await {
            Ok(first) => first,
            Err(refused) => {
                refuse(&mut ws, refused).await;
                return None;
            }
        };
        let Ok(place) = server.clients.clone().try_acquire_owned() else {
            let message = format!("the agent has {} clients, its limit", server.max_clients);
            refuse(&mut ws, Some(AuthReply::refused(message, ErrorCode::Limit))).await;
            return None;
        };
        let head = server.engine.hub.head();
        let cursor = *head.borrow();
        let mut connection = Self {
            server: server.clone(),
            ws,
            own: Arc::default(),
            head,
            cursor,
            subscribed: false,
            replaying: false,
            behind: false,
            ordered: VecDeque::new(),
            current: None,
            free: FuturesUnordered::new(),
            heard: Instant::now(),
            _place: place,
        };
        match first {
            // On the unix socket a log-in may be left out.
            Some(request) => connection.accept(request),
            None => connection.write(to_text(&AuthReply::authenticated(server.hello()))).await.ok()?,
        }
        Some(connection)
    }

    /// Serves the client until it goes.
    pub(super) async fn run(&mut self) -> Gone {
        let mut ping = tokio::time::interval_at(Instant::now() + PING, PING);
        let stop = self.server.stop.clone();
        loop {
            let room = self.has_room();
            let wake = tokio::select! {
                () = stop.cancelled() => Wake::Stop,
                Some((id, answered)) = self.free.next() => Wake::Answer(id, answered),
                (id, answered) = next_in_order(&mut self.current) => Wake::Answer(id, answered),
                frame = self.ws.next(), if room => Wake::Frame(frame),
                changed = more_events(&mut self.head, self.behind) => match changed {
                    true => Wake::Events,
                    false => Wake::Stop,
                },
                frames = self.own.mailbox.take() => Wake::Screens(frames),
                _ = ping.tick() => Wake::Ping,
            };
            let done = match wake {
                Wake::Stop => return self.say_goodbye().await,
                Wake::Frame(frame) => self.frame(frame).await,
                Wake::Answer(id, answered) => self.answered(id, answered).await,
                Wake::Events => self.events().await,
                Wake::Screens(frames) => self.screens(frames).await,
                Wake::Ping => self.ping().await,
            };
            if let Err(why) = done {
                return why;
            }
            self.start_next();
        }
    }

    async fn frame(&mut self, frame: Option<Result<Message, WsError>>) -> Result<(), Gone> {
        self.heard = Instant::now();
        let text = match frame {
            None | Some(Ok(Message::Close(_))) => return Err("closed by the client"),
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Binary(_))) => {
                return self
                    .refuse(ErrorReply::bad_request("", "binary frames are not part of this protocol"));
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(error)) => return self.unreadable(error).await,
        };
        let limit = self.server.engine.limits.frame_bytes;
        if text.len() > limit {
            return self.refuse(too_large(limit));
        }
        match ClientFrame::parse(&text) {
            // Logging in twice is no harm.
            Ok(ClientFrame::Auth(_)) => {
                self.write(to_text(&AuthReply::authenticated(self.server.hello()))).await
            }
            Ok(ClientFrame::Request(request)) => {
                self.accept(request);
                Ok(())
            }
            Err(error) if error.id.is_some() => self.error(*error).await,
            Err(error) => self.refuse(*error),
        }
    }

    /// Answers with an error what is not known to have an id: when those before it are answered.
    fn refuse(&mut self, error: ErrorReply) -> Result<(), Gone> {
        self.ordered.push_back(Asked::Refused(error));
        Ok(())
    }

    /// A frame after which nothing more can be read from this client: say why, and end.
    async fn unreadable(&mut self, error: WsError) -> Result<(), Gone> {
        let (code, why) = match error {
            WsError::Capacity(_) => {
                let limit = self.server.engine.limits.frame_bytes;
                let _ = self.error(too_large(limit)).await;
                (CloseCode::Size, "frame too large")
            }
            WsError::Utf8(_) => {
                let _ = self.error(ErrorReply::bad_request("", "the frame is not UTF-8")).await;
                (CloseCode::Invalid, "frame not UTF-8")
            }
            _ => return Err("connection lost"),
        };
        close(&mut self.ws, code, why).await;
        linger(&mut self.ws).await;
        Err(why)
    }

    /// Takes a command: at once if it has an id, else after those before it.
    fn accept(&mut self, request: Request) {
        if request.id.is_some() {
            self.free.push(self.carry_out(request));
        } else {
            self.ordered.push_back(Asked::Request(request));
        }
        self.start_next();
    }

    fn start_next(&mut self) {
        if self.current.is_none()
            && let Some(asked) = self.ordered.pop_front()
        {
            self.current = Some(match asked {
                Asked::Request(request) => self.carry_out(request),
                Asked::Refused(error) => Box::pin(std::future::ready((None, Answered::from(Err(error))))),
            });
        }
    }

    fn carry_out(&self, request: Request) -> Answer {
        let (server, own) = (self.server.clone(), self.own.clone());
        Box::pin(dispatch::answer(server, own, request.action).map(|answered| (request.id, answered)))
    }

    async fn answered(&mut self, id: Option<RequestId>, answered: Answered) -> Result<(), Gone> {
        let text = match answered.result {
            Ok(body) => to_text(&Reply { body, id }),
            Err(error) => to_text(&error.answering(id)),
        };
        self.write(text).await?;
        if let Some((subscribe, seq)) = answered.subscribe {
            self.subscribe(&subscribe, seq).await?;
        }
        Ok(())
    }

    async fn screens(&mut self, frames: Vec<Arc<ScreenFrame>>) -> Result<(), Gone> {
        for frame in frames {
            self.feed(ServerFrame::Screen(Arc::unwrap_or_clone(frame)).to_text()).await?;
        }
        self.flush().await
    }

    /// Whether another command may be read.
    fn has_room(&self) -> bool {
        self.free.len() + self.ordered.len() < self.server.engine.limits.pending_commands
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if !self.has_room() {
            // Its signs of life are not being read.
            self.heard = Instant::now();
        }
        if self.heard.elapsed() > SILENCE {
            return Err("no sign of life");
        }
        // Who says something every few seconds need not be asked.
        if self.heard.elapsed() < PING {
            return Ok(());
        }
        match timeout(WRITE, self.ws.send(Message::Ping(Default::default()))).await {
            Ok(Ok(())) => Ok(()),
            _ => Err("does not read"),
        }
    }

    async fn error(&mut self, error: ErrorReply) -> Result<(), Gone> {
        self.write(to_text(&error)).await
    }

    async fn write(&mut self, text: String) -> Result<(), Gone> {
        self.feed(text).await?;
        self.flush().await
    }

    async fn feed(&mut self, text: String) -> Result<(), Gone> {
        match timeout(WRITE, self.ws.feed(Message::Text(text.into()))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("connection lost"),
            Err(_) => Err("does not read"),
        }
    }

    async fn flush(&mut self) -> Result<(), Gone> {
        match timeout(WRITE, self.ws.flush()).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("connection lost"),
            Err(_) => Err("does not read"),
        }
    }

    /// The agent ends: what is published is still delivered, then the socket closes.
    async fn say_goodbye(&mut self) -> Gone {
        while self.events().await.is_ok() && self.behind {}
        close(&mut self.ws, CloseCode::Away, "the agent is ending").await;
        "the agent is ending"
    }
}

fn too_large(limit: usize) -> ErrorReply {
    ErrorReply::new(ErrorCode::TooLarge, format!("the frame is over the limit of {limit} bytes"))
}

async fn next_in_order(current: &mut Option<Answer>) -> (Option<RequestId>, Answered) {
    match current {
        Some(answer) => {
            let done = answer.await;
            *current = None;
            done
        }
        None => std::future::pending().await,
    }
}

/// Waits until there are events to write; false if there will never be any.
async fn more_events(head: &mut watch::Receiver<u64>, behind: bool) -> bool {
    behind || head.changed().await.is_ok()
}

//! One client: its log-in, then one loop that reads commands and writes answers, events and screens.
//!
//! Nothing here holds a queue of events: the connection has a cursor into the hub's ring. Commands with
//! an `id` are carried out at the same time; those without one after another, so that their answers keep
//! their order. When too many are under way no more are read, and TCP tells the client to wait.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::frame::to_text;
use cm_protocol::{
    Auth, AuthReply, ClientFrame, ErrorCode, ErrorReply, Reply, Request, RequestId, ScreenFrame, ServerFrame,
    Subscribe,
};
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

use super::dispatch::{self, Answered};
use super::{Peer, Server};
use crate::host::clock;
use crate::hub::Recent;
use crate::session::Mailbox;

/// For the web socket's upgrade.
const UPGRADE: Duration = Duration::from_secs(10);
/// For a client to take what is written; one that does not is cut off.
const WRITE: Duration = Duration::from_secs(30);
/// Between signs of life asked of a client.
const PING: Duration = Duration::from_secs(30);
/// Without any sign of life for so long, a client is gone.
const SILENCE: Duration = Duration::from_secs(95);
/// Events written before anything else gets its turn again.
const BATCH: usize = 256;

type Answer = Pin<Box<dyn Future<Output = (Option<RequestId>, Answered)> + Send>>;

/// A logged-in client.
pub(super) struct Connection<S> {
    server: Arc<Server>,
    ws: WebSocketStream<S>,
    mailbox: Arc<Mailbox>,
    head: watch::Receiver<u64>,
    /// The last event this client has, or was told by a snapshot.
    cursor: u64,
    /// All events, or only those the original agent had.
    subscribed: bool,
    /// Replay from disk goes on from the cursor.
    replaying: bool,
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
    /// Upgrades and logs in; none if that came to nothing. `turn` is given back when it is over.
    pub(super) async fn open(
        server: &Arc<Server>,
        stream: S,
        peer: Peer,
        turn: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let limit = server.engine.limits.frame_bytes;
        let config = WebSocketConfig::default()
            .read_buffer_size(4 * 1024)
            .write_buffer_size(0)
            // A little over the limit is answered with an error instead of cutting the connection.
            .max_message_size(Some(limit * 2))
            .max_frame_size(Some(limit * 2));
        let upgrade = timeout(UPGRADE, tokio_tungstenite::accept_async_with_config(stream, Some(config)));
        let mut ws = tokio::select! {
            () = server.stop.cancelled() => return None,
            upgraded = upgrade => upgraded.ok()?.ok()?,
        };
        let first = match log_in(server, &mut ws, peer).await {
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
        drop(turn);
        let head = server.engine.hub.head();
        let cursor = *head.borrow();
        let mut connection = Self {
            server: server.clone(),
            ws,
            mailbox: Arc::default(),
            head,
            cursor,
            subscribed: false,
            replaying: false,
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
            let room = self.free.len() + self.ordered.len() < self.server.engine.limits.pending_commands;
            let wake = tokio::select! {
                () = stop.cancelled() => Wake::Stop,
                Some((id, answered)) = self.free.next() => Wake::Answer(id, answered),
                (id, answered) = next_in_order(&mut self.current) => Wake::Answer(id, answered),
                frame = self.ws.next(), if room => Wake::Frame(frame),
                changed = more_events(&mut self.head, self.replaying) => match changed {
                    true => Wake::Events,
                    false => Wake::Stop,
                },
                frames = self.mailbox.take() => Wake::Screens(frames),
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
                    .error(ErrorReply::bad_request("", "binary frames are not part of this protocol"))
                    .await;
            }
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => return Ok(()),
            Some(Err(error)) => return self.unreadable(error).await,
        };
        let limit = self.server.engine.limits.frame_bytes;
        if text.len() > limit {
            return self.error(too_large(limit)).await;
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
            Err(error) => {
                self.ordered.push_back(Asked::Refused(*error));
                Ok(())
            }
        }
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
        let (server, mailbox) = (self.server.clone(), self.mailbox.clone());
        Box::pin(dispatch::answer(server, mailbox, request.action).map(|answered| (request.id, answered)))
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

    async fn subscribe(&mut self, subscribe: &Subscribe, answered: u64) -> Result<(), Gone> {
        self.subscribed = true;
        // What happened since the answer was made has been passed over, as far as the original had no word
        // for it: everything after the number that was answered is owed.
        let since = subscribe.since.unwrap_or(answered);
        let head = *self.head.borrow();
        if since > head {
            // Numbers of another life of this agent: only a snapshot says where things stand.
            return self.snapshot().await;
        }
        self.cursor = since;
        self.replaying = since < head;
        Ok(())
    }

    /// Writes a batch of what followed the cursor.
    async fn events(&mut self) -> Result<(), Gone> {
        match self.server.engine.hub.recent(self.cursor, BATCH) {
            Recent::Events(events) => {
                let Some(last) = events.last() else {
                    self.replaying = false;
                    return Ok(());
                };
                self.cursor = last.seq;
                // A full batch may not be all: come back without waiting for news.
                self.replaying = events.len() == BATCH;
                let all = self.subscribed;
                for event in events.iter().filter(|e| all || e.original) {
                    self.feed(event.text.clone()).await?;
                }
                self.flush().await
            }
            Recent::Gone if self.replaying && self.subscribed => self.replay().await,
            Recent::Gone if self.subscribed => self.snapshot().await,
            Recent::Gone => {
                // The original's clients know no snapshot; they ask with list_sessions.
                self.cursor = *self.head.borrow();
                Ok(())
            }
        }
    }

    /// Writes a batch from the disk; a snapshot if it is not there any more.
    async fn replay(&mut self) -> Result<(), Gone> {
        let (server, cursor) = (self.server.clone(), self.cursor);
        let page = tokio::task::spawn_blocking(move || server.engine.hub.replay(cursor, BATCH)).await;
        let events = match page {
            Ok(Ok(page)) if !page.gap => page.records,
            Ok(Err(error)) => {
                tracing::warn!(%error, "events cannot be replayed; sending a snapshot instead");
                return self.snapshot().await;
            }
            _ => return self.snapshot().await,
        };
        let before = self.cursor;
        for record in events {
            if let crate::session::record::Record::Event(event) = record {
                self.cursor = event.seq;
                self.feed(to_text(&event)).await?;
            }
        }
        if self.cursor == before {
            return self.snapshot().await;
        }
        self.flush().await
    }

    async fn snapshot(&mut self) -> Result<(), Gone> {
        let snapshot = self.server.engine.hub.snapshot();
        self.cursor = snapshot.seq;
        self.replaying = false;
        self.write(ServerFrame::Snapshot(snapshot).to_text()).await
    }

    async fn screens(&mut self, frames: Vec<Arc<ScreenFrame>>) -> Result<(), Gone> {
        for frame in frames {
            self.feed(ServerFrame::Screen(Arc::unwrap_or_clone(frame)).to_text()).await?;
        }
        self.flush().await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if self.heard.elapsed() > SILENCE {
            return Err("no sign of life");
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
        let _ = self.events().await;
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
async fn more_events(head: &mut watch::Receiver<u64>, replaying: bool) -> bool {
    replaying || head.changed().await.is_ok()
}

async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocketStream<S>,
    code: CloseCode,
    reason: &str,
) {
    let frame = CloseFrame { code, reason: reason.to_owned().into() };
    // It is over either way.
    let _ = timeout(Duration::from_secs(1), ws.close(Some(frame))).await;
}

async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocketStream<S>, refused: Option<AuthReply>) {
    if let Some(reply) = refused {
        let _ = timeout(WRITE, ws.send(Message::Text(to_text(&reply).into()))).await;
    }
    close(ws, CloseCode::Policy, "not authenticated").await;
}

/// The first frame. `Ok(Some(…))`: a command, from a client that needs no log-in. An error is what to
/// answer before the socket closes; nothing is executed.
async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    ws: &mut WebSocketStream<S>,
    peer: Peer,
) -> Result<Option<Request>, Option<AuthReply>> {
    let deadline = Duration::from_secs(server.engine.limits.login_seconds);
    let text = match timeout(deadline, first_text(ws)).await {
        Ok(Some(text)) => text,
        Ok(None) | Err(_) => return Err(None),
    };
    match (ClientFrame::parse(&text), peer) {
        (Ok(ClientFrame::Auth(_)), Peer::SameUser) => Ok(None),
        (Ok(ClientFrame::Request(request)), Peer::SameUser) => Ok(Some(request)),
        (Err(error), Peer::SameUser) => Err(Some(AuthReply::refused(error.error, error.code))),
        (Ok(ClientFrame::Auth(auth)), _) => check_token(server, &auth, peer).await.map(|()| None),
        (Ok(ClientFrame::Request(_)), _) => {
            Err(Some(AuthReply::refused("The first frame must be the token", ErrorCode::Unauthorized)))
        }
        (Err(_), _) => Err(None),
    }
}

async fn check_token(server: &Server, auth: &Auth, peer: Peer) -> Result<(), Option<AuthReply>> {
    let from = match peer {
        Peer::Remote(address) => Some(address.ip()),
        Peer::SameUser | Peer::OtherUser => None,
    };
    if server.token.as_ref().is_some_and(|t| t.is(&auth.auth_token)) {
        server.logins.worked(from);
        return Ok(());
    }
    let verdict = server.logins.failed(from, clock::now());
    tracing::warn!(?peer, "a log-in failed");
    tokio::select! {
        () = tokio::time::sleep(verdict.wait) => {}
        () = server.stop.cancelled() => return Err(None),
    }
    Err(Some(if verdict.limited {
        AuthReply::refused("Too many failed log-ins; each further one waits longer", ErrorCode::Limit)
    } else {
        AuthReply::refused("Invalid authentication token", ErrorCode::Unauthorized)
    }))
}

/// The first text frame; pings before it do not count.
async fn first_text<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocketStream<S>) -> Option<String> {
    loop {
        match ws.next().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

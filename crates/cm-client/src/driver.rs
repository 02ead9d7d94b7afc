//! The one task of a connection: writes commands, matches answers, hands on announcements, notices death.

use std::sync::Arc;
use std::time::Duration;

use cm_protocol::frame::to_text;
use cm_protocol::{
    Action, ErrorCode, ErrorReply, FrameError, Reply, ReplyBody, Request, RequestId, ServerFrame, Subscribe,
};
use serde_json::{Map, Value};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Interval, MissedTickBehavior, interval_at, timeout};
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_util::sync::CancellationToken;

use crate::error::{ClientError, Closed};
use crate::events::{Announcer, Inbox, Incoming, Listeners};
use crate::pending::Pending;
use crate::wire::Wire;

/// Where nothing was heard for so long, a ping goes out.
const PING: Duration = Duration::from_secs(30);

/// Nothing heard during this many of them: the agent, its host or the link is gone.
const QUIET_PINGS: u32 = 3;

/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a command says.
pub(crate) enum Body {
    /// One this client knows.
    Typed(Action),
    /// One by its name.
    Named(String, Map<String, Value>),
}

impl Body {
    pub(crate) fn into_text(self, mark: i64) -> String {
        match self {
            Self::Typed(action) => to_text(&Request { id: Some(RequestId::Number(mark)), action }),
            Self::Named(name, mut fields) => {
                fields.insert("action".into(), name.into());
                fields.insert("id".into(), mark.into());
                Value::Object(fields).to_string()
            }
        }
    }

    fn since(&self) -> Option<u64> {
        match self {
            Self::Typed(Action::Subscribe(Subscribe { since })) => *since,
            _ => None,
        }
    }
}

/// A command and who waits for its answer.
pub(crate) struct Call {
    pub(crate) body: Body,
    /// For `subscribe`: the reader that begins where its answer stands among the frames.
    pub(crate) follower: Option<Arc<Inbox>>,
    pub(crate) answer: oneshot::Sender<Result<ReplyBody, ClientError>>,
}

/// A command that was sent and has no answer yet.
pub(crate) struct Waiting {
    pub(crate) since: Option<u64>,
    pub(crate) follower: Option<Arc<Inbox>>,
    pub(crate) answer: oneshot::Sender<Result<ReplyBody, ClientError>>,
}

/// Everything that can happen to a connection.
enum Happened {
    Received(Option<Result<Message, Error>>),
    Asked(Option<Call>),
    PingDue,
    Stopped,
}

pub(crate) struct Driver {
    pub(crate) wire: Wire,
    /// Commands that were sent with the log-in.
    pub(crate) pending: Pending<Waiting>,
    pub(crate) calls: mpsc::Receiver<Call>,
    pub(crate) stop: CancellationToken,
    pub(crate) listeners: End,
    /// Whether answers repeat marks; the original agent's do not.
    pub(crate) marks: bool,
    /// The most bytes the agent takes in one frame.
    pub(crate) frame_bytes: usize,
}

/// Tells everybody that the connection has ended, however its task ends: also aborted, and also before it
/// ever ran.
pub(crate) struct End(pub(crate) Arc<Listeners>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end(if std::thread::panicking() {
            Closed::Broken("an event handler panicked".into())
        } else {
            Closed::Here
        });
    }
}

impl Driver {
    pub(crate) async fn run(self) {
        Connection::new(self).run().await;
    }
}

/// The driver at work.
struct Connection {
    with: Driver,
    announcer: Announcer,
    heard: u64,
    quiet: u32,
}

impl Connection {
    fn new(with: Driver) -> Self {
        Self { with, announcer: Announcer::default(), heard: 0, quiet: 0 }
    }

    async fn run(mut self) {
        let mut ping = interval_at(tokio::time::Instant::now() + PING, PING);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let happened = self.wait(&mut ping).await;
            if let Some(why) = self.on(happened) {
                let _ = timeout(FAREWELL, self.with.wire.close()).await;
                self.with.listeners.0.end(why.clone());
                for waiting in self.with.pending.drain() {
                    let _ = waiting.answer.send(Err(ClientError::Closed { why: why.clone() }));
                }
                return;
            }
        }
    }

    async fn wait(&mut self, ping: &mut Interval) -> Happened {
        let Driver { wire, calls, stop, .. } = &mut self.with;
        let room = wire.has_room();
        tokio::select! {
            frame = wire.next() => Happened::Received(frame),
            call = calls.recv(), if room => Happened::Asked(call),
            _ = ping.tick() => Happened::PingDue,
            () = stop.cancelled() => Happened::Stopped,
        }
    }

    /// What to do about it; `Some` ends the connection.
    fn on(&mut self, happened: Happened) -> Option<Closed> {
        match happened {
            Happened::Received(None) => return Some(Closed::ByAgent(String::new())),
            Happened::Received(Some(Err(error))) => return Some(lost(error)),
            Happened::Received(Some(Ok(Message::Close(frame)))) => {
                return Some(Closed::ByAgent(frame.map(|f| f.reason.to_string()).unwrap_or_default()));
            }
            Happened::Received(Some(Ok(Message::Text(text)))) => self.received(&text),
            // Pings are answered by the WebSocket itself; agents send no binary frames.
            Happened::Received(Some(Ok(_))) => {}
            Happened::Asked(Some(call)) => self.ask(call),
            Happened::Asked(None) | Happened::Stopped => return Some(Closed::Here),
            Happened::PingDue => return self.ping(),
        }
        None
    }

    fn ping(&mut self) -> Option<Closed> {
        let heard = self.with.wire.bytes_received();
        self.quiet = if heard == self.heard { self.quiet + 1 } else { 0 };
        self.heard = heard;
        if self.quiet >= QUIET_PINGS {
            return Some(Closed::Silent(PING * QUIET_PINGS));
        }
        // Behind frames that cannot be written a ping would only add to the heap. And what was heard is a sign of life,
        // as good as a pong; the agent asks by itself if it hears nothing.
        if self.quiet > 0 && self.with.wire.is_drained() {
            self.with.wire.queue(Message::Ping(Vec::new().into()));
        }
        None
    }

    fn ask(&mut self, call: Call) {
        if call.answer.is_closed() {
            return;
        }
        if self.with.marks {
            self.with.pending.sweep_if_due(|waiting: &Waiting| waiting.answer.is_closed());
        }
        let Call { body, follower, answer } = call;
        let mark = self.with.pending.insert(Waiting { since: body.since(), follower, answer });
        let text = body.into_text(mark);
        if text.len() > self.with.frame_bytes {
            let (bytes, most) = (text.len(), self.with.frame_bytes);
            let words =
                format!("the command has {bytes} bytes, the agent takes at most {most}; it was not sent");
            if let Some(waiting) = self.with.pending.take(mark) {
                let _ = waiting.answer.send(Err(ErrorReply::new(ErrorCode::TooLarge, words).into()));
            }
            return;
        }
        self.with.wire.queue(Message::text(text));
    }

    fn received(&mut self, text: &str) {
        match ServerFrame::parse(text) {
            Ok(ServerFrame::Reply(Reply { body, id })) => self.answered(id, Ok(body)),
            Ok(ServerFrame::Error(refusal)) => self.answered(refusal.id.clone(), Err(refusal.into())),
            Ok(ServerFrame::Event(event)) => self.announce(Incoming::Event(event)),
            Ok(ServerFrame::Snapshot(snapshot)) => self.announce(Incoming::Snapshot(snapshot)),
            Ok(ServerFrame::Screen(frame)) => self.announce(Incoming::Screen(frame)),
            Ok(ServerFrame::Unknown(_)) => self.not_understood(
                text,
                FrameError::NotAMessage("its type is newer than this client; update the client".into()),
            ),
            Err(error) => self.not_understood(text, error),
        }
    }

    fn announce(&mut self, incoming: Incoming) {
        self.announcer.announce(incoming, &self.with.listeners.0);
    }

    /// An answer that cannot be read still answers its command; anything else is left out.
    fn not_understood(&mut self, text: &str, error: FrameError) {
        tracing::warn!(%error, bytes = text.len(), "a frame from the agent was not understood");
        let id = serde_json::from_str::<Value>(text).ok().and_then(|value| value.get("id")?.as_i64());
        if id.is_some() {
            self.answered(id.map(RequestId::Number), Err(error.into()));
        }
    }

    fn answered(&mut self, id: Option<RequestId>, answer: Result<ReplyBody, ClientError>) {
        let waiting = match id {
            Some(RequestId::Number(mark)) => self.with.pending.take(mark),
            Some(RequestId::Text(_)) => None,
            // Without a mark: in order; where marks are the rule, only if there is no doubt.
            None if !self.with.marks || self.with.pending.len() == 1 => self.with.pending.take_oldest(),
            None => None,
        };
        let Some(Waiting { since, follower, answer: waiter }) = waiting else {
            tracing::debug!(?answer, "an answer nobody waits for");
            return;
        };
        if let Ok(ReplyBody::Subscribed { seq }) = &answer {
            // An agent whose numbers began anew has not reached `since` yet.
            let start = since.map_or(*seq, |since| since.min(*seq));
            if let Some(inbox) = follower {
                inbox.change(|buffer| buffer.follow_from(start));
                self.with.listeners.0.join(&inbox);
            }
            self.with.listeners.0.subscribed(start);
        }
        let _ = waiter.send(answer);
    }
}

/// How a broken stream is told.
fn lost(error: Error) -> Closed {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Closed::ByAgent(String::new()),
        Error::Io(error) => Closed::Broken(error.to_string()),
        other => Closed::Broken(other.to_string()),
    }
}

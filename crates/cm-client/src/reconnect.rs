//! A connection that is kept for ever: lost, made again, continued where it stopped.

use std::convert::Infallible;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use cm_protocol::{Event, Hello, ScreenFrame, Snapshot};
use futures_util::Stream;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::task::AbortOnDropHandle;

use crate::client::Client;
use crate::endpoint::Endpoint;
use crate::error::{ClientError, Closed};
use crate::events::{CAPACITY, Events, Incoming};

/// The longest pause between two tries.
pub const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// The pause after the first loss, before chance shortens it.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// A connection that stood this long was a good one: the next loss is the first again.
const GOOD: Duration = Duration::from_secs(10);

/// How long an [`Endpoint`] may take to connect.
const CONNECT: Duration = Duration::from_secs(10);

/// How long any connector may take.
const CONNECT_AT_MOST: Duration = Duration::from_secs(60);

/// Updates that wait for the reader; behind them events wait in the connection's own bounded line.
const UPDATES: usize = 64;

/// Makes a connection, as often as one is needed. An [`Endpoint`] does, and so does any
/// `FnMut() -> impl Future<Output = Result<Client, ClientError>>` (a new stream through a tunnel …).
pub trait Connector: Send + 'static {
    /// Connects and logs in. It has a minute at most.
    fn connect(&mut self) -> impl Future<Output = Result<Client, ClientError>> + Send;
}

impl Connector for Endpoint {
    async fn connect(&mut self) -> Result<Client, ClientError> {
        Client::connect(self, CONNECT).await
    }
}

impl<F, C> Connector for F
where
    F: FnMut() -> C + Send + 'static,
    C: Future<Output = Result<Client, ClientError>> + Send,
{
    fn connect(&mut self) -> impl Future<Output = Result<Client, ClientError>> + Send {
        self()
    }
}

/// What a follower tells.
#[derive(Debug)]
pub enum Update {
    /// A connection stands; events go on after the last one handed out. Screens that were watched have to
    /// be watched again.
    Connected {
        /// What the agent said of itself; `None` from the original agent, whose events are not continued.
        hello: Option<Box<Hello>>,
        /// The agent's numbers began anew (its state is gone, or it is another agent): what follows begins
        /// at its first event.
        renumbered: bool,
    },
    /// Something happened. Over all connections: each event once, in order, without a gap.
    Event(Event),
    /// Where things stand, because the agent no longer has every event since the last one handed out.
    /// Events up to the snapshot's are contained in it.
    Snapshot(Snapshot),
    /// A screen watched through [`Follower::client`].
    Screen(ScreenFrame),
    /// Events of an original agent were lost because they were not read in time.
    Missed,
    /// There is no connection; the next try follows.
    Lost {
        /// Why.
        error: ClientError,
        /// When.
        retry_in: Duration,
    },
}

/// An endless stream of an agent's events, without gap or duplicate over lost connections, and the
/// current connection for commands. It never gives up; whoever should, drops it.
#[derive(Debug)]
pub struct Follower {
    updates: mpsc::Receiver<Update>,
    current: watch::Receiver<Option<Client>>,
    /// Owned: dropped with this, and so aborted.
    task: AbortOnDropHandle<()>,
}

impl Follower {
    /// Starts following, after event `since` or from now on.
    pub fn start(connector: impl Connector, since: Option<u64>) -> Self {
        Self::start_bounded(connector, since, CAPACITY)
    }

    /// [`Follower::start`] with room for about `capacity` events that are not read yet.
    pub fn start_bounded(connector: impl Connector, since: Option<u64>, capacity: usize) -> Self {
        let (updates, read) = mpsc::channel(UPDATES);
        let (publish, current) = watch::channel(None);
        let following = Following { connector, last: since, capacity, updates, publish };
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            let never = following.run().await;
            match never {}
        }));
        Self { updates: read, current, task }
    }

    /// The next update. Dropping the future loses nothing. `None` only if a handler or connector panicked.
    pub async fn next(&mut self) -> Option<Update> {
        self.updates.recv().await
    }

    /// The current connection, or the next one that stands, waiting at most `deadline` for it. While
    /// updates are not read a new connection may not come about.
    ///
    /// # Errors
    /// [`ClientError::Timeout`].
    pub async fn client(&self, deadline: Duration) -> Result<Client, ClientError> {
        let mut current = self.current.clone();
        let standing = current.wait_for(|client| client.as_ref().is_some_and(|c| c.ended().is_none()));
        match timeout(deadline, standing).await {
            Ok(Ok(client)) => client.clone().ok_or(ClientError::Closed { why: Closed::Here }),
            Ok(Err(_)) => Err(ClientError::Closed { why: Closed::Here }),
            Err(_) => Err(ClientError::Timeout { action: "connect".into(), after: deadline }),
        }
    }

    /// The current connection, if one stands.
    pub fn try_client(&self) -> Option<Client> {
        self.current().get()
    }

    /// A handle on the current connection, for whoever hands the follower itself to something else.
    pub fn current(&self) -> Current {
        Current(self.current.clone())
    }

    /// Stops following and closes the connection.
    pub async fn close(self) {
        let client = self.current.borrow().clone();
        self.task.abort();
        let _ = self.task.await;
        if let Some(client) = client {
            client.close().await;
        }
    }
}

/// The connection a [`Follower`] has at the moment.
#[derive(Debug, Clone)]
pub struct Current(watch::Receiver<Option<Client>>);

impl Current {
    /// The connection, if one stands.
    pub fn get(&self) -> Option<Client> {
        self.0.borrow().clone().filter(|client| client.ended().is_none())
    }
}

impl Stream for Follower {
    type Item = Update;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Update>> {
        self.updates.poll_recv(cx)
    }
}

/// The follower's task.
struct Following<C> {
    connector: C,
    /// The last event handed out.
    last: Option<u64>,
    capacity: usize,
    updates: mpsc::Sender<Update>,
    publish: watch::Sender<Option<Client>>,
}

impl<C: Connector> Following<C> {
    async fn run(mut self) -> Infallible {
        let mut losses = 0;
        loop {
            let began = Instant::now();
            let Err(error) = self.try_once().await;
            self.publish.send_replace(None);
            losses = if began.elapsed() >= GOOD { 0 } else { losses + 1 };
            let retry_in = match error {
                // The token will hardly become right, and agents count failed log-ins.
                ClientError::Unauthorized { .. } => LONGEST_PAUSE,
                _ => pause(losses, chance()),
            };
            self.hand_out(Update::Lost { error, retry_in }).await;
            sleep(retry_in).await;
        }
    }

    /// One connection, from its start to its loss.
    async fn try_once(&mut self) -> Result<Infallible, ClientError> {
        let client = timeout(CONNECT_AT_MOST, self.connector.connect()).await.unwrap_or_else(|_| {
            Err(ClientError::Timeout { action: "connect".into(), after: CONNECT_AT_MOST })
        })?;
        let hello = client.hello().cloned().map(Box::new);
        let renumbered = match (&hello, self.last) {
            (Some(hello), Some(last)) => hello.seq < last,
            _ => false,
        };
        if renumbered {
            self.last = Some(0);
        }
        let numbered = hello.is_some();
        let events = if numbered {
            client.follow_bounded(self.last, self.capacity).await?
        } else {
            client.events_bounded(self.capacity)
        };
        if numbered && self.last.is_none() {
            // From now on: also the first event after a loss before any event is one that follows this.
            self.last = Some(events.start());
        }
        self.publish.send_replace(Some(client.clone()));
        self.hand_out(Update::Connected { hello, renumbered }).await;
        self.deliver(&client, events, numbered).await
    }

    async fn deliver(
        &mut self,
        client: &Client,
        mut events: Events,
        numbered: bool,
    ) -> Result<Infallible, ClientError> {
        while let Some(incoming) = events.next().await {
            match incoming {
                Incoming::Event(event) => {
                    let seq = event.seq;
                    self.hand_out(Update::Event(event)).await;
                    self.reached(seq, numbered);
                }
                Incoming::Snapshot(snapshot) => {
                    let seq = snapshot.seq;
                    self.hand_out(Update::Snapshot(snapshot)).await;
                    self.reached(seq, numbered);
                }
                Incoming::Screen(frame) => self.hand_out(Update::Screen(frame)).await,
                Incoming::Missed { .. } if numbered => client.resume(&events).await?,
                Incoming::Missed { .. } => self.hand_out(Update::Missed).await,
            }
        }
        Err(ClientError::Closed { why: client.closed().await })
    }

    fn reached(&mut self, seq: u64, numbered: bool) {
        if numbered {
            self.last = self.last.max(Some(seq));
        }
    }

    async fn hand_out(&mut self, update: Update) {
        if self.updates.send(update).await.is_err() {
            // The follower is being dropped, and this task with it.
            std::future::pending::<()>().await;
        }
    }
}

/// PURE: the pause before the next try, after so many losses in a row (the first is 1). It doubles up to
/// [`LONGEST_PAUSE`]; `chance`, from 0 to 1, takes up to half of it away, so that the clients of a host
/// that returns do not all come at once.
pub fn pause(losses: u32, chance: f64) -> Duration {
    let doublings = losses.saturating_sub(1).min(16);
    let whole = FIRST_PAUSE.saturating_mul(1 << doublings).min(LONGEST_PAUSE);
    whole.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}

/// A number from 0 to 1; the standard library seeds its hashers at random.
fn chance() -> f64 {
    let bits = RandomState::new().build_hasher().finish() >> 32;
    bits as f64 / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(losses: u32, chance: f64, milliseconds: u64) {
        assert_eq!(pause(losses, chance), Duration::from_millis(milliseconds), "{losses} {chance}");
    }

    #[test]
    fn pauses() {
        check(0, 0.0, 200);
        check(1, 0.0, 200);
        check(1, 1.0, 100);
        check(2, 0.0, 400);
        check(2, 0.5, 300);
        check(6, 0.0, 6_400);
        check(7, 0.0, 10_000);
        check(7, 1.0, 5_000);
        check(u32::MAX, 0.0, 10_000);
        check(1, -3.0, 200);
        check(1, 7.0, 100);
    }

    #[test]
    fn chance_is_between_0_and_1_and_differs() {
        let some: Vec<f64> = (0..100).map(|_| chance()).collect();
        assert!(some.iter().all(|n| (0.0..=1.0).contains(n)), "{some:?}");
        assert!(some.iter().any(|n| *n != some[0]), "{some:?}");
    }
}

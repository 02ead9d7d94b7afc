//! What an agent announces, as a stream: one bounded line for each reader, and handlers.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll, Waker};

use cm_protocol::{Event, ScreenFrame, Snapshot};
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use crate::buffer::Buffer;
use crate::error::Closed;

/// How many events wait for one reader; see [`Incoming::Missed`] for what happens then. Beside them
/// waits the newest frame of each watched screen.
pub const CAPACITY: usize = 1024;

/// Something the agent sent that answers no command.
#[derive(Debug, Clone, PartialEq)]
pub enum Incoming {
    /// Something happened.
    Event(Event),
    /// Where things stand: the agent no longer has what followed, or this client was too slow for it.
    Snapshot(Snapshot),
    /// A watched screen. Frames between the one read last and this one are left out.
    Screen(ScreenFrame),
    /// This reader was too slow: what followed event `since` did not fit. On a stream from
    /// [`Client::follow`](crate::Client::follow) nothing more comes until
    /// [`Client::resume`](crate::Client::resume), and then nothing is missing. On one from
    /// [`Client::events`](crate::Client::events) it goes on with what is sent next. 0: the agent does not
    /// number its events.
    Missed {
        /// The last event before the hole.
        since: u64,
    },
}

/// A stream of what the agent announces, from [`Client::events`](crate::Client::events) or
/// [`Client::follow`](crate::Client::follow). It ends with the connection, and does not keep it open.
#[derive(Debug)]
pub struct Events {
    pub(crate) inbox: Arc<Inbox>,
}

impl Events {
    /// The next announcement; `None` once the connection has ended and everything was read.
    /// Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<Incoming> {
        StreamExt::next(self).await
    }

    /// What has already arrived, without waiting.
    pub fn try_next(&mut self) -> Option<Incoming> {
        self.inbox.lock().buffer.pop()
    }

    /// On a stream from [`Client::follow`](crate::Client::follow): the point it began after, that is the
    /// newest event at that time where it was not told one.
    pub fn start(&self) -> u64 {
        self.inbox.lock().buffer.start()
    }

    /// The newest event taken in, read or not.
    pub fn position(&self) -> u64 {
        self.inbox.lock().buffer.position()
    }
}

impl Stream for Events {
    type Item = Incoming;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Incoming>> {
        let mut state = self.inbox.lock();
        match state.buffer.pop() {
            Some(incoming) => Poll::Ready(Some(incoming)),
            None if state.closed => Poll::Ready(None),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

/// The line between the connection's task and one reader.
#[derive(Debug)]
pub(crate) struct Inbox(Mutex<State>);

#[derive(Debug)]
struct State {
    buffer: Buffer,
    closed: bool,
    waker: Option<Waker>,
}

impl Inbox {
    pub(crate) fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self(Mutex::new(State { buffer: Buffer::new(capacity), closed: false, waker: None })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        locked(&self.0)
    }

    pub(crate) fn change(&self, change: impl FnOnce(&mut Buffer)) {
        let mut state = self.lock();
        change(&mut state.buffer);
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }

    fn close(&self) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(waker) = state.waker.take() {
            waker.wake();
        }
    }
}

/// A function called for every announcement, on the connection's task.
type Handler = Box<dyn FnMut(&Incoming) + Send>;

/// Everybody who listens to one connection, and how it ended.
pub(crate) struct Listeners {
    inboxes: Mutex<Vec<Weak<Inbox>>>,
    /// Handlers the connection's task has not taken over yet.
    arrived: Mutex<Vec<Handler>>,
    ended: watch::Sender<Option<Closed>>,
}

impl Default for Listeners {
    fn default() -> Self {
        Self { inboxes: Mutex::default(), arrived: Mutex::default(), ended: watch::Sender::new(None) }
    }
}

impl fmt::Debug for Listeners {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listeners").field("ended", &*self.ended.borrow()).finish_non_exhaustive()
    }
}

impl Listeners {
    /// A reader joins; one that has joined already stays as it is.
    pub(crate) fn join(&self, inbox: &Arc<Inbox>) {
        let mut inboxes = locked(&self.inboxes);
        inboxes.retain(|known| known.strong_count() > 0);
        if !inboxes.iter().any(|known| std::ptr::eq(known.as_ptr(), Arc::as_ptr(inbox))) {
            inboxes.push(Arc::downgrade(inbox));
        }
        drop(inboxes);
        // The end tells those in the list; one that came after it is told here.
        if self.ended.borrow().is_some() {
            inbox.close();
        }
    }

    pub(crate) fn handle(&self, handler: Handler) {
        locked(&self.arrived).push(handler);
    }

    fn each(&self, change: impl Fn(&mut Buffer)) {
        for inbox in locked(&self.inboxes).iter().filter_map(Weak::upgrade) {
            inbox.change(&change);
        }
    }

    /// Somebody subscribed: what the agent sends goes on after `start`.
    pub(crate) fn subscribed(&self, start: u64) {
        self.each(|buffer| buffer.subscribed(start));
    }

    pub(crate) fn end(&self, why: Closed) {
        self.ended.send_if_modified(|ended| {
            let first = ended.is_none();
            ended.get_or_insert(why);
            first
        });
        for inbox in locked(&self.inboxes).iter().filter_map(Weak::upgrade) {
            inbox.close();
        }
    }

    pub(crate) fn ended(&self) -> Option<Closed> {
        self.ended.borrow().clone()
    }

    pub(crate) async fn wait_for_end(&self) -> Closed {
        let mut ended = self.ended.subscribe();
        // The sender is `self`, so waiting cannot fail; and it waits for `Some`.
        ended.wait_for(Option::is_some).await.ok().and_then(|why| why.clone()).unwrap_or(Closed::Here)
    }
}

/// The connection's side: hands each announcement to everybody.
#[derive(Default)]
pub(crate) struct Announcer {
    handlers: Vec<Handler>,
}

impl Announcer {
    pub(crate) fn announce(&mut self, incoming: Incoming, listeners: &Listeners) {
        // Taken out before any is called: a handler may register another.
        self.handlers.append(&mut locked(&listeners.arrived));
        for handler in &mut self.handlers {
            handler(&incoming);
        }
        listeners.each(|buffer| match incoming.clone() {
            Incoming::Event(event) => buffer.event(event),
            Incoming::Snapshot(snapshot) => buffer.snapshot(snapshot),
            Incoming::Screen(frame) => buffer.screen(frame),
            Incoming::Missed { .. } => {}
        });
    }
}

/// The content, whether or not another thread panicked while it held it: every change is whole by itself.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

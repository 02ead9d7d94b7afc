//! One live connection to each of many agents: their news as one stream, the current client of each.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use cm_client::{Client, Current, Follower, Update};
use futures_util::future::join_all;
use futures_util::stream::{SelectAll, Stream, StreamExt};
use tokio::time::timeout;

/// How long farewells to all agents may take.
const FAREWELL: Duration = Duration::from_secs(2);

/// Connections, by their number.
pub struct Links {
    news: SelectAll<One>,
    current: Vec<Current>,
}

/// One follower, and which it is.
struct One {
    number: usize,
    follower: Follower,
}

impl Stream for One {
    type Item = (usize, Update);

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let update = ready!(self.follower.poll_next_unpin(cx));
        Poll::Ready(update.map(|update| (self.number, update)))
    }
}

impl Links {
    /// These connections, numbered as they stand.
    pub fn new(followers: Vec<Follower>) -> Self {
        let current = followers.iter().map(Follower::current).collect();
        let ones = followers.into_iter().enumerate();
        Self { news: ones.map(|(number, follower)| One { number, follower }).collect(), current }
    }

    /// The next news of any of them. Dropping the future loses nothing. `None` only where there are none.
    pub async fn next(&mut self) -> Option<(usize, Update)> {
        self.news.next().await
    }

    /// The connection with this number, if it stands.
    pub fn client(&self, number: usize) -> Option<Client> {
        self.current.get(number)?.get()
    }

    /// Closes them all.
    pub async fn close(self) {
        let closing = self.news.into_iter().map(|one| one.follower.close());
        let _ = timeout(FAREWELL, join_all(closing)).await;
    }
}

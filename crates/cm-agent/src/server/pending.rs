//! Connections that are not logged in yet: bounded, and none of them can keep others out.
//!
//! Whoever connects and says nothing holds a place until its deadline. When all places are taken, the one
//! that has had its place longest gives it up, but never before it had a fair time for an honest log-in: so
//! a burst of honest clients waits its turn, and a crowd of silent ones is thinned out.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How long a place is safe.
const FAIR: Duration = Duration::from_secs(1);

/// The places of one listener.
#[derive(Debug)]
pub(super) struct Pending {
    most: usize,
    places: Mutex<Places>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Places {
    taken: VecDeque<Place>,
    next: u64,
}

#[derive(Debug)]
struct Place {
    number: u64,
    safe_until: Instant,
    over: CancellationToken,
}

/// A place, given back when dropped.
#[derive(Debug)]
pub(super) struct Turn {
    number: u64,
    over: CancellationToken,
    pending: Arc<Pending>,
}

impl Pending {
    /// `most` places, all free.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, places: Mutex::default(), freed: Notify::new() })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place, from another one if need be.
    pub(super) async fn enter(self: &Arc<Self>) -> Turn {
        loop {
            let at = match self.try_enter(Instant::now()) {
                Ok(turn) => return turn,
                Err(at) => at,
            };
            tokio::select! {
                () = self.freed.notified() => {}
                () = sleep_until(at) => {}
            }
        }
    }

    /// A place, or when the next one can be had.
    fn try_enter(self: &Arc<Self>, now: Instant) -> Result<Turn, Instant> {
        let mut places = self.places();
        if places.taken.len() >= self.most
            && let Some(oldest) = places.taken.front()
        {
            if now < oldest.safe_until {
                return Err(oldest.safe_until);
            }
            oldest.over.cancel();
            places.taken.pop_front();
        }
        let (number, over) = (places.next, CancellationToken::new());
        places.next += 1;
        places.taken.push_back(Place { number, safe_until: now + FAIR, over: over.clone() });
        Ok(Turn { number, over, pending: self.clone() })
    }
}

impl Turn {
    /// Waits until the place is needed for another.
    pub(super) async fn over(&self) {
        self.over.cancelled().await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.pending.places().taken.retain(|place| place.number != self.number);
        self.pending.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test(start_paused = true)]
    async fn the_oldest_gives_way_but_not_before_its_time() {
        let pending = Pending::new(2);
        let (first, second) = (pending.enter().await, pending.enter().await);
        let began = Instant::now();
        let third = pending.enter().await;
        assert_eq!(began.elapsed(), FAIR);
        assert!(first.over().now_or_never().is_some());
        assert!(second.over().now_or_never().is_none());
        assert!(third.over().now_or_never().is_none());
        // Its own end gives back nothing that is not its own any more.
        drop(first);
        assert_eq!(pending.places().taken.len(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_place_given_back_is_had_at_once() {
        let pending = Pending::new(1);
        let first = pending.enter().await;
        let began = Instant::now();
        let ((), second) = tokio::join!(async { drop(first) }, pending.enter());
        assert_eq!(began.elapsed(), Duration::ZERO);
        assert!(second.over().now_or_never().is_none());
    }
}

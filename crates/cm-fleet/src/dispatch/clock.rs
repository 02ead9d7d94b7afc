//! The time of a run: Unix seconds that never go back, whatever happens to the system's clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

/// A clock, from when it was started.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    at: f64,
    since: Instant,
}

impl Clock {
    /// Starts at the system's time.
    pub fn start() -> Self {
        let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64());
        Self { at, since: Instant::now() }
    }

    /// Now, Unix seconds.
    pub fn now(&self) -> f64 {
        self.at + self.since.elapsed().as_secs_f64()
    }

    /// The moment it will show a time, Unix seconds; a time that is over is now.
    pub fn instant(&self, at: f64) -> Instant {
        // Half a century is for ever, and no overflow.
        let ahead = (at - self.at).clamp(0.0, 1.6e9);
        self.since + Duration::from_secs_f64(ahead)
    }
}

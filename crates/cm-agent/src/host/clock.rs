//! The agent's one clock: Unix time that never runs backwards while the agent lives.

use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the Unix epoch, as it was when the agent first asked, and monotonic from there: a clock that
/// is set while the agent runs moves no deadline.
pub fn now() -> Duration {
    static START: OnceLock<(Duration, Instant)> = OnceLock::new();
    let (unix, at) = START
        .get_or_init(|| (SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), Instant::now()));
    *unix + at.elapsed()
}

/// The same in seconds, as the wire has it.
pub fn unix_now() -> f64 {
    now().as_secs_f64()
}

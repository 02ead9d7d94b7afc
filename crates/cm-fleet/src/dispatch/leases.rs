//! How often hosts are asked for signs of life, how long they may go on without, and what they are told after. PURE.

use std::time::Duration;

use crate::report::fold::{Status, Task};

/// Signs of life are asked for so often within the grace; see [`seconds`].
const BEATS: f64 = 6.0;
/// They are never asked for more often than this.
const LEAST_EVERY: f64 = 0.2;
/// The shortest lease there is.
const LEAST_LEASE: f64 = 1.0;

/// How often a sign of life is asked for.
pub fn every(grace: f64) -> Duration {
    Duration::from_secs_f64((grace / BEATS).clamp(LEAST_EVERY, 3600.0))
}

/// How long an agent may go on without hearing from us. A host is given up `grace` after it was last heard. The
/// last renewal it may have received left at most a sixth of that later, so its lease is over by eleven twelfths.
pub fn seconds(grace: f64) -> f64 {
    (grace * 0.75).max(LEAST_LEASE)
}

/// Attempts of a task below this one are not wanted any more, wherever they are.
pub fn below(task: &Task) -> u32 {
    match task.status {
        // This one is the attempt that runs, or how it has ended is known.
        Status::Placed { .. } | Status::Live(_) | Status::Ended { .. } => task.attempt,
        Status::Queued(_) | Status::Parked { .. } | Status::Refused { .. } | Status::Skipped { .. } => {
            task.attempt.saturating_add(1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_over_before_its_host_is_given_up() {
        for grace in [6.0, 60.0, 3600.0] {
            let latest = every(grace).as_secs_f64() + seconds(grace);
            assert!(latest < grace, "{latest} {grace}");
        }
    }
}

//! Tasks to sessions: the plan, what comes next, the loop that does it.

use std::time::{SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

pub mod carry;
pub mod clock;
pub mod leases;
pub mod ledger;
pub mod plan;
pub mod record;
pub mod run;
pub mod schedule;
pub mod tasks;
pub mod translate;
pub mod verdict;

mod asking;
mod relay;
#[cfg(test)]
mod tests;

/// Now, Unix seconds.
pub fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

/// Sleeps until then; for ever where there is no such time.
pub async fn sleep_until(then: Option<Instant>) {
    match then {
        Some(then) => tokio::time::sleep_until(then).await,
        None => std::future::pending().await,
    }
}

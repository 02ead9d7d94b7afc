//! A moment that a later agent can still place: by the clock that counts from boot, and by the day's. PURE.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// A moment on this host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Moment {
    /// The kernel's boot id then.
    pub boot_id: String,
    /// Seconds since that boot, time asleep included. Nobody sets this clock.
    pub up: f64,
    /// Unix seconds, as the host had them: between two boots nothing else is known.
    pub unix: f64,
}

impl Moment {
    /// Time since boot.
    pub fn up(&self) -> Duration {
        Duration::try_from_secs_f64(self.up).unwrap_or_default()
    }

    /// The same moment, seconds earlier; at most since boot.
    #[must_use]
    pub fn earlier(&self, seconds: f64) -> Self {
        let seconds = if seconds.is_finite() { seconds.clamp(0.0, self.up.max(0.0)) } else { 0.0 };
        Self { up: self.up - seconds, unix: self.unix - seconds, ..self.clone() }
    }

    /// How long this was before `now`, as far as can be told and rather too long than too short. Within one boot only
    /// the clock counts that nobody sets. Over a boot it is the day's clock, wherever that was set to; but it was at
    /// least as long ago as the boot.
    pub fn ago(&self, now: &Self) -> Duration {
        let seconds =
            if self.boot_id == now.boot_id { now.up - self.up } else { (now.unix - self.unix).max(now.up) };
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(boot_id: &str, up: f64, unix: f64) -> Moment {
        Moment { boot_id: boot_id.into(), up, unix }
    }

    #[test]
    fn how_long_ago_it_was() {
        #[track_caller]
        fn check(then: &Moment, now: &Moment, expected: f64) {
            assert_eq!(then.ago(now).as_secs_f64(), expected, "{then:?} {now:?}");
        }
        let then = at("a", 100.0, 5000.0);
        check(&then, &at("a", 130.0, 5030.0), 30.0);
        // The day's clock was set, forward or back.
        check(&then, &at("a", 130.0, 9999.0), 30.0);
        check(&then, &at("a", 130.0, 1.0), 30.0);
        check(&then, &then, 0.0);
        check(&then, &at("a", 99.0, 5000.0), 0.0);
        // Another boot.
        check(&then, &at("b", 10.0, 5060.0), 60.0);
        check(&then, &at("b", 10.0, 100.0), 10.0);
        check(&then, &at("b", 10.0, 5001.0), 10.0);
    }

    #[test]
    fn earlier_moments() {
        let now = at("a", 100.0, 5000.0);
        assert_eq!(now.earlier(40.0), at("a", 60.0, 4960.0));
        assert_eq!(now.earlier(-1.0), now);
        assert_eq!(now.earlier(f64::NAN), now);
        assert_eq!(now.earlier(1e9), at("a", 0.0, 4900.0));
    }
}

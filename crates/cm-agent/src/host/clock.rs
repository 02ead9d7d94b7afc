//! The agent's clocks: Unix time that never runs backwards while the agent lives, and the one leases are counted by.

use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::identity;
use super::moment::Moment;

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

/// Now, as a later agent can place it. Its time since boot goes on while the host sleeps: leases are counted by it.
pub fn moment() -> Moment {
    static BOOT: LazyLock<String> = LazyLock::new(identity::boot_id);
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "seconds since boot are far below 2^52")]
    let up = up.tv_sec as f64 + up.tv_nsec as f64 / 1e9;
    Moment { boot_id: BOOT.clone(), up, unix }
}

/// The time since boot as it is told to others: in few digits, and never later than it is.
pub fn told() -> f64 {
    (moment().up * 1e3).floor() / 1e3
}

/// The local time's distance from UTC in seconds, as it was when first asked for; 0 where it cannot be told.
pub fn utc_offset() -> i32 {
    static OFFSET: OnceLock<i32> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let said = std::process::Command::new("date").arg("+%z").stdin(std::process::Stdio::null()).output();
        said.ok().and_then(|out| offset(String::from_utf8_lossy(&out.stdout).trim())).unwrap_or(0)
    })
}

/// `+0530` in seconds.
fn offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", digits) => (1, digits),
        ("-", digits) => (-1, digits),
        _ => return None,
    };
    let number: i32 = digits.parse().ok().filter(|_| digits.len() == 4)?;
    Some(sign * (number / 100 * 3600 + number % 100 * 60))
}

#[cfg(test)]
mod tests {
    #[test]
    fn offsets() {
        let check = |text, expected| assert_eq!(super::offset(text), expected, "{text:?}");
        check("+0000", Some(0));
        check("+0530", Some(19_800));
        check("-0800", Some(-28_800));
        check("CET", None);
        check("", None);
        check("+05", None);
    }
}

//! What an installation decides: locks, deadlines, what is kept, where a rollback goes, whether a start has failed. PURE.

use cm_protocol::deploy::Pane;

use super::host::{Clock, UnitNow};
use super::layout::{Pending, Stored};
use super::lock::Holder;

/// Generations that are kept.
pub const KEPT: usize = 5;
/// Seconds a lock lasts without being renewed.
pub const LOCK_SECONDS: f64 = 15.0;
/// Seconds a lock outlasts the deadline of the deployment it stands for, for going back.
pub const LOCK_AFTER: f64 = 30.0;
/// Restarts by the service manager that make a crash loop. One is forgiven.
const LOOP: u32 = 2;

/// Whether a lock can be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockVerdict {
    /// Nobody has it, or this deployment has it already.
    Free,
    /// Whoever had it has gone; said in a note.
    Stale(String),
    /// This deployment is at work in another process.
    AtWork(u32),
    /// Somebody else has it, in words.
    Held(String),
}

/// Decides about a lock. `alive`: the process that took it still runs.
pub fn lock(holder: Option<&Holder>, now: &Clock, mine: &str, alive: bool, take_over: bool) -> LockVerdict {
    let Some(holder) = holder else { return LockVerdict::Free };
    if holder.deployment == mine {
        return if alive && holder.boot_id == now.boot_id {
            LockVerdict::AtWork(holder.pid)
        } else {
            LockVerdict::Free
        };
    }
    let whose = format!("deployment {} of {}", holder.deployment, holder.owner);
    if holder.boot_id != now.boot_id {
        return LockVerdict::Stale(format!("a lock from before the host was restarted ({whose}) was ended"));
    }
    let age = span(now.up - holder.since);
    if now.up >= holder.expires {
        return LockVerdict::Stale(format!("the lock of {whose}, {age} old, had expired and was taken over"));
    }
    if !alive && !holder.waiting {
        return LockVerdict::Stale(format!("the lock of {whose}, whose process has gone, was taken over"));
    }
    if take_over {
        return LockVerdict::Stale(format!("the lock of {whose}, {age} old, was taken over as asked"));
    }
    let left = span(holder.expires - now.up);
    let doing = if holder.waiting { "waits to be confirmed" } else { "is at work" };
    LockVerdict::Held(format!(
        "{whose} {doing} on this host since {age}; its lock expires in {left} unless it is renewed"
    ))
}

/// Seconds in words.
pub fn span(seconds: f64) -> String {
    match seconds.max(0.0) {
        s if s < 120.0 => format!("{s:.0} s"),
        s if s < 7200.0 => format!("{:.0} min", s / 60.0),
        s => format!("{:.0} h", s / 3600.0),
    }
}

/// Whether a deployment that was not confirmed is to be undone.
pub fn overdue(pending: &Pending, now: &Clock) -> bool {
    pending.reverting || pending.boot_id != now.boot_id || now.up >= pending.deadline
}

/// The generations that go, given all in order: the last five, the one in use and those named are kept.
pub fn superfluous(numbers: &[u64], in_use: Option<u64>, named: &[u64]) -> Vec<u64> {
    let kept = numbers.iter().rev().take(KEPT).copied().collect::<Vec<_>>();
    let keep = |n: &u64| kept.contains(n) || in_use == Some(*n) || named.contains(n);
    numbers.iter().copied().filter(|n| !keep(n)).collect()
}

/// The generation a rollback goes to: the one before the one in use, or the one named by number or by the first
/// digits of its program's SHA-256 (the newest such one).
///
/// # Errors
/// There is none, in words.
pub fn rollback_target(all: &[Stored], in_use: Option<u64>, to: Option<&str>) -> Result<u64, String> {
    let known = || {
        let words = |s: &Stored| format!("{} ({:.8})", s.number, s.manifest.binary.sha256);
        all.iter().map(words).collect::<Vec<_>>().join(", ")
    };
    let Some(now) = in_use else { return Err("nothing is installed here".into()) };
    let Some(to) = to else {
        // One that was taken back stands between; it was in use for moments, and nobody means it.
        let before = all.iter().find(|s| s.number == now).and_then(|s| s.origin.previous);
        let kept = before.filter(|before| *before != now && all.iter().any(|s| s.number == *before));
        return kept.or_else(|| all.iter().rev().map(|s| s.number).find(|n| *n < now)).ok_or_else(|| {
            format!("there is no generation before {now} to go back to; kept are {}", known())
        });
    };
    let by_number = all.iter().find(|s| to.parse() == Ok(s.number));
    let is_digest = to.len() >= 6 && to.bytes().all(|b| b.is_ascii_hexdigit());
    let by_digest = || {
        let fits = |s: &&Stored| is_digest && s.manifest.binary.sha256.starts_with(&to.to_ascii_lowercase());
        all.iter().rev().find(fits)
    };
    let found = by_number.or_else(by_digest);
    found.map(|s| s.number).ok_or_else(|| {
        format!("{to} is no generation here, nor at least 6 digits of one's program; kept are {}", known())
    })
}

/// Why a start has failed, if it has.
pub fn start_failed(unit: &UnitNow) -> Option<String> {
    let how = || match (unit.ended.as_str(), unit.result.as_str()) {
        ("", "" | "success") => String::new(),
        ("", result) => format!(" ({result})"),
        (ended, _) => format!(" ({ended})"),
    };
    if unit.job && unit.restarts < LOOP && matches!(unit.active.as_str(), "failed" | "inactive") {
        // Between the end of the one before and the start of the new one.
        return None;
    }
    if unit.active == "failed" {
        return Some(format!("the new agent does not start{}", how()));
    }
    if unit.restarts >= LOOP {
        return Some(format!("the new agent starts and ends again and again{}", how()));
    }
    if unit.active == "inactive" && unit.sub == "dead" && !unit.ended.is_empty() {
        return Some(format!("the new agent has ended{}", how()));
    }
    None
}

/// The processes that are no longer there.
pub fn missing(before: &[Pane], after: &[Pane]) -> Vec<Pane> {
    before.iter().filter(|pane| !after.contains(pane)).cloned().collect()
}

/// Whether a deployment's name may be used for files, units and argument lists.
pub fn good_name(name: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=40).contains(&name.len()) && name.bytes().all(fits) && !name.starts_with('-')
}

/// Whether it is a SHA-256 in hex, as it becomes part of a path.
pub fn good_digest(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::install::tests::{manifest, pending};

    fn at(up: f64) -> Clock {
        Clock { up, boot_id: "b".into(), unix: 0.0 }
    }

    #[test]
    fn locks_expire_and_say_who_holds_them() {
        let holder = Holder {
            deployment: "d1".into(),
            owner: "ada@laptop".into(),
            since: 100.0,
            expires: 200.0,
            boot_id: "b".into(),
            pid: 7,
            start: 70,
            waiting: false,
        };
        #[track_caller]
        fn check(holder: &Holder, now: &Clock, mine: &str, alive: bool, take: bool, expected: &str) {
            let told = match lock(Some(holder), now, mine, alive, take) {
                LockVerdict::Free => "free".into(),
                LockVerdict::AtWork(pid) => format!("at work {pid}"),
                LockVerdict::Stale(why) => format!("stale {why}"),
                LockVerdict::Held(why) => format!("held {why}"),
            };
            assert!(told.contains(expected), "{told}");
        }
        assert_eq!(lock(None, &at(0.0), "d2", false, false), LockVerdict::Free);
        check(
            &holder,
            &at(130.0),
            "d2",
            true,
            false,
            "held deployment d1 of ada@laptop is at work on this host since 30 s; its lock expires in 70 s",
        );
        check(
            &holder,
            &at(200.0),
            "d2",
            true,
            false,
            "stale the lock of deployment d1 of ada@laptop, 100 s old, had expired",
        );
        check(&holder, &at(130.0), "d2", false, false, "whose process has gone");
        check(&Holder { waiting: true, ..holder.clone() }, &at(130.0), "d2", false, false, "held");
        check(
            &Holder { boot_id: "a".into(), ..holder.clone() },
            &at(130.0),
            "d2",
            true,
            false,
            "before the host was restarted",
        );
        check(&holder, &at(130.0), "d2", true, true, "taken over as asked");
        check(&holder, &at(130.0), "d1", true, false, "at work 7");
        check(&holder, &at(130.0), "d1", false, false, "free");
    }

    #[test]
    fn unconfirmed_is_overdue_after_its_time_or_a_reboot() {
        let check = |up, boot: &str, reverting, expected| {
            let pending = Pending { reverting, ..pending("d", 2, Some(1), 50.0) };
            let now = Clock { up, boot_id: boot.into(), unix: 0.0 };
            assert_eq!(overdue(&pending, &now), expected, "{up} {boot}");
        };
        check(49.0, "b", false, false);
        check(50.0, "b", false, true);
        check(1.0, "c", false, true);
        check(1.0, "b", true, true);
    }

    #[test]
    fn five_generations_stay() {
        let check = |numbers: &[u64], in_use, named: &[u64], expected: &[u64]| {
            assert_eq!(superfluous(numbers, in_use, named), expected);
        };
        check(&[], None, &[], &[]);
        check(&[1, 2, 3, 4, 5], Some(5), &[], &[]);
        check(&[1, 2, 3, 4, 5, 6, 7], Some(7), &[], &[1, 2]);
        check(&[1, 2, 3, 4, 5, 6, 7], Some(1), &[], &[2]);
        check(&[1, 2, 3, 4, 5, 6, 7], Some(7), &[2], &[1]);
    }

    #[test]
    fn where_a_rollback_goes() {
        let stored = |(number, c, previous): (u64, char, Option<u64>)| {
            let manifest = manifest("d", &c.to_string().repeat(64));
            let (deployment, dropped, probed) = ("d".into(), Vec::new(), String::new());
            let origin = crate::install::layout::Origin { deployment, at: 0.0, dropped, probed, previous };
            Stored { number, manifest, origin }
        };
        let all: Vec<Stored> =
            [(1, 'a', None), (2, 'b', Some(1)), (4, 'a', None)].into_iter().map(stored).collect();
        let check = |in_use, to: Option<&str>, expected: Result<u64, &str>| {
            let found = rollback_target(&all, in_use, to);
            match expected {
                Ok(number) => assert_eq!(found, Ok(number)),
                Err(words) => assert!(found.clone().is_err_and(|e| e.contains(words)), "{found:?}"),
            }
        };
        check(Some(4), None, Ok(2));
        check(Some(2), None, Ok(1));
        check(Some(1), None, Err("no generation before 1"));
        check(None, None, Err("nothing is installed"));
        check(Some(4), Some("1"), Ok(1));
        check(Some(4), Some("bbbbbb"), Ok(2));
        check(Some(2), Some("aaaaaaaa"), Ok(4));
        check(Some(4), Some("aaa"), Err("kept are 1 (aaaaaaaa), 2"));
        check(Some(4), Some("3"), Err("is no generation"));
        // Generation 3 was taken back before 4 came; the one before 5 is no longer kept.
        let all: Vec<Stored> = [(2, 'b', None), (3, 'c', Some(2)), (4, 'd', Some(2)), (5, 'e', Some(1))]
            .into_iter()
            .map(stored)
            .collect();
        assert_eq!(rollback_target(&all, Some(4), None), Ok(2));
        assert_eq!(rollback_target(&all, Some(5), None), Ok(4));
    }

    #[test]
    fn a_failed_start_is_seen_early() {
        #[track_caller]
        fn check(active: &str, sub: &str, restarts: u32, ended: &str, expected: Option<&str>) {
            let unit = UnitNow {
                active: active.into(),
                sub: sub.into(),
                restarts,
                ended: ended.into(),
                ..UnitNow::default()
            };
            let told = start_failed(&unit);
            assert_eq!(told.is_some(), expected.is_some(), "{told:?}");
            assert!(told.unwrap_or_default().contains(expected.unwrap_or("")));
        }
        check("activating", "start", 0, "", None);
        check("active", "running", 1, "", None);
        check("activating", "auto-restart", 1, "code 1", None);
        check("activating", "auto-restart", 2, "code 1", Some("again and again (code 1)"));
        check("failed", "failed", 0, "code 2", Some("does not start (code 2)"));
        check("inactive", "dead", 0, "", None);
        check("inactive", "dead", 0, "code 0", Some("has ended (code 0)"));
        let between = UnitNow { active: "failed".into(), job: true, ..UnitNow::default() };
        assert_eq!(start_failed(&between), None);
    }

    #[test]
    fn names_that_may_become_paths() {
        let check = |name: &str, good| assert_eq!(good_name(name), good, "{name}");
        check("d-20260101-7f3a", true);
        check("", false);
        check("-d", false);
        check("../x", false);
        check("D", false);
        check(&"x".repeat(41), false);
        assert!(good_digest(&"0f".repeat(32)) && !good_digest("0f") && !good_digest(&"0F".repeat(32)));
    }
}

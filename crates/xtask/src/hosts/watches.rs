//! Room for what systemd watches: each host takes some of the kernel's inotify instances, which all hosts share.

use std::fs;

/// How many instances a user may have, all containers together.
const LIMIT: &str = "/proc/sys/fs/inotify/max_user_instances";
/// What a host's root takes: five for its systemd, one for logind, and as much again while it starts anew.
const EACH: u32 = 12;
/// What the machine itself may need.
const OTHERS: u32 = 64;

/// Sees to it that so many hosts have room. Where that is not for us to do, says what is missing: a host that finds
/// none does not start, or does not notice who logs in.
pub fn room(hosts: usize) {
    let Some(needed) = missing(fs::read_to_string(LIMIT).ok().as_deref(), hosts) else { return };
    match fs::write(LIMIT, needed.to_string()) {
        Ok(()) => println!("fs.inotify.max_user_instances is now {needed}: {hosts} hosts need that"),
        Err(error) => println!(
            "{hosts} hosts may not find room: sudo sysctl fs.inotify.max_user_instances={needed} ({error})"
        ),
    }
}

/// PURE. What the limit must become, if it is too low. One that cannot be read is left alone.
fn missing(limit: Option<&str>, hosts: usize) -> Option<u32> {
    let needed = u32::try_from(hosts).unwrap_or(u32::MAX).saturating_mul(EACH).saturating_add(OTHERS);
    let limit: u32 = limit?.trim().parse().ok()?;
    (limit < needed).then_some(needed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_grows_with_the_hosts() {
        let check =
            |limit, hosts, expected| assert_eq!(missing(limit, hosts), expected, "{limit:?}, {hosts}");
        check(Some("128\n"), 4, None);
        check(Some("128\n"), 20, Some(304));
        check(Some("8192\n"), 20, None);
        check(None, 20, None);
        check(Some("many"), 20, None);
    }
}

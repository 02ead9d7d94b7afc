//! Processes by identity: who is who, who belongs to a session, ending and stopping whole trees.
//!
//! A pid alone is never trusted: it is reused. A process is its pid *and* its start time, and signals go
//! through a pidfd whose identity was checked after it was opened.

mod end;
mod files;
mod freeze;
mod handle;
mod stat;
mod tree;

pub use end::{Ended, Grace, end_tree};
pub use files::open_files;
pub use freeze::{Frozen, Leader, freeze, thaw};
pub use stat::{Stat, parse_stat};
pub use tree::{Marker, marked_with, tree};

use std::fs;

use serde::{Deserialize, Serialize};

/// One process, for ever: its pid and when it started. Another process with the same pid is not equal to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number now.
    pub pid: i32,
    /// When it started, in clock ticks since the boot (field 22 of `/proc/pid/stat`).
    pub start: u64,
}

impl ProcessId {
    /// Who has this pid now. `None` if nobody has.
    pub fn of(pid: i32) -> Option<Self> {
        stat_of(pid).map(|stat| stat.id())
    }

    /// This process.
    pub fn me() -> Option<Self> {
        i32::try_from(std::process::id()).ok().and_then(Self::of)
    }

    /// Whether it still runs (or is stopped). A zombie does not: all that is left of it is its exit status.
    pub fn alive(self) -> bool {
        self.stat().is_some_and(|stat| !stat.is_dead())
    }

    /// Ends it at once. One that has ended meanwhile is as good.
    pub fn kill(self) {
        if let Some(handle) = handle::Handle::open(self) {
            handle.signal(rustix::process::Signal::KILL);
        }
    }

    /// Whether it ignores a signal, as far as the kernel tells.
    fn ignores(self, signal: rustix::process::Signal) -> bool {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid)).unwrap_or_default();
        self.stat().is_some() && stat::ignores(&status, signal.as_raw())
    }

    /// What the kernel says of it, if it still exists, be it as a zombie.
    pub fn stat(self) -> Option<Stat> {
        stat_of(self.pid).filter(|stat| stat.start == self.start)
    }
}

/// What the kernel says of whoever has this pid now.
fn stat_of(pid: i32) -> Option<Stat> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// Everybody there is now, in no order. Those who come or go meanwhile may or may not be in it.
fn everybody() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter_map(stat_of)
        .collect()
}

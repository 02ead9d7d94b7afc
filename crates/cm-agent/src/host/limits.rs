//! The limits the system sets: open files, room on a disk, and how much of cores and memory is in use.

use std::path::Path;

use cm_protocol::Load;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::load;

/// Raises the number of files this process may have open to what it is allowed to raise it to, and returns
/// it (`None`: unlimited). A failure leaves what was.
pub fn raise_open_files() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current == limit.maximum {
        return limit.current;
    }
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(error) => {
            tracing::warn!(%error, "cannot raise the number of open files from {:?}", limit.current);
            limit.current
        }
    }
}

/// Bytes a user who is not root can still write below `path`; `None` if the file system does not say.
pub fn free_bytes(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// How busy the host is now.
pub fn load() -> Load {
    let text = |path: &str| std::fs::read_to_string(path).ok();
    let texts = load::Texts {
        loadavg: text("/proc/loadavg"),
        meminfo: text("/proc/meminfo"),
        pressure: text("/proc/pressure/memory"),
        // In a container this is its own group; a host's root group has no such files.
        group_max: text("/sys/fs/cgroup/memory.max"),
        group_current: text("/sys/fs/cgroup/memory.current"),
        group_stat: text("/sys/fs/cgroup/memory.stat"),
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    load::load(&texts, u32::try_from(cores).unwrap_or(u32::MAX))
}

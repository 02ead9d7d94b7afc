//! How many sessions live in this container: asked of the kernel, so that it is true whoever remembers what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use cm_protocol::SessionId;

use crate::host::dirs::RuntimeDir;
use crate::host::process::{self, Marker};

/// The sessions of a runtime directory of which something lives in this container, by id. Other containers' processes
/// are seen too where they share a process namespace; they have other mounts, which tells them apart.
pub fn living(runtime: &RuntimeDir) -> BTreeSet<String> {
    let own = mounts(Path::new("/proc/self"));
    let here = |pid: i32| mounts(&PathBuf::from(format!("/proc/{pid}"))) == own;
    let mut living = process::marked_with(Marker::TERMINAL, &here);
    // Nobody else's, where this is no container.
    living.retain(|id| runtime.session_dir(&SessionId(id.clone())).is_ok_and(|dir| dir.is_dir()));
    living
}

/// Whether this container shares the processes of another one of the same user's: process 1 sees other mounts. Where
/// that cannot be seen (the machine's own processes are shared) it does not count.
pub fn beside_another() -> bool {
    let (first, own) = (mounts(Path::new("/proc/1")), mounts(Path::new("/proc/self")));
    first.is_some() && own.is_some() && first != own
}

/// Which mounts a process sees; `None` where the kernel will not say.
fn mounts(process: &Path) -> Option<PathBuf> {
    std::fs::read_link(process.join("ns/mnt")).ok()
}

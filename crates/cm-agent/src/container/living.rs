//! How many sessions live in this container: asked of the kernel, so that it is true whoever remembers what.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::host::process::{self, Marker};

/// The sessions of which something lives in this container, by id. Other containers' processes are seen too where
/// they share a process namespace; they have other mounts, which tells them apart.
pub fn living() -> BTreeSet<String> {
    let own = mounts(Path::new("/proc/self"));
    let here = |pid: i32| mounts(&PathBuf::from(format!("/proc/{pid}"))) == own;
    process::marked_with(Marker::TERMINAL, &here)
}

/// Which mounts a process sees; `None` where the kernel will not say.
fn mounts(process: &Path) -> Option<PathBuf> {
    std::fs::read_link(process.join("ns/mnt")).ok()
}

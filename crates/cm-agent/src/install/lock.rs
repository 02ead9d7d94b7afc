//! The lock of a deployment: a file that says who, since when and until when, by the host's own clock.
//!
//! All changes to it are made under the kernel's lock on another file (`guard`), for an instant each. The kernel
//! ends that one with its holder; the deployment's lock outlives its process, because it waits for the client.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use cm_protocol::deploy::Lock;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

use super::disk;
use super::host::{Clock, Host};
use super::layout::{Layout, read};
use super::plan::{self, LockVerdict};
use super::trouble::{Trouble, at};

/// How long the guard is waited for; it is held for moments only.
const GUARD: Duration = Duration::from_secs(10);
/// Between looks at something that another process holds.
const LOOK: Duration = Duration::from_millis(50);

/// Who holds the host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Holder {
    /// The deployment.
    pub deployment: String,
    /// Whose: `user@machine`.
    pub owner: String,
    /// Since when, seconds since boot.
    pub since: f64,
    /// Until when.
    pub expires: f64,
    /// Of which boot.
    pub boot_id: String,
    /// The process at work.
    pub pid: u32,
    /// When that started, in ticks since boot.
    pub start: u64,
    /// Its work is done; it waits to be confirmed.
    #[serde(default)]
    pub waiting: bool,
}

/// An instant in which nobody else changes lock or deadline. Ends when dropped.
#[derive(Debug)]
pub struct Guard(#[allow(dead_code, reason = "the kernel's lock ends with it")] Option<File>);

/// Waits for the guard.
pub fn guard(layout: &Layout) -> Result<Guard, Trouble> {
    hold(&layout.file("guard"), GUARD)?
        .ok_or_else(|| Trouble::failed("another process holds the guard of this installation for too long"))
}

/// Takes the kernel's lock on a file, waiting at most so long. `None`: somebody else has it.
pub fn hold(path: &Path, within: Duration) -> Result<Option<Guard>, Trouble> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(at("open", path))?;
    let deadline = Instant::now() + within;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(Some(Guard(Some(file)))),
            Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
            // A file system without locks (some network disks): one deployment at a time is the lock's business.
            Err(_) => return Ok(Some(Guard(None))),
        }
        if Instant::now() >= deadline {
            return Ok(None);
        }
        std::thread::sleep(LOOK);
    }
}

/// Takes the lock for a deployment. What there is to say about it is returned with it.
pub fn take(
    host: &mut dyn Host,
    layout: &Layout,
    deployment: &str,
    owner: &str,
    take_over: bool,
    patience: f64,
) -> Result<(Holder, Option<String>), Trouble> {
    let started = host.clock().up;
    loop {
        let guarded = guard(layout)?;
        let now = host.clock();
        let there: Option<Holder> = read(&layout.lock());
        let other = |h: &Holder| (h.pid, h.start) != host.me() && host.lives((h.pid, h.start));
        let alive = there.as_ref().is_some_and(other);
        let note = match plan::lock(there.as_ref(), &now, deployment, alive, take_over) {
            LockVerdict::Free => None,
            LockVerdict::Stale(note) => Some(note),
            LockVerdict::AtWork(pid) if now.up - started > patience => {
                let why = format!("this deployment is at work here already (process {pid}) and does not end");
                return Err(Trouble::refused(why));
            }
            LockVerdict::AtWork(_) => {
                drop(guarded);
                host.sleep(Duration::from_millis(200));
                continue;
            }
            LockVerdict::Held(why) => {
                let remedy =
                    "wait for it, or take the lock over (--take-over): the other deployment is undone";
                return Err(Trouble::refused(why).remedy(remedy));
            }
        };
        let (pid, start) = host.me();
        let holder = Holder {
            deployment: deployment.to_owned(),
            owner: owner.to_owned(),
            since: now.up,
            expires: now.up + plan::LOCK_SECONDS,
            boot_id: now.boot_id,
            pid,
            start,
            waiting: false,
        };
        disk::write_json(host, &layout.lock(), &holder).map_err(at("write", &layout.lock()))?;
        drop(guarded);
        host.keep_lock(layout, &holder);
        return Ok((holder, note));
    }
}

/// Whether a deployment's process still has the lock; else the words of who has it.
pub fn still_ours(layout: &Layout, mine: &Holder) -> Result<(), Trouble> {
    match read::<Holder>(&layout.lock()) {
        Some(there) if there.deployment == mine.deployment && there.pid == mine.pid => Ok(()),
        Some(other) => Err(Trouble::refused(format!(
            "deployment {} of {} has taken the lock over",
            other.deployment, other.owner
        ))),
        None => Err(Trouble::refused("the lock has gone: somebody has ended this deployment")),
    }
}

/// Lets a deployment's lock last until then, without a process.
pub fn wait_until(host: &mut dyn Host, layout: &Layout, mine: &Holder, expires: f64) -> Result<(), Trouble> {
    let _guarded = guard(layout)?;
    still_ours(layout, mine)?;
    let holder = Holder { expires, waiting: true, ..mine.clone() };
    disk::write_json(host, &layout.lock(), &holder).map_err(at("write", &layout.lock()))
}

/// Gives a deployment's lock back, if it has it.
pub fn release(host: &mut dyn Host, layout: &Layout, deployment: &str) -> io::Result<()> {
    let Ok(_guarded) = guard(layout) else { return Ok(()) };
    match read::<Holder>(&layout.lock()) {
        Some(there) if there.deployment != deployment => Ok(()),
        _ => disk::remove(host, &layout.lock()),
    }
}

/// Renews the lock: called by a thread of its own, every few seconds. `false`: it is ours no longer, or waits.
pub fn renew(layout: &Layout, mine: &Holder, now: &Clock) -> bool {
    let Ok(_guarded) = guard(layout) else { return true };
    let Some(there) = read::<Holder>(&layout.lock()) else { return false };
    if there.deployment != mine.deployment || there.pid != mine.pid || there.waiting {
        return false;
    }
    let renewed = Holder { expires: now.up + plan::LOCK_SECONDS, ..there };
    let Ok(text) = serde_json::to_vec(&renewed) else { return true };
    // Not synced: a lock means nothing after a power cut.
    let fresh = layout.file(".lock.renewed");
    // A full disk must not end a deployment; the lock may then expire, and says so to whoever takes it.
    let _ = crate::host::places::write_private(&fresh, &text)
        .and_then(|()| std::fs::rename(&fresh, layout.lock()));
    true
}

/// The lock in the words of the protocol; `None` where nobody holds it.
pub fn told(layout: &Layout, now: &Clock, lives: impl Fn((u32, u64)) -> bool) -> Option<Lock> {
    let holder: Holder = read(&layout.lock())?;
    let alive = lives((holder.pid, holder.start));
    match plan::lock(Some(&holder), now, "", alive, false) {
        LockVerdict::Held(_) => Some(Lock {
            held: now.up - holder.since,
            expires: holder.expires - now.up,
            deployment: holder.deployment,
            owner: holder.owner,
        }),
        _ => None,
    }
}

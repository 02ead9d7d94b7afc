//! A hold on one process: signals that cannot reach another one, and waiting for its end.

use std::{io, os::fd::OwnedFd, time::Duration};

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use tokio::{
    io::{Interest, unix::AsyncFd},
    time::Instant,
};

use super::ProcessId;

/// How often a process is looked at where the kernel has no pidfds (before 5.3, or forbidden by a sandbox).
const POLL: Duration = Duration::from_millis(20);

/// A hold on one process.
#[derive(Debug)]
pub(super) struct Handle {
    id: ProcessId,
    /// `None` where pidfds do not exist or none is left: then identity is checked just before every signal.
    fd: Option<OwnedFd>,
}

impl Handle {
    /// Takes hold of a process; `None` if it has ended.
    pub(super) fn open(id: ProcessId) -> Option<Self> {
        let pid = Pid::from_raw(id.pid)?;
        let fd = match pidfd_open(pid, PidfdFlags::empty()) {
            Ok(fd) => Some(fd),
            Err(rustix::io::Errno::SRCH) => return None,
            Err(_) => None,
        };
        // After opening: from here on the descriptor means the process that was looked at.
        id.alive().then_some(Self { id, fd })
    }

    /// Which process it is.
    pub(super) fn id(&self) -> ProcessId {
        self.id
    }

    /// Sends a signal; whether it was delivered to a living process.
    pub(super) fn signal(&self, signal: Signal) -> bool {
        match &self.fd {
            Some(fd) => pidfd_send_signal(fd, signal).is_ok(),
            None => {
                self.id.alive()
                    && Pid::from_raw(self.id.pid).is_some_and(|pid| kill_process(pid, signal).is_ok())
            }
        }
    }

    /// Waits until the process has ended, at most until `deadline`; whether it has.
    pub(super) async fn ended(self, deadline: Instant) -> bool {
        let id = self.id;
        if let Some(fd) = self.fd
            && let Ok(ready) = watch(fd)
        {
            return matches!(tokio::time::timeout_at(deadline, ready.readable()).await, Ok(Ok(_)))
                || !id.alive();
        }
        while id.alive() {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(POLL).await;
        }
        true
    }
}

/// A pidfd is readable once its process has ended.
#[allow(deprecated, reason = "its safe replacement is `unsafe`; an OwnedFd keeps the promise that asks for")]
fn watch(fd: OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::with_interest(fd, Interest::READABLE)
}

//! The program's end, seen by the kernel's word, and tmux made to see it.
//!
//! tmux can miss that its child has ended: where it is built with libutempter (Debian, Ubuntu, Fedora …), that
//! library takes SIGCHLD for itself while a pane closes, and a program that ends in that moment stays a zombie
//! that tmux never asks for, with no exit code and no hook. Measured with 3.3a on a busy machine: 7 of 288
//! sessions. A later SIGCHLD makes tmux look at all its children and find it.

use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::time::Instant;

use super::status::PaneStatus;

/// How long after the end tmux is nudged for the first time; the next times four times as long each. Not at
/// once: the library would swallow this signal, too.
const FIRST: Duration = Duration::from_millis(10);
/// How often it is nudged: over about 14 seconds.
const TIMES: u32 = 6;
/// How often it is nudged where the kernel (before 5.3) cannot tell of the end.
const BLIND: Duration = Duration::from_secs(2);

/// A watch over one program.
#[derive(Debug)]
pub(super) struct Watch {
    server: Pid,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It runs.
    Living(AsyncFd<OwnedFd>),
    /// It has ended; tmux will be nudged.
    Ended { at: Instant, times: u32 },
    /// Nobody knows; tmux is nudged for ever.
    Blind { at: Instant },
}

impl Watch {
    /// A watch over the pane's program. `None` where there is nothing to watch: tmux has seen the end, or the
    /// numbers are no processes.
    pub(super) fn over(status: &PaneStatus) -> Option<Self> {
        if status.ended().is_some() {
            return None;
        }
        // Of this user's processes: 0 and negative numbers would mean whole groups.
        let server = Pid::from_raw(status.server_pid).filter(|_| status.server_pid > 1)?;
        let program = Pid::from_raw(status.pane_pid).filter(|_| status.pane_pid > 1)?;
        let state = match pidfd_open(program, PidfdFlags::empty()) {
            Ok(fd) => match registered(fd) {
                Ok(fd) => State::Living(fd),
                Err(_) => State::Blind { at: Instant::now() + BLIND },
            },
            // Ended and reaped since tmux was asked, or about to be.
            Err(rustix::io::Errno::SRCH) => State::Ended { at: Instant::now() + FIRST, times: 0 },
            Err(_) => State::Blind { at: Instant::now() + BLIND },
        };
        Some(Self { server, state })
    }

    /// Waits until there is something to do. Cancel-safe.
    pub(super) async fn due(&mut self) {
        match &mut self.state {
            // An error is as good as news: what follows does no harm.
            State::Living(fd) => drop(fd.readable().await),
            State::Ended { at, .. } | State::Blind { at } => tokio::time::sleep_until(*at).await,
        }
    }

    /// Does it. `false`: that was all.
    pub(super) fn act(&mut self) -> bool {
        let now = Instant::now();
        match &mut self.state {
            State::Living(_) => self.state = State::Ended { at: now + FIRST, times: 0 },
            State::Ended { at, times } => {
                nudge(self.server);
                *times += 1;
                *at = now + FIRST * 4u32.pow(*times);
                return *times < TIMES;
            }
            State::Blind { at } => {
                nudge(self.server);
                *at = now + BLIND;
            }
        }
        true
    }

    /// tmux has told of an end. `false`: it is the one we wait for, and that was all.
    pub(super) fn told(&self) -> bool {
        // In a pane that a person made, something may have ended as well.
        matches!(self.state, State::Living(_))
    }
}

/// The descriptor, known to the runtime.
#[allow(
    deprecated,
    reason = "the newer `register` is unsafe for types that may close their descriptor; this one owns it"
)]
fn registered(fd: OwnedFd) -> std::io::Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

/// SIGCHLD: ignored by every program that does not wait for children.
fn nudge(server: Pid) {
    // It fails only if the server is gone, which the control client hears by itself.
    let _ = kill_process(server, Signal::CHILD);
}

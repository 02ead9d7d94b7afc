//! One connection to one sshd: its socket, libssh2's session on it, and waiting for it in a blocking thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use socket2::Socket;
use ssh2::{BlockDirections, ErrorCode, Session};
use tokio::sync::oneshot;

use crate::cut::Cut;
use crate::error::{At, SshError};

/// A session that never blocks by itself. Clones are the same connection.
#[derive(Clone)]
pub struct Wire {
    pub session: Session,
    pub socket: Arc<Socket>,
}

/// Why an operation on a wire ended.
#[derive(Debug)]
pub enum WireError {
    /// Its time was over.
    Deadline,
    /// libssh2 says why.
    Ssh(ssh2::Error),
}

impl From<ssh2::Error> for WireError {
    fn from(error: ssh2::Error) -> Self {
        Self::Ssh(error)
    }
}

impl Wire {
    /// Does `op` until it is done, waiting for the socket in between, at most until `by`.
    pub fn until<T>(
        &self,
        by: Instant,
        mut op: impl FnMut(&mut Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, WireError> {
        let mut session = self.session.clone();
        loop {
            match op(&mut session) {
                Err(error) if would_block(&error) => self.wait(by)?,
                done => return Ok(done?),
            }
        }
    }

    /// Waits until the socket is ready for what libssh2 is waiting for.
    pub fn wait(&self, by: Instant) -> Result<(), WireError> {
        let flags = match self.session.block_directions() {
            BlockDirections::None | BlockDirections::Inbound => PollFlags::IN,
            BlockDirections::Outbound => PollFlags::OUT,
            BlockDirections::Both => PollFlags::IN | PollFlags::OUT,
        };
        loop {
            let left = by.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(WireError::Deadline);
            }
            let mut fds = [PollFd::new(self.socket.as_ref(), flags)];
            match poll(&mut fds, Some(&timespec(left))) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // Any other failure shows when libssh2 uses the socket.
                Ok(_) | Err(_) => return Ok(()),
            }
        }
    }

    /// Whether a packet is half-way out. Nothing else can be sent before the rest of it is.
    pub fn half_sent(&self) -> bool {
        matches!(self.session.block_directions(), BlockDirections::Outbound | BlockDirections::Both)
    }
}

/// The end of a time that begins now. One that is too long for the clock is as good as none: a year.
pub fn ending(limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 86_400);
    let now = Instant::now();
    now.checked_add(limit).unwrap_or_else(|| now + YEAR)
}

fn timespec(time: Duration) -> Timespec {
    // A poll longer than this would be repeated; nothing here waits for a year.
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::from(i32::MAX));
    Timespec { tv_sec: seconds, tv_nsec: i64::from(time.subsec_nanos()) }
}

/// Whether an error of libssh2 only means "not yet".
pub fn would_block(error: &ssh2::Error) -> bool {
    error.code() == ErrorCode::Session(libssh2_sys::LIBSSH2_ERROR_EAGAIN)
}

/// Runs `work` in a thread of its own. At `by` the caller goes on, and the connection is cut, so that
/// the thread ends too. So it is when the future is dropped, or `work` fails.
///
/// It is not one of tokio's threads: those hold up the end of the program, and an ssh agent that waits for
/// its user can hold up this one.
pub async fn blocking<T: Send + 'static>(
    at: &Arc<At>,
    act: &'static str,
    by: Instant,
    cut: Cut,
    work: impl FnOnce() -> Result<T, SshError> + Send + 'static,
) -> Result<T, SshError> {
    let began = Instant::now();
    let lost = |why: String| SshError::Lost { at: Arc::clone(at), act: act.to_owned(), why };
    let (tell, told) = oneshot::channel();
    let thread = std::thread::Builder::new().name("ssh".to_owned()).spawn(move || {
        // Nobody listens when the deadline has passed.
        let _ = tell.send(work());
    });
    thread.map_err(|error| lost(format!("no thread can be started: {error}")))?;
    let result = match tokio::time::timeout_at(by.into(), told).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(lost("its thread has ended".to_owned())),
        Err(_) => Err(SshError::deadline(at, act, by.saturating_duration_since(began))),
    };
    if result.is_ok() {
        cut.spare();
    }
    result
}

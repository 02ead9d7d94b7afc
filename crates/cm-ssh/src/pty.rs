//! A terminal on the host: a program in it, its bytes both ways, its size, how it ended.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use ssh2::Channel;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::error::{At, SshError};
use crate::exec::Status;
use crate::stream::SshStream;
use crate::wire::Wire;

/// A terminal's size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub cols: u16,
    /// Rows.
    pub rows: u16,
}

/// What terminal a program is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Terminal {
    /// Its kind, as `TERM` names it.
    pub term: String,
    /// Its size at first.
    pub size: Size,
}

/// A program in a terminal on the host. What it prints is read, what is typed is written; both belong to one
/// task, as with [`SshStream`]. Dropping it closes the connection, and the host hangs the program up.
pub struct SshPty {
    stream: SshStream,
    window: Window,
    /// The size the host was told last.
    told: Size,
}

/// Changes the size of a terminal from anywhere: the host is told with the next write or flush.
#[derive(Debug, Clone)]
pub struct Window(Arc<AtomicU32>);

impl Window {
    fn new(size: Size) -> Self {
        Self(Arc::new(AtomicU32::new(packed(size))))
    }

    /// From the next write or flush on, the terminal has this size.
    pub fn set(&self, size: Size) {
        self.0.store(packed(size), Ordering::Relaxed);
    }

    fn get(&self) -> Size {
        let [a, b, c, d] = self.0.load(Ordering::Relaxed).to_be_bytes();
        Size { cols: u16::from_be_bytes([a, b]), rows: u16::from_be_bytes([c, d]) }
    }
}

fn packed(size: Size) -> u32 {
    u32::from(size.cols) << 16 | u32::from(size.rows)
}

/// What starts the program, for a blocking thread.
///
/// # Errors
/// The command cannot be one.
pub fn begin(
    at: Arc<At>,
    wire: Wire,
    command: &str,
    terminal: &Terminal,
    by: Instant,
) -> Result<impl FnOnce() -> Result<Channel, SshError> + Send + use<>, SshError> {
    if command.contains('\0') || terminal.term.contains('\0') {
        let (act, why) = ("running a command".to_owned(), "its text contains a NUL byte".to_owned());
        return Err(SshError::Channel { at, act, why });
    }
    let (command, terminal) = (command.to_owned(), terminal.clone());
    Ok(move || {
        let after = by.saturating_duration_since(Instant::now());
        let failed = |act: &str, error| SshError::of_wire(&at, act, after, error);
        let opened = wire.until(by, |session| session.channel_session());
        let mut channel = opened.map_err(|e| failed("opening a channel", e))?;
        let Size { cols, rows } = terminal.size;
        let dim = Some((cols.into(), rows.into(), 0, 0));
        wire.until(by, |_| channel.request_pty(&terminal.term, None, dim))
            .map_err(|e| failed("asking for a terminal", e))?;
        wire.until(by, |_| channel.exec(&command)).map_err(|e| failed("starting a command", e))?;
        Ok(channel)
    })
}

impl SshPty {
    pub(crate) fn new(stream: SshStream, size: Size) -> Self {
        Self { stream, window: Window::new(size), told: size }
    }

    /// The host.
    pub fn at(&self) -> &At {
        self.stream.at()
    }

    /// What changes its size.
    pub fn window(&self) -> Window {
        self.window.clone()
    }

    /// How the program ended. To be asked once everything was read.
    ///
    /// # Errors
    /// The host did not say within that time, or the connection is lost.
    pub async fn exit(&mut self, within: Duration) -> Result<Status, SshError> {
        let at = Arc::clone(self.stream.shared_at());
        let act = "reading how a command ended";
        let closed = std::future::poll_fn(|cx| self.stream.poll_closed(cx));
        match tokio::time::timeout(within, closed).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(SshError::Lost { at, act: act.to_owned(), why: error.to_string() }),
            Err(_) => return Err(SshError::deadline(&at, act, within)),
        }
        let failed = |error: ssh2::Error| SshError::of_ssh(&at, act, &error);
        let channel = self.stream.channel();
        match channel.exit_signal().map_err(failed)?.exit_signal {
            Some(signal) => Ok(Status::Signal(signal)),
            None => Ok(Status::Exited(channel.exit_status().map_err(failed)?)),
        }
    }

    /// Tells the host the size, if it does not have that one.
    fn poll_size(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wanted = self.window.get();
        if wanted != self.told {
            ready!(self.stream.poll_resize(cx, wanted.cols, wanted.rows))?;
            self.told = wanted;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for SshPty {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for SshPty {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        ready!(self.poll_size(cx))?;
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_size(cx))?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl fmt::Debug for SshPty {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SshPty").field("at", self.at()).field("size", &self.told).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_size_counts() {
        let window = Window::new(Size { cols: 80, rows: 24 });
        let other = window.clone();
        for (cols, rows) in [(1, 1), (u16::MAX, 1), (1, u16::MAX), (132, 43)] {
            other.set(Size { cols, rows });
            assert_eq!(window.get(), Size { cols, rows });
        }
    }
}

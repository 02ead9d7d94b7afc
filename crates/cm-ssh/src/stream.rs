//! A stream over ssh: one channel on a connection of its own, driven by the task that uses it.

use std::fmt;
use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use ssh2::Channel;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};

use crate::dial::Behind;
use crate::error::At;
use crate::pump::{Op, Pump, Side};
use crate::watch::Watch;

/// How much is taken from a writer at once, in bytes: one packet of ssh.
const PIECE: usize = 32 * 1024;

/// A stream of bytes to a socket on, or seen from, the host. Reading and writing belong to one task
/// (`tokio::io::split` is fine within a task). Dropping it closes the connection.
///
/// Written data is on its way when [`tokio::io::AsyncWriteExt::flush`] has returned.
pub struct SshStream {
    at: Arc<At>,
    pump: Pump,
    watch: Watch,
    /// Taken from the writer and not yet sent.
    out: Vec<u8>,
    /// Read while a writer was waiting, and not yet asked for.
    inbox: Vec<u8>,
    ended: bool,
    /// A reader waits for data.
    reading: bool,
    /// A writer waits for room.
    writing: bool,
    _behind: Behind,
}

impl SshStream {
    pub(crate) fn new(at: Arc<At>, pump: Pump, behind: Behind) -> io::Result<Self> {
        let watch = match &behind {
            Behind::Host => Watch::tcp(&pump.wire.socket)?,
            Behind::Jump { .. } | Behind::Command { .. } => Watch::pair(&pump.wire.socket)?,
        };
        let (out, inbox) = (Vec::new(), Vec::new());
        Ok(Self {
            at,
            pump,
            watch,
            out,
            inbox,
            ended: false,
            reading: false,
            writing: false,
            _behind: behind,
        })
    }

    /// The host it leads to.
    pub fn at(&self) -> &At {
        &self.at
    }

    /// Sends what was written, then that the terminal has this size by now.
    pub(crate) fn poll_resize(&mut self, cx: &mut Context<'_>, cols: u16, rows: u16) -> Poll<io::Result<()>> {
        self.poll_out(cx, |work| {
            work.flush()?;
            work.pump.resize(cols, rows)
        })
    }

    /// Waits until the host has closed the stream. To be called once it was read to its end.
    pub(crate) fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.drive(cx, |work| {
            if work.pump.half() != Some(Op::Closed) {
                work.settle()?;
            }
            work.pump.closed()
        })
    }

    pub(crate) const fn shared_at(&self) -> &Arc<At> {
        &self.at
    }

    pub(crate) const fn channel(&self) -> &Channel {
        &self.pump.channel
    }

    /// Writing takes packets off the socket that a reader waits for: it would not be woken for them.
    fn wake_reader(&mut self, cx: &Context<'_>) {
        if self.reading
            && (!self.inbox.is_empty()
                || self.pump.channel.read_window().available > 0
                || self.pump.channel.eof())
        {
            self.reading = false;
            cx.waker().wake_by_ref();
        }
    }

    /// The same the other way round: reading finds out that there is room.
    fn wake_writer(&mut self, cx: &Context<'_>) {
        if self.writing && self.pump.half().is_none() && self.pump.channel.write_window().remaining > 0 {
            self.writing = false;
            cx.waker().wake_by_ref();
        }
    }

    fn poll_out(
        &mut self,
        cx: &mut Context<'_>,
        op: impl FnMut(&mut Work<'_>) -> io::Result<()>,
    ) -> Poll<io::Result<()>> {
        let done = self.drive(cx, op);
        self.writing = done.is_pending();
        self.wake_reader(cx);
        done
    }

    /// Tries `op` until it is through. Interest in the socket is registered before each attempt, and
    /// given up only after an attempt that found nothing: so no wake-up is lost, and nothing spins.
    fn drive<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut op: impl FnMut(&mut Work<'_>) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        let mut work =
            Work { pump: &mut self.pump, out: &mut self.out, inbox: &mut self.inbox, ended: &mut self.ended };
        loop {
            let mut again = false;
            let result = if self.watch.poll_readable(cx)?.is_ready() {
                again = true;
                self.watch.attempt(Interest::READABLE, || op(&mut work))
            } else {
                // libssh2 may hold what is wanted already.
                op(&mut work)
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return Poll::Ready(done),
            }
            if work.pump.wire.half_sent() && self.watch.poll_writable(cx)?.is_ready() {
                again = true;
                match self.watch.attempt(Interest::WRITABLE, || op(&mut work)) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    done => return Poll::Ready(done),
                }
            }
            if !again {
                return Poll::Pending;
            }
        }
    }
}

/// What an attempt works on.
struct Work<'a> {
    pump: &'a mut Pump,
    out: &'a mut Vec<u8>,
    inbox: &'a mut Vec<u8>,
    ended: &'a mut bool,
}

impl Work<'_> {
    /// Finishes the packet that is half-way out, which everything else has to wait for.
    fn settle(&mut self) -> io::Result<()> {
        match self.pump.half() {
            None => Ok(()),
            Some(Op::Write) => {
                let written = self.pump.write(self.out);
                self.settled(written, |work, count| {
                    work.out.drain(..count.min(work.out.len()));
                })
            }
            Some(Op::Eof) => self.end(),
            Some(Op::Resize(cols, rows)) => {
                let told = self.pump.resize(cols, rows);
                self.settled(told.map(|()| 0), |_, _| {})
            }
            Some(Op::Closed) => {
                let closed = self.pump.closed();
                self.settled(closed.map(|()| 0), |_, _| {})
            }
            Some(Op::Read(side)) => {
                let mut buffer = vec![0; PIECE];
                let read = self.pump.read(side, &mut buffer);
                self.settled(read, |work, count| work.inbox.extend_from_slice(&buffer[..count]))
            }
        }
    }

    /// The packet is out once the operation is through, even if all it found then is nothing to do.
    fn settled(&mut self, result: io::Result<usize>, done: impl FnOnce(&mut Self, usize)) -> io::Result<()> {
        match result {
            Ok(count) => {
                done(self, count);
                Ok(())
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && self.pump.half().is_none() => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends all of `out`.
    fn send(&mut self) -> io::Result<()> {
        while !self.out.is_empty() {
            let count = self.pump.write(self.out)?;
            self.out.drain(..count.min(self.out.len()));
        }
        Ok(())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.settle()?;
        self.send()
    }

    fn end(&mut self) -> io::Result<()> {
        if !*self.ended {
            self.pump.send_eof()?;
            *self.ended = true;
        }
        Ok(())
    }

    fn read(&mut self, buffer: &mut ReadBuf<'_>) -> io::Result<()> {
        if self.inbox.is_empty() && self.pump.half() != Some(Op::Read(Side::Out)) {
            self.settle()?;
        }
        if self.inbox.is_empty() {
            let count = self.pump.read(Side::Out, buffer.initialize_unfilled())?;
            buffer.advance(count);
        } else {
            let count = self.inbox.len().min(buffer.remaining());
            buffer.put_slice(&self.inbox[..count]);
            self.inbox.drain(..count);
        }
        Ok(())
    }
}

impl AsyncRead for SshStream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let me = self.get_mut();
        if buffer.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        let done = me.drive(cx, |work| work.read(buffer));
        me.reading = done.is_pending();
        me.wake_writer(cx);
        done
    }
}

impl AsyncWrite for SshStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let me = self.get_mut();
        if me.ended {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        ready!(me.poll_out(cx, |work| work.flush()))?;
        let piece = &data[..data.len().min(PIECE)];
        me.out.extend_from_slice(piece);
        // What does not fit now is sent with the next read, write or flush.
        if let Poll::Ready(Err(error)) = me.poll_out(cx, |work| work.flush()) {
            return Poll::Ready(Err(error));
        }
        Poll::Ready(Ok(piece.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_out(cx, |work| work.flush())
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_out(cx, |work| {
            work.flush()?;
            work.end()
        })
    }
}

impl Drop for SshStream {
    fn drop(&mut self) {
        // libssh2 says good-bye when it is dropped; on a closed socket that takes no time.
        let _ = self.pump.wire.socket.shutdown(Shutdown::Both);
    }
}

impl fmt::Debug for SshStream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("SshStream").field("at", &self.at).finish_non_exhaustive()
    }
}

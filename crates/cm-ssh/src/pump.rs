//! A channel on a wire, read and written without ever blocking, one packet after the other.

use std::io::{self, Read as _, Write as _};

use ssh2::Channel;

use crate::error::hung_up;
use crate::wire::Wire;

/// An operation on a channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Reading stdout or stderr. It sends, too: the window.
    Read(Side),
    /// Writing data.
    Write,
    /// Saying that no more data comes.
    Eof,
    /// Saying what size the terminal has by now: columns, rows.
    Resize(u16, u16),
    /// Waiting for the other side to close.
    Closed,
}

/// Which of a channel's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Standard output, or the data of a stream.
    Out,
    /// Standard error.
    Err,
}

/// One channel.
pub struct Pump {
    pub wire: Wire,
    pub channel: Channel,
    half: Option<Op>,
}

impl Pump {
    /// The channel `channel` of `wire`, which is set not to block.
    pub const fn new(wire: Wire, channel: Channel) -> Self {
        Self { wire, channel, half: None }
    }

    /// The operation whose packet is half-way out. libssh2 sends nothing else before that same operation was
    /// repeated until it is through, and answers all others with "would block".
    pub const fn half(&self) -> Option<Op> {
        self.half
    }

    /// Whether something has arrived that was not read, on either side.
    pub fn has_more(&self) -> bool {
        self.half.is_none() && self.channel.read_window().available > 0
    }

    /// Reads what is there. `Ok(0)`: no more will come on this side, or not before the other side was read.
    pub fn read(&mut self, side: Side, buffer: &mut [u8]) -> io::Result<usize> {
        self.attempt(Op::Read(side), |channel| match side {
            Side::Out => channel.read(buffer),
            Side::Err => channel.stderr().read(buffer),
        })
    }

    /// Writes some of `data`.
    pub fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        match self.attempt(Op::Write, |channel| channel.write(data)) {
            // The other side's window is full.
            Ok(0) if !data.is_empty() => Err(io::ErrorKind::WouldBlock.into()),
            written => written,
        }
    }

    /// Says that no more data comes.
    pub fn send_eof(&mut self) -> io::Result<()> {
        self.attempt(Op::Eof, |channel| Ok(channel.send_eof()?))
    }

    /// Says what size the terminal has by now.
    pub fn resize(&mut self, cols: u16, rows: u16) -> io::Result<()> {
        self.attempt(Op::Resize(cols, rows), |channel| {
            Ok(channel.request_pty_size(cols.into(), rows.into(), None, None)?)
        })
    }

    /// Through once the other side has closed. Its outputs must have ended before.
    pub fn closed(&mut self) -> io::Result<()> {
        self.attempt(Op::Closed, |channel| Ok(channel.wait_close()?))
    }

    fn attempt<T>(&mut self, op: Op, act: impl FnOnce(&mut Channel) -> io::Result<T>) -> io::Result<T> {
        if self.half.is_some_and(|half| half != op) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        match act(&mut self.channel) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.half = self.wire.half_sent().then_some(op);
                Err(error)
            }
            Err(error) => {
                self.half = None;
                Err(self.named(error))
            }
            done => {
                self.half = None;
                done
            }
        }
    }

    /// ssh2 makes `Other` of everything; a caller wants to know that the connection is gone.
    fn named(&self, error: io::Error) -> io::Error {
        match ssh2::Error::last_session_error(&self.wire.session) {
            Some(last) if hung_up(&last) => {
                io::Error::new(io::ErrorKind::ConnectionReset, last.message().to_owned())
            }
            Some(_) | None => error,
        }
    }
}

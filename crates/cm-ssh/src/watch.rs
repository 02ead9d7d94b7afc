//! A second handle on a connection's socket, through which tokio tells when it is ready.

use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll};

use socket2::Socket;
use tokio::io::Interest;
use tokio::net::{TcpStream, UnixStream};

/// What tokio watches. Nothing is read or written through it.
#[derive(Debug)]
pub enum Watch {
    /// A connection to the host itself.
    Tcp(TcpStream),
    /// One end of a socket pair; something else carries its bytes.
    Pair(UnixStream),
}

impl Watch {
    /// Watches a socket that does not block.
    pub fn tcp(socket: &Socket) -> io::Result<Self> {
        Ok(Self::Tcp(TcpStream::from_std(socket.try_clone()?.into())?))
    }

    /// The same for one end of a socket pair.
    pub fn pair(socket: &Socket) -> io::Result<Self> {
        Ok(Self::Pair(UnixStream::from_std(OwnedFd::from(socket.try_clone()?).into())?))
    }

    /// Whether there may be something to read; if not, the task is woken when there is.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_read_ready(cx),
            Self::Pair(stream) => stream.poll_read_ready(cx),
        }
    }

    /// Whether there may be room to write; if not, the task is woken when there is.
    pub fn poll_writable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(stream) => stream.poll_write_ready(cx),
            Self::Pair(stream) => stream.poll_write_ready(cx),
        }
    }

    /// Makes an attempt; if it would block, the socket is no longer taken for ready, unless it has become
    /// ready meanwhile.
    pub fn attempt<T>(&self, interest: Interest, op: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self {
            Self::Tcp(stream) => stream.try_io(interest, op),
            Self::Pair(stream) => stream.try_io(interest, op),
        }
    }
}

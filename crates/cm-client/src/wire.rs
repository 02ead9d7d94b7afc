//! One WebSocket, both directions at once: writing never waits for reading, nor reading for writing.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

use crate::endpoint::Stream;

/// The most bytes one frame from an agent may have: a transcript page of 5,000 long lines fits.
pub const MAX_FRAME_BYTES: usize = 32 * 1024 * 1024;

/// Frames that wait to be written before no more commands are taken.
const OUTBOX: usize = 64;

/// A connection after the upgrade.
pub(crate) struct Wire {
    socket: WebSocketStream<Counted>,
    outbox: VecDeque<Message>,
    unflushed: bool,
    broken: Option<Error>,
}

impl Wire {
    /// Makes the upgrade.
    pub(crate) async fn upgrade(stream: Box<dyn Stream>, url: &str) -> io::Result<Self> {
        let limits = WebSocketConfig::default()
            .read_buffer_size(16 * 1024)
            .write_buffer_size(16 * 1024)
            .max_message_size(Some(MAX_FRAME_BYTES))
            .max_frame_size(Some(MAX_FRAME_BYTES));
        let counted = Counted { stream, bytes: 0 };
        let (socket, _) = client_async_with_config(url, counted, Some(limits)).await.map_err(io_error)?;
        Ok(Self { socket, outbox: VecDeque::new(), unflushed: false, broken: None })
    }

    /// Whether another frame may be queued.
    pub(crate) fn has_room(&self) -> bool {
        self.outbox.len() < OUTBOX && self.broken.is_none()
    }

    /// Whether everything queued is on its way.
    pub(crate) fn is_drained(&self) -> bool {
        self.outbox.is_empty() && !self.unflushed
    }

    /// Queues a frame; it is written while [`Wire::next`] is awaited.
    pub(crate) fn queue(&mut self, message: Message) {
        self.outbox.push_back(message);
    }

    /// Bytes received so far, of whole frames or parts.
    pub(crate) fn bytes_received(&self) -> u64 {
        self.socket.get_ref().bytes
    }

    /// Writes what is queued and waits for the next frame; `None` at the end. Dropping the future loses
    /// nothing.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        // Writing comes first, or a flood from the agent would keep commands from going out.
        if self.broken.is_none()
            && let Poll::Ready(Err(error)) = self.poll_write(cx)
        {
            // What the agent said before the stream broke, a farewell above all, is still to be read.
            self.broken = Some(error);
            self.outbox.clear();
        }
        match self.socket.poll_next_unpin(cx) {
            Poll::Pending => match self.broken.take() {
                Some(error) => Poll::Ready(Some(Err(error))),
                None => Poll::Pending,
            },
            ready => ready,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        while !self.outbox.is_empty() {
            ready!(self.socket.poll_ready_unpin(cx))?;
            if let Some(message) = self.outbox.pop_front() {
                self.unflushed = true;
                self.socket.start_send_unpin(message)?;
            }
        }
        if self.unflushed {
            ready!(self.socket.poll_flush_unpin(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// Says farewell and waits for the agent's. The caller sets the deadline.
    pub(crate) async fn close(&mut self) {
        if self.socket.close(None).await.is_ok() {
            while let Some(Ok(_)) = self.socket.next().await {}
        }
    }
}

/// The error as an `io::Error` whose kind says what it proves.
pub(crate) fn io_error(error: Error) -> io::Error {
    use tokio_tungstenite::tungstenite::error::ProtocolError;
    match error {
        Error::Io(error) => error,
        Error::Http(response) => io::Error::new(
            io::ErrorKind::InvalidData,
            format!("it answered HTTP {} instead of a WebSocket upgrade", response.status()),
        ),
        Error::Protocol(ProtocolError::HandshakeIncomplete) => {
            io::Error::new(io::ErrorKind::UnexpectedEof, "it closed the connection during the upgrade")
        }
        other => io::Error::new(io::ErrorKind::InvalidData, other.to_string()),
    }
}

/// A stream that counts what it receives: even half a frame shows that the other side lives.
struct Counted {
    stream: Box<dyn Stream>,
    bytes: u64,
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        self.bytes += (buf.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

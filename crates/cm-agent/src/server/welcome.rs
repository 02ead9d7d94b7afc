//! Who comes in: the first frame of a connection, and how one that may not stay is sent away.

use std::time::Duration;

use cm_protocol::frame::to_text;
use cm_protocol::{Auth, AuthReply, ClientFrame, ErrorCode, Request};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{Peer, Server};
use crate::host::clock;

/// For a client to take what is written; one that does not is cut off.
pub(super) const WRITE: Duration = Duration::from_secs(30);
/// For a client that is sent away to take its leave.
const LINGER: Duration = Duration::from_secs(2);

/// Says why it is over, and that it is.
pub(super) async fn close<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocketStream<S>,
    code: CloseCode,
    reason: &str,
) {
    let frame = CloseFrame { code, reason: reason.to_owned().into() };
    // It is over either way.
    let _ = timeout(Duration::from_secs(1), ws.close(Some(frame))).await;
}

/// Sends away somebody who is not logged in.
pub(super) async fn refuse<S: AsyncRead + AsyncWrite + Unpin>(
    ws: &mut WebSocketStream<S>,
    refused: Option<AuthReply>,
) {
    if let Some(reply) = refused {
        let _ = timeout(WRITE, ws.send(Message::Text(to_text(&reply).into()))).await;
    }
    close(ws, CloseCode::Policy, "not authenticated").await;
    linger(ws).await;
}

/// Lets the client read why it is over: closing a socket while it still sends would throw that away.
pub(super) async fn linger<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocketStream<S>) {
    let stream = ws.get_mut();
    let read_away = async {
        let mut rest = vec![0; 16 * 1024];
        let _ = stream.shutdown().await;
        while stream.read(&mut rest).await.is_ok_and(|n| n > 0) {}
    };
    let _ = timeout(LINGER, read_away).await;
}

/// The first frame. `Ok(Some(…))`: a command, from a client that needs no log-in. An error is what to
/// answer before the socket closes; nothing is executed.
pub(super) async fn log_in<S: AsyncRead + AsyncWrite + Unpin>(
    server: &Server,
    ws: &mut WebSocketStream<S>,
    peer: Peer,
    deadline: Instant,
) -> Result<Option<Request>, Option<AuthReply>> {
    let limit = server.engine.limits.frame_bytes;
    let text = match timeout_at(deadline, first_text(ws)).await {
        Ok(Some(text)) if text.len() <= limit => text,
        Ok(_) | Err(_) => return Err(None),
    };
    match (ClientFrame::parse(&text), peer) {
        (Ok(ClientFrame::Auth(_)), Peer::SameUser) => Ok(None),
        (Ok(ClientFrame::Request(request)), Peer::SameUser) => Ok(Some(request)),
        (Err(error), Peer::SameUser) => Err(Some(AuthReply::refused(error.error, error.code))),
        (Ok(ClientFrame::Auth(auth)), _) => check_token(server, &auth, peer).await.map(|()| None),
        (Ok(ClientFrame::Request(_)), _) => {
            Err(Some(AuthReply::refused("The first frame must be the token", ErrorCode::Unauthorized)))
        }
        (Err(_), _) => Err(None),
    }
}

async fn check_token(server: &Server, auth: &Auth, peer: Peer) -> Result<(), Option<AuthReply>> {
    let from = match peer {
        Peer::Remote(address) => Some(address.ip()),
        Peer::SameUser | Peer::OtherUser => None,
    };
    if server.token.as_ref().is_some_and(|t| t.is(&auth.auth_token)) {
        server.logins.worked(from);
        return Ok(());
    }
    let verdict = server.logins.failed(from, clock::now());
    tracing::warn!(?peer, "a log-in failed");
    tokio::select! {
        () = tokio::time::sleep(verdict.wait) => {}
        () = server.stop.cancelled() => return Err(None),
    }
    Err(Some(if verdict.limited {
        AuthReply::refused("Too many failed log-ins; each further one waits longer", ErrorCode::Limit)
    } else {
        AuthReply::refused("Invalid authentication token", ErrorCode::Unauthorized)
    }))
}

/// The first text frame; pings before it do not count.
async fn first_text<S: AsyncRead + AsyncWrite + Unpin>(ws: &mut WebSocketStream<S>) -> Option<String> {
    loop {
        match ws.next().await? {
            Ok(Message::Text(text)) => return Some(text.to_string()),
            Ok(Message::Ping(_) | Message::Pong(_)) => {}
            Ok(_) | Err(_) => return None,
        }
    }
}

//! The other end of a connection, played by the test: it reads what the client says and answers as told.
#![allow(dead_code)] // each test file uses its part of it

use std::time::Duration;

use cm_client::{Client, ClientError, Token};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{DuplexStream, duplex};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async};

/// The deadline of everything a test waits for.
pub const SOON: Duration = Duration::from_secs(5);

/// An agent's end.
pub struct Peer {
    pub socket: WebSocketStream<DuplexStream>,
}

/// A log-in's answer; `seq` is the newest event's number.
pub fn hello(seq: u64) -> Value {
    let text = include_str!("../../../cm-protocol/tests/wire/login.authenticated.json");
    let mut hello: Value = serde_json::from_str(text).unwrap();
    hello["seq"] = seq.into();
    hello
}

/// The original agent's answer.
pub fn original_hello() -> Value {
    json!({"status": "authenticated"})
}

pub fn closed_event(seq: u64) -> Value {
    json!({"type": "session_closed", "sessionId": "cm-1", "seq": seq, "timestamp": 1.5})
}

impl Peer {
    /// Makes the upgrade and reads the log-in: the token sent.
    pub async fn accept(stream: DuplexStream) -> (Self, String) {
        let socket = accept_async(stream).await.unwrap();
        let mut peer = Self { socket };
        let auth = peer.read().await;
        (peer, auth["auth_token"].as_str().unwrap().to_owned())
    }

    /// The next text frame.
    pub async fn read(&mut self) -> Value {
        loop {
            match self.socket.next().await.expect("a frame").expect("a whole frame") {
                Message::Text(text) => return serde_json::from_str(&text).unwrap(),
                Message::Ping(_) | Message::Pong(_) => {}
                other => panic!("unexpected {other:?}"),
            }
        }
    }

    /// The next command, which must be this one.
    pub async fn expect(&mut self, action: &str) -> Value {
        let request = self.read().await;
        assert_eq!(request["action"], action, "{request}");
        request
    }

    pub async fn send(&mut self, frame: Value) {
        self.socket.send(Message::text(frame.to_string())).await.unwrap();
    }

    /// Sends `answer` with the id of `request`.
    pub async fn answer(&mut self, request: &Value, mut answer: Value) {
        answer["id"] = request["id"].clone();
        self.send(answer).await;
    }

    pub async fn close(mut self, reason: &str) {
        use tokio_tungstenite::tungstenite::protocol::{CloseFrame, frame::coding::CloseCode};
        let frame = CloseFrame { code: CloseCode::Away, reason: reason.into() };
        let _ = self.socket.close(Some(frame)).await;
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Reads (and so answers pings) until the client leaves; true if it said farewell.
    pub async fn until_close(mut self) -> bool {
        while let Some(frame) = self.socket.next().await {
            match frame {
                Ok(Message::Close(_)) => return true,
                Ok(_) => {}
                Err(_) => return false,
            }
        }
        false
    }
}

/// A client and its agent, logged in with this answer.
pub async fn connected(answer: Value) -> (Client, Peer) {
    let (client, peer) = login(answer).await;
    (client.unwrap(), peer)
}

pub async fn login(answer: Value) -> (Result<Client, ClientError>, Peer) {
    let (near, far) = duplex(4096);
    let serving = async {
        let (mut peer, token) = Peer::accept(far).await;
        assert_eq!(token, "t0ken");
        peer.send(answer).await;
        peer
    };
    let token = Token::new("t0ken");
    tokio::join!(Client::over(near, &token, SOON), serving)
}

/// Connections a follower makes arrive here, each before its log-in.
pub struct Door(mpsc::UnboundedReceiver<DuplexStream>);

/// A connector, and where its connections arrive.
pub fn door() -> (impl cm_client::Connector, Door) {
    let (sender, arrivals) = mpsc::unbounded_channel();
    let connect = move || {
        let (near, far) = duplex(4096);
        sender.send(far).unwrap();
        async move { Client::over(near, &Token::default(), SOON).await }
    };
    (connect, Door(arrivals))
}

impl Door {
    /// The next connection, not logged in yet.
    pub async fn arrival(&mut self) -> DuplexStream {
        self.0.recv().await.unwrap()
    }

    /// The next connection, answered with this.
    pub async fn next(&mut self, answer: Value) -> Peer {
        let (mut peer, _) = Peer::accept(self.arrival().await).await;
        peer.send(answer).await;
        peer
    }

    /// The next connection of a follower: logged in, its `subscribe` answered; and its `since`.
    pub async fn follower(&mut self, seq: u64) -> (Peer, Value) {
        let mut peer = self.next(hello(seq)).await;
        let request = peer.expect("subscribe").await;
        peer.answer(&request, json!({"type": "subscribed", "seq": seq})).await;
        (peer, request["since"].clone())
    }
}

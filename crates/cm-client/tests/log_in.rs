//! Connections and log-ins: those that come about, and what is said of those that do not.

mod common;

use std::io::ErrorKind;

use cm_client::protocol::{Action, ErrorCode, ListSessions, ReplyBody};
use cm_client::{Client, ClientError, Endpoint, Token};
use common::{Peer, SOON, connected, hello, login};
use futures_util::StreamExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

#[tokio::test(start_paused = true)]
async fn the_log_in_tells_what_the_agent_is() {
    let (client, _peer) = connected(hello(41)).await;
    let said = client.hello().unwrap();
    assert_eq!((said.seq, said.agent.host.as_str()), (41, "build-1"));
}

#[tokio::test(start_paused = true)]
async fn log_ins_that_are_refused() {
    let refused = json!({"error": "Unauthorized", "message": "Invalid authentication token"});
    let (client, _peer) = login(refused).await;
    let error = client.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::Unauthorized));
    assert!(error.to_string().contains("Invalid authentication token; use the token"), "{error}");
    assert!(!format!("{error:?}").contains("t0ken"));

    let limited = json!({"error": "Unauthorized", "message": "5 failed log-ins", "code": "limit"});
    let (client, _peer) = login(limited).await;
    assert!(client.unwrap_err().to_string().contains("wait a minute"));

    for nonsense in [json!({"status": "maybe"}), json!({"hello": 1}), json!([])] {
        let (client, _peer) = login(nonsense).await;
        assert!(matches!(client, Err(ClientError::Protocol(_))), "{client:?}");
    }
}

/// What a connection that does not come about says: its kind, for programs, and a next move, for people.
fn check_connect(result: Result<Client, ClientError>, kind: ErrorKind, words: &str) {
    let error = result.unwrap_err();
    let ClientError::Connect { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), kind, "{error}");
    assert!(error.to_string().contains(words), "{error}");
}

#[tokio::test(start_paused = true)]
async fn others_that_are_no_agents() {
    let none = Token::default();
    // Nobody speaks.
    let (near, _far) = duplex(64);
    check_connect(Client::over(near, &none, SOON).await, ErrorKind::TimedOut, "no answer within 5s");
    // The upgrade is made, and then nothing.
    let (near, far) = duplex(4096);
    let (client, _peer) = tokio::join!(Client::over(near, &none, SOON), Peer::accept(far));
    check_connect(client, ErrorKind::TimedOut, "no answer within 5s");
    // Closed at once.
    let (near, far) = duplex(64);
    drop(far);
    check_connect(Client::over(near, &none, SOON).await, ErrorKind::BrokenPipe, "check the address");
    // Closed after the upgrade.
    let (near, far) = duplex(4096);
    let (client, ()) = tokio::join!(Client::over(near, &none, SOON), async {
        let (peer, _) = Peer::accept(far).await;
        peer.close("").await;
    });
    check_connect(client, ErrorKind::UnexpectedEof, "does not behave like an agent");
    // Another server.
    let (near, mut far) = duplex(4096);
    let (client, ()) = tokio::join!(Client::over(near, &none, SOON), async {
        let _ = far.read(&mut [0; 1024]).await;
        far.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n").await.unwrap();
    });
    check_connect(client, ErrorKind::InvalidData, "HTTP 404");
    // No HTTP at all.
    let (near, mut far) = duplex(4096);
    let (client, ()) = tokio::join!(Client::over(near, &none, SOON), async {
        far.write_all(b"SSH-2.0-OpenSSH_9.2\r\n\r\n").await.unwrap();
    });
    assert!(client.is_err(), "{client:?}");
}

#[tokio::test]
async fn addresses_where_nobody_listens() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let endpoint = Endpoint::Unix(path.clone());
    check_connect(Client::connect(&endpoint, SOON).await, ErrorKind::NotFound, "no agent is running there");
    drop(tokio::net::UnixListener::bind(&path).unwrap());
    check_connect(Client::connect(&endpoint, SOON).await, ErrorKind::ConnectionRefused, "nobody listens");
}

#[tokio::test]
async fn unix_and_tcp_speak_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let unix = tokio::net::UnixListener::bind(&path).unwrap();
    let tcp = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address: Endpoint = tcp.local_addr().unwrap().to_string().parse().unwrap();

    async fn log_in(
        stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
        expected: &str,
    ) -> impl Sized {
        use futures_util::SinkExt;
        let mut socket = tokio_tungstenite::accept_async(stream).await.unwrap();
        let auth = socket.next().await.unwrap().unwrap().into_text().unwrap();
        assert_eq!(auth.as_str(), expected);
        socket.send(hello(7).to_string().into()).await.unwrap();
        socket
    }
    let endpoint = Endpoint::Unix(path);
    let (client, _socket) = tokio::join!(Client::connect(&endpoint, SOON), async {
        log_in(unix.accept().await.unwrap().0, r#"{"auth_token":""}"#).await
    });
    assert_eq!(client.unwrap().hello().unwrap().seq, 7);
    let endpoint = address.with_token(Token::new("s3cret"));
    let (client, _socket) = tokio::join!(Client::connect(&endpoint, SOON), async {
        log_in(tcp.accept().await.unwrap().0, r#"{"auth_token":"s3cret"}"#).await
    });
    assert_eq!(client.unwrap().endpoint(), endpoint.to_string());
}

#[tokio::test(start_paused = true)]
async fn a_command_can_go_out_with_the_log_in() {
    let (near, far) = duplex(4096);
    let none = Token::default();
    let serving = async {
        let (mut peer, _) = Peer::accept(far).await;
        // Here before the log-in is answered.
        let request = peer.expect("list_sessions").await;
        peer.send(hello(0)).await;
        peer.answer(&request, json!({"type": "sessions_list", "sessions": []})).await;
        let next = peer.expect("agent_info").await;
        assert_ne!(next["id"], request["id"]);
        peer.answer(&next, json!({"error": "bad day"})).await;
        peer
    };
    let asking = async {
        let list = Action::ListSessions(ListSessions::default());
        let (client, answer) = Client::over_with(near, &none, list, SOON).await.unwrap();
        assert!(matches!(answer.unwrap(), ReplyBody::SessionsList { sessions } if sessions.is_empty()));
        client.agent_info().await.unwrap_err();
        client
    };
    let (_client, _peer) = tokio::join!(asking, serving);

    // Refused at the door, the command has no answer of its own.
    let (near, far) = duplex(4096);
    let serving = async {
        let (mut peer, _) = Peer::accept(far).await;
        peer.send(json!({"error": "Unauthorized", "message": "Invalid authentication token"})).await;
        peer
    };
    let list = Action::ListSessions(ListSessions::default());
    let (refused, _peer) = tokio::join!(Client::over_with(near, &none, list, SOON), serving);
    assert_eq!(refused.unwrap_err().code(), Some(ErrorCode::Unauthorized));
}

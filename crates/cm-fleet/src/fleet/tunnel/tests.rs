//! The ways to an agent, over a real sshd.

#[path = "../../../../cm-ssh/tests/sshd/server.rs"]
#[allow(dead_code)]
mod sshd;

use cm_ssh::NoSecrets;
use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpListener;
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::deploy::host::Ports;
use crate::deploy::script::{DEFAULT_DIR, Dir};
use crate::deploy::wanted::Wanted;
use crate::inventory::SecretRef;

/// An agent that lets in whoever knows the token `s3cret`.
async fn agent() -> (SocketAddr, AbortOnDropHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let serving = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut ws = tokio_tungstenite::accept_async(stream).await.expect("a client");
            let said = ws.next().await.expect("a log-in").expect("a log-in").into_text().expect("text");
            let answer = match said.contains("s3cret") {
                true => r#"{"status":"authenticated"}"#,
                false => r#"{"error":"Unauthorized","message":"no"}"#,
            };
            // A client that has left does not mind.
            let _ = ws.send(Message::text(answer)).await;
            let _ = ws.next().await;
        }
    });
    (address, AbortOnDropHandle::new(serving))
}

fn tunnel(server: &sshd::Server, ports: Ports) -> Tunnel {
    let dir = Dir::new(DEFAULT_DIR).expect("a directory");
    let wanted = Wanted { fleet: "t".to_owned(), dir, settings: Default::default() };
    let job = Job {
        name: "test".to_owned(),
        target: server.target(),
        wanted,
        binary: None,
        ports,
        container: None,
    };
    Tunnel::new(job, Arc::new(Keys::new(NoSecrets)))
}

fn token(server: &sshd::Server, text: &str) -> Option<SecretRef> {
    let path = server.path("token");
    std::fs::write(&path, text).expect("written");
    Some(SecretRef::File(path))
}

#[tokio::test]
async fn over_tcp_where_the_inventory_says_so() {
    let server = sshd::Server::start();
    let (address, _agent) = agent().await;
    let check = async |text: &str, unnamed: bool, expected: &str| {
        let token = (!text.is_empty()).then(|| token(&server, text)).flatten();
        let mut tunnel = tunnel(&server, Ports { only: Some(address.port()), listen: None, token });
        if unnamed {
            tunnel = tunnel.unnamed();
        }
        let said = tunnel.connect().await.map_or_else(|error| error.to_string(), |_| "in".to_owned());
        assert!(said.contains(expected), "{text} {unnamed}: {said}");
    };
    check("s3cret\n", false, "in").await;
    check("wrong", false, "test: the agent at the other end of the stream refused the log-in").await;
    check("", false, "test: its agent is reached over TCP, which wants a token").await;
    check("s3cret", true, "none is sent for an inventory that nobody has named").await;
}

#[tokio::test]
async fn over_tcp_where_sshd_opens_no_stream_to_the_socket() {
    let config = "AllowStreamLocalForwarding no";
    let server = sshd::Server::with(&sshd::Plan { config, ..sshd::Plan::default() });
    let (address, _agent) = agent().await;
    let check = async |listen: Option<SocketAddr>, with: bool, expected: &str| {
        let token = with.then(|| token(&server, "s3cret")).flatten();
        let tunnel = tunnel(&server, Ports { only: None, listen, token });
        // As if the host had been asked already.
        *tunnel.socket.lock().expect("not poisoned") = Some("/nowhere/agent.sock".into());
        let said = tunnel.connect().await.map_or_else(|error| error.to_string(), |_| "in".to_owned());
        assert!(said.contains(expected), "{listen:?} {with}: {said}");
    };
    check(Some(address), true, "in").await;
    check(Some(address), false, "a token is needed: write `agent: {token: …}` into the inventory").await;
    check(None, true, "AllowStreamLocalForwarding").await;
}

#[test]
fn where_an_agent_listens_seen_from_its_host() {
    for (listen, expected) in [
        ("127.0.0.1:9876", "127.0.0.1:9876"),
        ("0.0.0.0:1", "127.0.0.1:1"),
        ("[::]:2", "::1:2"),
        ("10.1.2.3:4", "10.1.2.3:4"),
    ] {
        let to = from_inside(listen.parse().expect("an address"));
        assert_eq!(to.to_string(), expected);
    }
}

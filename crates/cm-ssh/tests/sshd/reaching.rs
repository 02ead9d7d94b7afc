//! Reaching a host: jump hosts, commands in between, hosts that are busy, frozen or not there.

use std::io::Write as _;
use std::net::{Shutdown, TcpListener};
use std::time::{Duration, Instant};

use cm_ssh::{ConnectFailure, Input, Keys, Kind, NoSecrets, Remote, Ssh, SshError, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::server::{Plan, Server};

const LONG: Duration = Duration::from_secs(30);

async fn fails(target: &Target) -> SshError {
    Ssh::connect(target, &Keys::new(NoSecrets)).await.unwrap_err()
}

#[tokio::test]
async fn jump_hosts_lead_on() {
    let (first, second, last) = (Server::start(), Server::start(), Server::start());
    let mut target = last.target();
    target.name = "last".to_owned();
    target.jumps = vec![first.target(), second.target()];
    let mut ssh =
        Ssh::connect(&target, &Keys::new(NoSecrets)).await.unwrap_or_else(|error| panic!("{error}"));
    let input = vec![b'x'; 3 << 20];
    let output = ssh.exec("echo $SSH_CONNECTION; wc -c", Input::Bytes(input.into()), LONG).await.unwrap();
    let text = output.stdout_text();
    assert!(text.contains(&format!(" {}\n", last.port)) && text.trim().ends_with("3145728"), "{text}");
    let listener = tokio::net::UnixListener::bind(last.path("s")).unwrap();
    let mut stream = ssh.stream(Remote::Unix(last.path("s"))).await.unwrap();
    let (mut far, _) = listener.accept().await.unwrap();
    far.write_all(b"hello").await.unwrap();
    let mut buffer = [0; 5];
    stream.read_exact(&mut buffer).await.unwrap();
    assert_eq!(&buffer, b"hello");
}

#[tokio::test]
async fn an_error_names_the_hop() {
    let (first, last) = (Server::start(), Server::start());
    let mut target = last.target();
    target.name = "last".to_owned();
    let mut hop = first.target();
    hop.name = "bastion".to_owned();
    target.jumps = vec![hop.clone()];
    target.jumps[0].known_hosts.clear();
    let error = fails(&target).await;
    assert!(error.to_string().starts_with("bastion (") && error.kind() == Kind::Refused, "{error}");
    target.jumps = vec![hop];
    target.port = 1;
    let error = fails(&target).await;
    assert!(
        error.to_string().starts_with("last (") && error.to_string().contains("through bastion"),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Unreachable);
}

#[tokio::test]
async fn a_bastion_that_forwards_nothing_says_so() {
    let bastion = Server::with(&Plan { config: "AllowTcpForwarding no", ..Plan::default() });
    let last = Server::start();
    let mut target = last.target();
    target.jumps = vec![bastion.target()];
    let error = fails(&target).await;
    assert!(matches!(error, SshError::Forbidden { .. }), "{error}");
}

#[tokio::test]
async fn a_proxy_command_is_the_connection() {
    let server = Server::start();
    let mut target = server.target();
    let relay = Server::start();
    // ssh itself carries the bytes; there need be no nc.
    target.proxy_command = Some(format!(
        "ssh -F none -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile={known} -o LogLevel=ERROR \
         -i {key} -p {port} -W 127.0.0.1:{to} {user}@127.0.0.1",
        known = relay.target().known_hosts[0].display(),
        key = relay.path("client").display(),
        port = relay.port,
        to = server.port,
        user = target.user,
    ));
    let mut ssh =
        Ssh::connect(&target, &Keys::new(NoSecrets)).await.unwrap_or_else(|error| panic!("{error}"));
    let output = ssh.exec("echo there", Input::None, LONG).await.unwrap();
    assert_eq!(output.stdout, b"there\n");
    target.proxy_command = Some("exit 1".to_owned());
    target.connect_timeout = Duration::from_millis(400);
    let error = fails(&target).await;
    assert!(
        matches!(error, SshError::Connect { .. }) && error.to_string().contains("ProxyCommand"),
        "{error}"
    );
}

#[tokio::test]
async fn a_host_that_is_not_there() {
    let mut target = Target::new("web-1", "127.0.0.1", "me");
    target.port = 1;
    let error = fails(&target).await;
    assert!(matches!(error, SshError::Connect { why: ConnectFailure::Refused, .. }), "{error}");
    assert!(error.to_string().starts_with("web-1 (me@127.0.0.1:1): cannot connect: "), "{error}");
    let mut target = Target::new("web-1", "name.invalid", "me");
    target.connect_timeout = Duration::from_secs(2);
    let error = fails(&target).await;
    assert!(matches!(error, SshError::Resolve { .. }), "{error}");
}

#[tokio::test]
async fn a_host_that_says_nothing_costs_its_deadline() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = Target::new("web-1", "127.0.0.1", "me");
    target.port = listener.local_addr().unwrap().port();
    target.connect_timeout = Duration::from_millis(300);
    let began = Instant::now();
    let error = fails(&target).await;
    assert!(matches!(error, SshError::Deadline { .. }), "{error}");
    assert!(began.elapsed() < Duration::from_millis(1500), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_port_that_speaks_something_else() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut target = Target::new("web-1", "127.0.0.1", "me");
    target.port = listener.local_addr().unwrap().port();
    target.connect_timeout = Duration::from_secs(1);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { return };
            let _ = connection
                .write_all(b"SSH-2.0-thing\r\nnonsense that is no packet at all, and a lot of it too\r\n");
            let _ = connection.shutdown(Shutdown::Write);
        }
    });
    let error = fails(&target).await;
    assert!(!matches!(error, SshError::Busy { .. }), "{error}");
}

#[tokio::test]
async fn a_host_with_too_many_connections_is_tried_again() {
    let server = Server::with(&Plan { config: "MaxStartups 1:100:1\nLoginGraceTime 60", ..Plan::default() });
    // A connection that does not log in holds the only place.
    let hold = std::net::TcpStream::connect(("127.0.0.1", server.port)).unwrap();
    let mut greeting = [0; 4];
    std::io::Read::read_exact(&mut &hold, &mut greeting).unwrap();
    let mut target = server.target();
    target.connect_timeout = Duration::from_millis(500);
    let error = fails(&target).await;
    assert!(
        matches!(&error, SshError::Busy { attempts: 2.., said: Some(said), .. } if said.contains("MaxStartups")),
        "{error}"
    );
    assert_eq!(error.kind(), Kind::Unreachable);
    drop(hold);
}

#[tokio::test]
async fn a_host_that_was_busy_is_reached() {
    let server = Server::start();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut target = server.target();
    target.host_key_alias = Some(format!("[127.0.0.1]:{}", server.port));
    target.port = listener.local_addr().unwrap().port();
    let relay = async {
        for said in ["", "Exceeded MaxStartups\r\n", ""] {
            let (mut near, _) = listener.accept().await.unwrap();
            near.write_all(said.as_bytes()).await.unwrap();
        }
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = tokio::net::TcpStream::connect(("127.0.0.1", server.port)).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    };
    let keys = Keys::new(NoSecrets);
    let connect =
        async { Ssh::connect(&target, &keys).await.unwrap_or_else(|error| panic!("{error}")).close().await };
    tokio::join!(relay, connect);
}

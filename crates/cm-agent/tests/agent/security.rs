//! Who may come in, and that nobody who may not can keep others out.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::tungstenite::Message;

use super::peace::Bystander;
use super::support::{Agent, PATIENCE, Raw, TOKEN, until};

/// One that also listens on TCP, started with these arguments.
async fn on_tcp(args: &[&str]) -> Agent {
    let port =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
    let listen = format!("127.0.0.1:{port}");
    let args = [&["--listen", &listen], args].concat();
    let mut agent = Agent::with_env(&args, &[("CM_AGENT_TOKEN", TOKEN)]).await;
    agent.tcp = Some(port);
    agent
}

async fn connect(agent: &Agent) -> TcpStream {
    TcpStream::connect(("127.0.0.1", agent.tcp.expect("on TCP"))).await.expect("connected")
}

/// Reads until the other end closes.
async fn closed(stream: &mut TcpStream) {
    let mut sink = Vec::new();
    // A reset closes as well.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut sink)).await.expect("closed in time");
}

#[tokio::test]
async fn nothing_is_done_before_the_log_in() {
    let agent = Agent::on_tcp().await;
    let bystander = Bystander::beside(&agent).await;
    let marker = agent.dir.path().join("marker");
    let task = format!("touch {}", marker.display());
    let create = json!({"action": "create_session", "tool": "shell", "task": task});
    let mut with_token = create.clone();
    with_token["auth_token"] = json!(TOKEN);
    let firsts = [
        create.to_string(),
        with_token.to_string(),
        json!({"auth_token": null, "action": "shutdown"}).to_string(),
        json!({"auth_token": ["x"]}).to_string(),
        "nope".into(),
        "[]".into(),
        format!("{}{}", json!({"auth_token": TOKEN}), " ".repeat(1024 * 1024)),
        " ".repeat(5 * 1024 * 1024),
    ];
    for first in firsts {
        let mut raw = agent.raw_tcp().await;
        // Whoever is sent away while still sending may be told so by a broken pipe.
        let _ = futures_util::SinkExt::send(&mut raw.ws, Message::Text(first.clone().into())).await;
        let _ = futures_util::SinkExt::send(&mut raw.ws, Message::Text(create.to_string().into())).await;
        let mut answers = Vec::new();
        loop {
            match raw.receive().await {
                Value::Null => break,
                answer => answers.push(answer),
            }
        }
        assert!(answers.len() <= 1, "{answers:?}");
        assert!(answers.iter().all(|a| a["error"] == "Unauthorized"), "{first:.40} {answers:?}");
    }
    let mut raw = agent.raw_tcp().await;
    futures_util::SinkExt::send(&mut raw.ws, Message::Binary(TOKEN.into())).await.expect("sent");
    assert_eq!(raw.receive().await, Value::Null);
    assert_eq!(agent.client().await.list_sessions().await.expect("listed").len(), 1);
    assert!(!marker.exists());
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn guessing_gets_slow_and_the_right_token_does_not() {
    let agent = Agent::on_tcp().await;
    for wrong in ["", "x", "changeme-changeme-changeme", &TOKEN[1..], &TOKEN.to_uppercase()] {
        let mut raw = agent.raw_tcp().await;
        assert_eq!(
            raw.log_in(wrong).await,
            json!({"error": "Unauthorized", "message": "Invalid authentication token", "code": "unauthorized"})
        );
        assert_eq!(raw.receive().await, Value::Null, "the socket closes");
    }
    let mut waits = Vec::new();
    for _ in 0..2 {
        let began = Instant::now();
        let mut guesser = agent.raw_tcp().await;
        guesser.send(json!({"auth_token": "one more guess, and another"})).await;
        // While a wrong one waits, the right one, from the same address, does not.
        let right = Instant::now();
        let mut raw = agent.raw_tcp().await;
        assert_eq!(raw.log_in(TOKEN).await["status"], "authenticated");
        assert!(right.elapsed() < Duration::from_millis(900), "{:?}", right.elapsed());
        let answer = guesser.receive().await;
        if waits.is_empty() {
            assert_eq!((&answer["error"], &answer["code"]), (&json!("Unauthorized"), &json!("limit")));
        }
        waits.push(began.elapsed());
    }
    // The right token wiped the slate clean: guessing began anew.
    assert!(waits[0] >= Duration::from_secs(1), "{waits:?}");
}

#[tokio::test]
async fn the_kernel_vouches_for_the_same_user() {
    let agent = Agent::start().await;
    assert_eq!(agent.raw().await.log_in("").await["status"], "authenticated");
    assert_eq!(agent.raw().await.log_in("anything").await["status"], "authenticated");
    let first = agent.raw().await.ask(json!({"action": "list_sessions"})).await;
    assert_eq!(first["type"], "sessions_list", "no log-in is needed");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&agent.socket()), 0o600);
    assert_eq!(mode(agent.socket().parent().expect("a directory")), 0o700);
    // The first frame has the same limit as all others.
    let mut raw = agent.raw().await;
    raw.send_text(format!("{}{}", json!({"action": "list_sessions"}), " ".repeat(1024 * 1024))).await;
    assert_eq!(raw.receive().await, Value::Null);
}

/// Names the agent's directory to this test where it was started again as somebody else.
const AS_NOBODY: &str = "CM_TEST_AS_NOBODY";

#[tokio::test]
async fn another_user_is_nobody_even_with_the_door_open() {
    if let Ok(socket) = std::env::var(AS_NOBODY) {
        return as_nobody(&socket).await;
    }
    if !rustix::process::getuid().is_root() {
        // Only root can become somebody else.
        return;
    }
    let agent = Agent::on_tcp().await;
    let socket = agent.socket();
    for path in [agent.dir.path(), socket.parent().expect("a directory"), &socket] {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o777)).expect("opened");
    }
    // This program may lie where nobody may not look.
    let program = agent.dir.path().join("test");
    std::fs::copy(std::env::current_exe().expect("this program"), &program).expect("copied");
    let output = tokio::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["--exact", "security::another_user_is_nobody_even_with_the_door_open", "--nocapture"])
        .env(AS_NOBODY, &socket)
        .stdin(Stdio::null())
        .output()
        .await
        .expect("setpriv runs");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
}

async fn as_nobody(socket: &str) {
    assert_eq!(rustix::process::getuid().as_raw(), 65534);
    let raw = async || Raw::over(UnixStream::connect(socket).await.expect("the door is open")).await;
    let refused = raw().await.ask(json!({"action": "list_sessions"})).await;
    assert_eq!(refused["code"], "unauthorized", "{refused}");
    for (token, expected) in [("", "Invalid authentication token"), ("x", "Invalid authentication token")] {
        assert_eq!(raw().await.log_in(token).await["message"], expected);
    }
    assert_eq!(raw().await.log_in(TOKEN).await["status"], "authenticated");
}

#[tokio::test]
async fn who_connects_and_says_nothing_is_sent_away_at_the_deadline() {
    let agent = on_tcp(&["--login-timeout", "1"]).await;
    let mut bystander = Bystander::beside(&agent).await;
    let began = Instant::now();
    let mut silent = connect(&agent).await;
    let mut half = connect(&agent).await;
    half.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("sent");
    let mut upgraded = agent.raw_tcp().await;
    let mut over_unix = agent.raw().await;
    tokio::join!(closed(&mut silent), closed(&mut half), async {
        assert_eq!(upgraded.receive().await, Value::Null);
        assert_eq!(over_unix.receive().await, Value::Null);
    });
    let took = began.elapsed();
    assert!((Duration::from_millis(900)..Duration::from_secs(10)).contains(&took), "{took:?}");
    // Those that are logged in are none of the deadline's business.
    bystander.works().await;
    // What is no upgrade at all is sent away at once.
    let mut wrong = connect(&agent).await;
    wrong.write_all(b"\x16\x03\x01 hello this is TLS\r\n\r\n").await.expect("sent");
    closed(&mut wrong).await;
    let mut plain = connect(&agent).await;
    plain.write_all(b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc").await.expect("sent");
    closed(&mut plain).await;
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn a_crowd_that_says_nothing_keeps_nobody_out() {
    // Longer than anybody here waits: only the crowd's giving way lets others in.
    let agent = on_tcp(&["--login-timeout", "600"]).await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut crowd = Vec::new();
    for n in 0..300 {
        let mut stream = connect(&agent).await;
        if n % 2 == 0 {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n").await.expect("sent");
        }
        crowd.push(stream);
    }
    // On the unix socket nothing is felt of it, on TCP little.
    bystander.works().await;
    assert_eq!(agent.raw().await.log_in("").await["status"], "authenticated");
    let mut raw = agent.raw_tcp().await;
    assert_eq!(raw.log_in(TOKEN).await["status"], "authenticated");
    drop(crowd);
    assert_eq!(raw.ask(json!({"action": "list_sessions"})).await["type"], "sessions_list");
    bystander.works().await;
}

#[tokio::test]
async fn pings_before_the_log_in_buy_no_time() {
    let agent = on_tcp(&["--login-timeout", "1"]).await;
    let mut raw: Raw<_> = agent.raw_tcp().await;
    until("the agent has had enough", async || {
        let sent = futures_util::SinkExt::send(&mut raw.ws, Message::Ping("x".into())).await;
        let read = tokio::time::timeout(Duration::from_millis(20), raw.ws.next()).await;
        (sent.is_err() || matches!(read, Ok(None | Some(Err(_) | Ok(Message::Close(_)))))).then_some(())
    })
    .await;
}

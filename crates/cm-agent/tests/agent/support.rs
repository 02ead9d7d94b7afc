//! A real agent in scratch directories, a raw client that says exactly what it is told, and waiting without
//! sleeping blindly.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cm_client::{Client, Endpoint};
use cm_protocol::{CreateSession, SessionId};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

/// Longer than anything a test waits for on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
pub const TOKEN: &str = "a-token-long-enough-for-tests";

/// An agent that runs, and everything it may leave behind, which goes with it.
pub struct Agent {
    pub dir: tempfile::TempDir,
    child: tokio::process::Child,
    /// Ends its terminals if this test is killed, and drops nothing.
    watcher: std::process::Child,
    args: Vec<String>,
    env: Vec<(String, String)>,
    pub tcp: Option<u16>,
}

impl Agent {
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// One that also listens on TCP.
    pub async fn on_tcp() -> Self {
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound").port();
        let listen = format!("127.0.0.1:{port}");
        let mut agent = Self::with_env(&["--listen", &listen], &[("CM_AGENT_TOKEN", TOKEN)]).await;
        agent.tcp = Some(port);
        agent
    }

    pub async fn with(args: &[&str]) -> Self {
        Self::with_env(args, &[]).await
    }

    pub async fn with_env(args: &[&str], env: &[(&str, &str)]) -> Self {
        // Short, for sockets have short paths.
        let dir = tempfile::Builder::new().prefix("cmt-").tempdir_in("/tmp").expect("a directory");
        let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
        let env: Vec<_> = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
        let watcher = watcher(dir.path());
        let child = launch(dir.path(), &args, &env).await;
        Self { dir, child, watcher, args, env, tcp: None }
    }

    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("run/agent.sock")
    }

    pub fn state(&self) -> PathBuf {
        self.dir.path().join("state")
    }

    pub fn pid(&self) -> u32 {
        self.child.id().expect("it runs")
    }

    pub async fn client(&self) -> Client {
        Client::connect(&Endpoint::Unix(self.socket()), PATIENCE).await.expect("connected")
    }

    pub async fn raw(&self) -> Raw<UnixStream> {
        let stream = UnixStream::connect(self.socket()).await.expect("connected");
        Raw::over(stream).await
    }

    pub async fn raw_tcp(&self) -> Raw<TcpStream> {
        let port = self.tcp.expect("on TCP");
        Raw::over(TcpStream::connect(("127.0.0.1", port)).await.expect("connected")).await
    }

    /// Ends the agent without letting it do anything.
    pub async fn kill_9(&mut self) {
        self.child.kill().await.expect("killed");
    }

    /// Ends it as a service manager does, and waits.
    pub async fn terminate(&mut self) {
        let pid = rustix::process::Pid::from_raw(self.pid().cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
        let status =
            tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("in time").expect("waited for");
        assert!(status.success(), "{status}");
    }

    /// Waits until it ends by itself.
    pub async fn ended(&mut self) -> std::process::ExitStatus {
        tokio::time::timeout(PATIENCE, self.child.wait()).await.expect("in time").expect("waited for")
    }

    /// Starts another one on the same directories.
    pub async fn restart(&mut self) {
        self.child = launch(self.dir.path(), &self.args, &self.env).await;
    }

    /// tmux servers that answer in its runtime directory.
    pub fn terminals(&self) -> Vec<PathBuf> {
        terminals(self.dir.path())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.start_kill();
        for socket in terminals(self.dir.path()) {
            // A test may have left it stopped.
            let _ = Command::new("timeout").args(["5", "tmux", "-S"]).arg(socket).arg("kill-server").output();
        }
        let _ = self.watcher.kill();
        let _ = self.watcher.wait();
        // A server whose client was cut off with words still to say may wait for it for ever.
        for pid in super::peace::processes_of(&self.socket()) {
            let pid = pid.parse().ok().and_then(rustix::process::Pid::from_raw);
            let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::KILL));
        }
    }
}

/// Waits in a process group of its own for the end of this process, and then ends the terminals in a directory.
fn watcher(dir: &Path) -> std::process::Child {
    let script = "while kill -0 $1 2>/dev/null; do sleep 1; done; \
                  for socket in $2/run/*/tmux.sock; do tmux -S $socket kill-server; done";
    let mut command = Command::new("sh");
    command.args(["-c", script, "watcher", &std::process::id().to_string()]).arg(dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0).spawn().expect("a watcher")
}

fn terminals(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir.join("run")) else { return Vec::new() };
    entries
        .flatten()
        .map(|e| e.path().join("tmux.sock"))
        .filter(|s| std::os::unix::net::UnixStream::connect(s).is_ok())
        .collect()
}

/// The command line of an agent in a directory.
pub fn command(dir: &Path, args: &[String], env: &[(String, String)]) -> tokio::process::Command {
    let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_cm-agent"));
    command.args(["serve", "--placement", "detached"]);
    if !args.iter().any(|arg| arg == "--state-dir") {
        command.args(["--state-dir".as_ref(), dir.join("state").as_os_str()]);
    }
    command
        .args(["--runtime-dir".as_ref(), dir.join("run").as_os_str()])
        .args(args)
        .envs(env.iter().map(|(k, v)| (k, v)))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true);
    command
}

async fn launch(dir: &Path, args: &[String], env: &[(String, String)]) -> tokio::process::Child {
    let mut child = command(dir, args, env).spawn().expect("the agent's binary runs");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("ready in time");
    let line = line.expect("readable").expect("it says ready before it ends");
    assert!(line.starts_with("ready "), "{line}");
    child
}

/// A client that sends and receives exactly what a test says.
pub struct Raw<S> {
    pub ws: WebSocketStream<S>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    pub async fn over(stream: S) -> Self {
        let (ws, _) = tokio_tungstenite::client_async("ws://localhost/", stream).await.expect("upgraded");
        Self { ws }
    }

    pub async fn log_in(&mut self, token: &str) -> Value {
        self.send(json!({"auth_token": token})).await;
        self.receive().await
    }

    pub async fn send(&mut self, frame: Value) {
        self.send_text(frame.to_string()).await;
    }

    pub async fn send_text(&mut self, text: String) {
        self.ws.send(Message::Text(text.into())).await.expect("sent");
    }

    /// The next frame, or `Null` when the agent has closed the connection.
    pub async fn receive(&mut self) -> Value {
        // Pings keep a silent connection busy; they are not what is waited for.
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let next = tokio::time::timeout_at(deadline, self.ws.next()).await.expect("a frame in time");
            match next {
                Some(Ok(Message::Text(text))) => return serde_json::from_str(&text).expect("JSON"),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Value::Null,
                Some(Ok(other)) => panic!("{other:?}"),
            }
        }
    }

    /// The next frame that is no event.
    pub async fn answer(&mut self) -> Value {
        loop {
            let frame = self.receive().await;
            let kind = frame["type"].as_str().unwrap_or("");
            if !matches!(kind, "state_change" | "auto_confirmed" | "session_completed" | "screen") {
                return frame;
            }
        }
    }

    /// Sends a command and receives its answer.
    pub async fn ask(&mut self, frame: Value) -> Value {
        self.send(frame).await;
        self.answer().await
    }

    /// The next event of this type.
    pub async fn event(&mut self, kind: &str) -> Value {
        loop {
            let frame = self.receive().await;
            assert!(!frame.is_null(), "the agent closed the connection");
            if frame["type"] == kind {
                return frame;
            }
        }
    }
}

/// A shell session's request.
pub fn shell(script: &str) -> CreateSession {
    CreateSession { tool: Some("shell".into()), task: Some(script.into()), ..CreateSession::default() }
}

/// Asks again until the answer is what is waited for.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        tokio::task::yield_now().await;
        // The condition is looked at again and again; this only keeps it from eating the machine.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a session's text holds something.
pub async fn shows(client: &Client, session: &SessionId, text: &str) -> String {
    until(&format!("{text:?} on the screen"), async || {
        client.capture_pane(session, 200).await.ok().filter(|output| output.contains(text))
    })
    .await
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.trim_start().starts_with(['Z', 'X']))
}

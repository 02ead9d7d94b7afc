//! A real agent on a real host, by hand or as a unit, and what there is to see of its sessions.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::{Duration, Instant},
};

use cm_agent::host::process::ProcessId;
use cm_client::{Client, Endpoint};
use cm_protocol::{CreateSession, SessionDetail, SessionId};

/// Longer than anything a test waits for on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The agent's program on this host.
pub fn program() -> PathBuf {
    // The path known at compile time is of the machine that built this.
    std::env::var_os("CARGO_BIN_EXE_cm-agent").expect("run by `cargo xtask test hosts`").into()
}

/// One test at a time has this user's `cm-agent.service`.
pub async fn turn() -> tokio::sync::MutexGuard<'static, ()> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    TURN.lock().await
}

/// Directories of one agent, removed with all that runs in them.
pub struct Place {
    pub dir: tempfile::TempDir,
}

impl Place {
    pub fn new() -> Self {
        // Short, for sockets have short paths.
        Self { dir: tempfile::Builder::new().prefix("cms-").tempdir_in("/tmp").expect("a directory") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("run/agent.sock")
    }

    /// The agent's command line here.
    pub fn words(&self, more: &[&str]) -> Vec<String> {
        let (program, state, run) = (program(), self.path("state"), self.path("run"));
        let own = [
            &program,
            Path::new("serve"),
            Path::new("--state-dir"),
            &state,
            Path::new("--runtime-dir"),
            &run,
        ];
        let own = own.iter().map(|word| word.display().to_string());
        own.chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    pub async fn client(&self) -> Client {
        Client::connect(&Endpoint::Unix(self.socket()), PATIENCE)
            .await
            .expect("connected")
            .with_timeout(PATIENCE)
    }

    /// A client as soon as there is an agent to connect to.
    pub async fn new_client(&self) -> Client {
        let endpoint = Endpoint::Unix(self.socket());
        until("an agent", async || Client::connect(&endpoint, PATIENCE).await.ok())
            .await
            .with_timeout(PATIENCE)
    }

    /// What is in the runtime directory of sessions.
    pub fn session_dirs(&self) -> BTreeSet<String> {
        let entries = std::fs::read_dir(self.path("run")).expect("readable").flatten();
        entries.filter_map(|e| e.file_name().into_string().ok()).filter(|n| n.starts_with("cm-")).collect()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for id in self.session_dirs() {
            let unit = format!("cm-session-{}.service", id.trim_start_matches("cm-"));
            let _ = Command::new("systemctl").args(["--user", "stop", &unit]).output();
            let socket = self.path("run").join(id).join("tmux.sock");
            let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
        }
    }
}

/// An agent started by hand.
pub struct ByHand(Child);

impl ByHand {
    /// Starts it and waits for its first line.
    pub fn start(mut command: Command) -> Self {
        use std::io::{BufRead, BufReader};
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().expect("it runs");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("readable");
        assert!(line.starts_with("ready "), "{line:?}");
        Self(child)
    }

    pub fn pid(&self) -> i32 {
        self.0.id().cast_signed()
    }

    /// Ends it without letting it do anything.
    pub fn kill_9(&mut self) {
        self.0.kill().expect("killed");
        self.0.wait().expect("waited for");
    }
}

impl Drop for ByHand {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A command of these words.
pub fn command(words: &[String]) -> Command {
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// An agent as a unit of the user manager.
pub struct AsUnit {
    pub name: String,
}

impl AsUnit {
    /// Returns when the manager says that it has started.
    pub fn start(test: &str, properties: &[&str], words: &[String]) -> Self {
        let name = format!("cm-agent-test-{test}-{}.service", std::process::id());
        let mut run = Command::new("systemd-run");
        run.args(["--user", "--quiet", "--unit", &name]);
        for property in properties {
            run.args(["-p", property]);
        }
        run.arg("--").args(words);
        let unit = Self { name };
        good(&mut run);
        unit
    }

    pub fn systemctl(&self, verb: &[&str]) {
        good(Command::new("systemctl").arg("--user").args(verb).arg(&self.name));
    }

    pub fn show(&self, property: &str) -> String {
        show(&self.name, property)
    }

    pub fn main_pid(&self) -> i32 {
        self.show("MainPID").parse().expect("a pid")
    }
}

impl Drop for AsUnit {
    fn drop(&mut self) {
        for verb in ["stop", "reset-failed"] {
            let _ = Command::new("systemctl").args(["--user", verb, &self.name]).output();
        }
    }
}

/// Runs a command that has to succeed; what it printed.
#[track_caller]
pub fn good(command: &mut Command) -> String {
    let Output { status, stdout, stderr } = command.output().expect("it runs");
    let (stdout, stderr) = (String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{stdout}\n{stderr}");
    stdout.into_owned()
}

/// A property of a unit.
pub fn show(unit: &str, property: &str) -> String {
    let asked = ["--user", "show", "--value", "--property", property, unit];
    good(Command::new("systemctl").args(asked)).trim().to_owned()
}

/// The unit of a session, with its ending.
pub fn service(id: &SessionId) -> String {
    format!("cm-session-{}.service", id.as_str().trim_start_matches("cm-"))
}

/// Whether the manager knows nothing of it any more.
pub fn forgotten(unit: &str) -> bool {
    show(unit, "LoadState") == "not-found"
}

/// Whether a process is in the control group of a unit.
pub fn is_in(pid: i32, unit: &str) -> bool {
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("it runs");
    groups.lines().any(|line| line.split('/').any(|part| part == unit))
}

/// The process that started this one.
pub fn parent(pid: i32) -> i32 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let rest = stat.rsplit(')').next().expect("a stat line");
    rest.split_whitespace().nth(1).expect("a parent").parse().expect("a number")
}

/// A session's program and its tmux server, with their start times.
pub async fn processes(client: &Client, id: &SessionId) -> [ProcessId; 2] {
    let pid = detail(client, id).await.pid.expect("a pid");
    [pid, parent(pid)].map(|pid| ProcessId::of(pid).expect("it runs"))
}

pub async fn detail(client: &Client, id: &SessionId) -> SessionDetail {
    client.get_session(id).await.expect("known")
}

/// A request for a shell that runs a script.
pub fn shell(script: &str) -> CreateSession {
    CreateSession { tool: Some("shell".into()), task: Some(script.into()), ..CreateSession::default() }
}

/// Starts a session; its id.
pub async fn session(client: &Client, script: &str) -> SessionId {
    client.create_session(shell(script)).await.expect("made").session_id
}

/// Waits until a session's text holds something.
pub async fn shows(client: &Client, id: &SessionId, text: &str) -> String {
    until(&format!("{text:?} on the screen"), async || {
        client.capture_pane(id, 200).await.ok().filter(|shown| shown.contains(text))
    })
    .await
}

/// Waits until a session's task has ended; how.
pub async fn outcome(client: &Client, id: &SessionId) -> cm_protocol::Outcome {
    until("it ends", async || detail(client, id).await.info.outcome).await
}

/// Asks again until the answer is what is waited for.
pub async fn until<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for: {what}");
        // The condition is looked at again and again; this only keeps it from eating the machine.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

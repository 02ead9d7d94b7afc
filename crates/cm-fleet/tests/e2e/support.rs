//! A place of its own for each test, the program run in it, and the proof that nothing is left of it.

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::process::{Child, Command};

/// Longer than anything a test waits for on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// Directories for one test. Whatever runs in them names them in its environment or command line.
pub struct Place {
    dir: tempfile::TempDir,
}

/// What a command said.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Place {
    pub fn new() -> Self {
        // Short, for sockets have short paths.
        let dir = tempfile::Builder::new().prefix("cme-").tempdir_in("/tmp").expect("a directory");
        for name in ["home", "r", "w"] {
            let path = dir.path().join(name);
            std::fs::create_dir(&path).expect("made");
            let private = std::os::unix::fs::PermissionsExt::from_mode(0o700);
            std::fs::set_permissions(&path, private).expect("made private");
        }
        Self { dir }
    }

    /// A file or directory in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// The program, with nothing of the environment of whoever runs the tests.
    pub fn fleet(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cm-fleet"));
        command.args(args).env_clear().envs(self.env()).current_dir(self.path("w"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    pub fn env(&self) -> Vec<(String, String)> {
        let own = |name: &str| self.path(name).display().to_string();
        let path = std::env::var("PATH").expect("a PATH");
        let bin = Path::new(env!("CARGO_BIN_EXE_cm-fleet")).parent().expect("it has one");
        [
            ("HOME", own("home")),
            ("XDG_RUNTIME_DIR", own("r")),
            ("XDG_STATE_HOME", own("s")),
            ("PATH", format!("{}:{path}", bin.display())),
            ("LANG", "C.UTF-8".into()),
            ("TERM", "xterm-256color".into()),
            ("PS1", "$ ".into()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    /// Runs the program to its end.
    pub async fn run(&self, args: &[&str]) -> Ran {
        finish(self.fleet(args)).await
    }

    /// The same, and the exit code must be this one.
    pub async fn expect(&self, code: i32, args: &[&str]) -> Ran {
        let ran = self.run(args).await;
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:#?}");
        ran
    }

    /// The events of a run told as JSON.
    pub async fn events(&self, code: i32, args: &[&str]) -> Vec<Value> {
        let all: Vec<&str> = ["dispatch", "--json"].iter().chain(args).copied().collect();
        events(&self.expect(code, &all).await.out)
    }

    /// Starts a session that goes on without us; its id.
    pub async fn detach(&self, args: &[&str]) -> String {
        let all: Vec<&str> =
            ["dispatch", "--tool", "shell", "-d", "-q"].iter().chain(args).copied().collect();
        let id = self.expect(0, &all).await.out.trim().to_owned();
        assert!(id.starts_with("cm-"), "{id}");
        id
    }

    /// Waits until no session has a terminal any more.
    pub async fn no_sessions(&self, global: &[&str]) {
        let args: Vec<&str> = global.iter().copied().chain(["sessions", "--json"]).collect();
        let start = Instant::now();
        while !self.expect(0, &args).await.out.is_empty() {
            assert!(start.elapsed() < PATIENCE, "waited in vain until all sessions are closed");
        }
    }

    /// What the agent says of itself.
    pub async fn status(&self) -> Value {
        let ran = self.expect(0, &["agent", "status", "--json"]).await;
        serde_json::from_str(&ran.out).expect("JSON")
    }

    /// The agents that run here.
    pub fn agents(&self) -> Vec<Pid> {
        let serves = |pid: &Pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|b| *b == 0).any(|word| word == b"serve")
        };
        self.processes().into_iter().filter(serves).collect()
    }

    /// The one agent that runs here.
    pub fn agent(&self) -> Pid {
        let agents = self.agents();
        assert_eq!(agents.len(), 1, "{agents:?}");
        agents[0]
    }

    pub fn socket(&self) -> PathBuf {
        self.path("r/cm-agent/agent.sock")
    }

    /// Everything that runs here.
    pub fn processes(&self) -> Vec<Pid> {
        let name = self.dir.path().to_str().expect("text").as_bytes().to_vec();
        let names_it = |pid: &Pid| {
            ["environ", "cmdline"].iter().any(|file| {
                let all = std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
                all.windows(name.len()).any(|part| part == name)
            })
        };
        let entries = std::fs::read_dir("/proc").expect("procfs").flatten();
        let pids = entries.filter_map(|entry| Pid::from_raw(entry.file_name().to_str()?.parse().ok()?));
        pids.filter(names_it).collect()
    }

    /// Ends all that runs here as a user would, and looks for what is left.
    pub async fn close(self) {
        self.expect(0, &["kill", "--all"]).await;
        self.expect(0, &["agent", "stop"]).await;
        self.empty().await;
    }

    /// Waits until nothing runs here and no socket is left.
    pub async fn empty(&self) {
        until("no process is left", || self.processes().is_empty().then_some(())).await;
        let left: Vec<_> = std::fs::read_dir(self.path("r/cm-agent")).expect("it was used").collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

impl Drop for Place {
    /// For a test that failed: only what names this test's own directory is ended.
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

/// Runs a command to its end, within reason.
pub async fn finish(mut command: Command) -> Ran {
    ended(command.spawn().expect("it starts")).await
}

/// Waits for a child's end, and reads what it said.
pub async fn ended(child: Child) -> Ran {
    let waited = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
    let Output { status, stdout, stderr } = waited.expect("it ends in time").expect("it can be waited for");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: status.code(), out: text(stdout), err: text(stderr) }
}

/// The events of a run, the frame of them checked: a first, a last, times that do not go back.
pub fn events(out: &str) -> Vec<Value> {
    let all: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let first = all.first().expect("some")["type"].as_str().expect("text");
    assert!(["run_started", "run_resumed"].contains(&first), "{first}");
    assert_eq!(all.last().expect("some")["type"], "run_finished");
    assert!(all.is_sorted_by_key(|event| event["at"].as_f64()), "{all:#?}");
    all
}

/// Those of one type.
pub fn of<'a>(events: &'a [Value], kind: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event["type"] == kind).collect()
}

/// Looks again until there is what is waited for.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain until {what}");
        // The condition decides; this only keeps it from eating the machine.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Waits for a file that a task makes.
pub async fn appears(path: &Path) {
    until(&format!("{} exists", path.display()), || path.exists().then_some(())).await;
}

pub fn signal(pid: Pid, signal: Signal) {
    kill_process(pid, signal).expect("it lives");
}

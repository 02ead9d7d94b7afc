//! `cm-agent keeper` and `cm-agent bridge` as programs, without a container around them.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use cm_agent::container::wire::{Ask, Start, Told};

/// Longer than anything a test waits for on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

fn program(dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cm-agent"));
    command.env("CM_AGENT_STATE_DIR", dir.join("state")).env("CM_AGENT_RUNTIME_DIR", dir.join("run"));
    command.stdin(Stdio::null());
    command
}

/// A keeper that runs; it goes with this value, and what it started is told to.
struct Keeper {
    dir: tempfile::TempDir,
    child: Child,
}

impl Keeper {
    fn start() -> Self {
        // Short, for sockets have short paths.
        let dir = tempfile::Builder::new().prefix("cmk-").tempdir_in("/tmp").expect("a directory");
        let child = program(dir.path()).arg("keeper").spawn().expect("runs");
        let keeper = Self { dir, child };
        until("it answers", || UnixStream::connect(keeper.socket()).ok());
        keeper
    }

    fn socket(&self) -> std::path::PathBuf {
        self.dir.path().join("run/keeper.sock")
    }

    fn says(&self, line: &str) -> String {
        let mut stream = UnixStream::connect(self.socket()).expect("connected");
        stream.set_read_timeout(Some(PATIENCE)).expect("set");
        stream.write_all(line.as_bytes()).expect("sent");
        let mut said = String::new();
        stream.read_to_string(&mut said).expect("read");
        said.trim().to_owned()
    }

    fn ask(&self, ask: &Ask) -> Told {
        let line = serde_json::to_string(ask).expect("text") + "\n";
        serde_json::from_str(&self.says(&line)).expect("an answer")
    }

    /// Starts a server that stays and is a session's, as far as its mark goes.
    fn stays(&self, id: &str) -> Told {
        std::fs::create_dir_all(self.dir.path().join("run").join(id)).expect("made");
        // As tmux: what is started ends, what it has left behind lives.
        let script = "setsid sh -c 'while test -e \"$0\"; do sleep 0.1; done' \"$1\" >/dev/null 2>&1 &";
        let alive = self.dir.path().join("alive");
        std::fs::write(&alive, "").expect("written");
        let argv = ["/bin/sh", "-c", script, "sh", alive.to_str().expect("text")];
        self.ask(&Ask::Start(Start { env: vec![("CM_SESSION_TERMINAL".into(), id.into())], ..start(&argv) }))
    }

    fn terminate(&self) {
        let pid = rustix::process::Pid::from_raw(self.child.id().cast_signed()).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).expect("told");
    }

    fn living(&self) -> String {
        let output = program(self.dir.path()).args(["keeper", "--living"]).output().expect("runs");
        assert!(output.status.success());
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(self.dir.path().join("alive"));
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(argv: &[&str]) -> Start {
    Start {
        argv: argv.iter().map(|&word| word.to_owned()).collect(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        dir: "/".into(),
        needs_dirs: Vec::new(),
        needs_programs: Vec::new(),
        within_ms: 20_000,
    }
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "waited in vain until {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_cannot_be_started_is_said_and_costs_nothing() {
    let keeper = Keeper::start();
    let check = |start: Start, expected: &str| match keeper.ask(&Ask::Start(start)) {
        Told::Refused { why } => assert!(why.contains(expected), "{why}"),
        told => panic!("{told:?}, not: {expected}"),
    };
    check(start(&[]), "no program");
    check(start(&["/nowhere/tmux"]), "cannot run /nowhere/tmux in /: No such file");
    check(start(&["/bin/sh", "-c", "echo bad option >&2; exit 1"]), "bad option");
    check(start(&["/bin/sh", "-c", "exit 3"]), "exit status: 3");
    check(Start { within_ms: 50, ..start(&["/bin/sleep", "600"]) }, "has not ended");
    check(Start { dir: "/nowhere".into(), ..start(&["/bin/true"]) }, "in /nowhere");
    let needs = |dir: &str, program: &str| Start {
        needs_dirs: vec![dir.into()],
        needs_programs: vec![program.into()],
        ..start(&["/bin/true"])
    };
    check(needs("/nowhere", "/bin/true"), "/nowhere is no directory in the keeper's container");
    check(needs("/", "/nowhere/claude"), "/nowhere/claude cannot be run in the keeper's container");
    assert!(matches!(keeper.ask(&Ask::Start(needs("/", "/bin/true"))), Told::Started { .. }));
    for nonsense in ["\n", "{}\n", "[1,2\n", "{\"ask\":\"dance\",\"key\":\"poison\"}\n"] {
        let said = keeper.says(nonsense);
        assert!(said.contains("that is no question") && !said.contains("poison"), "{said}");
    }
    assert_eq!(keeper.living(), r#"{"living":0}"#);
}

#[test]
fn it_stays_while_a_session_lives_and_takes_no_more() {
    let mut keeper = Keeper::start();
    let id = format!("cm-{}", "0".repeat(32));
    assert!(matches!(keeper.stays(&id), Told::Started { .. }));
    assert_eq!(keeper.living(), r#"{"living":1}"#);
    keeper.terminate();
    until("it says so", || {
        matches!(keeper.ask(&Ask::Hello), Told::Hello(hello) if hello.ending).then_some(())
    });
    let refused = keeper.ask(&Ask::Start(start(&["/bin/true"])));
    assert!(matches!(refused, Told::Refused { why } if why.contains("takes no more")));
    std::fs::remove_file(keeper.dir.path().join("alive")).expect("removed");
    let status = until("it ends", || keeper.child.try_wait().expect("waited for"));
    assert!(status.success());
    assert!(!keeper.socket().exists());
}

#[test]
fn told_twice_it_ends_and_a_second_one_is_refused_before() {
    let mut keeper = Keeper::start();
    let id = format!("cm-{}", "1".repeat(32));
    keeper.stays(&id);
    let other = program(keeper.dir.path()).arg("keeper").output().expect("runs");
    assert_eq!(other.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&other.stderr).contains("another keeper answers"));
    keeper.terminate();
    until("it says so", || {
        matches!(keeper.ask(&Ask::Hello), Told::Hello(hello) if hello.ending).then_some(())
    });
    keeper.terminate();
    assert!(until("it ends", || keeper.child.try_wait().expect("waited for")).success());
}

/// A bridge to a socket that the test serves.
fn bridge(socket: &Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cm-agent"));
    command.args(["bridge", "--socket"]).arg(socket).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().expect("runs")
}

#[test]
fn a_bridge_passes_on_bytes_and_ends_both_ways() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let mut bridge = bridge(&socket);
    let (mut there, _) = listener.accept().expect("connected");
    there.set_read_timeout(Some(PATIENCE)).expect("set");
    let (mut input, mut output) = (bridge.stdin.take().expect("piped"), bridge.stdout.take().expect("piped"));
    // More than any buffer between them, both ways at once.
    let much: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    let (sent, answered) = (much.clone(), much.clone());
    let writer = std::thread::spawn(move || {
        input.write_all(&sent).expect("written");
        // The end of its input is passed on …
        drop(input);
    });
    let mut back = there.try_clone().expect("cloned");
    let answer = std::thread::spawn(move || {
        back.write_all(&answered).expect("written");
        back
    });
    let mut got = vec![0; much.len()];
    output.read_exact(&mut got).expect("read");
    assert!(got == much);
    let mut heard = Vec::new();
    there.read_to_end(&mut heard).expect("read to its end");
    assert!(heard == much);
    writer.join().expect("done");
    // … and what the agent says after that still comes.
    answer.join().expect("done").write_all(b"last words").expect("written");
    there.shutdown(std::net::Shutdown::Both).expect("ended");
    let mut last = String::new();
    output.read_to_string(&mut last).expect("read");
    assert_eq!(last, "last words");
    assert!(until("it ends", || bridge.try_wait().expect("waited for")).success());
}

#[test]
fn a_bridge_ends_with_the_agent_while_its_input_stays_open() {
    let dir = tempfile::tempdir().expect("a directory");
    let socket = dir.path().join("agent.sock");
    let listener = UnixListener::bind(&socket).expect("bound");
    let mut bridge = bridge(&socket);
    let (there, _) = listener.accept().expect("connected");
    drop(there);
    assert!(until("it ends", || bridge.try_wait().expect("waited for")).success());
}

#[test]
fn a_bridge_to_nobody_says_so() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut command = Command::new(env!("CARGO_BIN_EXE_cm-agent"));
    let output =
        command.args(["bridge", "--socket"]).arg(dir.path().join("agent.sock")).output().expect("runs");
    assert_eq!(output.status.code(), Some(3));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.starts_with("cm-agent bridge: no agent on ") && said.lines().count() == 1, "{said}");
}

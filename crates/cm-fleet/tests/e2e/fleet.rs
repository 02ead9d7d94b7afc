//! Commands over many hosts: a real sshd stands for all of them, an agent played by the test is behind each.

#[path = "../../../cm-ssh/tests/sshd/server.rs"]
#[allow(dead_code)]
pub mod sshd;

use std::process::Command;
use std::sync::Arc;

use cm_protocol::SessionInfo;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::net::TcpListener;
use tokio_util::task::AbortOnDropHandle;

use crate::fake::{Agent, command, question, session};
use crate::support::{PATIENCE, Place, Ran, ended, signal, until};
use crate::terminal::Terminal;

/// A place with `fleet.yaml`, whose hosts are all one sshd.
pub struct Fleet {
    pub place: Place,
    server: sshd::Server,
    hosts: String,
    tasks: Vec<AbortOnDropHandle<()>>,
}

impl Fleet {
    pub fn new() -> Self {
        let (place, server) = (Place::new(), sshd::Server::start());
        // It writes the file of known hosts.
        server.target();
        let config = format!("Host *\n  UserKnownHostsFile {}\n", server.path("known_hosts").display());
        std::fs::write(place.path("w/ssh_config"), config).expect("written");
        std::fs::write(place.path("w/token"), "s3cret\n").expect("written");
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(place.path("w/token"), private).expect("made private");
        Self { place, server, hosts: String::new(), tasks: Vec::new() }
    }

    /// A host whose agent has these sessions.
    async fn host(&mut self, name: &str, sessions: Vec<SessionInfo>) -> Arc<Agent> {
        let agent = Agent::new(sessions, Some("s3cret"));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let serving = Arc::clone(&agent);
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let serving = Arc::clone(&serving);
                tokio::spawn(async move { serving.serve(stream).await });
            }
        })));
        self.more(&format!("  {name}: {{agent: {{port: {port}, token: 'file:token'}}}}\n"));
        agent
    }

    /// A port that takes connections and says nothing.
    async fn mute(&mut self) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        self.tasks.push(AbortOnDropHandle::new(tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                held.push(stream);
            }
        })));
        port
    }

    pub fn more(&mut self, host: &str) {
        self.hosts.push_str(host);
        let defaults = format!(
            "{{address: 127.0.0.1, port: {}, user: {}, identity: {}}}",
            self.server.port,
            sshd::user(),
            self.server.path("client").display()
        );
        let text = format!("fleet: t\ndefaults: {defaults}\nhosts:\n{}", self.hosts);
        std::fs::write(self.place.path("w/fleet.yaml"), text).expect("written");
    }

    pub async fn expect(&self, code: i32, line: &str) -> Ran {
        let mut words: Vec<&str> = line.split(' ').collect();
        words.extend(["-F", "ssh_config", "--connect-timeout", "2"]);
        self.place.expect(code, &words).await
    }
}

/// That all of these are in a text.
#[track_caller]
fn has(text: &str, parts: &[&str]) {
    parts.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in {text}"));
}

#[tokio::test]
async fn sessions_of_all_hosts_whoever_is_silent() {
    let mut fleet = Fleet::new();
    let one = fleet
        .host("h1", vec![session("aaaa", "one", command(3, "make")), session("abab", "same", None)])
        .await;
    let two = fleet
        .host("h2", vec![session("bbbb", "two", command(9, "make")), session("cccc", "same", None)])
        .await;
    let frozen = fleet.mute().await;
    fleet.more("  dead: {port: 1}\n");
    fleet.more(&format!("  mute: {{port: {frozen}}}\n"));
    fleet.more(&format!("  stuck: {{agent: {{port: {frozen}, token: 'file:token'}}}}\n"));

    let some = fleet.expect(1, "sessions -i fleet.yaml --json").await;
    let rows: Vec<Value> = some.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let told: Vec<_> = rows.iter().map(|row| (row["host"].as_str(), row["name"].as_str())).collect();
    assert_eq!(
        told,
        [("h1", "one"), ("h1", "same"), ("h2", "two"), ("h2", "same")].map(|(a, b)| (Some(a), Some(b)))
    );
    has(
        &some.err,
        &[
            "not reached: dead (",
            "cannot connect: connection refused",
            "not reached: mute (",
            "not reached: stuck: ",
        ],
    );
    let all = fleet.expect(0, "sessions -i fleet.yaml --on h*").await;
    has(&all.out, &["host  session", "h1    aaaa", "h2    bbbb", "`cm-fleet inbox` shows"]);
    has(&fleet.expect(3, "sessions --on dead,mute").await.err, &["none of the 2 hosts could be reached"]);
    has(&fleet.expect(3, "sessions --on dead").await.err, &["cannot reach the agent on dead"]);

    // One session, wherever it is; who was not looked at is said.
    let found = fleet.expect(0, "explain two -i fleet.yaml").await;
    has(&found.out, &["bbbb0000  two"]);
    has(&found.err, &["not looked at: dead (", "stuck: "]);
    // Those who are silent for long hold nobody up: an id is known soon, a whole one at once.
    let patient = ["-i", "fleet.yaml", "-F", "ssh_config", "--connect-timeout", "300"];
    let printed = fleet.place.expect(0, &[&["explain", "bbbb0000"], &patient[..]].concat()).await;
    has(&printed.err, &["not looked at: ", "mute: no answer within 2 s after another host's"]);
    let whole = format!("cm-{:0<32}", "bbbb");
    let whole = fleet.place.expect(0, &[&["explain", &whole], &patient[..]].concat()).await;
    assert_eq!(whole.err, "");
    let unclear = fleet.expect(2, "explain same --on h*").await;
    has(&unclear.err, &["`same` could be any of 2 sessions", "h1  abab00  running", "h2  cccc00  running"]);
    let nobody = fleet.expect(1, "logs nobody --on h*,dead").await;
    has(&nobody.err, &["no session is called `nobody`", "not looked at: dead"]);

    // Prompts of one class on several hosts.
    let inbox = fleet.expect(0, "inbox --on h*").await;
    has(&inbox.out, &["aaaa0000  h1 · one", "bbbb0000  h2 · two", "--same settles 1 like it, too"]);
    let settled = fleet.expect(0, "approve one --same --on h*").await;
    assert_eq!(settled.out, "aaaa0000 approved\nbbbb0000 approved\n");
    assert_eq!(one.answered(), ["aaaa/3 Allow [] None"]);
    assert_eq!(two.answered(), ["bbbb/9 Allow [] None"]);
    let denied = fleet.expect(1, "deny --all --on h2,dead").await;
    assert_eq!(denied.out, "bbbb0000 denied\n");
    two.answered();

    let asked = fleet.expect(2, "kill --all --on h*").await;
    has(&asked.err, &["kill 4 sessions on 2 hosts", "--yes"]);
    fleet.expect(0, "kill two aaaa --on h*").await;
    assert_eq!((one.killed(), two.killed()), (vec!["aaaa".to_owned()], vec!["bbbb".to_owned()]));
    fleet.expect(0, "kill --all --yes --on h*").await;
    assert_eq!((one.killed().len(), two.killed().len()), (2, 2));
    fleet.expect(0, "kill --all --on h1").await;
    assert_eq!((one.killed().len(), two.killed().len()), (2, 0));
}

#[tokio::test]
async fn an_inventory_that_lies_here_is_meant_and_gets_no_token() {
    let mut fleet = Fleet::new();
    fleet.host("h1", vec![session("aaaa", "one", command(3, "make"))]).await;
    let asked = fleet.expect(3, "sessions").await;
    has(&asked.err, &["cannot reach the agent on h1", "-i fleet.yaml names it"]);
    fleet.expect(0, "sessions --on all").await;
    let good = std::fs::read_to_string(fleet.place.path("w/fleet.yaml")).expect("read");
    std::fs::write(fleet.place.path("w/fleet.yaml"), "bundles: []\n").expect("written");
    has(&fleet.expect(2, "sessions").await.err, &["there is no key `bundles`", "--local means this machine"]);
    std::fs::write(fleet.place.path("w/fleet.yaml"), good).expect("written");
    // This machine's agent is one of those asked, if it runs.
    fleet.expect(3, "sessions --local --no-start").await;
    let id = fleet.place.detach(&["--local", "--name", "here", "exec cat"]).await;
    let both = fleet.expect(1, "sessions").await;
    has(&both.out, &["host   session", "local  ", "here"]);
    assert_eq!(fleet.expect(0, "sessions --local --json").await.out.lines().count(), 1);
    fleet.expect(0, &format!("kill {id}")).await;
    fleet.expect(0, "kill --all --local").await;
    fleet.place.expect(0, &["agent", "stop"]).await;
    fleet.place.empty().await;
}

#[tokio::test]
async fn questions_as_they_come() {
    let mut fleet = Fleet::new();
    let one = fleet.host("h1", vec![session("aaaa", "one", command(3, "make"))]).await;
    let two = fleet.host("h2", vec![session("bbbb", "two", None)]).await;
    fleet.more("  dead: {port: 1}\n");
    let notify = "echo \"$CM_HOST $CM_TASK $CM_QUESTION $CM_SESSION\" >> told";
    let args = ["inbox", "--watch", "--json", "-i", "fleet.yaml", "-F", "ssh_config", "--notify", notify];
    let mut child = fleet.place.fleet(&args).spawn().expect("it starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut next = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
        let told: Value = serde_json::from_str(&line.expect("one more")).expect("JSON");
        [&told["event"], &told["host"], &told["name"]].map(|word| word.as_str().expect("text").to_owned())
    };
    assert_eq!(next().await, ["asked", "h1", "one"]);
    two.becomes(vec![session("bbbb", "two", question(7))]);
    // It may not follow yet; then it sees the question when it does.
    assert_eq!(next().await, ["asked", "h2", "two"]);
    one.becomes(vec![]);
    assert_eq!(next().await, ["settled", "h1", "one"]);
    two.becomes(vec![session("bbbb", "two", question(8))]);
    assert_eq!(next().await, ["settled", "h2", "two"]);
    assert_eq!(next().await, ["asked", "h2", "two"]);
    let told = until("all are told", || {
        let told = std::fs::read_to_string(fleet.place.path("w/told")).unwrap_or_default();
        (told.lines().count() == 3).then_some(told)
    })
    .await;
    has(&told, &["h1 one asks to run make cm-aaaa", "h2 two asks: Which database? cm-bbbb"]);
    let pid = Pid::from_raw(child.id().expect("it runs").cast_signed()).expect("a pid");
    signal(pid, Signal::INT);
    let ran = ended(child).await;
    assert_eq!(ran.code, Some(1), "a host is not reached: {ran:?}");
    has(&ran.err, &["not reached: dead: "]);
    assert!(!ran.err.contains('\x07') && !ran.out.contains('\x07'), "no terminal, no bell");
}

#[tokio::test]
async fn questions_on_a_terminal_ring() {
    let mut fleet = Fleet::new();
    let one = fleet.host("h1", vec![]).await;
    let terminal = Terminal::open(&fleet.place, "100", &[]);
    terminal.enter("clear; cm-fleet inbox --watch -i fleet.yaml -F ssh_config; echo \"left\"=$?");
    terminal.shows("nothing waits").await;
    let written = fleet.place.path("written");
    terminal.pipe(&written);
    one.becomes(vec![session("aaaa", "one", command(3, "make"))]);
    let screen = terminal.shows("cm-fleet approve aaaa0000/3").await;
    has(&screen, &["1 waits", "aaaa0000  h1 · one"]);
    until("it rings", || {
        let text = std::fs::read_to_string(&written).unwrap_or_default();
        text.contains("\x07\x1b]9;cm-fleet: h1  aaaa0000/3 one asks to run make\x07").then_some(())
    })
    .await;
    one.becomes(vec![]);
    terminal.shows("nothing waits").await;
    terminal.keys(&["C-c"]);
    terminal.shows("left=0").await;
    terminal.close();
}

/// How many of the modes of a usual terminal are set; what is typed does not contain the answer.
const MODES: &str = "clear; echo mo\"\"des=$(stty -a | tr ' ' '\\n' | grep -c '^icanon$\\|^echo$')";

/// A tmux as an agent makes one for a session.
fn tmux(place: &Place) -> std::path::PathBuf {
    let socket = place.path("session.sock");
    let script = "stty -echo; echo ready; while read line; do echo \"got $line\"; done";
    let mut tmux = Command::new("tmux");
    tmux.arg("-S").arg(&socket).args([
        "-f",
        "/dev/null",
        "new-session",
        "-d",
        "-s",
        "main",
        "-x",
        "80",
        "-y",
        "20",
    ]);
    tmux.arg(script).args([";", "set-option", "-g", "status", "off"]);
    assert!(tmux.env_clear().envs(place.env()).status().expect("tmux runs").success());
    socket
}

fn size_there(socket: &std::path::Path) -> String {
    let mut tmux = Command::new("tmux");
    tmux.arg("-S").arg(socket).args([
        "display-message",
        "-p",
        "-t",
        "main",
        "#{window_width}x#{window_height}",
    ]);
    String::from_utf8(tmux.output().expect("tmux runs").stdout).expect("UTF-8").trim().to_owned()
}

#[tokio::test]
async fn a_terminal_on_a_host_looked_at_and_taken() {
    let mut fleet = Fleet::new();
    let one = fleet.host("h1", vec![session("aaaa", "one", None)]).await;
    let socket = tmux(&fleet.place);
    one.terminals_at(&socket);
    let terminal = Terminal::open(&fleet.place, "100", &[]);
    let attach = "cm-fleet attach one -i fleet.yaml -F ssh_config";
    terminal.enter(&format!("clear; {attach}; echo \"left\"=$?"));
    terminal.shows("ready").await;
    // Nothing that is typed by who looks arrives.
    terminal.enter("unseen");
    terminal.keys(&["q"]);
    let screen = terminal.shows("left=0").await;
    has(&screen, &["session aaaa0000 on h1: looking only, q or Ctrl-C leaves; --take types"]);

    terminal.enter(&format!("clear; {attach} --take; echo \"left\"=$?"));
    terminal.shows("ready").await;
    terminal.enter("hello");
    let screen = terminal.shows("got hello").await;
    assert!(!screen.contains("unseen"), "{screen}");
    until("it has this terminal's size", || (size_there(&socket) == "100x24").then_some(())).await;
    terminal.resize("90");
    until("it follows", || (size_there(&socket) == "90x24").then_some(())).await;
    terminal.keys(&["C-b", "d"]);
    terminal.shows("left=0").await;
    // Keys are shown again, and go through the shell.
    terminal.enter(MODES);
    terminal.shows("modes=2").await;

    // A link that breaks leaves the terminal as it was.
    terminal.enter(&format!("clear; {attach} --take; echo \"left\"=$?"));
    terminal.shows("got hello").await;
    let is_client = |pid: &Pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.starts_with(b"tmux\0-u\0-S")
    };
    signal(fleet.place.processes().into_iter().find(is_client).expect("a client"), Signal::KILL);
    let screen = terminal.shows("left=1").await;
    has(&screen, &["was not shown"]);
    terminal.enter(MODES);
    terminal.shows("modes=2").await;
    terminal.close();
    let refused = fleet.expect(2, "attach one -i fleet.yaml").await;
    has(&refused.err, &["attach needs a terminal", "logs -f"]);
}

#[tokio::test]
async fn contexts() {
    let mut fleet = Fleet::new();
    fleet.host("h1", vec![session("aaaa", "one", None)]).await;
    let port =
        fleet.hosts.split("port: ").nth(1).and_then(|rest| rest.split(',').next()).expect("one").to_owned();
    let place = &fleet.place;
    assert_eq!(place.expect(0, &["ctx", "list"]).await.out, "no contexts\n");
    has(&place.expect(2, &["sessions", "--ctx", "lab"]).await.err, &["there are no contexts yet"]);
    let ssh_port = fleet.server.port.to_string();
    let key = fleet.server.path("client").display().to_string();
    let user = sshd::user();
    let add = [
        "ctx",
        "add",
        "lab",
        "--host",
        "127.0.0.1",
        "--user",
        &user,
        "--port",
        &ssh_port,
        "--identity",
        &key,
    ];
    let over = ["--agent-port", &port, "--agent-token-file", "token"];
    place.expect(0, &[&add[..], &over].concat()).await;
    has(&place.expect(2, &add).await.err, &["there is a context `lab` already", "--force"]);
    place.expect(2, &[&["ctx", "add", "x"], &over[..2], &["--agent-token-file", "none"]].concat()).await;
    place.expect(2, &["ctx", "add", "all"]).await;
    place.expect(2, &["ctx", "add", "it's"]).await;
    place.expect(0, &["ctx", "add", "other", "--host", "h.example.com"]).await;
    let listed = place.expect(0, &["ctx", "list"]).await.out;
    let lab = format!("{user}@127.0.0.1:{ssh_port}  port {port}");
    has(&listed, &["name ", "lab ", &lab, "other  h.example.com "]);
    let shown = place.expect(0, &["ctx", "show", "lab"]).await.out;
    has(&shown, &["name      lab\n", &format!("token     file:{}\n", place.path("w/token").display()), &key]);
    let file = place.path("home/.config/cm-fleet/contexts.yaml");
    let mode =
        std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).expect("there").permissions());
    assert_eq!(mode & 0o777, 0o600);
    place.expect(0, &["check", file.to_str().expect("text")]).await;
    has(&fleet.expect(0, "sessions --ctx lab").await.out, &["lab   aaaa00", "one"]);
    has(
        &fleet.expect(2, "sessions --ctx labb").await.err,
        &["there is no context `labb`", "there are: lab, other"],
    );
    has(&fleet.expect(2, "start shell x --ctx labb").await.err, &["there is no context `labb`"]);
    // What somebody wrote by hand is not lost.
    let text = std::fs::read_to_string(&file).expect("read");
    std::fs::write(&file, text.clone() + "    labels: {zone: eu}\n").expect("written");
    let kept = place.expect(1, &["ctx", "remove", "lab"]).await;
    has(&kept.err, &["the contexts are as they were", "of `other` more is said"]);
    std::fs::write(&file, text).expect("written");
    place.expect(0, &["ctx", "remove", "lab"]).await;
    place.expect(2, &["ctx", "show", "lab"]).await;
    assert_eq!(place.expect(0, &["ctx", "list", "--json"]).await.out.lines().count(), 1);
}

#[tokio::test]
async fn a_task_for_a_context() {
    let fleet = Fleet::new();
    let place = &fleet.place;
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let listen = free.to_string();
    let mut agent = place
        .fleet(&["__agent", "serve", "--listen", &listen, "--token-file", "token"])
        .spawn()
        .expect("it starts");
    let mut lines = BufReader::new(agent.stdout.take().expect("piped")).lines();
    let ready = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("in time").expect("read");
    assert!(ready.is_some_and(|line| line.starts_with("ready ")));
    let (ssh_port, agent_port) = (fleet.server.port.to_string(), free.port().to_string());
    let key = fleet.server.path("client").display().to_string();
    let user = sshd::user();
    let add = [
        "ctx",
        "add",
        "lab",
        "--host",
        "127.0.0.1",
        "--user",
        &user,
        "--port",
        &ssh_port,
        "--identity",
        &key,
    ];
    let over = ["--agent-port", &agent_port, "--agent-token-file", "token"];
    place.expect(0, &[&add[..], &over].concat()).await;
    let path = place.path("w").display().to_string();
    let run = ["start", "shell", "pwd; exit 3", "--ctx", "lab", "-C", &path, "--plain", "-F", "ssh_config"];
    let ran = place.expect(1, &run).await;
    has(&format!("{}{}", ran.out, ran.err), &["failed", "exit 3", &path]);
    let pid = Pid::from_raw(agent.id().expect("it runs").cast_signed()).expect("a pid");
    signal(pid, Signal::TERM);
    ended(agent).await;
    place.empty().await;
}

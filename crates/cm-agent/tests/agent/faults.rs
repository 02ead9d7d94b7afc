//! A host that is not as it should be: what keeps an agent from starting says so, and a full disk is borne.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Stdio;

use serde_json::json;

use super::elsewhere;
use super::peace::{Bystander, entries, session};
use super::support::{Agent, PATIENCE, Raw, command};

/// Starts an agent that must not start; its exit code and its last words.
async fn refused(dir: &Path, args: &[&str], env: &[(&str, &str)]) -> (i32, String) {
    let args: Vec<String> = args.iter().map(|&a| a.to_owned()).collect();
    let env: Vec<_> = env.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let mut command = command(dir, &args, &env);
    command.env_remove("CM_AGENT_TOKEN").stderr(Stdio::piped());
    for (name, value) in env {
        command.env(name, value);
    }
    let output = tokio::time::timeout(PATIENCE, command.output()).await.expect("in time").expect("it runs");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "", "it was never ready");
    let words = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    assert!(!words.contains("panicked"), "{words}");
    (output.status.code().expect("an exit code"), words)
}

/// What it left where its sockets would be.
fn left(dir: &Path) -> Vec<String> {
    let run = dir.join("run");
    if run.exists() { entries(&run) } else { Vec::new() }
}

fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cmt-").tempdir_in("/tmp").expect("a directory")
}

fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("made a program");
}

#[tokio::test]
async fn without_a_tmux_that_is_new_enough_it_does_not_start() {
    let dir = scratch();
    let bin = dir.path().join("bin");
    std::fs::create_dir(&bin).expect("made");
    let path = bin.to_str().expect("text");
    let check = async |tmux: Option<&str>, expected: &[&str]| {
        if let Some(text) = tmux {
            script(&bin.join("tmux"), text);
        }
        let (code, words) = refused(dir.path(), &[], &[("PATH", path)]).await;
        assert_eq!(code, 1, "{words}");
        assert!(expected.iter().all(|e| words.contains(e)), "{words}");
        assert_eq!(left(dir.path()), Vec::<String>::new());
    };
    check(None, &["tmux not found on PATH", path, "install it", "apt-get install tmux"]).await;
    check(Some("#!/bin/sh\necho tmux 3.1c"), &["is tmux 3.1c", "at least 3.2", "install a newer one"]).await;
    check(Some("#!/bin/sh\necho hello"), &["printed \"hello", "no tmux version"]).await;
    check(Some("#!/bin/sh\nexit 3"), &["no tmux version"]).await;
    check(Some("no program"), &["cannot run"]).await;
    // Told from those of a run of the same tests beside this one.
    let mark = format!("611.{}", std::process::id());
    check(Some(&format!("#!/bin/sh\nexec /bin/sleep {mark}")), &["-V"]).await;
    assert!(!elsewhere_runs(&mark), "what it started is gone with it");
}

/// Whether `sleep` runs anywhere with this argument.
fn elsewhere_runs(argument: &str) -> bool {
    std::fs::read_dir("/proc").expect("proc").flatten().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        line == format!("/bin/sleep\0{argument}\0").as_bytes()
    })
}

#[tokio::test]
async fn a_port_in_use_names_its_holder() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = holder.local_addr().expect("bound").to_string();
    let dir = scratch();
    let token = [("CM_AGENT_TOKEN", super::support::TOKEN)];
    let (code, words) = refused(dir.path(), &["--listen", &address], &token).await;
    let me = format!("(pid {})", std::process::id());
    assert_eq!(code, 1, "{words}");
    for expected in [&format!("{address} is in use by "), me.as_str(), "choose another --listen"] {
        assert!(words.contains(expected), "{words}");
    }
    assert_eq!(left(dir.path()), Vec::<String>::new(), "no socket is left");
    let (code, words) = refused(dir.path(), &["--listen", "192.0.2.1:1"], &token).await;
    assert_eq!(code, 1);
    assert!(words.contains("192.0.2.1:1 cannot be opened"), "{words}");
}

#[tokio::test]
async fn two_agents_never_share_a_directory_or_a_socket() {
    let agent = Agent::start().await;
    let bystander = Bystander::beside(&agent).await;
    let (code, words) = refused(agent.dir.path(), &[], &[]).await;
    assert_eq!(code, 4, "{words}");
    assert!(words.contains(&format!("another agent (pid {}", agent.pid())), "{words}");
    assert!(words.contains("--state-dir"), "{words}");
    let other = scratch();
    let socket = agent.socket();
    let socket = socket.to_str().expect("text");
    let (code, words) = refused(other.path(), &["--socket", socket], &[]).await;
    assert_eq!(code, 4, "{words}");
    assert!(words.contains("another agent answers on") && words.contains(socket), "{words}");
    let precious = other.path().join("precious");
    std::fs::write(&precious, "x").expect("written");
    let (code, words) = refused(other.path(), &["--socket", precious.to_str().expect("text")], &[]).await;
    assert!(code == 1 && words.contains("is not a socket"), "{words}");
    assert_eq!(std::fs::read(&precious).expect("there"), b"x");
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn arguments_that_make_no_sense_are_said_before_anything_is_done() {
    let dir = scratch();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("written");
        path.to_str().expect("text").to_owned()
    };
    let empty = file("empty", b"\n");
    let (large, binary) = (file("large", &[b'x'; 5000]), file("binary", &[0xff; 32]));
    let tcp = |file: &str| vec!["--listen".into(), "127.0.0.1:0".into(), "--token-file".into(), file.into()];
    let owned = |args: &[&str]| args.iter().map(|&a| a.to_owned()).collect::<Vec<String>>();
    let table: [(Vec<String>, &str); 12] = [
        (owned(&["--listen", "127.0.0.1:0"]), "--listen needs a token: put one into a file"),
        (tcp(&empty), "the token is empty"),
        (tcp(&large), "that is no token"),
        (tcp(&binary), "UTF-8"),
        (tcp("/no/such/file"), "the token from /no/such/file: No such file"),
        (tcp("/tmp"), "Is a directory"),
        (owned(&["--max-sessions", "0"]), "--max-sessions must be at least 1"),
        (owned(&["--max-clients", "0"]), "--max-clients must be at least 1"),
        (owned(&["--max-clients", "18446744073709551615"]), "--max-clients"),
        (owned(&["--listen", "nonsense"]), "--listen"),
        (owned(&["--on-demand", "18446744073709551615"]), "--on-demand"),
        (owned(&["--keep-finished", "18446744073709551615"]), "--keep-finished"),
    ];
    for (args, expected) in table {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let (code, words) = refused(dir.path(), &args, &[]).await;
        assert_eq!(code, 2, "{args:?} {words}");
        assert!(words.contains(expected), "{args:?} {words}");
    }
    assert!(!dir.path().join("state").exists() && !dir.path().join("run").exists());
}

#[tokio::test]
async fn a_state_directory_that_cannot_be_written_is_named() {
    let test = "faults::a_state_directory_that_cannot_be_written_is_named";
    let Some(disk) = elsewhere::again() else {
        elsewhere::on_small_disk(test, scratch().path(), "size=256k,ro,mode=0700");
        return;
    };
    let dir = scratch();
    for state in [disk.clone(), disk.join("state")] {
        let (code, words) = refused(dir.path(), &["--state-dir", state.to_str().expect("text")], &[]).await;
        assert_eq!(code, 1, "{words}");
        assert!(
            words.contains("ead-only file system") && words.contains(disk.to_str().expect("text")),
            "{words}"
        );
        assert_eq!(left(dir.path()), Vec::<String>::new());
    }
}

/// Leaves no byte free on the disk of this file.
fn fill(ballast: &Path) {
    use std::io::Write;
    let mut file = std::fs::OpenOptions::new().append(true).create(true).open(ballast).expect("opened");
    while file.write_all(&[b'x'; 4096]).is_ok() {}
}

#[tokio::test]
async fn a_full_disk_at_the_start_is_said() {
    let Some(disk) = elsewhere::again() else {
        elsewhere::on_small_disk(
            "faults::a_full_disk_at_the_start_is_said",
            scratch().path(),
            "size=256k,mode=0700",
        );
        return;
    };
    let dir = scratch();
    fill(&disk.join("ballast"));
    let state = disk.join("state");
    let (code, words) = refused(dir.path(), &["--state-dir", state.to_str().expect("text")], &[]).await;
    assert!(code == 1 && words.contains(disk.to_str().expect("text")), "{words}");
    assert!(words.contains("No space left") || words.contains("free some space"), "{words}");
    assert_eq!(left(dir.path()), Vec::<String>::new());
    std::fs::remove_file(disk.join("ballast")).expect("room again");
    // The state directory exists now: an agent that comes back to a full disk serves what it holds.
    let mut agent = Agent::with(&["--state-dir", state.to_str().expect("text")]).await;
    let bystander = Bystander::beside(&agent).await;
    agent.kill_9().await;
    fill(&disk.join("ballast"));
    agent.restart().await;
    let client = agent.client().await;
    assert!(client.list_sessions().await.expect("listed")[0].alive);
    std::fs::remove_file(disk.join("ballast")).expect("room again");
    drop(bystander);
    let mut bystander = Bystander::beside(&agent).await;
    bystander.works().await;
}

/// Asks how the agent is, as a unit or container does.
async fn health(agent: &Agent) -> (Option<i32>, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_cm-agent"))
        .args(["health", "--socket"])
        .arg(agent.socket())
        .output()
        .await
        .expect("it runs");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn problems<S>(raw: &mut Raw<S>) -> usize
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let info = raw.ask(json!({"action": "agent_info"})).await;
    assert_eq!(info["type"], "agent_info", "{info}");
    info["agent"]["problems"].as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing() {
    let Some(disk) = elsewhere::again() else {
        elsewhere::on_small_disk(
            "faults::a_disk_that_fills_up_loses_nothing",
            scratch().path(),
            "size=1m,mode=0700",
        );
        return;
    };
    let state = disk.join("state");
    let mut agent = Agent::with(&["--state-dir", state.to_str().expect("text")]).await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut all = agent.raw().await;
    all.log_in("").await;
    let mut raw = agent.raw().await;
    raw.log_in("").await;
    let go = agent.dir.path().join("go");
    let task = format!("until [ -e {} ]; do sleep 0.05; done; echo went on", go.display());
    let id = session(&mut raw, json!({"tool": "shell", "task": task})).await;
    let talker = session(&mut raw, json!({"tool": "cat"})).await;
    all.ask(json!({"action": "subscribe", "since": 0})).await;
    assert_eq!(health(&agent).await.0, Some(0));

    fill(&disk.join("ballast"));
    let mut said = 0;
    while problems(&mut raw).await == 0 {
        said += 1;
        assert!(said < 2000, "never full");
        let status = ["waiting", "working"][said % 2];
        raw.ask(
            json!({"action": "report", "sessionId": talker, "status": status, "message": said.to_string()}),
        )
        .await;
    }
    let refusal = raw.ask(json!({"action": "create_session", "tool": "cat"})).await;
    assert_eq!(refusal["code"], "internal", "{refusal}");
    let words = refusal["error"].as_str().expect("words");
    assert!(words.starts_with("Failed to create session: ") && words.contains("space"), "{words}");
    let (code, line) = health(&agent).await;
    assert_eq!(code, Some(1));
    assert!(line.starts_with("unhealthy: ") && line.contains("space"), "{line}");
    // What runs goes on, ends, and is announced.
    bystander.works().await;
    std::fs::write(&go, "").expect("written elsewhere");
    let mut seen = BTreeMap::new();
    let mut ended = false;
    while !ended {
        let event = all.receive().await;
        ended = event["type"] == "session_completed" && event["sessionId"] == id.as_str();
        seen.insert(event["seq"].as_u64().expect("a number"), event);
    }

    std::fs::remove_file(disk.join("ballast")).expect("room again");
    let late = session(&mut raw, json!({"tool": "cat"})).await;
    assert_eq!(problems(&mut raw).await, 0);
    assert_eq!(health(&agent).await.0, Some(0));
    bystander.works().await;
    drop(all);
    agent.kill_9().await;
    agent.restart().await;
    assert_eq!(health(&agent).await.0, Some(0));
    // Every event that was announced, before, during and after, is there, and none twice.
    let mut again = agent.raw().await;
    again.log_in("").await;
    again.ask(json!({"action": "subscribe", "since": 0})).await;
    let last = *seen.keys().next_back().expect("events");
    for n in 1..=last {
        let event = again.receive().await;
        assert_eq!(event["seq"], n, "{event}");
        assert_eq!(seen.get(&n), Some(&event));
    }
    let client = agent.client().await;
    let sessions = client.list_sessions().await.expect("listed");
    let of = |id: &str| sessions.iter().find(|s| s.session_id.as_str() == id).expect("remembered");
    assert_eq!(of(&id).state, cm_protocol::State::Done);
    assert!(of(&late).alive && of(&talker).alive);
    for session in &sessions {
        client.kill_session(&session.session_id).await.expect("killed");
    }
    super::peace::nothing_left(&agent, &client).await;
}

#[tokio::test]
async fn a_disk_full_for_long_is_a_gap_that_is_told() {
    let test = "faults::a_disk_full_for_long_is_a_gap_that_is_told";
    let Some(disk) = elsewhere::again() else {
        elsewhere::on_small_disk(test, scratch().path(), "size=4m,mode=0700");
        return;
    };
    let mut agent = Agent::with(&["--state-dir", disk.join("state").to_str().expect("text")]).await;
    let mut raw = agent.raw().await;
    raw.log_in("").await;
    let id = session(&mut raw, json!({"tool": "cat"})).await;
    let report = json!({"action": "report", "sessionId": id, "status": "working"});
    fill(&disk.join("ballast"));
    // More than is kept in memory for the disk, and more than there are numbers in reserve.
    super::limits::happen(&mut raw, &id, 12_000).await;
    assert_eq!(problems(&mut raw).await, 1);
    std::fs::remove_file(disk.join("ballast")).expect("room again");
    super::support::until("all is well", async || (problems(&mut raw).await == 0).then_some(())).await;
    for _ in 0..2 {
        let newest = super::past_and_end::head(&mut raw).await;
        let frames = super::past_and_end::since(&agent, 1, newest).await;
        let mut last = 1;
        let mut snapshots = 0;
        for frame in &frames {
            let seq = frame["seq"].as_u64().expect("a number");
            let snapshot = frame["type"] == "snapshot";
            assert!(snapshot || seq == last + 1, "{last} then {frame}");
            snapshots += usize::from(snapshot);
            last = seq;
        }
        assert!(snapshots > 0, "what is not on the disk cannot be replayed");
        agent.kill_9().await;
        agent.restart().await;
        raw = agent.raw().await;
        raw.log_in("").await;
    }
    assert_eq!(problems(&mut raw).await, 0);
    super::support::until("the session answers again", async || {
        (raw.ask(report.clone()).await["type"] == "reported").then_some(())
    })
    .await;
}

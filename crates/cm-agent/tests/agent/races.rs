//! What comes at the wrong moment: a repeat, an end or a word for a session that is not quite there, not
//! quite ready, or not quite over.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cm_protocol::{CreateSession, KeysObserved, State};
use serde_json::json;
use tokio_tungstenite::tungstenite::Message;

use super::peace::session;
use super::support::{Agent, Raw, shell, shows, until};

pub type Unix = Raw<tokio::net::UnixStream>;

pub async fn logged_in(agent: &Agent) -> Unix {
    let mut raw = agent.raw().await;
    assert_eq!(raw.log_in("").await["status"], "authenticated");
    raw
}

pub fn script(path: &Path, text: &str) {
    std::fs::write(path, text).expect("written");
    std::fs::set_permissions(path, PermissionsExt::from_mode(0o755)).expect("made a program");
}

/// The directory where a search finds the real tmux.
pub fn real_tmux() -> PathBuf {
    let path = std::env::var("PATH").expect("a PATH");
    let here = std::env::split_paths(&path).map(|d| d.join("tmux")).find(|p| p.is_file());
    here.expect("tmux is installed")
}

/// A search path on which tmux tells its version and does everything else only once `go` exists in the
/// directory, as `then` says.
pub fn held_tmux(dir: &Path, then: &str) -> String {
    let (real, go) = (real_tmux(), dir.join("go"));
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = -V ] && exec {} -V\nuntil [ -e {} ]; do sleep 0.05; done\n{then}\n",
        real.display(),
        go.display()
    );
    script(&dir.join("tmux"), &text);
    format!("{}:{}", dir.display(), std::env::var("PATH").expect("a PATH"))
}

pub fn scratch() -> tempfile::TempDir {
    tempfile::Builder::new().prefix("cmr-").tempdir_in("/tmp").expect("a directory")
}

#[tokio::test]
async fn a_repeat_is_answered_even_if_it_could_not_be_made_again() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let dir = scratch();
    let work = dir.path().join("work");
    std::fs::create_dir(&work).expect("made");
    let mut request = shell("sleep 600");
    request.task_id = Some("t-1".into());
    request.context =
        Some(cm_protocol::Context { path: Some(work.display().to_string()), ..Default::default() });
    let first = client.create_session(request.clone()).await.expect("made");
    std::fs::remove_dir(&work).expect("removed");
    let second = client.create_session(request).await.expect("answered with the one there is");
    assert_eq!((&second.session_id, second.existing), (&first.session_id, true));
}

#[tokio::test]
async fn repeats_while_it_is_made_and_its_end_before_it_is_there() {
    let dir = scratch();
    let path = held_tmux(dir.path(), &format!("exec {} \"$@\"", real_tmux().display()));
    let agent = Agent::with_env(&[], &[("PATH", &path)]).await;
    let create = json!({"action": "create_session", "tool": "shell", "task": "sleep 600", "taskId": "t"});
    let mut first = logged_in(&agent).await;
    first.send(create.clone()).await;
    let mut other = logged_in(&agent).await;
    let id = until("it is listed", async || {
        let list = other.ask(json!({"action": "list_sessions", "all": true})).await;
        list["sessions"][0]["sessionId"].as_str().map(str::to_owned)
    })
    .await;
    let mut repeats = Vec::new();
    for _ in 0..5 {
        let mut repeat = logged_in(&agent).await;
        repeat.send(create.clone()).await;
        repeats.push(repeat);
    }
    other.send(json!({"action": "capture_pane", "sessionId": id})).await;
    other.answer().await;
    other.send(json!({"action": "kill_session", "sessionId": id})).await;
    // Whoever has its answer by now was answered before there was anything to kill.
    assert_eq!(other.ask(json!({"action": "agent_info", "id": 1})).await["type"], "agent_info");
    std::fs::write(dir.path().join("go"), "").expect("written");
    assert_eq!(first.answer().await["sessionId"], id.as_str());
    for repeat in &mut repeats {
        let answer = repeat.answer().await;
        assert_eq!((&answer["sessionId"], &answer["existing"]), (&json!(id), &json!(true)), "{answer}");
    }
    assert_eq!(other.answer().await["type"], "session_killed");
    let list = other.ask(json!({"action": "list_sessions", "all": true})).await;
    assert_eq!(
        (&list["sessions"][0]["state"], &list["sessions"][0]["alive"]),
        (&json!("killed"), &json!(false))
    );
    assert_eq!(agent.terminals(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_session_that_comes_to_nothing_keeps_no_agent_awake() {
    for shutdown in [None, Some(json!({"action": "shutdown", "drain": true}))] {
        let dir = scratch();
        let path = held_tmux(dir.path(), "exit 1");
        let mut agent = Agent::with_env(&["--on-demand", "2"], &[("PATH", &path)]).await;
        let mut client = logged_in(&agent).await;
        client.send(json!({"action": "create_session", "tool": "cat"})).await;
        let mut other = logged_in(&agent).await;
        until("it is being made", async || {
            let info = other.ask(json!({"action": "agent_info"})).await;
            (info["agent"]["capacity"]["sessions"] == 1).then_some(())
        })
        .await;
        if let Some(shutdown) = &shutdown {
            assert_eq!(other.ask(shutdown.clone()).await["waitingFor"], 1);
            std::fs::write(dir.path().join("go"), "").expect("written");
        } else {
            drop((client, other));
            until("both are gone", async || {
                let mut last = logged_in(&agent).await;
                let info = last.ask(json!({"action": "agent_info"})).await;
                (info["agent"]["capacity"]["clients"] == 1).then_some(())
            })
            .await;
            std::fs::write(dir.path().join("go"), "").expect("written");
        }
        assert!(agent.ended().await.success(), "{shutdown:?}");
    }
}

#[tokio::test]
async fn a_drain_does_not_wait_for_a_tool_that_rests() {
    let mut agent = Agent::start().await;
    let mut raw = logged_in(&agent).await;
    let id = session(&mut raw, json!({"tool": "sh", "env": {"PS1": "ready> "}})).await;
    until("it rests", async || {
        let seen = raw.ask(json!({"action": "get_session", "sessionId": id})).await;
        (seen["session"]["state"] == "idle").then_some(())
    })
    .await;
    assert_eq!(raw.ask(json!({"action": "shutdown", "drain": true})).await["waitingFor"], 0);
    assert!(agent.ended().await.success());
    assert_eq!(agent.terminals().len(), 1, "and it lives on");
}

#[tokio::test]
async fn a_tool_that_ends_after_its_task_is_closed_when_its_time_is_over() {
    let agent = Agent::with(&["--keep-finished", "0"]).await;
    let client = agent.client().await;
    let request = CreateSession {
        tool: Some("sh".into()),
        task: Some("echo $((40+2))".into()),
        env: [("PS1".to_owned(), "ready> ".to_owned())].into(),
        ..CreateSession::default()
    };
    let id = client.create_session(request).await.expect("made").session_id;
    let info = async || client.get_session(&id).await.expect("there").info;
    until("its task is done", async || info().await.outcome).await;
    assert!(info().await.alive, "its tool goes on");
    let pid = client.get_session(&id).await.expect("there").pid.and_then(rustix::process::Pid::from_raw);
    rustix::process::kill_process(pid.expect("a pid"), rustix::process::Signal::KILL).expect("told");
    until("it is closed", async || (!info().await.alive).then_some(())).await;
    assert_eq!(info().await.state, State::Done, "its task's end stands");
}

#[tokio::test]
async fn a_client_that_types_while_the_task_is_due_is_not_interrupted() {
    let agent = Agent::start().await;
    let client = agent.client().await;
    let dir = scratch();
    let (tool, heard) = (dir.path().join("tool"), dir.path().join("heard"));
    // Shows nothing of what it is told, so that typing takes its longest time.
    let text = "#!/bin/sh\nstty -echo; printf 'ready> '; while read l; do echo \"$l\" >>\"$HEARD\"; done\n";
    script(&tool, text);
    let request = CreateSession {
        tool: Some(tool.display().to_string()),
        task: Some("the task".into()),
        env: [("HEARD".to_owned(), heard.display().to_string())].into(),
        ..CreateSession::default()
    };
    let id = client.create_session(request).await.expect("made").session_id;
    shows(&client, &id, "ready>").await;
    let seen = client.send_line(&id, "a word").await.expect("it is answered");
    assert_eq!(seen, Some(KeysObserved::NoEvidence));
    let lines = until("both are heard", async || {
        let text = std::fs::read_to_string(&heard).ok()?;
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines.sort();
        (lines.len() >= 2).then_some(lines)
    })
    .await;
    assert_eq!(lines, ["a word", "the task"]);
}

#[tokio::test]
async fn frames_that_are_no_text_are_refused_in_their_turn() {
    use futures_util::SinkExt;
    let agent = Agent::start().await;
    let mut raw = logged_in(&agent).await;
    raw.send(json!({"action": "create_session", "tool": "shell", "task": "sleep 60"})).await;
    raw.ws.send(Message::Binary(vec![1, 2, 3].into())).await.expect("sent");
    raw.send_text(format!("{{\"x\":\"{}\"}}", "y".repeat(1024 * 1024))).await;
    raw.send(json!({"action": "list_sessions", "all": true})).await;
    assert_eq!(raw.answer().await["type"], "session_created");
    assert_eq!(raw.answer().await["code"], "bad_request");
    assert_eq!(raw.answer().await["code"], "too_large");
    assert_eq!(raw.answer().await["type"], "sessions_list");
}

#[tokio::test]
async fn what_a_crash_left_of_a_launch_is_removed() {
    let mut agent = Agent::start().await;
    let client = agent.client().await;
    let id = client.create_session(shell("sleep 600")).await.expect("made").session_id;
    agent.kill_9().await;
    // As it stands when the agent dies between starting a terminal and removing its configuration.
    let conf = agent.dir.path().join("run").join(id.as_str()).join("launch.conf");
    std::fs::write(&conf, "set-environment -g SECRET x").expect("written");
    std::fs::remove_dir_all(agent.state().join("journal")).expect("removed");
    agent.restart().await;
    let client = agent.client().await;
    until("it is taken up", async || client.get_session(&id).await.ok().filter(|s| s.info.alive)).await;
    assert!(!conf.exists());
    let segments = std::fs::read_dir(agent.state().join("journal")).expect("there").flatten();
    let told: String = segments.map(|s| std::fs::read_to_string(s.path()).expect("readable")).collect();
    assert_eq!(told.matches("\"type\":\"session_added\"").count(), 1, "it is told anew");
}

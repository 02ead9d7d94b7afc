//! What makes no sense gets a typed answer that names the place, and harms nobody.

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};

use futures_util::{SinkExt, StreamExt};

use super::peace::{Bystander, session};
use super::support::{Agent, PATIENCE, Raw, until};

const MIB: usize = 1024 * 1024;

async fn logged_in(agent: &Agent) -> Raw<tokio::net::UnixStream> {
    let mut raw = agent.raw().await;
    assert_eq!(raw.log_in("").await["status"], "authenticated");
    raw
}

/// Sends each command and compares code and field of its answer; the connection must stay.
async fn check(agent: &Agent, table: &[(Value, &str, Option<&str>)]) {
    let mut raw = logged_in(agent).await;
    for (n, (command, code, field)) in table.iter().enumerate() {
        let mut command = command.clone();
        command["id"] = json!(n);
        let answer = raw.ask(command.clone()).await;
        let got = (answer["code"].as_str(), answer["field"].as_str(), &answer["id"]);
        assert_eq!(got, (Some(*code), *field, &json!(n)), "{command}\n{answer}");
        let words = answer["error"].as_str().expect("words");
        assert!(words.len() > 8 && !words.contains("internal"), "{command}\n{words}");
    }
    assert_eq!(raw.ask(json!({"action": "list_sessions"})).await["type"], "sessions_list");
}

#[tokio::test]
async fn frames_that_are_no_commands() {
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    let deep = "[".repeat(100_000);
    for text in ["", " ", "{", "nope", "null", "1", "\"x\"", "[]", "[{\"action\":\"list_sessions\"}]", &deep]
    {
        raw.send_text(text.to_owned()).await;
        let answer = raw.answer().await;
        assert_eq!(answer["code"], "bad_request", "{text:.20} {answer}");
    }
    raw.ws.send(Message::Binary(vec![0, 159, 146].into())).await.expect("sent");
    assert_eq!(raw.answer().await["code"], "bad_request");
    for id in [json!({}), json!([1]), json!(1.5), json!(true)] {
        let answer = raw.ask(json!({"action": "list_sessions", "id": id})).await;
        assert_eq!((&answer["code"], &answer["field"]), (&json!("bad_request"), &json!("id")), "{answer}");
    }
    assert_eq!(raw.ask(json!({"action": "list_sessions", "id": null})).await["type"], "sessions_list");
    bystander.works().await;
    bystander.leaves_nothing(&agent).await;
}

/// What the agent says until it closes: the last error's code, and the reason for closing.
async fn last_words<S>(raw: &mut Raw<S>) -> (Option<String>, Option<(CloseCode, String)>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut code = None;
    loop {
        match tokio::time::timeout(PATIENCE, raw.ws.next()).await.expect("in time") {
            Some(Ok(Message::Text(text))) => {
                let frame: Value = serde_json::from_str(&text).expect("JSON");
                code = frame["code"].as_str().map(str::to_owned).or(code);
            }
            Some(Ok(Message::Close(frame))) => {
                return (code, frame.map(|f| (f.code, f.reason.to_string())));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (code, None),
        }
    }
}

#[tokio::test]
async fn text_that_is_not_utf8_ends_the_connection_with_a_reason() {
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    let bytes = b"{\"action\":\"list_\xff\xfe\"}".to_vec();
    let frame = Frame::message(bytes, OpCode::Data(Data::Text), true);
    raw.ws.send(Message::Frame(frame)).await.expect("sent");
    let (code, closed) = last_words(&mut raw).await;
    assert_eq!(code.as_deref(), Some("bad_request"));
    assert_eq!(closed, Some((CloseCode::Invalid, "frame not UTF-8".into())));
    bystander.works().await;
}

#[tokio::test]
async fn frames_over_the_limit() {
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    let padded = |len: usize| format!("{}{}", r#"{"action":"list_sessions"}"#, " ".repeat(len - 26));
    raw.send_text(padded(MIB)).await;
    assert_eq!(raw.answer().await["type"], "sessions_list");
    raw.send_text(padded(MIB + 1)).await;
    assert_eq!(raw.answer().await["code"], "too_large");
    assert_eq!(raw.ask(json!({"action": "list_sessions"})).await["type"], "sessions_list");
    // Far over: nothing can be read after it, so it says so and closes, even to one who sends on.
    raw.send_text(padded(40 * MIB)).await;
    let (code, closed) = last_words(&mut raw).await;
    assert_eq!(code.as_deref(), Some("too_large"));
    assert_eq!(closed, Some((CloseCode::Size, "frame too large".into())));
    bystander.works().await;
    assert!(super::peace::memory(agent.pid()) < 100 * MIB as u64);
}

#[tokio::test]
async fn no_action_takes_nonsense() {
    let agent = Agent::start().await;
    let bystander = Bystander::beside(&agent).await;
    let bad = "bad_request";
    let with_id = "send_keys capture_pane kill_session pause_session resume_session watch_screen \
        unwatch_screen get_session transcript report";
    let mut table = vec![
        (json!({}), bad, Some("action")),
        (json!({"action": null}), bad, Some("action")),
        (json!({"action": 7}), bad, Some("action")),
        (json!({"action": ["list_sessions"]}), bad, Some("action")),
        (json!({"action": ""}), "unknown_action", None),
        (json!({"action": "List_Sessions"}), "unknown_action", None),
        (json!({"action": "kill_session\0"}), "unknown_action", None),
        (json!({"action": "subscribe", "since": -1}), bad, Some("since")),
        (json!({"action": "subscribe", "since": "3"}), bad, Some("since")),
        (json!({"action": "subscribe", "since": 1.5}), bad, Some("since")),
        (json!({"action": "renew_lease", "owner": ""}), bad, Some("owner")),
        (json!({"action": "renew_lease", "owner": "a\nb"}), bad, Some("owner")),
        (json!({"action": "renew_lease", "owner": "r", "seconds": 0.5}), bad, Some("seconds")),
        (json!({"action": "renew_lease", "owner": "r", "seconds": 86_401}), bad, Some("seconds")),
        (json!({"action": "acknowledge", "sessions": vec!["cm-0"; 1001]}), bad, Some("sessions")),
        (json!({"action": "acknowledge", "sessions": [5]}), bad, Some("sessions[0]")),
        (json!({"action": "fence", "taskId": "", "below": 2}), bad, Some("taskId")),
        (json!({"action": "fence", "taskId": "a\0", "below": 2}), bad, Some("taskId")),
        (json!({"action": "fence", "taskId": "x".repeat(257), "below": 2}), bad, Some("taskId")),
        (json!({"action": "probe", "tools": vec!["sh"; 33]}), bad, Some("tools")),
        (json!({"action": "probe", "repos": vec!["x"; 33]}), bad, Some("repos")),
        (json!({"action": "shutdown", "drain": "yes"}), bad, Some("drain")),
        (json!({"action": "shutdown", "drain": true, "timeout": -1}), bad, Some("timeout")),
        (json!({"action": "shutdown", "drain": true, "timeout": "1"}), bad, Some("timeout")),
    ];
    for action in with_id.split_whitespace() {
        let status = json!("working");
        table.push((json!({"action": action, "status": status}), bad, Some("sessionId")));
        table.push((json!({"action": action, "status": status, "sessionId": null}), bad, Some("sessionId")));
        table.push((json!({"action": action, "status": status, "sessionId": 5}), bad, Some("sessionId")));
        table.push((json!({"action": action, "status": status, "sessionId": []}), bad, Some("sessionId")));
        for id in ["", "cm-0", "../../etc/passwd", "cm-\0", "#{pid}", "x y\n"] {
            let command = json!({"action": action, "sessionId": id, "keys": "x", "status": status});
            table.push((command, "not_found", None));
        }
    }
    check(&agent, &table).await;
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn fields_of_living_sessions_are_checked() {
    let agent = Agent::start().await;
    let bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    let id = session(&mut raw, json!({"tool": "cat"})).await;
    let with = |fields: Value| {
        let mut command = json!({"sessionId": id});
        command.as_object_mut().expect("object").extend(fields.as_object().expect("object").clone());
        command
    };
    let (bad, large) = ("bad_request", "too_large");
    let mut table = Vec::new();
    for lines in [json!(-1), json!(1.5), json!("5"), json!([]), json!(1e30)] {
        table.push((with(json!({"action": "capture_pane", "lines": lines})), bad, Some("lines")));
        table.push((with(json!({"action": "transcript", "limit": lines})), bad, Some("limit")));
        table.push((with(json!({"action": "transcript", "from": lines})), bad, Some("from")));
    }
    for named in [json!(["Nope"]), json!([""]), json!(["C-c; kill-server"]), json!(["-X"]), json!(["a\n"])] {
        table.push((with(json!({"action": "send_keys", "named": named})), bad, Some("named")));
    }
    table.extend([
        (with(json!({"action": "transcript", "limit": 0})), bad, Some("limit")),
        (with(json!({"action": "transcript", "limit": 5001})), bad, Some("limit")),
        (with(json!({"action": "capture_pane", "escapes": 1})), bad, Some("escapes")),
        (with(json!({"action": "send_keys"})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": 5})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": ["a"]})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "a\0b"})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "\u{1b}[201~rm"})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "\u{9b}31m"})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "a\u{3}"})), bad, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "x".repeat(256 * 1024 + 1)})), large, Some("keys")),
        (with(json!({"action": "send_keys", "keys": "x", "enter": "no"})), bad, Some("enter")),
        (with(json!({"action": "send_keys", "named": "C-c"})), bad, Some("named")),
        (with(json!({"action": "send_keys", "named": [3]})), bad, Some("named[0]")),
        (with(json!({"action": "send_keys", "named": vec!["Up"; 65]})), bad, Some("named")),
        (with(json!({"action": "report", "status": "sleeping"})), bad, Some("status")),
        (with(json!({"action": "report"})), bad, Some("status")),
        (with(json!({"action": "report", "status": "idle", "message": 4})), bad, Some("message")),
    ]);
    check(&agent, &table).await;
    // Nothing of all that reached the session, and what is only large is not wrong.
    for lines in [json!(0), json!(1_000_000_000), json!(u64::MAX), json!(null)] {
        let pane = raw.ask(with(json!({"action": "capture_pane", "lines": lines}))).await;
        assert_eq!((&pane["type"], &pane["output"]), (&json!("pane_output"), &json!("")), "{lines}");
    }
    for from in [json!(0), json!(u64::MAX), json!(null)] {
        let page = raw.ask(with(json!({"action": "transcript", "from": from, "limit": 5000}))).await;
        assert_eq!((&page["type"], &page["lines"]), (&json!("transcript"), &json!([])), "{page}");
    }
    raw.ask(json!({"action": "kill_session", "sessionId": id})).await;
    bystander.leaves_nothing(&agent).await;
}

#[tokio::test]
async fn create_session_is_checked_to_the_last_field() {
    let agent = Agent::start().await;
    let bystander = Bystander::beside(&agent).await;
    let (bad, large) = ("bad_request", "too_large");
    let long = "x".repeat(120 * 1024 + 1);
    let fields = [
        (json!({"lease": {"owner": "", "seconds": 60}}), bad, "lease.owner"),
        (json!({"lease": {"owner": "x".repeat(129), "seconds": 60}}), bad, "lease.owner"),
        (json!({"lease": {"owner": "r", "seconds": 0}}), bad, "lease.seconds"),
        (json!({"lease": {"owner": "r", "seconds": 60, "orphan": "sell"}}), bad, "lease.orphan"),
        (json!({"context": {"repo": {"url": "x"}}}), bad, "context.repo.url"),
        (json!({"worktree": {"saveEvery": 0}}), bad, "worktree.saveEvery"),
        (
            json!({"worktree": {"continues": {"host": "h", "attempt": 1, "commit": "c"}}}),
            bad,
            "worktree.continues.commit",
        ),
        (json!({"task": 5}), bad, "task"),
        (json!({"task": "a\0b"}), bad, "task"),
        (json!({"task": long}), large, "task"),
        (json!({"args": "x"}), bad, "args"),
        (json!({"args": ["a\0"]}), bad, "args"),
        (json!({"args": vec!["x".repeat(1000); 132]}), large, "args"),
        (json!({"context": "x"}), bad, "context"),
        (json!({"context": {"path": 4}}), bad, "context.path"),
        (json!({"env": {"A": 1}}), bad, "env.A"),
        (json!({"env": ["A=1"]}), bad, "env"),
        (json!({"env": {"A=B": "x"}}), bad, "env"),
        (json!({"env": {"": "x"}}), bad, "env"),
        (json!({"env": {"1A": "x"}}), bad, "env"),
        (json!({"env": {"A": "x\0y"}}), bad, "env"),
        (json!({"env": {"CM_SESSION_ID": "cm-x"}}), bad, "env"),
        (json!({"env": {"CM_AGENT_SOCKET": "/x"}}), bad, "env"),
        (json!({"env": {"A": "x".repeat(128 * 1024)}}), large, "env"),
        (json!({"size": 80}), bad, "size"),
        (json!({"size": {"cols": 80}}), bad, "size.rows"),
        (json!({"size": {"cols": 0, "rows": 0}}), bad, "size"),
        (json!({"size": {"cols": -80, "rows": 24}}), bad, "size.cols"),
        (json!({"size": {"cols": 501, "rows": 24}}), bad, "size"),
        (json!({"size": {"cols": 100_000, "rows": 24}}), bad, "size.cols"),
        (json!({"timeout": 0}), bad, "timeout"),
        (json!({"timeout": -5}), bad, "timeout"),
        (json!({"timeout": 1e300}), bad, "timeout"),
        (json!({"timeout": "60"}), bad, "timeout"),
        (json!({"limits": 5}), bad, "limits"),
        (json!({"limits": {"memory": 1}}), bad, "limits.memory"),
        (json!({"limits": {"memory": -1}}), bad, "limits.memory"),
        (json!({"limits": {"cpu": 0}}), bad, "limits.cpu"),
        (json!({"limits": {"cpu": 1e9}}), bad, "limits.cpu"),
        (json!({"limits": {"tasks": 1}}), bad, "limits.tasks"),
        (json!({"onDone": "explode"}), bad, "onDone"),
        (json!({"name": ""}), bad, "name"),
        (json!({"name": "cm-x"}), bad, "name"),
        (json!({"name": "a\nb"}), bad, "name"),
        (json!({"name": "n".repeat(65)}), bad, "name"),
        (json!({"name": 5}), bad, "name"),
        (json!({"attempt": 1}), bad, "attempt"),
        (json!({"taskId": "t", "attempt": 0}), bad, "attempt"),
        (json!({"taskId": "t", "attempt": -1}), bad, "attempt"),
        (json!({"taskId": "t", "attempt": 1.5}), bad, "attempt"),
        (json!({"taskId": ""}), bad, "taskId"),
        (json!({"taskId": "t\u{7}"}), bad, "taskId"),
        (json!({"taskId": "t".repeat(257)}), bad, "taskId"),
        (json!({"taskId": 9}), bad, "taskId"),
        (json!({"policy": {}}), bad, "policy.name"),
        (json!({"policy": "reckless"}), bad, "policy"),
        (json!({"check": " "}), bad, "check"),
        (json!({"check": {"command": "true", "timeout": -1}}), bad, "check.timeout"),
        (json!({"check": {"command": "true", "retries": 1000}}), bad, "check.retries"),
        (json!({"worktree": false}), bad, "worktree"),
        (json!({"worktree": true, "context": {"path": "/"}}), bad, "worktree"),
        (json!({"tool": ""}), bad, "tool"),
        (json!({"tool": "-x"}), bad, "tool"),
        (json!({"tool": "a b"}), bad, "tool"),
        (json!({"tool": "a\0"}), bad, "tool"),
        (json!({"tool": "./run.sh"}), bad, "tool"),
        (json!({"tool": "../../bin/sh"}), bad, "tool"),
        (json!({"tool": "/no/such/tool"}), bad, "tool"),
        (json!({"tool": "/tmp"}), bad, "tool"),
        (json!({"tool": "/etc/passwd"}), bad, "tool"),
        (json!({"tool": "t".repeat(300)}), bad, "tool"),
        (json!({"tool": 5}), bad, "tool"),
    ];
    let table: Vec<_> = fields
        .into_iter()
        .map(|(fields, code, field)| {
            let mut command = json!({"action": "create_session", "tool": "cat"});
            command.as_object_mut().expect("object").extend(fields.as_object().expect("object").clone());
            (command, code, Some(field))
        })
        .collect();
    check(&agent, &table).await;
    let sessions = agent.client().await.list_sessions().await.expect("listed");
    assert_eq!(sessions.len(), 1, "only the bystander's: {sessions:?}");
    bystander.leaves_nothing(&agent).await;
}

/// What a refused `create_session` says.
async fn refusal<S>(raw: &mut Raw<S>, fields: Value) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut command = json!({"action": "create_session"});
    command.as_object_mut().expect("object").extend(fields.as_object().expect("object").clone());
    let answer = raw.ask(command).await;
    answer["error"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let agent = Agent::with_env(&[], &[("PATH", "/usr/local/bin:/usr/bin:/bin")]).await;
    let mut raw = logged_in(&agent).await;
    assert_eq!(
        refusal(&mut raw, json!({"tool": "no-such-tool"})).await,
        "Failed to create session: tool not found: no-such-tool; \
         PATH searched: /usr/local/bin:/usr/bin:/bin"
    );
    let in_env = json!({"tool": "no-such-tool", "env": {"PATH": "/a:/b"}});
    assert_eq!(
        refusal(&mut raw, in_env).await,
        "Failed to create session: tool not found: no-such-tool; PATH searched: /a:/b"
    );
    let at = |path: &str| json!({"tool": "cat", "context": {"path": path}});
    for (path, expected) in [
        ("/no/such", "the path /no/such does not exist"),
        ("/etc/passwd", "the path /etc/passwd is not a directory"),
        ("/etc/passwd/x", "the path /etc/passwd/x cannot be used: Not a directory (os error 20)"),
    ] {
        let words = refusal(&mut raw, at(path)).await;
        assert_eq!(words, format!("Failed to create session: {expected}"));
    }
    assert!(refusal(&mut raw, at("/tmp\0x")).await.contains("is not valid text"));
    assert!(refusal(&mut raw, at(&"/x".repeat(5000))).await.contains("name too long"));
    assert!(refusal(&mut raw, at("~nobody/x")).await.contains("~nobody/x does not exist"));
}

#[tokio::test]
async fn odd_paths_work() {
    let home = tempfile::tempdir().expect("a directory");
    let home_text = home.path().to_str().expect("text");
    let agent = Agent::with_env(&[], &[("HOME", home_text)]).await;
    let mut raw = logged_in(&agent).await;
    let odd =
        ["it's \"q\"", "#{pid} #(id) #S", "$HOME `id` $(id) ;&|", "ü 😀", "-n", "a\nb\tc", "back\\slash%1"];
    for (n, name) in odd.iter().enumerate() {
        let dir = home.path().join(name);
        std::fs::create_dir(&dir).expect("made");
        let paths = [dir.to_str().expect("text").to_owned(), format!("~/{name}")];
        let path = &paths[n % 2];
        let task = json!({"tool": "shell", "task": "pwd > \"$OUT\"", "context": {"path": path},
            "env": {"OUT": home.path().join("out")}, "onDone": "close"});
        let id = session(&mut raw, task).await;
        let done = raw.event("session_completed").await;
        assert_eq!((&done["sessionId"], &done["state"]), (&json!(id), &json!("done")), "{name}");
        let out = std::fs::read_to_string(home.path().join("out")).expect("written");
        assert_eq!(out, format!("{}\n", dir.display()));
    }
    let id = session(&mut raw, json!({"tool": "cat", "context": {"path": "~"}})).await;
    let detail = raw.ask(json!({"action": "get_session", "sessionId": id})).await;
    assert_eq!(detail["session"]["path"], home_text);
    // Relative: from where the agent itself is.
    let id = session(&mut raw, json!({"tool": "cat", "context": {"path": "tests"}})).await;
    let detail = raw.ask(json!({"action": "get_session", "sessionId": id})).await;
    assert!(detail["session"]["path"].as_str().expect("text").ends_with("cm-agent/tests"), "{detail}");
}

#[tokio::test]
async fn a_hundred_kilobytes_arrive_as_they_are() {
    let agent = Agent::start().await;
    let mut bystander = Bystander::beside(&agent).await;
    let mut raw = logged_in(&agent).await;
    let out = agent.dir.path().join("out");
    let task = format!("cat > {}", out.display());
    let id = session(&mut raw, json!({"tool": "shell", "task": task})).await;
    until("cat runs", async || out.exists().then_some(())).await;
    let line = |n: usize| format!("{n} it's \"quoted\" $HOME `x` #{{pid}} ünï 😀 ; C-c \\n %1 ");
    let mut text: Vec<String> = (0..1800).map(line).collect();
    text.push("the end".into());
    let text = text.join("\n");
    assert!(text.len() > 100 * 1024);
    let sent = raw.ask(json!({"action": "send_keys", "sessionId": id, "keys": text})).await;
    assert_eq!(sent["type"], "keys_sent", "{sent}");
    bystander.works().await;
    let whole = format!("{text}\n");
    until("all of it arrives", async || {
        let got = std::fs::read(&out).unwrap_or_default();
        (got.len() >= whole.len()).then_some(())
    })
    .await;
    assert!(std::fs::read(&out).expect("there") == whole.as_bytes(), "not what was sent");
    raw.send(json!({"action": "send_keys", "sessionId": id, "named": ["C-d"]})).await;
    assert_eq!(raw.event("session_completed").await["state"], "done");
}

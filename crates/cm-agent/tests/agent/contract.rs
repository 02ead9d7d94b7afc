//! The original's contract: what a client written for it sends and receives, byte shape for byte shape.

use serde_json::{Value, json};

use super::support::{Agent, Raw, TOKEN};

/// The keys of an object, in order.
fn keys(value: &Value) -> Vec<&str> {
    value.as_object().expect("an object").keys().map(String::as_str).collect()
}

async fn logged_in(agent: &Agent) -> Raw<tokio::net::TcpStream> {
    let mut raw = agent.raw_tcp().await;
    assert_eq!(raw.log_in(TOKEN).await["status"], "authenticated");
    raw
}

#[tokio::test]
async fn a_session_from_creation_to_completion() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    let task = "echo hello; exit 0";
    let created = raw
        .ask(json!({"action":"create_session","tool":"shell","task":task,"context":{"path":"/tmp"}}))
        .await;
    assert_eq!(keys(&created), ["sessionId", "socket", "type"], "{created}");
    assert_eq!(created["type"], "session_created");
    let id = created["sessionId"].as_str().expect("text").to_owned();
    assert!(id.starts_with("cm-"), "{id}");
    let socket = created["socket"].as_str().expect("text");
    assert!(socket.starts_with('/') && socket.ends_with(".sock"), "{socket}");

    let done = raw.event("session_completed").await;
    assert_eq!((&done["sessionId"], &done["state"]), (&json!(id), &json!("done")));
    assert!(done["timestamp"].as_f64().expect("a float") > 1.6e9);

    let pane = raw.ask(json!({"action":"capture_pane","sessionId":id,"lines":50})).await;
    assert_eq!(pane, json!({"type":"pane_output","sessionId":id,"output":"hello"}));

    let list = raw.ask(json!({"action":"list_sessions"})).await;
    let session = &list["sessions"][0];
    for (field, expected) in [("sessionId", json!(id)), ("tool", json!("shell")), ("state", json!("done"))] {
        assert_eq!(session[field], expected);
    }
    assert_eq!((&session["path"], &session["alive"]), (&json!("/tmp"), &json!(true)));
    assert!(session["uptime"].is_u64(), "whole seconds: {session}");

    let killed = raw.ask(json!({"action":"kill_session","sessionId":id})).await;
    assert_eq!(killed, json!({"type":"session_killed","sessionId":id}));
    assert_eq!(raw.ask(json!({"action":"list_sessions"})).await["sessions"], json!([]));
    assert!(agent.terminals().is_empty());
}

#[tokio::test]
async fn states_come_in_order_and_completion_once() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    raw.send(json!({"action":"create_session","tool":"shell","task":"exit 3"})).await;
    let mut seen = Vec::new();
    while seen.last() != Some(&"session_completed failed".to_owned()) {
        let frame = raw.receive().await;
        if let (Some(kind), Some(state)) = (frame["type"].as_str(), frame["state"].as_str()) {
            seen.push(format!("{kind} {state}"));
        }
    }
    assert_eq!(
        seen,
        ["state_change starting", "state_change running", "state_change failed", "session_completed failed"]
    );
    // Nothing of this session follows: the answer to the next command comes next.
    raw.send(json!({"action":"list_sessions"})).await;
    assert_eq!(raw.receive().await["type"], "sessions_list");
}

#[tokio::test]
async fn keys_are_typed_literally_and_entered() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    let created = raw.ask(json!({"action":"create_session","tool":"cat"})).await;
    let id = created["sessionId"].as_str().expect("text").to_owned();
    let text = r#"it's "quoted" $HOME `x` #{pid} ünï 😀 ; C-c \n"#;
    let sent = raw.ask(json!({"action":"send_keys","sessionId":id,"keys":text})).await;
    assert_eq!((&sent["type"], &sent["sessionId"]), (&json!("keys_sent"), &json!(id)));
    assert_eq!(sent["observed"], "submitted");
    let output = loop {
        let pane = raw.ask(json!({"action":"capture_pane","sessionId":id})).await;
        let output = pane["output"].as_str().expect("text").to_owned();
        // Once typed and echoed, once printed by the program.
        if output.lines().count() >= 2 {
            break output;
        }
    };
    assert_eq!(output, format!("{text}\n{text}"));
}

#[tokio::test]
async fn errors_have_the_original_words_and_close_nothing() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    let words = [
        (json!({"action":"nope"}), "Unknown action: nope"),
        (json!({"action":"send_keys","sessionId":"cm-x","keys":"a"}), "Session not found: cm-x"),
        (json!({"action":"capture_pane","sessionId":"cm-x"}), "Session not found: cm-x"),
        (json!({"action":"kill_session","sessionId":"cm-x"}), "Session not found: cm-x"),
        (
            json!({"action":"create_session","tool":"shell","task":"x","context":{"path":"/no/such"}}),
            "Failed to create session: the path /no/such does not exist",
        ),
    ];
    for (command, expected) in words {
        assert_eq!(raw.ask(command).await["error"], expected);
    }
    assert_eq!(raw.ask(json!({"action":"list_sessions"})).await["sessions"], json!([]));
}

#[tokio::test]
async fn answers_keep_the_order_of_commands_without_an_id() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    // The first takes long, the others none.
    raw.send(json!({"action":"create_session","tool":"shell","task":"sleep 60"})).await;
    raw.send(json!({"action":"nope"})).await;
    raw.send(json!({"action":"list_sessions"})).await;
    assert_eq!(raw.answer().await["type"], "session_created");
    assert_eq!(raw.answer().await["error"], "Unknown action: nope");
    assert_eq!(raw.answer().await["sessions"].as_array().expect("a list").len(), 1);
}

#[tokio::test]
async fn with_an_id_an_answer_may_overtake() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    let script = "stty -echo; echo up; sleep 60";
    let created = raw.ask(json!({"action":"create_session","tool":"shell","task":script})).await;
    let id = created["sessionId"].clone();
    super::support::until("it runs", async || {
        let pane = raw.ask(json!({"action":"capture_pane","sessionId":id})).await;
        (pane["output"] == "up").then_some(())
    })
    .await;
    // A program that shows nothing of what is typed: the agent looks for a while.
    raw.send(json!({"id":"slow","action":"send_keys","sessionId":id,"keys":"x"})).await;
    raw.send(json!({"id":7,"action":"list_sessions"})).await;
    raw.send(json!({"id":"bad","action":"kill_session","sessionId":"cm-x"})).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(raw.answer().await["id"].clone());
    }
    assert_eq!(order, [json!(7), json!("bad"), json!("slow")]);
}

#[tokio::test]
async fn clients_that_never_subscribe_see_only_what_the_original_had() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    raw.send(json!({"action":"create_session","tool":"shell","task":"true","onDone":"close"})).await;
    raw.event("session_completed").await;
    let mut other = logged_in(&agent).await;
    // Closing is announced to subscribers only; give it the chance to happen.
    super::support::until("closed", async || {
        let list = other.ask(json!({"action":"list_sessions"})).await;
        (list["sessions"] == json!([])).then_some(())
    })
    .await;
    let all = other.ask(json!({"action":"list_sessions","all":true})).await;
    assert_eq!(all["sessions"][0]["alive"], false, "it is remembered");
    raw.send(json!({"action":"list_sessions"})).await;
    assert_eq!(raw.receive().await["type"], "sessions_list");
}

#[tokio::test]
async fn the_socket_shows_the_session_to_plain_tmux() {
    let agent = Agent::on_tcp().await;
    let mut raw = logged_in(&agent).await;
    let created = raw.ask(json!({"action":"create_session","tool":"shell","task":"sleep 60"})).await;
    let socket = created["socket"].as_str().expect("text");
    let listed =
        std::process::Command::new("tmux").args(["-S", socket, "list-sessions"]).output().expect("tmux");
    assert!(listed.status.success(), "{listed:?}");
}

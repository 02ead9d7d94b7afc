//! What a real agent says, frame for frame: it parses as the protocol's types, and these lose nothing of it.

use std::collections::BTreeSet;

use cm_protocol::{AuthReply, ServerFrame};
use serde_json::{Value, json};
use tokio::net::UnixStream;

use super::support::{Agent, Raw, until};

/// Every `type` an agent sends, and the codes of those errors that need no broken machine.
const EVERYTHING: [&str; 31] = [
    "agent_info",
    "answered",
    "auto_confirmed",
    "error bad_request",
    "error conflict",
    "error not_found",
    "error unknown_action",
    "explained",
    "hook_answered",
    "keys_sent",
    "notice",
    "pane_output",
    "receipt",
    "reported",
    "screen",
    "screen_unwatched",
    "screen_watched",
    "session",
    "session_added",
    "session_closed",
    "session_completed",
    "session_created",
    "session_killed",
    "session_paused",
    "session_resumed",
    "sessions_list",
    "shutting_down",
    "snapshot",
    "state_change",
    "subscribed",
    "transcript",
];

/// A raw client that checks all it receives, and keeps it.
struct Witness {
    raw: Raw<UnixStream>,
    kept: Vec<Value>,
    asked: u64,
}

impl Witness {
    async fn new(agent: &Agent) -> Self {
        let mut raw = agent.raw().await;
        let welcome = raw.log_in("").await;
        let typed: AuthReply = serde_json::from_value(welcome.clone()).expect("an answer to a log-in");
        assert!(matches!(&typed, AuthReply::Authenticated { hello: Some(_), .. }), "{typed:?}");
        same(&welcome, &serde_json::to_string(&typed).expect("JSON"));
        Self { raw, kept: Vec::new(), asked: 0 }
    }

    /// The next frame, checked.
    async fn receive(&mut self) -> &Value {
        let frame = self.raw.receive().await;
        assert!(!frame.is_null(), "the agent closed the connection");
        let typed = ServerFrame::parse(&frame.to_string()).unwrap_or_else(|e| panic!("{e}: {frame}"));
        assert!(!matches!(typed, ServerFrame::Unknown(_)), "a type the protocol does not have: {frame}");
        same(&frame, &typed.to_text());
        self.kept.push(frame);
        &self.kept[self.kept.len() - 1]
    }

    /// The first frame so far, or from now on, that fits.
    async fn wait(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(frame) = self.kept.iter().find(|frame| fits(frame)) {
            return frame.clone();
        }
        loop {
            let frame = self.receive().await;
            if fits(frame) {
                return frame.clone();
            }
        }
    }

    /// Sends a command and waits for its own answer.
    async fn ask(&mut self, mut command: Value) -> Value {
        self.asked += 1;
        let id = self.asked;
        command["id"] = json!(id);
        self.raw.send(command).await;
        self.wait(|frame| frame["id"] == id).await
    }

    /// What has been seen: types, and the codes of errors.
    fn seen(&self) -> BTreeSet<String> {
        let name = |frame: &Value| match (frame["type"].as_str(), frame["code"].as_str()) {
            (Some(kind), _) => kind.to_owned(),
            (None, code) => format!("error {}", code.expect("a code")),
        };
        self.kept.iter().map(name).collect()
    }

    /// Makes a session; its id.
    async fn make(&mut self, fields: Value) -> String {
        let mut command = json!({"action":"create_session"});
        let all = command.as_object_mut().expect("an object");
        all.extend(fields.as_object().expect("an object").clone());
        let made = self.ask(command).await;
        made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
    }

    /// Waits for a session's event or screen.
    async fn told(&mut self, kind: &str, id: &str) -> Value {
        self.wait(|frame| frame["type"] == kind && frame["sessionId"] == id).await
    }
}

#[track_caller]
fn same(frame: &Value, text: &str) {
    assert_eq!(&serde_json::from_str::<Value>(text).expect("JSON"), frame, "something is lost or added");
}

#[tokio::test]
async fn every_frame_survives_the_types() {
    let agent = Agent::start().await;
    let mut client = Witness::new(&agent).await;
    client.ask(json!({"action":"subscribe"})).await;
    a_task_with_everything(&mut client).await;
    typing_and_looking(&mut client).await;
    what_is_asked_and_answered(&mut client).await;
    errors(&mut client).await;
    // Numbers from the future: another life of the agent.
    client.ask(json!({"action":"subscribe","since":1_000_000})).await;
    client.wait(|frame| frame["type"] == "snapshot").await;
    client.ask(json!({"action":"shutdown","drain":true})).await;
    client.wait(|frame| frame["type"] == "notice").await;
    assert_eq!(client.seen(), BTreeSet::from(EVERYTHING.map(str::to_owned)));
}

/// Every field of a session, of its detail and of its end.
async fn a_task_with_everything(client: &mut Witness) {
    let all = json!({
        "tool":"shell", "task":"echo one; echo two; read line; exit 3", "context":{"path":"/tmp"}, "name":"all",
        "taskId":"wire/1", "attempt":2, "env":{"WIRE":"yes"}, "timeout":600.5, "onDone":"close",
        "limits":{"memory":1_073_741_824, "cpu":1.5, "tasks":99}, "size":{"cols":100,"rows":30},
    });
    let id = client.make(all.clone()).await;
    assert_eq!(client.make(all).await, id, "the same attempt is the same session");
    client.wait(|frame| frame["sessionId"] == id.as_str() && frame["state"] == "running").await;
    let detail = client.ask(json!({"action":"get_session","sessionId":id})).await;
    assert_eq!(detail["session"]["envNames"], json!(["WIRE"]));
    client.ask(json!({"action":"pause_session","sessionId":id})).await;
    client.ask(json!({"action":"resume_session","sessionId":id})).await;
    client.ask(json!({"action":"report","sessionId":id,"status":"waiting","message":"Now?"})).await;
    client.ask(json!({"action":"send_keys","sessionId":id,"keys":"now"})).await;
    let end = client.told("session_completed", &id).await;
    assert_eq!(end["outcome"]["exitCode"], 3, "{end}");
    client.told("session_closed", &id).await;
    client.ask(json!({"action":"transcript","sessionId":id,"from":0,"limit":10})).await;
    let list = client.ask(json!({"action":"list_sessions","all":true})).await;
    assert_eq!(list["sessions"][0]["outcome"]["state"], "failed", "{list}");
}

async fn typing_and_looking(client: &mut Witness) {
    let id = client.make(json!({"tool":"cat"})).await;
    client.ask(json!({"action":"watch_screen","sessionId":id})).await;
    client.told("screen", &id).await;
    let sent = client.ask(json!({"action":"send_keys","sessionId":id,"keys":"héllo 🦀"})).await;
    assert_eq!(sent["observed"], "submitted");
    client.ask(json!({"action":"capture_pane","sessionId":id,"lines":5,"escapes":true})).await;
    client.ask(json!({"action":"unwatch_screen","sessionId":id})).await;
    client.ask(json!({"action":"kill_session","sessionId":id})).await;
    client.ask(json!({"action":"agent_info"})).await;
}

/// A question that is a person's, and one that may be answered without.
async fn what_is_asked_and_answered(client: &mut Witness) {
    let script = "printf 'Press Enter to continue... '; read x; printf 'Delete it? [y/N] '; read x";
    let id = client.make(json!({"tool":"sh","args":["-c",script]})).await;
    client.told("auto_confirmed", &id).await;
    client.wait(|frame| frame["sessionId"] == id.as_str() && frame["state"] == "waiting").await;
    until("asked", async || {
        let list = client.ask(json!({"action":"list_sessions"})).await;
        let asked = list["sessions"].as_array().expect("a list").iter().any(|s| s["prompt"].is_object());
        asked.then_some(())
    })
    .await;
    client.ask(json!({"action":"explain_session","sessionId":id})).await;
    client.ask(json!({"action":"hook","sessionId":id,"event":{"hook_event_name":"Stop"}})).await;
    client.ask(json!({"action":"answer","sessionId":id,"decision":"text","text":"n"})).await;
    client.told("session_completed", &id).await;
    client.ask(json!({"action":"kill_session","sessionId":id})).await;
}

async fn errors(client: &mut Witness) {
    let gone = client.make(json!({"tool":"shell","task":"true","onDone":"close"})).await;
    client.told("session_closed", &gone).await;
    for (command, code) in [
        (json!({"action":"kill_session","sessionId":"cm-x"}), "not_found"),
        (json!({"action":"nope"}), "unknown_action"),
        (json!({"action":"send_keys"}), "bad_request"),
        (json!({"action":"send_keys","sessionId":gone,"keys":"x"}), "conflict"),
        // It was started by hand.
        (json!({"action":"confirm_deployment","deployment":"d-1"}), "conflict"),
    ] {
        assert_eq!(client.ask(command.clone()).await["code"], code, "{command}");
    }
}

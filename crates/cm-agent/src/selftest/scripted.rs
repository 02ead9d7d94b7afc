//! An agent played for tests of the self-test and of `health`: it says what a script tells it to.

use std::sync::{Arc, Mutex};

use cm_client::Endpoint;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::{WebSocketStream, accept_async};
use tokio_util::task::AbortOnDropHandle;

/// How it behaves; the default is an agent without fault.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    /// It logs in like the original.
    pub original: bool,
    /// What it says is wrong with it.
    pub problems: Vec<String>,
    /// How its shell tasks exit.
    pub exit_code: i32,
    /// The action it never answers.
    pub mute: &'static str,
    /// Answers put in the place of its own, by action.
    pub instead: Vec<(&'static str, Value)>,
    /// Its sessions live on after they were killed.
    pub immortal: bool,
}

/// The agent while it runs.
pub(crate) struct Agent {
    pub(crate) endpoint: Endpoint,
    asked: Arc<Mutex<Vec<String>>>,
    _folder: TempDir,
    _task: AbortOnDropHandle<()>,
}

impl Agent {
    /// `action` or `action session` of every command so far.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

pub(crate) fn start(script: Script) -> Agent {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("agent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let task = AbortOnDropHandle::new(tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let socket = accept_async(stream).await.unwrap();
            let (script, log) = (script.clone(), Arc::clone(&log));
            Player { socket, script, log, sessions: Vec::new(), seq: 0 }.play().await;
        }
    }));
    Agent { endpoint: Endpoint::Unix(path), asked, _folder: folder, _task: task }
}

struct Player {
    socket: WebSocketStream<UnixStream>,
    script: Script,
    log: Arc<Mutex<Vec<String>>>,
    /// Name, tool, alive.
    sessions: Vec<(String, String, bool)>,
    seq: u64,
}

impl Player {
    async fn play(mut self) {
        while let Some(Ok(message)) = self.socket.next().await {
            let Ok(text) = message.to_text() else { continue };
            let Ok(frame) = serde_json::from_str::<Value>(text) else { continue };
            if frame.get("auth_token").is_some() {
                self.send(self.hello()).await;
            } else {
                self.command(&frame).await;
            }
        }
    }

    fn hello(&self) -> Value {
        if self.script.original {
            return json!({"status": "authenticated"});
        }
        json!({"status": "authenticated", "agent": self.agent(), "seq": self.seq})
    }

    fn agent(&self) -> Value {
        let golden = include_str!("../../../cm-protocol/tests/wire/reply.agent_info.json");
        let mut agent = serde_json::from_str::<Value>(golden).unwrap()["agent"].take();
        agent["problems"] = json!(self.script.problems);
        agent["draining"] = json!(false);
        agent["capacity"]["sessions"] = json!(self.sessions.len());
        agent
    }

    async fn send(&mut self, frame: Value) {
        let _ = self.socket.send(frame.to_string().into()).await;
    }

    async fn event(&mut self, mut event: Value) {
        self.seq += 1;
        event["seq"] = json!(self.seq);
        event["timestamp"] = json!(1.5);
        self.send(event).await;
    }

    async fn command(&mut self, frame: &Value) {
        let action = frame["action"].as_str().unwrap_or_default();
        let session = frame["sessionId"].as_str().unwrap_or_default().to_owned();
        self.log.lock().unwrap().push(format!("{action} {session}").trim_end().to_owned());
        if action == self.script.mute {
            return;
        }
        let instead = self.script.instead.iter().find(|(name, _)| *name == action);
        let mut answer = match instead {
            Some((_, answer)) => answer.clone(),
            None => self.answer(action, &session, frame),
        };
        answer["id"] = frame["id"].clone();
        self.send(answer).await;
        self.afterwards(action, &session, frame).await;
    }

    fn answer(&mut self, action: &str, session: &str, frame: &Value) -> Value {
        let known = self.sessions.iter().any(|(name, ..)| name == session);
        match action {
            "agent_info" => json!({"type": "agent_info", "agent": self.agent()}),
            "subscribe" => json!({"type": "subscribed", "seq": self.seq}),
            "list_sessions" => json!({"type": "sessions_list", "sessions": self.list()}),
            "create_session" => {
                let name = format!("cm-{}", self.sessions.len() + 1);
                self.sessions.push((name.clone(), frame["tool"].as_str().unwrap_or("").to_owned(), true));
                json!({"type": "session_created", "sessionId": name, "socket": "/run/s.sock"})
            }
            "get_session" if known => {
                let mut detail = self.list().into_iter().find(|s| s["sessionId"] == session).unwrap();
                detail["size"] = json!({"cols": 120, "rows": 40});
                detail["onDone"] = json!("keep");
                json!({"type": "session", "session": detail})
            }
            "transcript" if known => json!({"type": "transcript", "sessionId": session, "from": 0,
                "lines": ["cm-selftest-task-42"], "next": 1, "end": true}),
            "watch_screen" if known => json!({"type": "screen_watched", "sessionId": session}),
            "send_keys" if known => {
                json!({"type": "keys_sent", "sessionId": session, "observed": "submitted"})
            }
            "capture_pane" if known => {
                json!({"type": "pane_output", "sessionId": session, "output": "$ …\ncm-selftest-typed-42\n$ "})
            }
            "kill_session" if known => {
                let immortal = self.script.immortal;
                self.sessions.iter_mut().filter(|s| s.0 == session).for_each(|s| s.2 = immortal);
                json!({"type": "session_killed", "sessionId": session})
            }
            "get_session" | "transcript" | "watch_screen" | "send_keys" | "capture_pane" | "kill_session" => {
                json!({"error": format!("Session not found: {session}"), "code": "not_found"})
            }
            other => json!({"error": format!("Unknown action: {other}"), "code": "unknown_action"}),
        }
    }

    fn list(&self) -> Vec<Value> {
        let info = |(name, tool, alive): &(String, String, bool)| json!({"sessionId": name, "tool": tool, "state": "starting", "path": "/", "uptime": 0, "alive": alive});
        self.sessions.iter().map(info).collect()
    }

    /// What follows a command's answer.
    async fn afterwards(&mut self, action: &str, session: &str, frame: &Value) {
        let made = self.sessions.last().map(|(name, ..)| name.clone()).unwrap_or_default();
        match (action, frame["tool"].as_str()) {
            ("create_session", Some("shell")) => {
                self.event(json!({"type": "state_change", "sessionId": made, "state": "running"})).await;
                let code = self.script.exit_code;
                let state = if code == 0 { "done" } else { "failed" };
                let outcome =
                    json!({"state": state, "exitCode": code, "duration": 0.5, "tail": ["sh: trouble"]});
                self.event(json!({"type": "state_change", "sessionId": made, "state": state})).await;
                let ended = json!({"type": "session_completed", "sessionId": made, "state": state,
                    "outcome": outcome});
                self.event(ended).await;
            }
            ("create_session", _) => {
                self.event(json!({"type": "state_change", "sessionId": made, "state": "idle"})).await;
            }
            ("send_keys", _) => {
                self.send(json!({"type": "screen", "sessionId": session, "revision": 1, "cursor": [2, 2],
                    "output": "$ …\ncm-selftest-typed-42\n$", "cols": 120, "rows": 40, "lines": 0}))
                    .await;
            }
            _ => {}
        }
    }
}

//! An agent that is played by the test: it lists sessions, takes answers, announces what changes.

use std::sync::{Arc, Mutex};

use cm_protocol::{
    Action, AgentInfo, Answer, AuthReply, ClientFrame, ErrorCode, ErrorReply, Event, EventKind, Explanation,
    Hello, KeysObserved, Meaning, Prompt, PromptOption, Reply, ReplyBody, Request, ServerFrame,
    SessionDetail, SessionId, SessionInfo, State,
};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;

/// What it knows and was told. What is answered in the session called `stuck` is not seen to arrive; in the one
/// called `late` another prompt is open by then.
pub struct Agent {
    sessions: Mutex<Vec<SessionInfo>>,
    answers: Mutex<Vec<Answer>>,
    killed: Mutex<Vec<String>>,
    /// The token it wants to hear; none: any.
    token: Option<String>,
    /// The tmux socket of all its sessions.
    socket: Mutex<Option<String>>,
    changed: watch::Sender<u64>,
}

impl Agent {
    pub fn new(sessions: Vec<SessionInfo>, token: Option<&str>) -> Arc<Self> {
        Arc::new(Self {
            sessions: Mutex::new(sessions),
            answers: Mutex::default(),
            killed: Mutex::default(),
            token: token.map(str::to_owned),
            socket: Mutex::default(),
            changed: watch::Sender::new(0),
        })
    }

    /// From now on it has these sessions, and says that something has changed.
    pub fn becomes(&self, sessions: Vec<SessionInfo>) {
        *self.sessions.lock().expect("not poisoned") = sessions;
        self.changed.send_modify(|seq| *seq += 1);
    }

    /// Its sessions are in this tmux.
    pub fn terminals_at(&self, socket: &std::path::Path) {
        *self.socket.lock().expect("not poisoned") = Some(socket.display().to_string());
    }

    /// What has been answered since the last time this was asked: session, prompt, decision, options, text.
    pub fn answered(&self) -> Vec<String> {
        std::mem::take(&mut *self.answers.lock().expect("not poisoned"))
            .iter()
            .map(|a| {
                let id = a.prompt_id.map_or("?".to_owned(), |id| id.to_string());
                let session = a.session_id.as_str();
                format!("{}/{id} {:?} {:?} {:?}", &session[3..7], a.decision, a.options, a.text)
            })
            .collect()
    }

    /// The sessions it was told to end since the last time this was asked.
    pub fn killed(&self) -> Vec<String> {
        std::mem::take(&mut *self.killed.lock().expect("not poisoned"))
    }

    /// One client's connection, to its end.
    pub async fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin) -> Option<()> {
        let mut ws = tokio_tungstenite::accept_async(stream).await.ok()?;
        let mut changed = self.changed.subscribe();
        let mut follows = false;
        loop {
            let message = tokio::select! {
                message = ws.next() => message?.ok()?,
                Ok(()) = changed.changed(), if follows => {
                    let event = self.event(*changed.borrow_and_update());
                    ws.send(Message::text(event)).await.ok()?;
                    continue;
                }
            };
            let Message::Text(text) = message else { continue };
            let said = match ClientFrame::parse(&text).expect("the client speaks the protocol") {
                ClientFrame::Auth(auth) => match &self.token {
                    Some(token) if *token != auth.auth_token => {
                        let refused = AuthReply::refused("wrong token", ErrorCode::Unauthorized);
                        let refused = serde_json::to_string(&refused).expect("it serializes");
                        ws.send(Message::text(refused)).await.ok()?;
                        return None;
                    }
                    _ => {
                        let agent: AgentInfo = serde_json::from_str(AGENT).expect("as the protocol says");
                        let seq = *self.changed.borrow();
                        serde_json::to_string(&AuthReply::authenticated(Hello { agent, seq, clock: None }))
                            .expect("it serializes")
                    }
                },
                ClientFrame::Request(Request { id, action }) => {
                    follows |= matches!(action, Action::Subscribe(_));
                    match self.act(action) {
                        Ok(body) => ServerFrame::Reply(Reply { body, id }).to_text(),
                        Err(error) => ServerFrame::Error(error.answering(id)).to_text(),
                    }
                }
            };
            ws.send(Message::text(said)).await.ok()?;
        }
    }

    fn event(&self, seq: u64) -> String {
        let session_id = SessionId::from_bits(1);
        let kind = EventKind::SessionClosed { session_id };
        ServerFrame::Event(Event { kind, seq, timestamp: 0.0 }).to_text()
    }

    fn act(&self, action: Action) -> Result<ReplyBody, ErrorReply> {
        let sessions = self.sessions.lock().expect("not poisoned").clone();
        match action {
            Action::ListSessions(_) => Ok(ReplyBody::SessionsList { sessions }),
            Action::Subscribe(_) => Ok(ReplyBody::Subscribed { seq: *self.changed.borrow() }),
            Action::KillSession(kill) => {
                self.killed.lock().expect("not poisoned").push(kill.session_id.as_str()[3..7].to_owned());
                Ok(ReplyBody::SessionKilled { session_id: kill.session_id })
            }
            Action::GetSession(get) => {
                let info = sessions.into_iter().find(|s| s.session_id == get.session_id).expect("it is ours");
                let mut detail = serde_json::to_value(&info).expect("JSON");
                detail["size"] = serde_json::json!({ "cols": 80, "rows": 24 });
                detail["onDone"] = "keep".into();
                detail["socket"] = serde_json::json!(*self.socket.lock().expect("not poisoned"));
                let session: SessionDetail = serde_json::from_value(detail).expect("as the protocol says");
                Ok(ReplyBody::Session { session: Box::new(session) })
            }
            Action::Answer(answer) => {
                let session =
                    sessions.iter().find(|s| s.session_id == answer.session_id).expect("it is ours");
                self.answers.lock().expect("not poisoned").push(answer.clone());
                let observed = match session.name.as_deref() {
                    Some("late") => return Err(refusal("prompt 3 is not open any more")),
                    Some("stuck") => KeysObserved::NoEvidence,
                    _ => KeysObserved::Submitted,
                };
                let prompt_id = answer.prompt_id.expect("the one that was shown");
                Ok(ReplyBody::Answered { session_id: answer.session_id, prompt_id, observed })
            }
            Action::ExplainSession(explain) => {
                let text = include_str!("../../../cm-protocol/tests/wire/reply.explained.json");
                let reply: Reply = serde_json::from_str(text).expect("a golden file");
                let ReplyBody::Explained { explanation } = reply.body else { panic!("{reply:?}") };
                let explanation = Explanation { session_id: explain.session_id, ..*explanation };
                Ok(ReplyBody::Explained { explanation: Box::new(explanation) })
            }
            other => panic!("nobody taught the fake agent {other:?}"),
        }
    }
}

fn refusal(words: &str) -> ErrorReply {
    let text = serde_json::json!({ "error": words, "code": ErrorCode::Conflict });
    serde_json::from_value(text).expect("an error")
}

const AGENT: &str = r#"{"version":"0.1.0","build":"test","sha256":"","protocol":2,"features":[],"host":"test",
    "os":"linux","arch":"x86_64","bootId":"","pid":1,"startedAt":0.0,"tmux":"3.4","placement":"detached",
    "capacity":{"sessions":0,"maxSessions":1,"clients":1,"maxClients":1},
    "limits":{"frameBytes":65536,"taskBytes":1,"keysBytes":1,"pendingCommands":8,"loginFailures":1,"loginSeconds":1}}"#;

pub fn session(digits: &str, name: &str, prompt: Option<Prompt>) -> SessionInfo {
    SessionInfo {
        session_id: SessionId(format!("cm-{digits:0<32}")),
        tool: "claude".into(),
        state: if prompt.is_some() { State::Waiting } else { State::Running },
        path: "/home/ada/shop".into(),
        uptime: 75,
        alive: true,
        name: Some(name.into()),
        task: None,
        owner: None,
        summary: "fix the login test".into(),
        created_at: 0.0,
        reason: None,
        prompt,
        outcome: None,
    }
}

pub fn command(id: u64, subject: &str) -> Option<Prompt> {
    let option = |label: &str, key: &str, selected, meaning| PromptOption {
        label: label.into(),
        key: Some(key.into()),
        selected,
        checked: None,
        meaning,
    };
    Some(Prompt {
        id,
        kind: "command".into(),
        text: "Do you want to proceed?".into(),
        subject: Some(subject.into()),
        options: vec![
            option("Yes", "1", true, Meaning::Once),
            option("Yes, and don't ask again", "2", false, Meaning::Always),
            option("No", "Esc", false, Meaning::Refuse),
        ],
        class: Some(format!("command {subject}")),
        ..Prompt::default()
    })
}

pub fn question(id: u64) -> Option<Prompt> {
    let option = |label: &str| PromptOption {
        label: label.into(),
        key: None,
        selected: false,
        checked: None,
        meaning: Meaning::Answer,
    };
    let options = vec![option("SQLite"), option("Postgres"), option("Postgres, replicated")];
    let text = "Which database?".into();
    Some(Prompt { id, kind: "question".into(), text, options, ..Prompt::default() })
}

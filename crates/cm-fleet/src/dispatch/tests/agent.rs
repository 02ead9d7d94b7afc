//! An agent for tests: it speaks the protocol over a unix socket and acts out what the tasks' texts say.
//!
//! `exit N` ends at once, `hang` runs until it is killed (`and survive`: not even then), `show TEXT` has
//! TEXT on its screen and hangs, `ask` waits on a prompt, `prove` is allowed a command and ends verified
//! (or failed, where no check came with it), `refuse` is refused, `drop before the answer` closes the connection the
//! first time.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cm_client::protocol::{
    Action, AgentInfo, AuthReply, Capacity, CheckResult, ClientFrame, CreateSession, ErrorCode, ErrorReply,
    Event, EventKind, Hello, Limits, Outcome, Prompt, Proof, Receipt, Reply, ReplyBody, Request, ScreenFrame,
    ServerFrame, SessionId, State,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

/// It listens until it is dropped.
pub(super) struct FakeAgent {
    pub(super) socket: PathBuf,
    _dir: tempfile::TempDir,
    _task: AbortOnDropHandle<()>,
}

#[derive(Default)]
struct World {
    events: Vec<Event>,
    /// By task id: its session and its text.
    sessions: BTreeMap<String, (SessionId, String)>,
    dropped: bool,
}

enum Say {
    Frame(ServerFrame),
    Hangup,
}

impl FakeAgent {
    pub(super) fn start() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("agent.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let world = Arc::new(Mutex::new(World::default()));
        let task = AbortOnDropHandle::new(tokio::spawn(async move {
            // One connection at a time: the runs under test have one.
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &world).await;
            }
        }));
        Self { socket, _dir: dir, _task: task }
    }
}

async fn serve(stream: UnixStream, world: &Mutex<World>) -> Option<()> {
    let mut ws = tokio_tungstenite::accept_async(stream).await.ok()?;
    while let Some(Ok(message)) = ws.next().await {
        let Message::Text(text) = message else { continue };
        let answers = match ClientFrame::parse(&text).expect("the client speaks the protocol") {
            ClientFrame::Auth(_) => {
                let seq = world.lock().expect("not poisoned").events.len() as u64;
                let hello = AuthReply::authenticated(Hello { agent: info(), seq });
                ws.send(Message::text(serde_json::to_string(&hello).expect("it serializes"))).await.ok()?;
                continue;
            }
            ClientFrame::Request(request) => world.lock().expect("not poisoned").act(request),
        };
        for say in answers {
            match say {
                Say::Frame(frame) => ws.send(Message::text(frame.to_text())).await.ok()?,
                Say::Hangup => return None,
            }
        }
    }
    None
}

impl World {
    fn act(&mut self, request: Request) -> Vec<Say> {
        let Request { id, action } = request;
        let reply = |body| Say::Frame(ServerFrame::Reply(Reply { body, id: id.clone() }));
        let refuse = |e: ErrorReply| vec![Say::Frame(ServerFrame::Error(e.answering(id.clone())))];
        match action {
            Action::Subscribe(subscribe) => {
                let seq = self.events.len() as u64;
                let since = subscribe.since.unwrap_or(seq);
                let mut said = vec![reply(ReplyBody::Subscribed { seq })];
                said.extend(self.after(since));
                said
            }
            Action::CreateSession(create) if create.task() == "refuse" => {
                refuse(ErrorReply::create_failed(ErrorCode::BadRequest, "tool not found: x"))
            }
            Action::CreateSession(create) => {
                let head = self.events.len() as u64;
                let (session_id, existing) = self.create(&create);
                if create.task().starts_with("drop") && !self.dropped {
                    self.dropped = true;
                    return vec![Say::Hangup];
                }
                let body = ReplyBody::SessionCreated {
                    session_id,
                    socket: String::new(),
                    existing,
                    warnings: Vec::new(),
                };
                // Events first: a client must cope with news of a session it has not been told of.
                let mut said = self.after(head);
                said.push(reply(body));
                said
            }
            Action::KillSession(kill) => {
                let head = self.events.len() as u64;
                let survives =
                    self.sessions.values().any(|(id, t)| *id == kill.session_id && t.contains("survive"));
                if !survives {
                    self.end(&kill.session_id, State::Killed, None);
                }
                let mut said = vec![reply(ReplyBody::SessionKilled { session_id: kill.session_id })];
                said.extend(self.after(head));
                said
            }
            Action::WatchScreen(watch) => {
                let session_id = watch.session_id;
                let shown = self.sessions.values().find(|(id, _)| *id == session_id);
                let text = shown.and_then(|(_, text)| text.strip_prefix("show ")).unwrap_or("").to_owned();
                vec![
                    reply(ReplyBody::ScreenWatched { session_id: session_id.clone() }),
                    Say::Frame(ServerFrame::Screen(ScreenFrame {
                        session_id,
                        revision: 1,
                        output: format!("\x1b[1mfirst\n{text}\x1b[0m\n\n"),
                        cursor: (0, 0),
                        cols: 80,
                        rows: 24,
                        lines: 1,
                        title: String::new(),
                        end: false,
                    })),
                ]
            }
            Action::GetSession(get) => refuse(ErrorReply::not_found(get.session_id.as_str())),
            other => panic!("nobody taught the fake agent {other:?}"),
        }
    }

    fn create(&mut self, create: &CreateSession) -> (SessionId, bool) {
        let task = create.task_id.clone().expect("runs name their tasks");
        if let Some((session, _)) = self.sessions.get(&task) {
            return (session.clone(), true);
        }
        let session = SessionId::from_bits(self.sessions.len() as u128 + 1);
        let text = create.task().to_owned();
        self.sessions.insert(task, (session.clone(), text.clone()));
        self.state(&session, State::Running);
        if let Some((_, code)) = text.split_once("exit ") {
            let code: i32 = code.parse().expect("a number");
            self.end(&session, if code == 0 { State::Done } else { State::Failed }, Some(code));
        }
        if text == "ask" {
            let prompt =
                Prompt { id: 5, kind: "command".into(), subject: Some("make".into()), ..Prompt::default() };
            self.waits(&session, prompt);
        }
        if text == "prove" {
            self.prove(&session, create);
        }
        (session, false)
    }

    fn state(&mut self, session_id: &SessionId, state: State) {
        self.push(EventKind::StateChange {
            session_id: session_id.clone(),
            state,
            task: None,
            reason: None,
            prompt: None,
        });
    }

    fn waits(&mut self, session_id: &SessionId, prompt: Prompt) {
        self.push(EventKind::StateChange {
            session_id: session_id.clone(),
            state: State::Waiting,
            task: None,
            reason: None,
            prompt: Some(prompt),
        });
    }

    /// A command is allowed, then the task's own check passes.
    fn prove(&mut self, session_id: &SessionId, create: &CreateSession) {
        let prompt =
            Prompt { id: 5, kind: "command".into(), subject: Some("make".into()), ..Prompt::default() };
        let receipt = Receipt {
            at: super::super::now(),
            prompt: prompt.clone(),
            verdict: "allow".into(),
            rule: "careful/harmless commands".into(),
            channel: "hook".into(),
            option: None,
            keys: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            outcome: "accepted".into(),
        };
        let rule = Some(receipt.rule.clone());
        self.push(EventKind::Receipt { session_id: session_id.clone(), receipt: Box::new(receipt.clone()) });
        self.push(EventKind::AutoConfirmed { session_id: session_id.clone(), prompt: Some(prompt), rule });
        let Some(check) = create.check.clone() else { return self.end(session_id, State::Failed, None) };
        let check =
            CheckResult { command: check.command, exit_code: Some(0), runs: 1, ..CheckResult::default() };
        self.state(session_id, State::Done);
        let outcome = Outcome {
            state: State::Done,
            proof: Some(Proof::Verified),
            check: Some(check),
            receipts: vec![receipt],
            ..Outcome::default()
        };
        self.push(EventKind::SessionCompleted {
            session_id: session_id.clone(),
            state: State::Done,
            task: None,
            outcome: Some(outcome),
        });
    }

    fn end(&mut self, session_id: &SessionId, state: State, exit_code: Option<i32>) {
        self.state(session_id, state);
        let tail = vec!["bye".to_owned()];
        let outcome = Outcome { state, exit_code, duration: 0.1, tail, ..Outcome::default() };
        self.push(EventKind::SessionCompleted {
            session_id: session_id.clone(),
            state,
            task: None,
            outcome: Some(outcome),
        });
    }

    fn push(&mut self, kind: EventKind) {
        self.events.push(Event { kind, seq: self.events.len() as u64 + 1, timestamp: super::super::now() });
    }

    fn after(&self, since: u64) -> Vec<Say> {
        let newer = self.events.iter().filter(|event| event.seq > since);
        newer.map(|event| Say::Frame(ServerFrame::Event(event.clone()))).collect()
    }
}

fn info() -> AgentInfo {
    AgentInfo {
        version: "0.1.0".into(),
        build: "test".into(),
        sha256: String::new(),
        protocol: 2,
        features: Vec::new(),
        host: "test".into(),
        os: "linux".into(),
        arch: "x86_64".into(),
        boot_id: String::new(),
        pid: 1,
        started_at: 0.0,
        tmux: "3.4".into(),
        placement: "detached".into(),
        draining: false,
        problems: Vec::new(),
        capacity: Capacity::default(),
        limits: Limits::default(),
    }
}

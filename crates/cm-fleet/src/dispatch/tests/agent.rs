//! An agent for tests: it speaks the protocol over a unix socket and acts out what the tasks' texts say.
//!
//! `exit N` ends at once, `hang` runs until it is killed (`and survive`: not even then), `show TEXT` has
//! TEXT on its screen and hangs, `ask` waits on a prompt, `prove` is allowed a command and ends verified
//! (or failed, where no check came with it), `refuse` is refused, `drop before the answer` closes the connection the
//! first time. `hang at first` and `lose it at first` do so in their first attempt and end well in the next.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use cm_client::protocol::{
    Action, AgentInfo, AuthReply, Capacity, CheckResult, ClientFrame, CreateSession, ErrorCode, ErrorReply,
    Event, EventKind, Fence, Hello, Limits, Load, Outcome, Prompt, Proof, Receipt, Reply, ReplyBody,
    RepoFound, Request, ScreenFrame, ServerFrame, SessionId, State, ToolFound,
};
use futures_util::{SinkExt, StreamExt};
use tokio::net::{UnixListener, UnixStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_util::task::AbortOnDropHandle;

/// It listens until it is dropped.
pub(super) struct FakeAgent {
    pub(super) socket: PathBuf,
    _dir: tempfile::TempDir,
    task: Option<AbortOnDropHandle<()>>,
    world: Arc<Mutex<World>>,
}

#[derive(Default)]
struct World {
    /// Which of several agents it is: their sessions differ.
    number: u128,
    /// What it says it can do beyond the first release.
    features: Vec<String>,
    events: Vec<Event>,
    /// By task id and attempt: its session and its text.
    sessions: BTreeMap<(String, u32), (SessionId, String)>,
    /// Tools it does not have.
    missing: Vec<String>,
    /// What it was asked, beside starting and ending sessions.
    asked: Vec<String>,
    dropped: bool,
    /// Where it has the one repository of its host.
    repository: Option<PathBuf>,
}

enum Say {
    Frame(ServerFrame),
    Hangup,
}

impl FakeAgent {
    /// One of the first release.
    pub(super) fn start() -> Self {
        Self::with(World::default())
    }

    /// One of a fleet's, that lacks some tools.
    pub(super) fn modern(number: usize, missing: &[&str]) -> Self {
        Self::with(World {
            number: number as u128,
            features: ["leases", "fence", "probe"].map(str::to_owned).to_vec(),
            missing: missing.iter().map(|tool| (*tool).to_owned()).collect(),
            ..World::default()
        })
    }

    /// One of a fleet's, whose tasks work in this repository.
    pub(super) fn with_repository(number: usize, repository: PathBuf) -> Self {
        Self::with(World {
            number: number as u128,
            features: ["leases", "fence", "probe", "repo"].map(str::to_owned).to_vec(),
            repository: Some(repository),
            ..World::default()
        })
    }

    fn with(world: World) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let socket = dir.path().join("agent.sock");
        let mut agent = Self { socket, _dir: dir, task: None, world: Arc::new(Mutex::new(world)) };
        agent.wake();
        agent
    }

    /// It is gone, with all its connections; what it knows stays.
    pub(super) fn vanish(&mut self) {
        self.task = None;
        std::fs::remove_file(&self.socket).expect("it was there");
    }

    /// It is there again.
    pub(super) fn wake(&mut self) {
        let listener = UnixListener::bind(&self.socket).expect("a socket");
        let world = Arc::clone(&self.world);
        self.task = Some(AbortOnDropHandle::new(tokio::spawn(async move {
            // One connection at a time: the runs under test have one.
            while let Ok((stream, _)) = listener.accept().await {
                serve(stream, &world).await;
            }
        })));
    }

    /// What it was asked, beside starting and ending sessions.
    pub(super) fn asked(&self) -> Vec<String> {
        self.world.lock().expect("not poisoned").asked.clone()
    }
}

async fn serve(stream: UnixStream, world: &Mutex<World>) -> Option<()> {
    let mut ws = tokio_tungstenite::accept_async(stream).await.ok()?;
    while let Some(Ok(message)) = ws.next().await {
        let Message::Text(text) = message else { continue };
        let answers = match ClientFrame::parse(&text).expect("the client speaks the protocol") {
            ClientFrame::Auth(_) => {
                let hello = {
                    let world = world.lock().expect("not poisoned");
                    let agent = AgentInfo { features: world.features.clone(), ..info() };
                    AuthReply::authenticated(Hello { agent, seq: world.events.len() as u64, clock: None })
                };
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
                    base: None,
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
            Action::AgentInfo => vec![reply(ReplyBody::AgentInfo { agent: Box::new(info()) })],
            Action::Probe(probe) => {
                let found = |tool: String| {
                    let path = (!self.missing.contains(&tool)).then(|| format!("/bin/{tool}"));
                    ToolFound { tool, path, login: None }
                };
                let tools = probe.tools.into_iter().map(found).collect();
                let directory = self.repository.as_ref().map(|path| path.display().to_string());
                let present = self.repository.as_ref().is_some_and(|path| path.join("HEAD").exists());
                let found = |url| RepoFound { url, present, directory: directory.clone() };
                let repos = probe.repos.into_iter().map(found).collect();
                vec![reply(ReplyBody::Probed { tools, repos, load: load() })]
            }
            Action::RenewLease(renew) => {
                let given = if renew.seconds.is_some() { "renewed" } else { "given back" };
                self.asked.push(format!("{} {given}", renew.owner));
                vec![reply(ReplyBody::LeaseRenewed {
                    owner: renew.owner,
                    sessions: 0,
                    load: load(),
                    clock: None,
                })]
            }
            Action::Acknowledge(known) => {
                let sessions = known.sessions.len();
                self.asked.push(format!("acknowledged {sessions}"));
                vec![reply(ReplyBody::Acknowledged { sessions })]
            }
            Action::Fence(fence) => self.fence(fence, &reply),
            Action::GetSession(get) => refuse(ErrorReply::not_found(get.session_id.as_str())),
            other => panic!("nobody taught the fake agent {other:?}"),
        }
    }

    /// Ends earlier attempts that still run.
    fn fence(&mut self, fence: Fence, reply: &dyn Fn(ReplyBody) -> Say) -> Vec<Say> {
        self.asked.push(format!("fence {} below {}", fence.task_id, fence.below));
        let head = self.events.len() as u64;
        let stale: Vec<SessionId> = self
            .sessions
            .iter()
            .filter(|((task, attempt), _)| *task == fence.task_id && *attempt < fence.below)
            .map(|(_, (session, _))| session.clone())
            .collect();
        for session in &stale {
            self.end(session, State::Killed, None);
        }
        let mut said = vec![reply(ReplyBody::Fenced { task_id: fence.task_id, sessions: stale })];
        said.extend(self.after(head));
        said
    }

    fn create(&mut self, create: &CreateSession) -> (SessionId, bool) {
        let task = create.task_id.clone().expect("runs name their tasks");
        let attempt = create.attempt.expect("and their attempts");
        if let Some((session, _)) = self.sessions.get(&(task.clone(), attempt)) {
            return (session.clone(), true);
        }
        if let Some(work) = create.worktree.as_ref().and_then(|tree| tree.continues.as_ref()) {
            self.asked.push(format!("go on with {} {} {}", work.host, work.attempt, work.commit));
        }
        let session = SessionId::from_bits((self.number << 64) | (self.sessions.len() as u128 + 1));
        let text = create.task().to_owned();
        self.sessions.insert((task, attempt), (session.clone(), text.clone()));
        self.state(&session, State::Running);
        match (text.as_str(), attempt) {
            ("hang at first", 1) => {}
            ("lose it at first", 1) => self.end(&session, State::Lost, None),
            ("hang at first" | "lose it at first", _) => self.end(&session, State::Done, Some(0)),
            _ => {}
        }
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

fn load() -> Load {
    Load { cpu: 0.0, cores: 2, memory_available: 1.0, memory_pressure: None }
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

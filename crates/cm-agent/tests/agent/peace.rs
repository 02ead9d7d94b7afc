//! Somebody who only wants to work while others misbehave, and proof that the others left nothing behind.

use std::path::Path;

use cm_client::Client;
use cm_protocol::{Context, CreateSession, KeysObserved, SendKeys, SessionId};
use serde_json::{Value, json};

use super::support::{Agent, PATIENCE, Raw, shows, until};

/// A session and a client that nobody may disturb.
pub struct Bystander {
    client: Client,
    id: SessionId,
    checks: u32,
}

impl Bystander {
    pub async fn beside(agent: &Agent) -> Self {
        let client = agent.client().await;
        // Not in this repository: what is uncommitted here is kept for a session that works here.
        let context = Some(Context { path: Some("/".into()), ..Context::default() });
        let request = CreateSession { tool: Some("cat".into()), context, ..CreateSession::default() };
        let id = client.create_session(request).await.expect("made").session_id;
        Self { client, id, checks: 0 }
    }

    /// Its connection and its session still do what they are for.
    pub async fn works(&mut self) {
        self.checks += 1;
        let text = format!("undisturbed {}", self.checks);
        let keys = SendKeys { session_id: self.id.clone(), keys: Some(text.clone()), ..SendKeys::default() };
        let observed = tokio::time::timeout(PATIENCE, self.client.send_keys(keys)).await.expect("in time");
        assert_eq!(observed.expect("typed"), Some(KeysObserved::Submitted));
        shows(&self.client, &self.id, &format!("{text}\n{text}")).await;
    }

    /// Ends its session and goes.
    pub async fn leaves(self) {
        self.client.kill_session(&self.id).await.expect("killed");
        self.client.close().await;
    }

    /// Ends it; what then is left of this agent's sessions is left by somebody who should not have.
    pub async fn leaves_nothing(mut self, agent: &Agent) {
        self.works().await;
        self.client.kill_session(&self.id).await.expect("killed");
        nothing_left(agent, &self.client).await;
    }
}

/// No terminal, no directory, no process of any session, but for those that ended and are remembered.
pub async fn nothing_left(agent: &Agent, client: &Client) {
    let sessions = client.list_sessions().await.expect("listed");
    assert!(sessions.iter().all(|s| !s.alive), "{sessions:?}");
    assert_eq!(agent.terminals(), Vec::<std::path::PathBuf>::new());
    let run = entries(&agent.dir.path().join("run"));
    assert!(run.iter().all(|name| !name.starts_with("cm-")), "{run:?}");
    let socket = agent.socket();
    until("no process is left", async || (processes_of(&socket).is_empty()).then_some(())).await;
}

pub fn entries(dir: &Path) -> Vec<String> {
    let list = std::fs::read_dir(dir).expect("readable").flatten();
    let mut names: Vec<_> = list.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Processes inside sessions of the agent with this socket.
pub fn processes_of(socket: &Path) -> Vec<String> {
    let mark = format!("CM_AGENT_SOCKET={}", socket.display());
    let list = std::fs::read_dir("/proc").expect("proc").flatten();
    list.filter(|entry| {
        let environ = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        environ.split(|&b| b == 0).any(|v| v == mark.as_bytes())
    })
    .map(|entry| entry.file_name().to_string_lossy().into_owned())
    .collect()
}

/// A process's memory in bytes.
pub fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).expect("it has memory");
    let kib: u64 = line.split_whitespace().nth(1).expect("a number").parse().expect("a number");
    kib * 1024
}

/// Makes a session and gives its id.
pub async fn session<S>(raw: &mut Raw<S>, request: Value) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut frame = json!({"action": "create_session"});
    frame.as_object_mut().expect("an object").extend(request.as_object().expect("an object").clone());
    let made = raw.ask(frame).await;
    made["sessionId"].as_str().unwrap_or_else(|| panic!("{made}")).to_owned()
}

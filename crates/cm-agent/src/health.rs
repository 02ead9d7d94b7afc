//! One question to a running agent, one line and an exit code: for units, containers and people.

use std::fmt;
use std::process::ExitCode;
use std::time::Duration;

use cm_client::protocol::AgentInfo;
use cm_client::{Client, ClientError, Endpoint};
use serde_json::{Value, json};

use crate::host::process::ProcessId;

/// What an agent's answer, or its silence, amounts to. Displayed as one line.
#[derive(Debug)]
pub enum Health {
    /// It answers and knows of nothing wrong.
    Healthy(Box<AgentInfo>),
    /// It answers, and something is wrong with it.
    Unhealthy(Box<AgentInfo>),
    /// An original agent: it answers, and says nothing of itself.
    Original {
        /// Living sessions.
        sessions: usize,
    },
    /// It does not answer, or refuses to.
    Unreachable(ClientError),
}

/// Asks the agent there how it is; everything within about `deadline`.
pub async fn check(endpoint: &Endpoint, deadline: Duration) -> Health {
    match ask(endpoint, deadline).await {
        Ok(health) => health,
        Err(error) => Health::Unreachable(error),
    }
}

async fn ask(endpoint: &Endpoint, deadline: Duration) -> Result<Health, ClientError> {
    let client = Client::connect(endpoint, deadline).await?.with_timeout(deadline);
    if client.hello().is_none() {
        let alive = client.list_sessions().await?.iter().filter(|session| session.alive).count();
        return Ok(Health::Original { sessions: alive });
    }
    // Not the hello: the answer to a command shows that the agent works on commands.
    let info = Box::new(client.agent_info().await?);
    client.close().await;
    Ok(if info.problems.is_empty() { Health::Healthy(info) } else { Health::Unhealthy(info) })
}

/// The same as JSON on one line, with all that a deployment confirms by: which program runs there, and the first
/// process of each session, by pid and start time.
pub async fn in_full(endpoint: &Endpoint, health: Health, deadline: Duration) -> Value {
    let socket = match endpoint {
        Endpoint::Unix(socket) => Some(socket.display().to_string()),
        Endpoint::Tcp { .. } => None,
    };
    let mut said = json!({ "ok": health.is_healthy(), "line": health.to_string(), "socket": socket });
    if let (Health::Healthy(info) | Health::Unhealthy(info), Some(said)) = (&health, said.as_object_mut()) {
        let facts = json!({
            "version": info.version, "build": info.build, "sha256": info.sha256, "pid": info.pid,
            "startedAt": info.started_at, "bootId": info.boot_id, "placement": info.placement,
            "sessions": info.capacity.sessions, "draining": info.draining, "problems": info.problems,
        });
        said.extend(facts.as_object().cloned().unwrap_or_default());
        // What an agent does not say in time is not known; that it is healthy is.
        if let Ok(Ok(panes)) = tokio::time::timeout(deadline, panes(endpoint, deadline)).await {
            said.insert("panes".into(), panes.into());
        }
    }
    said
}

/// The first process of each living session.
async fn panes(endpoint: &Endpoint, deadline: Duration) -> Result<Vec<Value>, ClientError> {
    let client = Client::connect(endpoint, deadline).await?.with_timeout(deadline);
    let mut panes = Vec::new();
    for session in client.list_sessions().await?.iter().filter(|session| session.alive) {
        // One that is closed in this moment is none.
        let Ok(detail) = client.get_session(&session.session_id).await else { continue };
        let process = detail.pid.and_then(ProcessId::of);
        panes.push(json!({
            "session": session.session_id, "state": session.state, "pid": detail.pid,
            "start": process.map(|process| process.start),
        }));
    }
    client.close().await;
    Ok(panes)
}

impl Health {
    /// 0 where the agent answers and nothing is wrong, else 1.
    pub fn exit_code(&self) -> ExitCode {
        if self.is_healthy() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    /// Whether the agent answers and nothing is wrong.
    pub fn is_healthy(&self) -> bool {
        matches!(self, Self::Healthy(_) | Self::Original { .. })
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = match self {
            Self::Healthy(info) => format!("ok: {}", about(info)),
            Self::Unhealthy(info) => format!("unhealthy: {}: {}", about(info), info.problems.join("; ")),
            Self::Original { sessions } => format!("ok: an original agent, {}", counted(*sessions)),
            Self::Unreachable(error) => format!("unreachable: {error}"),
        };
        // One line, whatever an agent or an operating system wrote into it.
        f.write_str(&line.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn about(info: &AgentInfo) -> String {
    let draining = if info.draining { ", draining" } else { "" };
    let (sessions, tmux) = (counted(info.capacity.sessions), &info.tmux);
    format!("cm-agent {}, {sessions}, tmux {tmux}{draining}", info.version)
}

fn counted(sessions: usize) -> String {
    if sessions == 1 { "1 session".into() } else { format!("{sessions} sessions") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selftest::scripted::{self, Script};

    async fn line(script: Script) -> (String, bool) {
        let agent = scripted::start(script);
        let health = check(&agent.endpoint, Duration::from_secs(5)).await;
        (health.to_string(), health.is_healthy())
    }

    #[tokio::test]
    async fn one_line_each() {
        let well = line(Script::default()).await;
        assert_eq!(well, ("ok: cm-agent 0.1.0, 0 sessions, tmux 3.3a".into(), true));
        let problems = vec!["disk full: 0 bytes left on /var".into(), "journal:\n1 file set aside".into()];
        let sick = line(Script { problems, ..Script::default() }).await;
        let words = "unhealthy: cm-agent 0.1.0, 0 sessions, tmux 3.3a: \
                     disk full: 0 bytes left on /var; journal: 1 file set aside";
        assert_eq!(sick, (words.into(), false));
        let old = line(Script { original: true, ..Script::default() }).await;
        assert_eq!(old, ("ok: an original agent, 0 sessions".into(), true));
    }

    #[tokio::test]
    async fn an_agent_that_is_not_there() {
        let nowhere = Endpoint::Unix("/nonexistent/agent.sock".into());
        let health = check(&nowhere, Duration::from_secs(5)).await;
        assert!(!health.is_healthy());
        assert_eq!(
            health.to_string(),
            "unreachable: cannot reach the agent at unix:/nonexistent/agent.sock: No such file or directory \
             (os error 2); no agent is running there: start it with `cm-agent serve`"
        );
    }
}

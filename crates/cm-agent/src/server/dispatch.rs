//! One action, one answer.

use std::sync::Arc;

use cm_protocol::{
    Action, CapturePane, ConfirmDeployment, ErrorCode, ErrorReply, ReplyBody, SendKeys, SessionId, Subscribe,
    Transcript,
};

use super::Server;
use super::renewing::Renewing;
use crate::session::transcript::Wanted;
use crate::session::typing::Keys;
use crate::session::{Mailbox, SessionHandle};
use crate::tmux::Key;

/// What `capture_pane` gives without `lines`, as the original did.
const LINES: u64 = 50;
/// What `transcript` gives without `limit`, and at most.
const TRANSCRIPT_LINES: u64 = 1000;
const MAX_TRANSCRIPT_LINES: u64 = 5000;
/// Named keys in one command.
const MAX_NAMED: usize = 64;

/// What belongs to one connection and outlives its commands.
#[derive(Debug, Default)]
pub(super) struct Own {
    /// Screens it watches.
    pub(super) mailbox: Arc<Mailbox>,
    /// Leases it renews.
    pub(super) renewing: Renewing,
}

/// An answer, and what it means for the connection.
pub(super) struct Answered {
    pub(super) result: Result<ReplyBody, ErrorReply>,
    /// Events flow differently from here on.
    /// With the newest number the answer tells.
    pub(super) subscribe: Option<(Subscribe, u64)>,
}

impl From<Result<ReplyBody, ErrorReply>> for Answered {
    fn from(result: Result<ReplyBody, ErrorReply>) -> Self {
        Self { result, subscribe: None }
    }
}

/// Carries an action out. Dropping it halfway is safe: whatever was begun is somebody else's by then.
pub(super) async fn answer(server: Arc<Server>, client: Arc<Own>, action: Action) -> Answered {
    let (engine, mailbox) = (&server.engine, &client.mailbox);
    let result = match action {
        Action::CreateSession(request) => engine.create(*request).await,
        Action::SendKeys(request) => send_keys(&server, request).await,
        Action::CapturePane(request) => capture(&server, request).await,
        Action::ListSessions(request) => {
            Ok(ReplyBody::SessionsList { sessions: engine.hub.list(request.all, request.owner.as_deref()) })
        }
        Action::KillSession(r) => kill(&server, r.session_id).await,
        Action::Subscribe(subscribe) => {
            let seq = *engine.hub.head().borrow();
            return Answered { result: Ok(ReplyBody::Subscribed { seq }), subscribe: Some((subscribe, seq)) };
        }
        Action::PauseSession(r) => match find(&server, &r.session_id).await {
            Ok(handle) => handle
                .pause()
                .await
                .map(|frozen| ReplyBody::SessionPaused { session_id: r.session_id, frozen }),
            Err(error) => Err(error),
        },
        Action::ResumeSession(r) => match find(&server, &r.session_id).await {
            Ok(handle) => {
                handle.resume().await.map(|()| ReplyBody::SessionResumed { session_id: r.session_id })
            }
            Err(error) => Err(error),
        },
        Action::WatchScreen(r) => match find(&server, &r.session_id).await {
            Ok(handle) => {
                handle.watch(mailbox).await.map(|()| ReplyBody::ScreenWatched { session_id: r.session_id })
            }
            Err(error) => Err(error),
        },
        Action::UnwatchScreen(r) => match find(&server, &r.session_id).await {
            Ok(handle) => {
                handle.unwatch(mailbox).await;
                Ok(ReplyBody::ScreenUnwatched { session_id: r.session_id })
            }
            Err(error) => Err(error),
        },
        Action::GetSession(r) => match engine.hub.detail(&r.session_id) {
            Some(session) => Ok(ReplyBody::Session { session: Box::new(session) }),
            None => Err(ErrorReply::not_found(r.session_id.as_str())),
        },
        Action::Transcript(request) => transcript(&server, request).await,
        Action::AgentInfo => Ok(ReplyBody::AgentInfo { agent: Box::new(server.info()) }),
        Action::Report(report) => match find(&server, &report.session_id).await {
            Ok(handle) => {
                let session_id = report.session_id.clone();
                handle.report(report).await.map(|()| ReplyBody::Reported { session_id })
            }
            Err(error) => Err(error),
        },
        Action::Hook(hook) => match find(&server, &hook.session_id).await {
            Ok(handle) => handle
                .hook(hook.event)
                .await
                .map(|output| ReplyBody::HookAnswered { session_id: hook.session_id, output }),
            Err(error) => Err(error),
        },
        Action::Answer(answer) => match find(&server, &answer.session_id).await {
            Ok(handle) => {
                let session_id = answer.session_id.clone();
                handle.settle(answer).await.map(|(prompt_id, observed)| ReplyBody::Answered {
                    session_id,
                    prompt_id,
                    observed,
                })
            }
            Err(error) => Err(error),
        },
        Action::ExplainSession(r) => explain(&server, &r.session_id).await,
        Action::RenewLease(request) => client.renewing.in_full(engine, request),
        Action::Renew(request) => client.renewing.again(engine, &request),
        Action::Acknowledge(request) => engine.acknowledge(&request),
        Action::Fence(request) => engine.fence(request).await,
        Action::Probe(request) => engine.probe(request).await,
        Action::ConfirmDeployment(request) => confirm(&server, request).await,
        Action::Shutdown(request) => shutdown(&server, request),
    };
    result.into()
}

/// The way to a running session. One that is just being made is waited for: its id is known to others, and
/// to its own program, before the one who asked for it has the answer.
async fn find(server: &Server, id: &SessionId) -> Result<SessionHandle, ErrorReply> {
    server.engine.settled(id).await;
    let hub = &server.engine.hub;
    hub.handle(id).ok_or_else(|| match hub.record(id) {
        Some(_) => {
            ErrorReply::new(ErrorCode::Conflict, format!("Session not found: {id} (its terminal is closed)"))
        }
        None => ErrorReply::not_found(id.as_str()),
    })
}

/// Why a session is in its state; of one that has ended, what is remembered.
async fn explain(server: &Server, id: &SessionId) -> Result<ReplyBody, ErrorReply> {
    let explanation = match find(server, id).await {
        Ok(handle) => handle.explain().await?,
        Err(error) => match server.engine.hub.record(id) {
            Some(record) => server.engine.explain_closed(&record),
            None => return Err(error),
        },
    };
    Ok(ReplyBody::Explained { explanation: Box::new(explanation) })
}

async fn send_keys(server: &Server, request: SendKeys) -> Result<ReplyBody, ErrorReply> {
    let SendKeys { session_id, keys, enter, named } = request;
    if keys.is_none() && named.is_empty() && enter != Some(true) {
        return Err(ErrorReply::bad_request("keys", "keys: missing"));
    }
    let text = keys.unwrap_or_default();
    let limit = server.engine.limits.keys_bytes;
    if text.len() > limit {
        let mut error =
            ErrorReply::bad_request("keys", format!("keys: {} bytes, the limit is {limit}", text.len()));
        error.code = ErrorCode::TooLarge;
        return Err(error);
    }
    // A pasted escape sequence could end the paste and become commands; keys have names.
    if let Some(c) = text.chars().find(|&c| c.is_control() && !matches!(c, '\n' | '\r' | '\t')) {
        let why = format!("keys: the control character {} cannot be typed; use `named`", c.escape_unicode());
        return Err(ErrorReply::bad_request("keys", why));
    }
    if named.len() > MAX_NAMED {
        return Err(ErrorReply::bad_request("named", format!("named: at most {MAX_NAMED} keys at once")));
    }
    let named = named
        .iter()
        .map(|name| Key::parse(name).map_err(|e| ErrorReply::bad_request("named", format!("named: {e}"))))
        .collect::<Result<Vec<_>, _>>()?;
    // Enter belongs to text; named keys alone say themselves what they are.
    let enter = enter.unwrap_or(named.is_empty());
    let handle = find(server, &session_id).await?;
    let observed = handle.send(Keys { text, named, enter }).await?;
    Ok(ReplyBody::KeysSent { session_id, observed: Some(observed) })
}

async fn capture(server: &Server, request: CapturePane) -> Result<ReplyBody, ErrorReply> {
    let CapturePane { session_id, lines, escapes } = request;
    let output = server.engine.capture(&session_id, lines.unwrap_or(LINES), escapes).await?;
    Ok(ReplyBody::PaneOutput { session_id, output })
}

async fn kill(server: &Server, session_id: SessionId) -> Result<ReplyBody, ErrorReply> {
    let killed = match find(server, &session_id).await {
        Ok(handle) => handle.kill().await,
        Err(error) => Err(error),
    };
    match killed {
        // It had ended, or did so by itself in the meantime: what was wanted is so. But a session that the
        // agent only lets go of, because it ends itself, lives on, and nobody must be told otherwise.
        Err(error)
            if error.code == ErrorCode::Conflict
                && server.engine.hub.record(&session_id).is_none_or(|r| !r.is_open()) => {}
        other => other?,
    }
    Ok(ReplyBody::SessionKilled { session_id })
}

async fn transcript(server: &Server, request: Transcript) -> Result<ReplyBody, ErrorReply> {
    let limit = request.limit.unwrap_or(TRANSCRIPT_LINES);
    if limit == 0 || limit > MAX_TRANSCRIPT_LINES {
        return Err(ErrorReply::bad_request("limit", format!("limit: 1 to {MAX_TRANSCRIPT_LINES} lines")));
    }
    let wanted = Wanted { from: request.from, limit };
    server.engine.transcript(&request.session_id, wanted).await.map(ReplyBody::Transcript)
}

/// Keeps the deployment this agent came with. Files and a question to the service manager: done apart.
async fn confirm(server: &Server, request: ConfirmDeployment) -> Result<ReplyBody, ErrorReply> {
    let ConfirmDeployment { deployment, sha256 } = request;
    if sha256.is_some_and(|wanted| wanted != server.facts.sha256) {
        let why = format!("another program answers here than was deployed: {}", server.facts.sha256);
        return Err(ErrorReply::new(ErrorCode::Conflict, why));
    }
    let Some(dir) = server.installation.clone() else {
        return Err(ErrorReply::new(
            ErrorCode::Conflict,
            "this agent was not deployed: nothing is to be confirmed",
        ));
    };
    let name = deployment.clone();
    let done = tokio::task::spawn_blocking(move || crate::install::confirm_here(&dir, &name)).await;
    match done {
        Ok(Ok(generation)) => Ok(ReplyBody::DeploymentConfirmed { deployment, generation }),
        Ok(Err(error)) => {
            let code = if error.refused { ErrorCode::Conflict } else { ErrorCode::Internal };
            Err(ErrorReply::new(code, error.why))
        }
        Err(_) => Err(ErrorReply::new(ErrorCode::Internal, "the agent is ending")),
    }
}

fn shutdown(server: &Server, request: cm_protocol::Shutdown) -> Result<ReplyBody, ErrorReply> {
    if request.timeout.is_some_and(|t| !(t >= 0.0 && t.is_finite())) {
        return Err(ErrorReply::bad_request("timeout", "timeout: a number of seconds from 0"));
    }
    let waiting_for = if request.drain { server.engine.hub.unfinished() } else { 0 };
    // One shutdown is as good as many.
    let _ = server.shutdown.try_send(request);
    Ok(ReplyBody::ShuttingDown { waiting_for })
}

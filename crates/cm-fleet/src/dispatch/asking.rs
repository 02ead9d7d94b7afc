//! Commands on their way to agents: each a future the loop owns, each with an answer it matches on.

use std::time::Duration;

use cm_client::protocol::{Continues, CreateSession, ErrorCode, SessionDetail, SessionId};
use cm_client::{Client, ClientError, Created, Probed, Renewed};
use futures_util::future::BoxFuture;

use super::carry::Commit;
use super::record::Kept;
use super::relay::Errand;

/// Repositories a host is asked for in one command, as many as agents take.
const PROBED: usize = 32;
/// Such commands in a row, for one host.
const PROBES: usize = 8;

/// What a command answered.
pub(super) enum Answer {
    /// A session was asked for.
    Create {
        /// The task's number.
        task: usize,
        /// The host asked.
        host: usize,
        /// The attempt.
        attempt: u32,
        /// The answer.
        result: Result<Created, Unasked>,
    },
    /// A session was to end.
    Kill {
        /// The task's number.
        task: usize,
        /// The answer.
        result: Result<(), ClientError>,
    },
    /// A session's record was asked for.
    Look {
        /// The task's number.
        task: usize,
        /// The session.
        session: SessionId,
        /// The answer.
        result: Result<Box<SessionDetail>, ClientError>,
    },
    /// A host was asked what it has.
    Probe {
        /// The host.
        host: usize,
        /// The answer.
        result: Result<Probed, ClientError>,
    },
    /// A sign of life was asked for.
    Beat {
        /// The host.
        host: usize,
        /// How busy it is and what its clock shows, where it says so.
        result: Result<Option<Renewed>, ClientError>,
    },
    /// An attempt was fenced off.
    Fence {
        /// The host.
        host: usize,
        /// The task's number.
        task: usize,
        /// The sessions that were ended.
        result: Result<Vec<SessionId>, ClientError>,
    },
    /// A task's work in progress was fetched.
    Fetched {
        /// Whose.
        errand: Errand,
        /// The commit, where there is one.
        result: Result<Option<Commit>, String>,
    },
    /// The work of earlier attempts was brought to a host.
    Brought {
        /// The task's number.
        task: usize,
        /// The host.
        host: usize,
        /// The attempt that is to go on with it.
        attempt: u32,
        /// What it is, where there is any.
        result: Result<Option<Continues>, String>,
    },
    /// Nothing depends on it.
    Nothing,
}

/// Why there is no answer to a request for a session.
pub(super) enum Unasked {
    /// The agent, or the way to it.
    Client(ClientError),
    /// It could not be written down that it would be asked; so it was not.
    Unwritten,
}

/// A command on its way.
pub(super) type Asking = BoxFuture<'static, Answer>;

/// `kept` resolves when it is on disk that this is asked.
pub(super) fn create(
    client: Client,
    kept: Kept,
    (task, host, attempt): (usize, usize, u32),
    request: CreateSession,
) -> Asking {
    Box::pin(async move {
        let result = match kept.await {
            Ok(()) => client.create_session(request).await.map_err(Unasked::Client),
            Err(_) => Err(Unasked::Unwritten),
        };
        Answer::Create { task, host, attempt, result }
    })
}

pub(super) fn kill(client: Client, task: usize, session: SessionId) -> Asking {
    Box::pin(async move { Answer::Kill { task, result: client.kill_session(&session).await } })
}

pub(super) fn look(client: Client, task: usize, session: SessionId) -> Asking {
    Box::pin(async move {
        let result = client.get_session(&session).await.map(Box::new);
        Answer::Look { task, session, result }
    })
}

pub(super) fn watch(client: Client, session: SessionId) -> Asking {
    Box::pin(async move {
        if let Err(error) = client.watch_screen(&session).await {
            tracing::debug!(%session, %error, "no screen to watch");
        }
        Answer::Nothing
    })
}

/// Asks what a host has; of very many repositories about the first ones only.
pub(super) fn probe(client: Client, host: usize, tools: Vec<String>, repos: Vec<String>) -> Asking {
    Box::pin(async move {
        let mut parts = repos.chunks(PROBED).take(PROBES).map(<[String]>::to_vec);
        let mut result = client.probe(tools, parts.next().unwrap_or_default()).await;
        if let Ok(found) = &mut result {
            for part in parts {
                match client.probe(Vec::new(), part).await {
                    Ok(more) => found.repos.extend(more.repos),
                    // What is not known is as good as not there.
                    Err(_) => break,
                }
            }
        }
        Answer::Probe { host, result }
    })
}

/// Asks for a sign of life: by renewing the leases of `owner`, where the agent knows what that is.
/// `as_of`: the newest time it has told.
pub(super) fn beat(
    client: Client,
    host: usize,
    owner: Option<(String, f64)>,
    as_of: Option<f64>,
    patience: Duration,
) -> Asking {
    Box::pin(async move {
        let client = client.with_timeout(patience);
        let result = match owner {
            Some((owner, seconds)) => client.renew_lease_as_of(&owner, Some(seconds), as_of).await.map(Some),
            None => client.agent_info().await.map(|_| None),
        };
        Answer::Beat { host, result }
    })
}

pub(super) fn fence(client: Client, host: usize, task: usize, task_id: String, below: u32) -> Asking {
    Box::pin(async move { Answer::Fence { host, task, result: client.fence(&task_id, below).await } })
}

/// Gives a connection up that does not answer.
pub(super) fn close(client: Client) -> Asking {
    Box::pin(async move {
        client.close().await;
        Answer::Nothing
    })
}

/// Tells an agent that results are kept here; it may forget them.
pub(super) fn acknowledge(client: Client, kept: Kept, sessions: Vec<SessionId>) -> Asking {
    Box::pin(async move {
        if kept.await.is_ok()
            && let Err(error) = client.acknowledge(sessions).await
        {
            tracing::debug!(%error, "results were not acknowledged; the agent keeps them longer");
        }
        Answer::Nothing
    })
}

/// Whether the agent has said that there is no such session.
pub(super) fn is_unknown(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::NotFound)
}

/// Whether asking again can help: the answer got lost, not refused. Creating is idempotent.
pub(super) fn is_lost(error: &ClientError) -> bool {
    matches!(error, ClientError::Closed { .. } | ClientError::Timeout { .. })
}

/// What the agent refused, in its own words.
pub(super) fn words(error: &ClientError) -> String {
    match error {
        ClientError::Refused(reply) => {
            reply.error.strip_prefix("Failed to create session: ").unwrap_or(&reply.error).to_owned()
        }
        other => other.to_string(),
    }
}

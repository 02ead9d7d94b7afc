//! Commands on their way to the agent: each a future the loop owns, each with an answer it matches on.

use cm_client::protocol::{CreateSession, ErrorCode, SessionDetail, SessionId};
use cm_client::{Client, ClientError, Created};
use futures_util::future::BoxFuture;

/// What a command answered.
pub(super) enum Answer {
    /// A session was asked for.
    Create {
        /// The task's number.
        task: usize,
        /// The answer.
        result: Result<Created, ClientError>,
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
        /// The answer.
        result: Result<Box<SessionDetail>, ClientError>,
    },
    /// A screen is watched, or has gone already: nothing depends on it.
    Watch,
}

/// A command on its way.
pub(super) type Asking = BoxFuture<'static, Answer>;

pub(super) fn create(client: Client, task: usize, request: CreateSession) -> Asking {
    Box::pin(async move { Answer::Create { task, result: client.create_session(request).await } })
}

pub(super) fn kill(client: Client, task: usize, session: SessionId) -> Asking {
    Box::pin(async move { Answer::Kill { task, result: client.kill_session(&session).await } })
}

pub(super) fn look(client: Client, task: usize, session: SessionId) -> Asking {
    Box::pin(async move { Answer::Look { task, result: client.get_session(&session).await.map(Box::new) } })
}

pub(super) fn watch(client: Client, session: SessionId) -> Asking {
    Box::pin(async move {
        if let Err(error) = client.watch_screen(&session).await {
            tracing::debug!(%session, %error, "no screen to watch");
        }
        Answer::Watch
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

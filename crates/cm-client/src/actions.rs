//! A method for every action: what it asks, what it answers.

use cm_protocol::{
    Acknowledge, Action, AgentInfo, Answer, CapturePane, ConfirmDeployment, CreateSession, ExplainSession,
    Explanation, Fence, GetSession, Hook, KeysObserved, KillSession, ListSessions, Load, PauseSession, Probe,
    ReplyBody, RepoFound, Report, ResumeSession, SendKeys, SessionDetail, SessionId, SessionInfo, Shutdown,
    Subscribe, ToolFound, Transcript, TranscriptPage, UnwatchScreen, WatchScreen,
};

use crate::client::Client;
use crate::error::ClientError;

/// The answer to [`Client::create_session`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Created {
    /// The session.
    pub session_id: SessionId,
    /// Its tmux socket: `tmux -S <socket> attach`.
    pub socket: String,
    /// The task's attempt had this session already.
    pub existing: bool,
    /// Things worth knowing that are no errors.
    pub warnings: Vec<String>,
    /// In a work tree of its own: the commit what changes is told from.
    pub base: Option<String>,
}

/// The answer to [`Client::answer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answered {
    /// The prompt that was answered.
    pub prompt_id: u64,
    /// What was seen to happen; only [`KeysObserved::Submitted`] is success.
    pub observed: KeysObserved,
}

/// The answer to [`Client::renew_lease`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Renewed {
    /// How many of the owner's sessions live.
    pub sessions: usize,
    /// How busy the host is.
    pub load: Load,
    /// The agent's clock, to be said again as `as_of`.
    pub clock: Option<f64>,
}

/// The answer to [`Client::probe`].
#[derive(Debug, Clone, PartialEq)]
pub struct Probed {
    /// In the order they were asked for.
    pub tools: Vec<ToolFound>,
    /// In the order they were asked for.
    pub repos: Vec<RepoFound>,
    /// How busy the host is.
    pub load: Load,
}

/// Each method sends one command and waits for its answer, at most as long as
/// [`Client::with_timeout`] says. Errors are [`ClientError::Refused`] where the agent says no,
/// [`ClientError::Timeout`], [`ClientError::Closed`], and [`ClientError::Protocol`] where the answer
/// belongs to another action.
impl Client {
    /// Starts a session, or answers with the one that `task_id` and `attempt` have already.
    ///
    /// # Errors
    /// See above; `limit`, `bad_request`, or what kept the session from starting.
    pub async fn create_session(&self, session: CreateSession) -> Result<Created, ClientError> {
        self.pick(Action::CreateSession(Box::new(session)), |body| match body {
            ReplyBody::SessionCreated { session_id, socket, existing, warnings, base } => {
                Some(Created { session_id, socket, existing, warnings, base })
            }
            _ => None,
        })
        .await
    }

    /// Types into a session. The answer is what was observed; `None` from the original agent.
    ///
    /// # Errors
    /// See above.
    pub async fn send_keys(&self, keys: SendKeys) -> Result<Option<KeysObserved>, ClientError> {
        self.pick(Action::SendKeys(keys), |body| match body {
            ReplyBody::KeysSent { observed, .. } => Some(observed),
            _ => None,
        })
        .await
    }

    /// Types a text and presses Enter.
    ///
    /// # Errors
    /// See above.
    pub async fn send_line(
        &self,
        session: &SessionId,
        text: impl Into<String>,
    ) -> Result<Option<KeysObserved>, ClientError> {
        let keys = Some(text.into());
        self.send_keys(SendKeys { session_id: session.clone(), keys, ..SendKeys::default() }).await
    }

    /// The last lines of a session's text.
    ///
    /// # Errors
    /// See above.
    pub async fn capture_pane(&self, session: &SessionId, lines: u64) -> Result<String, ClientError> {
        self.capture(CapturePane { session_id: session.clone(), lines: Some(lines), escapes: false }).await
    }

    /// [`Client::capture_pane`] with all its options.
    ///
    /// # Errors
    /// See above.
    pub async fn capture(&self, capture: CapturePane) -> Result<String, ClientError> {
        self.pick(Action::CapturePane(capture), |body| match body {
            ReplyBody::PaneOutput { output, .. } => Some(output),
            _ => None,
        })
        .await
    }

    /// All sessions the agent remembers, oldest first.
    ///
    /// # Errors
    /// See above.
    pub async fn list_sessions(&self) -> Result<Vec<SessionInfo>, ClientError> {
        self.list(ListSessions::default()).await
    }

    /// All sessions the agent remembers, also those whose terminal is closed, oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_all_sessions(&self) -> Result<Vec<SessionInfo>, ClientError> {
        self.list(ListSessions { all: true, ..ListSessions::default() }).await
    }

    /// One owner's sessions, also those whose terminal is closed, oldest first.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_sessions_of(&self, owner: &str) -> Result<Vec<SessionInfo>, ClientError> {
        self.list(ListSessions { all: true, owner: Some(owner.to_owned()) }).await
    }

    async fn list(&self, wanted: ListSessions) -> Result<Vec<SessionInfo>, ClientError> {
        self.pick(Action::ListSessions(wanted), |body| match body {
            ReplyBody::SessionsList { sessions } => Some(sessions),
            _ => None,
        })
        .await
    }

    /// Ends a session; its process tree is gone when the answer comes.
    ///
    /// # Errors
    /// See above.
    pub async fn kill_session(&self, session: &SessionId) -> Result<(), ClientError> {
        self.pick(Action::KillSession(KillSession { session_id: session.clone() }), |body| {
            matches!(body, ReplyBody::SessionKilled { .. }).then_some(())
        })
        .await
    }

    /// Asks for events of all kinds; with `since` first for those that followed it. They come to
    /// [`Client::events`] and handlers; [`Client::follow`] is this and a stream in one. The answer is the
    /// newest event's number.
    ///
    /// # Errors
    /// See above.
    pub async fn subscribe(&self, since: Option<u64>) -> Result<u64, ClientError> {
        self.pick(Action::Subscribe(Subscribe { since }), |body| match body {
            ReplyBody::Subscribed { seq } => Some(seq),
            _ => None,
        })
        .await
    }

    /// Stops a session's processes and its clock; true if they really stand still.
    ///
    /// # Errors
    /// See above.
    pub async fn pause_session(&self, session: &SessionId) -> Result<bool, ClientError> {
        self.pick(Action::PauseSession(PauseSession { session_id: session.clone() }), |body| match body {
            ReplyBody::SessionPaused { frozen, .. } => Some(frozen),
            _ => None,
        })
        .await
    }

    /// Lets a paused session go on.
    ///
    /// # Errors
    /// See above.
    pub async fn resume_session(&self, session: &SessionId) -> Result<(), ClientError> {
        self.pick(Action::ResumeSession(ResumeSession { session_id: session.clone() }), |body| {
            matches!(body, ReplyBody::SessionResumed { .. }).then_some(())
        })
        .await
    }

    /// Asks for a session's screen: a frame at once, then one for each change, as
    /// [`Incoming::Screen`](crate::Incoming::Screen).
    ///
    /// # Errors
    /// See above.
    pub async fn watch_screen(&self, session: &SessionId) -> Result<(), ClientError> {
        self.pick(Action::WatchScreen(WatchScreen { session_id: session.clone() }), |body| {
            matches!(body, ReplyBody::ScreenWatched { .. }).then_some(())
        })
        .await
    }

    /// No more frames of it.
    ///
    /// # Errors
    /// See above.
    pub async fn unwatch_screen(&self, session: &SessionId) -> Result<(), ClientError> {
        self.pick(Action::UnwatchScreen(UnwatchScreen { session_id: session.clone() }), |body| {
            matches!(body, ReplyBody::ScreenUnwatched { .. }).then_some(())
        })
        .await
    }

    /// Everything known of a session, with its result.
    ///
    /// # Errors
    /// See above.
    pub async fn get_session(&self, session: &SessionId) -> Result<SessionDetail, ClientError> {
        self.pick(Action::GetSession(GetSession { session_id: session.clone() }), |body| match body {
            ReplyBody::Session { session } => Some(*session),
            _ => None,
        })
        .await
    }

    /// A piece of a session's text by line number, also after it ended.
    ///
    /// # Errors
    /// See above.
    pub async fn transcript(&self, wanted: Transcript) -> Result<TranscriptPage, ClientError> {
        self.pick(Action::Transcript(wanted), |body| match body {
            ReplyBody::Transcript(page) => Some(page),
            _ => None,
        })
        .await
    }

    /// The agent's version, limits and use, as of now.
    ///
    /// # Errors
    /// See above.
    pub async fn agent_info(&self) -> Result<AgentInfo, ClientError> {
        self.pick(Action::AgentInfo, |body| match body {
            ReplyBody::AgentInfo { agent } => Some(*agent),
            _ => None,
        })
        .await
    }

    /// Says what a session is doing, from inside it.
    ///
    /// # Errors
    /// See above.
    pub async fn report(&self, report: Report) -> Result<(), ClientError> {
        self.pick(Action::Report(report), |body| matches!(body, ReplyBody::Reported { .. }).then_some(()))
            .await
    }

    /// Passes on what a tool's hook was called with, from inside a session. The answer is what the hook
    /// prints; `None`: nothing.
    ///
    /// # Errors
    /// See above.
    pub async fn hook(&self, hook: Hook) -> Result<Option<serde_json::Value>, ClientError> {
        self.pick(Action::Hook(hook), |body| match body {
            ReplyBody::HookAnswered { output, .. } => Some(output),
            _ => None,
        })
        .await
    }

    /// Settles a prompt a session waits on.
    ///
    /// # Errors
    /// See above; `conflict` where another prompt is open by now, or none.
    pub async fn answer(&self, answer: Answer) -> Result<Answered, ClientError> {
        self.pick(Action::Answer(answer), |body| match body {
            ReplyBody::Answered { prompt_id, observed, .. } => Some(Answered { prompt_id, observed }),
            _ => None,
        })
        .await
    }

    /// Why a session is in its state.
    ///
    /// # Errors
    /// See above.
    pub async fn explain_session(&self, session: &SessionId) -> Result<Explanation, ClientError> {
        let explain = ExplainSession { session_id: session.clone() };
        self.pick(Action::ExplainSession(explain), |body| match body {
            ReplyBody::Explained { explanation } => Some(*explanation),
            _ => None,
        })
        .await
    }

    /// Says that these sessions' results have arrived, at most 1,000; how many of them the agent knew.
    ///
    /// # Errors
    /// See above.
    pub async fn acknowledge(&self, sessions: Vec<SessionId>) -> Result<usize, ClientError> {
        self.pick(Action::Acknowledge(Acknowledge { sessions }), |body| match body {
            ReplyBody::Acknowledged { sessions } => Some(sessions),
            _ => None,
        })
        .await
    }

    /// Ends the attempts at a task below a number, and refuses those that come later; which sessions were
    /// ended.
    ///
    /// # Errors
    /// See above.
    pub async fn fence(&self, task_id: &str, below: u32) -> Result<Vec<SessionId>, ClientError> {
        let fence = Fence { task_id: task_id.to_owned(), below };
        self.pick(Action::Fence(fence), |body| match body {
            ReplyBody::Fenced { sessions, .. } => Some(sessions),
            _ => None,
        })
        .await
    }

    /// Which of these tools and repositories the host has, at most 32 of each, and how busy it is.
    ///
    /// # Errors
    /// See above.
    pub async fn probe(&self, tools: Vec<String>, repos: Vec<String>) -> Result<Probed, ClientError> {
        self.pick(Action::Probe(Probe { tools, repos }), |body| match body {
            ReplyBody::Probed { tools, repos, load } => Some(Probed { tools, repos, load }),
            _ => None,
        })
        .await
    }

    /// Keeps a deployment that waits to be confirmed; the answer is its generation. Confirming again is no error.
    ///
    /// # Errors
    /// See above; `conflict` where another deployment waits, none does, or it is too late.
    pub async fn confirm_deployment(&self, deployment: &str) -> Result<u64, ClientError> {
        let confirm = ConfirmDeployment { deployment: deployment.to_owned(), sha256: None };
        self.pick(Action::ConfirmDeployment(confirm), |body| match body {
            ReplyBody::DeploymentConfirmed { generation, .. } => Some(generation),
            _ => None,
        })
        .await
    }

    /// Ends the agent; sessions go on. The answer is how many tasks it still waits for.
    ///
    /// # Errors
    /// See above.
    pub async fn shutdown(&self, shutdown: Shutdown) -> Result<usize, ClientError> {
        self.pick(Action::Shutdown(shutdown), |body| match body {
            ReplyBody::ShuttingDown { waiting_for } => Some(waiting_for),
            _ => None,
        })
        .await
    }

    pub(crate) async fn pick<T>(
        &self,
        action: Action,
        pick: impl FnOnce(ReplyBody) -> Option<T>,
    ) -> Result<T, ClientError> {
        let name = action.word();
        let body = self.call(action).await?;
        pick(body).ok_or_else(|| ClientError::Protocol(format!("{name} got the answer of another action")))
    }
}

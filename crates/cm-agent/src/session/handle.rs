//! The way to a running session: a command goes in, one answer comes out.

use std::sync::{Arc, Weak};

use cm_protocol::{ErrorCode, ErrorReply, Explanation, KeysObserved, Report, SessionId, TranscriptPage};
use tokio::sync::{mpsc, oneshot};

use super::mailbox::Mailbox;
use super::transcript::Wanted;
use super::typing::Keys;

/// Commands a session has not got to yet; more wait with the one who sends them.
const WAITING: usize = 32;

/// Where an answer goes.
pub(super) type Answer<T> = oneshot::Sender<Result<T, ErrorReply>>;

/// Everything a running session can be told.
pub(super) enum Command {
    Send { keys: Keys, answer: Answer<KeysObserved> },
    Capture { lines: u64, escapes: bool, answer: Answer<String> },
    Transcript { wanted: Wanted, answer: Answer<TranscriptPage> },
    Watch { mailbox: Weak<Mailbox>, answer: Answer<()> },
    Unwatch { mailbox: Weak<Mailbox> },
    Report { report: Report, answer: Answer<()> },
    Hook { event: serde_json::Value, answer: Answer<Option<serde_json::Value>> },
    Settle { asked: cm_protocol::Answer, answer: Answer<(u64, KeysObserved)> },
    Explain { answer: Answer<Explanation> },
    Pause { answer: Answer<bool> },
    Resume { answer: Answer<()> },
    Kill { why: Option<String>, answer: Answer<()> },
}

/// A cheap, cloneable way to one session's task.
#[derive(Clone)]
pub struct SessionHandle {
    id: SessionId,
    commands: mpsc::Sender<Command>,
}

/// A handle and the end its session reads from.
pub(super) fn channel(id: SessionId) -> (SessionHandle, mpsc::Receiver<Command>) {
    let (commands, inbox) = mpsc::channel(WAITING);
    (SessionHandle { id, commands }, inbox)
}

impl SessionHandle {
    /// Whose it is.
    pub fn id(&self) -> &SessionId {
        &self.id
    }

    /// Sends a command and waits for its answer. A session answers or ends; either way this returns.
    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, ErrorReply> {
        let (answer, reply) = oneshot::channel();
        if self.commands.send(command(answer)).await.is_err() {
            return Err(self.gone());
        }
        reply.await.unwrap_or_else(|_| Err(self.gone()))
    }

    fn gone(&self) -> ErrorReply {
        ErrorReply::new(ErrorCode::Conflict, format!("the terminal of {} is closed", self.id))
    }

    /// Types.
    pub async fn send(&self, keys: Keys) -> Result<KeysObserved, ErrorReply> {
        self.ask(|answer| Command::Send { keys, answer }).await
    }

    /// Reads the last lines.
    pub async fn capture(&self, lines: u64, escapes: bool) -> Result<String, ErrorReply> {
        self.ask(|answer| Command::Capture { lines, escapes, answer }).await
    }

    /// Reads lines by number.
    pub async fn transcript(&self, wanted: Wanted) -> Result<TranscriptPage, ErrorReply> {
        self.ask(|answer| Command::Transcript { wanted, answer }).await
    }

    /// From now on, new screens go to the mailbox, for as long as it exists.
    pub async fn watch(&self, mailbox: &Arc<Mailbox>) -> Result<(), ErrorReply> {
        let mailbox = Arc::downgrade(mailbox);
        self.ask(|answer| Command::Watch { mailbox, answer }).await
    }

    /// No more of them.
    pub async fn unwatch(&self, mailbox: &Arc<Mailbox>) {
        // A session that is gone sends none anyway.
        let _ = self.commands.send(Command::Unwatch { mailbox: Arc::downgrade(mailbox) }).await;
    }

    /// Passes on what was said from inside.
    pub async fn report(&self, report: Report) -> Result<(), ErrorReply> {
        self.ask(|answer| Command::Report { report, answer }).await
    }

    /// Passes on what a tool's hook was called with; what the hook prints.
    pub async fn hook(&self, event: serde_json::Value) -> Result<Option<serde_json::Value>, ErrorReply> {
        self.ask(|answer| Command::Hook { event, answer }).await
    }

    /// Settles the prompt it waits on; which one it was, and what was seen to happen.
    pub async fn settle(&self, asked: cm_protocol::Answer) -> Result<(u64, KeysObserved), ErrorReply> {
        self.ask(|answer| Command::Settle { asked, answer }).await
    }

    /// Why it is in its state.
    pub async fn explain(&self) -> Result<Explanation, ErrorReply> {
        self.ask(|answer| Command::Explain { answer }).await
    }

    /// Stops its processes; whether they really stand still.
    pub async fn pause(&self) -> Result<bool, ErrorReply> {
        self.ask(|answer| Command::Pause { answer }).await
    }

    /// Lets them go on.
    pub async fn resume(&self) -> Result<(), ErrorReply> {
        self.ask(|answer| Command::Resume { answer }).await
    }

    /// Ends it with its whole process tree.
    pub async fn kill(&self) -> Result<(), ErrorReply> {
        self.ask(|answer| Command::Kill { why: None, answer }).await
    }

    /// The same, for a reason that its outcome tells.
    pub async fn end(&self, why: String) -> Result<(), ErrorReply> {
        self.ask(|answer| Command::Kill { why: Some(why), answer }).await
    }
}

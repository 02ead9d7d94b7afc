//! What the session engine calls: one [`Control`] per session, cheap to clone, each call with a deadline.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::client::{Client, CommandError, Errand, Pipes, Request};
use super::command::{Capture, Command, Range};
use super::keys::Key;
use super::notices::{Mailbox, Notices};
use super::status::PaneStatus;
use super::watch::Watch;

/// How long a call waits for tmux, unless [`Control::with_deadline`] says otherwise.
pub const DEADLINE: Duration = Duration::from_secs(5);
/// The longest text that is pasted, in bytes.
pub const MAX_PASTE: usize = 256 << 10;
/// Requests that wait for the client's task at most; further callers wait for room.
const QUEUE: usize = 32;

/// A session's control client. The last clone that goes ends the client; the session goes on.
#[derive(Debug, Clone)]
pub struct Control {
    shared: Arc<Shared>,
    deadline: Duration,
}

#[derive(Debug)]
struct Shared {
    requests: mpsc::Sender<Errand>,
    closing: CancellationToken,
    /// The task, until somebody joins it.
    task: Mutex<Option<JoinHandle<()>>>,
    mailbox: Arc<Mailbox>,
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

/// The pane and what stands on it, taken at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The pane.
    pub status: PaneStatus,
    /// The captured lines, each ended by a newline. UTF-8, as tmux keeps it.
    pub screen: Vec<u8>,
}

impl Control {
    /// Takes over a client's process.
    pub(super) fn new(pipes: Pipes) -> (Self, Notices) {
        let (requests, receiver) = mpsc::channel(QUEUE);
        let closing = CancellationToken::new();
        let mailbox = Arc::new(Mailbox::default());
        let client = Client::new(receiver, closing.clone(), Arc::clone(&mailbox));
        let task = Mutex::new(Some(tokio::spawn(client.run(pipes))));
        let shared = Arc::new(Shared { requests, closing, task, mailbox: Arc::clone(&mailbox) });
        (Self { shared, deadline: DEADLINE }, Notices::new(mailbox))
    }

    /// The same client with another deadline for its calls.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs commands, written at once and run one after the other with nothing between; their answers.
    async fn run(&self, commands: Vec<Command>, rearm: bool) -> Result<Vec<Vec<u8>>, CommandError> {
        let (answer, answered) = oneshot::channel();
        let closed = || CommandError::Closed("its client is closed".into());
        let round = async {
            let request = Request { commands, rearm, answer };
            self.shared.requests.send(Errand::Run(request)).await.map_err(|_| closed())?;
            answered.await.unwrap_or_else(|_| Err(closed()))
        };
        match tokio::time::timeout(self.deadline, round).await {
            Ok(result) => result,
            Err(_) => Err(CommandError::Timeout(self.deadline)),
        }
    }

    /// Runs one command; its answer. Several may be under way; they run in the order of their calls.
    ///
    /// # Errors
    /// See [`CommandError`], here and in all that follow.
    pub async fn command(&self, command: Command) -> Result<Vec<u8>, CommandError> {
        let bodies = self.run(vec![command], false).await?;
        Ok(bodies.into_iter().next().unwrap_or_default())
    }

    /// What stands on the pane.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn capture(&self, what: Capture) -> Result<Vec<u8>, CommandError> {
        self.command(Command::capture(what)).await
    }

    /// The pane, its program and its server, in one round trip.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn inspect(&self) -> Result<PaneStatus, CommandError> {
        read_status(&self.command(Command::inspect()).await?)
    }

    /// The pane and what stands on it, in one round trip. Output that follows gives a new notice, however
    /// much there was before.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn snapshot(&self, what: Capture) -> Result<Snapshot, CommandError> {
        let mut bodies = self.run(vec![Command::inspect(), Command::capture(what)], true).await?;
        let screen = bodies.pop().unwrap_or_default();
        let status = read_status(&bodies.pop().unwrap_or_default())?;
        Ok(Snapshot { status, screen })
    }

    /// A snapshot of the screen with rows of history, as they are and joined, at one moment.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn survey(&self, range: Range) -> Result<(Snapshot, Vec<u8>, Vec<u8>), CommandError> {
        let capture = |range, join| Command::capture(Capture { range, escapes: false, join });
        let screen = Command::capture(Capture::default());
        let commands = vec![Command::inspect(), screen, capture(range, false), capture(range, true)];
        let mut answers = self.run(commands, true).await?.into_iter();
        let mut next = || answers.next().unwrap_or_default();
        let status = read_status(&next())?;
        Ok((Snapshot { status, screen: next() }, next(), next()))
    }

    /// Lets output wake the session again without looking at the screen.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn rearm(&self) -> Result<(), CommandError> {
        self.run(Vec::new(), true).await.map(drop)
    }

    /// Types a text literally, as a terminal pastes: newlines as the Return key, as one bracketed paste where
    /// the program asked for that. Nothing is pressed after it. Copy mode does not matter to it.
    ///
    /// # Errors
    /// Also [`CommandError::Invalid`]: over [`MAX_PASTE`], or with control characters other than newline,
    /// return and tab. Those are keys, and tmux 3.7 and newer would show them instead.
    pub async fn paste(&self, text: &str) -> Result<(), CommandError> {
        if text.len() > MAX_PASTE {
            let size = text.len();
            return Err(CommandError::Invalid(format!(
                "a text of {size} bytes; at most {MAX_PASTE} are taken"
            )));
        }
        let allowed = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
        if let Some((at, c)) = text.char_indices().find(|&(_, c)| !allowed(c)) {
            let c = c.escape_unicode();
            return Err(CommandError::Invalid(format!(
                "control character {c} at byte {at}; press keys by name"
            )));
        }
        if text.is_empty() {
            return Ok(());
        }
        let text = text.replace("\r\n", "\n");
        self.run(vec![Command::fill(text.as_bytes()), Command::paste()], false).await.map(drop)
    }

    /// Presses keys, one after the other. In copy mode they would go to it: leave it first.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn press(&self, keys: &[Key]) -> Result<(), CommandError> {
        if keys.is_empty() {
            return Ok(());
        }
        self.run(keys.iter().map(Key::press).collect(), false).await.map(drop)
    }

    /// Presses Return.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn enter(&self) -> Result<(), CommandError> {
        self.command(Key::enter().press()).await.map(drop)
    }

    /// Leaves copy mode and whatever other mode takes the keys; nothing happens where there is none.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn leave_copy_mode(&self) -> Result<(), CommandError> {
        self.command(Command::leave_modes()).await.map(drop)
    }

    /// Gives the window another size, until an attached person's terminal gives it theirs.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn resize(&self, cols: u16, rows: u16) -> Result<(), CommandError> {
        self.run(vec![Command::resize(cols, rows), Command::unfix_size()], false).await.map(drop)
    }

    /// Ends the server and with it the session: the program gets a hang-up (children that ignore it live on;
    /// the whole tree is the business of who launched it). Returns when the client has gone.
    ///
    /// # Errors
    /// As [`Control::command`]; that the client ended instead of answering is success.
    pub async fn kill_server(&self) -> Result<(), CommandError> {
        match self.command(Command::kill_server()).await {
            Ok(_) | Err(CommandError::Closed(_)) => {}
            Err(error) => return Err(error),
        }
        match tokio::time::timeout(self.deadline, self.shared.requests.closed()).await {
            Ok(()) => Ok(()),
            Err(_) => Err(CommandError::Timeout(self.deadline)),
        }
    }

    /// The pids of other control clients: those of an agent that died. tmux 3.3a never dismisses one whose
    /// reader is gone while output for it is pending, and does not exit as long as it is there.
    ///
    /// # Errors
    /// As [`Control::command`].
    pub async fn other_clients(&self) -> Result<Vec<i32>, CommandError> {
        let own = Command::new("display-message").arg("-p").arg("#{client_pid}");
        let all = Command::new("list-clients").arg("-F").arg("#{client_control_mode} #{client_pid}");
        let mut answers = self.run(vec![own, all], false).await?.into_iter();
        let mut text = || String::from_utf8_lossy(&answers.next().unwrap_or_default()).into_owned();
        let (own, all) = (text(), text());
        let controls = all.lines().filter_map(|line| line.strip_prefix("1 "));
        Ok(controls.filter(|pid| *pid != own.trim()).filter_map(|pid| pid.trim().parse().ok()).collect())
    }

    /// Ends the client and waits until it is gone. The session goes on.
    pub async fn close(&self) {
        self.shared.closing.cancel();
        let task = self.shared.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        match task {
            // The task does not panic; if it did, it is gone as well.
            Some(task) => drop(task.await),
            None => self.shared.requests.closed().await,
        }
    }

    /// Watches over the program, so that its end is told whatever tmux makes of it.
    pub(super) async fn watch(&self, status: &PaneStatus) {
        if let Some(watch) = Watch::over(status) {
            // If the client has gone, there is nothing to tell.
            let _ = self.shared.requests.send(Errand::Watch(watch)).await;
        }
    }

    /// What tmux said outside of any answer.
    pub(super) fn trouble(&self) -> Option<String> {
        self.shared.mailbox.troubled()
    }
}

fn read_status(body: &[u8]) -> Result<PaneStatus, CommandError> {
    let unreadable = || String::from_utf8_lossy(&body[..body.len().min(200)]).into_owned();
    PaneStatus::parse(body).ok_or_else(|| CommandError::Unreadable(unreadable()))
}

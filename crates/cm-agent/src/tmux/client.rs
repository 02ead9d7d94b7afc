//! The one task that owns a control client: its process, its pipes, who waits for which answer.

use std::collections::VecDeque;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::command::{Command, PANE};
use super::control::{ControlParser, Notice, OutputMode, PaneId, Reply};
use super::launch::DEAD_NAME;
use super::notices::{MAX_TROUBLE, Mailbox};
use super::watch::Watch;

/// Output taken between two looks of the session before the pane is paused for this client, in bytes.
///
/// Output beyond the first notice says nothing new, and sending it costs tmux more than parsing it. Measured
/// with `yes` in 8 sessions on 2 busy cores: 64 KiB gave 11 looks a second and 40 ms for another session's
/// command, 4 KiB gave 20 and 8 ms; the tools wrote as much as without any client.
pub const FLOOD: u64 = 4 << 10;
/// Answers awaited at most; further commands wait in their queue.
const MAX_IN_FLIGHT: usize = 128;
/// Unwritten bytes beyond which no further command is taken.
const MAX_UNWRITTEN: usize = 2 << 20;
/// How much is read at once.
const READ: usize = 16 << 10;
/// How long a client whose pipes are closed may take to end before it is killed.
const LINGER: Duration = Duration::from_millis(500);

/// A command that got no answer, or a bad one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// tmux said no.
    #[error("tmux: {0}")]
    Refused(String),
    /// The client has ended; the session may well live: attach again.
    #[error("the connection to the tmux server has ended: {0}")]
    Closed(String),
    /// No answer in time. Proves nothing: it may still be carried out.
    #[error("tmux has not answered within {0:?}")]
    Timeout(Duration),
    /// Not sent at all.
    #[error("not sent: {0}")]
    Invalid(String),
    /// An answer that is none.
    #[error("tmux answered {0:?}, which is no answer to what was asked")]
    Unreadable(String),
}

/// Commands written together, and who wants their answers.
pub(super) struct Request {
    pub(super) commands: Vec<Command>,
    /// Output counts anew from here, and is sent again if it was paused: written before the commands.
    pub(super) rearm: bool,
    pub(super) answer: oneshot::Sender<Result<Vec<Vec<u8>>, CommandError>>,
}

/// What the handle hands to the task.
pub(super) enum Errand {
    /// Commands.
    Run(Request),
    /// The program to watch, once it is known.
    Watch(Watch),
}

/// Who waits for the next answers.
enum Waiter {
    /// Nobody: the task's own command.
    Own,
    /// A caller, for as many answers.
    Caller { left: usize, bodies: Vec<Vec<u8>>, failed: Option<String>, answer: Option<Answer> },
}

type Answer = oneshot::Sender<Result<Vec<Vec<u8>>, CommandError>>;

/// What the task awakes to.
enum Input {
    Closed,
    Errand(Option<Errand>),
    Watched,
    Written(std::io::Result<usize>),
    Read(std::io::Result<usize>),
}

/// Waits for the watch, if there is one.
async fn watched(watch: &mut Option<Watch>) {
    match watch {
        Some(watch) => watch.due().await,
        None => std::future::pending().await,
    }
}

/// The client's processes and pipes.
pub(super) struct Pipes {
    pub(super) child: Child,
    pub(super) stdin: ChildStdin,
    pub(super) stdout: ChildStdout,
    pub(super) stderr: ChildStderr,
}

/// The task's state.
pub(super) struct Client {
    requests: mpsc::Receiver<Errand>,
    closing: CancellationToken,
    mailbox: Arc<Mailbox>,
    parser: ControlParser,
    notices: Vec<Notice>,
    unwritten: Vec<u8>,
    waiting: VecDeque<Waiter>,
    /// Bytes of output since the last rearm.
    since: u64,
    /// The tool's pane is not sent to us now.
    paused: bool,
    /// Panes that a person made: never of interest, paused for good.
    foreign: Vec<PaneId>,
    /// Set by the first `%session-changed`. tmux reads commands before that, too, and may run them before the
    /// session exists; so none is written. From then on a stray line is a lost step.
    attached: bool,
    reason: Option<String>,
    watch: Option<Watch>,
}

impl Client {
    pub(super) fn new(
        requests: mpsc::Receiver<Errand>,
        closing: CancellationToken,
        mailbox: Arc<Mailbox>,
    ) -> Self {
        Self {
            requests,
            closing,
            mailbox,
            parser: ControlParser::new(),
            notices: Vec::new(),
            unwritten: Vec::new(),
            waiting: VecDeque::new(),
            since: 0,
            paused: false,
            foreign: Vec::new(),
            attached: false,
            reason: None,
            watch: None,
        }
    }

    /// Runs until the client ends or is closed, then ends and reaps it.
    pub(super) async fn run(mut self, mut pipes: Pipes) {
        let mut buffer = vec![0; READ];
        while self.reason.is_none() {
            let input = self.wait(&mut pipes, &mut buffer).await;
            self.handle(input, &buffer);
        }
        self.finish(pipes).await;
    }

    /// The next thing that happens. Each of these is cancel-safe.
    async fn wait(&mut self, pipes: &mut Pipes, buffer: &mut [u8]) -> Input {
        let takes =
            self.attached && self.waiting.len() < MAX_IN_FLIGHT && self.unwritten.len() < MAX_UNWRITTEN;
        tokio::select! {
            () = self.closing.cancelled() => Input::Closed,
            errand = self.requests.recv(), if takes => Input::Errand(errand),
            written = pipes.stdin.write(&self.unwritten), if !self.unwritten.is_empty() => Input::Written(written),
            read = pipes.stdout.read(buffer) => Input::Read(read),
            () = watched(&mut self.watch) => Input::Watched,
        }
    }

    fn handle(&mut self, input: Input, buffer: &[u8]) {
        match input {
            // Every handle was dropped: as good as closed.
            Input::Closed | Input::Errand(None) => self.end("closed by us"),
            Input::Errand(Some(Errand::Run(request))) => self.accept(request),
            Input::Errand(Some(Errand::Watch(watch))) => self.watch = Some(watch),
            Input::Watched => {
                self.watch = self.watch.take().and_then(|mut watch| watch.act().then_some(watch))
            }
            Input::Written(Ok(count)) => {
                self.unwritten.drain(..count);
                if self.unwritten.is_empty() {
                    self.unwritten.shrink_to(READ);
                }
            }
            // The reading side tells why.
            Input::Written(Err(_)) => self.unwritten.clear(),
            Input::Read(Ok(0)) => self.end("its client has exited"),
            Input::Read(Ok(count)) => self.received(&buffer[..count.min(buffer.len())]),
            Input::Read(Err(error)) => self.end(&format!("reading from its client: {error}")),
        }
    }

    /// The first reason is the reason.
    fn end(&mut self, reason: &str) {
        self.reason.get_or_insert_with(|| reason.to_owned());
    }

    fn accept(&mut self, request: Request) {
        if request.answer.is_closed() {
            return; // The caller has given up while it stood in the queue.
        }
        if request.rearm {
            self.since = 0;
            if std::mem::take(&mut self.paused) {
                self.own(&Command::resume(PANE));
            }
        }
        if request.commands.is_empty() {
            let _ = request.answer.send(Ok(Vec::new()));
            return;
        }
        for command in &request.commands {
            self.write(command);
        }
        let left = request.commands.len();
        let bodies = Vec::with_capacity(left);
        self.waiting.push_back(Waiter::Caller { left, bodies, failed: None, answer: Some(request.answer) });
    }

    fn own(&mut self, command: &Command) {
        self.write(command);
        self.waiting.push_back(Waiter::Own);
    }

    fn write(&mut self, command: &Command) {
        self.unwritten.extend_from_slice(command.line());
        self.unwritten.push(b'\n');
    }

    fn received(&mut self, bytes: &[u8]) {
        let keep = self.mailbox.tap() > 0;
        self.parser.set_mode(if keep { OutputMode::Keep } else { OutputMode::Count });
        let mut notices = std::mem::take(&mut self.notices);
        if let Err(error) = self.parser.push(bytes, &mut notices) {
            self.end(&error.to_string());
        }
        for notice in notices.drain(..) {
            self.notice(notice);
        }
        self.notices = notices;
    }

    fn notice(&mut self, notice: Notice) {
        match notice {
            Notice::Output { pane, bytes, .. } if pane == PANE => {
                self.since += bytes;
                // Who wants the bytes gets as many as they have room for.
                if self.since > FLOOD.max(self.mailbox.tap() as u64) && !self.paused {
                    self.paused = true;
                    self.own(&Command::pause(PANE));
                }
                self.mailbox.put(notice);
            }
            Notice::Output { pane, .. } => self.mute(pane),
            // Ours, or tmux's own because we were slow: either way there is something to look at, and the
            // next look resumes.
            Notice::Pause(pane) if pane == PANE => {
                self.paused = true;
                self.mailbox.put(Notice::Output { pane, bytes: 0, data: Vec::new() });
            }
            Notice::Pause(_) | Notice::Continue(_) => {}
            Notice::Reply(reply) if reply.flags & 1 == 1 => self.answered(reply),
            // The answer of a command at start or of a hook.
            Notice::Reply(reply) => {
                if !reply.ok {
                    self.mailbox.trouble(&reply.body);
                }
            }
            Notice::Stray(line) => {
                self.mailbox.trouble(line.as_bytes());
                if self.attached {
                    self.end("its stream is out of step");
                }
            }
            Notice::SessionChanged { .. } => {
                self.attached = true;
                self.mailbox.put(notice);
            }
            Notice::WindowRenamed { ref name, .. } => {
                if name == DEAD_NAME {
                    self.watch = self.watch.take().filter(Watch::told);
                }
                self.mailbox.put(notice);
            }
            Notice::Exit { reason } => {
                self.end(&reason.unwrap_or_else(|| "tmux has ended it".into()));
            }
            other => self.mailbox.put(other),
        }
    }

    /// A pane that is not the tool's is paused once and for all.
    fn mute(&mut self, pane: PaneId) {
        if !self.foreign.contains(&pane) {
            self.foreign.push(pane);
            self.own(&Command::pause(pane));
        }
    }

    fn answered(&mut self, reply: Reply) {
        match self.waiting.front_mut() {
            None => self.end("it answered what was not asked"),
            Some(Waiter::Own) => {
                self.waiting.pop_front();
            }
            Some(Waiter::Caller { left, bodies, failed, answer }) => {
                *left -= 1;
                if !reply.ok && failed.is_none() {
                    *failed = Some(String::from_utf8_lossy(&reply.body).trim_end().to_owned());
                }
                bodies.push(reply.body);
                if *left == 0 {
                    let result = match failed.take() {
                        Some(error) => Err(CommandError::Refused(error)),
                        None => Ok(std::mem::take(bodies)),
                    };
                    if let Some(answer) = answer.take() {
                        // The caller may have given up.
                        let _ = answer.send(result);
                    }
                    self.waiting.pop_front();
                }
            }
        }
    }

    /// Ends the process, tells everyone who waits, and leaves the last notice.
    async fn finish(mut self, pipes: Pipes) {
        let Pipes { mut child, stdin, stdout, stderr } = pipes;
        // The server sees the closed pipe and dismisses the client; the session is not touched.
        drop(stdin);
        drop(stdout);
        let mut said = Vec::new();
        let reap = async {
            let _ = stderr.take(MAX_TROUBLE as u64).read_to_end(&mut said).await;
            child.wait().await
        };
        let status: Option<std::io::Result<ExitStatus>> = tokio::time::timeout(LINGER, reap).await.ok();
        if status.is_none() {
            let _ = child.kill().await; // Kills and reaps; fails only if it has ended meanwhile.
        }
        self.mailbox.trouble(&said);
        let reason = self.reason.take().unwrap_or_default();
        let told = match self.mailbox.troubled() {
            Some(trouble) => format!("{reason} ({trouble})"),
            None => reason,
        };
        self.requests.close();
        for waiter in self.waiting.drain(..) {
            if let Waiter::Caller { answer: Some(answer), .. } = waiter {
                let _ = answer.send(Err(CommandError::Closed(told.clone())));
            }
        }
        while let Ok(errand) = self.requests.try_recv() {
            if let Errand::Run(request) = errand {
                let _ = request.answer.send(Err(CommandError::Closed(told.clone())));
            }
        }
        self.mailbox.put(Notice::Exit { reason: Some(told) });
        self.mailbox.close();
    }
}

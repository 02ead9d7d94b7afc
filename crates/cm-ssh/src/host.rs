//! A connection to a host: made, used for one purpose, closed.

use std::fmt;
use std::net::Shutdown;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ssh2::Channel;

use crate::auth::Login;
use crate::cut::Cut;
use crate::dial::{self, Behind, Hello};
use crate::error::{At, Kind, SshError};
use crate::exec::{Event, Exec, Input, Output, Run};
use crate::host_key::Trust;
use crate::limits;
use crate::pty::{self, SshPty, Terminal};
use crate::pump::Pump;
use crate::secret::Keys;
use crate::stream::SshStream;
use crate::target::Target;
use crate::wire::{Wire, blocking, ending};

/// How often a host that hangs up at once is tried again.
const BUSY_TRIES: u32 = 6;
/// The first pause before that; it doubles each time.
const BUSY_PAUSE: Duration = Duration::from_millis(100);
/// How long a stream may take to open.
const STREAM: Duration = Duration::from_secs(10);
/// Events of a command that wait for whoever runs it.
const EVENTS: usize = 64;

/// One connection to a host, logged in. Dropping it closes it.
pub struct Ssh {
    at: Arc<At>,
    wire: Wire,
    behind: Option<Behind>,
    /// A command that has said what it was asked, and waits for its input.
    waiting: Option<Pump>,
}

/// Where a stream leads, seen from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remote {
    /// A unix socket.
    Unix(PathBuf),
    /// A TCP port of a host.
    Tcp(String, u16),
}

impl fmt::Display for Remote {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "{}", path.display()),
            Self::Tcp(host, port) => write!(out, "{host}:{port}"),
        }
    }
}

impl Ssh {
    /// Connects and logs in. Each step (TCP, handshake, login, each for every hop) may take
    /// `target.connect_timeout`. A host that hangs up before greeting (MaxStartups) is tried again within it.
    pub async fn connect(target: &Target, keys: &Keys) -> Result<Self, SshError> {
        let mut chain: Vec<&Target> = target.jumps.iter().collect();
        chain.push(target);
        Box::pin(reach(&chain, keys)).await
    }

    /// The host.
    pub const fn at(&self) -> &Arc<At> {
        &self.at
    }

    /// Runs `command` in the user's login shell and waits for its end. Of its stdout and stderr 1 MiB each is
    /// kept. After an error, and when the future is dropped, the connection is closed.
    pub async fn exec(
        &mut self,
        command: &str,
        input: Input,
        deadline: Duration,
    ) -> Result<Output, SshError> {
        self.run(command, Exec::new(input, deadline), |_| {}).await
    }

    /// The same, telling what happens while it runs.
    pub async fn exec_lines(
        &mut self,
        command: &str,
        input: Input,
        deadline: Duration,
        on: impl FnMut(Event) + Send,
    ) -> Result<Output, SshError> {
        self.run(command, Exec::new(input, deadline), on).await
    }

    /// The same, with all that can be chosen.
    pub async fn run(
        &mut self,
        command: &str,
        exec: Exec,
        on: impl FnMut(Event) + Send,
    ) -> Result<Output, SshError> {
        self.fit(command)?;
        let command = command.to_owned();
        self.working(exec, on, move |run, wire, on| run.run(wire, &command, on)).await
    }

    /// Runs `command` until it has printed `mark` as a line of its own, and lets it wait there for its input, which
    /// [`Ssh::answer`] gives it: two round trips less than another command. What it printed is the result. A command
    /// that ended without the mark waits for nothing, see [`Ssh::waits`].
    pub async fn ask(&mut self, command: &str, mark: &str, deadline: Duration) -> Result<Output, SshError> {
        self.fit(command)?;
        self.waiting = None;
        let (command, mark) = (command.to_owned(), mark.to_owned());
        let exec = Exec::new(Input::None, deadline);
        let asked = self.working(exec, |_| {}, move |run, wire, _| run.ask(wire, &command, &mark)).await;
        let (output, waiting) = asked?;
        self.waiting = waiting;
        Ok(output)
    }

    /// Whether a command waits for its input.
    pub const fn waits(&self) -> bool {
        self.waiting.is_some()
    }

    /// Gives the command that waits its input and waits for its end, as [`Ssh::exec_lines`] does. What it had printed
    /// before is not told again.
    pub async fn answer(
        &mut self,
        input: Input,
        deadline: Duration,
        on: impl FnMut(Event) + Send,
    ) -> Result<Output, SshError> {
        let Some(pump) = self.waiting.take() else {
            return Err(self.unfit("no command waits for input"));
        };
        self.working(Exec::new(input, deadline), on, move |run, wire, on| run.answer(wire, pump, on)).await
    }

    /// A command that can be sent.
    fn fit(&self, command: &str) -> Result<(), SshError> {
        if command.contains('\0') { Err(self.unfit("its text contains a NUL byte")) } else { Ok(()) }
    }

    fn unfit(&self, why: &str) -> SshError {
        let act = "running a command".to_owned();
        SshError::Channel { at: Arc::clone(&self.at), act, why: why.to_owned() }
    }

    /// Works at a command in a blocking thread, telling what happens meanwhile.
    async fn working<T: Send + 'static>(
        &self,
        exec: Exec,
        mut on: impl FnMut(Event) + Send,
        work: impl FnOnce(Run<'_>, &Wire, &mut dyn FnMut(Event)) -> Result<T, SshError> + Send + 'static,
    ) -> Result<T, SshError> {
        let by = ending(exec.deadline);
        let (tell, mut told) = tokio::sync::mpsc::channel(EVENTS);
        let (at, wire) = (Arc::clone(&self.at), self.wire.clone());
        let work = move || {
            work(Run::new(&at, by, exec), &wire, &mut |event| {
                // Nobody listens when the caller has given up; then the connection is cut, too.
                let _ = tell.blocking_send(event);
            })
        };
        let done = blocking(&self.at, "running a command", by, Cut::new(&self.wire.socket), work);
        tokio::pin!(done);
        loop {
            tokio::select! {
                biased;
                event = told.recv() => match event {
                    Some(event) => on(event),
                    None => return done.await,
                },
                result = &mut done => {
                    while let Ok(event) = told.try_recv() {
                        on(event);
                    }
                    return result;
                }
            }
        }
    }

    /// Makes the connection a stream to `to`. It may take 10 s to open.
    pub async fn stream(self, to: Remote) -> Result<SshStream, SshError> {
        self.stream_first(&[to]).await
    }

    /// Makes the connection a stream to the first of `ways` that opens; each may take 10 s. The error is that
    /// of the last. (An sshd that forbids streams to sockets answers as if nothing listened there.)
    pub async fn stream_first(mut self, ways: &[Remote]) -> Result<SshStream, SshError> {
        let mut failed = None;
        for to in ways {
            match self.open(to.clone()).await {
                Ok(channel) => return self.streaming(channel),
                Err(error @ (SshError::Channel { .. } | SshError::Forbidden { .. })) => failed = Some(error),
                Err(error) => return Err(error),
            }
        }
        Err(failed.unwrap_or_else(|| SshError::Channel {
            at: Arc::clone(&self.at),
            act: "opening a stream".to_owned(),
            why: "no way was given".to_owned(),
        }))
    }

    /// Makes the connection a terminal in which the user's login shell runs `command`. It may take 10 s to begin.
    pub async fn pty(mut self, command: &str, terminal: &Terminal) -> Result<SshPty, SshError> {
        let begin = pty::begin(Arc::clone(&self.at), self.wire.clone(), command, terminal, ending(STREAM))?;
        let cut = Cut::new(&self.wire.socket);
        let channel = blocking(&self.at, "opening a terminal", ending(STREAM), cut, begin).await?;
        Ok(SshPty::new(self.streaming(channel)?, terminal.size))
    }

    /// Opens a channel. One that is refused leaves the connection as it was.
    async fn open(&self, to: Remote) -> Result<Channel, SshError> {
        let by = ending(STREAM);
        let (at, wire) = (Arc::clone(&self.at), self.wire.clone());
        let open = move || {
            let opened = wire.until(by, |session| match &to {
                Remote::Unix(path) => session.channel_direct_streamlocal(&path.to_string_lossy(), None),
                Remote::Tcp(host, port) => session.channel_direct_tcpip(host, *port, None),
            });
            Ok(opened.map_err(|error| {
                refused(SshError::of_wire(&at, &format!("opening a stream to {to}"), STREAM, error), &to)
            }))
        };
        blocking(&self.at, "opening a stream", by, Cut::new(&self.wire.socket), open).await?
    }

    fn streaming(&mut self, channel: Channel) -> Result<SshStream, SshError> {
        let behind = self.behind.take().unwrap_or(Behind::Host);
        let pump = Pump::new(self.wire.clone(), channel);
        SshStream::new(Arc::clone(&self.at), pump, behind).map_err(|error| SshError::Channel {
            at: Arc::clone(&self.at),
            act: "watching the connection".to_owned(),
            why: error.to_string(),
        })
    }

    /// Says good-bye and closes. Takes at most a second.
    pub async fn close(self) {
        let wire = self.wire.clone();
        let by = ending(limits::CLOSE);
        let bye = move || {
            // It is closed either way.
            let _ = wire.until(by, |session| session.disconnect(None, "done", None));
            Ok(())
        };
        let _ = blocking(&self.at, "closing", by, Cut::new(&self.wire.socket), bye).await;
    }
}

impl Drop for Ssh {
    fn drop(&mut self) {
        // A stream that was made of it has taken what is behind, and goes on with the socket.
        if self.behind.is_some() {
            let _ = self.wire.socket.shutdown(Shutdown::Both);
        }
    }
}

impl fmt::Debug for Ssh {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Ssh").field("at", &self.at).finish_non_exhaustive()
    }
}

/// What a channel that does not open means.
fn refused(error: SshError, to: &Remote) -> SshError {
    match error {
        SshError::Channel { at, why, .. } if why.contains("prohibited") => {
            SshError::Forbidden { at, what: format!("opening a stream to {to}") }
        }
        SshError::Channel { at, act, why }
            if matches!(to, Remote::Unix(_)) && why.contains("connect failed") =>
        {
            let why = "nothing listens there, or its sshd forbids it (AllowStreamLocalForwarding)".to_owned();
            SshError::Channel { at, act, why }
        }
        other => other,
    }
}

/// Connects to the last of `chain` through the others.
async fn reach(chain: &[&Target], keys: &Keys) -> Result<Ssh, SshError> {
    // Callers pass at least the target itself.
    let Some((target, hops)) = chain.split_last() else { unreachable!("a chain has a last link") };
    let at = At::of(target);
    let trust = trust(&at, target).await?;
    let (wire, behind) = greeted(&at, target, hops, keys, &trust).await?;
    let ssh = Ssh { at, wire, behind: Some(behind), waiting: None };
    login(&ssh, target, keys).await?;
    Ok(ssh)
}

/// Reads what is known of the target's key.
async fn trust(at: &Arc<At>, target: &Target) -> Result<Arc<Trust>, SshError> {
    let wanted = target.clone();
    let read = tokio::task::spawn_blocking(move || Trust::load(&wanted));
    match tokio::time::timeout(target.connect_timeout, read).await {
        Ok(Ok(Ok(trust))) => Ok(Arc::new(trust)),
        Ok(Ok(Err(error))) => Err(SshError::host_key(at, error)),
        Ok(Err(gone)) => Err(SshError::Lost {
            at: Arc::clone(at),
            act: "reading known_hosts".to_owned(),
            why: gone.to_string(),
        }),
        Err(_) => Err(SshError::deadline(at, "reading known_hosts", target.connect_timeout)),
    }
}

/// A connection after its handshake, tried again where that can help.
async fn greeted(
    at: &Arc<At>,
    target: &Target,
    hops: &[&Target],
    keys: &Keys,
    trust: &Arc<Trust>,
) -> Result<(Wire, Behind), SshError> {
    let began = Instant::now();
    let (mut offer, mut attempts, mut pause, mut doubt) = (0, 0, BUSY_PAUSE, None);
    loop {
        let (socket, mut behind) = if hops.is_empty() {
            dial::open(at, target).await?
        } else {
            let bastion = Box::pin(reach(hops, keys)).await?;
            dial::through(at, target, bastion).await?
        };
        match dial::handshake(at, target.connect_timeout, socket, trust, offer).await {
            Ok(wire) => return Ok((wire, behind)),
            Err(Hello::Failed(error)) => return Err(error),
            Err(Hello::Another(error)) => {
                offer += 1;
                // That a key is wrong says more than that there is none of another type.
                if doubt.is_none() || error.kind() == Kind::Refused {
                    doubt = Some(error);
                }
                if offer >= trust.offers.len()
                    && let Some(error) = doubt
                {
                    return Err(error);
                }
            }
            Err(Hello::Busy(said)) => {
                if let Some(error) = dial::command_failed(at, &mut behind) {
                    return Err(error);
                }
                attempts += 1;
                let wait = jittered(pause);
                if attempts >= BUSY_TRIES || began.elapsed() + wait > target.connect_timeout {
                    return Err(SshError::Busy { at: Arc::clone(at), attempts, said });
                }
                tracing::debug!(%at, attempts, ?wait, "hung up before greeting; trying again");
                tokio::time::sleep(wait).await;
                pause *= 2;
            }
        }
    }
}

/// Logs in on a connection.
async fn login(ssh: &Ssh, target: &Target, keys: &Keys) -> Result<(), SshError> {
    let by = ending(target.connect_timeout);
    let (at, wire, target, keys) = (Arc::clone(&ssh.at), ssh.wire.clone(), target.clone(), keys.clone());
    let work = move || Login { at: &at, target: &target, keys: &keys, by }.run(&wire);
    blocking(&ssh.at, "logging in", by, Cut::new(&ssh.wire.socket), work).await
}

/// Between half of `pause` and one and a half of it, so that many hosts do not come back together.
fn jittered(pause: Duration) -> Duration {
    // Without randomness it is the plain pause.
    let random = getrandom::u32().unwrap_or(u32::MAX / 2);
    pause.mul_f64(0.5 + f64::from(random) / f64::from(u32::MAX))
}

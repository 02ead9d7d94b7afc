//! A terminal of the tool's own inside the session's: bytes are copied both ways, program status is understood.
//!
//! The tool's terminal is a second pty, of which the tool is the session's leader, exactly as it would be
//! without us. The outer terminal is raw: a typed Ctrl-C goes through as a byte and becomes a signal in the
//! inner one. Nobody is waited for in the middle of anything: a side that does not take what it is given stops
//! the other from being read, and so on up to tmux or the tool.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Error, Result};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::{Instant, SystemTime};

use rustix::fs::{Mode, OFlags, fcntl_getfl, fcntl_setfl};
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Action, OptionalActions, tcflow, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::timeout;

use super::DISPLAY;
use crate::tool::osc::Scanner;

/// How much is read at once, and kept at most of what the tool does not take.
const ROOM: usize = 64 * 1024;
/// How many reads of the tool's output are put into one write.
const READS: usize = 16;

/// Both terminals, and what is on its way.
struct Shim {
    /// The session's terminal.
    terminal: AsyncFd<OwnedFd>,
    /// Our end of the tool's.
    tool: AsyncFd<OwnedFd>,
    /// The tool's end of it. As long as it is open, what the tool has written can be read, whoever else closes it.
    inside: OwnedFd,
    scanner: Scanner,
    began: Instant,
    to_screen: Vec<u8>,
    to_tool: Vec<u8>,
    buffer: Vec<u8>,
}

/// What happened.
enum Event {
    /// The tool printed so many bytes.
    Printed(Result<usize>),
    /// So many bytes were typed.
    Typed(Result<usize>),
    /// The session's terminal has taken so many.
    Shown(Result<usize>),
    /// The tool's has.
    Taken(Result<usize>),
    /// The session's terminal has another size.
    Resized,
    /// The tool has ended.
    Ended(Result<ExitStatus>),
}

/// The two terminals, ready for a tool.
pub(super) struct Terminals {
    outer: OwnedFd,
    ours: OwnedFd,
    tools: OwnedFd,
    inside: OwnedFd,
}

impl Terminals {
    /// Makes a terminal like the one we are in. Nothing has been changed in that one yet.
    ///
    /// # Errors
    /// We are in none, or there are no ptys.
    pub(super) fn open() -> Result<Self> {
        // Descriptors of their own: what is set on them holds for nobody else.
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let outer = rustix::fs::open("/dev/tty", flags, Mode::empty())?;
        let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
        let ours = openpt(flags)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let [tools, inside] = [ioctl_tiocgptpeer(&ours, flags)?, ioctl_tiocgptpeer(&ours, flags)?];
        for fd in [&ours, &inside] {
            fcntl_setfl(fd, fcntl_getfl(fd)? | OFlags::NONBLOCK)?;
        }
        tcsetattr(&tools, OptionalActions::Now, &tcgetattr(&outer)?)?;
        tcsetwinsize(&tools, tcgetwinsize(&outer)?)?;
        Ok(Self { outer, ours, tools, inside })
    }
}

/// Runs the tool in a terminal of its own to its end. `command` makes us the tool's starter, which becomes the
/// tool.
///
/// # Errors
/// It cannot be started.
pub(super) fn run(terminals: Terminals, command: &[OsString]) -> Result<ExitStatus> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // Before the size is read for the last time: no change goes unseen.
        let mut resized = signal(SignalKind::window_change())?;
        let _caught = super::caught()?;
        let Terminals { outer, ours, tools, inside } = terminals;
        let mut mode = tcgetattr(&outer)?;
        mode.make_raw();
        tcsetattr(&outer, OptionalActions::Now, &mode)?;
        let mut child = start(command, &tools)?;
        drop(tools);
        let mut shim = Shim::new(outer, ours, inside)?;
        shim.resize();
        match shim.copy(&mut child, &mut resized).await {
            Some(status) => {
                shim.drain().await;
                status
            }
            // Without a terminal there is none for the tool either: it is told so by the kernel.
            None => {
                drop(shim);
                child.wait().await
            }
        }
    })
}

/// Starts the tool. Only a process itself can make a session and take a terminal for it; this program does so
/// before it becomes the tool.
fn start(command: &[OsString], terminal: &OwnedFd) -> Result<Child> {
    let end = || Ok::<_, Error>(File::from(terminal.try_clone()?));
    // This very program, also if its file has been replaced.
    let mut starter = Command::new("/proc/self/exe");
    if let Some((name, args)) = command.split_first() {
        starter.arg0(name).args(args);
    }
    starter.stdin(end()?).stdout(end()?).stderr(end()?).spawn()
}

impl Shim {
    fn new(outer: OwnedFd, ours: OwnedFd, inside: OwnedFd) -> Result<Self> {
        Ok(Self {
            terminal: registered(outer)?,
            tool: registered(ours)?,
            inside,
            scanner: Scanner::default(),
            began: Instant::now(),
            to_screen: Vec::with_capacity(2 * ROOM),
            to_tool: Vec::new(),
            buffer: vec![0; ROOM],
        })
    }

    /// Copies until the tool has ended. `None`: the session's terminal has gone.
    async fn copy(&mut self, child: &mut Child, resized: &mut Signal) -> Option<Result<ExitStatus>> {
        loop {
            let (screen, keys) = (!self.to_screen.is_empty(), !self.to_tool.is_empty());
            let mut typed = [0; 4096];
            let event = tokio::select! {
                count = read(&self.tool, &mut self.buffer), if !screen => Event::Printed(count),
                count = read(&self.terminal, &mut typed), if self.to_tool.len() < ROOM => Event::Typed(count),
                count = write(&self.terminal, &self.to_screen), if screen => Event::Shown(count),
                count = write(&self.tool, &self.to_tool), if keys => Event::Taken(count),
                _ = resized.recv() => Event::Resized,
                status = child.wait() => Event::Ended(status),
            };
            match event {
                Event::Printed(Ok(count)) => self.printed(count),
                Event::Typed(Ok(count @ 1..)) => self.to_tool.extend_from_slice(&typed[..count]),
                Event::Shown(Ok(count)) => drop(self.to_screen.drain(..count)),
                Event::Taken(Ok(count)) => drop(self.to_tool.drain(..count)),
                Event::Resized => self.resize(),
                Event::Ended(status) => return Some(status),
                Event::Typed(_) | Event::Shown(Err(_)) => return None,
                Event::Printed(Err(_)) | Event::Taken(Err(_)) => return Some(child.wait().await),
            }
        }
    }

    /// The tool has printed so much into the buffer. What else is there by now comes along in the same write.
    fn printed(&mut self, mut count: usize) {
        let now = self.began.elapsed();
        for reads in 1.. {
            self.scanner.feed(now, &self.buffer[..count], &mut self.to_screen, &mut self.to_tool);
            if reads == READS || self.to_screen.len() >= ROOM {
                break;
            }
            match rustix::io::read(&self.tool, &mut *self.buffer) {
                Ok(more @ 1..) => count = more,
                // An error comes again at the next read.
                _ => break,
            }
        }
    }

    fn resize(&self) {
        // A terminal without a size has gone, which is seen elsewhere.
        if let Ok(size) = tcgetwinsize(&self.terminal) {
            let _ = tcsetwinsize(&self.tool, size);
        }
    }

    /// The tool has ended: everything it has printed is passed on, but what others print after its end is not
    /// waited for. Gives up where nothing moves.
    async fn drain(&mut self) {
        // If somebody had stopped it with Ctrl-S.
        let _ = tcflow(&self.inside, Action::OOn);
        // Written behind the last that the tool has written, to know it when it comes out: something that nobody
        // else writes.
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_nanos();
        let last = format!("\x1b]cm-last;{}-{now}\x07", std::process::id()).into_bytes();
        let (mut told, mut late) = (0, Vec::new());
        loop {
            while !self.to_screen.is_empty() {
                match timeout(DISPLAY, write(&self.terminal, &self.to_screen)).await {
                    Ok(Ok(count @ 1..)) => drop(self.to_screen.drain(..count)),
                    _ => return,
                }
            }
            // Not taken: there is still much to be read before it.
            told += rustix::io::write(&self.inside, &last[told..]).unwrap_or(0);
            let Ok(Ok(count @ 1..)) = timeout(DISPLAY, read(&self.tool, &mut self.buffer)).await else {
                break;
            };
            late.extend_from_slice(&self.buffer[..count]);
            let end = late.windows(last.len()).position(|window| window == last);
            // What may be the beginning of it waits.
            let sure = end.unwrap_or(late.len().saturating_sub(last.len() - 1));
            self.scanner.feed(self.began.elapsed(), &late[..sure], &mut self.to_screen, &mut self.to_tool);
            late.drain(..sure);
            if end.is_some() {
                late.clear();
                break;
            }
        }
        self.scanner.feed(self.began.elapsed(), &late, &mut self.to_screen, &mut self.to_tool);
        self.scanner.finish(&mut self.to_screen);
        while !self.to_screen.is_empty() {
            match timeout(DISPLAY, write(&self.terminal, &self.to_screen)).await {
                Ok(Ok(count @ 1..)) => drop(self.to_screen.drain(..count)),
                _ => return,
            }
        }
    }
}

/// Reads what is there, once there is something. Cancel-safe.
async fn read(fd: &AsyncFd<OwnedFd>, buffer: &mut [u8]) -> Result<usize> {
    fd.async_io(Interest::READABLE, |fd| Ok(rustix::io::read(fd, &mut *buffer)?)).await
}

/// Writes what can be taken, once something can be. Cancel-safe.
async fn write(fd: &AsyncFd<OwnedFd>, bytes: &[u8]) -> Result<usize> {
    fd.async_io(Interest::WRITABLE, |fd| Ok(rustix::io::write(fd, bytes)?)).await
}

/// The descriptor, known to the runtime.
#[allow(
    deprecated,
    reason = "the newer `register` is unsafe for types that may close their descriptor; this one owns it"
)]
fn registered(fd: OwnedFd) -> Result<AsyncFd<OwnedFd>> {
    AsyncFd::new(fd)
}

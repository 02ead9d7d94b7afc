//! This terminal joined to one on a host: keys there, pictures here, its size; put back as it was in any case.

use std::cell::Cell;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use cm_ssh::{Size, SshPty, Status};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::looking::Looking;

/// How long a program that has closed its terminal may take to end.
const ENDING: Duration = Duration::from_secs(5);
/// Bytes taken at once.
const PIECE: usize = 16 * 1024;
/// How a program says that it takes the other screen, as tmux does.
const OTHER_SCREEN: &[u8] = b"\x1b[?1049h";
/// What a program on the other screen that was cut off had no time for: margins, modes of keys and mouse, that
/// screen, colours, the cursor.
const TIDY: &[u8] = b"\x1b[r\x1b[?1l\x1b>\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1004l\x1b[?1005l\x1b[?1006l\
\x1b[?2004l\x1b[>4;0m\x1b[?1049l\x1b[0m\x1b[?25h\r\n";

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// Whoever sat here left.
    Left,
    /// The program there ended, or it said that it was left.
    Ended(Status),
    /// The connection broke.
    Lost(String),
}

/// A terminal somewhere else: bytes of and for it, its size, how what ran in it ended.
pub trait Remote: AsyncRead + AsyncWrite + Unpin {
    /// What is told when the terminal here has another size.
    fn resizer(&self) -> Box<dyn Fn(Size) + Send + Sync>;

    /// How the program in it ended, in words or by its code.
    fn ended(&mut self, within: Duration) -> impl Future<Output = Result<Status, String>>;
}

impl Remote for SshPty {
    fn resizer(&self) -> Box<dyn Fn(Size) + Send + Sync> {
        let window = self.window();
        Box::new(move |size| window.set(size))
    }

    async fn ended(&mut self, within: Duration) -> Result<Status, String> {
        self.exit(within).await.map_err(|error| error.to_string())
    }
}

/// This process's own terminal.
pub struct Terminal {
    tty: Arc<AsyncFd<File>>,
    /// A program has taken the other screen.
    other_screen: Cell<bool>,
}

/// Keys come one by one and unseen, as long as it lives.
struct Raw {
    tty: Arc<AsyncFd<File>>,
    before: Termios,
}

impl Terminal {
    /// Opens it. Its own opening: what is set not to block here is not for whoever else uses it.
    ///
    /// # Errors
    /// There is none.
    pub fn open() -> io::Result<Self> {
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
        let tty = File::from(rustix::fs::open("/dev/tty", flags, Mode::empty())?);
        // A file owns its descriptor for as long as it lives, which is all that the new way asks for, unsafely.
        #[allow(deprecated)]
        let tty = AsyncFd::new(tty)?;
        Ok(Self { tty: Arc::new(tty), other_screen: Cell::new(false) })
    }

    /// Its size; one of the usual size where it does not say.
    pub fn size(&self) -> Size {
        let said = tcgetwinsize(self.tty.get_ref()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 0);
        said.map_or(Size { cols: 80, rows: 24 }, |size| Size { cols: size.ws_col, rows: size.ws_row })
    }

    /// Joins it to the one on the host until either ends. `looking`: nothing typed here is passed on, `q` and
    /// Ctrl-C leave.
    ///
    /// # Errors
    /// The terminal here does not do as it is told.
    pub async fn join(&self, pty: impl Remote, looking: bool) -> io::Result<End> {
        let resize = pty.resizer();
        let mut signals = Signals::new()?;
        let raw = Raw::enter(&self.tty)?;
        let (mut from, mut to) = tokio::io::split(pty);
        let looking = looking.then(Looking::default);
        let first = tokio::select! {
            shown = self.show(&mut from) => shown,
            typed = self.typed(&mut to, looking, &*resize, &mut signals) => typed,
        };
        let end = match first {
            Ok(End::Ended(_)) => {
                let mut pty = from.unsplit(to);
                match pty.ended(ENDING).await {
                    Ok(status) => End::Ended(status),
                    Err(why) => End::Lost(why),
                }
            }
            Ok(other) => other,
            Err(error) => End::Lost(error.to_string()),
        };
        if end != End::Ended(Status::Exited(0)) && self.other_screen.get() {
            // Nobody there says how to leave the screen tidy. That it cannot be told is no news.
            let _ = tokio::time::timeout(ENDING, self.write(TIDY)).await;
        }
        drop(raw);
        Ok(end)
    }

    /// Shows what comes, to its end.
    async fn show(&self, from: &mut ReadHalf<impl Remote>) -> io::Result<End> {
        let mut buffer = vec![0; PIECE];
        loop {
            match from.read(&mut buffer).await? {
                0 => return Ok(End::Ended(Status::Exited(0))),
                count => {
                    let shown = &buffer[..count];
                    if shown.windows(OTHER_SCREEN.len()).any(|part| part == OTHER_SCREEN) {
                        self.other_screen.set(true);
                    }
                    if self.write(shown).await.is_err() {
                        return Ok(End::Left);
                    }
                }
            }
        }
    }

    /// Passes on what is typed, and how large the terminal is.
    async fn typed(
        &self,
        to: &mut WriteHalf<impl Remote>,
        mut looking: Option<Looking>,
        resize: &(dyn Fn(Size) + Send + Sync),
        signals: &mut Signals,
    ) -> io::Result<End> {
        let mut buffer = vec![0; PIECE];
        loop {
            tokio::select! {
                read = self.read(&mut buffer) => {
                    // A terminal that is gone is somebody who left.
                    let Ok(count @ 1..) = read else { return Ok(End::Left) };
                    let (pass, leave) = match &mut looking {
                        Some(looking) => looking.feed(&buffer[..count]),
                        None => (buffer[..count].to_vec(), false),
                    };
                    if leave {
                        return Ok(End::Left);
                    }
                    to.write_all(&pass).await?;
                }
                Some(()) = signals.resized.recv() => resize(self.size()),
                () = Signals::any(&mut signals.ending) => return Ok(End::Left),
            }
            to.flush().await?;
        }
    }

    async fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.tty.readable().await?;
            if let Ok(read) = ready.try_io(|tty| Ok(rustix::io::read(tty.get_ref(), &mut *buffer)?)) {
                return read;
            }
        }
    }

    async fn write(&self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let mut ready = self.tty.writable().await?;
            if let Ok(written) = ready.try_io(|tty| Ok(rustix::io::write(tty.get_ref(), bytes)?)) {
                bytes = bytes.get(written?..).unwrap_or_default();
            }
        }
        Ok(())
    }
}

/// What else can happen here.
struct Signals {
    resized: Signal,
    /// What would end this process and leave the terminal as it is.
    ending: [Signal; 4],
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            resized: signal(SignalKind::window_change())?,
            ending: [
                signal(SignalKind::terminate())?,
                signal(SignalKind::hangup())?,
                signal(SignalKind::interrupt())?,
                signal(SignalKind::quit())?,
            ],
        })
    }

    /// Waits for any of them.
    async fn any(of: &mut [Signal]) {
        std::future::poll_fn(|cx| match of.iter_mut().any(|signal| signal.poll_recv(cx).is_ready()) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        })
        .await;
    }
}

impl Raw {
    fn enter(tty: &Arc<AsyncFd<File>>) -> io::Result<Self> {
        let before = tcgetattr(tty.get_ref())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(tty.get_ref(), OptionalActions::Now, &raw)?;
        let entered = Self { tty: Arc::clone(tty), before: before.clone() };
        // A release build ends at once when it panics: nothing is dropped then.
        let (kept, usual) = (tty.get_ref().as_fd().try_clone_to_owned()?, std::panic::take_hook());
        std::panic::set_hook(Box::new(move |info| {
            let _ = tcsetattr(&kept, OptionalActions::Now, &before);
            usual(info);
        }));
        Ok(entered)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // There is nobody to tell that it failed.
        let _ = tcsetattr(self.tty.get_ref(), OptionalActions::Now, &self.before);
    }
}

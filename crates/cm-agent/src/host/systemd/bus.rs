//! Talking to the user's service manager itself, over its own socket: without a process for each word.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

use super::message::{self, Call, Heard};

/// The longest answer to a greeting, in bytes.
const GREETING: usize = 1 << 10;
/// Room for what a start is answered, with all that the manager tells everybody, in bytes.
const ROOM: usize = 8 << 10;
/// The most that waits to be understood, in bytes: one message of the longest kind.
const WAITING: usize = 2 << 20;

/// What became of a unit that was asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Began {
    /// It runs.
    Yes,
    /// There is one of its name already.
    NameTaken,
    /// It does not, in the manager's words; none where only the unit itself knows.
    No(String),
}

/// A manager that has taken us in. Deadlines are the caller's.
#[derive(Debug)]
pub(super) struct Bus {
    stream: UnixStream,
    heard: Vec<u8>,
    /// Calls so far.
    calls: u32,
}

/// Where a manager listens, beside the message bus.
pub(super) fn socket(runtime: &Path) -> PathBuf {
    runtime.join("systemd/private")
}

impl Bus {
    /// Greets the manager. Only its own user is let in, which the kernel vouches for.
    pub(super) async fn greet(runtime: PathBuf) -> Result<Self> {
        let stream = UnixStream::connect(socket(&runtime)).await?;
        let mut bus = Self { stream, heard: Vec::with_capacity(ROOM), calls: 0 };
        let uid = rustix::process::getuid().as_raw();
        bus.stream.write_all(&message::greeting(uid)).await?;
        loop {
            if let Some(end) = bus.heard.windows(2).position(|two| two == b"\r\n") {
                let welcome = bus.heard.starts_with(b"OK ");
                bus.heard.drain(..end + 2);
                return if welcome { Ok(bus) } else { Err(ErrorKind::PermissionDenied.into()) };
            }
            bus.hear(GREETING).await?;
        }
    }

    /// Asks for something that is work, and waits until that is over.
    pub(super) async fn work(&mut self, call: &Call<'_>) -> Result<Began> {
        self.send(call).await?;
        let (mut ours, mut over) = (None, Vec::new());
        loop {
            match self.next().await? {
                Heard::Taken(job) => ours = Some(job),
                Heard::Refused { name, why } => {
                    let taken = name == "org.freedesktop.systemd1.UnitExists";
                    return Ok(if taken { Began::NameTaken } else { Began::No(why) });
                }
                Heard::Over { job, result } => over.push((job, result)),
                Heard::Is(_) | Heard::Other => continue,
            }
            let Some(ours) = &ours else { continue };
            if let Some((_, result)) = over.drain(..).find(|(job, _)| job == ours) {
                return Ok(if result == "done" { Began::Yes } else { Began::No(String::new()) });
            }
        }
    }

    /// Says something and waits for the answer only: what it is, where something was asked. The error is also the
    /// manager's refusal.
    pub(super) async fn say(&mut self, call: &Call<'_>) -> Result<String> {
        self.send(call).await?;
        loop {
            match self.next().await? {
                Heard::Taken(said) | Heard::Is(said) => return Ok(said),
                Heard::Refused { name, why } => return Err(Error::other(format!("{why} ({name})"))),
                Heard::Over { .. } | Heard::Other => {}
            }
        }
    }

    async fn send(&mut self, call: &Call<'_>) -> Result<()> {
        self.calls += 1;
        self.stream.write_all(&call.message(self.calls)).await
    }

    async fn next(&mut self) -> Result<Heard> {
        loop {
            match message::read(&self.heard, self.calls)
                .map_err(|error| Error::new(ErrorKind::InvalidData, error))?
            {
                Some((heard, length)) => {
                    self.heard.drain(..length);
                    return Ok(heard);
                }
                None => self.hear(WAITING).await?,
            }
        }
    }

    async fn hear(&mut self, most: usize) -> Result<()> {
        if self.heard.len() >= most {
            return Err(ErrorKind::InvalidData.into());
        }
        match self.stream.read_buf(&mut self.heard).await? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }
}

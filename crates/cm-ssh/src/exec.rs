//! Running a command: its input is written while its output is read, so that neither waits for the other.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::error::{At, SshError};
use crate::limits;
use crate::pump::{Pump, Side};
use crate::wire::Wire;

/// What a command gets on its standard input.
#[derive(Debug, Clone, Default)]
pub enum Input {
    /// Nothing: its end.
    #[default]
    None,
    /// These bytes. Many hosts can share them.
    Bytes(Arc<[u8]>),
    /// These, one after the other.
    Parts(Vec<Arc<[u8]>>),
}

impl Input {
    /// The bytes of a text.
    pub fn text(text: &str) -> Self {
        Self::Bytes(text.as_bytes().into())
    }

    /// How many bytes that is.
    pub fn len(&self) -> u64 {
        match self {
            Self::None => 0,
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::Parts(parts) => parts.iter().map(|part| part.len() as u64).sum(),
        }
    }

    /// Whether it is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a command is run.
#[derive(Debug, Clone)]
pub struct Exec {
    /// What it gets on its standard input.
    pub input: Input,
    /// The longest it may take, from opening the channel to its end.
    pub deadline: Duration,
    /// How much is kept, of stdout and of stderr each, in bytes. The rest is read and dropped.
    pub limit: usize,
}

impl Exec {
    /// With the default limit of 1 MiB.
    pub const fn new(input: Input, deadline: Duration) -> Self {
        Self { input, deadline, limit: limits::OUTPUT }
    }
}

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// With this code.
    Exited(i32),
    /// By this signal, without `SIG`.
    Signal(String),
}

/// What a command left behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// Its standard output, up to the limit.
    pub stdout: Vec<u8>,
    /// Its standard error, up to the limit.
    pub stderr: Vec<u8>,
    /// There was more output than was kept.
    pub truncated: bool,
}

impl Output {
    /// Whether it exited with 0.
    pub fn ok(&self) -> bool {
        self.status == Status::Exited(0)
    }

    /// Its standard output as text, with what is no UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Its standard error as text, with what is no UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// What happens while a command runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So many bytes of its input are on their way, in all. Told every 256 KiB, and at the end.
    Sent {
        /// Since the start.
        bytes: u64,
    },
    /// It printed a line on its standard output. A line over 64 KiB comes in pieces.
    Line(String),
}

/// One command on one wire, in a blocking thread.
pub struct Run<'a> {
    at: &'a Arc<At>,
    by: Instant,
    exec: Exec,
}

impl<'a> Run<'a> {
    pub const fn new(at: &'a Arc<At>, by: Instant, exec: Exec) -> Self {
        Self { at, by, exec }
    }

    /// From opening the channel to its end.
    pub fn run(self, wire: &Wire, command: &str, on: &mut dyn FnMut(Event)) -> Result<Output, SshError> {
        let pump = self.start(wire, command)?;
        self.answer(wire, pump, on)
    }

    /// Until it has printed `mark` as a line of its own; then it still runs, and waits for its input.
    pub fn ask(self, wire: &Wire, command: &str, mark: &str) -> Result<(Output, Option<Pump>), SshError> {
        let mut pump = self.start(wire, command)?;
        let told = self.transfer(&mut pump, &mut Feed::later(), Some(mark), &mut |_| {})?;
        if !told.marked {
            return self.end(wire, pump, told).map(|output| (output, None));
        }
        // What comes of a command that has not ended is not known yet.
        Ok((told.output(Status::Exited(0)), Some(pump)))
    }

    /// Gives a command that waits its input, and goes on to its end.
    pub fn answer(self, wire: &Wire, mut pump: Pump, on: &mut dyn FnMut(Event)) -> Result<Output, SshError> {
        let mut feed = Feed::new(&self.exec.input);
        let told = self.transfer(&mut pump, &mut feed, None, on)?;
        self.end(wire, pump, told)
    }

    fn start(&self, wire: &Wire, command: &str) -> Result<Pump, SshError> {
        let mut channel = self.step(wire, "opening a channel", |session| session.channel_session())?;
        self.step(wire, "starting a command", |_| channel.exec(command))?;
        Ok(Pump::new(wire.clone(), channel))
    }

    fn end(&self, wire: &Wire, pump: Pump, told: Told) -> Result<Output, SshError> {
        let mut channel = pump.channel;
        self.step(wire, "closing a channel", |_| channel.close())?;
        self.step(wire, "closing a channel", |_| channel.wait_close())?;
        let failed = |error: ssh2::Error| SshError::of_ssh(self.at, "reading how a command ended", &error);
        let status = match channel.exit_signal().map_err(failed)?.exit_signal {
            Some(signal) => Status::Signal(signal),
            None => Status::Exited(channel.exit_status().map_err(failed)?),
        };
        Ok(told.output(status))
    }

    fn step<T>(
        &self,
        wire: &Wire,
        act: &str,
        op: impl FnMut(&mut ssh2::Session) -> Result<T, ssh2::Error>,
    ) -> Result<T, SshError> {
        wire.until(self.by, op).map_err(|error| SshError::of_wire(self.at, act, self.exec.deadline, error))
    }

    /// Moves bytes in all directions until the command has closed its outputs, or printed the line `until`.
    fn transfer(
        &self,
        pump: &mut Pump,
        feed: &mut Feed,
        until: Option<&str>,
        on: &mut dyn FnMut(Event),
    ) -> Result<Told, SshError> {
        let mut told = Told::new(self.exec.limit);
        let marked = Cell::new(false);
        let on = &mut |event| {
            if let (Event::Line(line), Some(mark)) = (&event, until) {
                marked.set(marked.get() || line.trim_end() == mark);
            }
            on(event);
        };
        let mut lines = Lines::default();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            let sent = some(feed.push(pump)).map_err(|error| self.lost(error))?;
            if sent.is_some() && feed.has_news() {
                on(Event::Sent { bytes: feed.sent });
            }
            let out = some(pump.read(Side::Out, &mut buffer)).map_err(|error| self.lost(error))?;
            if let Some(count) = out {
                told.stdout.keep(&buffer[..count]);
                lines.add(&buffer[..count], on);
                told.marked = marked.get();
                if told.marked {
                    return Ok(told);
                }
            }
            let err = some(pump.read(Side::Err, &mut buffer)).map_err(|error| self.lost(error))?;
            if let Some(count) = err {
                told.stderr.keep(&buffer[..count]);
            }
            if sent.is_none() && out.is_none() && err.is_none() {
                if pump.half().is_none() && pump.channel.eof() {
                    lines.end(on);
                    return Ok(told);
                }
                // Looking for one output may have taken in the other one's, to the last packet: then nothing
                // more comes from the socket.
                if pump.has_more() && Instant::now() < self.by {
                    continue;
                }
                pump.wire.wait(self.by).map_err(|error| {
                    SshError::of_wire(self.at, "running a command", self.exec.deadline, error)
                })?;
            } else if Instant::now() >= self.by {
                return Err(SshError::deadline(self.at, "running a command", self.exec.deadline));
            }
        }
    }

    fn lost(&self, error: io::Error) -> SshError {
        let (at, act, why) = (Arc::clone(self.at), "running a command".to_owned(), error.to_string());
        if error.kind() == io::ErrorKind::ConnectionReset {
            SshError::Lost { at, act, why }
        } else {
            SshError::Channel { at, act, why }
        }
    }
}

/// Whether an attempt moved something: `None` if it has to wait, or there is nothing to move.
fn some(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(0) => Ok(None),
        Ok(count) => Ok(Some(count)),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        Err(error) => Err(error),
    }
}

/// The input, and how far it is.
struct Feed {
    parts: Vec<Arc<[u8]>>,
    part: usize,
    offset: usize,
    sent: u64,
    told: u64,
    total: u64,
    ended: bool,
}

/// How often it is told how much was sent, in bytes.
const GRAIN: u64 = 256 * 1024;

impl Feed {
    fn new(input: &Input) -> Self {
        let parts = match input {
            Input::None => Vec::new(),
            Input::Bytes(bytes) => vec![Arc::clone(bytes)],
            Input::Parts(parts) => parts.clone(),
        };
        Self { parts, part: 0, offset: 0, sent: 0, told: 0, total: input.len(), ended: false }
    }

    /// Nothing yet, and not its end.
    const fn later() -> Self {
        Self { parts: Vec::new(), part: 0, offset: 0, sent: 0, told: 0, total: 0, ended: true }
    }

    /// Whether it is time to tell how much was sent.
    const fn has_news(&mut self) -> bool {
        let news = self.sent - self.told >= GRAIN || self.sent == self.total;
        if news {
            self.told = self.sent;
        }
        news
    }

    /// Sends the next piece; at the end, that it is the end.
    fn push(&mut self, pump: &mut Pump) -> io::Result<usize> {
        while let Some(part) = self.parts.get(self.part) {
            if self.offset < part.len() {
                let count = match pump.write(&part[self.offset..]) {
                    // The command closed its input; what it prints is still wanted.
                    Err(error) if error.kind() == io::ErrorKind::Other && pump.channel.eof() => {
                        self.part = self.parts.len();
                        self.ended = true;
                        return Ok(0);
                    }
                    written => written?,
                };
                self.offset += count;
                self.sent += count as u64;
                return Ok(count);
            }
            self.part += 1;
            self.offset = 0;
        }
        if !self.ended {
            pump.send_eof()?;
            self.ended = true;
        }
        Ok(0)
    }
}

/// What a command has printed.
struct Told {
    stdout: Kept,
    stderr: Kept,
    /// The line that was waited for has come.
    marked: bool,
}

impl Told {
    const fn new(limit: usize) -> Self {
        Self { stdout: Kept::new(limit), stderr: Kept::new(limit), marked: false }
    }

    fn output(self, status: Status) -> Output {
        let truncated = self.stdout.over || self.stderr.over;
        Output { status, stdout: self.stdout.kept, stderr: self.stderr.kept, truncated }
    }
}

/// The beginning of an output.
struct Kept {
    kept: Vec<u8>,
    limit: usize,
    over: bool,
}

impl Kept {
    const fn new(limit: usize) -> Self {
        Self { kept: Vec::new(), limit, over: false }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.limit - self.kept.len();
        self.over |= bytes.len() > room;
        self.kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }
}

/// Makes lines of what comes in pieces.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], on: &mut dyn FnMut(Event)) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            while self.begun.len() > limits::LINE {
                let rest = self.begun.split_off(limits::LINE);
                self.hand_on(on);
                self.begun = rest;
            }
            if self.begun.last() == Some(&b'\n') {
                self.begun.pop();
                self.hand_on(on);
            }
        }
    }

    fn end(&mut self, on: &mut dyn FnMut(Event)) {
        if !self.begun.is_empty() {
            self.hand_on(on);
        }
    }

    fn hand_on(&mut self, on: &mut dyn FnMut(Event)) {
        on(Event::Line(String::from_utf8_lossy(&self.begun).into_owned()));
        self.begun.clear();
    }
}

#[cfg(test)]
mod tests;

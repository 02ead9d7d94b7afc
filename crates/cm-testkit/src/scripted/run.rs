//! Plays a script on the terminal the program was started in.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::act::Act;
use super::keys::{ESCAPE, Keys};
use super::log::Entry;
use super::play::Play;
use super::script::{BadScript, Script};

/// How often files that are waited for are looked at.
const LOOK: Duration = Duration::from_millis(10);
/// How long to sleep where nothing is waited for but keys.
const IDLE: Duration = Duration::from_secs(60);

/// Why a script could not be played to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The script is not right.
    #[error(transparent)]
    Script(#[from] BadScript),
    /// The terminal, the log or a file could not be used.
    #[error("could not {act}: {source}")]
    Io {
        /// What was being done.
        act: String,
        /// What the system said.
        source: io::Error,
    },
}

/// Plays `script`, and writes what happens into the file `log`. Returns the code to end with: the script's, or 0
/// when the terminal has gone.
pub fn run(script: Script, log: Option<&Path>) -> Result<u8, RunError> {
    let log = match log {
        None => None,
        Some(path) => {
            let opened = OpenOptions::new().create(true).append(true).open(path);
            Some(opened.map_err(failed(|| format!("open the log {}", path.display())))?)
        }
    };
    let _raw = Raw::set()?;
    let began = Instant::now();
    let (play, acts) = Play::start(script, Duration::ZERO);
    let mut running = Running { play, keys: Keys::default(), log, began, escape: None };
    running.go(acts)
}

struct Running {
    play: Play,
    keys: Keys,
    log: Option<File>,
    began: Instant,
    /// When an escape came that nothing has followed yet.
    escape: Option<Duration>,
}

impl Running {
    fn go(&mut self, acts: Vec<Act>) -> Result<u8, RunError> {
        if let Some(code) = self.act(acts)? {
            return Ok(code);
        }
        loop {
            let Some(bytes) = self.wait()? else { return Ok(0) };
            let now = self.began.elapsed();
            let mut pressed = Vec::new();
            if !bytes.is_empty() {
                self.note(|t, frame| Entry::Read { t, frame, bytes: hex(&bytes) })?;
                pressed = self.keys.feed(&bytes);
                self.escape = self.keys.is_pending().then_some(now);
            } else if self.escape.is_some_and(|at| now >= at + ESCAPE) {
                self.escape = None;
                pressed = self.keys.settle();
            }
            for key in pressed {
                let acts = self.play.key(&key, now);
                if let Some(code) = self.act(acts)? {
                    return Ok(code);
                }
            }
            let there: Vec<PathBuf> = self.play.files().into_iter().filter(|path| path.exists()).collect();
            for path in there {
                let acts = self.play.file(&path, now);
                if let Some(code) = self.act(acts)? {
                    return Ok(code);
                }
            }
            let acts = self.play.tick(now);
            if let Some(code) = self.act(acts)? {
                return Ok(code);
            }
        }
    }

    /// Waits for bytes or for what is next. No bytes: time has passed. `None`: the terminal has gone.
    fn wait(&self) -> Result<Option<Vec<u8>>, RunError> {
        let now = self.began.elapsed();
        let next = [
            self.play.wake(),
            self.escape.map(|at| at + ESCAPE),
            (!self.play.files().is_empty()).then(|| now + LOOK),
        ];
        let left = next.into_iter().flatten().min().map_or(IDLE, |at| at.saturating_sub(now));
        let act = failed(|| "wait for keys".to_owned());
        let left = Timespec::try_from(left).map_err(|error| io::Error::other(error.to_string()));
        let left = left.map_err(failed(|| "wait".to_owned()))?;
        let input = stdin();
        match poll(&mut [PollFd::new(&input, PollFlags::IN)], Some(&left)) {
            Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Some(Vec::new())),
            Ok(_) => {}
            Err(error) => return Err(act(error.into())),
        }
        let mut buffer = vec![0; 64 * 1024];
        match rustix::io::read(input, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::IO) => Ok(None),
            Ok(count) => {
                buffer.truncate(count);
                Ok(Some(buffer))
            }
            Err(rustix::io::Errno::INTR) => Ok(Some(Vec::new())),
            Err(error) => Err(act(error.into())),
        }
    }

    /// Does what is to be done. `Some` code if that is to end.
    fn act(&mut self, acts: Vec<Act>) -> Result<Option<u8>, RunError> {
        for act in acts {
            match act {
                Act::Write(text) => write(text.as_bytes())?,
                Act::Drawn(name) => self.note(|t, _| Entry::Frame { t, name })?,
                Act::Key { frame, key, pasted, taken } => {
                    self.note(|t, _| Entry::Key { t, frame, key, pasted, taken })?;
                }
                Act::Line(text) => self.note(|t, _| Entry::Line { t, text })?,
                Act::Touch(path, text) => {
                    std::fs::write(&path, text).map_err(failed(|| format!("write {}", path.display())))?;
                }
                Act::Exit(code) => {
                    self.note(|t, _| Entry::End { t, code })?;
                    return Ok(Some(code));
                }
            }
        }
        Ok(None)
    }

    fn note(&mut self, entry: impl FnOnce(u64, String) -> Entry) -> Result<(), RunError> {
        let Some(log) = &mut self.log else { return Ok(()) };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let t = u64::try_from(since.as_micros()).unwrap_or(u64::MAX);
        let line = serde_json::to_string(&entry(t, self.play.name().to_owned())).map_err(io::Error::other);
        let line = line.map_err(failed(|| "write the log".to_owned()))?;
        // One write for each line: a reader never sees two of them mixed.
        log.write_all(format!("{line}\n").as_bytes()).map_err(failed(|| "write the log".to_owned()))
    }
}

fn failed(act: impl FnOnce() -> String) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { act: act(), source }
}

fn write(mut bytes: &[u8]) -> Result<(), RunError> {
    while !bytes.is_empty() {
        match rustix::io::write(stdout(), bytes) {
            Ok(count) => bytes = &bytes[count..],
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(failed(|| "draw".to_owned())(error.into())),
        }
    }
    Ok(())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The terminal in raw mode, until this is dropped. Without a terminal nothing is changed.
struct Raw(Option<Termios>);

impl Raw {
    fn set() -> Result<Self, RunError> {
        let Ok(before) = tcgetattr(stdin()) else { return Ok(Self(None)) };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)
            .map_err(|error| failed(|| "take the terminal".to_owned())(error.into()))?;
        Ok(Self(Some(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            // Where the terminal has gone there is nothing to give back.
            let _ = write(b"\x1b[?2004l\x1b[?25h");
            let _ = tcsetattr(stdin(), OptionalActions::Now, before);
        }
    }
}

//! A program in a tmux of its own, for tests that look at it directly: what it shows, and keys into it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

/// A running program. Its tmux server ends when this is dropped.
#[derive(Debug)]
pub struct Terminal {
    socket: PathBuf,
}

/// Why something with a terminal did not work.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// tmux could not be run, or said no.
    #[error("could not {act}: {why}")]
    Tmux {
        /// What was being done.
        act: String,
        /// What it said.
        why: String,
    },
    /// The screen never was what was waited for.
    #[error("waited {} s for {what}; the screen is:\n{screen}", .after.as_secs())]
    Late {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
        /// What was there instead.
        screen: String,
    },
}

/// How often the screen is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// How long tmux may take to notice an end before it is nudged.
const NUDGE: Duration = Duration::from_secs(1);

impl Terminal {
    /// Starts `argv` in `project`. The socket is made in `dir`, whose path must be short.
    pub fn start(
        dir: &Path,
        project: &Path,
        (columns, rows): (u16, u16),
        argv: &[OsString],
    ) -> Result<Self, TerminalError> {
        let terminal = Self { socket: dir.join("t.sock") };
        let (columns, rows) = (columns.to_string(), rows.to_string());
        let mut command = terminal.tmux();
        // The pane stays when the program has ended, so that its last words and its code can be read.
        command.args([
            "-f",
            "/dev/null",
            "start-server",
            ";",
            "set-option",
            "-g",
            "remain-on-exit",
            "on",
            ";",
        ]);
        command.args(["set-option", "-g", "history-limit", "20000", ";"]);
        // A test that is killed drops nothing: its server ends with it all the same.
        let socket = terminal.socket.display().to_string().replace('\'', r"'\''");
        command.args(["run-shell", "-b"]).arg(format!(
            "while kill -0 {} 2>/dev/null; do sleep 1; done; tmux -S '{socket}' kill-server",
            std::process::id()
        ));
        command.arg(";");
        command
            .args(["new-session", "-d", "-x", &columns, "-y", &rows, "-c"])
            .arg(project)
            .arg("--")
            .args(argv);
        said("start a terminal", command)?;
        Ok(terminal)
    }

    /// Presses keys, by tmux's names for them.
    pub fn press(&self, keys: &[&str]) -> Result<(), TerminalError> {
        let mut command = self.tmux();
        command.arg("send-keys").args(keys);
        said("press keys", command).map(drop)
    }

    /// Types text as it is.
    pub fn type_text(&self, text: &str) -> Result<(), TerminalError> {
        let mut command = self.tmux();
        command.args(["send-keys", "-l", "--", text]);
        said("type", command).map(drop)
    }

    /// Pastes text as a terminal does, in brackets if the program has asked for them.
    pub fn paste(&self, text: &str) -> Result<(), TerminalError> {
        let mut command = self.tmux();
        command.args(["set-buffer", "--", text, ";", "paste-buffer", "-p", "-d"]);
        said("paste", command).map(drop)
    }

    /// What it shows.
    pub fn screen(&self) -> Result<String, TerminalError> {
        let mut command = self.tmux();
        command.args(["capture-pane", "-p"]);
        said("read the screen", command)
    }

    /// What it shows, with colours as escape sequences.
    pub fn painted(&self) -> Result<String, TerminalError> {
        let mut command = self.tmux();
        command.args(["capture-pane", "-p", "-e"]);
        said("read the screen", command)
    }

    /// A format of tmux's, filled in: `#{pane_title}`, `#{cursor_x}`, `#{alternate_on}`.
    pub fn ask(&self, format: &str) -> Result<String, TerminalError> {
        let mut command = self.tmux();
        command.args(["display-message", "-p", format]);
        said("ask tmux", command).map(|answer| answer.trim_end_matches('\n').to_owned())
    }

    /// Copies what it prints from now on into a file, byte for byte.
    pub fn pipe(&self, file: &Path) -> Result<(), TerminalError> {
        let mut command = self.tmux();
        let quoted = file.display().to_string().replace('\'', r"'\''");
        command.args(["pipe-pane", "-O"]).arg(format!("exec cat > '{quoted}'"));
        said("copy the output", command).map(drop)
    }

    /// Its exit code, once it has ended; -1 if a signal ended it.
    pub fn ended(&self) -> Result<Option<i32>, TerminalError> {
        let answer = self.ask("#{pane_dead} #{pane_dead_status},#{pane_dead_signal}")?;
        // For a moment it is known that it has ended, and not how.
        let how = answer.strip_prefix("1 ").filter(|how| *how != ",");
        Ok(how.map(|how| how.trim_end_matches(',').parse().unwrap_or(-1)))
    }

    /// Waits until the screen is as wanted, and returns it.
    pub fn until(
        &self,
        what: &str,
        patience: Duration,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<String, TerminalError> {
        let began = Instant::now();
        loop {
            let screen = self.screen()?;
            if wanted(&screen) {
                return Ok(screen);
            }
            if began.elapsed() > patience {
                return Err(TerminalError::Late { what: what.to_owned(), after: patience, screen });
            }
            thread::sleep(LOOK);
        }
    }

    /// Waits until the screen shows a text.
    pub fn shows(&self, text: &str, patience: Duration) -> Result<String, TerminalError> {
        self.until(&format!("{text:?}"), patience, |screen| screen.contains(text))
    }

    /// Waits until the program has ended, and returns its code.
    pub fn end(&self, patience: Duration) -> Result<i32, TerminalError> {
        let began = Instant::now();
        let mut nudged = began;
        loop {
            if let Some(code) = self.ended()? {
                return Ok(code);
            }
            if nudged.elapsed() > NUDGE {
                nudged = Instant::now();
                self.nudge()?;
            }
            if began.elapsed() > patience {
                let (what, screen) = ("the program's end".to_owned(), self.screen()?);
                return Err(TerminalError::Late { what, after: patience, screen });
            }
            thread::sleep(LOOK);
        }
    }

    /// Has the server look after its children: tmux 3.3a now and then misses that one has ended.
    fn nudge(&self) -> Result<(), TerminalError> {
        let pid = self.ask("#{pid}")?.parse().ok().and_then(rustix::process::Pid::from_raw);
        // One that has ended meanwhile needs no nudge.
        let _ = pid.map(|pid| rustix::process::kill_process(pid, rustix::process::Signal::CHILD));
        Ok(())
    }

    fn tmux(&self) -> Command {
        let mut command = Command::new("tmux");
        // A test may itself run inside of tmux, which must not be mistaken for this one.
        command.env_remove("TMUX").env_remove("TMUX_PANE").arg("-S").arg(&self.socket);
        command
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let mut command = self.tmux();
        // Fails where the server has ended already.
        let _ = command.args(["-N", "kill-server"]).output();
    }
}

fn said(act: &str, mut command: Command) -> Result<String, TerminalError> {
    let failed = |why: String| TerminalError::Tmux { act: act.to_owned(), why };
    let Output { status, stdout, stderr } = command.output().map_err(|error| failed(error.to_string()))?;
    if !status.success() {
        return Err(failed(String::from_utf8_lossy(&stderr).trim().to_owned()));
    }
    Ok(String::from_utf8_lossy(&stdout).into_owned())
}

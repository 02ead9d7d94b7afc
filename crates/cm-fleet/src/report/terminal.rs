//! What kind of place standard output and standard error are.

use std::io::IsTerminal;

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

use super::paint::{ColourFacts, Paint};

/// Columns of the terminal behind standard output, else standard error; none where neither is one.
pub fn columns() -> Option<usize> {
    size().map(|(columns, _)| columns)
}

/// Rows of the same terminal.
pub fn rows() -> Option<usize> {
    size().map(|(_, rows)| rows)
}

fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(std::io::stdout()).or_else(|_| tcgetwinsize(std::io::stderr())).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then(|| (usize::from(size.ws_col), usize::from(size.ws_row)))
}

/// Columns of the terminal behind standard output alone: tables are cut for a person, never for a pipe.
pub fn stdout_columns() -> Option<usize> {
    std::io::stdout().is_terminal().then(columns).flatten()
}

/// Whether bars can be drawn: standard error is a terminal that can move its cursor, and this is no CI.
pub fn can_draw() -> bool {
    let ci = std::env::var("CI").is_ok_and(|ci| !ci.is_empty() && ci != "false" && ci != "0");
    std::io::stderr().is_terminal() && std::env::var("TERM").is_ok_and(|term| term != "dumb") && !ci
}

/// As long as it lives, the terminal does not write `^C` for a key: the bars, which fill the last row to its
/// end, would move by a row. Only in the foreground: a job in the background that touches the terminal is
/// stopped.
pub struct SilentKeys {
    before: Option<Termios>,
}

impl SilentKeys {
    /// Of the terminal behind standard error, where there is one.
    pub fn new() -> Self {
        let before = in_foreground().then(|| tcgetattr(std::io::stderr()).ok()).flatten();
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHOCTL);
            // A row too many on the screen is all that comes of a failure.
            let _ = tcsetattr(std::io::stderr(), OptionalActions::Now, &silent);
        }
        Self { before }
    }
}

impl Default for SilentKeys {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for SilentKeys {
    fn drop(&mut self) {
        if let Some(before) = self.before.as_ref().filter(|_| in_foreground()) {
            let _ = tcsetattr(std::io::stderr(), OptionalActions::Now, before);
        }
    }
}

fn in_foreground() -> bool {
    tcgetpgrp(std::io::stderr()).is_ok_and(|group| group == rustix::process::getpgrp())
}

/// Colour for standard output.
pub fn paint_stdout() -> Paint {
    paint(std::io::stdout().is_terminal())
}

fn paint(terminal: bool) -> Paint {
    let var = |name| std::env::var(name).ok();
    let (no_color, clicolor, force, term) =
        (var("NO_COLOR"), var("CLICOLOR"), var("CLICOLOR_FORCE"), var("TERM"));
    Paint::decide(ColourFacts {
        no_color: no_color.as_deref(),
        clicolor: clicolor.as_deref(),
        force: force.as_deref(),
        term: term.as_deref(),
        terminal,
    })
}

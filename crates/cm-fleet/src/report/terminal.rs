//! What kind of place standard output and standard error are.

use std::io::IsTerminal;

use rustix::termios::tcgetwinsize;

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

//! PURE: tmux commands as single lines, with any bytes quoted as one argument.

use super::control::PaneId;
use super::status::STATUS_FORMAT;

/// The session's name on its server.
pub const SESSION: &str = "main";
/// The pane the tool runs in: the first pane of a fresh server is always number 0, and pane numbers are never
/// reused, so this can name no other (a person may split the window).
pub const PANE: PaneId = PaneId(0);
/// The buffer that pastes go through.
const PASTE_BUFFER: &str = "cm-paste";

/// Quotes bytes as one argument of a line of tmux commands or configuration.
///
/// Everything but plain letters is written as `\ooo` inside double quotes. So none of the lexer's rules
/// (`$`, `~`, `;`, `#`, braces, `%if`, a newline, bytes over 127, which some versions read as negative) apply.
///
/// A NUL cannot be an argument of anything; callers have refused it. It is left out here.
pub fn quote(bytes: &[u8], line: &mut Vec<u8>) {
    line.push(b'"');
    for &byte in bytes {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b' ' => line.push(byte),
            b'_' | b'.' | b'/' | b':' | b'=' | b',' | b'@' | b'+' | b'-' | b'%' | b'|' => line.push(byte),
            0 => {}
            _ => {
                let octal = [b'\\', b'0' + (byte >> 6), b'0' + ((byte >> 3) & 7), b'0' + (byte & 7)];
                line.extend_from_slice(&octal);
            }
        }
    }
    line.push(b'"');
}

/// One command: exactly one line, so that it has exactly one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    line: Vec<u8>,
}

impl Command {
    /// A command by its name, which is the caller's own text.
    pub fn new(name: &'static str) -> Self {
        Self { line: name.as_bytes().to_vec() }
    }

    /// A command with the tool's pane as its target.
    pub fn on_pane(name: &'static str) -> Self {
        let mut command = Self::new(name);
        command.line.extend_from_slice(b" -t");
        command.arg(PANE.to_string())
    }

    /// The command with one more argument, quoted.
    #[must_use]
    pub fn arg(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.line.push(b' ');
        quote(bytes.as_ref(), &mut self.line);
        self
    }

    /// The line, without its newline.
    pub fn line(&self) -> &[u8] {
        &self.line
    }

    /// Everything we want to know of the pane; [`super::status::PaneStatus::parse`] reads the answer.
    pub fn inspect() -> Self {
        Self::on_pane("display-message").arg("-p").arg(STATUS_FORMAT)
    }

    /// What stands on the pane.
    pub fn capture(what: Capture) -> Self {
        let mut command = Self::on_pane("capture-pane").arg("-p");
        if what.escapes {
            command = command.arg("-e");
        }
        if what.join {
            command = command.arg("-J");
        }
        match what.range {
            Range::Screen => command,
            Range::All => command.arg("-S").arg("-"),
            Range::Lines { from, to } => {
                command.arg("-S").arg(from.to_string()).arg("-E").arg(to.to_string())
            }
        }
    }

    /// Fills the paste buffer.
    pub fn fill(text: &[u8]) -> Self {
        Self::new("set-buffer").arg("-b").arg(PASTE_BUFFER).arg("--").arg(text)
    }

    /// Pastes the buffer and deletes it: newlines as the Return key, between the marks of a bracketed paste
    /// where the program asked for them.
    pub fn paste() -> Self {
        Self::on_pane("paste-buffer").arg("-p").arg("-d").arg("-b").arg(PASTE_BUFFER)
    }

    /// Leaves copy mode and any other mode; nothing happens where there is none.
    pub fn leave_modes() -> Self {
        Self::on_pane("copy-mode").arg("-q")
    }

    /// Stops sending a pane's output to this client. tmux goes on reading it.
    pub fn pause(pane: PaneId) -> Self {
        Self::new("refresh-client").arg("-A").arg(format!("{pane}:pause"))
    }

    /// Sends a pane's output again, from now on.
    pub fn resume(pane: PaneId) -> Self {
        Self::new("refresh-client").arg("-A").arg(format!("{pane}:continue"))
    }

    /// The window's size in cells.
    pub fn resize(cols: u16, rows: u16) -> Self {
        Self::on_pane("resize-window").arg("-x").arg(cols.to_string()).arg("-y").arg(rows.to_string())
    }

    /// Lets an attached person's terminal size the window again: `resize-window` fixes the size for good.
    pub fn unfix_size() -> Self {
        Self::on_pane("set-option").arg("-w").arg("-u").arg("window-size")
    }

    /// A variable for programs started later on this server.
    pub fn set_environment(name: &str, value: &[u8]) -> Self {
        Self::new("set-environment").arg("-g").arg("--").arg(name).arg(value)
    }

    /// Ends the server; what runs in it gets a hang-up.
    pub fn kill_server() -> Self {
        Self::new("kill-server")
    }
}

/// What to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Capture {
    /// Which lines.
    pub range: Range,
    /// With colours and attributes as escape sequences.
    pub escapes: bool,
    /// With wrapped lines joined (and trailing spaces kept).
    pub join: bool,
}

/// Which lines to capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Range {
    /// What is visible.
    #[default]
    Screen,
    /// The whole history and what is visible.
    All,
    /// From one line to another: 0 is the first visible one, −1 the newest of the history.
    Lines {
        /// The first.
        from: i64,
        /// The last, included.
        to: i64,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(bytes: &[u8], expected: &str) {
        let mut line = Vec::new();
        quote(bytes, &mut line);
        assert_eq!(String::from_utf8(line).expect("ASCII"), expected);
    }

    #[test]
    fn quoting_leaves_nothing_to_interpret() {
        check(b"", r#""""#);
        check(b"plain text-1_2.3/4:5=6,7@8+9%", r#""plain text-1_2.3/4:5=6,7@8+9%""#);
        check(b"\"'\\", r#""\042\047\134""#);
        check(b"$HOME ~ ; # { } *", r#""\044HOME \176 \073 \043 \173 \175 \052""#);
        check(b"\n\t\x1b\x7f\xff", r#""\012\011\033\177\377""#);
        check("é😀".as_bytes(), r#""\303\251\360\237\230\200""#);
        check(b"a\0b", r#""ab""#);
    }

    proptest::proptest! {
        /// Whatever goes in: one line, printable ASCII, and an octal reader gives the bytes back.
        #[test]
        fn any_bytes_survive(bytes in proptest::collection::vec(1u8..=255, 0..200)) {
            let mut line = Vec::new();
            quote(&bytes, &mut line);
            proptest::prop_assert!(line.iter().all(|b| (b' '..=b'~').contains(b)));
            let inner = &line[1..line.len() - 1];
            proptest::prop_assert!(!inner.contains(&b'"'));
            proptest::prop_assert_eq!(crate::tmux::control::decode(inner), bytes);
        }
    }

    fn line(command: Command) -> String {
        String::from_utf8(command.line().to_vec()).expect("ASCII")
    }

    #[test]
    fn the_commands_in_use() {
        let capture = |range, escapes, join| line(Command::capture(Capture { range, escapes, join }));
        assert_eq!(capture(Range::Screen, false, false), r#"capture-pane -t "%0" "-p""#);
        assert_eq!(capture(Range::All, true, true), r#"capture-pane -t "%0" "-p" "-e" "-J" "-S" "-""#);
        assert_eq!(
            capture(Range::Lines { from: -5, to: 3 }, false, false),
            r#"capture-pane -t "%0" "-p" "-S" "-5" "-E" "3""#
        );
        assert_eq!(line(Command::fill(b"-a\nb")), r#"set-buffer "-b" "cm-paste" "--" "-a\012b""#);
        assert_eq!(line(Command::paste()), r#"paste-buffer -t "%0" "-p" "-d" "-b" "cm-paste""#);
        assert_eq!(line(Command::pause(PaneId(3))), r#"refresh-client "-A" "%3:pause""#);
        assert_eq!(line(Command::resume(PANE)), r#"refresh-client "-A" "%0:continue""#);
        assert_eq!(line(Command::resize(80, 24)), r#"resize-window -t "%0" "-x" "80" "-y" "24""#);
        assert_eq!(line(Command::set_environment("A", b"b c")), r#"set-environment "-g" "--" "A" "b c""#);
    }
}

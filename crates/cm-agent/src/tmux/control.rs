//! PURE: the control-mode stream, parsed incrementally and with bounded memory.
//!
//! The stream is lines. Outside of a block every line begins with `%`; a command's answer stands between
//! `%begin T N F` and `%end T N F` or `%error T N F` with the same three numbers, and no notice is ever put
//! inside. A program in the pane can print such lines itself, but it reaches us only inside a capture's
//! block: were it to guess all three numbers, the real `%end` would arrive outside of any block and come out
//! as [`Notice::Stray`], which the owner of the stream takes for the loss of step that it is.

/// The longest line taken, in bytes.
pub const MAX_LINE: usize = 16 << 20;
/// The longest body of an answer taken, in bytes.
pub const MAX_BODY: usize = 16 << 20;
/// Buffers larger than this are given back after use: a quiet session holds little.
const KEEP_CAPACITY: usize = 16 << 10;

/// A pane's number, the `0` of `%0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PaneId(pub u32);

impl std::fmt::Display for PaneId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "%{}", self.0)
    }
}

/// Whether the bytes a pane prints are kept, or only counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OutputMode {
    /// Counted: nothing is copied, however much is printed.
    #[default]
    Count,
    /// Decoded and handed over.
    Keep,
}

/// The answer to one command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The server's number for the command, growing.
    pub number: u64,
    /// Bit 0: the command was written by this client (and not run by a hook or at start).
    pub flags: u32,
    /// `%end` (true) or `%error`.
    pub ok: bool,
    /// What was answered; each line ends in a newline.
    pub body: Vec<u8>,
}

/// What the stream said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A pane printed something (`%output`, `%extended-output`).
    Output {
        /// Which one.
        pane: PaneId,
        /// How many bytes, decoded.
        bytes: u64,
        /// The bytes, where they are kept ([`OutputMode::Keep`]); shorter than `bytes` where some were let go.
        data: Vec<u8>,
    },
    /// A command was answered. Never seen by a session: answers go to who asked.
    Reply(Reply),
    /// Output of the pane is no longer sent.
    Pause(PaneId),
    /// Output of the pane is sent again.
    Continue(PaneId),
    /// A window has another name. The launch configuration makes this of a program's end.
    WindowRenamed {
        /// The window, e.g. `@0`.
        window: String,
        /// Its new name.
        name: String,
    },
    /// This client is attached to a session (again).
    SessionChanged {
        /// The session, e.g. `$0`.
        session: String,
        /// Its name.
        name: String,
    },
    /// Another client changed its session: somebody attached or moved.
    ClientSessionChanged {
        /// The other client.
        client: String,
    },
    /// Another client left.
    ClientDetached {
        /// The other client.
        client: String,
    },
    /// Sessions came or went.
    SessionsChanged,
    /// A pane entered or left copy mode.
    PaneModeChanged(PaneId),
    /// Panes have other sizes.
    LayoutChange {
        /// The window, e.g. `@0`.
        window: String,
    },
    /// The client ends; nothing follows.
    Exit {
        /// Why, where it was said.
        reason: Option<String>,
    },
    /// A line that belongs nowhere: a message of tmux itself while starting, else the sign of a lost step.
    Stray(String),
    /// A notice we have no use for.
    Other(String),
}

/// The stream cannot be followed any further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// A line over [`MAX_LINE`].
    #[error("a line of the control stream is over {MAX_LINE} bytes")]
    LineTooLong,
    /// An answer over [`MAX_BODY`].
    #[error("an answer of tmux is over {MAX_BODY} bytes; ask for fewer lines")]
    BodyTooLong,
}

/// An answer being received.
#[derive(Debug)]
struct Block {
    /// `T N F` as it stood after `%begin`.
    mark: Vec<u8>,
    number: u64,
    flags: u32,
    body: Vec<u8>,
}

/// What the current, unfinished line is.
#[derive(Debug)]
enum Partial {
    /// Collected until its end.
    Line(Vec<u8>),
    /// Output that is only counted.
    Counting { pane: PaneId, encoded: u64, escapes: u64 },
}

/// The parser: bytes in any portions go in, notices come out.
#[derive(Debug)]
pub struct ControlParser {
    mode: OutputMode,
    partial: Partial,
    block: Option<Block>,
    max_line: usize,
    max_body: usize,
}

impl Default for ControlParser {
    fn default() -> Self {
        Self::new()
    }
}

impl ControlParser {
    /// A parser that counts output.
    pub fn new() -> Self {
        Self::with_limits(MAX_LINE, MAX_BODY)
    }

    /// A parser with limits of its own, in bytes.
    pub fn with_limits(max_line: usize, max_body: usize) -> Self {
        let partial = Partial::Line(Vec::new());
        Self { mode: OutputMode::Count, partial, block: None, max_line, max_body }
    }

    /// Whether output is counted or kept, from the next line on.
    pub fn set_mode(&mut self, mode: OutputMode) {
        self.mode = mode;
    }

    /// Takes the next bytes and appends what they complete to `notices`.
    ///
    /// # Errors
    /// A line or a body is over its limit. The parser must not be used any further.
    pub fn push(&mut self, mut bytes: &[u8], notices: &mut Vec<Notice>) -> Result<(), ControlError> {
        while !bytes.is_empty() {
            let (part, rest, ends) = match bytes.iter().position(|&b| b == b'\n') {
                Some(at) => (&bytes[..at], &bytes[at + 1..], true),
                None => (bytes, &bytes[..0], false),
            };
            self.take(part, ends, notices)?;
            bytes = rest;
        }
        Ok(())
    }

    /// Takes a part of a line, which may be its last one.
    fn take(&mut self, part: &[u8], ends: bool, notices: &mut Vec<Notice>) -> Result<(), ControlError> {
        match &mut self.partial {
            Partial::Counting { pane, encoded, escapes } => {
                // Not decoded lengths: a part may end within an escape.
                *encoded += part.len() as u64;
                *escapes += count_escapes(part);
                if ends {
                    let bytes = encoded.saturating_sub(3 * *escapes);
                    notices.push(Notice::Output { pane: *pane, bytes, data: Vec::new() });
                    self.partial = Partial::Line(Vec::new());
                }
                Ok(())
            }
            Partial::Line(line) if line.len() + part.len() > self.max_line => Err(ControlError::LineTooLong),
            // The usual case: a whole line, read where it stands.
            Partial::Line(line) if ends && line.is_empty() => self.line(part, notices),
            Partial::Line(line) => {
                line.extend_from_slice(part);
                if ends {
                    let mut line = std::mem::take(line);
                    self.line(&line, notices)?;
                    line.clear();
                    line.shrink_to(KEEP_CAPACITY);
                    self.partial = Partial::Line(line);
                } else if self.mode == OutputMode::Count && self.block.is_none() {
                    // However long it gets, it need not be collected.
                    if let Some((pane, data)) = output(line) {
                        let (encoded, escapes) = (data.len() as u64, count_escapes(data));
                        self.partial = Partial::Counting { pane, encoded, escapes };
                    }
                }
                Ok(())
            }
        }
    }

    /// A whole line.
    fn line(&mut self, line: &[u8], notices: &mut Vec<Notice>) -> Result<(), ControlError> {
        if let Some(block) = &mut self.block {
            let ok = match line.split_once_space() {
                (b"%end", mark) if mark == block.mark => true,
                (b"%error", mark) if mark == block.mark => false,
                _ if block.body.len() + line.len() >= self.max_body => return Err(ControlError::BodyTooLong),
                _ => {
                    block.body.extend_from_slice(line);
                    block.body.push(b'\n');
                    return Ok(());
                }
            };
            if let Some(Block { number, flags, body, .. }) = self.block.take() {
                notices.push(Notice::Reply(Reply { number, flags, ok, body }));
            }
            return Ok(());
        }
        if let Some((pane, data)) = output(line) {
            let bytes = decoded_len(data);
            let data = if self.mode == OutputMode::Keep { decode(data) } else { Vec::new() };
            notices.push(Notice::Output { pane, bytes, data });
            return Ok(());
        }
        if let (b"%begin", mark) = line.split_once_space()
            && let Some((number, flags)) = read_mark(mark)
        {
            self.block = Some(Block { mark: mark.to_vec(), number, flags, body: Vec::new() });
            return Ok(());
        }
        notices.push(notice(&String::from_utf8_lossy(line)));
        Ok(())
    }
}

/// The number and the flags of `T N F`.
fn read_mark(mark: &[u8]) -> Option<(u64, u32)> {
    let mut words = std::str::from_utf8(mark).ok()?.split(' ');
    let _time: u64 = words.next()?.parse().ok()?;
    let number = words.next()?.parse().ok()?;
    let flags = words.next()?.parse().ok()?;
    words.next().is_none().then_some((number, flags))
}

/// A notice that is no output and no block.
fn notice(line: &str) -> Notice {
    let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
    let (first, tail) = rest.split_once(' ').unwrap_or((rest, ""));
    let pane = || first.strip_prefix('%').and_then(|n| n.parse().ok()).map(PaneId);
    let first = || first.to_owned();
    match word {
        "%pause" => pane().map(Notice::Pause),
        "%continue" => pane().map(Notice::Continue),
        "%pane-mode-changed" => pane().map(Notice::PaneModeChanged),
        "%window-renamed" => Some(Notice::WindowRenamed { window: first(), name: tail.to_owned() }),
        "%session-changed" => Some(Notice::SessionChanged { session: first(), name: tail.to_owned() }),
        "%client-session-changed" => Some(Notice::ClientSessionChanged { client: first() }),
        "%client-detached" => Some(Notice::ClientDetached { client: first() }),
        "%sessions-changed" => Some(Notice::SessionsChanged),
        "%layout-change" => Some(Notice::LayoutChange { window: first() }),
        "%exit" => Some(Notice::Exit { reason: (!rest.is_empty()).then(|| rest.to_owned()) }),
        "%end" | "%error" => Some(Notice::Stray(line.to_owned())),
        _ if !word.starts_with('%') => Some(Notice::Stray(line.to_owned())),
        _ => None,
    }
    .unwrap_or_else(|| Notice::Other(line.to_owned()))
}

/// The pane and the encoded bytes of a line that is, or begins as, output.
///
/// `%output %0 DATA`, and with `pause-after` set `%extended-output %0 AGE … : DATA`, where what may stand
/// between the age and the colon is kept free by tmux for later.
fn output(line: &[u8]) -> Option<(PaneId, &[u8])> {
    let (word, rest) = line.split_once_space();
    let extended = match word {
        b"%output" => false,
        b"%extended-output" => true,
        _ => return None,
    };
    let at = rest.iter().position(|&b| b == b' ')?;
    let pane = std::str::from_utf8(&rest[..at]).ok()?.strip_prefix('%')?.parse().ok().map(PaneId)?;
    let rest = &rest[at + 1..];
    if !extended {
        return Some((pane, rest));
    }
    let colon = rest.windows(3).position(|w| w == b" : ")?;
    Some((pane, &rest[colon + 3..]))
}

/// How many bytes an encoded text stands for: each escape is four bytes for one, and a backslash itself is
/// always escaped.
fn decoded_len(data: &[u8]) -> u64 {
    (data.len() as u64).saturating_sub(3 * count_escapes(data))
}

fn count_escapes(data: &[u8]) -> u64 {
    data.iter().filter(|&&b| b == b'\\').count() as u64
}

/// Undoes tmux's encoding of output: `\ooo` is a byte, everything else stands for itself.
pub fn decode(data: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(data.len());
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&b| b == b'\\') {
        decoded.extend_from_slice(&rest[..at]);
        match rest[at + 1..] {
            [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
                decoded.push(((a - b'0') << 6) | ((b - b'0') << 3) | (c - b'0'));
                rest = &rest[at + 4..];
            }
            _ => {
                decoded.push(b'\\');
                rest = &rest[at + 1..];
            }
        }
    }
    decoded.extend_from_slice(rest);
    decoded
}

/// Encodes bytes as tmux does for output: controls and the backslash as `\ooo`.
pub fn encode(data: &[u8]) -> Vec<u8> {
    let mut encoded = Vec::with_capacity(data.len());
    for &byte in data {
        match byte {
            0..=0x1f | b'\\' => encoded.extend_from_slice(format!("\\{byte:03o}").as_bytes()),
            _ => encoded.push(byte),
        }
    }
    encoded
}

/// The first word of a line.
trait FirstWord {
    /// What stands before and after the first space.
    fn split_once_space(&self) -> (&[u8], &[u8]);
}

impl FirstWord for [u8] {
    fn split_once_space(&self) -> (&[u8], &[u8]) {
        // The words of the stream are short: a long line of a body is not searched.
        match self.iter().take(32).position(|&b| b == b' ') {
            Some(at) => (&self[..at], &self[at + 1..]),
            None => (self, &[]),
        }
    }
}

#[cfg(test)]
mod tests;

//! Program status (OSC 7501) in a tool's output: read, answered, and passed on as a window's name (PURE).
//!
//! A tool that reports its status writes `ESC ] 7501 ; state=working : app=… ST` among its output; some ask
//! first (`ESC ] 7501 ; ? ST`) and stay silent unless they are answered. tmux knows nothing of it. What tmux
//! knows is `ESC k NAME ESC \`, a window's name, which it tells control clients at once, in order with the
//! output and also while output is paused, and which a later agent still finds. So each report is replaced by
//! such a name. A tool's own names are dropped: nobody else may speak through this one.
//!
//! The scanner takes a byte for the beginning of a sequence exactly where tmux (3.3 to 3.6, `input.c`) would.

use std::time::Duration;

mod status;

pub use status::{Blocked, Report, Status, Told};

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;
/// The one-byte "string terminator"; in UTF-8 text the same byte is a part of characters.
const C1_ST: u8 = 0x9c;

/// What follows the escape of a sequence that is ours.
const NUMBER: &[u8] = b"]7501;";
/// What asks whether anybody listens.
const QUESTION: &[u8] = b"?";
/// What tells that somebody does.
const ANSWER: &[u8] = b"\x1b]7501;?;1\x1b\\";
/// The longest report, in bytes. A longer one is none: it is passed on.
const LONGEST: usize = 16 * 1024;
/// After so long tmux gives up on a string that does not end.
const STRING: Duration = Duration::from_secs(5);

/// Reads a tool's output as it comes, in pieces of any size.
#[derive(Debug, Default)]
pub struct Scanner {
    at: At,
    /// Seen, and not passed on yet: what may become a sequence of ours, from its escape on.
    held: Vec<u8>,
    /// An escape right before the one that is held has been passed on.
    doubled: bool,
    /// When the string that is being dropped or skipped began.
    since: Duration,
    /// What has been reported so far.
    told: Option<Told>,
}

/// Where in the output we are. Strings other than these (OSC, APC …) need no states: like plain text, they
/// cannot hide an escape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum At {
    #[default]
    Text,
    /// Behind an escape, which is held.
    Escape,
    /// Behind an escape that has been passed on, and bytes that tmux does not count.
    EscapeTold,
    /// In what begins like a sequence of ours; `more`: bytes that are missing of a UTF-8 character.
    Ours { more: u8 },
    /// Behind an escape in there: its end, or not ours after all.
    OursEscape,
    /// In a name the tool gives its window.
    Name,
    /// Behind an escape in there.
    NameEscape,
    /// In a device control string: its head, in the same stages as tmux knows, …
    Device(Stage),
    /// … its body, in which an escape is data, …
    DeviceBody,
    /// … unless it is the end.
    DeviceEscape,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Enter,
    Parameter,
    Intermediate,
}

impl Scanner {
    /// Takes output of the tool. `screen` gets what the terminal is to be given, `tool` what the tool is to be
    /// answered; both are appended to. `now` counts from any fixed point.
    pub fn feed(&mut self, now: Duration, mut bytes: &[u8], screen: &mut Vec<u8>, tool: &mut Vec<u8>) {
        let in_string =
            matches!(self.at, At::Name | At::NameEscape | At::Device(_) | At::DeviceBody | At::DeviceEscape);
        if in_string && now.saturating_sub(self.since) >= STRING {
            self.at = At::Text;
        }
        while let Some((&byte, rest)) = bytes.split_first() {
            // Whatever has no escape in it is passed on, or dropped, in one piece.
            if matches!(self.at, At::Text | At::DeviceBody) {
                let plain = bytes.iter().position(|&b| b == ESC).unwrap_or(bytes.len());
                screen.extend_from_slice(&bytes[..plain]);
                bytes = &bytes[plain..];
                if let Some((_, rest)) = bytes.split_first() {
                    self.escape(screen);
                    bytes = rest;
                }
                continue;
            }
            if self.step(now, byte, screen, tool) {
                bytes = rest;
            }
        }
    }

    /// The tool has ended: what is still held was not ours.
    pub fn finish(&mut self, screen: &mut Vec<u8>) {
        if self.at == At::OursEscape {
            self.held.push(ESC);
        }
        self.pass(screen);
    }

    /// An escape in text or in a device control string.
    fn escape(&mut self, screen: &mut Vec<u8>) {
        if self.at == At::DeviceBody {
            screen.push(ESC);
            self.at = At::DeviceEscape;
        } else {
            self.held.push(ESC);
            self.at = At::Escape;
        }
    }

    /// Takes one byte. `false`: only the state has changed, the byte is still to be taken.
    fn step(&mut self, now: Duration, byte: u8, screen: &mut Vec<u8>, tool: &mut Vec<u8>) -> bool {
        match self.at {
            At::Text | At::DeviceBody => false,
            At::Escape => {
                self.after_escape(now, byte, screen);
                true
            }
            At::EscapeTold => {
                self.after_told_escape(now, byte, screen);
                true
            }
            At::Ours { more } => self.ours(byte, more, screen, tool),
            At::OursEscape if byte == b'\\' => {
                self.complete(b"\x1b\\", screen, tool);
                true
            }
            At::OursEscape => {
                self.pass(screen);
                self.held.push(ESC);
                self.at = At::Escape;
                false
            }
            At::Name => {
                match byte {
                    ESC => self.at = At::NameEscape,
                    CAN | SUB => self.at = At::Text,
                    _ => {}
                }
                true
            }
            At::NameEscape if byte == b'\\' => {
                self.at = At::Text;
                true
            }
            At::NameEscape => {
                self.held.push(ESC);
                self.at = At::Escape;
                false
            }
            At::Device(stage) => self.device(byte, stage, screen),
            At::DeviceEscape => {
                screen.push(byte);
                self.at = if byte == b'\\' { At::Text } else { At::DeviceBody };
                true
            }
        }
    }

    fn after_escape(&mut self, now: Duration, byte: u8, screen: &mut Vec<u8>) {
        let doubled = std::mem::take(&mut self.doubled);
        match byte {
            b']' => {
                self.held.push(byte);
                self.at = At::Ours { more: 0 };
                return;
            }
            b'k' => {
                self.held.clear();
                if doubled {
                    // The escape before it must not take what follows the name for its own.
                    screen.push(CAN);
                }
                (self.at, self.since) = (At::Name, now);
                return;
            }
            ESC => {
                screen.push(ESC);
                self.doubled = true;
                return;
            }
            b'P' => (self.at, self.since) = (At::Device(Stage::Enter), now),
            _ if waits_on(byte) => self.at = At::EscapeTold,
            _ => self.at = At::Text,
        }
        screen.append(&mut self.held);
        screen.push(byte);
    }

    fn after_told_escape(&mut self, now: Duration, byte: u8, screen: &mut Vec<u8>) {
        match byte {
            b'k' => {
                // The escape has been told already: this takes it back.
                screen.push(CAN);
                (self.at, self.since) = (At::Name, now);
                return;
            }
            ESC => {
                self.held.push(ESC);
                self.at = At::Escape;
                return;
            }
            b'P' => (self.at, self.since) = (At::Device(Stage::Enter), now),
            _ if waits_on(byte) => {}
            // Of ours, too: nobody writes them like that.
            _ => self.at = At::Text,
        }
        screen.push(byte);
    }

    fn ours(&mut self, byte: u8, more: u8, screen: &mut Vec<u8>, tool: &mut Vec<u8>) -> bool {
        let next = self.held.len() - 1;
        if let Some(&expected) = NUMBER.get(next) {
            if byte != expected {
                self.pass(screen);
                return false;
            }
            self.held.push(byte);
            return true;
        }
        // A C1 control can also be written as a character of its own.
        let encoded = more > 0 && self.held.last() == Some(&0xc2);
        match byte {
            BEL => self.complete(&[BEL], screen, tool),
            ESC => self.at = At::OursEscape,
            C1_ST if encoded => {
                self.held.pop();
                self.complete(&[0xc2, C1_ST], screen, tool);
            }
            C1_ST if more == 0 => self.complete(&[C1_ST], screen, tool),
            0..0x20 => {
                self.pass(screen);
                return false;
            }
            _ if self.held.len() >= LONGEST => {
                self.pass(screen);
                return false;
            }
            _ => {
                let more = match byte {
                    0x80..=0xbf => more.saturating_sub(1),
                    0xc2..=0xdf => 1,
                    0xe0..=0xef => 2,
                    0xf0..=0xf4 => 3,
                    _ => 0,
                };
                self.held.push(byte);
                self.at = At::Ours { more };
            }
        }
        true
    }

    /// What was held is passed on as it came; text follows, or a string's rest, which is the same to us.
    fn pass(&mut self, screen: &mut Vec<u8>) {
        screen.append(&mut self.held);
        self.at = At::Text;
    }

    /// A whole sequence of ours is held, without its end.
    fn complete(&mut self, end: &[u8], screen: &mut Vec<u8>, tool: &mut Vec<u8>) {
        let content = &self.held[NUMBER.len() + 1..];
        if content == QUESTION {
            tool.extend_from_slice(ANSWER);
        } else if let Some(report) = Report::parse(content) {
            let told = match self.told.take() {
                None => Told::first(report.status),
                Some(told) => told.next(report.status),
            };
            screen.extend_from_slice(b"\x1bk");
            screen.extend_from_slice(told.window_name().as_bytes());
            self.told = Some(told);
            screen.extend_from_slice(b"\x1b\\");
        } else {
            screen.append(&mut self.held);
            screen.extend_from_slice(end);
        }
        self.held.clear();
        self.at = At::Text;
    }

    fn device(&mut self, byte: u8, stage: Stage, screen: &mut Vec<u8>) -> bool {
        self.at = match (byte, stage) {
            (ESC, _) => {
                self.at = At::Text;
                return false;
            }
            (CAN | SUB, _) => At::Text,
            (0x40..=0x7e, _) => At::DeviceBody,
            (0x20..=0x2f, _) => At::Device(Stage::Intermediate),
            // tmux ignores such a string up to the next escape.
            (b':', _) | (0x3c..=0x3f, Stage::Parameter) | (0x30..=0x3f, Stage::Intermediate) => At::Text,
            (0x30..=0x3f, Stage::Enter) => At::Device(Stage::Parameter),
            _ => At::Device(stage),
        };
        screen.push(byte);
        true
    }
}

/// Whether tmux, behind an escape, goes on waiting for what the escape means.
fn waits_on(byte: u8) -> bool {
    (byte < 0x20 && byte != CAN && byte != SUB) || byte >= 0x7f
}

#[cfg(test)]
mod tests;

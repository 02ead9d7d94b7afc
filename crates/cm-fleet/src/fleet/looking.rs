//! The keys of somebody who only looks at a terminal: which of them mean leaving. PURE.

/// Ctrl-C.
const INTERRUPT: u8 = 0x03;
/// Ctrl-b, after which tmux takes a `d` for leaving.
const PREFIX: u8 = 0x02;
const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;
/// Bytes of one escape sequence at most; terminals answer with less.
const LONGEST: usize = 4096;

/// Reads what comes from the terminal of somebody who looks. Only escape sequences are passed on: they are the
/// terminal's own answers to what it is asked.
#[derive(Debug, Default)]
pub struct Looking {
    at: At,
    sequence: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum At {
    #[default]
    Ground,
    Prefix,
    Escape,
    /// Within a sequence that one final byte ends.
    Control,
    /// Within a text that BEL or ST ends.
    Text,
    /// Where ST may end it.
    TextEscape,
    /// One byte more.
    Single,
}

impl Looking {
    /// What is to be passed on, and whether somebody wants to leave.
    pub fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut pass = Vec::new();
        for byte in bytes {
            let next = match (self.at, *byte) {
                (At::Ground, b'q' | b'Q' | INTERRUPT) | (At::Prefix, b'd' | b'q' | INTERRUPT) => {
                    return (pass, true);
                }
                (At::Ground | At::Prefix, PREFIX) => At::Prefix,
                (_, ESC) if self.at != At::Text => {
                    self.sequence.clear();
                    At::Escape
                }
                (At::Ground | At::Prefix, _) => At::Ground,
                (At::Escape, b'[') => At::Control,
                (At::Escape, b']' | b'P' | b'X' | b'^' | b'_') => At::Text,
                (At::Escape, b'O') => At::Single,
                // A key together with Alt.
                (At::Escape, _) => At::Ground,
                (At::Control, 0x40..=0x7e) | (At::Single, _) | (At::Text, BEL) | (At::TextEscape, b'\\') => {
                    self.sequence.push(*byte);
                    pass.append(&mut self.sequence);
                    At::Ground
                }
                (At::Text, ESC) => At::TextEscape,
                (At::TextEscape, _) => At::Text,
                (at @ (At::Control | At::Text), _) => at,
            };
            self.at = if self.sequence.len() >= LONGEST { At::Ground } else { next };
            if self.at != At::Ground && self.at != At::Prefix {
                self.sequence.push(*byte);
            }
        }
        (pass, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&str], passed: &str, left: bool) {
        let mut looking = Looking::default();
        let (mut all, mut leaves) = (Vec::new(), false);
        for piece in pieces {
            let (pass, leave) = looking.feed(piece.as_bytes());
            all.extend(pass);
            leaves |= leave;
        }
        assert_eq!((String::from_utf8_lossy(&all).as_ref(), leaves), (passed, left), "{pieces:?}");
    }

    #[test]
    fn keys_that_leave_and_answers_that_pass() {
        check(&["q"], "", true);
        check(&["\x03"], "", true);
        check(&["abc xyz\r"], "", false);
        check(&["abc", "q"], "", true);
        check(&["\x02d"], "", true);
        check(&["\x02", "d"], "", true);
        check(&["\x02x", "d"], "", false);
        check(&["d"], "", false);
        // Answers of a terminal, whole and in pieces; a `q` in one of them is none that was pressed.
        check(&["\x1b[?62;22c"], "\x1b[?62;22c", false);
        check(&["\x1b[?6", "2;22", "c"], "\x1b[?62;22c", false);
        check(&["\x1bP>|quick(1)\x1b\\"], "\x1bP>|quick(1)\x1b\\", false);
        check(&["\x1bP>|quick\x1b", "\\q"], "\x1bP>|quick\x1b\\", true);
        check(&["\x1b]11;rgb:0/0/q\x07x"], "\x1b]11;rgb:0/0/q\x07", false);
        check(&["\x1bOA\x1b[A"], "\x1bOA\x1b[A", false);
        check(&["\x1bq"], "", false);
        check(&["\x1b", "q", "q"], "", true);
    }

    #[test]
    fn what_never_ends_is_not_kept() {
        let mut looking = Looking::default();
        let (pass, left) = looking.feed(&[b"\x1bP".as_slice(), &[b'x'; 100_000]].concat());
        assert!(pass.is_empty() && !left && looking.sequence.len() <= LONGEST);
        assert!(looking.feed(b"q").1);
    }
}

//! PURE. Bytes from a terminal → keys, by tmux's names for them.

use std::time::Duration;

/// An escape that nothing follows for so long is the key itself.
pub const ESCAPE: Duration = Duration::from_millis(40);

const PASTE_START: &[u8] = b"\x1b[200~";
const PASTE_END: &[u8] = b"\x1b[201~";

/// Something that was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Key {
    /// One key: `a`, `Enter`, `C-c`, `Up`.
    Press(String),
    /// Text between the marks of a paste.
    Paste(String),
}

/// What has been read and is no whole key yet.
#[derive(Debug, Default)]
pub struct Keys {
    rest: Vec<u8>,
}

impl Keys {
    /// Takes bytes in and gives the keys they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<Key> {
        self.rest.extend_from_slice(bytes);
        let mut keys = Vec::new();
        while let Some((key, used)) = first(&self.rest) {
            self.rest.drain(..used);
            keys.push(key);
        }
        keys
    }

    /// Whether an escape waits for what follows.
    pub fn is_pending(&self) -> bool {
        self.rest.first() == Some(&0x1b) && !self.rest.starts_with(PASTE_START)
    }

    /// Nothing has followed: the escape was a key of its own.
    pub fn settle(&mut self) -> Vec<Key> {
        if !self.is_pending() {
            return Vec::new();
        }
        let rest = self.rest.split_off(1);
        self.rest.clear();
        let mut keys = vec![Key::Press("Escape".to_owned())];
        keys.extend(self.feed(&rest));
        keys
    }
}

/// The first whole key and how many bytes it took.
fn first(bytes: &[u8]) -> Option<(Key, usize)> {
    let press = |name: &str, used: usize| Some((Key::Press(name.to_owned()), used));
    match *bytes.first()? {
        0x1b => escape(bytes),
        b'\r' | b'\n' => press("Enter", 1),
        b'\t' => press("Tab", 1),
        0x7f | 0x08 => press("BSpace", 1),
        b' ' => press("Space", 1),
        0 => press("C-Space", 1),
        byte @ 1..=26 => press(&format!("C-{}", char::from(byte - 1 + b'a')), 1),
        byte if byte.is_ascii() => press(&char::from(byte).to_string(), 1),
        byte => {
            let length = match byte {
                0xc0..=0xdf => 2,
                0xe0..=0xef => 3,
                0xf0..=0xf7 => 4,
                _ => 1,
            };
            let whole = bytes.get(..length)?;
            press(&String::from_utf8_lossy(whole), length)
        }
    }
}

fn escape(bytes: &[u8]) -> Option<(Key, usize)> {
    if bytes.starts_with(PASTE_START) {
        let rest = &bytes[PASTE_START.len()..];
        let end = rest.windows(PASTE_END.len()).position(|window| window == PASTE_END)?;
        let text = String::from_utf8_lossy(&rest[..end]).replace('\r', "\n");
        return Some((Key::Paste(text), PASTE_START.len() + end + PASTE_END.len()));
    }
    match *bytes.get(1)? {
        b'[' | b'O' => {
            let ends = |byte: &u8| (0x40..=0x7e).contains(byte);
            let end = bytes[2..].iter().position(ends)? + 2;
            let name = match &bytes[2..=end] {
                b"A" => "Up",
                b"B" => "Down",
                b"C" => "Right",
                b"D" => "Left",
                b"H" | b"1~" => "Home",
                b"F" | b"4~" => "End",
                b"Z" => "BTab",
                b"3~" => "DC",
                b"5~" => "PPage",
                b"6~" => "NPage",
                _ => "Unknown",
            };
            Some((Key::Press(name.to_owned()), end + 1))
        }
        0x1b => Some((Key::Press("Escape".to_owned()), 1)),
        _ => {
            let (key, used) = first(&bytes[1..])?;
            let Key::Press(name) = key else { return Some((Key::Press("Escape".to_owned()), 1)) };
            Some((Key::Press(format!("M-{name}")), used + 1))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(keys: &[Key]) -> String {
        let name = |key: &Key| match key {
            Key::Press(name) => name.clone(),
            Key::Paste(text) => format!("<{text}>"),
        };
        keys.iter().map(name).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn bytes_become_keys() {
        let check = |bytes: &str, expected: &str| {
            let mut keys = Keys::default();
            let mut seen = keys.feed(bytes.as_bytes());
            seen.extend(keys.settle());
            assert_eq!(named(&seen), expected, "{bytes:?}");
            // The same, however the bytes are cut.
            let mut keys = Keys::default();
            let mut seen: Vec<Key> = bytes.bytes().flat_map(|byte| keys.feed(&[byte])).collect();
            seen.extend(keys.settle());
            assert_eq!(named(&seen), expected, "{bytes:?} in pieces");
        };
        check("1y\r", "1 y Enter");
        check("\x1b", "Escape");
        check("\x1b[A\x1b[B\x1bOC", "Up Down Right");
        check("\x1b[Z\x1b[5~", "BTab PPage");
        check("\x03 \x7f\t", "C-c Space BSpace Tab");
        check("é❯", "é ❯");
        check("\x1bx", "M-x");
        check("\x1b[200~a\rb\x1b[201~\r", "<a\nb> Enter");
        check("\x1b\x1b", "Escape Escape");
    }

    #[test]
    fn a_paste_under_way_is_not_an_escape() {
        let mut keys = Keys::default();
        assert_eq!(keys.feed(b"\x1b[200~half"), []);
        assert!(!keys.is_pending());
        assert_eq!(keys.settle(), []);
        assert_eq!(named(&keys.feed(b" way\x1b[201~")), "<half way>");
    }
}

//! Lines to events. PURE.

use std::io::{BufRead, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use super::error::LedgerError;

/// Bytes of one line at most: the plan of 100,000 tasks has room in it.
pub const LINE: u64 = 256 << 20;

/// A last line that was not written to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Torn {
    /// How many bytes of it there were.
    pub bytes: u64,
}

impl std::fmt::Display for Torn {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "the last line was not written to its end: {} bytes of it were cut off", self.bytes)
    }
}

/// Everything in a ledger.
#[derive(Debug)]
pub struct Whole<E> {
    /// In order.
    pub events: Vec<E>,
    /// Lines that are whole.
    pub lines: u64,
    /// The bytes up to the end of the last of them.
    pub good: u64,
    /// What follows.
    pub torn: Option<Torn>,
}

/// One line.
pub enum Line {
    /// Without its line break; so many bytes with it.
    Whole(u64),
    /// Bytes without a line break at the end.
    Torn(u64),
}

/// Reads the next line into `line`, which is emptied before.
///
/// # Errors
/// The reader's own; a line is too long.
pub fn next(from: &mut impl BufRead, line: &mut Vec<u8>) -> std::io::Result<Line> {
    line.clear();
    let bytes = from.by_ref().take(LINE).read_until(b'\n', line)? as u64;
    match line.pop() {
        Some(b'\n') => Ok(Line::Whole(bytes)),
        _ if bytes == LINE => Err(std::io::Error::other("a line is over 256 MiB")),
        Some(last) => {
            line.push(last);
            Ok(Line::Torn(bytes))
        }
        None => Ok(Line::Torn(0)),
    }
}

/// The event of a line.
///
/// # Errors
/// It is none.
pub fn event<E: DeserializeOwned>(line: &[u8], number: u64, path: &Path) -> Result<E, LedgerError> {
    serde_json::from_slice(line).map_err(|e| {
        let (path, line) = (path.to_owned(), number);
        // The crate counts lines, too: in what it was given, which is one.
        let why = e.to_string().replace("line 1 column", "column");
        LedgerError::Unreadable { path, line, why }
    })
}

/// Reads a ledger to its end.
///
/// # Errors
/// The file cannot be read, or a line of it that was written to its end is no event.
pub fn whole<E: DeserializeOwned>(mut from: impl BufRead, path: &Path) -> Result<Whole<E>, LedgerError> {
    let mut whole = Whole { events: Vec::new(), lines: 0, good: 0, torn: None };
    let mut line = Vec::new();
    loop {
        match next(&mut from, &mut line).map_err(|e| LedgerError::io("read", path, e))? {
            Line::Torn(0) => return Ok(whole),
            Line::Torn(bytes) => {
                whole.torn = Some(Torn { bytes });
                return Ok(whole);
            }
            Line::Whole(bytes) => {
                whole.events.push(event(&line, whole.lines + 1, path)?);
                whole.lines += 1;
                whole.good += bytes;
            }
        }
    }
}

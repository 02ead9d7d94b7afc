//! What a scripted program did and read, one line of JSON each, for tests to read.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// One line. `t` is in microseconds since 1970, so that it can be held beside other clocks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum Entry {
    /// A frame stands, whole.
    Frame {
        /// When.
        t: u64,
        /// Its name.
        name: String,
    },
    /// Bytes were read.
    Read {
        /// When.
        t: u64,
        /// In the frame with this name.
        frame: String,
        /// In hexadecimal.
        bytes: String,
    },
    /// A key, as it was understood.
    Key {
        /// When.
        t: u64,
        /// In the frame with this name.
        frame: String,
        /// By tmux's name; pasted text as it is.
        key: String,
        /// Whether it was pasted.
        pasted: bool,
        /// Whether anything came of it.
        taken: bool,
    },
    /// A line was entered.
    Line {
        /// When.
        t: u64,
        /// What it says.
        text: String,
    },
    /// It has ended.
    End {
        /// When.
        t: u64,
        /// With this code.
        code: u8,
    },
}

/// Reads a log. A last line that is not whole yet is left out; no file yet is no lines.
pub fn read(path: &Path) -> io::Result<Vec<Entry>> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let whole = text.rfind('\n').map_or("", |end| &text[..end]);
    whole.lines().map(|line| serde_json::from_str(line).map_err(io::Error::other)).collect()
}

/// Which keys arrived in a frame, in order; in all frames if it is empty.
pub fn keys_of(log: &[Entry], wanted: &str) -> Vec<String> {
    let key = |entry: &Entry| match entry {
        Entry::Key { frame, key, .. } if wanted.is_empty() || frame == wanted => Some(key.clone()),
        _ => None,
    };
    log.iter().filter_map(key).collect()
}

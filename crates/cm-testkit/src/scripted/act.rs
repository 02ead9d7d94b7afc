//! PURE. What a scripted program is to do.

use std::path::PathBuf;

/// Something to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// To the terminal.
    Write(String),
    /// A frame stands now, whole.
    Drawn(String),
    /// A key was understood so.
    Key {
        /// In which frame.
        frame: String,
        /// Its name, or what was pasted.
        key: String,
        /// Whether it was pasted.
        pasted: bool,
        /// Whether anything came of it.
        taken: bool,
    },
    /// A line was entered.
    Line(String),
    /// Write this into that file.
    Touch(PathBuf, String),
    /// End with this code.
    Exit(u8),
}

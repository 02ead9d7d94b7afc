//! PURE. A frame as the bytes that draw it.

use super::script::Frame;

/// What comes before a frame's text.
pub fn heading(frame: &Frame) -> String {
    let mut out = String::new();
    match frame.alternate {
        Some(true) => out += "\x1b[?1049h",
        Some(false) => out += "\x1b[?1049l",
        None => {}
    }
    match frame.cursor_visible {
        Some(true) => out += "\x1b[?25h",
        Some(false) => out += "\x1b[?25l",
        None => {}
    }
    if let Some(title) = &frame.title {
        out += &format!("\x1b]0;{title}\x07");
    }
    if let Some(status) = &frame.status {
        out += &format!("\x1b]7501;{status}\x1b\\");
    }
    if !frame.append {
        out += "\x1b[H";
        if !frame.over {
            out += "\x1b[2J";
        }
    }
    out
}

/// What is drawn at once, and what later. A line's end is what a raw terminal needs for one.
pub fn parts(frame: &Frame) -> (String, Option<String>) {
    let raw = |text: &str| text.replace('\n', "\r\n");
    match &frame.half {
        None => (raw(&frame.text), None),
        Some(half) => {
            let (first, rest) = frame.text.split_at(boundary(&frame.text, half.bytes));
            (raw(first), Some(raw(rest)))
        }
    }
}

/// The cursor's way to a place.
pub fn moved(column: u16, row: u16) -> String {
    format!("\x1b[{};{}H", row.saturating_add(1), column.saturating_add(1))
}

/// The last place at or before `at` where the text may be divided.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

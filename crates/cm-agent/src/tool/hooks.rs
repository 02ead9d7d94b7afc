//! What comes from inside a session – a tool's hook, a script – made fit for the state machine (PURE).

pub mod claude;
mod tests_command;

pub use tests_command::is_test_command;

use cm_protocol::{Report, ReportStatus};
use serde::{Deserialize, Serialize};

/// Characters of a report's message that are kept: a line for people, not a log.
const MESSAGE_CHARS: usize = 500;

/// A report as the state machine takes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heard {
    /// What it says.
    pub status: ReportStatus,
    /// In its own words: one line, bounded, without control characters; absent if nothing is left.
    pub message: Option<String>,
}

impl Heard {
    /// Takes a report in. Its message comes from a program and may hold anything, so it is cleaned here.
    pub fn from_report(report: &Report) -> Self {
        let message = report.message.as_deref().map(clean).filter(|text| !text.is_empty());
        Self { status: report.status, message }
    }
}

/// One line of at most [`MESSAGE_CHARS`] characters: control characters and runs of blanks become one blank.
pub(crate) fn clean(text: &str) -> String {
    let words = text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    let line = words.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MESSAGE_CHARS) {
        None => line,
        Some(_) => line.chars().take(MESSAGE_CHARS - 1).chain(['…']).collect(),
    }
}

/// Texts of an event that are longer than this are cut, in characters.
const EVENT_TEXT: usize = 8 * 1024;

/// Texts that a decision may rest on or that an answer repeats: they are never cut, for what stands behind the
/// cut would be decided on unseen.
const WHOLE: &[&str] =
    &["command", "file_path", "notebook_path", "path", "url", "plan", "questions", "cwd", "transcript_path"];

/// Makes an event small enough to be sent: what a tool has read or wants to write may be long and decides
/// nothing.
pub fn slim(event: &mut serde_json::Value) {
    use serde_json::Value;
    match event {
        Value::String(text) => {
            if let Some((at, _)) = text.char_indices().nth(EVENT_TEXT) {
                text.truncate(at);
                text.push('…');
            }
        }
        Value::Array(all) => all.iter_mut().for_each(slim),
        Value::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| !WHOLE.contains(&name.as_str())).for_each(|(_, v)| slim(v));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(message: Option<&str>, expected: Option<&str>) {
        let report = Report { message: message.map(str::to_owned), ..Report::default() };
        assert_eq!(Heard::from_report(&report).message.as_deref(), expected, "{message:?}");
    }

    #[test]
    fn messages_are_one_clean_line() {
        check(None, None);
        check(Some(""), None);
        check(Some(" \t\n\u{7}"), None);
        check(Some("step 3\nof 10"), Some("step 3 of 10"));
        check(Some("\u{1b}[31mred\u{1b}[0m"), Some("[31mred [0m"));
        check(Some("  überall  "), Some("überall"));
    }

    #[test]
    fn messages_are_bounded() {
        for text in ["x".repeat(100_000), "wörter ".repeat(10_000), "x ".repeat(501), "é".repeat(501)] {
            let line = clean(&text);
            assert!(line.chars().count() <= MESSAGE_CHARS, "{}", line.chars().count());
            assert!(line.ends_with('…'));
        }
        assert_eq!(clean(&"x".repeat(500)), "x".repeat(500));
    }

    #[test]
    fn long_texts_of_an_event_are_cut_but_none_that_decides() {
        let (long, short) = ("é".repeat(9000), "é".repeat(8192) + "…");
        let mut event = serde_json::json!({
            "tool_input": {"command": long, "content": long, "edits": [{"old_string": long}], "n": 1},
            "cwd": "/x",
        });
        slim(&mut event);
        let expected = serde_json::json!({
            "tool_input": {"command": long, "content": short, "edits": [{"old_string": short}], "n": 1},
            "cwd": "/x",
        });
        assert!(event == expected);
    }
}

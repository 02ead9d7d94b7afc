//! What a dialog asks: its question, its heading, and its kind, by structure and words (PURE).

use super::judge::BULLETS;
use crate::tool::profile::{Pattern, PromptKind};
use crate::tool::region::{Edge, Row, one_line};

/// The longest question that is taken as it stands.
const LONGEST_QUESTION: usize = 600;

/// The rows of a paragraph: a range of the rows given.
pub type Paragraph = std::ops::Range<usize>;

/// What stands above the options of a dialog.
#[derive(Debug, Clone, Copy)]
pub struct Body<'r, 'a> {
    /// Its rows.
    pub rows: &'r [Row<'a>],
    /// The rows above it: the transcript.
    pub past: &'r [Row<'a>],
    /// A box or a rule shows where it begins: its first line is the tool's own.
    pub framed: bool,
}

/// The question of a dialog.
pub fn question(body: Body<'_, '_>) -> Option<String> {
    let rows = body.rows;
    let paragraphs = paragraphs(rows);
    let asks = paragraphs.iter().rev().find_map(|range| asked(&rows[range.clone()]));
    let line = asks.or_else(|| {
        let announces = paragraphs.iter().rev().find(|p| rows[p.end - 1].text.ends_with(':'));
        if let Some(range) = announces {
            return Some(rows[range.end - 1].text.to_owned());
        }
        if body.framed {
            // Without a question the heading says what it is.
            let tabs = |row: &&Row<'_>| row.is_text() && !row.text.starts_with('←');
            return rows.iter().find(tabs).map(|row| row.text.to_owned());
        }
        // A long text explains.
        let nearest = paragraphs.last()?;
        let long = rows[nearest.clone()].windows(2).any(|two| two[0].wraps_into(&two[1]));
        let heading = if long { &paragraphs[0] } else { nearest };
        Some(first_run(&rows[heading.clone()]))
    })?;
    let plain = |c: char| matches!(c, '?' | '△' | '⚠' | '◆' | '✨' | '🔒' | ' ' | '╱' | '─');
    let line = line.trim_matches(|c: char| plain(c) && c != '?').trim_start_matches(plain).trim();
    (!line.is_empty() && line.len() <= LONGEST_QUESTION).then(|| line.to_owned())
}

/// The first line of a paragraph, put together again if it was wrapped.
fn first_run(rows: &[Row<'_>]) -> String {
    let end = (1..rows.len()).find(|at| !rows[at - 1].wraps_into(&rows[*at])).unwrap_or(rows.len());
    one_line(&rows[..end])
}

/// The line that names what the dialog is about: its first, if that is seen to be the tool's own.
pub fn heading<'a>(body: Body<'_, 'a>, title: Option<&Pattern>) -> Option<&'a str> {
    let mut texts = body.rows.iter().filter(|row| row.is_text()).map(|row| row.text);
    let first = texts.next().filter(|_| body.framed)?;
    if title.is_some_and(|title| title.is_match(first)) { texts.next() } else { Some(first) }
}

/// The question a paragraph asks: from the sentence's beginning to the question mark.
fn asked(rows: &[Row<'_>]) -> Option<String> {
    let text = one_line(rows);
    let text = text.trim();
    // `Reason: …` tells of something else than what is asked.
    let labelled = text
        .split_once(": ")
        .is_some_and(|(name, _)| !name.is_empty() && name.chars().all(char::is_alphabetic));
    if labelled && !text.starts_with("Question: ") {
        return None;
    }
    if text.starts_with('?') && rows.len() == 1 && text.len() > 2 && !text.starts_with("?  ") {
        // `? Question (Use arrow keys)`: how some tools draw what they ask.
        let line = text[1..].trim();
        let line = line.split_once(" (Use arrow").map_or(line, |(before, _)| before);
        if line.ends_with(['?', ':']) || text.contains("(Use arrow") {
            return Some(line.to_owned());
        }
    }
    // A row the tool has not wrapped says something of its own.
    let mut end = rows.len();
    while end > 0 {
        let start = (1..end).rev().find(|at| !rows[at - 1].wraps_into(&rows[*at])).unwrap_or(0);
        let line = one_line(&rows[start..end]);
        if asks(&line) {
            return Some(line);
        }
        end = start;
    }
    None
}

/// Whether a sentence in the text ends with a question mark.
fn asks(text: &str) -> bool {
    text.match_indices('?').any(|(at, _)| {
        let after = text[at + 1..].chars().next();
        at > 0 && after.is_none_or(|c| c == ' ' || c == '"' || c == ')') && !text[..at].ends_with(' ')
    })
}

/// Paragraphs in the open: what stands in inner boxes, between thin lines, or under bullets is content.
pub fn paragraphs(body: &[Row<'_>]) -> Vec<Paragraph> {
    let outer = body.iter().filter(|row| row.is_text()).map(|row| row.depth).min().unwrap_or(0);
    let mut found: Vec<Paragraph> = Vec::new();
    let mut dashed = body.iter().filter(|row| row.edge == Some(Edge::Dashed)).count() % 2 == 1;
    let mut start = None;
    let mut command = false;
    for (at, row) in body.iter().enumerate() {
        dashed ^= row.edge == Some(Edge::Dashed);
        // What follows a `$` without a blank row is the command's.
        command = !row.is_blank() && (command || row.text.starts_with("$ "));
        let bullet = row.text.chars().next().is_some_and(|c| BULLETS.contains(&c) || "→⚠-$".contains(c));
        let counts = row.is_text() && row.depth == outer && !dashed && !bullet && !command;
        match (counts, start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                found.push(from..at);
                start = None;
            }
            _ => {}
        }
    }
    found.extend(start.map(|from| from..body.len()));
    found
}

/// The kind of a dialog by words. In a frame its heading is the tool's own and counts first; what stands
/// below it may be a text the model has written.
pub fn kind(question: &str, body: Body<'_, '_>) -> Option<PromptKind> {
    let asked = by_words(&question.to_lowercase());
    let mut texts = body.rows.iter().filter(|row| row.is_text()).map(|row| row.text.to_lowercase());
    let first = texts.next().and_then(|text| by_words(&text));
    if body.framed {
        let tool = || texts.next().filter(|text| text.starts_with("tool")).and_then(|text| by_words(&text));
        return first.or_else(tool).or(asked);
    }
    match (asked, first) {
        (Some(asked), _) => Some(asked),
        (None, first) => first,
    }
}

/// Words that tell a kind, the first that is found counts.
const KIND_WORDS: [(PromptKind, &[&str]); 8] = [
    (PromptKind::Trust, &["trust", "trusted", "accessing workspace", "folder access"]),
    (
        PromptKind::Plan,
        &["plan", "ready to code", "claude's plan", "start implementing", "start implementation"],
    ),
    (
        PromptKind::Network,
        &[
            "fetch",
            "webfetch",
            "web_fetch",
            "url",
            "urls",
            "web search",
            "websearch",
            "search the web",
            "domain",
            "network",
            "internet",
            "website",
            "browse",
            "download",
            "http",
            "https",
        ],
    ),
    (
        PromptKind::Command,
        &[
            "command",
            "commands",
            "bash",
            "shell",
            "execute",
            "execution",
            "exec",
            "terminal",
            "script",
            "run_shell_command",
            "run_command",
            "powershell",
        ],
    ),
    (
        PromptKind::Edit,
        &[
            "edit",
            "edits",
            "write",
            "writing",
            "writefile",
            "write_file",
            "create",
            "modify",
            "change",
            "changes",
            "patch",
            "overwrite",
            "save",
            "update",
            "delete",
            "replace",
            "rename",
            "diff",
            "apply",
            "apply_patch",
            "multiedit",
        ],
    ),
    (
        PromptKind::Read,
        &["read", "reading", "readfile", "read_file", "view", "open", "list", "glob", "grep", "add file"],
    ),
    (PromptKind::Command, &["run", "running", "tool", "mcp", "invoke", "call"]),
    (PromptKind::Trust, &["external imports"]),
];

fn by_words(text: &str) -> Option<PromptKind> {
    // "Tool  bash" names the tool, whatever it is called.
    let text = text.strip_prefix("tool  ").unwrap_or(text);
    let has = |words: &[&str]| {
        words.iter().any(|word| {
            text.match_indices(word).any(|(at, _)| {
                let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
                edge(text[..at].chars().next_back()) && edge(text[at + word.len()..].chars().next())
            })
        })
    };
    KIND_WORDS.iter().find(|(_, words)| has(words)).map(|(kind, _)| *kind)
}

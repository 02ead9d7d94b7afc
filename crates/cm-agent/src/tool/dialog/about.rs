//! What a dialog asks and what about: its question, kind and subject, by structure and words (PURE).

use super::judge::BULLETS;
use crate::tool::profile::{DialogRule, Pattern, PromptKind};
use crate::tool::region::{Edge, Row, joined, one_line};

/// The longest question that is taken as it stands.
const LONGEST_QUESTION: usize = 600;

/// The rows of a paragraph: a range of the rows given.
type Paragraph = std::ops::Range<usize>;

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
fn paragraphs(body: &[Row<'_>]) -> Vec<Paragraph> {
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
    let table: [(PromptKind, &[&str]); 8] = [
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
    table.into_iter().find(|(_, words)| has(words)).map(|(kind, _)| kind)
}

/// What a dialog is about, by its kind.
pub fn subject(kind: PromptKind, question: &str, body: Body<'_, '_>) -> Option<String> {
    let only = || only_paragraph(question, body);
    let past = body.past;
    let body = body.rows;
    match kind {
        PromptKind::Command => command(question, body, past).or_else(only).filter(|text| !text.is_empty()),
        PromptKind::Edit | PromptKind::Read => path(question, body),
        PromptKind::Network => {
            let texts = body.iter().map(|row| row.text).chain([question]);
            texts.flat_map(str::split_whitespace).find_map(address).or_else(|| block(body))
        }
        PromptKind::Trust => body.iter().filter(|row| row.is_text()).find_map(|row| {
            let text = row.text.trim_end_matches(['/', ' ']);
            is_path(text).then(|| text.to_owned())
        }),
        _ => None,
    }
}

/// The subject by a rule of the profile.
pub fn by_rule(rule: &DialogRule, body: &[Row<'_>]) -> Option<String> {
    let pattern = rule.subject.as_ref()?;
    body.iter().find_map(|row| pattern.first_group(row.text)).or_else(|| pattern.first_group(&joined(body)))
}

fn command(question: &str, body: &[Row<'_>], past: &[Row<'_>]) -> Option<String> {
    if let Some(at) = body.iter().position(|row| row.text.starts_with("$ ") && row.is_text()) {
        let mut rows: Vec<Row<'_>> = body[at..].to_vec();
        // To the question, if it stands below; a command may have blank lines.
        let asked = |row: &Row<'_>| !row.text.is_empty() && question.starts_with(row.text);
        let end = rows.iter().rposition(asked).filter(|end| *end > 0).unwrap_or(rows.len());
        rows.truncate(end);
        rows.truncate(rows.iter().rposition(Row::is_text).map_or(1, |last| last + 1));
        rows[0].text = rows[0].text[2..].trim_start();
        // What follows stands under the `$` or under the command.
        if rows.len() > 1 && rows[1].col >= rows[0].col + 2 {
            rows[0].col += 2;
        }
        return Some(joined(&rows));
    }
    block(body).or_else(|| after_heading(body, past))
}

/// The only paragraph between heading and question.
fn only_paragraph(question: &str, body: Body<'_, '_>) -> Option<String> {
    let rows = body.rows;
    let first = rows.iter().position(Row::is_text).filter(|_| body.framed)?;
    let between: Vec<Paragraph> = paragraphs(&rows[first + 1..])
        .into_iter()
        .map(|range| range.start + first + 1..range.end + first + 1)
        .filter(|range| !question.starts_with(rows[range.start].text) || rows[range.start].text.is_empty())
        .collect();
    let labelled = |row: &Row<'_>| row.text.split_once("  ").is_some() || row.text.split_once(": ").is_some();
    match between.iter().filter(|range| !labelled(&rows[range.start])).collect::<Vec<_>>().as_slice() {
        [one] => Some(joined(&rows[(*one).clone()])),
        _ => None,
    }
}

/// What stands in an inner box, or between thin lines.
fn block(body: &[Row<'_>]) -> Option<String> {
    let outer = body.iter().filter(|row| row.is_text()).map(|row| row.depth).min()?;
    let open = body.iter().position(|row| row.edge == Some(Edge::Top) && row.depth == outer);
    if let Some(open) = open {
        let closes = |row: &&Row<'_>| row.edge != Some(Edge::Bottom) || row.depth != outer;
        let inner: Vec<_> = body[open + 1..].iter().take_while(closes).copied().collect();
        return Some(joined(trim(&inner))).filter(|text| !text.is_empty());
    }
    let close = body.iter().rposition(|row| row.edge == Some(Edge::Dashed))?;
    let open = body[..close].iter().position(|row| row.edge == Some(Edge::Dashed)).map_or(0, |at| at + 1);
    Some(joined(trim(&body[open..close]))).filter(|text| !text.is_empty())
}

fn trim<'r, 'a>(rows: &'r [Row<'a>]) -> &'r [Row<'a>] {
    let text = |row: &Row<'_>| row.is_text();
    match (rows.iter().position(text), rows.iter().rposition(text)) {
        (Some(first), Some(last)) => &rows[first..=last],
        _ => &[],
    }
}

/// Whether these rows are the whole of a call in the transcript: `Bash(make clean)`.
fn called(rows: &[Row<'_>], past: &[Row<'_>]) -> bool {
    let squeezed = |rows: &[Row<'_>]| -> String {
        rows.iter().flat_map(|row| row.text.chars()).filter(|c| !c.is_whitespace()).collect()
    };
    let recent = &past[past.len().saturating_sub(RECENT_ROWS)..];
    squeezed(recent).contains(&format!("({})", squeezed(rows)))
}

/// How many rows of the transcript hold the call a dialog is about.
const RECENT_ROWS: usize = 16;

/// The lines further right than the heading, after a blank one.
fn after_heading(body: &[Row<'_>], past: &[Row<'_>]) -> Option<String> {
    let heading = body.iter().position(Row::is_text)?;
    let rest = &body[heading + 1..];
    let start = rest.iter().position(Row::is_text)?;
    let end = rest[start..].iter().position(|row| !row.is_text()).map_or(rest.len(), |n| start + n);
    // A description drawn in another colour than the command is none of it.
    let own = rest[start].style;
    let mut rows = &rest[start..end];
    while let [first, .., last] = rows {
        if last.style.front == own.front || last.style.front == 0 || first.at == last.at {
            break;
        }
        rows = &rows[..rows.len() - 1];
    }
    // Without colours the call above tells where the command ends and its description begins.
    if rows.len() > 1 && called(&rows[..rows.len() - 1], past) && !called(rows, past) {
        rows = &rows[..rows.len() - 1];
    }
    (rest[start].col > body[heading].col).then(|| joined(rows))
}

fn path(question: &str, body: &[Row<'_>]) -> Option<String> {
    // A line that is nothing but a path, or names one: `Destination: /x`, `Edit src/a.rs`.
    let lines = body.iter().filter(|row| row.is_text()).take(6);
    let named = lines.clone().find_map(|row| {
        let text = row.text.trim_start_matches("? ").trim();
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.as_slice() {
            [only] if is_path(only) => Some((*only).to_owned()),
            [word, path]
                if (word.ends_with(':') || word.chars().all(char::is_alphabetic)) && is_path(path) =>
            {
                Some((*path).to_owned())
            }
            _ => inner_call(text),
        }
    });
    let asked = || {
        question
            .split_whitespace()
            .map(|word| word.trim_matches(['?', '`', '\'', '"', ',', ':']))
            .rfind(|word| is_path(word))
            .map(str::to_owned)
    };
    let mentioned = || {
        body.iter().filter(|row| row.is_text()).take(4).flat_map(|row| row.text.split_whitespace()).find_map(
            |word| {
                let word = word.trim_matches([':', ',', '`', '\'', '"', '(', ')']);
                is_path(word).then(|| word.to_owned())
            },
        )
    };
    named.or_else(asked).or_else(mentioned)
}

/// `Read(/etc/hosts)`: what stands in the brackets.
fn inner_call(text: &str) -> Option<String> {
    let (name, rest) = text.split_once('(')?;
    let inner = rest.strip_suffix(')')?;
    (name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == ' ') && is_path(inner))
        .then(|| inner.to_owned())
}

fn is_path(text: &str) -> bool {
    let text = text.trim();
    let plain = !text.is_empty() && !text.contains(char::is_whitespace) && !text.contains("://");
    let named = text.rsplit('/').next().unwrap_or(text);
    let suffix = named.rsplit_once('.').is_some_and(|(stem, end)| {
        !end.is_empty()
            && end.len() <= 8
            && end.chars().all(char::is_alphanumeric)
            && (stem.is_empty() || !stem.ends_with('.'))
    });
    plain
        && (text.starts_with(['/', '~'])
            || text.starts_with("./")
            || text.starts_with("../")
            || suffix && named.chars().any(char::is_alphabetic))
}

fn address(word: &str) -> Option<String> {
    let at = word.find("https://").or_else(|| word.find("http://"))?;
    let end = word[at..].find(['"', '\'', '`', '>', ')', ',']).map_or(word.len(), |n| at + n);
    Some(word[at..end].trim_end_matches(['.', ';', '?']).to_owned())
}

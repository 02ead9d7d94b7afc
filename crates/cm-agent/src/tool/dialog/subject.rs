//! What a dialog is about: the command, the path, the address (PURE).

use super::about::{Body, Paragraph, paragraphs};
use crate::tool::profile::{DialogRule, PromptKind};
use crate::tool::region::{Edge, Row, joined};

/// What a dialog is about, by its kind.
pub fn subject(kind: PromptKind, question: &str, body: Body<'_, '_>) -> Option<String> {
    let only = || only_paragraph(question, body);
    let (past, framed) = (body.past, body.framed);
    let body = body.rows;
    match kind {
        PromptKind::Command => command(question, body, past).or_else(only).filter(|text| !text.is_empty()),
        PromptKind::Edit | PromptKind::Read => below_heading(body, framed).or_else(|| path(question, body)),
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

/// The line between the heading and the line that begins the content: a path, blanks and all.
fn below_heading(body: &[Row<'_>], framed: bool) -> Option<String> {
    let heading = body.iter().position(Row::is_text).filter(|_| framed)?;
    let [path, line, ..] = body.get(heading + 1..)? else { return None };
    let alone = path.is_text() && path.col <= body[heading].col + 1 && line.edge == Some(Edge::Dashed);
    alone.then(|| path.text.to_owned())
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

//! What choosing an option means, by its label alone (PURE).
//!
//! Refusals and lasting permissions are looked for first. `once` is believed only of a label that begins by
//! allowing and says nothing else this file does not know: an unknown word makes it `answer`, which no
//! policy takes for an allowance.

mod words;

use cm_protocol::Meaning;

use super::profile::PromptKind;
use words::{
    ACCEPTS_EDITS, ALLOWING, ASK_NO_MORE, LASTING, LEAVES, MODES, NEUTRAL, REFUSING, REFUSING_PHRASES,
    TEXT_ENTRY,
};

/// What an option means in a prompt of this kind.
pub fn meaning(label: &str, kind: PromptKind) -> Meaning {
    let label = plain(label);
    let words: Vec<&str> = words(&label).collect();
    if kind == PromptKind::Question {
        return if leaves_question(&label, &words) { Meaning::Refuse } else { Meaning::Answer };
    }
    match permission(&label, &words) {
        Meaning::Once if kind == PromptKind::Text => Meaning::Answer,
        // Which parent folder is trusted decides about everything below it.
        Meaning::Once if kind == PromptKind::Trust && label.contains("parent") => Meaning::Always,
        meaning => meaning,
    }
}

/// Whether a label offers to write an answer of one's own.
pub fn takes_text(label: &str) -> bool {
    let label = plain(label);
    TEXT_ENTRY.iter().any(|beginning| label.starts_with(beginning)) && !label.contains("feedback")
}

/// Lower case, straight quotes, no text in backticks, quotation marks or brackets: what is quoted there is
/// no part of what the tool says.
fn plain(label: &str) -> String {
    let label = label.trim().to_lowercase().replace(['’', '‘', '`'], "'");
    let mut out = String::with_capacity(label.len());
    let mut closing: Option<char> = None;
    let mut before = ' ';
    for c in label.chars() {
        match closing {
            Some(end) if c == end => closing = None,
            Some(_) => {}
            None => match c {
                '(' => closing = Some(')'),
                '[' => closing = Some(']'),
                '"' => closing = Some('"'),
                '“' => closing = Some('”'),
                // An apostrophe inside a word is none of these.
                '\'' if !before.is_alphanumeric() => closing = Some('\''),
                _ => out.push(c),
            },
        }
        before = c;
    }
    if closing.is_some() { label } else { out }
}

fn words(label: &str) -> impl Iterator<Item = &str> {
    label
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-' || c == '.' || c == '/' || c == '_'))
        .map(|word| word.trim_matches(['.', '-', '\'']))
        .filter(|word| !word.is_empty())
}

fn leaves_question(label: &str, words: &[&str]) -> bool {
    words.first().is_some_and(|word| LEAVES.contains(word) && words.len() <= 3)
        || label.trim().starts_with("chat about this")
}

fn permission(label: &str, words: &[&str]) -> Meaning {
    let Some(&head) = words.first() else { return Meaning::Answer };
    let asks_no_more = has(label, &ASK_NO_MORE);
    if !asks_no_more && (REFUSING.contains(&head) || has(label, &REFUSING_PHRASES))
        || matches!(head, "no" | "deny" | "reject" | "refuse" | "decline" | "nope" | "tell")
    {
        return Meaning::Refuse;
    }
    if label.contains("accept edits mode") {
        return Meaning::Mode;
    }
    if has(label, &ACCEPTS_EDITS) && !has(label, &["manually"]) {
        return Meaning::Always;
    }
    if has(label, &MODES) {
        return Meaning::Mode;
    }
    if asks_no_more || has(label, &LASTING) || head == "all" || words == ["always"] {
        return Meaning::Always;
    }
    if ALLOWING.contains(&head) && only_known(label) {
        return Meaning::Once;
    }
    Meaning::Answer
}

/// Whether one of the phrases stands there, beginning and ending with a word.
fn has(label: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        label.match_indices(phrase).any(|(at, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            edge(label[..at].chars().next_back()) && edge(label[at + phrase.len()..].chars().next())
        })
    })
}

/// Whether every word is known to add nothing. A path or name with a dot or slash is what it is about.
fn only_known(label: &str) -> bool {
    // "…, and tell NAME what to do next" adds words for the tool, no permission.
    let label = match label.split_once("and tell ") {
        Some((before, after)) if after.trim_end().ends_with("what to do next") => before,
        _ => label,
    };
    words(label).all(|word| {
        ALLOWING.contains(&word) || NEUTRAL.contains(&word) || word.contains('/') || word.contains('.')
    })
}

#[cfg(test)]
mod tests;

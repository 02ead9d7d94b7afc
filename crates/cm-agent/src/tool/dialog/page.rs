//! Reads pages with nothing to choose from but the keys their last line names (PURE).

use super::about::Body;
use super::hints::key_name;
use super::item::item;
use super::list::{self, Choice};
use super::read::{asked_by, options_of, prompt, rule_for};
use super::{FoundPrompt, Layout, about};
use crate::tool::profile::{Facts, PromptKind};
use crate::tool::region::Row;

/// A page in place of the input box: its rows, and its last line.
pub fn page(facts: &Facts, body: &[Row<'_>], hint: &str) -> FoundPrompt {
    let rows = body;
    let body = Body { rows, past: &[], framed: true };
    let question = about::question(body);
    let rule = rule_for(facts, question.as_deref().unwrap_or(""), body, &[], "");
    let question = rule.and_then(|rule| asked_by(rule, rows)).or(question);
    let writes = rows.iter().any(|row| row.is_text() && item(row).pointer);
    let kind = match rule {
        Some(rule) if !(rule.kind == PromptKind::Question && writes) => rule.kind,
        _ => PromptKind::Text,
    };
    let list = list::unmarked(rows);
    let (question, kind, choices) = match list {
        // Its highlight is a colour that was not captured.
        Some((first, choices)) => {
            let above = about::question(Body { rows: &rows[..first], ..body }).or(question);
            let kind = if kind == PromptKind::Text { PromptKind::Question } else { kind };
            (above, kind, choices)
        }
        None if kind == PromptKind::Confirm => (question, kind, keys(hint)),
        None => (question, kind, Vec::new()),
    };
    let options = options_of(facts, kind, &choices);
    let found = prompt(rule, kind, question, body, rows, options);
    FoundPrompt { layout: Layout::Keys, ..found }
}

/// What the keys of a hint do: `Enter to stay · Esc to cancel`.
fn keys(hint: &str) -> Vec<Choice> {
    hint.split(['·', '|', '•'])
        .filter_map(|part| {
            let (key, does) = part.trim().split_once(" to ")?;
            key_name(key)?;
            Some(Choice {
                label: does.trim().to_owned(),
                keys: vec![key.trim().to_owned()],
                ..Choice::default()
            })
        })
        .collect()
}

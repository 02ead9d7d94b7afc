//! Reads the dialog a screen shows, if one is drawn there and waits (PURE).

use cm_protocol::{Meaning, PromptOption};

use super::about::Body;
use super::hints::is_hint;
use super::item::item;
use super::judge::{self, Evidence};
use super::list::{self, By, Choice, List};
use super::{FoundPrompt, Layout, about, buttons, keyed, subject};
use crate::tool::options;
use crate::tool::profile::{DialogRule, Facts, PromptKind, Shape};
use crate::tool::region::{Edge, Row};
use crate::tool::screen::Screen;

/// How far above the screen's last text the pointed-at line may be.
const REACH: usize = 70;

/// How many lines of the transcript above may tell what a dialog is about.
const RECENT: usize = 6;

/// The rule's name where only the structure was read.
const BY_STRUCTURE: &str = "a drawn dialog";

/// The dialog at the bottom of a screen. `rows` are the screen's.
pub fn find(facts: &Facts, screen: &Screen, rows: &[Row<'_>]) -> Option<FoundPrompt> {
    vertical(facts, screen, rows)
        .or_else(|| keyed::find(facts, screen, rows))
        .or_else(|| buttons::find(facts, screen, rows))
}

fn vertical(facts: &Facts, screen: &Screen, rows: &[Row<'_>]) -> Option<FoundPrompt> {
    let coloured = !screen.styles.is_empty();
    for at in (rows.len().saturating_sub(REACH)..rows.len()).rev() {
        let row = &rows[at];
        if !row.is_text() {
            continue;
        }
        let it = item(row);
        if it.pointer && it.text.is_empty() && row.depth == 0 {
            // An empty line to type into: all above it is past.
            return None;
        }
        let marked = it.pointer || it.radio == Some(true);
        if !(marked || coloured && !screen.spans(row.at).is_empty()) {
            continue;
        }
        if let Some(found) = list::around(rows, at).and_then(|list| judged(facts, screen, rows, &list)) {
            return Some(found);
        }
    }
    None
}

/// The list as a dialog, if it is one that waits.
fn judged(facts: &Facts, screen: &Screen, rows: &[Row<'_>], list: &List) -> Option<FoundPrompt> {
    let mut evidence = judge::below(rows, list)?;
    let framed = facts.input.as_ref().is_some_and(|input| input.framed_dialogs);
    let draws = facts.input.as_ref().is_some_and(|input| input.shape != Shape::Cursor);
    let top = judge::top(rows, list, framed)?;
    if judge::in_code(rows, top, list)
        || judge::cursor_speaks_against(screen, rows, list, evidence, draws)
        || judge::is_completion(list)
        || pointed_twice(rows, list)
    {
        return None;
    }
    let body = body_of(rows, top, list.first);
    let above = about::question(body);
    let rule = rule_for(facts, above.as_deref().unwrap_or(""), body, &rows[..top], &list.options[0].label);
    let above = rule.and_then(|rule| asked_by(rule, body.rows)).or(above);
    evidence.hint |= body.rows.iter().rev().find(|row| row.is_text()).is_some_and(|row| names_keys(row.text));
    let kind = kind_of(rule, above.as_deref().unwrap_or(""), body, rows, list);
    let mut options = options_of(facts, kind, &list.options);
    allow_as(rule, &mut options);
    if !believed(evidence, above.as_deref(), list, rule) {
        return None;
    }
    let below = &rows[list.last + 1..];
    if rule
        .and_then(|rule| rule.footer.as_ref())
        .is_some_and(|f| !below.iter().any(|row| f.is_match(row.text)))
    {
        return None;
    }
    Some(prompt(rule, kind, above, body, &rows[top..=list.last], options))
}

/// Whether a question ends in how to answer it: `(Use arrow keys)`.
fn names_keys(text: &str) -> bool {
    text.rsplit_once('(')
        .is_some_and(|(_, inner)| is_hint(inner) || inner.to_lowercase().starts_with("use arrow"))
}

/// The rows above the options. A box that holds nothing but the options is told by what stands above it.
pub fn body_of<'r, 'a>(rows: &'r [Row<'a>], top: usize, first: usize) -> Body<'r, 'a> {
    let framed = top > 0 && rows[top - 1].edge.is_some();
    if framed && !rows[top..first].iter().any(Row::is_text) && rows[top - 1].edge == Some(Edge::Top) {
        let end = rows[..top - 1].iter().rposition(|row| !row.is_blank()).map_or(0, |at| at + 1);
        let start = rows[..end].iter().rposition(|row| !row.is_text()).map_or(0, |at| at + 1);
        if end - start <= 3 && top - end <= 2 {
            return Body { rows: &rows[start..first], past: &rows[..start], framed: false };
        }
    }
    Body { rows: &rows[top..first], past: &rows[..top], framed }
}

/// What allowing means in a dialog of which the profile knows that it is more than once.
pub fn allow_as(rule: Option<&DialogRule>, options: &mut [PromptOption]) {
    if let Some(meaning) = rule.and_then(|rule| rule.allow) {
        options.iter_mut().filter(|option| option.meaning == Meaning::Once).for_each(|o| o.meaning = meaning);
    }
}

/// Puts a prompt together.
pub fn prompt(
    rule: Option<&DialogRule>,
    kind: PromptKind,
    question: Option<String>,
    body: Body<'_, '_>,
    drawn: &[Row<'_>],
    options: Vec<PromptOption>,
) -> FoundPrompt {
    let question = rule.and_then(|rule| rule.question.clone()).or(question).unwrap_or_default();
    let subject = rule
        .and_then(|rule| subject::by_rule(rule, drawn))
        .or_else(|| subject::subject(kind, &question, body))
        .filter(|subject| !subject.trim().is_empty());
    let left = drawn.iter().filter(|row| row.is_text()).map(|row| row.col).min().unwrap_or(0);
    let lines = drawn
        .iter()
        .filter(|row| row.edge.is_none())
        .map(|row| format!("{:1$}{2}", "", if row.is_blank() { 0 } else { row.col - left }, row.text))
        .skip_while(|line| line.trim().is_empty())
        .collect();
    FoundPrompt {
        subject,
        options,
        layout: Layout::Vertical,
        lines,
        ..FoundPrompt::plain(kind, question, rule.map_or(BY_STRUCTURE, |rule| rule.name.as_str()))
    }
}

/// The profile's rule for a dialog.
pub fn rule_for<'f>(
    facts: &'f Facts,
    question: &str,
    body: Body<'_, '_>,
    past: &[Row<'_>],
    first: &str,
) -> Option<&'f DialogRule> {
    let title = facts.input.as_ref().and_then(|input| input.dialog_title.as_ref());
    let open = facts.input.as_ref().is_some_and(|input| !input.framed_dialogs);
    // In the open the first line is taken for the heading, of tools that are known to draw there.
    let heading = about::heading(Body { framed: body.framed || open, ..body }, title);
    let fits = |rule: &&DialogRule| {
        let before = past.iter().rev().filter(|row| row.is_text()).take(RECENT);
        rule.first.as_ref().is_none_or(|pattern| pattern.is_match(first))
            && rule.after.as_ref().is_none_or(|after| before.clone().any(|row| after.is_match(row.text)))
    };
    // The heading first: a command may hold lines that look like the question of something harmless.
    let by_heading =
        heading.and_then(|line| facts.dialogs.iter().filter(fits).find(|r| r.pattern.is_match(line)));
    by_heading.or_else(|| facts.dialogs.iter().filter(fits).find(|rule| rule.pattern.is_match(question)))
}

/// The question by the line the profile's rule knows, where that is one: content cannot take its place.
pub fn asked_by(rule: &DialogRule, body: &[Row<'_>]) -> Option<String> {
    if let Some(asks) = &rule.asks {
        return body.iter().find_map(|row| asks.first_group(row.text));
    }
    let row = body.iter().find(|row| row.is_text() && rule.pattern.is_match(row.text))?;
    row.text.ends_with('?').then(|| row.text.trim_start_matches("? ").to_owned())
}

fn kind_of(
    rule: Option<&DialogRule>,
    question: &str,
    body: Body<'_, '_>,
    rows: &[Row<'_>],
    list: &List,
) -> PromptKind {
    if let Some(rule) = rule {
        return rule.kind;
    }
    let asks = list.options.iter().any(|o| o.check.is_some() || options::takes_text(&o.label))
        || rows[list.last + 1..].iter().any(|row| is_hint(row.text) && row.text.contains("answer"))
        || body.rows.iter().any(|row| row.text.starts_with("Question ") || row.text.starts_with(['☐', '☒']));
    if asks {
        return PromptKind::Question;
    }
    let labels: Vec<&str> = list.options.iter().map(|option| option.label.as_str()).collect();
    kind_by_labels(&labels, question, body)
}

/// The kind by what can be chosen, and by the words around it.
pub fn kind_by_labels(labels: &[&str], question: &str, body: Body<'_, '_>) -> PromptKind {
    let (allows, refuses) = pair(labels);
    match about::kind(question, body) {
        Some(kind) if allows && (refuses || kind != PromptKind::Plan) => kind,
        _ if allows && refuses => PromptKind::Confirm,
        _ if question.ends_with('?') => PromptKind::Question,
        _ => PromptKind::Text,
    }
}

/// Whether something allows and something refuses among the labels.
pub fn pair(labels: &[&str]) -> (bool, bool) {
    let meanings = || labels.iter().map(|label| options::meaning(label, PromptKind::Confirm));
    let allows = meanings().any(|m| matches!(m, Meaning::Once | Meaning::Always | Meaning::Mode));
    (allows, meanings().any(|m| m == Meaning::Refuse))
}

/// The options with their meanings.
pub fn options_of(facts: &Facts, kind: PromptKind, choices: &[Choice]) -> Vec<PromptOption> {
    choices
        .iter()
        .map(|choice| {
            let own = facts.options.iter().find(|rule| rule.label.is_match(&choice.label));
            let meaning = own.map_or_else(|| options::meaning(&choice.label, kind), |rule| rule.meaning);
            PromptOption {
                label: choice.label.clone(),
                key: choice.key(),
                selected: choice.selected,
                checked: choice.check,
                meaning,
            }
        })
        .collect()
}

/// Whether enough speaks for a dialog. Two lines with a mark before one of them are not enough.
fn believed(evidence: Evidence, question: Option<&str>, list: &List, rule: Option<&DialogRule>) -> bool {
    let labels: Vec<&str> = list.options.iter().map(|option| option.label.as_str()).collect();
    let (allows, refuses) = pair(&labels);
    let asks = question.is_some_and(|text| text.contains('?') || text.ends_with(':'));
    let keys = list.options.iter().filter(|option| !option.keys.is_empty()).count();
    let choice = allows && refuses;
    if list.by == By::Colour {
        return evidence.hint && (choice || asks);
    }
    // What stands in a tool's way at its start often names no keys.
    let at_start = rule.is_some_and(|rule| rule.hintless || (rule.reason.is_some() && rule.footer.is_none()));
    evidence.hint
        || at_start
        || (choice && (asks || evidence.boxed || keys > 0 || rule.is_some()))
        || (evidence.boxed && asks)
}

/// Whether more than one line of the list is pointed at: none is, then.
fn pointed_twice(rows: &[Row<'_>], list: &List) -> bool {
    let pointed = |row: &&Row<'_>| {
        let it = item(row);
        row.depth == list.depth
            && row.col == list.left
            && row.is_text()
            && (it.pointer || it.radio == Some(true))
    };
    list.by == By::Mark && rows[list.first..=list.last].iter().filter(pointed).count() != 1
}

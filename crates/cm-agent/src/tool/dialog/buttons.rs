//! Reads dialogs whose options stand side by side, one of them marked or coloured (PURE).

use super::hints::{chooses, is_hint};
use super::item::split_label;
use super::judge::{BULLETS, Evidence};
use super::list::{By, Choice, List};
use super::read::{body_of, kind_by_labels, options_of, pair, prompt, rule_for};
use super::{FoundPrompt, Layout, about, judge};
use crate::tool::profile::Facts;
use crate::tool::region::{Row, style_at};
use crate::tool::screen::{Screen, width};
use crate::tool::styled::Style;

/// How far above the last text the buttons may be.
const REACH: usize = 14;
/// The longest text on a button.
const LONGEST_BUTTON: usize = 40;

struct Button<'a> {
    col: usize,
    label: &'a str,
    marked: bool,
    unmarked: bool,
}

/// The dialog with buttons at the bottom of a screen.
pub fn find(facts: &Facts, screen: &Screen, rows: &[Row<'_>]) -> Option<FoundPrompt> {
    for at in (rows.len().saturating_sub(REACH)..rows.len()).rev() {
        let row = &rows[at];
        if !row.is_text() || row.text.starts_with(BULLETS) && !row.text.starts_with('●') {
            continue;
        }
        let (buttons, hinted) = buttons(row);
        let labels: Vec<&str> = buttons.iter().map(|button| button.label).collect();
        if buttons.len() < 2 || pair(&labels) != (true, true) {
            continue;
        }
        let selected = selected(screen, row, &buttons);
        let options: Vec<Choice> = buttons
            .iter()
            .enumerate()
            .map(|(i, button)| {
                let (label, keys) = split_label(button.label, false);
                Choice { label, keys, selected: selected == Some(i), ..Choice::default() }
            })
            .collect();
        let list = List {
            first: at,
            last: at,
            left: row.col,
            depth: row.depth,
            options,
            by: if buttons.iter().any(|b| b.marked) { By::Mark } else { By::Colour },
            scrolled: false,
        };
        let evidence = judge::below(rows, &list)?;
        let framed = facts.input.as_ref().is_some_and(|input| input.framed_dialogs);
        let top = judge::top(rows, &list, framed)?;
        if judge::in_code(rows, top, &list)
            || judge::cursor_speaks_against(screen, rows, &list, Evidence::default(), false)
        {
            return None;
        }
        if !(hinted || evidence.hint || evidence.boxed && selected.is_some()) {
            return None;
        }
        let body = body_of(rows, top, at);
        let question = about::question(body);
        let asked = question.as_deref().unwrap_or("");
        let rule = rule_for(facts, asked, body, &rows[..top], labels[0]);
        let kind = rule.map_or_else(|| kind_by_labels(&labels, asked, body), |rule| rule.kind);
        let mut options = options_of(facts, kind, &list.options);
        super::read::allow_as(rule, &mut options);
        let found = prompt(rule, kind, question, body, &rows[top..=at], options);
        return Some(FoundPrompt { layout: Layout::Horizontal, ..found });
    }
    None
}

/// The buttons of a row, and whether the row also says which keys choose.
fn buttons<'a>(row: &Row<'a>) -> (Vec<Button<'a>>, bool) {
    if row.text.starts_with('<') && row.text.ends_with('>') {
        return (angled(row), false);
    }
    let mut found = Vec::new();
    let mut hinted = false;
    let mut col = row.col;
    for piece in row.text.split("  ") {
        let start = piece.len() - piece.trim_start().len();
        let text = piece.trim().trim_start_matches(['/', '|']).trim_start();
        let at = col + start + (width(piece.trim()) - width(text));
        col += width(piece) + 2;
        if text.is_empty() {
            continue;
        }
        // Keys stand behind the buttons, and may be cut off at the edge.
        if is_hint(text) || hinted {
            hinted |= chooses(text) || is_hint(text);
            continue;
        }
        if found.len() > 8 || width(text) > LONGEST_BUTTON {
            return (Vec::new(), false);
        }
        found.push(button(text, at));
    }
    (found, hinted)
}

/// `< Yes >    < No >`.
fn angled<'a>(row: &Row<'a>) -> Vec<Button<'a>> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(open) = row.text[at..].find('<').map(|n| at + n) {
        let Some(close) = row.text[open..].find('>').map(|n| open + n) else { break };
        let label = row.text[open + 1..close].trim();
        let col = row.col + width(&row.text[..open]) + 1;
        found.push(Button { col, label, marked: false, unmarked: false });
        at = close + 1;
    }
    found
}

fn button(text: &str, col: usize) -> Button<'_> {
    for (mark, on) in
        [("❯ ", true), ("› ", true), ("▶ ", true), ("▸ ", true), ("● ", true), ("○ ", false), ("> ", true)]
    {
        if let Some(label) = text.strip_prefix(mark) {
            return Button { col: col + 2, label: label.trim(), marked: on, unmarked: !on };
        }
    }
    for (open, close) in [('<', '>'), ('[', ']')] {
        if let Some(label) = text.strip_prefix(open).and_then(|text| text.strip_suffix(close)) {
            return Button { col: col + 1, label: label.trim(), marked: false, unmarked: false };
        }
    }
    Button { col, label: text, marked: false, unmarked: false }
}

/// Which button is the highlighted one: the marked one, or the one that is coloured unlike the others.
fn selected(screen: &Screen, row: &Row<'_>, buttons: &[Button<'_>]) -> Option<usize> {
    let only = |test: &dyn Fn(&Button<'_>) -> bool| {
        let mut hits = buttons.iter().enumerate().filter(|(_, button)| test(button)).map(|(i, _)| i);
        hits.next().filter(|_| hits.next().is_none())
    };
    if buttons.iter().any(|button| button.marked || button.unmarked) {
        return only(&|button| button.marked);
    }
    let style = |button: &Button<'_>| style_at(screen, row.at, button.col);
    only(&|button| style(button).reverse)
        .or_else(|| only(&|button| style(button).back != 0))
        .or_else(|| only(&|button| is_vivid(style(button).back)))
        .or_else(|| odd_one(buttons.iter().map(|button| style(button).back)))
        .or_else(|| odd_one(buttons.iter().map(|button| key(style(button)))))
}

fn key(style: Style) -> u64 {
    u64::from(style.front) << 2 | u64::from(style.bold) << 1 | u64::from(style.dim)
}

/// The one of three or more that differs from the others, which are alike.
fn odd_one<T: PartialEq>(values: impl Iterator<Item = T>) -> Option<usize> {
    let values: Vec<T> = values.collect();
    if values.len() < 3 {
        return None;
    }
    let differs = |i: &usize| values.iter().filter(|other| **other == values[*i]).count() == 1;
    let odd: Vec<usize> = (0..values.len()).filter(differs).collect();
    match odd.as_slice() {
        [one] if values.iter().filter(|v| **v != values[*one]).count() == values.len() - 1 => Some(*one),
        _ => None,
    }
}

/// Whether a background is a colour and no grey.
fn is_vivid(back: u32) -> bool {
    let Some(colour) = back.checked_sub(1) else { return false };
    if colour >= 1 << 24 {
        let (red, green, blue) = ((colour >> 16) & 255, (colour >> 8) & 255, colour & 255);
        return red.max(green).max(blue) - red.min(green).min(blue) > 40;
    }
    !(232..=255).contains(&colour) && !matches!(colour, 0 | 7 | 8 | 15 | 16 | 231)
}

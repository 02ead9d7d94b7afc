//! Finds the list a dialog lets choose from: lines under each other, one of them pointed at (PURE).

use super::hints::{is_hint, is_scroll_mark};
use super::item::{Item, before_gap, item, split_label};
use crate::tool::region::{Edge, Row};

/// The most options of one list.
const MOST_OPTIONS: usize = 40;
/// Rows of a wrapped label or a description between two options.
const MOST_BETWEEN: usize = 8;

/// A list with one line pointed at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct List {
    /// The row of the first option, counted in the rows given.
    pub first: usize,
    /// The last row that belongs to it.
    pub last: usize,
    /// The column of the pointer.
    pub left: usize,
    /// How deep it is framed.
    pub depth: u8,
    /// What can be chosen.
    pub options: Vec<Choice>,
    /// How it is known which one is pointed at.
    pub by: By,
    /// Options before the first are out of sight.
    pub scrolled: bool,
}

/// How it is known which option is pointed at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    /// A pointer or radio mark.
    Mark,
    /// Its colours alone.
    Colour,
}

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Choice {
    /// Its label without number, marks and keys.
    pub label: String,
    /// Its number.
    pub number: Option<u32>,
    /// The keys drawn for it, without its number.
    pub keys: Vec<String>,
    /// It is pointed at.
    pub selected: bool,
    /// It has a check box.
    pub check: Option<bool>,
}

impl Choice {
    /// The key that takes it, as it is drawn: a letter or Esc before a number, a number before the rest.
    pub fn key(&self) -> Option<String> {
        let plain = self.keys.iter().find(|key| key.chars().count() == 1 || *key == "esc");
        plain.cloned().or_else(|| self.number.map(|n| n.to_string())).or_else(|| self.keys.first().cloned())
    }
}

/// The list whose pointed-at line is `at`, if there is one around it.
pub fn around(rows: &[Row<'_>], at: usize) -> Option<List> {
    let pointed = item(&rows[at]);
    let marked = pointed.pointer || pointed.radio == Some(true);
    let by = if marked { By::Mark } else { By::Colour };
    if pointed.text.is_empty() {
        return None;
    }
    // The line that ends a list of boxes is none of its lines.
    let from = boxes_above(rows, at).unwrap_or(at);
    let grower = Grower { rows, pointed: item(&rows[from]), at, depth: rows[at].depth, by };
    let numbered = grower.pointed.number.is_some();
    let mut starts = if numbered { grower.numbered(from) } else { grower.plain(from) };
    starts.sort_unstable();
    let (&first, &last_start) = (starts.first()?, starts.last()?);
    if !(2..=MOST_OPTIONS).contains(&starts.len()) || (by == By::Colour && odd_one(rows, &starts) != Some(at))
    {
        return None;
    }
    let last = grower.end_of_last(last_start);
    let bottom = item(&rows[last_start]);
    let closed = |row: &&Row<'_>| bottom.check.is_some() && row.is_text() && ends(&item(row), &bottom);
    let last = rows.get(last + 1).filter(closed).map_or(last, |_| last + 1);
    let scrolled = rows[..first].iter().rev().take(2).any(|row| is_scroll_mark(row.text));
    if item(&rows[first]).number.is_some_and(|n| n > 1) && !scrolled {
        return None;
    }
    let mut options = Vec::with_capacity(starts.len());
    for (i, &start) in starts.iter().enumerate() {
        let end = starts.get(i + 1).copied().unwrap_or(last + 1);
        options.push(Choice { selected: start == at, ..choice(&rows[start..end]) });
        options.extend(beside_boxes(&rows[start..end]));
    }
    let left = rows[at].col;
    Some(List { first, last, left, depth: rows[at].depth, options, by, scrolled })
}

/// A numbered list with nothing pointed at, and its first row.
pub fn unmarked(rows: &[Row<'_>]) -> Option<(usize, Vec<Choice>)> {
    let starts: Vec<usize> =
        (0..rows.len()).filter(|at| rows[*at].is_text() && item(&rows[*at]).number.is_some()).collect();
    let items: Vec<Item<'_>> = starts.iter().map(|at| item(&rows[*at])).collect();
    let counts =
        items.iter().zip(1..).all(|(it, n)| it.number == Some(n) && it.align.abs_diff(items[0].align) <= 1);
    let choices = starts
        .iter()
        .enumerate()
        .map(|(i, &start)| choice(&rows[start..starts.get(i + 1).copied().unwrap_or(rows.len())]));
    (counts && starts.len() >= 2).then(|| (starts[0], choices.collect()))
}

/// How a line is called that ends a list of check boxes.
const ENDS: [&str; 5] = ["Submit", "Next", "Done", "Continue", "Confirm"];

/// The line without a number below the last check box, under the boxes: `Submit`.
fn beside_boxes(rows: &[Row<'_>]) -> Option<Choice> {
    let it = item(&rows[0]);
    it.check?;
    let end = rows[1..].iter().filter(|row| row.is_text()).map(item).find(|end| ends(end, &it))?;
    Some(Choice { label: end.text.to_owned(), selected: end.pointer, ..Choice::default() })
}

fn ends(end: &Item<'_>, last: &Item<'_>) -> bool {
    end.label_col == last.align + 1 && end.number.is_none() && ENDS.contains(&end.text)
}

/// The last check box above a line that ends their list.
fn boxes_above(rows: &[Row<'_>], at: usize) -> Option<usize> {
    let near = &rows[at.saturating_sub(MOST_BETWEEN)..at];
    let is_box = |row: &Row<'_>| row.is_text() && row.depth == rows[at].depth && item(row).check.is_some();
    let last = near.iter().rposition(is_box)? + at - near.len();
    ends(&item(&rows[at]), &item(&rows[last])).then_some(last)
}

/// Reads an option from its rows: the label may be wrapped, and a description may follow.
fn choice(rows: &[Row<'_>]) -> Choice {
    let it = item(&rows[0]);
    let (text, described) = before_gap(it.text);
    let mut label = text.to_owned();
    if !described {
        for pair in rows.windows(2) {
            let (before, next) = (&pair[0], &pair[1]);
            if !next.is_text() || next.col + 1 < it.label_col || !before.wraps_into(next) {
                break;
            }
            label.push(' ');
            label.push_str(next.text);
        }
    }
    // A key may stand apart on the right: `Approve      [Alt+1]`.
    let apart = it.text[text.len()..].trim();
    let apart = apart.strip_prefix(['[', '(']).and_then(|text| text.strip_suffix([']', ')']));
    let (label, mut keys) = split_label(label.trim_end_matches([' ', '✔', '✓']), it.number.is_some());
    keys.extend(apart.and_then(super::hints::key_name));
    if let Some(key) = it.bracket.and_then(super::hints::key_name) {
        keys.insert(0, key);
    }
    Choice { label, number: it.number, keys, selected: false, check: it.check }
}

struct Grower<'r, 'a> {
    rows: &'r [Row<'a>],
    pointed: Item<'a>,
    /// The row that is pointed at.
    at: usize,
    depth: u8,
    by: By,
}

impl Grower<'_, '_> {
    /// Whether a row is a line of the same list, not pointed at.
    fn is_sibling(&self, row: &Row<'_>) -> bool {
        let it = item(row);
        row.depth == self.depth
            && row.is_text()
            && !it.pointer
            && it.radio != Some(true)
            && (it.radio.is_none() || self.pointed.radio.is_some())
            && it.body == self.pointed.body
            && it.number.is_some() == self.pointed.number.is_some()
            && it.check.is_some() == self.pointed.check.is_some()
            && !it.text.is_empty()
    }

    /// The rows of a numbered list: numbers one after another in one column, with whatever describes them in
    /// between.
    fn numbered(&self, at: usize) -> Vec<usize> {
        let mut starts = vec![at];
        let number = self.pointed.number.unwrap_or(0);
        let mut want = number;
        let mut from = at;
        while let Some(next) = self.next_numbered(from, want + 1, 1) {
            starts.push(next);
            (from, want) = (next, want + 1);
        }
        (from, want) = (at, number);
        while want > 1 {
            let Some(before) = self.next_numbered(from, want - 1, -1) else { break };
            starts.push(before);
            (from, want) = (before, want - 1);
        }
        starts
    }

    fn next_numbered(&self, from: usize, want: u32, step: isize) -> Option<usize> {
        let mut at = from;
        let (mut blanks, mut rules) = (0, 0);
        for _ in 0..=MOST_BETWEEN {
            at = at.checked_add_signed(step).filter(|at| *at < self.rows.len())?;
            let row = &self.rows[at];
            let it = item(row);
            if it.number == Some(want)
                && row.depth == self.depth
                && it.align.abs_diff(self.pointed.align) <= 1
                && !it.pointer
                && it.radio != Some(true)
            {
                return Some(at);
            }
            match row.edge {
                Some(Edge::Rule | Edge::Dashed) => rules += 1,
                Some(Edge::Top | Edge::Bottom) => return None,
                None => {}
            }
            blanks += usize::from(row.is_blank());
            // What describes an option is no mark, no other list, and stands under its number.
            let foreign = row.is_text()
                && at != self.at
                && (it.pointer
                    || it.radio.is_some()
                    || row.col < self.pointed.body
                    || row.depth < self.depth);
            if foreign || blanks > 1 || rules > 1 {
                return None;
            }
        }
        None
    }

    /// The rows of a list without numbers: lines in one column without anything in between but what is
    /// further right.
    fn plain(&self, at: usize) -> Vec<usize> {
        let mut starts = vec![at];
        for step in [1, -1] {
            let mut here = at;
            let (mut between, mut deeper) = (0, false);
            while let Some(next) = here.checked_add_signed(step).filter(|next| *next < self.rows.len()) {
                let row = &self.rows[next];
                let ends = is_hint(row.text) || (step < 0 && row.text.ends_with(['?', ':']));
                if self.is_sibling(row) && !ends {
                    starts.push(next);
                    (between, deeper) = (0, false);
                } else if row.is_text()
                    && row.depth == self.depth
                    && row.col > self.pointed.body
                    && between < MOST_BETWEEN
                    && self.by == By::Mark
                {
                    (between, deeper) = (between + 1, true);
                } else if row.is_blank() && (deeper || step < 0) && self.blank_within(next, step) {
                    between += 1;
                } else {
                    break;
                }
                here = next;
            }
        }
        starts
    }

    /// Whether a blank row stands between two described options.
    fn blank_within(&self, blank: usize, step: isize) -> bool {
        let described = |at: Option<usize>| {
            at.and_then(|at| self.rows.get(at))
                .is_some_and(|row| row.is_text() && row.col > self.pointed.body)
        };
        let sibling = |at: Option<usize>| {
            at.and_then(|at| self.rows.get(at)).is_some_and(|row| self.is_sibling(row) && !is_hint(row.text))
        };
        let (above, below) = (blank.checked_sub(1), blank.checked_add(1));
        let next = if step > 0 { sibling(below) } else { true };
        described(above) && next && (step > 0 || self.rows.get(blank + 1).is_some())
    }

    /// The last row of the last option: its wrapped label and description.
    fn end_of_last(&self, start: usize) -> usize {
        let label_col = item(&self.rows[start]).label_col;
        let mut last = start;
        for at in start + 1..self.rows.len().min(start + 1 + MOST_BETWEEN) {
            let row = &self.rows[at];
            let belongs = row.is_text()
                && row.depth == self.depth
                && (row.col >= label_col
                    || (row.col > self.pointed.body && self.rows[at - 1].wraps_into(row)))
                && !is_hint(row.text)
                && !item(row).pointer;
            if !belongs {
                break;
            }
            last = at;
        }
        last
    }
}

/// Which of these rows is drawn unlike the others, which are alike: by its background, else by its letters.
fn odd_one(rows: &[Row<'_>], starts: &[usize]) -> Option<usize> {
    let only = |key: &dyn Fn(&Row<'_>) -> u64, least: usize| {
        let keys: Vec<u64> = starts.iter().map(|&at| key(&rows[at])).collect();
        let count = |value: u64| keys.iter().filter(|other| **other == value).count();
        let odd = keys.iter().position(|key| count(*key) == 1)?;
        let alike =
            keys.iter().enumerate().filter(|(i, _)| *i != odd).all(|(_, key)| count(*key) == keys.len() - 1);
        (alike && keys.len() >= least).then(|| starts[odd])
    };
    let back = |row: &Row<'_>| u64::from(row.style.back) << 1 | u64::from(row.style.reverse);
    let letters = |row: &Row<'_>| u64::from(row.style.front) << 1 | u64::from(row.style.bold);
    // Of two that differ, the one is meant that is unlike the rows around them.
    let around = starts.iter().flat_map(|at| [at.wrapping_sub(1), at + 1]).filter_map(|at| rows.get(at));
    let plain: Vec<u64> = around.map(back).collect();
    let foreign: Vec<usize> =
        starts.iter().copied().filter(|at| !plain.contains(&back(&rows[*at]))).collect();
    match foreign.as_slice() {
        [one] => Some(*one),
        _ => only(&back, 3).or_else(|| only(&letters, 3)),
    }
}

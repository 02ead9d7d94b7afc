//! Finds the box one types into, and what stands in it (PURE).

use crate::tool::dialog::{begins_input, is_hint, item};
use crate::tool::profile::{InputBox, Shape, Transcript};
use crate::tool::region::{Edge, Row, style_at};
use crate::tool::screen::Screen;

/// The rows a box with a long text may have.
const TALLEST: usize = 24;
/// The rows with text that may stand below a box: mode line, hints, a menu of completions.
const MOST_BELOW: usize = 60;

/// A box one types into.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Input {
    /// Its first row, counted in the rows given.
    pub(super) top: usize,
    /// Its last one.
    pub(super) bottom: usize,
    /// What its first line begins with.
    pub(super) mark: String,
    /// Text stands in it that nobody has sent.
    pub(super) draft: bool,
}

/// The box at the bottom of a screen.
pub(super) fn find(own: &InputBox, past: &Transcript, screen: &Screen, rows: &[Row<'_>]) -> Option<Input> {
    if let Some(view) = &own.view
        && let Some(at) = rows.iter().rposition(Row::is_text).filter(|at| view.is_match(rows[*at].text))
    {
        let top = rows[..at].iter().rposition(|row| row.edge == Some(Edge::Rule)).unwrap_or(at);
        return Some(Input { top, bottom: at, mark: String::new(), draft: true });
    }
    if own.shape == Shape::Bar {
        return barred(own, screen, rows);
    }
    if own.shape == Shape::Any
        && let Some(found) = empty_box(rows)
    {
        return Some(found);
    }
    for at in (0..rows.len()).rev() {
        if !has_mark(own, &rows[at]) {
            // What the tool wrote, or a dialog's box, ends the search: the box is the last thing.
            if below_is_over(past, &rows[at..]) {
                return None;
            }
            continue;
        }
        let found = match own.shape {
            Shape::Rules => between_rules(rows, at),
            Shape::Boxed => boxed(rows, at),
            Shape::Framed => between_rules(rows, at).or_else(|| boxed(rows, at)),
            Shape::Line => line(own, rows, at),
            Shape::Any | Shape::Bar | Shape::Cursor => {
                between_rules(rows, at).or_else(|| boxed(rows, at)).or_else(|| open_line(screen, rows, at))
            }
        };
        if let Some((top, bottom)) = found {
            let after = &rows[bottom + 1..];
            let footed = own.footer.as_ref().is_none_or(|f| after.iter().any(|row| f.is_match(row.text)));
            let texts = after.iter().filter(|row| row.is_text()).count();
            let boxes = after.iter().any(|row| row.edge == Some(Edge::Top));
            if footed && !boxes && texts <= MOST_BELOW && !after.iter().any(|row| is_past(past, row)) {
                let mark = mark_of(own, &rows[at]);
                let draft = has_draft(own, screen, &rows[at..=bottom], &mark);
                return Some(Input { top, bottom, mark, draft });
            }
        }
    }
    None
}

/// The line the cursor is on, if it is one to type into: below a rule, and beginning with the tool's mark.
pub(super) fn at_cursor(own: &InputBox, screen: &Screen, rows: &[Row<'_>]) -> Option<Input> {
    let here = rows.iter().rposition(|row| row.at <= usize::from(screen.cursor.row))?;
    let rule = rows[..=here].iter().rposition(|row| row.edge == Some(Edge::Rule))?;
    let first = rule + 1;
    let is_line = rows.get(first).is_some_and(|row| has_mark(own, row));
    let wrapped = rows.get(first..=here)?.windows(2).all(|two| two[0].wraps_into(&two[1]));
    let mark = mark_of(own, rows.get(first)?);
    (is_line && wrapped).then(|| {
        let draft = has_draft(own, screen, &rows[first..=here], &mark);
        Input { top: rule, bottom: here, mark, draft }
    })
}

fn has_mark(own: &InputBox, row: &Row<'_>) -> bool {
    if own.marks.is_empty() {
        return begins_input(row) || (row.is_text() && item(row).pointer);
    }
    row.is_text()
        && own.marks.iter().any(|mark| {
            row.text
                .strip_prefix(mark.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '\u{a0}']))
        })
}

fn mark_of(own: &InputBox, row: &Row<'_>) -> String {
    let known = own.marks.iter().find(|mark| row.text.starts_with(mark.as_str()));
    known.cloned().unwrap_or_else(|| row.text.chars().take(1).collect())
}

fn below_is_over(past: &Transcript, rows: &[Row<'_>]) -> bool {
    rows.first().is_some_and(|row| is_past(past, row))
}

fn is_past(past: &Transcript, row: &Row<'_>) -> bool {
    row.is_text() && row.depth == 0 && past.piece.as_ref().is_some_and(|piece| piece.is_match(&padded(row)))
}

/// A row's text with the blanks before it, which tell a piece of a transcript from what it quotes.
pub(super) fn padded(row: &Row<'_>) -> String {
    format!("{:1$}{2}", "", row.col, row.text)
}

fn between_rules(rows: &[Row<'_>], at: usize) -> Option<(usize, usize)> {
    let above = at.checked_sub(1).filter(|above| rows[*above].edge == Some(Edge::Rule))?;
    let below = rows[at + 1..].iter().take(TALLEST).position(|row| row.edge == Some(Edge::Rule))?;
    let bottom = at + 1 + below;
    // Only what was typed stands between the rules, and no box.
    rows[at..bottom].iter().all(|row| row.edge.is_none()).then_some((above, bottom))
}

fn boxed(rows: &[Row<'_>], at: usize) -> Option<(usize, usize)> {
    if rows[at].depth == 0 {
        return None;
    }
    let top =
        rows[..at].iter().rev().take(3).position(|row| row.edge == Some(Edge::Top)).map(|n| at - 1 - n)?;
    let below = rows[at..].iter().take(TALLEST).position(|row| row.edge == Some(Edge::Bottom))?;
    let bottom = at + below;
    rows[top + 1..bottom].iter().all(|row| row.edge.is_none() && row.depth > 0).then_some((top, bottom))
}

/// A closed box with nothing in it at the bottom, of a tool nothing is known of.
fn empty_box(rows: &[Row<'_>]) -> Option<Input> {
    let bottom = rows.iter().rposition(|row| row.edge == Some(Edge::Bottom) && row.depth == 0)?;
    let top = rows[..bottom].iter().rposition(|row| row.edge == Some(Edge::Top))?;
    let inner = &rows[top + 1..bottom];
    let empty = !inner.is_empty() && inner.len() <= 6 && inner.iter().all(|row| row.closed && row.is_blank());
    let below = rows[bottom + 1..].iter().filter(|row| row.is_text()).count();
    (empty && below <= 3).then(|| Input { top, bottom, mark: "│".to_owned(), draft: false })
}

/// Behind a bar on the left that ends in a line; its last text is the mode line.
fn barred(own: &InputBox, screen: &Screen, rows: &[Row<'_>]) -> Option<Input> {
    let bottom = rows.iter().rposition(|row| row.edge == Some(Edge::Bottom) && row.text.starts_with('╹'))?;
    let top = rows[..bottom].iter().rposition(|row| row.depth == 0).map_or(0, |n| n + 1);
    let texts: Vec<Row<'_>> = rows[top..bottom].iter().filter(|row| row.is_text()).copied().collect();
    let (_mode, typed) = texts.split_last()?;
    let below = rows[bottom + 1..].iter().filter(|row| row.is_text()).count();
    let draft = !typed.is_empty() && has_draft(own, screen, typed, "");
    (below <= MOST_BELOW).then(|| Input { top, bottom, mark: "┃".to_owned(), draft })
}

/// A line in the open, of a tool known to have one.
fn line(own: &InputBox, rows: &[Row<'_>], at: usize) -> Option<(usize, usize)> {
    let free = at.checked_sub(1).is_none_or(|above| !rows[above].is_text());
    if rows[at].col > 0 || !free {
        return None;
    }
    let text = rows[at + 1..].iter().take_while(|row| row.is_text() && row.col > 0).count();
    let bottom = at + text;
    let last_mark = !rows[at + 1..].iter().any(|row| row.col == 0 && has_mark(own, row));
    (text <= TALLEST && last_mark).then_some((at, bottom))
}

/// A line in the open, of a tool nothing is known of: empty or with the cursor on it, and hints at most below.
fn open_line(screen: &Screen, rows: &[Row<'_>], at: usize) -> Option<(usize, usize)> {
    let row = &rows[at];
    let it = item(row);
    let here = screen.cursor.visible && usize::from(screen.cursor.row) == row.at;
    let free = at.checked_sub(1).is_none_or(|above| !rows[above].is_text());
    let below = rows[at + 1..].iter().filter(|row| row.is_text()).all(|row| {
        is_hint(row.text)
            || row.text.contains(" · ")
            || row.text.contains("for shortcuts")
            || row.text.contains("   ")
    });
    let dim = style_at(screen, row.at, it.label_col + 1).dim;
    let inviting = it.text.to_lowercase();
    let invites =
        ["ask ", "type ", "send ", "message ", "enter your ", "what ", "describe ", "plan, ", "add a "]
            .iter()
            .any(|word| inviting.starts_with(word));
    (row.depth == 0 && it.number.is_none() && free && below && (it.text.is_empty() || here || dim || invites))
        .then_some((at, at))
}

/// Whether somebody has typed into the box.
fn has_draft(own: &InputBox, screen: &Screen, rows: &[Row<'_>], mark: &str) -> bool {
    let Some(first) = rows.first() else { return false };
    let text = first.text.strip_prefix(mark).unwrap_or(first.text).trim_start_matches([' ', '\u{a0}']).trim();
    if text.is_empty() {
        return rows[1..].iter().any(Row::is_text);
    }
    if own.placeholder.iter().any(|pattern| pattern.is_match(text)) {
        return false;
    }
    // A placeholder is drawn dim; the cursor may stand on its first letter.
    let col = first.col + crate::tool::screen::width(first.text) - crate::tool::screen::width(text);
    !(style_at(screen, first.at, col).dim || style_at(screen, first.at, col + 1).dim)
}

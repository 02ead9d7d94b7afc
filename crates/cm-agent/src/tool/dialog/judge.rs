//! Whether a list on the screen is a dialog that waits now, or text that looks like one (PURE).
//!
//! What counts is where it stands: at the bottom, nothing of the tool's after it, not under a bullet of the
//! transcript, not in a code block, its box closed.

use super::hints::{chooses, is_hint, is_scroll_mark, is_status, notes_key};
use super::item::item;
use super::list::{By, List};
use crate::tool::region::{Edge, Row};
use crate::tool::screen::Screen;

/// Status rows of the tool that may stand below a dialog.
const MOST_STATUS: usize = 2;

/// What speaks for a dialog.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Evidence {
    /// A line below it, or in it, names the keys that choose.
    pub hint: bool,
    /// It stands in a closed box.
    pub boxed: bool,
}

/// What begins a piece of a transcript.
pub const BULLETS: [char; 12] = ['⏺', '●', '•', '✦', '⎿', '└', '∙', '◦', '■', '✻', '↳', '⧉'];

/// Whether nothing but what belongs to a dialog stands below its list, and what speaks for it there.
pub fn below(rows: &[Row<'_>], list: &List) -> Option<Evidence> {
    let mut evidence = Evidence::default();
    let framed = list.depth > 0 && rows[list.first].closed;
    let mut inside = framed;
    // How many boxes around the list are still open: one in another's may be what a command would print.
    let mut open = if framed { list.depth } else { 0 };
    let mut status = 0;
    let mut preview = false;
    for (at, row) in rows.iter().enumerate().skip(list.last + 1) {
        // What stands between thin lines is shown, not said.
        preview ^= row.edge == Some(Edge::Dashed);
        if preview {
            continue;
        }
        if inside && row.depth >= list.depth && row.edge != Some(Edge::Bottom) {
            // Whatever a box holds belongs to it.
            evidence.hint |= is_hint(row.text) && chooses(row.text);
            continue;
        }
        match row.edge {
            Some(Edge::Bottom) => {
                inside = false;
                open = open.min(row.depth);
                evidence.boxed |= framed || row.depth < list.depth;
                continue;
            }
            Some(Edge::Top) => return None,
            Some(Edge::Rule | Edge::Dashed) => continue,
            None => {}
        }
        if row.is_blank() || is_scroll_mark(row.text) {
            continue;
        }
        let before = &rows[at - 1];
        if is_hint(row.text) {
            evidence.hint |= chooses(row.text);
        } else if notes_key(row.text)
            || (is_hint(before.text) && before.wraps_into(row))
            || takes_note(rows, at, list)
        {
            // Said about the dialog, or written in it.
        } else if is_status(row.text) && !begins_input(row) {
            status += 1;
        } else {
            return None;
        }
    }
    // A box that is not closed is not drawn to its end.
    (open == 0 && status <= MOST_STATUS && !(status > 0 && !evidence.hint && !evidence.boxed))
        .then_some(evidence)
}

/// Whether a line to write a note on belongs to the list: in its column, with a hint about notes below.
fn takes_note(rows: &[Row<'_>], at: usize, list: &List) -> bool {
    let row = &rows[at];
    list.left > 0
        && row.col == list.left
        && begins_input(row)
        && rows[at + 1..].iter().any(|row| is_hint(row.text) && row.text.contains("note"))
}

/// Whether a row looks like a box one types into.
pub fn begins_input(row: &Row<'_>) -> bool {
    let it = item(row);
    it.pointer && it.number.is_none()
}

/// Where the dialog begins: the first row after the rule, box or piece of transcript above it. `None` if the
/// list stands in the transcript.
pub fn top(rows: &[Row<'_>], list: &List, needs_frame: bool) -> Option<usize> {
    let mut blanks = 0;
    let mut texts = 0;
    for at in (0..list.first).rev() {
        let row = &rows[at];
        let framed = list.depth > 0 && row.depth < list.depth;
        if framed && !rows[list.first].closed && row.edge.is_none() {
            // A bar on the left ends here; what stands directly above it is its heading.
            return Some(if row.is_text() { at } else { at + 1 });
        }
        match row.edge {
            Some(Edge::Top) if framed || (list.depth == 0 && row.depth == 0) => return Some(at + 1),
            // A line across inside a box parts what is in it.
            Some(Edge::Rule)
                if row.depth <= list.depth && !row.text.starts_with(['├', '┝', '┠', '╟', '╠']) =>
            {
                return Some(at + 1);
            }
            _ => {}
        }
        if row.is_blank() {
            blanks += 1;
            if blanks >= 2 && texts > 0 && !needs_frame {
                return Some(at + 1);
            }
            continue;
        }
        blanks = 0;
        if row.depth == 0 && list.depth == 0 || framed {
            texts += usize::from(row.is_text());
            if in_transcript(row) && row.col <= list.left {
                // What is indented under a bullet is a part of it.
                let apart = rows[at + 1..list.first].windows(2).any(|two| two.iter().all(Row::is_blank));
                if row.col < list.left && !apart || needs_frame {
                    return None;
                }
                return Some(after_paragraph(rows, at, list.first));
            }
        }
    }
    Some(0)
}

fn in_transcript(row: &Row<'_>) -> bool {
    let mut chars = row.text.chars();
    row.is_text()
        && chars.next().is_some_and(|c| BULLETS.contains(&c) || "❯›>".contains(c))
        && chars.next() == Some(' ')
        && item(row).number.is_none()
}

/// The row after the paragraph that begins at `at`.
fn after_paragraph(rows: &[Row<'_>], at: usize, end: usize) -> usize {
    (at + 1..end).find(|&row| rows[row].is_blank()).unwrap_or(at + 1)
}

/// Whether the dialog stands in a block of code: an odd number of fences above it.
pub fn in_code(rows: &[Row<'_>], top: usize, list: &List) -> bool {
    let fences = |rows: &[Row<'_>]| rows.iter().filter(|row| row.text.starts_with("```")).count();
    let until = rows[top..list.first].iter().rposition(|row| row.edge.is_some()).map_or(top, |i| top + i);
    fences(&rows[until..list.first]) % 2 == 1
}

/// Whether a shown cursor stands where no dialog has it: behind everything, where output goes on. `draws`: what
/// this tool prints stands above a box of its own, so that nothing it prints comes last.
///
/// Such a tool, or one on the alternate screen, may leave its cursor directly below a dialog that names its keys.
pub fn cursor_speaks_against(
    screen: &Screen,
    rows: &[Row<'_>],
    list: &List,
    evidence: Evidence,
    draws: bool,
) -> bool {
    let cursor = screen.cursor;
    if !cursor.visible {
        return false;
    }
    let row = usize::from(cursor.row);
    let end = rows.last().map_or(0, |row| row.at);
    let parked = row == end + 1 && evidence.hint && (draws || screen.alternate);
    row > end && cursor.col == 0 && list.by == By::Mark && !parked
}

/// Whether the list is the completion of what is typed: commands, files.
pub fn is_completion(list: &List) -> bool {
    list.options.iter().all(|option| option.label.starts_with(['/', '@']))
}

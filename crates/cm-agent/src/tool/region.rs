//! The rows of a screen without their frames, and what kind of row each is (PURE).
//!
//! Tools draw boxes, rules and bars around what they show. Here they are taken off, so that the rooms that
//! read dialogs and input boxes see text, its column, and how deep it is framed.

use super::screen::{Screen, char_width, width};
use super::styled::Style;

/// How many rows from the last one with text are looked at: no dialog is longer than a large screen.
const LOOK_BACK: usize = 120;

/// How many frames may lie around a text.
const DEEPEST: u8 = 4;

/// A row without its frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row<'a> {
    /// The row on the screen, from 0.
    pub at: usize,
    /// The column of the text's first character.
    pub col: usize,
    /// The text, blanks on both sides removed.
    pub text: &'a str,
    /// How many frames were on its left.
    pub depth: u8,
    /// The column at which text must end: the frame on the right, or the screen's edge.
    pub limit: usize,
    /// Whether a frame stands on the right too.
    pub closed: bool,
    /// What it is if it is no text.
    pub edge: Option<Edge>,
    /// How its first character is drawn.
    pub style: Style,
}

/// A row that is no text but a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Edge {
    /// A line across: `────`, `▄▄▄▄`.
    Rule,
    /// A thin line across: `╌╌╌╌`.
    Dashed,
    /// The top of a box.
    Top,
    /// The bottom of a box.
    Bottom,
}

impl Row<'_> {
    /// Whether it shows nothing.
    pub fn is_blank(&self) -> bool {
        self.text.is_empty() && self.edge.is_none()
    }

    /// Whether it is a text.
    pub fn is_text(&self) -> bool {
        !self.text.is_empty() && self.edge.is_none()
    }

    /// The column after the text's last character.
    pub fn end(&self) -> usize {
        self.col + width(self.text)
    }

    /// Whether `next` goes on where this row was full: a line the tool has wrapped.
    pub fn wraps_into(&self, next: &Row<'_>) -> bool {
        let word = next.text.split(' ').next().unwrap_or("");
        self.is_text()
            && next.is_text()
            && self.depth == next.depth
            && self.end() + 1 + width(word) + WRAP_MARGIN >= self.limit
    }
}

/// Columns a tool may leave free at the right of a text it wraps.
const WRAP_MARGIN: usize = 2;

/// The rows of a screen from the top, up to the last one with text.
pub fn rows(screen: &Screen) -> Vec<Row<'_>> {
    let widest = || screen.lines.iter().map(|line| width(line)).max().unwrap_or(0);
    let cols = if screen.cols == 0 { widest() } else { usize::from(screen.cols) };
    rows_within(screen, cols)
}

/// The same, of the first columns only: what stands further right is left out.
pub fn rows_within(screen: &Screen, cols: usize) -> Vec<Row<'_>> {
    let cut = |line: &'_ str| {
        let mut column = 0;
        let end = line.char_indices().find(|(_, c)| {
            column += char_width(*c);
            column > cols
        });
        end.map_or(line.len(), |(at, _)| at)
    };
    let line = |at: usize| &screen.lines[at][..cut(&screen.lines[at])];
    let end = (0..screen.lines.len()).rev().find(|at| !line(*at).trim().is_empty()).map_or(0, |at| at + 1);
    (end.saturating_sub(LOOK_BACK)..end).map(|at| row(screen, at, line(at), cols)).collect()
}

fn is_bar(c: char) -> bool {
    matches!(c, '│' | '┃' | '║' | '▌' | '▎' | '▏' | '▍' | '▐' | '▕' | '┆' | '┊' | '╎' | '┇' | '┋')
}

/// The style of one column of a screen's row.
pub fn style_at(screen: &Screen, row: usize, col: usize) -> Style {
    let spans = screen.spans(row);
    let found = spans.iter().find(|span| (usize::from(span.from)..usize::from(span.to)).contains(&col));
    found.map_or(Style::default(), |span| span.style)
}

fn row<'a>(screen: &Screen, at: usize, line: &'a str, cols: usize) -> Row<'a> {
    let mut rest = line.trim_end();
    let mut col = 0;
    let mut depth = 0;
    let mut limit = cols;
    let mut closed = false;
    loop {
        let text = rest.trim_start_matches([' ', '\u{a0}']);
        col += width(&rest[..rest.len() - text.len()]);
        rest = text;
        let mut chars = rest.chars();
        let Some(first) = chars.next().filter(|c| depth < DEEPEST && is_bar(*c)) else { break };
        let inner = chars.as_str();
        // A bar must stand apart from what it frames, or it is part of a drawing.
        if !inner.is_empty() && !inner.starts_with([' ', '\u{a0}']) {
            break;
        }
        depth += 1;
        let inner_trimmed = inner.trim_end();
        if let Some(last) = inner_trimmed.chars().next_back().filter(|c| is_bar(*c)) {
            let before = &inner_trimmed[..inner_trimmed.len() - last.len_utf8()];
            limit = col + 1 + width(before);
            closed = true;
            rest = &inner[..before.trim_end().len()];
            col += char_width(first);
            continue;
        }
        rest = inner;
        col += char_width(first);
    }
    let text = rest.trim_matches([' ', '\u{a0}']);
    let edge = edge_of(text);
    Row { at, col, text, depth, limit, closed, edge, style: style_at(screen, at, col) }
}

/// What kind of line a text is, if it is one. A title may stand in it.
fn edge_of(text: &str) -> Option<Edge> {
    let mut count = 0_usize;
    let (mut rule, mut dash) = (0_usize, 0_usize);
    for c in text.chars() {
        count += 1;
        match c {
            '─' | '━' | '═' | '▔' | '▁' | '▄' | '▀' | '╱' | '—' | '⎯' | '┄' | '┅' => {
                rule += 1
            }
            '╌' | '╍' | '┈' | '┉' => dash += 1,
            _ => {}
        }
    }
    let first = text.chars().next()?;
    let second_is_line = text.chars().nth(1).is_none_or(|c| "─━═╌╍┄┅▀▄".contains(c));
    match first {
        '╭' | '┌' | '┏' | '╔' | '╓' | '╒' if second_is_line && rule + dash >= 1 => {
            return Some(Edge::Top);
        }
        '╰' | '└' | '┗' | '╚' | '╙' | '╘' | '╹' if second_is_line && (rule + dash >= 1 || count == 1) =>
        {
            return Some(Edge::Bottom);
        }
        _ => {}
    }
    let starts = text.chars().take(2).all(|c| "─━═▔▁▄▀╱—⎯┄┅├┝┠╟╠".contains(c));
    if rule >= 6 && starts && rule * 2 >= count {
        return Some(Edge::Rule);
    }
    (dash >= 6 && dash * 2 >= count).then_some(Edge::Dashed)
}

/// Rows joined as a paragraph: a wrapped line is one line again, other line ends stay.
pub fn joined(rows: &[Row<'_>]) -> String {
    let mut text = String::new();
    let left = rows.iter().filter(|row| row.is_text()).map(|row| row.col).min().unwrap_or(0);
    for (i, row) in rows.iter().enumerate() {
        match i.checked_sub(1).map(|before| &rows[before]) {
            None => {}
            Some(before) if before.wraps_into(row) && row.col <= before.col.max(left) => text.push(' '),
            Some(_) => {
                text.push('\n');
                text.extend(std::iter::repeat_n(' ', row.col.saturating_sub(left)));
            }
        }
        text.push_str(row.text);
    }
    text
}

/// The same on one line.
pub fn one_line(rows: &[Row<'_>]) -> String {
    rows.iter().map(|row| row.text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::screen::tests::draw;

    fn check(line: &str, text: &str, col: usize, depth: u8, edge: Option<Edge>) {
        let screen = draw(line);
        let rows = rows(&screen);
        let row = rows.last().copied().expect("one row");
        assert_eq!((row.text, row.col, row.depth, row.edge), (text, col, depth, edge), "{line:?}");
    }

    #[test]
    fn frames_come_off() {
        check("  plain", "plain", 2, 0, None);
        check("│ in a box   │", "in a box", 2, 1, None);
        check("│ │ deeper   │ │", "deeper", 4, 2, None);
        check(" │ bar on the left", "bar on the left", 3, 1, None);
        check("  ┃  thick", "thick", 5, 1, None);
        check("│ a | b", "a | b", 2, 1, None);
        check("│no blank", "│no blank", 0, 0, None);
        check("│ ls │ wc", "ls │ wc", 2, 1, None);
        check("❯\u{a0}text", "❯\u{a0}text", 0, 0, None);
    }

    #[test]
    fn edges() {
        check("╭────────╮", "╭────────╮", 0, 0, Some(Edge::Top));
        check("╭─ Title ─────╮", "╭─ Title ─────╮", 0, 0, Some(Edge::Top));
        check("╰────────╯", "╰────────╯", 0, 0, Some(Edge::Bottom));
        check("└", "└", 0, 0, Some(Edge::Bottom));
        check("└ Read price.py", "└ Read price.py", 0, 0, None);
        check("────────────", "────────────", 0, 0, Some(Edge::Rule));
        check("▄▄▄▄▄▄▄▄▄▄", "▄▄▄▄▄▄▄▄▄▄", 0, 0, Some(Edge::Rule));
        check("╌╌╌╌╌╌╌╌", "╌╌╌╌╌╌╌╌", 0, 0, Some(Edge::Dashed));
        check("│ ╭──────╮ │", "╭──────╮", 2, 1, Some(Edge::Top));
        check("──", "──", 0, 0, None);
        check("— a dash begins it", "— a dash begins it", 0, 0, None);
    }

    #[test]
    fn wrapped_rows_are_joined() {
        let mut screen = draw("one two three\nfour five\nsix");
        screen.cols = 16;
        assert_eq!(joined(&rows(&screen)), "one two three four five\nsix");
    }
}

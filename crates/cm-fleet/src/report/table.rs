//! Tables that fit the terminal: columns as wide as their text, the elastic ones cut when it is narrow. PURE.

use cm_protocol::{Proof, State};

use super::clean::{fit, pad, width};
use super::paint::Paint;

/// Gap between two columns.
const GAP: usize = 2;
/// An elastic column is not cut below this.
const LEAST: usize = 8;

/// A cell: text, and how it is coloured once it has been cut and padded.
pub struct Cell {
    text: String,
    colour: fn(Paint, &str) -> String,
}

impl Cell {
    /// Text in a colour.
    pub fn coloured(text: impl Into<String>, colour: fn(Paint, &str) -> String) -> Self {
        Self { text: text.into(), colour }
    }

    /// A session's state in its colour.
    pub fn state(state: State) -> Self {
        let colour: fn(Paint, &str) -> String = match state {
            State::Done => Paint::good,
            State::Failed | State::Killed | State::Lost => Paint::bad,
            State::Waiting | State::Paused => Paint::attention,
            _ => |_, text| text.to_owned(),
        };
        Self::coloured(state.as_str(), colour)
    }

    /// What stands behind `done`.
    pub fn proof(proof: Option<Proof>) -> Self {
        match proof {
            Some(Proof::Verified) => Self::coloured("verified", Paint::good),
            Some(Proof::Claimed) => "claimed".into(),
            None => "".into(),
        }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), colour: |_, text| text.to_owned() }
    }
}

/// A column's heading, and how it behaves.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// The heading.
    pub title: &'static str,
    /// Numbers stand on the right.
    pub right: bool,
    /// May be cut where the terminal is narrow.
    pub elastic: bool,
}

impl Column {
    /// Text, never cut.
    pub const fn text(title: &'static str) -> Self {
        Self { title, right: false, elastic: false }
    }

    /// A number, never cut.
    pub const fn number(title: &'static str) -> Self {
        Self { title, right: true, elastic: false }
    }

    /// Text that may be cut.
    pub const fn elastic(title: &'static str) -> Self {
        Self { title, right: false, elastic: true }
    }
}

/// The table as lines, each ended by a newline. `columns` is the width of the terminal, where there is one.
/// Texts must be clean already.
pub fn render(head: &[Column], rows: &[Vec<Cell>], columns: Option<usize>, paint: Paint) -> String {
    let widths = widths(head, rows, columns);
    let mut out = String::new();
    let titles: Vec<String> =
        head.iter().zip(&widths).map(|(column, w)| paint.dim(&place(*column, column.title, *w))).collect();
    push_line(&mut out, &titles);
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(head)
            .zip(&widths)
            .map(|((cell, column), w)| (cell.colour)(paint, &place(*column, &fit(&cell.text, *w), *w)))
            .collect();
        push_line(&mut out, &cells);
    }
    out
}

fn push_line(out: &mut String, cells: &[String]) {
    out.push_str(cells.join(&" ".repeat(GAP)).trim_end());
    out.push('\n');
}

fn place(column: Column, text: &str, w: usize) -> String {
    if column.right { format!("{}{text}", " ".repeat(w.saturating_sub(width(text)))) } else { pad(text, w) }
}

fn widths(head: &[Column], rows: &[Vec<Cell>], columns: Option<usize>) -> Vec<usize> {
    let mut widths: Vec<usize> = head.iter().map(|c| width(c.title)).collect();
    for row in rows {
        for (w, cell) in widths.iter_mut().zip(row) {
            *w = (*w).max(width(&cell.text));
        }
    }
    let Some(limit) = columns else { return widths };
    // Take from the widest elastic column until it fits or none can give more.
    while widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1) > limit {
        let widest = head
            .iter()
            .zip(widths.iter_mut())
            .filter(|(column, w)| column.elastic && **w > LEAST)
            .max_by_key(|(_, w)| **w);
        match widest {
            Some((_, w)) => *w -= 1,
            None => break,
        }
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<Cell>> {
        vec![
            vec!["a".into(), "7".into(), "a text that is rather long for a narrow place".into()],
            vec!["漢字".into(), "1234".into(), "short".into()],
        ]
    }

    const HEAD: [Column; 3] = [Column::text("name"), Column::number("n"), Column::elastic("text")];

    #[test]
    fn wide() {
        insta::assert_snapshot!(render(&HEAD, &rows(), None, Paint::OFF), @r"
        name     n  text
        a        7  a text that is rather long for a narrow place
        漢字  1234  short
        ");
    }

    #[test]
    fn narrow() {
        insta::assert_snapshot!(render(&HEAD, &rows(), Some(30), Paint::OFF), @r"
        name     n  text
        a        7  a text that is ra…
        漢字  1234  short
        ");
    }

    #[test]
    fn colour_takes_no_room() {
        let rows = vec![vec![Cell::coloured("x", Paint::bad), "1".into(), "t".into()]];
        let text = render(&HEAD, &rows, None, Paint::ON);
        assert!(text.contains("\x1b[31mx   \x1b[0m  1  t"), "{text:?}");
    }
}

//! One look at a terminal: its visible lines, its cursor, and what stands where the cursor is (PURE).

use super::styled::{self, Span};

/// Where the cursor is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Cursor {
    /// Column; a terminal with a pending wrap reports `cols`.
    pub col: u16,
    /// Row among the visible ones.
    pub row: u16,
    /// Whether the program shows it. Programs hide it while they draw or spin.
    pub visible: bool,
}

/// What a terminal shows at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub struct Screen {
    /// The visible rows from the top, trailing blanks removed; rows missing at the end are blank.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub lines: Vec<String>,
    /// The cursor.
    pub cursor: Cursor,
    /// The width in columns.
    pub cols: u16,
    /// The height in rows.
    pub rows: u16,
    /// Lines that have scrolled off above.
    pub history: u64,
    /// Whether the program draws on the alternate screen.
    pub alternate: bool,
    /// The terminal's title.
    pub title: String,
    /// The pieces of each line that are not drawn plainly, as far as they were captured; lines missing at
    /// the end have none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub styles: Vec<Vec<Span>>,
}

/// How many blank columns may lie between a prompt's text and the cursor: `>>> ` has one.
const PROMPT_GAP: usize = 2;

/// How many wrapped rows above the cursor's may belong to its line.
const MAX_WRAPPED: usize = 5;

impl Screen {
    /// The same with its lines read from a captured text, with or without escape sequences.
    #[must_use]
    pub fn with_text(mut self, text: &str) -> Self {
        (self.lines, self.styles) = styled::parse(text);
        self
    }

    /// The pieces of a visible line that are not drawn plainly.
    pub fn spans(&self, row: usize) -> &[Span] {
        self.styles.get(row).map_or(&[], Vec::as_slice)
    }

    /// The cursor's whole line.
    pub fn cursor_line(&self) -> &str {
        self.line(self.cursor.row)
    }

    /// A visible line; blank where there is none.
    pub fn line(&self, row: u16) -> &str {
        self.lines.get(usize::from(row)).map_or("", String::as_str)
    }

    /// What stands on the cursor's line before the cursor, blanks on both sides removed, if it is text the
    /// cursor follows directly and the cursor is shown. This is where a program that asks stands still. A
    /// line the terminal has wrapped is put together again.
    pub fn before_cursor(&self) -> Option<String> {
        let (before, _) = self.split_at_cursor();
        let text = before.trim_end();
        let gap = usize::from(self.cursor.col).saturating_sub(width(text));
        if !self.cursor.visible || gap > PROMPT_GAP {
            return None;
        }
        let above = self.above_cursor();
        let is_full = |line: &String| width(line) >= usize::from(self.cols.max(1));
        let wrapped = above.iter().rev().take(MAX_WRAPPED).take_while(|line| is_full(line)).count();
        let text = above[above.len() - wrapped..].concat() + text;
        let text = text.trim();
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// Whether nothing stands behind the cursor on its line: no half-typed answer, no menu.
    pub fn nothing_after_cursor(&self) -> bool {
        self.split_at_cursor().1.trim().is_empty()
    }

    /// The cursor's line, counted from the first line the terminal ever printed (as far as it remembers):
    /// output that scrolls keeps its number.
    pub fn absolute_row(&self) -> u64 {
        self.history + u64::from(self.cursor.row)
    }

    /// Whether the cursor is on the terminal's last row, where pagers ask.
    pub fn on_last_row(&self) -> bool {
        self.cursor.row + 1 >= self.rows
    }

    /// The visible lines above the cursor's.
    pub fn above_cursor(&self) -> &[String] {
        &self.lines[..usize::from(self.cursor.row).min(self.lines.len())]
    }

    /// The last `n` visible lines that are not blank, oldest first.
    pub fn tail(&self, n: usize) -> Vec<&str> {
        last_non_blank(&self.lines, n)
    }

    /// The last `n` lines above the cursor's that are not blank, oldest first: what a question is about.
    pub fn tail_above_cursor(&self, n: usize) -> Vec<&str> {
        last_non_blank(self.above_cursor(), n)
    }

    /// The last `n` rows up to the last one that is not blank: where dialogs and footers are drawn.
    pub fn bottom(&self, n: usize) -> &[String] {
        let end = self.lines.iter().rposition(|line| !line.trim().is_empty()).map_or(0, |i| i + 1);
        &self.lines[end.saturating_sub(n)..end]
    }

    /// A number that is the same for the same text, cursor and scroll position, and in every release
    /// (it is stored): FNV-1a.
    pub fn print(&self) -> u64 {
        let mut hash = Fnv::new();
        let end = self.lines.iter().rposition(|line| !line.is_empty()).map_or(0, |i| i + 1);
        for line in &self.lines[..end] {
            hash.add(line.as_bytes());
            hash.add(b"\n");
        }
        hash.add(&self.cursor.col.to_le_bytes());
        hash.add(&self.cursor.row.to_le_bytes());
        hash.add(&[u8::from(self.cursor.visible), u8::from(self.alternate)]);
        hash.add(&self.history.to_le_bytes());
        hash.0
    }

    fn split_at_cursor(&self) -> (&str, &str) {
        let line = self.cursor_line();
        let mut column = 0;
        let at = line
            .char_indices()
            .find(|&(_, c)| {
                let here = column;
                column += char_width(c);
                // A combining mark belongs to the character before it.
                here >= usize::from(self.cursor.col) && char_width(c) > 0
            })
            .map_or(line.len(), |(i, _)| i);
        line.split_at(at)
    }
}

fn last_non_blank(lines: &[String], n: usize) -> Vec<&str> {
    let mut tail: Vec<&str> =
        lines.iter().rev().map(String::as_str).filter(|line| !line.trim().is_empty()).take(n).collect();
    tail.reverse();
    tail
}

/// The columns a text takes.
pub(crate) fn width(text: &str) -> usize {
    text.chars().map(char_width).sum()
}

/// The columns a character takes in a terminal: 0, 1 or 2. The blocks of wide East Asian scripts and of
/// pictographs, and the common marks that take no room; prompts hold little else.
pub(crate) fn char_width(c: char) -> usize {
    match u32::from(c) {
        0x0300..=0x036F | 0x200B..=0x200F | 0x20D0..=0x20FF | 0xFE00..=0xFE0F => 0,
        0x1100..=0x115F
        | 0x231A..=0x231B
        | 0x23E9..=0x23EC
        | 0x2614..=0x2615
        | 0x26A1
        | 0x2705
        | 0x270A..=0x270B
        | 0x2728
        | 0x274C
        | 0x2753..=0x2755
        | 0x2757
        | 0x2E80..=0x303E
        | 0x3041..=0xA4CF
        | 0xAC00..=0xD7A3
        | 0xF900..=0xFAFF
        | 0xFE30..=0xFE6F
        | 0xFF00..=0xFF60
        | 0xFFE0..=0xFFE6
        | 0x1F300..=0x1F64F
        | 0x1F680..=0x1F6FF
        | 0x1F900..=0x1F9FF
        | 0x20000..=0x3FFFD => 2,
        _ => 1,
    }
}

/// FNV-1a, 64 bits.
pub(crate) struct Fnv(u64);

impl Fnv {
    /// Nothing taken in yet.
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    /// The number.
    pub(crate) fn value(&self) -> u64 {
        self.0
    }

    /// Takes in more bytes.
    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A screen of 80×24 drawn from text; `▮` marks the cursor and is not part of the text, without it the
    /// cursor is hidden at the end.
    pub(crate) fn draw(text: &str) -> Screen {
        let mut cursor = Cursor::default();
        let mut lines = Vec::new();
        for (row, line) in text.split('\n').enumerate() {
            if let Some((before, after)) = line.split_once('▮') {
                cursor = Cursor { col: width(before) as u16, row: row as u16, visible: true };
                lines.push(format!("{before}{after}").trim_end().to_owned());
            } else {
                lines.push(line.trim_end().to_owned());
            }
        }
        Screen { lines, cursor, cols: 80, rows: 24, ..Screen::default() }
    }

    #[test]
    fn text_before_the_cursor() {
        let table = [
            ("$ ▮", Some("$")),
            (">>> ▮", Some(">>>")),
            (">>>  ▮", Some(">>>")),
            (">>>    ▮", None),
            ("  │ > ▮               │", Some("│ >")),
            ("> half a tas▮k", Some("> half a tas")),
            ("▮> ", None),
            ("   ▮", None),
            ("$ ", None),
            ("名前は? ▮", Some("名前は?")),
            ("🤖 > ▮", Some("🤖 >")),
            ("🤖 > ▮   │", Some("🤖 >")),
            ("e\u{301} $ ▮", Some("e\u{301} $")),
        ];
        for (text, expected) in table {
            assert_eq!(draw(text).before_cursor().as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn a_wrapped_line_is_one() {
        let mut screen = draw("above\nrm: remove 'lo\nng-name.txt'? ▮");
        assert_eq!(screen.before_cursor().as_deref(), Some("ng-name.txt'?"));
        screen.cols = 14;
        assert_eq!(screen.before_cursor().as_deref(), Some("rm: remove 'long-name.txt'?"));
    }

    #[test]
    fn a_cursor_outside_the_text_is_no_panic() {
        let far = Cursor { col: 999, row: 999, visible: true };
        let screen = Screen { cursor: far, ..draw("$ ▮\nx") };
        assert_eq!(screen.before_cursor(), None);
        assert_eq!(screen.cursor_line(), "");
        assert_eq!(screen.above_cursor().len(), 2);
        assert!(screen.nothing_after_cursor());
        assert_eq!(Screen::default().tail(3), Vec::<&str>::new());
        assert!(Screen::default().bottom(3).is_empty());
    }

    #[test]
    fn regions() {
        let screen = draw("one\n\ntwo\nthree\n$ ▮\n\n");
        assert_eq!(screen.tail(2), ["three", "$"]);
        assert_eq!(screen.tail_above_cursor(2), ["two", "three"]);
        assert_eq!(screen.bottom(2), ["three", "$"]);
        assert_eq!(screen.bottom(99).len(), 5);
        assert!(!screen.on_last_row());
        assert_eq!(Screen { history: 40, ..screen }.absolute_row(), 44);
    }

    #[test]
    fn the_print_changes_with_what_is_seen_and_with_nothing_else() {
        let screen = draw("one\n$ ▮");
        assert_eq!(screen.print(), draw("one\n$ ▮\n\n").print(), "blank rows below");
        assert_eq!(screen.print(), Screen { title: "busy".into(), ..screen.clone() }.print(), "the title");
        for other in ["one\n$▮ ", "one\n\n$ ▮", "One\n$ ▮", "one\n$ x▮"] {
            assert_ne!(screen.print(), draw(other).print(), "{other:?}");
        }
        assert_ne!(screen.print(), Screen { history: 1, ..screen.clone() }.print(), "scrolled");
        // Stored by one release and compared by the next: the number itself is the contract.
        assert_eq!(screen.print(), 0x891a_cdbf_71f7_e5d3);
    }
}

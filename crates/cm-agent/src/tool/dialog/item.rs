//! One line of a list: its pointer, radio mark, number, check box, and label (PURE).

use super::hints::key_name;
use crate::tool::region::Row;
use crate::tool::screen::{char_width, width};

/// A line of a list taken apart. Every line can be taken apart; most have nothing but a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Item<'a> {
    /// It is pointed at: `❯`.
    pub pointer: bool,
    /// It has a radio mark, filled or not: `●`, `○`.
    pub radio: Option<bool>,
    /// It has a number: `1.`
    pub number: Option<u32>,
    /// It has a check box, ticked or not: `[x]`.
    pub check: Option<bool>,
    /// Its key stands before it in brackets: `[a]`.
    pub bracket: Option<&'a str>,
    /// The column where what follows pointer and radio mark begins.
    pub body: usize,
    /// The column where the number ends, or where the label begins if there is none.
    pub align: usize,
    /// The column where the label begins.
    pub label_col: usize,
    /// The label and whatever stands behind it.
    pub text: &'a str,
}

const POINTERS: [char; 15] = ['❯', '›', '>', '▶', '▸', '►', '➜', '→', '»', '▷', '⏵', '☞', '➤', '⮞', '❱'];

/// Takes a row apart.
pub fn item<'a>(row: &Row<'a>) -> Item<'a> {
    let mut at = Reader { rest: row.text, col: row.col };
    let pointer = at.mark(&POINTERS).is_some();
    let radio = at.radio();
    // The one in force now, of a list that sets something.
    at.mark(&['✔', '✓']);
    let body = at.col;
    let number = at.number();
    let align = at.col;
    at.blanks();
    let check = at.check_box();
    let bracket = if number.is_none() && check.is_none() { at.bracket() } else { None };
    let align = if number.is_some() { align } else { body };
    Item { pointer, radio, number, check, bracket, body, align, label_col: at.col, text: at.rest }
}

struct Reader<'a> {
    rest: &'a str,
    col: usize,
}

impl<'a> Reader<'a> {
    fn skip(&mut self, bytes: usize) {
        self.col += width(&self.rest[..bytes]);
        self.rest = &self.rest[bytes..];
    }

    fn blanks(&mut self) {
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\u{a0}']).len();
        self.skip(blanks);
    }

    /// One of these characters with a blank behind it, or at the line's end.
    fn mark(&mut self, marks: &[char]) -> Option<char> {
        let first = self.rest.chars().next().filter(|c| marks.contains(c))?;
        let rest = &self.rest[first.len_utf8()..];
        let follows = rest.chars().next();
        let radio_follows = follows.is_some_and(|c| "●○◉◯".contains(c));
        if !radio_follows && follows.is_some_and(|c| c != ' ' && c != '\u{a0}') {
            return None;
        }
        self.col += char_width(first);
        self.rest = rest;
        self.blanks();
        Some(first)
    }

    fn radio(&mut self) -> Option<bool> {
        if let Some(mark) = self.mark(&['●', '◉', '⦿', '◎', '○', '◯', '◌', '⚪', '⚫', '⬤'])
        {
            return Some(!matches!(mark, '○' | '◯' | '◌' | '⚪'));
        }
        for (text, on) in [("(•)", true), ("(*)", true), ("(●)", true), ("( )", false), ("(○)", false)]
        {
            if self.rest.starts_with(text) {
                self.skip(text.len());
                self.blanks();
                return Some(on);
            }
        }
        None
    }

    /// `1.`, `12)`: at most two digits, no decimal number.
    fn number(&mut self) -> Option<u32> {
        let digits = self.rest.bytes().take_while(u8::is_ascii_digit).count();
        if !(1..=2).contains(&digits) {
            return None;
        }
        let follows = &self.rest[digits..];
        let (dot, after) = (follows.chars().next()?, follows.get(1..).unwrap_or(""));
        if !matches!(dot, '.' | ')') || after.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None;
        }
        let number = self.rest[..digits].parse().ok()?;
        self.skip(digits + 1);
        Some(number)
    }

    fn check_box(&mut self) -> Option<bool> {
        let boxes = [
            ("[ ]", false),
            ("[x]", true),
            ("[X]", true),
            ("[✔]", true),
            ("[✓]", true),
            ("[*]", true),
            ("☐", false),
            ("☑", true),
            ("☒", true),
            ("◻", false),
            ("◼", true),
            ("□", false),
            ("■", true),
        ];
        let (text, on) = boxes.into_iter().find(|(text, _)| self.rest.starts_with(text))?;
        let after = &self.rest[text.len()..];
        if !after.is_empty() && !after.starts_with(' ') {
            return None;
        }
        self.skip(text.len());
        self.blanks();
        Some(on)
    }

    /// `[a] Label`, `(y) Label`.
    fn bracket(&mut self) -> Option<&'a str> {
        let close = match self.rest.chars().next()? {
            '[' => ']',
            '(' => ')',
            _ => return None,
        };
        let end = self.rest.find(close)?;
        let inner = &self.rest[1..end];
        let after = &self.rest[end + 1..];
        key_name(inner)?;
        if !after.starts_with(' ') {
            return None;
        }
        self.skip(end + 1);
        self.blanks();
        Some(inner)
    }
}

/// A label and the keys named at its end. Beside a number only a letter or Esc is the option's own key; what
/// else stands in brackets there says more than that.
pub fn split_label(text: &str, numbered: bool) -> (String, Vec<String>) {
    let mut label = text.trim();
    let mut keys = Vec::new();
    while let Some(open) = label.rfind(['(', '[']) {
        let close = if label[open..].starts_with('(') { ')' } else { ']' };
        let Some(inner) = label[open + 1..].strip_suffix(close) else { break };
        let Some(key) = key_name(inner) else { break };
        if numbered && key.chars().count() > 1 && key != "esc" {
            break;
        }
        let before = label[..open].trim_end();
        if before.is_empty() || before.len() == open {
            break;
        }
        keys.insert(0, key);
        label = before;
    }
    (label.to_owned(), keys)
}

/// Splits a description off that stands behind a label on the same line, two blanks or more apart.
pub fn before_gap(text: &str) -> (&str, bool) {
    match text.find("  ") {
        Some(at) if !text[at..].trim().is_empty() => (text[..at].trim_end(), true),
        _ => (text.trim_end(), false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::region::rows;
    use crate::tool::screen::tests::draw;

    #[test]
    fn lines_are_taken_apart() {
        let check = |line: &str, expected: (bool, Option<bool>, Option<u32>, Option<bool>, usize, &str)| {
            let screen = draw(line);
            let rows = rows(&screen);
            let it = item(&rows[0]);
            assert_eq!((it.pointer, it.radio, it.number, it.check, it.body, it.text), expected, "{line:?}");
        };
        check("❯ 1. Yes", (true, None, Some(1), None, 2, "Yes"));
        check("  2.Yes", (false, None, Some(2), None, 2, "Yes"));
        check("● 1. Allow", (false, Some(true), Some(1), None, 2, "Allow"));
        check("▸● Approve", (true, Some(true), None, None, 3, "Approve"));
        check(" ○ Deny", (false, Some(false), None, None, 3, "Deny"));
        check("❯ 2. [✔] Stock", (true, None, Some(2), Some(true), 2, "Stock"));
        check("> [ ] a", (true, None, None, Some(false), 2, "a"));
        check("(•) one", (false, Some(true), None, None, 4, "one"));
        check("1.5 times", (false, None, None, None, 0, "1.5 times"));
        check("2026. A year", (false, None, None, None, 0, "2026. A year"));
        check(">text", (false, None, None, None, 0, ">text"));
        check("❯\u{a0}", (true, None, None, None, 1, ""));
        check("[a] Trust", (false, None, None, None, 0, "Trust"));
        check("[x] done", (false, None, None, Some(true), 0, "done"));
    }

    #[test]
    fn keys_come_off_labels() {
        let check = |text: &str, label: &str, keys: &[&str]| {
            assert_eq!(
                split_label(text, false),
                (label.into(), keys.iter().map(|k| (*k).into()).collect()),
                "{text:?}"
            );
        };
        check("Yes, proceed (y)", "Yes, proceed", &["y"]);
        check("Run (once) (y) (enter)", "Run (once)", &["y", "enter"]);
        check("Reject (esc or p)", "Reject", &["esc"]);
        check("Trust folder (shop)", "Trust folder (shop)", &[]);
        check("Approve [Alt+1]", "Approve", &["alt+1"]);
        check("No (recommended)", "No (recommended)", &[]);
        check("f(x)", "f(x)", &[]);
        check("(y)", "(y)", &[]);
        assert_eq!(split_label("Yes, all edits (shift+tab)", true).0, "Yes, all edits (shift+tab)");
    }
}

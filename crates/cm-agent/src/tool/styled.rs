//! Terminal text with its colours: escape sequences taken out, and which columns stand out kept (PURE).
//!
//! Reads what `capture-pane -e -p` prints. Text without escapes comes out as it is, with no spans.

use super::screen::char_width;

/// How a piece of a line is drawn, as far as it differs from plain text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct Style {
    /// Foreground and background swapped.
    pub reverse: bool,
    /// Bold.
    pub bold: bool,
    /// Dim.
    pub dim: bool,
    /// The foreground's number plus one; 0 is the terminal's own.
    pub front: u32,
    /// The background's number plus one; 0 is the terminal's own.
    pub back: u32,
}

/// A piece of a line that is drawn in one style.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Span {
    /// The first column, from 0.
    pub from: u16,
    /// The column after the last one.
    pub to: u16,
    /// How it is drawn.
    pub style: Style,
}

/// The bit that tells a true colour from a numbered one.
const TRUE_COLOUR: u32 = 1 << 24;

/// The longest escape sequence that is looked at; a longer one is dropped up to here.
const LONGEST_SEQUENCE: usize = 4096;

/// The lines of a captured text, trailing blanks removed, and the spans of each that are not plain.
pub fn parse(text: &str) -> (Vec<String>, Vec<Vec<Span>>) {
    if !text.contains('\u{1b}') {
        return (text.lines().map(|line| line.trim_end().to_owned()).collect(), Vec::new());
    }
    let mut style = Style::default();
    text.lines().map(|line| parse_line(line, &mut style)).unzip()
}

fn parse_line(line: &str, style: &mut Style) -> (String, Vec<Span>) {
    let mut plain = String::with_capacity(line.len());
    let mut spans: Vec<Span> = Vec::new();
    let mut column = 0_u16;
    let mut rest = line;
    while let Some(c) = rest.chars().next() {
        if c == '\u{1b}' {
            rest = escape(&rest[1..], style);
            continue;
        }
        rest = &rest[c.len_utf8()..];
        if c.is_control() {
            continue;
        }
        plain.push(c);
        let next = column.saturating_add(u16::try_from(char_width(c)).unwrap_or(1));
        if *style != Style::default() {
            match spans.last_mut() {
                Some(last) if last.to == column && last.style == *style => last.to = next,
                _ => spans.push(Span { from: column, to: next, style: *style }),
            }
        }
        column = next;
    }
    plain.truncate(plain.trim_end().len());
    (plain, spans)
}

/// What follows an escape sequence; `text` begins after its ESC.
fn escape<'a>(text: &'a str, style: &mut Style) -> &'a str {
    match text.as_bytes().first() {
        Some(b'[') => {
            let end = text.bytes().skip(1).position(|b| (0x40..=0x7e).contains(&b)).map(|i| i + 1);
            let Some(end) = end else { return "" };
            if text.as_bytes()[end] == b'm' {
                apply(&text[1..end], style);
            }
            &text[end + 1..]
        }
        // OSC (links, titles) and other strings: up to BEL or ESC \.
        Some(b']' | b'P' | b'_' | b'^' | b'X') => {
            let end = text.bytes().take(LONGEST_SEQUENCE).position(|b| b == 0x07 || b == 0x1b);
            match end {
                Some(end) if text.as_bytes()[end] == 0x07 => &text[end + 1..],
                Some(end) => text[end + 1..].strip_prefix('\\').unwrap_or(&text[end..]),
                None => "",
            }
        }
        Some(b'(' | b')') => text.get(2..).unwrap_or(""),
        Some(b) if b.is_ascii() => &text[1..],
        _ => text,
    }
}

/// Takes the parameters of one SGR sequence in.
fn apply(parameters: &str, style: &mut Style) {
    if parameters.starts_with(['?', '>', '<', '=']) {
        return;
    }
    let mut numbers =
        parameters.split(';').map(|p| p.split(':').map(|n| n.parse::<u32>().ok()).collect::<Vec<_>>());
    while let Some(group) = numbers.next() {
        let first = group.first().copied().flatten().unwrap_or(0);
        match first {
            0 => *style = Style::default(),
            1 => style.bold = true,
            2 => style.dim = true,
            22 => (style.bold, style.dim) = (false, false),
            7 => style.reverse = true,
            27 => style.reverse = false,
            30..=37 => style.front = first - 30 + 1,
            90..=97 => style.front = first - 90 + 8 + 1,
            39 => style.front = 0,
            40..=47 => style.back = first - 40 + 1,
            100..=107 => style.back = first - 100 + 8 + 1,
            49 => style.back = 0,
            38 | 48 => {
                let colour = if group.len() > 1 {
                    colour(&mut group[1..].iter().copied().flatten())
                } else {
                    colour(&mut numbers.by_ref().filter_map(|group| group.first().copied().flatten()))
                };
                *(if first == 38 { &mut style.front } else { &mut style.back }) = colour;
            }
            _ => {}
        }
    }
}

/// `5;N` or `2;R;G;B`, as a number plus one.
fn colour(numbers: &mut dyn Iterator<Item = u32>) -> u32 {
    match numbers.next() {
        Some(5) => numbers.next().unwrap_or(0).min(255) + 1,
        Some(2) => {
            let mut part = || numbers.next().unwrap_or(0).min(255);
            let (red, green, blue) = (part(), part(), part());
            TRUE_COLOUR + (red << 16 | green << 8 | blue) + 1
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, plain: &str, spans: &[(u16, u16, Style)]) {
        let (lines, found) = parse(text);
        assert_eq!(lines, [plain], "{text:?}");
        let found: Vec<_> = found.concat().iter().map(|s| (s.from, s.to, s.style)).collect();
        assert_eq!(found, spans, "{text:?}");
    }

    #[test]
    fn colours_and_text_part() {
        let plain = Style::default();
        check("plain  ", "plain", &[]);
        check("\u{1b}[7mYes\u{1b}[0m  No", "Yes  No", &[(0, 3, Style { reverse: true, ..plain })]);
        check("a\u{1b}[38;5;153mb\u{1b}[39mc", "abc", &[(1, 2, Style { front: 154, ..plain })]);
        let back = Style { back: TRUE_COLOUR + 0x010203 + 1, ..plain };
        check("\u{1b}[48;2;1;2;3mx\u{1b}[49m", "x", &[(0, 1, back)]);
        check("\u{1b}[48:2:1:2:3mx\u{1b}[49m", "x", &[(0, 1, back)]);
        check("\u{1b}[1;2mx\u{1b}[22my", "xy", &[(0, 1, Style { bold: true, dim: true, ..plain })]);
        check("日\u{1b}[1m本", "日本", &[(2, 4, Style { bold: true, ..plain })]);
    }

    #[test]
    fn what_is_no_colour_is_dropped() {
        for text in [
            "\u{1b}]8;;https://example.org\u{7}x\u{1b}]8;;\u{7}",
            "\u{1b}]8;;https://example.org\u{1b}\\x\u{1b}]8;;\u{1b}\\",
            "\u{1b}(Bx\u{1b}[2K\u{1b}[?25l\u{1b}[>4m",
            "\u{1b}=x\u{1b}[",
            "x\u{1b}",
            "\u{7}x\u{1b}]0;unfinished",
        ] {
            check(text, "x", &[]);
        }
    }

    #[test]
    fn a_style_goes_on_in_the_next_line() {
        let (lines, spans) = parse("\u{1b}[1ma\nb\u{1b}[0mc\n\nd");
        assert_eq!(lines, ["a", "bc", "", "d"]);
        assert_eq!(spans.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 0, 0]);
    }
}

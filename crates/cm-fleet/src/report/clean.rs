//! Text from tools made harmless: no escape sequence, control or direction character survives. PURE.

use std::iter::Peekable;
use std::str::Chars;

use unicode_width::UnicodeWidthChar;

/// One line for bars, tables and messages: escape sequences removed whole, tabs become a space, every
/// other control or text-direction character is dropped. A tool's output can thus neither move the
/// cursor nor set a title nor make text read other than it stands.
pub fn clean(text: &str) -> String {
    filter(text, false)
}

/// Like [`clean`], but tabs stay: for whole lines of a transcript.
pub fn clean_line(text: &str) -> String {
    filter(text, true)
}

fn filter(text: &str, keep_tabs: bool) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_escape(&mut chars),
            // The one-character forms of CSI and of DCS, SOS, OSC, PM, APC.
            '\u{9b}' => skip_csi(&mut chars),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut chars),
            '\t' if keep_tabs => out.push('\t'),
            '\t' | '\n' => out.push(' '),
            c if c.is_control() || is_direction(c) => {}
            c => out.push(c),
        }
    }
    out
}

/// Characters that reorder the text around them, or separate lines without looking like it.
fn is_direction(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{061c}')
}

fn skip_escape(chars: &mut Peekable<Chars<'_>>) {
    match chars.peek() {
        Some('[') => {
            chars.next();
            skip_csi(chars);
        }
        Some(']' | 'P' | 'X' | '^' | '_') => {
            chars.next();
            skip_string(chars);
        }
        _ => {
            while chars.next_if(|c| matches!(c, ' '..='/')).is_some() {}
            chars.next_if(|c| matches!(c, '0'..='~'));
        }
    }
}

/// Parameters and intermediates, then one final character. Anything else ends the sequence unread.
fn skip_csi(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    chars.next_if(|c| matches!(c, '@'..='~'));
}

/// Everything up to BEL, the string terminator, or the end.
fn skip_string(chars: &mut Peekable<Chars<'_>>) {
    while let Some(c) = chars.next() {
        match c {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                chars.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// Columns `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.chars().map(|c| c.width().unwrap_or(0)).sum()
}

/// `text` in at most `columns` columns; what was cut off shows as `…`.
pub fn fit(text: &str, columns: usize) -> String {
    if width(text) <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let wide = c.width().unwrap_or(0);
        if used + wide + 1 > columns {
            break;
        }
        used += wide;
        out.push(c);
    }
    if columns > 0 {
        out.push('…');
    }
    out
}

/// `text` filled up with blanks to `columns`.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(input: &str, expected: &str) {
        assert_eq!(clean(input), expected, "clean({input:?})");
        assert_eq!(clean_line(input), expected, "clean_line({input:?})");
    }

    #[test]
    fn nothing_that_steers_a_terminal_survives() {
        check("plain – ünïcode 漢字 🙂", "plain – ünïcode 漢字 🙂");
        check("\x1b[31mred\x1b[0m", "red");
        check("\x1b[2J\x1b[1;1Htop", "top");
        check("\x1b]0;title\x07after", "after");
        check("\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "link");
        check("\x1b]52;c;ZXZpbA==\u{9c}clip", "clip");
        check("\x1bPq#0;2;0\x1b\\sixel", "sixel");
        check("\x1b(Bg0", "g0");
        check("\x1bcreset", "reset");
        check("\u{9b}31mC1", "C1");
        check("a\rb\x08c\x07d\0e\x7ff", "abcdef");
        check("evil\u{202e}txt.exe\u{2066}", "eviltxt.exe");
        check("cut \x1b", "cut ");
        check("cut \x1b[31", "cut ");
        check("cut \x1b]0;never closed", "cut ");
        check("\x1b[31\x1b[32mnested", "nested");
    }

    #[test]
    fn tabs_stay_in_transcripts_alone() {
        assert_eq!(clean("a\tb"), "a b");
        assert_eq!(clean_line("a\tb"), "a\tb");
    }

    #[test]
    fn fits_by_columns_not_by_characters() {
        for (text, columns, expected) in [
            ("short", 10, "short"),
            ("exactly10!", 10, "exactly10!"),
            ("a longer line", 8, "a longe…"),
            ("漢字漢字", 5, "漢字…"),
            ("漢字漢字", 6, "漢字…"),
            ("abc", 1, "…"),
            ("abc", 0, ""),
        ] {
            assert_eq!(fit(text, columns), expected, "fit({text:?}, {columns})");
            assert!(width(&fit(text, columns)) <= columns);
        }
        assert_eq!(pad("漢", 4), "漢  ");
    }
}

//! PURE. Output as people read it, and command lines as they type them.

/// How much of a captured output is kept, from the end.
const KEPT: usize = 8 * 1024 * 1024;
/// How much of it is shown when the program failed.
const SHOWN_LINES: usize = 20;
/// Keeps a line, and the end of everything if it is too much.
pub fn append(kept: &mut Vec<u8>, line: &[u8]) {
    kept.extend_from_slice(line);
    if kept.len() > KEPT {
        let cut = kept.len() - KEPT / 2;
        kept.drain(..cut);
    }
}

/// Bytes as text, whatever they are.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What to show of a long output.
pub fn last_lines(output: &str) -> String {
    let lines: Vec<&str> = output.trim().lines().collect();
    lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n")
}

/// One word of a command line as a person would type it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=:@,+%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_can_be_pasted() {
        let check = |word: &str, expected: &str| assert_eq!(quoted(word), expected);
        check("--locked", "--locked");
        check("a b", "'a b'");
        check("", "''");
        check("it's", r"'it'\''s'");
    }

    #[test]
    fn the_end_of_an_output_is_what_is_kept_and_shown() {
        let mut kept = Vec::new();
        let line = [b'x'; 1024];
        for _ in 0..KEPT / line.len() {
            append(&mut kept, &line);
        }
        append(&mut kept, b"last");
        assert!(kept.len() <= KEPT && kept.ends_with(b"xlast"));
        let many: Vec<String> = (0..100).map(|n| n.to_string()).collect();
        assert!(last_lines(&many.join("\n")).starts_with("80\n"));
        assert_eq!(last_lines("one\n"), "one");
    }
}

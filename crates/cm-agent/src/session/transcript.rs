//! A session's text by line number, out of a terminal's rows. PURE.
//!
//! A terminal wraps long lines; a reader wants the lines. tmux can join them but then rows can no longer
//! be counted, so it is asked for both and they are laid side by side here.

use cm_protocol::{SessionId, TranscriptPage};

/// One row of a terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its text.
    pub text: String,
    /// The line goes on in the next row.
    pub wraps: bool,
}

/// Lays rows and joined lines side by side. `rows` have their trailing blanks removed, `joined` may keep
/// them; where the two disagree (they are taken one right after the other, and a program may redraw in
/// between) rows are taken as they are.
pub fn align(rows: &str, joined: &str) -> Vec<Row> {
    let mut rows = rows.lines();
    let mut out = Vec::new();
    for line in joined.lines() {
        let mut rest = line;
        loop {
            let Some(row) = rows.next() else { return out };
            if rest.trim_end() == row.trim_end() {
                out.push(Row { text: rest.to_owned(), wraps: false });
                break;
            }
            match rest.strip_prefix(row).filter(|_| !row.is_empty()) {
                Some(after) => {
                    // Blanks at the end of a full row were cut off it, but stand in the joined line.
                    let own = own_blanks(after, rows.clone().next().unwrap_or(""));
                    out.push(Row { text: format!("{row}{}", &after[..own]), wraps: true });
                    rest = &after[own..];
                }
                None => {
                    out.push(Row { text: row.to_owned(), wraps: false });
                    break;
                }
            }
        }
    }
    out.extend(rows.map(|row| Row { text: row.to_owned(), wraps: false }));
    out
}

/// How many of the blanks that `after` begins with belong to the row before, `next` being the row after.
fn own_blanks(after: &str, next: &str) -> usize {
    let leading = |text: &str| text.len() - text.trim_start_matches(' ').len();
    let blanks = leading(after);
    let fits = after[blanks..].starts_with(next.trim_start_matches(' '));
    if fits { blanks.saturating_sub(leading(next)) } else { 0 }
}

/// What is asked of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The first row's number; none: the last `limit` lines.
    pub from: Option<u64>,
    /// Rows at most.
    pub limit: u64,
}

impl Wanted {
    /// The rows to fetch: from (inclusive) to (exclusive), of those that exist.
    pub fn range(&self, first: u64, finished: u64) -> (u64, u64) {
        let from = self
            .from
            .unwrap_or_else(|| finished.saturating_sub(self.limit))
            .clamp(first, finished.max(first));
        (from, from.saturating_add(self.limit).min(finished.max(first)))
    }
}

/// Makes a page of rows `from..from + rows.len()`. A line whose end is not among them is left for the
/// next page, unless the text is `complete` or nothing else would be in the page.
pub fn page(
    id: &SessionId,
    wanted: Wanted,
    from: u64,
    rows: &[Row],
    finished: u64,
    complete: bool,
) -> TranscriptPage {
    let reaches_end = from + rows.len() as u64 >= finished;
    let mut rows = rows;
    if !(complete && reaches_end) {
        let whole = rows.iter().rposition(|r| !r.wraps).map_or(0, |last| last + 1);
        // A page that is one unfinished line must not stop a reader for ever, if more rows do exist.
        if whole > 0 || reaches_end {
            rows = &rows[..whole];
        }
    }
    let mut lines: Vec<String> = Vec::new();
    let mut open = false;
    for row in rows {
        match lines.last_mut() {
            Some(last) if open => last.push_str(&row.text),
            _ => lines.push(row.text.clone()),
        }
        open = row.wraps;
    }
    for line in &mut lines {
        line.truncate(line.trim_end().len());
    }
    let next = from + rows.len() as u64;
    TranscriptPage {
        session_id: id.clone(),
        from,
        lines,
        next,
        end: complete && next >= finished,
        gap: wanted.from.is_some_and(|asked| asked < from),
    }
}

/// The file a finished session's rows are kept in: the first row's number, then a row a line, its first
/// character telling whether it wraps.
pub fn to_file(first: u64, rows: &[Row]) -> String {
    let mut text = format!("{first}\n");
    for row in rows {
        text.push(if row.wraps { '+' } else { ' ' });
        text.push_str(&row.text);
        text.push('\n');
    }
    text
}

/// Reads such a file; `None` if it is not one.
pub fn from_file(text: &str) -> Option<(u64, Vec<Row>)> {
    let (first, rows) = text.split_once('\n')?;
    let rows = rows
        .lines()
        .map(|line| {
            let (mark, text) = line.split_at_checked(1)?;
            Some(Row { text: text.to_owned(), wraps: mark == "+" })
        })
        .collect::<Option<Vec<_>>>()?;
    Some((first.parse().ok()?, rows))
}

/// The last `lines` lines, as `capture_pane` gives them.
pub fn last_lines(text: &str, lines: u64) -> String {
    let text = text.trim_end();
    let lines = usize::try_from(lines).unwrap_or(usize::MAX);
    if text.is_empty() || lines == 0 {
        return String::new();
    }
    let start = text.rmatch_indices('\n').nth(lines - 1).map_or(0, |(at, _)| at + 1);
    text[start..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_align(rows: &str, joined: &str, expected: &[(&str, bool)]) {
        let got: Vec<(String, bool)> = align(rows, joined).into_iter().map(|r| (r.text, r.wraps)).collect();
        let expected: Vec<(String, bool)> = expected.iter().map(|(t, w)| ((*t).to_owned(), *w)).collect();
        assert_eq!(got, expected);
    }

    #[test]
    fn wrapped_rows_are_found() {
        check_align("a\nb\n", "a\nb\n", &[("a", false), ("b", false)]);
        check_align("abcde\nfg\nx\n", "abcdefg\nx\n", &[("abcde", true), ("fg", false), ("x", false)]);
        check_align("abcde\nfghij\nk\n", "abcdefghijk\n", &[("abcde", true), ("fghij", true), ("k", false)]);
        check_align("\n\na\n", "\n\na\n", &[("", false), ("", false), ("a", false)]);
    }

    #[test]
    fn blanks_at_a_wrap_are_not_lost() {
        check_align("abc\ndef\n", "abc  def\n", &[("abc  ", true), ("def", false)]);
        check_align("abc\n  def\n", "abc    def\n", &[("abc  ", true), ("  def", false)]);
        check_align("abc\n", "abc   \n", &[("abc   ", false)]);
    }

    #[test]
    fn what_does_not_fit_is_taken_as_it_is() {
        check_align("a\nb\nc\n", "x\nb\n", &[("a", false), ("b", false), ("c", false)]);
        check_align("a\n", "a\nb\nc\n", &[("a", false)]);
        check_align("a\nb\n", "", &[("a", false), ("b", false)]);
    }

    fn rows(spec: &str) -> Vec<Row> {
        spec.split_whitespace()
            .map(|w| Row { text: w.trim_end_matches('+').into(), wraps: w.ends_with('+') })
            .collect()
    }

    fn check_page(spec: &str, from: u64, finished: u64, complete: bool, expected: (&[&str], u64, bool)) {
        let wanted = Wanted { from: Some(from), limit: 100 };
        let page = page(&SessionId::from("s"), wanted, from, &rows(spec), finished, complete);
        assert_eq!((page.lines.iter().map(String::as_str).collect::<Vec<_>>(), page.next, page.end), {
            (expected.0.to_vec(), expected.1, expected.2)
        });
    }

    #[test]
    fn a_page_ends_at_the_end_of_a_line() {
        check_page("a b c", 0, 3, false, (&["a", "b", "c"], 3, false));
        check_page("a b+ c d+", 0, 9, false, (&["a", "bc"], 3, false));
        check_page("a+", 5, 6, false, (&[], 5, false));
        check_page("a+ b", 5, 7, true, (&["ab"], 7, true));
        check_page("a+ b+", 5, 7, true, (&["ab"], 7, true));
    }

    #[test]
    fn one_endless_line_does_not_stop_a_reader() {
        check_page("a+ b+", 0, 9, false, (&["ab"], 2, false));
    }

    #[test]
    fn ranges_stay_within_what_exists() {
        let check = |from, limit, first, finished, expected| {
            assert_eq!(Wanted { from, limit }.range(first, finished), expected);
        };
        check(None, 10, 0, 100, (90, 100));
        check(None, 10, 95, 100, (95, 100));
        check(Some(5), 10, 0, 100, (5, 15));
        check(Some(5), 10, 50, 100, (50, 60));
        check(Some(500), 10, 0, 100, (100, 100));
        check(Some(0), u64::MAX, 7, 3, (7, 7));
    }

    #[test]
    fn a_gap_is_said() {
        let page = page(&SessionId::from("s"), Wanted { from: Some(3), limit: 9 }, 7, &rows("a"), 8, false);
        assert!(page.gap);
    }

    #[test]
    fn a_file_gives_back_its_rows() {
        let rows = rows("a b+ c");
        assert_eq!(from_file(&to_file(17, &rows)), Some((17, rows)));
        assert_eq!(from_file("x\n a\n"), None);
        assert_eq!(from_file(""), None);
    }

    #[test]
    fn last_lines_counts_from_the_end() {
        let check = |text: &str, n, expected: &str| assert_eq!(last_lines(text, n), expected);
        check("a\nb\nc\n\n\n", 2, "b\nc");
        check("a\nb", 50, "a\nb");
        check("a\nb", u64::MAX, "a\nb");
        check("a", 0, "");
        check("\n\n", 5, "");
    }
}

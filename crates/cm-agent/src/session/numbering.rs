//! Which number a terminal's rows have, counted from the first one it ever showed. PURE.
//!
//! tmux tells how many rows are in its history, not how many there ever were: a full history throws away a
//! tenth of itself at a time, and a program that prints fast makes it do so more than once between two looks.
//! So the last rows whose numbers were certain are kept as an anchor, to be found again among all rows.

use super::transcript::Row;

/// Rows kept to be found again.
const ANCHOR: usize = 40;

/// See the module.
#[derive(Debug, Default)]
pub struct Numbering {
    /// The number of the oldest row still in the history.
    first: u64,
    /// Rows in the history when last seen.
    history: u64,
    /// The last finished rows whose numbers are certain, and the first one's.
    anchor: (u64, Vec<String>),
    /// The history may have thrown rows away since then.
    uncertain: bool,
}

impl Numbering {
    /// Takes in a look. `full`: the history is so full that rows may be thrown away. `finished`: the screen's
    /// rows that will not change any more.
    pub fn see(&mut self, history: u64, full: bool, finished: &[String]) {
        // Cleared, or shortened once: those rows are gone, and the numbers of the others stay.
        self.first += self.history.saturating_sub(history);
        self.history = history;
        self.uncertain |= full;
        if !self.uncertain {
            self.anchor = (self.screen(), last(finished).to_vec());
            self.anchor.0 += (finished.len() - self.anchor.1.len()) as u64;
        }
    }

    /// Takes in all rows there are, history and screen, of which `finished` will not change any more; `full` as
    /// in [`Numbering::see`]: it may have become full only since the last look. From here on numbers are certain again. Where the anchor is not among them, all of them are new, and at
    /// least one row was never seen.
    pub fn count(&mut self, rows: &[Row], history: u64, full: bool, finished: usize) {
        self.uncertain |= full;
        let (number, anchor) = &self.anchor;
        // Rows only ever leave, so it stands no later than where it would with all of them still there.
        let latest = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let found = if anchor.is_empty() { None } else { find(rows, anchor, latest) };
        let counted = match found {
            Some(at) => number.saturating_sub(at as u64),
            None if self.uncertain => self.screen().max(number + anchor.len() as u64) + 1,
            None => self.first + self.history.saturating_sub(history),
        };
        self.first = counted.max(self.first);
        self.history = history;
        let finished = &rows[..finished.min(rows.len())];
        let kept: Vec<String> = last(finished).iter().map(|row| row.text.trim_end().to_owned()).collect();
        self.anchor = (self.first + (finished.len() - kept.len()) as u64, kept);
    }

    /// Whether only [`Numbering::count`] can tell numbers.
    pub fn is_uncertain(&self) -> bool {
        self.uncertain
    }

    /// The number of the oldest row still there.
    pub fn first(&self) -> u64 {
        self.first
    }

    /// The number of the first visible row.
    pub fn screen(&self) -> u64 {
        self.first + self.history
    }
}

fn last<T>(rows: &[T]) -> &[T] {
    &rows[rows.len().saturating_sub(ANCHOR)..]
}

/// Where these rows stand, the last place up to `latest` if there are several.
fn find(rows: &[Row], anchor: &[String], latest: usize) -> Option<usize> {
    let is_here = |window: &[Row]| window.iter().zip(anchor).all(|(row, text)| row.text.trim_end() == text);
    let end = latest.saturating_add(anchor.len()).min(rows.len());
    rows[..end].windows(anchor.len()).rposition(is_here)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(range: std::ops::Range<u64>) -> Vec<String> {
        range.map(|n| n.to_string()).collect()
    }

    fn rows(range: std::ops::Range<u64>) -> Vec<Row> {
        texts(range).into_iter().map(|text| Row { text, wraps: false }).collect()
    }

    #[test]
    fn numbers_stay_when_the_oldest_rows_go() {
        let mut numbering = Numbering::default();
        let mut check = |history, first, screen| {
            numbering.see(history, false, &[]);
            assert_eq!((numbering.first(), numbering.screen()), (first, screen));
        };
        check(100, 0, 100);
        check(90, 10, 100);
        check(95, 10, 105);
    }

    /// A terminal that shows whole numbers, one a row: a row's number is its text. It was last seen certainly
    /// with `before` rows in its history and 10 on its screen, and now has `history` from `first` on.
    fn check(before: u64, first: u64, history: u64, expected: u64) {
        let mut numbering = Numbering::default();
        numbering.see(before, false, &texts(before..before + 10));
        numbering.see(history, true, &[]);
        assert!(numbering.is_uncertain());
        numbering.count(&rows(first..first + history + 10), history, true, 10);
        assert_eq!((numbering.first(), numbering.screen()), (expected, expected + history));
    }

    #[test]
    fn a_full_history_is_counted_by_what_is_found_in_it() {
        check(50, 0, 95, 0);
        check(50, 40, 95, 40);
        check(90, 90, 90, 90);
    }

    #[test]
    fn what_is_not_found_is_new_and_something_is_missing() {
        // The anchor ended with row 59; none of what is there now was ever seen.
        check(50, 500, 95, 96);
        check(90, 5000, 91, 101);
    }

    #[test]
    fn a_history_that_filled_since_the_last_look_is_not_taken_for_the_whole() {
        let mut numbering = Numbering::default();
        numbering.see(50, false, &texts(50..60));
        numbering.count(&rows(500..600), 90, true, 100);
        assert_eq!(numbering.first(), 61, "something is missing");
    }

    #[test]
    fn an_anchor_is_not_found_where_it_cannot_stand() {
        // One blank row was certain; since then a flood came, and the newest row is blank again.
        let mut numbering = Numbering::default();
        numbering.see(0, false, &[String::new()]);
        numbering.see(90, true, &[]);
        let mut flood = rows(5000..5099);
        flood.push(Row { text: String::new(), wraps: false });
        numbering.count(&flood, 90, true, 99);
        assert_eq!(numbering.first(), 91, "something is missing");
    }

    #[test]
    fn counting_again_goes_on_from_there() {
        let mut numbering = Numbering::default();
        numbering.see(50, false, &texts(50..60));
        for first in [30, 60, 95] {
            numbering.see(92, true, &[]);
            numbering.count(&rows(first..first + 100), 92, true, 100);
            assert_eq!(numbering.first(), first);
        }
    }

    #[test]
    fn numbers_never_go_back() {
        let mut numbering = Numbering::default();
        numbering.see(90, true, &[]);
        let same: Vec<Row> = (0..100).map(|_| Row { text: "y".into(), wraps: false }).collect();
        let mut before = 0;
        for history in [90, 91, 90, 95] {
            numbering.see(history, true, &[]);
            numbering.count(&same, history, true, 100);
            assert!(numbering.first() >= before);
            before = numbering.first();
        }
    }
}

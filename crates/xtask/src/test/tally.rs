//! PURE. Counting tests from what the test runners print.

use std::ops::AddAssign;

/// How many tests really ran, and how they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Ran and passed.
    pub passed: u64,
    /// Ran, or should have run, and did not pass.
    pub failed: u64,
    /// Did not run.
    pub skipped: u64,
}

/// Whose words a line is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Runner {
    /// cargo-nextest: one summary; the output of failing tests comes before it.
    Nextest,
    /// Rust's own harness: a result for each binary.
    Libtest,
}

impl Tally {
    /// How many ran.
    pub const fn ran(self) -> u64 {
        self.passed + self.failed
    }

    /// Takes in one line of a runner's output.
    pub fn take(&mut self, runner: Runner, line: &str) {
        let line = plain(line);
        let line = line.trim();
        match runner {
            // The last one counts: a failing test's output may hold anything.
            Runner::Nextest => {
                if let Some(counts) = line
                    .strip_prefix("Summary [")
                    .and_then(|rest| rest.split_once(" run: "))
                    .and_then(|(_, counts)| counted(counts, ','))
                {
                    *self = counts;
                }
            }
            Runner::Libtest => {
                if let Some(counts) = line
                    .strip_prefix("test result: ")
                    .and_then(|rest| rest.split_once(". "))
                    .and_then(|(_, counts)| counted(counts, ';'))
                {
                    *self += counts;
                }
            }
        }
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// `3 passed (1 slow, 1 flaky), 1 timed out, 0 skipped` and the like. Words we do not know are failures,
/// unless they belong to the harness's book-keeping.
fn counted(counts: &str, separator: char) -> Option<Tally> {
    let mut tally = Tally::default();
    let mut any = false;
    for part in without_brackets(counts).split(separator) {
        let Some((number, what)) = part.trim().split_once(' ') else { continue };
        let Ok(number) = number.parse::<u64>() else { continue };
        any = true;
        match what.trim() {
            "passed" => tally.passed += number,
            "skipped" | "ignored" => tally.skipped += number,
            "measured" | "filtered out" => {}
            _ => tally.failed += number,
        }
    }
    any.then_some(tally)
}

fn without_brackets(text: &str) -> String {
    let mut depth = 0_u32;
    text.chars()
        .filter(|c| {
            match c {
                '(' => depth += 1,
                ')' => {
                    depth = depth.saturating_sub(1);
                    return false;
                }
                _ => {}
            }
            depth == 0
        })
        .collect()
}

/// A line without the escape sequences that colour it.
fn plain(line: &str) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line.chars();
    while let Some(c) = rest.next() {
        if c == '\u{1b}' {
            // `ESC [ numbers letter`
            rest.by_ref().find(char::is_ascii_alphabetic);
        } else {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(runner: Runner, lines: &str, (passed, failed, skipped): (u64, u64, u64)) {
        let mut tally = Tally::default();
        for line in lines.lines() {
            tally.take(runner, line);
        }
        assert_eq!(tally, Tally { passed, failed, skipped }, "{lines}");
    }

    #[test]
    fn nextest() {
        let check = |lines: &str, expected| check(Runner::Nextest, lines, expected);
        check("     Summary [   0.008s] 3 tests run: 3 passed, 0 skipped", (3, 0, 0));
        check("     Summary [   0.008s] 1 test run: 1 passed, 0 skipped", (1, 0, 0));
        check(
            "Summary [ 61.2s] 9 tests run: 7 passed (1 slow, 2 flaky), 1 failed, 1 timed out, 4 skipped",
            (7, 2, 4),
        );
        check("Summary [ 1.0s] 5/30 tests run: 4 passed, 1 exec failed, 25 skipped", (4, 1, 25));
        check(
            "\u{1b}[32;1m     Summary\u{1b}[0m [   0.010s] \u{1b}[1m12\u{1b}[0m tests run: \u{1b}[1m12\u{1b}[0m \
             \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m2\u{1b}[0m \u{1b}[33;1mskipped\u{1b}[0m",
            (12, 0, 2),
        );
        check("test result: FAILED. 0 passed; 1 failed; 0 ignored", (0, 0, 0));
        check(
            "Summary [ 1s] 9 tests run: 9 passed, 0 skipped\nSummary [ 2s] 2 tests run: 2 passed, 0 skipped",
            (2, 0, 0),
        );
        check("Summary of what follows", (0, 0, 0));
        check("", (0, 0, 0));
    }

    #[test]
    fn libtest() {
        let check = |lines: &str, expected| check(Runner::Libtest, lines, expected);
        let good =
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s";
        check(good, (3, 0, 1));
        check(&format!("{good}\nnoise\n{good}"), (6, 0, 2));
        check("test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out", (1, 2, 0));
        check("test tests::ok ... ok", (0, 0, 0));
    }
}

//! What is wrong with a file, shown with name, line, column, the line itself and a caret. PURE.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use unicode_width::UnicodeWidthStr;

use crate::failure::Failure;
use crate::report::clean::clean;

/// Problems shown at most; the rest is counted.
const SHOWN: usize = 20;
/// Characters of a long line shown before the caret at most.
const AROUND: usize = 60;

/// A place in one of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Place {
    /// Which file, by its number in [`Sources`].
    pub file: u16,
    /// Counted from one.
    pub line: u32,
    /// Counted from one, in characters.
    pub column: u32,
    /// Characters; zero means up to the end of the line.
    pub len: u32,
}

/// The files read so far, with their text.
#[derive(Debug, Default, Clone)]
pub struct Sources {
    files: Vec<Source>,
}

#[derive(Debug, Clone)]
struct Source {
    /// As the user named it.
    path: PathBuf,
    /// The same, absolute.
    real: PathBuf,
    text: Arc<str>,
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, and what to do, in a line.
    pub message: String,
    /// Whether what stands there may be a secret, and is not shown.
    pub secret: bool,
}

/// A problem with all that is needed to show it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// The file as the user named it.
    pub file: PathBuf,
    /// Counted from one.
    pub line: u32,
    /// Counted from one, in characters.
    pub column: u32,
    /// What is wrong, and what to do.
    pub message: String,
    /// The line, and under it the caret.
    #[serde(skip)]
    pub snippet: String,
}

/// All that is wrong with a file and those it includes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("{} has {}{}", file.display(), counted(problems.len() + more), shown(problems))]
pub struct Mistakes {
    /// The outermost file.
    #[serde(skip)]
    pub file: PathBuf,
    /// In the order of files and lines; never empty.
    pub problems: Vec<Diagnostic>,
    /// How many more there are.
    pub more: usize,
}

impl Place {
    /// The beginning of a file.
    pub fn top(file: u16) -> Self {
        Self { file, line: 1, column: 1, len: 1 }
    }
}

impl Sources {
    /// Adds a file, as the user named it and absolute, and says its number.
    pub fn add(&mut self, path: PathBuf, real: PathBuf, text: &str) -> u16 {
        self.files.push(Source { path, real, text: text.into() });
        u16::try_from(self.files.len() - 1).unwrap_or(u16::MAX)
    }

    /// The path of a file as the user named it.
    pub fn path(&self, file: u16) -> &Path {
        self.files.get(usize::from(file)).map_or(Path::new(""), |source| &source.path)
    }

    /// The absolute path of a file.
    pub fn real(&self, file: u16) -> &Path {
        self.files.get(usize::from(file)).map_or(Path::new(""), |source| &source.real)
    }

    /// The paths of all files as the user named them.
    pub fn paths(&self) -> Vec<PathBuf> {
        self.files.iter().map(|source| source.path.clone()).collect()
    }

    fn line(&self, place: Place) -> &str {
        let text = self.files.get(usize::from(place.file)).map_or("", |source| &source.text);
        text.lines().nth(place.line.saturating_sub(1) as usize).unwrap_or_default()
    }

    /// An error of all these problems.
    pub fn mistakes(&self, mut problems: Vec<Problem>) -> Mistakes {
        problems.sort_by(|a, b| (a.place, &a.message).cmp(&(b.place, &b.message)));
        problems.dedup();
        let secrets: Vec<Place> = problems.iter().filter(|p| p.secret).map(|p| p.place).collect();
        let more = problems.len().saturating_sub(SHOWN);
        problems.truncate(SHOWN);
        let problems = problems.into_iter().map(|problem| self.diagnostic(problem, &secrets)).collect();
        Mistakes { file: self.path(0).to_owned(), problems, more }
    }

    fn diagnostic(&self, problem: Problem, secrets: &[Place]) -> Diagnostic {
        let Problem { place, message, secret } = problem;
        // A line is shown for its other mistakes, too.
        let mut line = self.line(place).to_owned();
        for hidden in secrets.iter().filter(|s| (s.file, s.line) == (place.file, place.line)) {
            let from = hidden.column.saturating_sub(1) as usize;
            let to = from + hidden.len as usize;
            line = line
                .chars()
                .enumerate()
                .map(|(at, c)| if (from..to).contains(&at) { '*' } else { c })
                .collect();
        }
        Diagnostic {
            file: self.path(place.file).to_owned(),
            line: place.line,
            column: place.column,
            message,
            snippet: snippet(&line, place, secret),
        }
    }
}

/// The line with its number, and carets under what is meant.
fn snippet(line: &str, place: Place, secret: bool) -> String {
    let chars: Vec<char> = line.trim_end().chars().collect();
    let start = (place.column.saturating_sub(1) as usize).min(chars.len());
    let len = if place.len == 0 { chars.len() - start } else { place.len as usize };
    let end = (start + len).min(chars.len());
    let text = |from: usize, to: usize| clean(&chars[from..to].iter().collect::<String>());
    // A line of usual length is shown whole.
    let whole = chars.len() <= 2 * AROUND;
    let from = if whole { 0 } else { start.saturating_sub(AROUND) };
    let end = if whole { end } else { end.min(start + AROUND) };
    let to = if whole { chars.len() } else { (end + AROUND / 2).min(chars.len()) };
    let before = format!("{}{}", if from > 0 { "…" } else { "" }, text(from, start));
    let marked = if secret { "…".to_owned() } else { text(start, end) };
    let after = if secret { String::new() } else { text(end, to) };
    let cut = if !secret && to < chars.len() { "…" } else { "" };
    let number = place.line.to_string();
    format!(
        "{number} | {before}{marked}{after}{cut}\n{} | {}{}",
        " ".repeat(number.len()),
        " ".repeat(before.width()),
        "^".repeat(marked.width().max(1)),
    )
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { file, line, column, message, snippet } = self;
        write!(f, "{}:{line}:{column}: {message}\n{snippet}", file.display())
    }
}

fn counted(count: usize) -> String {
    if count == 1 { "a mistake".to_owned() } else { format!("{count} mistakes") }
}

fn shown(problems: &[Diagnostic]) -> String {
    problems.iter().map(|problem| format!("\n{problem}")).collect()
}

impl Mistakes {
    /// As people read it, at the edge.
    pub fn failure(&self) -> Failure {
        let Self { file, problems, more } = self;
        let what = format!("{} has {}", file.display(), counted(problems.len() + more));
        let failure =
            problems.iter().fold(Failure::usage(what), |failure, p| failure.caused_by(p.to_string()));
        match more {
            0 => failure,
            more => failure.hint(format!("there are {more} more")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carets_stand_under_what_is_meant() {
        let check = |line: &str, column: u32, len: u32, secret: bool, expected: &str| {
            let place = Place { file: 0, line: 7, column, len };
            assert_eq!(snippet(line, place, secret), expected, "{line}");
        };
        check("  prot: 22", 3, 4, false, "7 |   prot: 22\n  |   ^^^^");
        check("漢字: x", 5, 1, false, "7 | 漢字: x\n  |       ^");
        check("\tx", 2, 1, false, "7 |  x\n  |  ^");
        check("a: b c", 4, 0, false, "7 | a: b c\n  |    ^^^");
        check("token: hunter2 # mine", 8, 7, true, "7 | token: …\n  |        ^");
        check("", 9, 3, false, "7 | \n  | ^");
        let long = "x".repeat(500);
        let shown = snippet(&long, Place { file: 0, line: 7, column: 300, len: 3 }, false);
        assert!(shown.lines().all(|line| line.chars().count() < 170), "{shown}");
        assert!(shown.ends_with("^^^"), "{shown}");
    }

    #[test]
    fn many_problems_are_sorted_counted_and_said_once() {
        let mut sources = Sources::default();
        let file = sources.add("f.yaml".into(), "/d/f.yaml".into(), "a\nb\n");
        let problem = |line: u32, message: String| Problem {
            place: Place { file, line, column: 1, len: 1 },
            message,
            secret: false,
        };
        let mut all: Vec<Problem> = (0..30).map(|n| problem(2, format!("{n:02}"))).collect();
        all.push(problem(1, "first".into()));
        all.push(problem(1, "first".into()));
        let error = sources.mistakes(all);
        let said = error.failure().to_string();
        assert!(
            said.starts_with("error: f.yaml has 31 mistakes\n  caused by: f.yaml:1:1: first\n"),
            "{said}"
        );
        assert!(said.ends_with("hint: there are 11 more\n"), "{said}");
    }
}

//! Which tasks got in each other's way: files that several of them changed, and what git's merge says of it. PURE.

use std::collections::BTreeMap;

use serde::Serialize;

/// Pairs of tasks that are looked at; others are counted.
pub const PAIRS: usize = 500;
/// Files named of one pair.
const FILES: usize = 20;

/// Two tasks that changed the same files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// One, by its place among those given.
    pub one: usize,
    /// The other, further back.
    pub other: usize,
    /// Files both changed, in order; of very many the first.
    pub files: Vec<String>,
}

/// What merging two tasks' work would come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It conflicts.
    Conflict {
        /// In these files.
        files: Vec<String>,
    },
    /// It goes well: they changed the same files at different places.
    Clean,
    /// Nobody knows.
    Unknown {
        /// Why.
        why: String,
    },
}

/// Pairs that changed the same files, in order; and how often beside them two changed the same file.
pub fn pairs(changed: &[Vec<String>]) -> (Vec<Pair>, usize) {
    let mut by_file: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (task, files) in changed.iter().enumerate() {
        for file in files {
            let tasks = by_file.entry(file).or_default();
            if tasks.last() != Some(&task) {
                tasks.push(task);
            }
        }
    }
    let mut found: BTreeMap<(usize, usize), Vec<String>> = BTreeMap::new();
    let mut more = 0;
    for (file, tasks) in by_file {
        for (at, one) in tasks.iter().enumerate() {
            for other in &tasks[at + 1..] {
                let pair = (*one, *other);
                if found.len() >= PAIRS && !found.contains_key(&pair) {
                    more += 1;
                    continue;
                }
                let files = found.entry(pair).or_default();
                if files.len() < FILES {
                    files.push(file.to_owned());
                }
            }
        }
    }
    (found.into_iter().map(|((one, other), files)| Pair { one, other, files }).collect(), more)
}

/// What `git merge-tree --write-tree --no-messages --name-only -z` said.
pub fn verdict(code: Option<i32>, printed: &[u8], complaints: &str) -> Verdict {
    match code {
        Some(0) => Verdict::Clean,
        // The tree first, then the files.
        Some(1) => {
            let mut files: Vec<String> = names(printed).into_iter().skip(1).collect();
            files.dedup();
            files.truncate(FILES);
            Verdict::Conflict { files }
        }
        _ => {
            let why = complaints.lines().find(|line| !line.trim().is_empty()).unwrap_or("git did not say");
            Verdict::Unknown { why: why.trim_start_matches("fatal: ").trim().to_owned() }
        }
    }
}

/// Names that end in NUL.
pub fn names(printed: &[u8]) -> Vec<String> {
    let parts = printed.split(|byte| *byte == 0).filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_changed_the_same() {
        #[track_caller]
        fn check(changed: &[&[&str]], expected: &[(usize, usize, &[&str])]) {
            let changed: Vec<Vec<String>> =
                changed.iter().map(|files| files.iter().map(|f| (*f).to_owned()).collect()).collect();
            let (found, more) = pairs(&changed);
            let told: Vec<(usize, usize, Vec<&str>)> = found
                .iter()
                .map(|pair| (pair.one, pair.other, pair.files.iter().map(String::as_str).collect()))
                .collect();
            let expected: Vec<_> = expected.iter().map(|(a, b, files)| (*a, *b, files.to_vec())).collect();
            assert_eq!((told, more), (expected, 0));
        }
        check(&[], &[]);
        check(&[&["a"], &["b"]], &[]);
        check(
            &[&["a", "b"], &["b", "c"], &["c", "b"]],
            &[(0, 1, &["b"]), (0, 2, &["b"]), (1, 2, &["b", "c"])],
        );
        check(&[&["a", "a"], &["x"], &["a"]], &[(0, 2, &["a"])]);
    }

    #[test]
    fn of_very_many_the_first() {
        let all = vec![vec!["same".to_owned()]; 100];
        let (found, more) = pairs(&all);
        assert_eq!((found.len(), more), (PAIRS, 100 * 99 / 2 - PAIRS));
    }

    #[test]
    fn what_git_says() {
        #[track_caller]
        fn check(code: Option<i32>, printed: &str, complaints: &str, expected: Verdict) {
            assert_eq!(verdict(code, printed.as_bytes(), complaints), expected);
        }
        check(Some(0), "abc\0", "", Verdict::Clean);
        check(Some(1), "abc\0x y\0x y\0z\0", "", Verdict::Conflict { files: vec!["x y".into(), "z".into()] });
        let unknown = |why: &str| Verdict::Unknown { why: why.into() };
        let words = "\nfatal: refusing to merge unrelated histories\n";
        check(Some(128), "", words, unknown("refusing to merge unrelated histories"));
        check(None, "", "", unknown("git did not say"));
    }
}

//! The directories of tasks' results: their labels, made harmless and each of its own. PURE.

use std::collections::HashSet;

use cm_agent::work::names::slug;

/// A name for each label, in order. Two that a file system may take for one (`a` and `A`) are told apart by the
/// task's number. The same labels always get the same names.
pub fn folders<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut taken = HashSet::new();
    let mut free = |name: &str| taken.insert(name.to_lowercase());
    let folder = |(index, label): (usize, &str)| {
        let number = index + 1;
        let mut name = slug(label, &format!("task-{number}"));
        while !free(&name) {
            name = format!("{name}-{number}");
        }
        name
    };
    labels.enumerate().map(folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_as_names_of_directories() {
        #[track_caller]
        fn check(labels: &[&str], expected: &[&str]) {
            assert_eq!(folders(labels.iter().copied()), expected, "{labels:?}");
        }
        check(&["task-1", "task-2"], &["task-1", "task-2"]);
        check(&["fix the login!", "a/b"], &["fix-the-login", "a-b"]);
        check(&["../../etc", "/etc/passwd", ".."], &["etc", "etc-passwd", "task-3"]);
        check(&["a", "A", "a"], &["a", "A-2", "a-3"]);
        check(&["x", "x", "x-2"], &["x", "x-2", "x-2-3"]);
        check(&["", "\u{1b}[2J", "e\n"], &["task-1", "2J", "e"]);
        check(&[&"l".repeat(300)], &[&"l".repeat(60)]);
    }
}

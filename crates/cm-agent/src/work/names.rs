//! Names for branches and directories, made of a task's name. PURE.

use std::collections::HashSet;

use sha2::{Digest, Sha256};

/// The longest name made of a task's, in bytes. A branch is a file in `.git`, whose name has at most 255.
const LONGEST: usize = 60;

/// The branch of a task's own: `cm/` and its name, with everything git or a shell could stumble over made a dash.
pub fn branch_for(task: &str) -> String {
    format!("cm/{}", slug(task, "task"))
}

/// Where work in progress of a task is kept: `refs/cm/<task>/wip`. A task whose name has to be changed for it has some
/// of its hash behind it: another task's name may become the same.
pub fn wip_ref(task: &str) -> String {
    let mut name = slug(task, "task");
    if name != task {
        let digest = Sha256::digest(task.as_bytes());
        name.push('-');
        name.extend(digest.iter().take(4).map(|byte| format!("{byte:02x}")));
    }
    format!("refs/cm/{name}/wip")
}

/// A name that is harmless everywhere: letters and digits of any script, `-`, `_` and single dots inside. If nothing
/// is left: `otherwise`.
pub fn slug(text: &str, otherwise: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        let c = if c.is_alphanumeric() || matches!(c, '_' | '.') { c } else { '-' };
        if name.len() + c.len_utf8() > LONGEST {
            break;
        }
        // Neither `--` nor `..` nor `-.`.
        if !(matches!(c, '-' | '.') && name.ends_with(['-', '.'])) {
            name.push(c);
        }
    }
    let mut name = name.trim_matches(['-', '.']);
    while let Some(rest) = name.strip_suffix(".lock") {
        name = rest.trim_end_matches(['-', '.']);
    }
    if name.is_empty() || name == "HEAD" { otherwise.to_owned() } else { name.to_owned() }
}

/// What is wrong with a branch's name, by git's rules (git-check-ref-format(1)).
pub fn bad_branch(name: &str) -> Option<&'static str> {
    let odd = |c: char| c.is_control() || matches!(c, ' ' | '~' | '^' | ':' | '?' | '*' | '[' | '\\');
    let part_is_bad = |part: &str| part.starts_with('.') || part.ends_with(".lock");
    if name.is_empty() {
        Some("it is empty")
    } else if name.len() > 200 {
        Some("it is longer than 200 bytes")
    } else if name.starts_with('-') {
        Some("it begins with a dash")
    } else if name == "HEAD" || name == "@" {
        Some("git has another use for it")
    } else if name.contains(odd) {
        Some("it contains a blank, a control character or one of ~^:?*[\\")
    } else if name.contains("..") || name.contains("@{") || name.ends_with('.') {
        Some("it contains .. or @{ or ends with a dot")
    } else if name.split('/').any(str::is_empty) {
        Some("a part of it between slashes is empty")
    } else if name.split('/').any(part_is_bad) {
        Some("a part of it begins with a dot or ends with .lock")
    } else {
        None
    }
}

/// The first of `wanted`, `wanted-2`, `wanted-3`, … that no branch has, or stands in the way of: with a branch
/// `cm` there can be no `cm/x` (then it is `cm-x`), and with `cm/x/y` no `cm/x`.
pub fn free_branch(wanted: &str, taken: &HashSet<String>) -> String {
    let above = |name: &str| name.match_indices('/').any(|(at, _)| taken.contains(&name[..at]));
    let wanted = if above(wanted) { wanted.replace('/', "-") } else { wanted.to_owned() };
    // Those that are directories because of a branch below them.
    let directories: HashSet<&str> =
        taken.iter().flat_map(|name| name.match_indices('/').map(|(at, _)| &name[..at])).collect();
    let free = |name: &str| !taken.contains(name) && !directories.contains(name);
    if free(&wanted) {
        return wanted;
    }
    // Among more numbers than there are branches one is free.
    (2..).map(|n: u64| format!("{wanted}-{n}")).find(|name| free(name)).unwrap_or(wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_work_in_progress_is_kept() {
        #[track_caller]
        fn check(task: &str, expected: &str) {
            let name = wip_ref(task);
            assert_eq!(name, expected, "{task:?}");
            assert_eq!(bad_branch(&name), None, "{task:?}");
        }
        check("fix-login", "refs/cm/fix-login/wip");
        check("fix login", "refs/cm/fix-login-46bf6d4d/wip");
        check("fix/login", "refs/cm/fix-login-5e870e24/wip");
        check("", "refs/cm/task-e3b0c442/wip");
    }

    #[test]
    fn branches_of_tasks() {
        #[track_caller]
        fn check(task: &str, expected: &str) {
            let branch = branch_for(task);
            assert_eq!(branch, expected, "{task:?}");
            assert_eq!(bad_branch(&branch), None, "{task:?}");
        }
        check("fix-login", "cm/fix-login");
        check("Fix the failing test!", "cm/Fix-the-failing-test");
        check("a/b\\c:d~e^f?g*h[i", "cm/a-b-c-d-e-f-g-h-i");
        check("../../etc/passwd", "cm/etc-passwd");
        check("--force", "cm/force");
        check("", "cm/task");
        check("…!!", "cm/task");
        check("HEAD", "cm/task");
        check("x.lock.lock", "cm/x");
        check("v1.2..3.", "cm/v1.2.3");
        check("a\nb\0c\u{1b}[31m", "cm/a-b-c-31m");
        check("修正 テスト", "cm/修正-テスト");
        check(&"x".repeat(500), &format!("cm/{}", "x".repeat(60)));
        check("@{", "cm/task");
    }

    #[test]
    fn bad_branches() {
        for bad in [
            "", "-x", "a b", "a..b", "a~1", "a^", "a:b", "a?", "a*", "a[b", "a\\b", "a@{b", "a/", "/a",
            "a//b", ".a", "a/.b", "a.lock", "a.lock/b", "a.", "@", "HEAD", "a\nb", "a\u{7f}",
        ] {
            assert!(bad_branch(bad).is_some(), "{bad:?}");
        }
        for good in ["a", "feature/x", "a-b_c.d", "ü", "a@b", "HEAD/x"] {
            assert_eq!(bad_branch(good), None, "{good:?}");
        }
    }

    #[test]
    fn free_branches() {
        #[track_caller]
        fn check(wanted: &str, taken: &[&str], expected: &str) {
            let taken = taken.iter().map(|name| (*name).to_owned()).collect();
            assert_eq!(free_branch(wanted, &taken), expected, "{wanted} beside {taken:?}");
        }
        check("cm/x", &["main"], "cm/x");
        check("cm/x", &["cm/x"], "cm/x-2");
        check("cm/x", &["cm/x", "cm/x-2", "cm/x-4"], "cm/x-3");
        check("cm/x", &["cm"], "cm-x");
        check("cm/x", &["cm", "cm-x"], "cm-x-2");
        check("cm/x", &["cm/x/y"], "cm/x-2");
        check("x", &[], "x");
    }
}

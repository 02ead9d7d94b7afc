//! What hosts are told in order to carry commits: five scripts, always the same. PURE.
//!
//! What differs from one call to the next (the repository, the ref, commits) goes to standard input, a line each:
//! so there is nothing to quote, whatever the login shell is, and nothing of it stands in an argument but git's own.

use crate::deploy::script::BEGIN;

/// The longest path of a repository, in bytes.
const LONGEST: usize = 4096;

/// How many of a repository's refs are told to the other side, the newest ones.
const REFS: usize = 500;

/// Lines of git's that are repeated when it fails.
const LAST_LINES: usize = 4;

/// Exit codes of the scripts' own.
pub const NO_GIT: i32 = 91;
/// There is no repository.
pub const NO_REPOSITORY: i32 = 92;
/// What was brought cannot be put down.
pub const NO_ROOM: i32 = 93;

/// Stands before the exit code of `git bundle`, on the last line of what [`give`] complains of.
pub const STATUS: &str = "cm-fleet:status ";

/// Reads which repository it is about and which ref, and goes there.
fn begin(first: &str, rest: &str) -> String {
    format!(
        r#"IFS= read -r r
IFS= read -r ref
LC_ALL=C
export LC_ALL
umask 077
command -v git >/dev/null || exit {NO_GIT}
unset $(git rev-parse --local-env-vars)
case "$r" in "~/"*) r="$HOME/${{r#??}}";; esac
g() {{
git --no-pager -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 -c safe.bareRepository=all "$@"
}}
{first}
cd "$r" || exit {NO_REPOSITORY}
g rev-parse --git-dir >/dev/null || exit {NO_REPOSITORY}
{rest}"#
    )
}

/// Makes an empty bare repository where there is none.
pub fn make() -> String {
    let first = r#"test -e "$r/HEAD" || { mkdir -p "$r" && g -c init.defaultBranch=main init --quiet --bare --template= "$r" >&2; }"#;
    begin(first, &format!("echo {BEGIN}"))
}

/// Says which commit the ref is; nothing, if there is no such ref.
pub fn look() -> String {
    begin("", &format!("echo {BEGIN}\ng rev-parse --verify --quiet \"$ref^{{commit}}\"\nexit 0"))
}

/// Takes a commit; if the repository has it, the ref is set to it and the answer is the commit. Else: commits that
/// the repository has, one a line, each after `^`.
pub fn known() -> String {
    begin(
        "",
        &format!(
            r#"IFS= read -r c
if g cat-file -e "$c^{{commit}}" 2>/dev/null; then
case "$ref" in
refs/heads/*) g fetch --quiet --no-write-fetch-head . "+$c:$ref" || exit;;
*) g update-ref "$ref" "$c" || exit;;
esac
echo {BEGIN}
echo "$c"
exit 0
fi
echo {BEGIN}
g for-each-ref --count={REFS} --sort=-committerdate --format="^%(objectname)"
h=$(g rev-parse --verify --quiet HEAD) && echo "^$h"
exit 0"#
        ),
    )
}

/// Takes what [`known`] said and prints a bundle of the ref without it: at most `most` bytes and one more.
pub fn give(most: usize) -> String {
    let all = most + 1;
    begin(
        "",
        &format!(
            r#"echo {BEGIN}
{{ g bundle create --quiet - --ignore-missing --stdin "$ref"; echo "{STATUS}$?" >&2; }} | head -c {all}"#
        ),
    )
}

/// Takes a ref's name and a bundle, sets that ref to what the bundle has, and says which commit that is.
pub fn take() -> String {
    begin(
        "",
        &format!(
            r#"IFS= read -r to
d=$(g rev-parse --git-common-dir) || exit
t=$(mktemp "$d/cm-carry.XXXXXX") || exit {NO_ROOM}
tidy() {{
rm -f "$t"
}}
trap "" HUP
trap tidy EXIT
cat > "$t" || exit {NO_ROOM}
g fetch --quiet --no-tags --no-write-fetch-head --no-recurse-submodules "$t" "+$ref:$to" || exit
echo {BEGIN}
g rev-parse --verify "$to""#
        ),
    )
}

/// What followed the mark in what a script printed.
pub fn answer(printed: &[u8]) -> Option<&[u8]> {
    let mut rest = printed;
    loop {
        let end = rest.iter().position(|byte| *byte == b'\n')?;
        let (line, after) = (&rest[..end], &rest[end + 1..]);
        if line.strip_suffix(b"\r").unwrap_or(line) == BEGIN.as_bytes() {
            return Some(after);
        }
        rest = after;
    }
}

/// The exit code of `git bundle`, and its complaints without it.
pub fn status(complaints: &str) -> (Option<i32>, String) {
    let (lines, status): (Vec<&str>, Vec<&str>) =
        complaints.lines().partition(|line| !line.starts_with(STATUS));
    let code = status.last().and_then(|line| line.strip_prefix(STATUS)?.trim().parse().ok());
    (code, lines.join("\n"))
}

/// git's complaints on one line, its last words; or how it ended, where it gave no reason.
pub fn why(complaints: &str, code: Option<i32>) -> String {
    let lines: Vec<String> = complaints
        .lines()
        .filter(|line| !line.starts_with("hint:") && !line.starts_with("warning:"))
        .map(|line| cm_agent::work::words::line(line.trim_start_matches("fatal: ")))
        .filter(|line| !line.trim().is_empty())
        .collect();
    match (lines[lines.len().saturating_sub(LAST_LINES)..].join("; "), code) {
        (said, _) if !said.is_empty() => said,
        (_, Some(code)) => format!("nothing; it ended with {code}"),
        (_, None) => "nothing; it was ended by a signal".to_owned(),
    }
}

/// What is wrong with a repository's path on a host.
pub fn bad_repository(path: &str) -> Option<&'static str> {
    let absolute = path.starts_with('/') || path.starts_with("~/");
    match path {
        _ if !absolute => Some("it must begin with / or ~/"),
        _ if path.len() > LONGEST => Some("it has more than 4096 bytes"),
        _ if path.chars().any(char::is_control) => Some("it contains a control character"),
        _ => None,
    }
}

/// What is wrong with the whole name of a ref.
pub fn bad_ref(name: &str) -> Option<&'static str> {
    match name.strip_prefix("refs/").filter(|rest| rest.contains('/')) {
        None => Some("its whole name is wanted, as in refs/heads/main"),
        Some(_) => cm_agent::work::names::bad_branch(name),
    }
}

/// What a script of ours is given first.
pub fn header(repository: &str, wanted: &str, more: &str) -> Vec<u8> {
    format!("{repository}\n{wanted}\n{more}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_the_scripts_means_something_else_to_another_shell() {
        for script in [make(), look(), known(), give(1 << 20), take()] {
            assert!(!script.contains(['\'', '\\']), "{script}");
        }
    }

    #[test]
    fn answers() {
        #[track_caller]
        fn check(printed: &[u8], expected: Option<&[u8]>) {
            assert_eq!(answer(printed), expected);
        }
        check(b"Welcome!\ncm-fleet:begin\n# v2\n\xff\n", Some(b"# v2\n\xff\n"));
        check(b"cm-fleet:begin\r\n", Some(b""));
        check(b"not cm-fleet:begin\nx", None);
        check(b"", None);
        assert_eq!(status("warning: x\ncm-fleet:status 128\n"), (Some(128), "warning: x".into()));
        assert_eq!(status("fatal: y\n"), (None, "fatal: y".into()));
    }

    #[test]
    fn what_is_not_asked_of_a_host() {
        #[track_caller]
        fn check(path: &str, name: &str, expected: (bool, bool)) {
            assert_eq!(
                (bad_repository(path).is_none(), bad_ref(name).is_none()),
                expected,
                "{path:?} {name:?}"
            );
        }
        check("/srv/x y/it's", "refs/heads/cm/x", (true, true));
        check("~/w", "refs/cm/t/wip", (true, true));
        check("w", "main", (false, false));
        check("-x", "--all", (false, false));
        check("~ada/w", "refs/heads/..", (false, false));
        check("/a\nb", "refs/heads/a\nb", (false, false));
        check("", "", (false, false));
        check("/x", "refs/heads/a b", (true, false));
        check("/x", "refs/heads/a:b", (true, false));
        check("/x", "refs/x", (true, false));
    }
}

//! What changed since a task began, whatever happened meanwhile.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use cm_agent::work::{Base, Before, base, changes::changes};
use cm_protocol::Changes;

use crate::repo::{self, Repo};

pub async fn begin(repo: &Repo) -> Base {
    base(&repo.root, Some(&repo.beside("keep"))).await.expect("looked").expect("a repository")
}

/// What changed; looking changes nothing.
pub async fn look(repo: &Repo, base: &Base) -> Changes {
    let before = repo.fingerprint();
    let patch = repo.beside("patch");
    let _ = fs::remove_file(&patch);
    let found = changes(base, Some(&patch)).await.expect("looked");
    assert_eq!(repo.fingerprint(), before);
    assert_eq!(found.patch.is_some(), patch.exists());
    assert_eq!(found.patch.is_some(), found.files > 0, "{found:?}");
    assert!(found.diffstat.lines().count() <= 50, "{}", found.diffstat);
    found
}

/// Files, insertions, deletions.
pub fn counts(changes: &Changes) -> (u64, u64, u64) {
    (changes.files, changes.insertions, changes.deletions)
}

/// What the patch makes of a fresh copy of `commit`: that of the work tree now.
pub fn patch_leads_there(repo: &Repo, commit: &str) {
    let copy = repo.beside("copy");
    repo.git(&["clone", "-q", "--no-checkout", ".", copy.to_str().expect("text")]);
    repo::git(&copy, &["checkout", "-q", commit]);
    repo::git(&copy, &["apply", "--index", repo.beside("patch").to_str().expect("text")]);
    let list = |root: &Path| {
        let listed =
            repo::run(root, &["ls-files", "-z", "--cached", "--others", "--exclude-standard"]).stdout;
        let mut names: Vec<_> = listed
            .split(|b| *b == 0)
            .map(|name| String::from_utf8_lossy(name).into_owned())
            .filter(|name| {
                !name.is_empty() && root.join(name).symlink_metadata().is_ok_and(|meta| !meta.is_dir())
            })
            .map(|name| (name.clone(), fs::read(root.join(&name)).ok()))
            .collect();
        names.sort();
        names.dedup();
        names
    };
    assert_eq!(list(&copy), list(&repo.root));
}

#[tokio::test]
async fn rule_12_a_task_that_changed_nothing_shows_it() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    let head = Some(repo.head());
    let expected =
        Changes { base: head.clone(), commit: head, branch: Some("main".into()), ..Changes::default() };
    assert_eq!(look(&repo, &base).await, expected);
}

#[tokio::test]
async fn everything_counts_once() {
    let repo = Repo::new();
    repo.write(".gitignore", "ignored\n");
    repo.write("moved", "m\n".repeat(50));
    repo.write("gone", "g\n");
    let commit = repo.commit("second");
    let base = begin(&repo).await;
    repo.write("committed", "c\n");
    repo.commit("third: with a\tsubject");
    repo.write("a", "one\n2\nthree\n");
    repo.git(&["add", "a"]);
    repo.write("a", "one\n2\nthree\nfour\n");
    repo.write("new/deep/file", "n\nn\n");
    repo.write("new \"ü\" and\na line end", "x\n");
    repo.write("empty", "");
    repo.write("binary", [0, 1, 2, 255, 0, 10]);
    repo.write("ignored", "i\n");
    fs::rename(repo.root.join("moved"), repo.root.join("moved there")).expect("moved");
    fs::remove_file(repo.root.join("gone")).expect("removed");
    symlink("nowhere", repo.root.join("link")).expect("linked");
    fs::set_permissions(repo.root.join("sub/b"), fs::Permissions::from_mode(0o755)).expect("made a program");
    let found = look(&repo, &base).await;
    assert_eq!(counts(&found), (10, 7, 2), "{}", found.diffstat);
    assert!(found.uncommitted);
    assert_eq!(found.commits.len(), 1);
    assert!(found.commits[0].ends_with(" third: with a    subject"), "{:?}", found.commits);
    assert_eq!((found.base, found.commit), (Some(commit.clone()), Some(repo.head())));
    for part in [
        "moved => moved there",
        "binary",
        "Bin 0 -> 6",
        "\"new \\\"ü\\\" and\\na line end\"",
        "10 files changed",
    ] {
        assert!(found.diffstat.contains(part), "{part} in {}", found.diffstat);
    }
    assert_eq!(fs::metadata(repo.beside("patch")).expect("there").permissions().mode() & 0o777, 0o600);
    patch_leads_there(&repo, &commit);
}

#[tokio::test]
async fn the_first_commits() {
    let repo = Repo::empty();
    let base = begin(&repo).await;
    assert_eq!(counts(&look(&repo, &base).await), (0, 0, 0));
    repo.write("a", "a\n");
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), &found.base, &found.commit), ((1, 1, 0), &None, &None));
    assert_eq!((found.branch.as_deref(), found.uncommitted), (Some("main"), true));
    repo.commit("first");
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.commits.len(), found.uncommitted), ((1, 1, 0), 1, false));
}

#[tokio::test]
async fn rule_12_what_was_there_before_is_not_the_tasks() {
    let repo = Repo::new();
    repo.write("a", "the user's\ntwo\nthree\n");
    repo.write("sub/b", "staged\n");
    repo.git(&["add", "sub/b"]);
    repo.write("users", "u\n");
    repo.write("ünt\nracked", "u\n");
    let base = begin(&repo).await;
    assert!(matches!(base.before, Before::Kept { .. }), "{base:?}");
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.uncommitted, found.diffstat.as_str()), ((0, 0, 0), true, ""));
    repo.write("a", "the user's\ntwo\nthree\nthe task's\n");
    repo.write("tasks", "t\n");
    fs::remove_file(repo.root.join("users")).expect("removed");
    let found = look(&repo, &base).await;
    assert_eq!(counts(&found), (3, 2, 1), "{}", found.diffstat);
    repo.commit("all of it");
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.commits.len()), ((3, 2, 1), 1), "{}", found.diffstat);
}

#[tokio::test]
async fn files_that_become_directories_and_back() {
    let repo = Repo::new();
    let turn = || {
        fs::remove_file(repo.root.join("a")).expect("removed");
        repo.write("a/inside", "i\n");
        fs::remove_dir_all(repo.root.join("sub")).expect("removed");
        repo.write("sub", "s\n");
    };
    let base = begin(&repo).await;
    turn();
    assert_eq!(counts(&look(&repo, &base).await), (4, 2, 4));
    patch_leads_there(&repo, base.commit.as_deref().expect("one"));
    let base = begin(&repo).await;
    assert!(matches!(base.before, Before::Kept { .. }), "{base:?}");
    assert_eq!(counts(&look(&repo, &base).await), (0, 0, 0));
}

#[tokio::test]
async fn only_a_part_is_checked_out() {
    let repo = Repo::new();
    repo.write("other/c", "c\n");
    repo.commit("second");
    for options in [&["--cone", "--sparse-index"][..], &["--no-cone"]] {
        repo.git(&[&["sparse-checkout", "set"], options, &["sub"]].concat());
        assert!(!repo.root.join("other").exists());
        let base = begin(&repo).await;
        repo.write("sub/b", "changed\n");
        repo.write("sub/new", "n\n");
        assert_eq!(counts(&look(&repo, &base).await), (2, 2, 1));
        let later = begin(&repo).await;
        assert!(matches!(later.before, Before::Kept { .. }), "{later:?}");
        assert_eq!(counts(&look(&repo, &later).await), (0, 0, 0));
        repo.git(&["checkout", "-q", "sub/b"]);
        fs::remove_file(repo.root.join("sub/new")).expect("removed");
    }
}

#[tokio::test]
async fn names_that_are_no_text_and_files_that_are_no_files() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    let name = std::os::unix::ffi::OsStrExt::from_bytes(b"no text \xff\xfe");
    fs::write(repo.root.join::<&std::ffi::OsStr>(name), "x\n").expect("written");
    let pipe = Command::new("mkfifo").arg(repo.root.join("pipe")).status().expect("mkfifo");
    assert!(pipe.success());
    let _socket = std::os::unix::net::UnixListener::bind(repo.root.join("socket")).expect("bound");
    let found = look(&repo, &base).await;
    assert_eq!(counts(&found), (1, 1, 0), "{}", found.diffstat);
    let later = begin(&repo).await;
    assert!(matches!(later.before, Before::Kept { .. }), "{later:?}");
}

#[tokio::test]
async fn what_could_not_be_kept_is_said() {
    let repo = Repo::new();
    repo.write("users", "u\n");
    let mut base = begin(&repo).await;
    base.before = Before::Lost { why: "it is too much".into() };
    let found = look(&repo, &base).await;
    assert_eq!(counts(&found), (1, 1, 0));
    let said = "what was not committed before the task is counted too: it is too much";
    assert!(found.diffstat.ends_with(said), "{}", found.diffstat);
    base.before = Before::Kept { tree: "0".repeat(40), objects: repo.beside("nowhere") };
    let found = changes(&base, None).await.expect("looked");
    assert!(found.diffstat.starts_with("not known: cannot see what changed in"), "{}", found.diffstat);
}

#[tokio::test]
async fn history_that_moves() {
    let repo = Repo::new();
    repo.write("a", "one\ntwo\nthree\nfour\n");
    repo.commit("second");
    let base = begin(&repo).await;
    repo.git(&["reset", "-q", "--hard", "HEAD~1"]);
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.commits.len()), ((1, 0, 1), 0));
    repo.write("c", "c\n");
    repo.commit("another second");
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.commits.len()), ((2, 1, 1), 1));
    repo.git(&["checkout", "-q", "--detach"]);
    let found = look(&repo, &base).await;
    assert_eq!((found.branch, found.commit), (None, Some(repo.head())));
    repo.git(&["checkout", "-q", "--orphan", "fresh"]);
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.branch.as_deref(), &found.commit), ((2, 1, 1), Some("fresh"), &None));
    let gone = Base { commit: Some("1".repeat(40)), before: Before::Clean, ..base };
    let found = look(&repo, &gone).await;
    assert!(found.diffstat.contains("not known: "), "{}", found.diffstat);
}

#[tokio::test]
async fn a_merge_that_is_not_finished() {
    let repo = Repo::new();
    repo.git(&["checkout", "-qb", "other"]);
    repo.write("a", "other\n");
    repo.commit("other");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a", "main\n");
    repo.commit("main");
    let base = begin(&repo).await;
    assert!(!repo::run(&repo.root, &["merge", "other"]).status.success());
    let found = look(&repo, &base).await;
    assert_eq!((counts(&found), found.uncommitted), ((1, 4, 0), true), "{}", found.diffstat);
}

#[tokio::test]
async fn many_commits_and_many_files_are_bounded() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    for n in 0..60 {
        repo.git(&["commit", "-q", "--allow-empty", "-m", &format!("commit {n}")]);
    }
    for n in 0..10_000 {
        repo.write(&format!("many/{n}"), "x\n");
    }
    let begun = Instant::now();
    let found = look(&repo, &base).await;
    assert!(begun.elapsed() < Duration::from_secs(25), "{:?}", begun.elapsed());
    assert_eq!(counts(&found), (10_000, 10_000, 0));
    assert_eq!(found.commits.len(), 50);
    assert!(found.commits[49].ends_with(" commit 59"), "{:?}", found.commits);
    assert!(found.diffstat.contains("10000 files changed"), "{}", found.diffstat);
}

#[tokio::test]
async fn a_large_patch_is_cut_between_files() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    repo.write("aa", "small\n");
    repo.write("large", "a line of some length\n".repeat(1_600_000));
    let found = look(&repo, &base).await;
    assert!(found.diffstat.ends_with("the patch is cut at 32 MiB"), "{}", found.diffstat);
    assert_eq!(counts(&found), (2, 1_600_001, 0), "the counts are whole");
    let patch = fs::read_to_string(repo.beside("patch")).expect("there");
    assert!(patch.starts_with("diff --git a/aa b/aa\n") && patch.ends_with("+small\n"), "{}", patch.len());
}

#[tokio::test]
async fn what_changed_right_after_the_index_is_seen() {
    // The same size within the same second: only the index's own time tells.
    for _ in 0..5 {
        let repo = Repo::new();
        repo.write("new", "n\n");
        let base = begin(&repo).await;
        repo.write("a", "one\nTWO\nthree\n");
        repo.write("new", "N\n");
        assert_eq!(counts(&look(&repo, &base).await), (2, 2, 2));
    }
}

#[tokio::test]
async fn a_patch_that_cannot_be_written_is_said() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    repo.write("c", "c\n");
    let found = changes(&base, Some(Path::new("/nonexistent/x/patch"))).await.expect("looked");
    assert_eq!((counts(&found), &found.patch), ((1, 1, 0), &None));
    assert!(found.diffstat.contains("no patch: cannot write /nonexistent/x/patch"), "{}", found.diffstat);
}

//! What changed, in repositories with odd settings, odd neighbours, and disks that refuse.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process::Command,
    time::{Duration, Instant},
};

use cm_agent::host::process::ProcessId;
use cm_agent::work::{
    Before, base,
    base::base_within,
    changes::{changes, changes_within},
};

use crate::{
    changes::{begin, counts, look, patch_leads_there},
    repo::{self, Repo},
    support::{again, eventually, on_small_disk},
};

#[tokio::test]
async fn other_repositories_inside() {
    let repo = Repo::new();
    let sub = repo.beside("sub-origin");
    repo::init(&sub);
    repo::write(&sub.join("s"), "s\n");
    repo::git(&sub, &["add", "."]);
    repo::git(&sub, &["commit", "-qm", "s"]);
    repo.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        sub.to_str().expect("text"),
        "module",
    ]);
    repo.commit("with a submodule");
    let base = begin(&repo).await;
    repo::write(&repo.root.join("module/s"), "changed\n");
    repo::init(&repo.root.join("inner"));
    repo::write(&repo.root.join("inner/x"), "x\n");
    repo.write("c", "c\n");
    let found = look(&repo, &base).await;
    assert_eq!(counts(&found), (2, 1, 0), "{}", found.diffstat);
    assert!(found.diffstat.contains(" module | 0\n"), "{}", found.diffstat);
    assert!(found.diffstat.contains("inner/ is a git repository of its own"), "{}", found.diffstat);
}

#[tokio::test]
async fn the_users_locks_and_settings() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    repo.write("a", "changed\n");
    repo.write("new", "n\n");
    repo.write(".git/index.lock", "");
    let evil = format!("touch {}; false", repo.beside("evil").display());
    for (name, value) in [
        ("diff.noprefix", "true"),
        ("diff.external", evil.as_str()),
        ("core.fsmonitor", evil.as_str()),
        ("core.pager", evil.as_str()),
        ("diff.x.textconv", evil.as_str()),
        ("diff.orderFile", "/nonexistent"),
        ("color.ui", "always"),
        ("diff.context", "0"),
        ("diff.renames", "copies"),
        ("status.showUntrackedFiles", "no"),
        ("status.relativePaths", "true"),
        ("log.showSignature", "true"),
        ("core.splitIndex", "true"),
    ] {
        repo.git(&["config", name, value]);
    }
    repo.write(".git/info/attributes", "* diff=x\n");
    let commit = base.commit.clone().expect("one");
    let found = changes(&base, Some(&repo.beside("patch"))).await.expect("looked");
    assert_eq!(counts(&found), (2, 2, 3), "{}", found.diffstat);
    assert!(!found.diffstat.contains('\u{1b}'));
    assert!(repo.root.join(".git/index.lock").exists(), "somebody else's lock");
    assert!(!repo.beside("evil").exists(), "no program of the repository's was run");
    for name in ["core.fsmonitor", "diff.external"] {
        repo.git(&["config", "--unset", name]);
    }
    patch_leads_there(&repo, &commit);
}

#[tokio::test]
async fn a_repository_that_cannot_be_written() {
    if let Some(dir) = again() {
        let root = dir.join("repo");
        repo::init(&root);
        repo::write(&root.join("a"), "a\n");
        repo::git(&root, &["add", "."]);
        repo::git(&root, &["commit", "-qm", "first"]);
        repo::write(&root.join("a"), "b\n");
        repo::write(&root.join("c"), "c\n");
        let base = base(&root, None).await.expect("looked").expect("found");
        let read_only =
            Command::new("mount").args(["-o", "remount,ro,bind"]).arg(&dir).status().expect("mount");
        assert!(read_only.success());
        let found = changes(&base, None).await.expect("looked");
        assert_eq!(counts(&found), (2, 2, 1));
        return;
    }
    let dir = tempfile::tempdir().expect("dir");
    on_small_disk("surroundings::a_repository_that_cannot_be_written", dir.path(), "size=16m");
}

#[tokio::test]
async fn no_time_is_a_clear_answer_and_no_repository_an_error() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    let found = changes_within(&base, None, Duration::ZERO).await.expect("an answer");
    assert!(found.diffstat.starts_with("not known: cannot see what changed in"), "{}", found.diffstat);
    assert!(found.diffstat.contains("git took longer than 0 s"), "{}", found.diffstat);
    fs::remove_dir_all(repo.root.join(".git")).expect("removed");
    let error = changes(&base, None).await.expect_err("no repository").to_string();
    assert!(error.contains(&repo.root.display().to_string()), "{error}");
    fs::remove_dir_all(&repo.root).expect("removed");
    let error = changes(&base, None).await.expect_err("no directory").to_string();
    assert!(error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn sha256_and_work_trees_of_work_trees() {
    let repo = Repo::empty();
    fs::remove_dir_all(repo.root.join(".git")).expect("removed");
    repo.git(&["init", "-q", "-b", "main", "--object-format=sha256"]);
    repo.git(&["config", "user.email", "test@example.org"]);
    repo.git(&["config", "user.name", "Test"]);
    repo.write("a", "a\n");
    let base = begin(&repo).await;
    repo.write("b", "b\n");
    assert_eq!(counts(&look(&repo, &base).await), (1, 1, 0));
    repo.commit("first");
    let tree = repo.beside("tree");
    repo.git(&["worktree", "add", "-q", tree.to_str().expect("text")]);
    let base = cm_agent::work::base(&tree, None).await.expect("looked").expect("found");
    repo::write(&tree.join("c"), "c\n");
    let found = changes(&base, None).await.expect("looked");
    assert_eq!((counts(&found), found.branch.as_deref()), ((1, 1, 0), Some("tree")));
}

#[tokio::test]
async fn a_git_that_hangs_is_ended_with_what_it_started() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    repo.write(".git/info/attributes", "* filter=slow\n");
    let pid = repo.beside("pid");
    repo.git(&["config", "filter.slow.clean", &format!("echo $$ > {}; exec sleep 1000", pid.display())]);
    repo.write("a", "changed, and git wants to know into what\n");
    let begun = Instant::now();
    let found = changes_within(&base, None, Duration::from_secs(1)).await.expect("an answer");
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(found.diffstat.contains("git took longer than 1 s"), "{}", found.diffstat);
    let filter = fs::read_to_string(pid).expect("it ran").trim().parse().expect("a number");
    eventually("the filter has ended", || {
        (!ProcessId::of(filter).is_some_and(ProcessId::alive)).then_some(())
    });
    let second = Duration::from_secs(1);
    let later = base_within(&repo.root, Some(&repo.beside("later")), second).await.expect("looked");
    let Before::Lost { why } = later.expect("found").before else { panic!("kept") };
    assert!(why.contains("git took longer than"), "{why}");
}

#[tokio::test]
async fn new_files_that_cannot_be_read_are_said() {
    let repo = Repo::new();
    let base = begin(&repo).await;
    repo.write("open", "o\n");
    repo.write("shut", "s\n");
    fs::set_permissions(repo.root.join("shut"), fs::Permissions::from_mode(0o000)).expect("shut");
    let found = look(&repo, &base).await;
    // For root there is no such file.
    if fs::read(repo.root.join("shut")).is_ok() {
        assert_eq!(counts(&found), (2, 2, 0));
    } else {
        assert_eq!(counts(&found), (1, 1, 0));
        assert!(found.diffstat.contains("new files that cannot be read: 1"), "{}", found.diffstat);
    }
}

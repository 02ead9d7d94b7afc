//! Work trees of a task's own: made, named, and removed only if nothing is lost.

use std::{fs, path::Path};

use cm_agent::work::{Base, Before, Removed, Tree, WorkError, add_worktree, base, changes, remove_worktree};
use cm_protocol::Worktree;

use crate::repo::{self, Repo};

async fn add(repo: &Repo, task: &str, place: &str) -> Tree {
    add_worktree(&repo.root, &Worktree::default(), task, &repo.beside(place)).await.expect("made")
}

async fn refused(path: &Path, spec: Worktree) -> WorkError {
    let parent = path.join("no such parent");
    let error = add_worktree(path, &spec, "x", &parent).await.expect_err("refused");
    assert!(!parent.exists(), "nothing is left behind");
    error
}

fn spec(branch: Option<&str>, base: Option<&str>) -> Worktree {
    Worktree { branch: branch.map(Into::into), base: base.map(Into::into), ..Worktree::default() }
}

#[tokio::test]
async fn a_task_has_its_own() {
    let repo = Repo::new();
    let before = repo.fingerprint().1;
    let tree = add(&repo, "Fix it!", "trees/1").await;
    let expected = Tree {
        root: repo.beside("trees/1/repo"),
        dir: repo.beside("trees/1/repo"),
        branch: "cm/Fix-it".into(),
        commit: repo.head(),
        repository: repo.root.clone(),
        save_every: None,
        continues: None,
        origin: None,
        warnings: vec![],
    };
    assert_eq!(tree, expected);
    assert_eq!(fs::read_to_string(tree.dir.join("a")).expect("checked out"), "one\ntwo\nthree\n");
    assert_eq!(repo.fingerprint().1, before);
    let base = base(&tree.dir, None).await.expect("looked").expect("a work tree");
    repo::write(&tree.dir.join("c"), "c\n");
    let found = changes(&base, None).await.expect("looked");
    assert_eq!((found.files, found.branch.as_deref()), (1, Some("cm/Fix-it")));
    assert_eq!(repo.git(&["status", "--porcelain"]), "");
    let again = add(&repo, "Fix it!", "trees/2").await;
    let third = add_worktree(&tree.root, &Worktree::default(), "Fix it!", &repo.beside("trees/3"))
        .await
        .expect("made");
    assert_eq!((again.branch.as_str(), third.branch.as_str()), ("cm/Fix-it-2", "cm/Fix-it-3"));
    let text = serde_json::to_string(&tree).expect("text");
    assert_eq!(serde_json::from_str::<Tree>(&text).expect("the same"), tree);
}

#[tokio::test]
async fn names_that_are_taken() {
    let repo = Repo::new();
    repo.git(&["branch", "cm/a/b"]);
    assert_eq!(add(&repo, "a", "1").await.branch, "cm/a-2");
    let asked = spec(Some("cm/a/b"), None);
    let tree = add_worktree(&repo.root, &asked, "x", &repo.beside("2")).await.expect("made");
    assert_eq!(tree.branch, "cm/a/b-2");
    assert_eq!(tree.warnings, ["the branch cm/a/b exists already; this task's is cm/a/b-2"]);
    let other = Repo::new();
    other.git(&["branch", "cm"]);
    assert_eq!(add(&other, "a", "1").await.branch, "cm-a");
}

#[tokio::test]
async fn many_at_once() {
    let repo = Repo::new();
    let parents: Vec<_> = (0..4).map(|n| repo.beside(&n.to_string())).collect();
    let spec = Worktree::default();
    let make = |n: usize| add_worktree(&repo.root, &spec, "same", &parents[n]);
    let (a, b, c, d) = tokio::join!(make(0), make(1), make(2), make(3));
    let mut branches: Vec<_> = [a, b, c, d].into_iter().map(|tree| tree.expect("made").branch).collect();
    branches.sort();
    branches.dedup();
    assert_eq!(branches.len(), 4);
}

#[tokio::test]
async fn what_stays_behind_is_said() {
    let repo = Repo::new();
    repo.write("a", "changed\n");
    repo.write("new", "n\n");
    repo.write("only here/x", "x\n");
    repo.write(".gitmodules", "[submodule \"x\"]\n\tpath = x\n\turl = /nonexistent\n");
    repo.git(&["add", ".gitmodules"]);
    repo.git(&["commit", "-qm", "modules"]);
    let parent = repo.beside("trees");
    let dir = repo.root.join("only here");
    let tree = add_worktree(&dir, &Worktree::default(), "t", &parent).await.expect("made");
    let short = &repo.head()[..10];
    let expected = [
        format!("3 uncommitted changes stay behind in {}: the task starts from {short}", repo.root.display()),
        "the new work tree has no submodules: `git submodule update --init` there gets them".into(),
        "only here is not in the commit the task starts from; it is empty".into(),
    ];
    assert_eq!(tree.warnings, expected);
    assert_eq!(tree.dir, parent.join("repo/only here"));
    assert!(tree.dir.is_dir());
    let below = add_worktree(&repo.root.join("sub"), &Worktree::default(), "t", &repo.beside("2"))
        .await
        .expect("made");
    assert!(below.dir.join("b").exists());
}

#[tokio::test]
async fn where_it_starts() {
    let repo = Repo::new();
    let first = repo.head();
    repo.git(&["tag", "-a", "v1", "-m", "v1"]);
    repo.write("a", "second\n");
    repo.commit("second");
    for (n, base) in ["v1", "HEAD~1", &first, &first[..8]].into_iter().enumerate() {
        let parent = repo.beside(&n.to_string());
        let tree = add_worktree(&repo.root, &spec(None, Some(base)), "t", &parent).await.expect("made");
        assert_eq!(tree.commit, first, "{base}");
        assert_eq!(repo::git(&tree.root, &["rev-parse", "HEAD"]), first);
    }
    let bare = repo.beside("bare.git");
    repo.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("text")]);
    let tree = add_worktree(&bare, &Worktree::default(), "t", &repo.beside("of bare")).await.expect("made");
    assert_eq!(tree.root, repo.beside("of bare/bare"));
    assert_eq!(remove_worktree(&tree, false).await.expect("removed"), Removed::Gone);
}

#[tokio::test]
async fn what_is_refused() {
    let repo = Repo::new();
    let none = spec(None, None);
    assert!(matches!(refused(repo.dir.path(), none.clone()).await, WorkError::NotARepository { .. }));
    assert!(matches!(refused(&Repo::empty().root, none).await, WorkError::NoCommit { .. }));
    for base in ["nope", "", "--all", "HEAD~5", "a\0b", "HEAD:a"] {
        let error = refused(&repo.root, spec(None, Some(base))).await;
        assert!(matches!(error, WorkError::UnknownBase { .. }), "{base}: {error:?}");
    }
    for branch in ["", "-x", "a b", "a..b", "HEAD"] {
        let error = refused(&repo.root, spec(Some(branch), None)).await;
        assert!(matches!(error, WorkError::BadBranch { .. }), "{branch}: {error:?}");
    }
    assert_eq!(repo.branches(), ["main"]);
}

#[tokio::test]
async fn one_that_cannot_be_finished_leaves_nothing() {
    let repo = Repo::new();
    repo.write(".gitattributes", "* filter=broken\n");
    repo.commit("filtered");
    repo.git(&["config", "filter.broken.smudge", "false"]);
    repo.git(&["config", "filter.broken.required", "true"]);
    let parent = repo.beside("trees");
    let error =
        add_worktree(&repo.root, &Worktree::default(), "t", &parent).await.expect_err("broken").to_string();
    assert!(error.contains("make a work tree of") && error.contains("filter"), "{error}");
    assert_eq!(repo.branches(), ["main"]);
    assert!(!parent.join("repo").exists());
    assert_eq!(repo.git(&["worktree", "list"]).lines().count(), 1);
}

#[tokio::test]
async fn removed_only_if_nothing_is_lost() {
    #[track_caller]
    fn kept(removed: Removed, tree: &Tree, why: &str) {
        let Removed::Kept(said) = removed else { panic!("gone, in spite of {why}") };
        assert!(said.starts_with(&tree.root.display().to_string()) && said.contains(why), "{said}");
        assert!(tree.root.exists());
    }
    let repo = Repo::new();
    let tree = add(&repo, "t", "trees/1").await;
    repo::write(&tree.root.join("new"), "n\n");
    kept(remove_worktree(&tree, false).await.expect("looked"), &tree, "1 uncommitted changes");
    repo::git(&tree.root, &["add", "."]);
    repo::git(&tree.root, &["commit", "-qm", "work"]);
    kept(remove_worktree(&tree, false).await.expect("looked"), &tree, "commits of its own on cm/t");
    repo::git(&tree.root, &["checkout", "-q", "--detach"]);
    repo::git(&tree.root, &["branch", "-qD", "cm/t"]);
    kept(remove_worktree(&tree, false).await.expect("looked"), &tree, "commits of its own");
    repo::git(&tree.root, &["checkout", "-qb", "cm/t"]);
    repo.git(&["merge", "-q", "cm/t"]);
    assert_eq!(remove_worktree(&tree, false).await.expect("removed"), Removed::Gone, "merged");
    assert!(!repo.beside("trees/1").exists() && repo.beside("trees").exists());
    assert_eq!(repo.branches(), ["main"]);
    assert_eq!(remove_worktree(&tree, false).await.expect("nothing to do"), Removed::Gone, "twice");

    let locked = add(&repo, "t", "trees/2").await;
    repo.git(&["worktree", "lock", locked.root.to_str().expect("text")]);
    kept(remove_worktree(&locked, false).await.expect("looked"), &locked, "locked");
    repo::write(&locked.root.join("new"), "n\n");
    assert_eq!(remove_worktree(&locked, true).await.expect("removed"), Removed::Gone);
    assert_eq!(repo.branches(), ["main"]);

    let worked = add(&repo, "t", "trees/3").await;
    repo::git(&worked.root, &["commit", "-q", "--allow-empty", "-m", "work"]);
    assert_eq!(remove_worktree(&worked, true).await.expect("removed"), Removed::Gone);
    assert_eq!(repo.branches(), ["cm/t", "main"], "commits of its own are not thrown away");

    let vanished = add(&repo, "u", "trees/4").await;
    fs::remove_dir_all(&vanished.root).expect("removed");
    assert_eq!(remove_worktree(&vanished, false).await.expect("removed"), Removed::Gone);
    assert_eq!(repo.git(&["worktree", "list"]).lines().count(), 1);
}

/// The session's actor runs on any thread.
#[test]
fn all_of_it_can_be_sent() {
    fn check(_: impl Send) {}
    let (path, spec, env) = (Path::new("/"), Worktree::default(), std::collections::BTreeMap::new());
    let base = Base { root: path.into(), commit: None, before: Before::Clean };
    let tree = Tree {
        root: path.into(),
        dir: path.into(),
        branch: String::new(),
        commit: String::new(),
        repository: path.into(),
        save_every: None,
        continues: None,
        origin: None,
        warnings: vec![],
    };
    check(cm_agent::work::base(path, Some(path)));
    check(changes(&base, Some(path)));
    check(add_worktree(path, &spec, "x", path));
    check(remove_worktree(&tree, false));
    check(cm_agent::work::check("x", path, &env, std::time::Duration::ZERO, "x"));
}

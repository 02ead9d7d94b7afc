//! Work in progress, saved beside the branches.

use cm_agent::work::{WorkError, names, save, save::forget};

use crate::repo::{self, Repo};

const REF: &str = "refs/cm/t/wip";

/// Saves; the commit, if something was saved.
async fn saved(repo: &Repo, began: &str) -> Option<String> {
    let saved = save(&repo.root, REF, began, "work in progress").await.expect("saved");
    let commit = saved.map(|saved| saved.commit);
    if let Some(commit) = &commit {
        assert_eq!(repo.git(&["rev-parse", REF]), *commit);
    }
    commit
}

fn shown(repo: &Repo, path: &str) -> String {
    repo.git(&["show", &format!("{REF}:{path}")])
}

fn has(repo: &Repo, path: &str) -> bool {
    repo::run(&repo.root, &["cat-file", "-e", &format!("{REF}:{path}")]).status.success()
}

#[tokio::test]
async fn only_what_changed_and_nothing_of_the_users() {
    let repo = Repo::new();
    repo.write(".gitignore", "ignored\n");
    let began = repo.commit("ignores");
    assert_eq!(saved(&repo, &began).await, None, "nothing was done");
    assert!(!repo::run(&repo.root, &["rev-parse", "--verify", REF]).status.success());

    repo.write("a", "changed\n");
    repo.write("new dir/new\nfile", "n\n");
    repo.write("ignored", "i\n");
    repo.write("staged", "s\n");
    repo.git(&["add", "staged"]);
    repo.write("staged", "s and more\n");
    std::fs::remove_file(repo.root.join("sub/b")).expect("removed");
    for (name, value) in [
        ("core.hooksPath", "hooks"),
        ("commit.gpgSign", "true"),
        ("user.name", ""),
        ("core.fsmonitor", "false"),
    ] {
        repo.git(&["config", name, value]);
    }
    for hook in ["pre-commit", "reference-transaction", "post-index-change"] {
        repo.write(&format!("hooks/{hook}"), "#!/bin/sh\ntouch hooked\n");
        repo::run(&repo.root, &["update-index", "--chmod=+x", "--add", &format!("hooks/{hook}")]);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(repo.root.join(format!("hooks/{hook}")), mode).expect("set");
    }
    let before = (repo.fingerprint().0, repo.fingerprint().1, repo.fingerprint().2);
    let first = saved(&repo, &began).await.expect("work");
    let after = (repo.fingerprint().0, repo.fingerprint().1, repo.fingerprint().2);
    assert_eq!(before, after);
    assert!(!repo.root.join("hooked").exists(), "no hook was run");
    assert_eq!(repo.git(&["rev-parse", &format!("{first}^")]), began);
    assert_eq!(repo.git(&["log", "-1", "--format=%an %s", REF]), "cm-agent work in progress");
    assert_eq!((shown(&repo, "a"), shown(&repo, "staged")), ("changed".into(), "s and more".into()));
    assert_eq!(shown(&repo, "new dir/new\nfile"), "n");
    assert!(!has(&repo, "sub/b") && !has(&repo, "ignored"));
    assert_eq!(saved(&repo, &began).await, None, "nothing new");
    repo.write("a", "changed again\n");
    let second = saved(&repo, &began).await.expect("more work");
    assert_eq!(
        repo.git(&["rev-parse", &format!("{second}^")]),
        began,
        "each stands on the work tree's commit"
    );
}

#[tokio::test]
async fn committed_work_is_itself_what_is_saved() {
    let repo = Repo::new();
    let began = repo.head();
    repo.write("a", "changed\n");
    saved(&repo, &began).await.expect("work");
    let commit = repo.commit("work");
    assert_eq!(saved(&repo, &began).await, Some(commit.clone()));
    repo.write("a", "more\n");
    let more = saved(&repo, &began).await.expect("work");
    assert_eq!(repo.git(&["rev-parse", &format!("{more}^")]), commit);
    repo.git(&["checkout", "-q", "."]);
    assert_eq!(saved(&repo, &began).await, Some(commit), "it was given up");
    repo.git(&["reset", "-q", "--hard", &began]);
    assert_eq!(saved(&repo, &began).await, Some(began), "all of it");
    forget(&repo.root, REF).await.expect("looked");
    assert!(!repo::run(&repo.root, &["rev-parse", "--verify", REF]).status.success(), "nobody needs it");
}

#[tokio::test]
async fn what_stands_nowhere_else_is_not_forgotten() {
    let repo = Repo::new();
    let began = repo.head();
    repo.write("a", "changed\n");
    let commit = saved(&repo, &began).await.expect("work");
    forget(&repo.root, REF).await.expect("looked");
    assert_eq!(repo.git(&["rev-parse", REF]), commit);
    forget(&repo.root, "refs/cm/none/wip").await.expect("nothing to do");
}

#[tokio::test]
async fn odd_trees() {
    let repo = Repo::new();
    let began = repo.head();
    // A merge with both sides.
    repo.git(&["checkout", "-qb", "other"]);
    repo.write("a", "theirs\n");
    repo.commit("theirs");
    repo.git(&["checkout", "-q", "main"]);
    repo.write("a", "ours\n");
    repo.commit("ours");
    repo::run(&repo.root, &["merge", "-q", "other"]);
    // Repositories inside, one without a commit.
    repo::init(&repo.root.join("inner"));
    repo.write("inner/x", "x\n");
    repo.write("big", vec![b'x'; 33 << 20]);
    repo.write("small", "s\n");
    let done = save(&repo.root, REF, &began, "w").await.expect("saved").expect("work");
    assert_eq!(done.left_out, 1, "the large one");
    assert!(shown(&repo, "a").contains("<<<<<<<"));
    assert!(has(&repo, "small") && !has(&repo, "big") && !has(&repo, "inner"));
    // HEAD on no branch; a branch without a commit.
    repo.git(&["merge", "--abort"]);
    repo.git(&["checkout", "-q", "--detach"]);
    saved(&repo, &began).await.expect("work");
    repo.git(&["checkout", "-q", "--orphan", "fresh"]);
    assert_eq!(saved(&repo, &began).await, None);
    let nowhere = repo.dir.path().to_owned();
    let error = save(&nowhere, REF, &began, "w").await.expect_err("no repository");
    assert!(matches!(error, WorkError::NotARepository { .. }), "{error}");
}

#[tokio::test]
async fn in_a_work_tree_of_its_own_and_while_somebody_writes_the_index() {
    let repo = Repo::new();
    let spec = cm_protocol::Worktree::default();
    let tree =
        cm_agent::work::add_worktree(&repo.root, &spec, "t", &repo.beside("trees")).await.expect("made");
    repo::write(&tree.root.join("new"), "n\n");
    repo.write(".git/worktrees/repo/index.lock", "");
    let reference = names::wip_ref("a task");
    let done = save(&tree.root, &reference, &tree.commit, "w").await.expect("saved").expect("work");
    assert_eq!(repo.git(&["show", &format!("{}:new", done.commit)]), "n", "the repository has it");
    assert_eq!(repo.git(&["rev-parse", &reference]), done.commit);
}

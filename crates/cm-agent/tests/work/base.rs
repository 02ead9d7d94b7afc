//! Where a work tree stands, in every kind of place.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, process::Command};

use cm_agent::work::{Base, Before, WorkError, base, same_tree};

use crate::{
    repo::{self, Repo},
    support::{again, myself},
};

async fn base_of(path: &Path) -> Option<Base> {
    base(path, None).await.expect("looked")
}

#[tokio::test]
async fn every_kind_of_place() {
    let repo = Repo::new();
    let head = repo.head();
    let expected = Base { root: repo.root.clone(), commit: Some(head.clone()), before: Before::Unasked };
    assert_eq!(base_of(&repo.root).await, Some(expected.clone()));
    assert_eq!(base_of(&repo.root.join("sub")).await, Some(expected.clone()));

    let link = repo.beside("link");
    std::os::unix::fs::symlink(repo.root.join("sub"), &link).expect("linked");
    assert_eq!(base_of(&link).await, Some(expected.clone()));

    assert_eq!(base_of(repo.dir.path()).await, None, "no repository");
    assert_eq!(base_of(&repo.root.join(".git")).await, None, "no work tree");
    let bare = repo.beside("bare.git");
    repo.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("text")]);
    assert_eq!(base_of(&bare).await, None, "bare");

    let other = repo.beside("other\ntree");
    repo.git(&["worktree", "add", "-q", "-b", "other", other.to_str().expect("text")]);
    let there = base_of(&other).await.expect("a work tree");
    assert_eq!((&there.root, &there.commit), (&other, &Some(head)));
    assert!(!same_tree(&expected, &there) && same_tree(&there, &there));

    let empty = Repo::named("with\na line end ü");
    let found = base_of(&empty.root).await.expect("a repository");
    assert_eq!((found.root, found.commit), (empty.root.clone(), None));
    let stored = serde_json::to_string(&expected).expect("text");
    assert_eq!(serde_json::from_str::<Base>(&stored).expect("the same"), expected);
}

#[tokio::test]
async fn a_missing_directory_is_said() {
    let error = base(Path::new("/nonexistent/x"), None).await.expect_err("nothing there").to_string();
    assert!(error.contains("/nonexistent/x") && error.contains("No such file"), "{error}");
}

#[tokio::test]
async fn what_surrounds_the_agent_does_not_matter() {
    if let Some(dir) = again() {
        let found = base(&dir.join("repo"), None).await.expect("looked").expect("found");
        assert_eq!(found.root, dir.join("repo"));
        return;
    }
    let repo = Repo::new();
    let output = myself("base::what_surrounds_the_agent_does_not_matter", &repo.beside(""))
        .env("GIT_DIR", "/nonexistent")
        .env("GIT_WORK_TREE", "/nonexistent")
        .env("GIT_INDEX_FILE", "/nonexistent")
        .env("GIT_OBJECT_DIRECTORY", "/nonexistent")
        .env("GIT_CONFIG_GLOBAL", "/nonexistent")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn without_git_there_is_no_base() {
    if let Some(dir) = again() {
        assert_eq!(base(&dir, None).await.expect("no error"), None);
        return;
    }
    let repo = Repo::new();
    let output = myself("base::without_git_there_is_no_base", &repo.root)
        .env("PATH", "/nonexistent")
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn a_repository_of_somebody_else_is_said_with_the_remedy() {
    if let Some(dir) = again() {
        let error = base(&dir, None).await.expect_err("not trusted");
        assert!(matches!(error, WorkError::NotTrusted { .. }), "{error:?}");
        let remedy = format!("`git config --global --add safe.directory {}`", dir.display());
        assert!(error.to_string().contains(&remedy), "{error}");
        return;
    }
    // Not everybody who runs tests can give a repository away, but git can be told that it was.
    let repo = Repo::new();
    let git = Command::new("sh").args(["-c", "command -v git"]).output().expect("sh").stdout;
    let wrapper = repo.beside("bin/git");
    let script = format!(
        "#!/bin/sh\nGIT_TEST_ASSUME_DIFFERENT_OWNER=1 HOME=/nonexistent exec {} \"$@\"\n",
        String::from_utf8_lossy(&git).trim()
    );
    repo::write(&wrapper, script);
    fs::set_permissions(&wrapper, fs::Permissions::from_mode(0o755)).expect("made a program");
    let output = myself("base::a_repository_of_somebody_else_is_said_with_the_remedy", &repo.root)
        .env("PATH", wrapper.parent().expect("a directory"))
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[tokio::test]
async fn what_is_not_committed_is_kept_elsewhere() {
    let repo = Repo::new();
    let keep = repo.beside("keep");
    let clean = base(&repo.root, Some(&keep)).await.expect("looked").expect("found");
    assert_eq!(clean.before, Before::Clean);
    repo.write("a", "changed\n");
    repo.write("new", "new\n");
    let before = repo.fingerprint();
    let dirty = base(&repo.root, Some(&keep)).await.expect("looked").expect("found");
    let Before::Kept { objects, .. } = &dirty.before else { panic!("{dirty:?}") };
    assert!(!repo::files(objects).is_empty());
    assert_eq!(fs::metadata(&keep).expect("made").permissions().mode() & 0o777, 0o700);
    assert_eq!(repo.fingerprint(), before);
    let stored = serde_json::to_string(&dirty).expect("text");
    assert_eq!(serde_json::from_str::<Base>(&stored).expect("the same"), dirty);
}

#[tokio::test]
async fn too_much_to_keep_is_said() {
    let repo = Repo::new();
    let large = fs::File::create(repo.root.join("large")).expect("made");
    large.set_len(65 << 20).expect("sparse");
    let found = base(&repo.root, Some(&repo.beside("keep"))).await.expect("looked").expect("found");
    assert_eq!(found.before, Before::Lost { why: "it is more than 64 MiB".into() });
}

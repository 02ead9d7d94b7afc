//! A git repository for one test, and what must not change in it.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// A repository in a private directory, with `root` inside it and room for other things beside it.
pub struct Repo {
    pub dir: TempDir,
    pub root: PathBuf,
}

impl Repo {
    /// Without a commit.
    pub fn empty() -> Self {
        Self::named("repo")
    }

    pub fn named(name: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path().canonicalize().expect("there").join(name);
        init(&root);
        Self { dir, root }
    }

    /// With one commit: `a` (three lines) and `sub/b`.
    pub fn new() -> Self {
        let repo = Self::empty();
        repo.write("a", "one\ntwo\nthree\n");
        repo.write("sub/b", "b\n");
        repo.commit("first");
        repo
    }

    /// A path beside the repository.
    pub fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().canonicalize().expect("there").join(name)
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        write(&self.root.join(path), text);
    }

    pub fn git(&self, args: &[&str]) -> String {
        git(&self.root, args)
    }

    /// Commits everything; returns the id.
    pub fn commit(&self, subject: &str) -> String {
        self.git(&["add", "-A"]);
        self.git(&["commit", "-qm", subject]);
        self.head()
    }

    pub fn head(&self) -> String {
        self.git(&["rev-parse", "HEAD"])
    }

    pub fn branches(&self) -> Vec<String> {
        let printed = self.git(&["for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads"]);
        printed.lines().map(ToOwned::to_owned).collect()
    }

    /// Everything of the user's that looking must not change.
    pub fn fingerprint(&self) -> (String, Vec<u8>, (i64, i64), Vec<PathBuf>) {
        let status = self.git(&["status", "--porcelain=v2", "--branch", "--untracked-files=all"]);
        let index = self.root.join(".git/index");
        let time = fs::metadata(&index).map_or((0, 0), |meta| (meta.mtime(), meta.mtime_nsec()));
        (status, fs::read(index).unwrap_or_default(), time, files(&self.root.join(".git")))
    }
}

pub fn write(path: &Path, text: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().expect("a directory")).expect("made");
    fs::write(path, text).expect("written");
}

pub fn init(root: &Path) {
    fs::create_dir_all(root).expect("made");
    git(root, &["init", "-q", "-b", "main"]);
    git(root, &["config", "user.email", "test@example.org"]);
    git(root, &["config", "user.name", "Test"]);
}

/// What git prints, without blanks around it.
pub fn git(root: &Path, args: &[&str]) -> String {
    let output = run(root, args);
    assert!(output.status.success(), "git {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

pub fn run(root: &Path, args: &[&str]) -> std::process::Output {
    Command::new("git")
        .arg("-C")
        .arg(root)
        .args(args)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .output()
        .expect("git is needed for this test")
}

/// All files below a directory.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![dir.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
            match entry.file_type().expect("known").is_dir() {
                true => open.push(entry.path()),
                false => found.push(entry.path()),
            }
        }
    }
    found.sort();
    found
}

//! Work carried from one repository to another: on this machine, and through a real sshd.

use std::fs;
use std::path::PathBuf;

use cm_fleet::dispatch::carry::{CarryError, Commit, Place, fetch, fetch_as, prepare, send};
use cm_ssh::{Keys, NoSecrets};
use cm_testkit::git::git;

// The sshd that the tests of cm-ssh have.
#[path = "../../cm-ssh/tests/sshd/server.rs"]
#[allow(dead_code, reason = "its own tests use the rest")]
mod server;

const WIP: &str = "refs/cm/t/wip";

/// A repository with one commit, which is `refs/cm/t/wip` too, and room beside it.
struct Room {
    dir: tempfile::TempDir,
    repo: PathBuf,
}

impl Room {
    fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let repo = dir.path().join("it's a repo");
        fs::create_dir(&repo).expect("made");
        git(&repo, &["init", "-q", "-b", "main"]);
        let room = Self { dir, repo };
        room.work("one");
        room
    }

    /// Commits something; the commit is the work that is carried.
    fn work(&self, text: &str) -> String {
        fs::write(self.repo.join("file"), text).expect("written");
        git(&self.repo, &["add", "-A"]);
        git(&self.repo, &["commit", "-qm", text]);
        git(&self.repo, &["update-ref", WIP, "HEAD"]);
        git(&self.repo, &["rev-parse", WIP])
    }

    fn path(&self) -> &str {
        self.repo.to_str().expect("text")
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
}

fn id(commit: Option<Commit>) -> String {
    commit.expect("carried").to_string()
}

/// There and back again, through `place`.
async fn both_ways(place: &Place<'_>) {
    let room = Room::new();
    let into = room.beside("run/git");
    let first = git(&room.repo, &["rev-parse", WIP]);
    assert_eq!(id(fetch(place, room.path(), WIP, &into).await.expect("fetched")), first);
    assert_eq!(git(&into, &["rev-parse", WIP]), first);
    assert_eq!(git(&into, &["rev-parse", "--is-bare-repository"]), "true");
    // Only what is new comes the second time, and nothing the third.
    let second = room.work("two");
    for _ in 0..2 {
        assert_eq!(id(fetch(place, room.path(), WIP, &into).await.expect("fetched")), second);
    }
    // Back to an earlier one, which is there.
    git(&room.repo, &["update-ref", WIP, &first]);
    assert_eq!(id(fetch(place, room.path(), WIP, &into).await.expect("fetched")), first);
    assert_eq!(git(&into, &["rev-parse", WIP]), first);
    git(&room.repo, &["branch", "cm/t", &second]);
    assert_eq!(id(fetch(place, room.path(), "refs/heads/cm/t", &into).await.expect("fetched")), second);
    assert_eq!(fetch(place, room.path(), "refs/heads/nope", &into).await.expect("asked"), None);

    // Under another name, beside what is there under its own; what is there already, and what is not yet.
    git(&into, &["update-ref", "refs/heads/cm/t", &first]);
    let newest = room.work("beside");
    git(&room.repo, &["branch", "-f", "cm/t", &newest]);
    for _ in 0..2 {
        let fetched = fetch_as(place, room.path(), "refs/heads/cm/t", &into, "refs/cm/run/t").await;
        assert_eq!(id(fetched.expect("fetched")), newest);
        assert_eq!(git(&into, &["rev-parse", "refs/cm/run/t"]), newest);
    }
    assert_eq!(git(&into, &["rev-parse", "refs/heads/cm/t"]), first);

    // Another host's clone of the same, one commit behind; its branches stay as they are.
    let other = room.beside("other");
    git(room.dir.path(), &["clone", "-q", room.path(), "other"]);
    git(&other, &["reset", "-q", "--hard", &first]);
    let third = room.work("three");
    fetch(place, room.path(), WIP, &into).await.expect("fetched");
    let there = other.to_str().expect("text");
    for _ in 0..2 {
        assert_eq!(send(&into, WIP, place, there).await.expect("sent").as_str(), third);
    }
    assert_eq!(git(&other, &["rev-parse", WIP]), third);
    assert_eq!(git(&other, &["rev-parse", "HEAD"]), first);
    assert_eq!(git(&other, &["status", "--porcelain"]), "");
    let left = fs::read_dir(other.join(".git")).expect("there").flatten();
    let left: Vec<_> = left.filter(|file| file.file_name().to_string_lossy().contains("carry")).collect();
    assert!(left.is_empty(), "{left:?}");
    // A branch that somebody has checked out is not moved under them.
    git(&into, &["update-ref", "refs/heads/main", &third]);
    let error = send(&into, "refs/heads/main", place, there).await.expect_err("in use").to_string();
    assert!(error.contains("checked out"), "{error}");
    assert_eq!(git(&other, &["rev-parse", "main"]), first);

    // A host that has nothing of it yet.
    let fresh = room.beside("fresh.git");
    let there = fresh.to_str().expect("text");
    let error = send(&into, WIP, place, there).await.expect_err("none there");
    assert!(matches!(error, CarryError::NoRepository { .. }), "{error}");
    prepare(place, there).await.expect("made");
    prepare(place, there).await.expect("there already");
    assert_eq!(send(&into, WIP, place, there).await.expect("sent").as_str(), third);
}

#[tokio::test]
async fn on_this_machine() {
    both_ways(&Place::Here).await;
}

#[tokio::test]
async fn through_ssh() {
    let server = server::Server::start();
    let (target, keys) = (server.target(), Keys::new(NoSecrets));
    both_ways(&Place::There(&target, &keys)).await;
    let room = Room::new();
    let error = fetch(&Place::There(&target, &keys), "/no/such/place", WIP, &room.beside("git"))
        .await
        .expect_err("none there")
        .to_string();
    assert!(error.starts_with("test: /no/such/place is no git repository"), "{error}");
    assert!(!room.beside("git").exists(), "nothing was made for it");
}

#[tokio::test]
async fn what_is_refused_costs_nothing() {
    let room = Room::new();
    let into = room.beside("git");
    for (repository, wanted) in [
        ("relative", WIP),
        ("-x", WIP),
        ("/a\nb", WIP),
        (room.path(), "main"),
        (room.path(), "--all"),
        (room.path(), "refs/heads/a b"),
    ] {
        let error = fetch(&Place::Here, repository, wanted, &into).await.expect_err("refused");
        let named = matches!(error, CarryError::BadRepository { .. } | CarryError::BadRef { .. });
        assert!(named, "{error}");
        assert!(send(&room.repo, wanted, &Place::Here, repository).await.is_err());
    }
    assert!(!into.exists());
    let nothing = send(&room.repo, "refs/cm/none/wip", &Place::Here, room.path()).await.expect_err("none");
    assert!(nothing.to_string().ends_with("has no refs/cm/none/wip: there is nothing to send"), "{nothing}");
}

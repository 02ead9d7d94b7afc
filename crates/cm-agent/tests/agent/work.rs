//! What a host keeps of a task's work, and where it gets what the work starts from.

use std::path::{Path, PathBuf};
use std::process::Command;

use cm_client::Client;
use cm_protocol::{Changes, Context, Continues, CreateSession, Outcome, Repo, SessionId, State, Worktree};
use serde_json::{Value, json};

use super::support::{Agent, shell, until};

/// A repository with `sub/b` and one commit.
struct Room {
    agent: Agent,
    repo: PathBuf,
}

impl Room {
    async fn new() -> Self {
        let agent = Agent::start().await;
        let repo = agent.dir.path().join("widget");
        std::fs::create_dir_all(repo.join("sub")).expect("made");
        std::fs::write(repo.join("sub/b"), "b\n").expect("written");
        git(&repo, &["init", "-q", "-b", "main"]);
        git(&repo, &["config", "user.email", "test@example.org"]);
        git(&repo, &["config", "user.name", "Test"]);
        git(&repo, &["add", "-A"]);
        git(&repo, &["commit", "-qm", "first"]);
        Self { agent, repo }
    }

    fn url(&self) -> String {
        self.repo.display().to_string()
    }

    fn head(&self) -> String {
        git(&self.repo, &["rev-parse", "HEAD"])
    }

    /// A script in a work tree of its own.
    fn task(&self, script: &str, attempt: u32, worktree: Worktree) -> CreateSession {
        CreateSession {
            context: Some(Context { path: Some(self.url()), ..Context::default() }),
            worktree: Some(worktree),
            task_id: Some("fix it".into()),
            attempt: Some(attempt),
            ..shell(script)
        }
    }

    /// A script in a repository that is had by its address.
    fn by_address(&self, script: &str, reference: Option<&str>, path: Option<&str>) -> CreateSession {
        let repo = Repo { url: self.url(), reference: reference.map(Into::into) };
        CreateSession {
            context: Some(Context { path: path.map(Into::into), repo: Some(repo) }),
            name: Some("by-address".into()),
            ..shell(script)
        }
    }
}

fn git(dir: &Path, args: &[&str]) -> String {
    asked(dir, args).unwrap_or_else(|| panic!("git {args:?} in {}", dir.display()))
}

fn asked(dir: &Path, args: &[&str]) -> Option<String> {
    let output = Command::new("git").arg("-C").arg(dir).args(args).output().expect("git is needed");
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

async fn made(client: &Client, request: CreateSession) -> SessionId {
    client.create_session(request).await.expect("made").session_id
}

async fn outcome(client: &Client, id: &SessionId) -> (Outcome, Changes) {
    let outcome =
        until("the task ends", async || client.get_session(id).await.expect("there").info.outcome).await;
    let changes = outcome.changes.clone().expect("a repository");
    (outcome, changes)
}

/// The task's work as it is saved: `fix it` has a blank, so that some of its hash is in the name.
fn wip() -> String {
    cm_agent::work::names::wip_ref("fix it")
}

/// Waits until a file is saved with these words.
async fn saved(repo: &Path, file: &str, words: &str) {
    let place = format!("{}:{file}", wip());
    until(&format!("{words:?} is saved"), async || {
        asked(repo, &["show", &place]).filter(|text| text == words)
    })
    .await;
}

#[tokio::test]
async fn work_in_progress_is_saved_and_gone_on_with() {
    let mut room = Room::new().await;
    let client = room.agent.client().await;
    let beside = room.agent.dir.path().join("go");
    let wait = |n: u32| format!("until test -e {}{n}; do sleep 0.05; done", beside.display());
    let script = format!("echo one > new; {}; echo two > new; {}; echo three > new", wait(1), wait(2));
    let worktree = Worktree { save_every: Some(1.0), ..Worktree::default() };
    let id = made(&client, room.task(&script, 1, worktree)).await;
    saved(&room.repo, "new", "one").await;
    // An agent that was killed goes on saving when it is back.
    drop(client);
    room.agent.kill_9().await;
    room.agent.restart().await;
    let client = room.agent.client().await;
    std::fs::write(beside.with_file_name("go1"), "").expect("written");
    saved(&room.repo, "new", "two").await;
    // What happens after the last save is saved in the end.
    std::fs::write(beside.with_file_name("go2"), "").expect("written");
    let (ended, changes) = outcome(&client, &id).await;
    assert_eq!(ended.state, State::Done);
    assert_eq!(git(&room.repo, &["show", &format!("{}:new", wip())]), "three");
    assert_eq!(changes.repository, Some(room.url()));
    assert_eq!((changes.branch.as_deref(), changes.continues), (Some("cm/fix-it"), None));
    assert_eq!(git(&room.repo, &["status", "--porcelain"]), "", "the person's own tree is as it was");
    assert_eq!(git(&room.repo, &["log", "--format=%s", "--branches"]), "first", "so are all branches");

    let commit = git(&room.repo, &["rev-parse", &wip()]);
    let first = room.head();
    let continues =
        Continues { host: "gpu-01".into(), attempt: 1, commit: commit.clone(), base: Some(first.clone()) };
    let worktree = Worktree {
        save_every: Some(1.0),
        continues: Some(continues.clone()),
        base: Some("main".into()),
        ..Worktree::default()
    };
    let id = made(&client, room.task("cat new; echo four > new", 2, worktree)).await;
    let (ended, changes) = outcome(&client, &id).await;
    assert_eq!(ended.tail.first().map(String::as_str), Some("three"));
    // All that the task has changed, from where its first attempt began.
    assert_eq!((changes.continues, changes.base), (Some(continues), Some(first)));
    assert_eq!((changes.files, changes.commits.len()), (1, 1));
    let patch = std::fs::read_to_string(changes.patch.expect("a patch")).expect("there");
    assert!(patch.contains("new file") && patch.contains("+four") && !patch.contains("three"), "{patch}");
    assert_eq!(git(&room.repo, &["show", &format!("{}:new", wip())]), "four");
    assert_eq!(git(&room.repo, &["rev-parse", &format!("{}^", wip())]), commit);
}

#[tokio::test]
async fn what_was_gone_on_with_stays_although_nothing_was_added() {
    let room = Room::new().await;
    let client = room.agent.client().await;
    let first = room.head();
    let wip_commit = git(&room.repo, &["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "half"]);
    git(&room.repo, &["update-ref", &wip(), &wip_commit]);
    let work = |base: Option<String>| Worktree {
        save_every: Some(60.0),
        continues: Some(Continues { host: "h".into(), attempt: 1, commit: wip_commit.clone(), base }),
        ..Worktree::default()
    };
    let created = client.create_session(room.task("true", 2, work(Some(first.clone())))).await.expect("made");
    assert_eq!(created.base.as_deref(), Some(first.as_str()));
    let id = created.session_id;
    let (_, changes) = outcome(&client, &id).await;
    assert_eq!(
        (changes.base.as_deref(), changes.commit.as_deref()),
        (Some(first.as_str()), Some(&*wip_commit))
    );
    client.kill_session(&id).await.expect("closed");
    assert_eq!(git(&room.repo, &["rev-parse", &changes.branch.expect("one")]), wip_commit);

    // Where that began has not come along: it is told from what has.
    let gone = "0123456789012345678901234567890123456789".to_owned();
    let created = client.create_session(room.task("true", 3, work(Some(gone)))).await.expect("made");
    assert!(created.warnings.iter().any(|warning| warning.contains("0123456789")), "{:?}", created.warnings);
    assert_eq!(created.base.as_deref(), Some(&*wip_commit));
    outcome(&client, &created.session_id).await;
}

#[tokio::test]
async fn an_attempt_that_begins_anew_leaves_nothing_old_to_go_on_with() {
    let room = Room::new().await;
    let client = room.agent.client().await;
    let old =
        git(&room.repo, &["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "of the attempt that failed"]);
    git(&room.repo, &["update-ref", &wip(), &old]);
    let worktree = || Worktree { save_every: Some(60.0), ..Worktree::default() };
    let id = made(&client, room.task("sleep 600", 2, worktree())).await;
    assert_eq!(asked(&room.repo, &["rev-parse", "--verify", &wip()]), None);
    client.kill_session(&id).await.expect("closed");
    // One that saves nothing is nobody's to go on with.
    git(&room.repo, &["update-ref", &wip(), &old]);
    let id = made(&client, room.task("sleep 600", 3, Worktree::default())).await;
    assert_eq!(git(&room.repo, &["rev-parse", &wip()]), old);
    client.kill_session(&id).await.expect("closed");
}

#[tokio::test]
async fn nothing_done_is_nothing_saved() {
    let room = Room::new().await;
    let client = room.agent.client().await;
    let worktree = Worktree { save_every: Some(1.0), ..Worktree::default() };
    let id = made(&client, room.task("true", 1, worktree)).await;
    outcome(&client, &id).await;
    assert_eq!(asked(&room.repo, &["rev-parse", "--verify", &wip()]), None);
    client.kill_session(&id).await.expect("closed");
    assert_eq!(git(&room.repo, &["for-each-ref", "--format=%(refname)"]), "refs/heads/main");
}

#[tokio::test]
async fn a_repository_is_had_by_its_address() {
    let room = Room::new().await;
    let client = room.agent.client().await;
    let first = room.head();
    git(&room.repo, &["tag", "v1"]);
    std::fs::write(room.repo.join("sub/b"), "newer\n").expect("written");
    git(&room.repo, &["commit", "-qam", "second"]);
    let id = made(&client, room.by_address("pwd; cat b", Some("v1"), Some("sub"))).await;
    let (ended, changes) = outcome(&client, &id).await;
    let tree = PathBuf::from(changes.worktree.clone().expect("a tree of its own"));
    assert!(tree.starts_with(room.agent.state().join("worktrees")) && tree.ends_with("widget"));
    assert_eq!(ended.tail, [tree.join("sub").display().to_string(), "b".into()]);
    assert_eq!(changes.base, Some(first));
    assert_eq!(changes.branch.as_deref(), Some("cm/by-address"));
    let mirror = PathBuf::from(changes.repository.expect("a repository"));
    assert!(mirror.starts_with(room.agent.state().join("repos")) && mirror.ends_with("widget.git"));
    assert!(cm_agent::work::repo::is_present(&room.agent.state(), &room.url()));
    client.kill_session(&id).await.expect("closed");

    // The default branch, where nothing else is said; several at once; what is done stays in the mirror.
    let task = |n: u32| CreateSession {
        name: Some(format!("n{n}")),
        ..room.by_address(
            "cat sub/b; git -c user.name=x -c user.email=x@x commit -q --allow-empty -m own",
            None,
            None,
        )
    };
    let (a, b) = tokio::join!(client.create_session(task(1)), client.create_session(task(2)));
    for made in [a, b] {
        let (ended, changes) = outcome(&client, &made.expect("made").session_id).await;
        assert_eq!(ended.tail.first().map(String::as_str), Some("newer"));
        assert_eq!((changes.base, changes.commits.len()), (Some(room.head()), 1));
        let branch = changes.branch.expect("a branch of its own");
        assert_eq!(git(&mirror, &["rev-parse", &branch]), changes.commit.expect("its commit"));
    }
}

#[tokio::test]
async fn another_host_goes_on_although_it_has_never_had_the_repository() {
    let room = Room::new().await;
    let client = room.agent.client().await;
    let wip = git(&room.repo, &["commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", "work of the lost host"]);
    git(&room.repo, &["update-ref", "refs/cm/lost/wip", &wip]);
    // Sent beforehand, to where the mirror will be.
    let found = client.probe(vec![], vec![room.url()]).await.expect("told").repos.remove(0);
    let mirror = PathBuf::from(found.directory.expect("a place"));
    assert!(!found.present);
    std::fs::create_dir_all(&mirror).expect("made");
    git(&mirror, &["init", "-q", "--bare"]);
    git(&mirror, &["fetch", "-q", &room.url(), &format!("{wip}:refs/cm/lost/wip")]);
    git(&room.repo, &["update-ref", "-d", "refs/cm/lost/wip"]);

    let continues = Some(Continues { host: "lost".into(), attempt: 1, commit: wip.clone(), base: None });
    let worktree = Some(Worktree { continues, ..Worktree::default() });
    let request =
        CreateSession { worktree, ..room.by_address("git log --format=%s; git remote", None, None) };
    let id = made(&client, request).await;
    let (ended, changes) = outcome(&client, &id).await;
    assert_eq!(ended.tail, ["work of the lost host", "first", "origin"]);
    assert_eq!(changes.base, Some(wip));
    assert!(client.probe(vec![], vec![room.url()]).await.expect("told").repos[0].present);
}

#[tokio::test]
async fn what_cannot_be_had_is_said_by_field() {
    let room = Room::new().await;
    let mut raw = room.agent.raw().await;
    let url = room.url();
    let mut check = async |more: Value, code: &str, field: Option<&str>, said: &str| {
        let mut frame = json!({"action": "create_session", "tool": "shell", "task": "true"});
        frame.as_object_mut().expect("fields").extend(more.as_object().expect("fields").clone());
        let answer = raw.ask(frame).await;
        assert_eq!((answer["code"].as_str(), answer["field"].as_str()), (Some(code), field), "{answer}");
        assert!(answer["error"].as_str().expect("words").contains(said), "{answer}");
        answer.to_string()
    };
    let bad = "bad_request";
    let repo = |repo: Value| json!({"context": {"repo": repo}});
    check(repo(json!({"url": url, "ref": "nope"})), bad, Some("context.repo.ref"), "\"nope\"").await;
    check(repo(json!({"url": url, "ref": "-x"})), bad, Some("context.repo.ref"), "dash").await;
    let secret = check(
        repo(json!({"url": "ssh://git:hunter2@example.org/w"})),
        bad,
        Some("context.repo.url"),
        "takes no password",
    )
    .await;
    assert!(!secret.contains("hunter2"), "{secret}");
    check(repo(json!({"url": "/no/such/place"})), "internal", None, "cannot fetch /no/such/place: ").await;
    let inside = |path: &str| json!({"context": {"path": path, "repo": {"url": url}}});
    check(inside("nope"), bad, Some("context.path"), "no directory \"nope\"").await;
    check(inside("sub/b"), bad, Some("context.path"), "no directory").await;
    check(inside("/tmp"), bad, Some("context.path"), "inside the repository").await;
    check(inside("../x"), bad, Some("context.path"), "inside the repository").await;
    let tree = |tree: Value| json!({"context": {"path": url}, "worktree": tree});
    check(tree(json!({"saveEvery": 0.5})), bad, Some("worktree.saveEvery"), "1 to 86400").await;
    let continues = |commit: &str| tree(json!({"continues": {"host": "h", "attempt": 1, "commit": commit}}));
    let field = Some("worktree.continues.commit");
    check(continues("main"), bad, field, "whole commit id").await;
    check(continues(&"0".repeat(40)), bad, field, "has no commit").await;
    let both = json!({"context": {"repo": {"url": url}}, "worktree": {"base": "main"}});
    check(both, bad, Some("worktree.base"), "ref says").await;
    let client = room.agent.client().await;
    assert!(client.list_sessions().await.expect("listed").is_empty(), "nothing was started");
    assert_eq!(git(&room.repo, &["worktree", "list"]).lines().count(), 1);
}

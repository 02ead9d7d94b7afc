//! Repositories by address: cloned once, brought up to date, shared, and no login of theirs is ever seen.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use cm_agent::work::{
    Remote, WorkError, add_worktree,
    mirrors::{Keep, sweep},
    repo::{Mirror, has_directory, is_present, obtain},
};

use cm_protocol::Worktree;

use crate::repo::{self, Repo};

async fn get(repo: &Repo, reference: Option<&str>) -> Result<Mirror, WorkError> {
    let remote = Remote::read(repo.root.to_str().expect("text")).expect("an address");
    obtain(&repo.beside("state"), &remote, reference).await
}

#[tokio::test]
async fn cloned_then_brought_up_to_date() {
    let repo = Repo::new();
    let (state, url) = (repo.beside("state"), repo.root.display().to_string());
    let first = repo.head();
    assert!(!is_present(&state, &url));
    let mirror = get(&repo, None).await.expect("cloned");
    assert_eq!(mirror.commit, first);
    assert!(is_present(&state, &url) && !is_present(&state, "not an address"));
    assert!(mirror.dir.ends_with("repo.git") && mirror.dir.starts_with(state.join("repos")));
    let mode = fs::metadata(&mirror.dir).expect("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    assert!(!mirror.dir.with_file_name("new").exists());
    assert!(has_directory(&mirror, "sub/").await.expect("looked"));
    for none in ["a", "nope", "../..", "sub/b"] {
        assert!(!has_directory(&mirror, none).await.expect("looked"), "{none}");
    }

    repo.git(&["tag", "-am", "one", "v1"]);
    repo.git(&["branch", "side"]);
    repo.write("a", "second\n");
    let second = repo.commit("second");
    repo.git(&["update-ref", "refs/pull/7/head", &second]);
    let hidden = repo.git(&["commit-tree", "HEAD^{tree}", "-m", "on no branch"]);
    for (reference, expected) in [
        (None, &second),
        (Some("main"), &second),
        (Some("refs/heads/main"), &second),
        (Some("v1"), &first),
        (Some("refs/tags/v1"), &first),
        (Some("side"), &first),
        (Some("main~1"), &first),
        (Some(first.as_str()), &first),
        (Some(&second[..8]), &second),
        (Some("refs/pull/7/head"), &second),
        (Some(hidden.as_str()), &hidden),
    ] {
        let got = get(&repo, reference).await.unwrap_or_else(|error| panic!("{reference:?}: {error}"));
        assert_eq!(&got.commit, expected, "{reference:?}");
    }
    for none in ["nope", "refs/heads/nope", &"0".repeat(40), "refs/pull/8/head"] {
        let error = get(&repo, Some(none)).await.expect_err("no such thing");
        let said = error.to_string();
        assert!(matches!(error, WorkError::UnknownReference { .. }) && said.contains(none), "{said}");
    }

    // What tasks made in it stays; what is gone in the original goes.
    repo::git(&mirror.dir, &["branch", "cm/t", &first]);
    repo::git(&mirror.dir, &["update-ref", "refs/cm/t/wip", &first]);
    repo::git(&mirror.dir, &["tag", "of-a-task", &first]);
    repo.git(&["branch", "-qD", "side"]);
    repo.git(&["branch", "side/x"]);
    repo.git(&["tag", "-f", "v1"]);
    assert_eq!(get(&repo, Some("v1")).await.expect("moved").commit, second);
    assert_eq!(get(&repo, Some("side/x")).await.expect("new").commit, second);
    for kept in ["refs/heads/cm/t", "refs/cm/t/wip", "refs/tags/of-a-task"] {
        assert_eq!(repo::git(&mirror.dir, &["rev-parse", kept]), first, "{kept}");
    }
    // A commit that is there is not asked for again; anything else needs the original.
    fs::rename(&repo.root, repo.beside("moved")).expect("moved");
    assert_eq!(get(&repo, Some(&first)).await.expect("there").commit, first);
    let error = get(&repo, None).await.expect_err("gone").to_string();
    assert!(error.starts_with(&format!("cannot fetch {url}: ")) && error.contains("does not"), "{error}");
}

#[tokio::test]
async fn many_at_once_and_odd_originals() {
    let repo = Repo::new();
    let head = repo.head();
    let (a, b, c) = tokio::join!(get(&repo, None), get(&repo, Some("main")), get(&repo, Some(&head)));
    for mirror in [a, b, c] {
        assert_eq!(mirror.expect("one of them cloned it").commit, head);
    }
    // Left by one that was broken off.
    let other = Repo::new();
    let remote = Remote::read(other.root.to_str().expect("text")).expect("an address");
    let dir = remote.mirror(&other.beside("state"));
    repo::write(&dir.with_file_name("new").join("HEAD"), "rubbish");
    assert_eq!(get(&other, None).await.expect("cloned").commit, other.head());

    let empty = Repo::empty();
    let error = get(&empty, None).await.expect_err("nothing in it").to_string();
    assert!(error.contains("has no default branch"), "{error}");
    let headless = Repo::new();
    headless.git(&["symbolic-ref", "HEAD", "refs/heads/nope"]);
    assert!(get(&headless, None).await.is_err());
    assert!(get(&headless, Some("main")).await.is_ok());
    let nothing = Remote::read("/no/such/place").expect("an address");
    let state = empty.beside("state");
    assert!(obtain(&state, &nothing, None).await.is_err());
    assert!(!is_present(&state, "/no/such/place"), "half a mirror is none");
}

const SECRET: &str = "tok3n-0f-a-test";

/// Serves files below a directory to whoever logs in as `ada` with [`SECRET`]; keeps every process's arguments
/// as they are when it is asked.
fn serve(root: PathBuf) -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let seen = Arc::<Mutex<String>>::default();
    let keep = seen.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            for process in fs::read_dir("/proc").expect("proc").flatten() {
                let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
                *keep.lock().expect("kept") += &format!("{}\n", String::from_utf8_lossy(&arguments));
            }
            answer(&root, stream);
        }
    });
    (port, seen)
}

fn answer(root: &Path, mut stream: TcpStream) {
    let mut lines = BufReader::new(stream.try_clone().expect("cloned")).lines().map_while(Result::ok);
    let Some(first) = lines.next() else { return };
    let headers: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
    let path = first.split(' ').nth(1).unwrap_or_default().split('?').next().unwrap_or_default().to_owned();
    // base64 of `ada:` and the secret.
    let welcome = headers.iter().any(|line| line.ends_with("Basic YWRhOnRvazNuLTBmLWEtdGVzdA=="));
    let file = fs::read(root.join(path.trim_start_matches('/')));
    let (status, more, body) = match (welcome, file) {
        (false, _) => ("401 No", "WWW-Authenticate: Basic realm=\"x\"\r\n", Vec::new()),
        (true, Ok(bytes)) => ("200 OK", "", bytes),
        (true, Err(_)) => ("404 No", "", Vec::new()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\n{more}Content-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
}

#[tokio::test]
async fn a_login_in_the_address_is_used_and_never_shown() {
    let repo = Repo::new();
    let bare = repo.beside("served/w.git");
    repo.git(&["clone", "-q", "--bare", ".", bare.to_str().expect("text")]);
    repo::git(&bare, &["update-server-info"]);
    let (port, seen) = serve(repo.beside("served"));
    let state = repo.beside("state");
    let remote = Remote::read(&format!("http://ada:{SECRET}@127.0.0.1:{port}/w.git")).expect("an address");
    let mirror = obtain(&state, &remote, None).await.expect("logged in");
    assert_eq!(mirror.commit, repo.head());
    let seen = seen.lock().expect("kept").clone();
    assert!(seen.contains("fetch") && !seen.contains(SECRET), "arguments can be seen by anybody");
    for file in repo::files(&state) {
        let text = fs::read(&file).expect("readable");
        assert!(!String::from_utf8_lossy(&text).contains(SECRET), "{}", file.display());
    }
    let wrong =
        Remote::read(&format!("http://ada:wrong-{SECRET}@127.0.0.1:{port}/w.git")).expect("an address");
    let error = obtain(&state, &wrong, None).await.expect_err("not let in").to_string();
    assert!(error.contains("Authentication failed") && !error.contains(SECRET), "{error}");
}

/// As if nobody had used it for so many days.
fn age(mirror: &Path, days: u64) {
    let then = SystemTime::now() - Duration::from_secs(days * 86_400);
    for name in ["cm-used", "HEAD", "refs", "packed-refs", "worktrees", ""] {
        if let Ok(file) = fs::File::open(mirror.join(name)) {
            file.set_modified(then).expect("it is ours");
        }
    }
}

#[tokio::test]
async fn what_nobody_needs_any_more_goes() {
    let repo = Repo::new();
    let state = repo.beside("state");
    let keep = Keep::default();
    assert_eq!(sweep(&state, &keep).await, [""; 0].map(PathBuf::from));
    let mirror = get(&repo, None).await.expect("cloned").dir;
    let swept = async |days: u64| {
        age(&mirror, days);
        sweep(&state, &keep).await == [mirror.clone()]
    };
    assert!(!swept(13).await && mirror.exists());

    // A work tree of it, in which work stands or not.
    let from_there = Worktree { base: Some(repo.head()), ..Worktree::default() };
    let tree = add_worktree(&mirror, &from_there, "x", &repo.beside("trees/1")).await.expect("added");
    assert!(!swept(99).await);
    // A branch with commits that stand nowhere else, whose work tree has gone.
    repo::write(&tree.root.join("new"), "x\n");
    repo::git(&tree.root, &["add", "new"]);
    repo::git(&tree.root, &["-c", "user.name=x", "-c", "user.email=x@x", "commit", "-qm", "own"]);
    fs::remove_dir_all(&tree.root).expect("removed");
    assert!(!swept(99).await && mirror.exists());
    repo::git(&mirror, &["worktree", "prune"]);
    repo::git(&mirror, &["update-ref", "-d", "refs/heads/cm/x"]);
    // Somebody asks for it: it is used again.
    age(&mirror, 99);
    get(&repo, None).await.expect("brought up to date");
    assert_eq!(sweep(&state, &keep).await, [""; 0].map(PathBuf::from));
    assert!(swept(15).await && !mirror.exists());
    assert_eq!(fs::read_dir(state.join("repos")).expect("there").count(), 0);
    // And it is cloned again.
    assert_eq!(get(&repo, None).await.expect("cloned").commit, repo.head());

    // Too many: the one not used for longest. One that cannot be looked into stays; what is left of one goes.
    let other = state.join("repos/0123/other.git");
    fs::create_dir_all(&other).expect("made");
    fs::write(other.join("HEAD"), "nonsense").expect("written");
    fs::create_dir_all(state.join("repos/4567.gone/old.git")).expect("made");
    age(&other, 3);
    age(&mirror, 2);
    let one = Keep { unused: None, most: 0 };
    assert_eq!(sweep(&state, &one).await, std::slice::from_ref(&mirror));
    assert!(other.exists() && !state.join("repos/4567.gone").exists());
}

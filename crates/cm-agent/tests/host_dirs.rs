//! Directories and the lock on real file systems: private, short enough, never someone else's.

mod support;

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, symlink},
    path::{Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use cm_agent::host::{
    dirs::{DirError, RUNTIME_PATH_MAX, Roots, RuntimeDir, SOCKET_PATH_MAX, runtime_dir, state_dir},
    lock::{Lock, LockError, listening},
};
use cm_protocol::SessionId;

/// A little world with a state directory, a `/run/user` and a `/tmp` of its own.
struct World {
    dir: tempfile::TempDir,
    state: PathBuf,
    roots: Roots,
}

impl World {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("w").rand_bytes(4).tempdir().expect("dir");
        let at = |name: &str| dir.path().join(name);
        for name in ["s", "t", "u"] {
            make(&at(name), 0o700);
        }
        let (state, roots) = (at("s"), Roots { run_user: at("u"), tmp: at("t") });
        Self { dir, state, roots }
    }

    fn login(&self) -> PathBuf {
        self.roots.run_user.join(rustix::process::getuid().as_raw().to_string())
    }

    fn choose(&self, xdg: Option<&Path>) -> Result<RuntimeDir, DirError> {
        let env = |name: &str| {
            (name == "XDG_RUNTIME_DIR").then(|| xdg.map(|xdg| xdg.display().to_string())).flatten()
        };
        runtime_dir(None, &self.state, &env, &self.roots)
    }

    #[track_caller]
    fn chosen(&self, xdg: Option<&Path>) -> PathBuf {
        self.choose(xdg).expect("one works").path().to_path_buf()
    }
}

fn make(dir: &Path, mode: u32) {
    fs::create_dir(dir).expect("made");
    chmod(dir, mode);
}

fn chmod(dir: &Path, mode: u32) {
    fs::set_permissions(dir, fs::Permissions::from_mode(mode)).expect("changed");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("there").mode() & 0o7777
}

#[test]
fn the_first_private_place_that_works_is_taken() {
    let world = World::new();
    let xdg = world.dir.path().join("x");
    make(&xdg, 0o700);
    make(&world.login(), 0o700);
    assert_eq!(world.chosen(Some(&xdg)), xdg.join("cm-agent"));
    assert_eq!(mode(&xdg.join("cm-agent")), 0o700);
    assert_eq!(world.chosen(Some(&xdg)), xdg.join("cm-agent"), "the same again");
    assert_eq!(fs::read_dir(xdg.join("cm-agent")).expect("listed").count(), 0, "no probe stays behind");

    chmod(&xdg, 0o755);
    assert_eq!(world.chosen(Some(&xdg)), world.login().join("cm-agent"), "others can look into the first");
    assert_eq!(world.chosen(None), world.login().join("cm-agent"));
    assert_eq!(world.chosen(Some(Path::new("relative"))), world.login().join("cm-agent"));

    fs::remove_dir_all(world.login()).expect("removed");
    assert_eq!(world.chosen(Some(&world.dir.path().join("none"))), world.state.join("run"));
    symlink(&xdg, world.login()).expect("linked");
    assert_eq!(world.chosen(None), world.state.join("run"), "a link is not followed");
}

#[test]
fn the_last_resort_is_random_remembered_and_checked() {
    let world = World::new();
    fs::write(world.state.join("run"), "in the way").expect("written");
    let first = world.chosen(None);
    assert!(first.starts_with(&world.roots.tmp) && mode(&first) == 0o700, "{}", first.display());
    assert_eq!(world.chosen(None), first, "remembered");
    let link = world.state.join("runtime");
    assert_eq!(fs::read_link(&link).expect("a link"), first);

    chmod(&first, 0o777);
    let second = world.chosen(None);
    assert_ne!(second, first, "no longer private");
    fs::remove_dir(&second).expect("removed");
    symlink(world.dir.path(), &second).expect("squatted");
    let third = world.chosen(None);
    assert!(third != second && third != first);
    fs::remove_file(&link).expect("removed");
    symlink(world.dir.path(), &link).expect("led astray");
    assert!(world.chosen(None).starts_with(&world.roots.tmp));
}

#[test]
fn socket_paths_fit_or_the_error_says_how_long() {
    let world = World::new();
    let id = SessionId::from_bits(u128::MAX);
    let base = world.dir.path();
    let name = |len: usize| base.join("d".repeat(len - base.as_os_str().len() - 1));
    let given = |dir: &Path| runtime_dir(Some(dir), &world.state, &|_| None, &world.roots);

    let longest = given(&name(RUNTIME_PATH_MAX)).expect("just fits");
    let socket = longest.session_socket(&id).expect("fits");
    assert_eq!(socket.as_os_str().len(), SOCKET_PATH_MAX);
    longest.make_session_dir(&id).expect("made");
    std::os::unix::net::UnixListener::bind(&socket).expect("the kernel agrees");
    assert!(longest.agent_socket().as_os_str().len() <= SOCKET_PATH_MAX);

    let words = given(&name(RUNTIME_PATH_MAX + 1)).expect_err("too long").to_string();
    assert!(words.contains("is 62 bytes long") && words.contains("--runtime-dir of at most 61"), "{words}");
    for id in ["../../etc", "cm-", "cm-XYZ", ""] {
        assert!(matches!(longest.session_socket(&id.into()), Err(DirError::BadId(_))), "{id}");
    }
    assert!(matches!(given(Path::new("relative")), Err(DirError::Relative { .. })));
}

#[test]
fn a_given_place_is_used_or_refused_and_never_changed() {
    let world = World::new();
    let open = world.dir.path().join("o");
    make(&open, 0o755);
    let given = runtime_dir(Some(&open), &world.state, &|_| None, &world.roots);
    let words = given.expect_err("others can look into it").to_string();
    assert!(words.contains("has mode 0755") && words.contains("0700"), "{words}");
    assert_eq!(mode(&open), 0o755);
    let file = world.dir.path().join("f");
    fs::write(&file, "").expect("written");
    let words = state_dir(Some(&file), None, &|_| None).expect_err("a file").to_string();
    assert!(words.contains("is not a directory"), "{words}");
}

#[test]
fn where_state_is_kept() {
    let world = World::new();
    let home = world.dir.path().join("h");
    make(&home, 0o755);
    let xdg = home.join("xdg").display().to_string();
    let env = |name: &str| (name == "XDG_STATE_HOME").then(|| xdg.clone());
    let find = |given: Option<&Path>, home: Option<&Path>, env: &dyn Fn(&str) -> Option<String>| {
        state_dir(given, home, env).expect("made")
    };
    assert_eq!(find(None, Some(&home), &|_| None), home.join(".local/state/cm-agent"));
    assert_eq!(mode(&home.join(".local/state/cm-agent")), 0o700);
    assert_eq!(find(None, Some(&home), &env), home.join("xdg/cm-agent"));
    assert_eq!(find(Some(&home.join("mine")), None, &env), home.join("mine"));
    assert!(matches!(state_dir(None, None, &|_| None), Err(DirError::NoHome)));
}

#[test]
fn a_read_only_state_directory_is_named() {
    let Some(dir) = support::again() else {
        let dir = tempfile::tempdir().expect("dir");
        support::on_small_disk("a_read_only_state_directory_is_named", dir.path(), "size=64k,mode=700,ro");
        return;
    };
    for given in [dir.clone(), dir.join("below")] {
        let words = state_dir(Some(&given), None, &|_| None).expect_err("read-only").to_string();
        assert!(words.contains("Read-only file system"), "{words}");
        assert!(words.contains(&given.display().to_string()), "{words}");
    }
}

#[test]
fn a_second_agent_is_refused_with_the_first_ones_pid() {
    let world = World::new();
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let first = Lock::acquire(&world.state, at(1000)).expect("free");
    let error = Lock::acquire(&world.state, at(1000 + 300)).expect_err("held");
    let words = error.to_string();
    assert!(words.contains(&format!("(pid {}, for 5 min)", std::process::id())), "{words}");
    let LockError::Held { holder: Some(holder), .. } = error else { panic!("{error:?}") };
    assert_eq!(holder.since, 1000);
    assert_eq!(mode(&world.state.join("lock")), 0o600);
    drop(first);
    Lock::acquire(&world.state, at(2000)).expect("free again");
}

#[test]
fn a_lock_says_where_its_holder_listens_as_long_as_it_does() {
    if let Some(dir) = support::again() {
        let mut lock = Lock::acquire(&dir, UNIX_EPOCH).expect("free");
        let _listener = std::os::unix::net::UnixListener::bind(dir.join("sock")).expect("bound");
        lock.listens_on(&dir.join("sock"));
        std::thread::park_timeout(Duration::from_secs(60));
        return;
    }
    let world = World::new();
    let socket = world.state.join("sock");
    assert_eq!(listening(&world.state), None, "no lock at all");
    drop(Lock::acquire(&world.state, UNIX_EPOCH).expect("free"));
    assert_eq!(listening(&world.state), None, "a lock without a socket");
    let mut child = support::myself("a_lock_says_where_its_holder_listens_as_long_as_it_does", &world.state)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    support::eventually("it listens", || listening(&world.state).filter(|found| *found == socket));
    let error = Lock::acquire(&world.state, UNIX_EPOCH).expect_err("held");
    assert!(error.to_string().contains(&format!(", listening on {})", socket.display())), "{error}");
    child.kill().expect("killed");
    child.wait().expect("reaped");
    assert_eq!(listening(&world.state), None, "nobody listens");
    fs::remove_file(&socket).expect("left behind");
    let _other = std::os::unix::net::UnixListener::bind(&socket).expect("free");
    assert_eq!(listening(&world.state), None, "somebody else does");
    // The next holder's text is shorter.
    drop(Lock::acquire(&world.state, UNIX_EPOCH).expect("free"));
    let text = fs::read_to_string(world.state.join("lock")).expect("readable");
    assert_eq!(text, format!("{{\"pid\":{},\"since\":0}}", std::process::id()));
}

#[test]
fn a_lock_goes_with_its_holder() {
    if let Some(state) = support::again() {
        let _lock = Lock::acquire(&state, UNIX_EPOCH).expect("free");
        println!("locked");
        std::thread::park_timeout(Duration::from_secs(60));
        return;
    }
    let world = World::new();
    let mut child = support::myself("a_lock_goes_with_its_holder", &world.state)
        .stdout(std::process::Stdio::null())
        .spawn()
        .expect("starts");
    // Only read: whoever tried the lock could take it from the child.
    let words = format!("{{\"pid\":{},", child.id());
    support::eventually("the child holds it", || {
        fs::read_to_string(world.state.join("lock")).ok().filter(|text| text.starts_with(&words))
    });
    match Lock::acquire(&world.state, UNIX_EPOCH) {
        Err(LockError::Held { holder: Some(holder), .. }) => assert_eq!(holder.pid, child.id()),
        other => panic!("{other:?}"),
    }
    child.kill().expect("killed");
    child.wait().expect("reaped");
    Lock::acquire(&world.state, UNIX_EPOCH).expect("free: the kernel gave it back");
}

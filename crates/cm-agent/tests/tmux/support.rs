//! A session of its own for each test, gone when the test ends, and waits that have a deadline.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cm_agent::tmux::{
    Capture, Control, LaunchSpec, Notice, Notices, Open, OpenError, Snapshot, Tmux, launch_conf,
};

/// What nothing in these tests may take longer than, on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A directory with a socket.
pub struct Room {
    pub dir: tempfile::TempDir,
    pub tmux: Tmux,
}

impl Room {
    pub async fn new() -> Self {
        let path = std::env::var_os("PATH").expect("a PATH");
        let tmux = Tmux::find(&path, PATIENCE).await.expect("these tests need tmux");
        Self { dir: tempfile::tempdir().expect("a directory"), tmux }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn socket(&self) -> PathBuf {
        self.path("s")
    }

    /// What launches `command`.
    pub fn spec(&self, command: &[&str]) -> LaunchSpec {
        LaunchSpec {
            id: "cm-test".into(),
            command: command.iter().map(|&arg| arg.to_owned()).collect(),
            cwd: self.dir.path().as_os_str().as_encoded_bytes().to_vec(),
            env: BTreeMap::new(),
            size: (80, 24),
            history_limit: 1000,
            terminal: "screen-256color".into(),
            allow_rename: false,
        }
    }

    pub fn write_conf(&self, spec: &LaunchSpec) -> PathBuf {
        let conf = self.path("conf");
        std::fs::write(&conf, launch_conf(spec).expect("launchable")).expect("writable");
        conf
    }

    pub async fn open(&self, how: Open<'_>) -> Result<(Control, Notices), OpenError> {
        Control::open(&self.tmux, &self.socket(), how, PATIENCE).await
    }

    pub async fn launch(&self, spec: &LaunchSpec) -> (Control, Notices) {
        let conf = self.write_conf(spec);
        let env = base_env();
        let opened = self.open(Open::Start { conf: &conf, env: &env }).await.expect("it starts");
        std::fs::remove_file(conf).expect("its configuration is ours to remove");
        opened
    }

    pub async fn start(&self, command: &[&str]) -> (Control, Notices) {
        self.launch(&self.spec(command)).await
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let mut kill = std::process::Command::new(&self.tmux.program);
        kill.arg("-N").arg("-S").arg(self.socket()).arg("kill-server");
        // Fails where the test has ended the server itself.
        let _ = kill.output();
    }
}

pub fn base_env() -> Vec<(String, String)> {
    let path = std::env::var("PATH").expect("a PATH");
    let pairs = [("PATH", path.as_str()), ("HOME", "/"), ("LANG", "C.UTF-8"), ("SHELL", "/bin/sh")];
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The future's value, soon.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.unwrap_or_else(|_| panic!("waited too long for {what}"))
}

pub fn text(screen: &[u8]) -> String {
    String::from_utf8(screen.to_vec()).expect("tmux gives UTF-8")
}

/// Looks whenever something happens, until what stands there is what is wanted.
pub async fn watch(
    what: &str,
    control: &Control,
    notices: &mut Notices,
    wanted: impl Fn(&Snapshot) -> bool,
) -> Snapshot {
    let mut last = None;
    let seen = tokio::time::timeout(PATIENCE, async {
        loop {
            let snapshot = control.snapshot(Capture::default()).await.expect("a snapshot");
            if wanted(&snapshot) {
                return snapshot;
            }
            last = Some(snapshot);
            let notice = notices.recv().await;
            assert!(!matches!(notice, None | Some(Notice::Exit { .. })), "{what}: ended with {notice:?}");
        }
    })
    .await;
    match seen {
        Ok(snapshot) => snapshot,
        Err(_) => panic!("waited too long for {what}: {last:?}; now {:?}", control.inspect().await),
    }
}

/// Waits until a condition nobody announces holds.
pub async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "waited too long for {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub fn is_running(pid: i32) -> bool {
    match std::fs::read_to_string(format!("/proc/{pid}/stat")) {
        // The state follows the name in parentheses; a zombie is no longer running.
        Ok(stat) => !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('Z')),
        Err(_) => false,
    }
}

/// Processes that have this text in their arguments.
pub fn processes_naming(needle: &str) -> Vec<i32> {
    let pids = std::fs::read_dir("/proc").expect("/proc").filter_map(|entry| {
        let pid: i32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.windows(needle.len()).any(|window| window == needle.as_bytes()).then_some(pid)
    });
    pids.collect()
}

/// The control clients of a socket: their pids.
pub fn clients_of(socket: &Path) -> Vec<i32> {
    let socket = socket.to_str().expect("UTF-8");
    let is_client = |pid: &i32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm"))
            .is_ok_and(|name| name.starts_with("tmux: client"))
    };
    processes_naming(socket).into_iter().filter(is_client).collect()
}

//! Ending and stopping real trees of processes: daemons, the deaf, the dead and the stopped.

mod support;

use std::{
    fs,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use cm_agent::host::process::{
    Ended, Frozen, Grace, Leader, Marker, ProcessId, end_tree, freeze, thaw, tree,
};
use support::eventually;

/// A shell script as a session's root, in a process group of its own, with a marked environment.
struct Session {
    child: Child,
    dir: tempfile::TempDir,
    marker: Marker,
}

impl Session {
    fn start(script: &str) -> Self {
        let dir = tempfile::tempdir().expect("dir");
        let id = format!("test-{}", dir.path().display());
        let child = Command::new("sh")
            .args(["-c", script])
            .current_dir(dir.path())
            .env("CM_SESSION_ID", &id)
            .stdin(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("sh starts");
        Self { child, dir, marker: Marker::session(&id) }
    }

    fn root(&self) -> ProcessId {
        ProcessId::of(self.child.id().try_into().expect("a pid")).expect("not reaped yet")
    }

    /// The process whose pid the script writes into `file`.
    fn pid_in(&self, file: &str) -> ProcessId {
        pid_in(self.dir.path(), file)
    }

    fn members(&self) -> Vec<ProcessId> {
        tree(&[self.root()], Some(&self.marker))
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for id in self.members() {
            let pid = rustix::process::Pid::from_raw(id.pid).expect("positive");
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

fn pid_in(dir: &Path, file: &str) -> ProcessId {
    let path = dir.join(file);
    eventually(file, || {
        let text = fs::read_to_string(&path).ok()?;
        ProcessId::of(text.strip_suffix('\n')?.parse().ok()?)
    })
}

/// Stopped, or a zombie, or (`D`) a shell that waits between vfork and the exec of its stopped child.
fn rests(id: ProcessId) -> bool {
    id.stat().is_some_and(|stat| matches!(stat.state, 'T' | 'D' | 'Z'))
}

const QUICK: Grace = Grace { ask: Duration::from_millis(400), kill: Duration::from_secs(10) };
const PATIENT: Grace = Grace { ask: Duration::from_secs(20), kill: Duration::from_secs(10) };

#[tokio::test]
async fn a_tree_ends_with_its_daemons() {
    let session = Session::start(
        "setsid sh -c 'echo $$ > a; exec sleep 1000' &
         (setsid sh -c '(sleep 1000 & echo $! > b)' &)
         sleep 1000 & echo $! > c
         wait",
    );
    let ids = [session.root(), session.pid_in("a"), session.pid_in("b"), session.pid_in("c")];
    eventually("the daemon has left its parents", || {
        (ids[2].stat()?.parent != session.root().pid).then_some(())
    });
    let ended = end_tree(&[session.root()], Some(&session.marker), PATIENT).await;
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0), "{ended:?}");
    assert!(ended.ended >= 4, "{ended:?}");
    assert!(ids.iter().all(|id| !id.alive()));
    assert!(ids[0].stat().is_some(), "its parent, this test, has not reaped it: a zombie is not alive");
}

#[tokio::test]
async fn who_is_just_becoming_another_program_is_found() {
    let session = Session::start("echo 'exec sh ./again' > again; echo $$ > up; exec sh ./again");
    let always = session.pid_in("up");
    for _ in 0..100 {
        assert_eq!(tree(&[], Some(&session.marker)), [always], "between two programs it has no environment");
    }
}

#[tokio::test]
async fn without_the_mark_descendants_go_and_nobody_else() {
    let stranger = Session::start("exec sleep 1000");
    let session = Session::start("sleep 1000 & echo $! > a; wait");
    let child = session.pid_in("a");
    let ended = end_tree(&[session.root()], None, PATIENT).await;
    assert_eq!(ended, Ended { ended: 2, killed: 0, survivors: vec![] });
    assert!(!child.alive());
    assert!(stranger.root().alive());
}

#[tokio::test]
async fn who_does_not_listen_is_killed() {
    let session = Session::start(
        "trap '' TERM HUP; sh -c 'echo $$ > a; while :; do sleep 1000; done' & echo > up; while :; do wait; done",
    );
    let deaf = session.pid_in("a");
    let ended = end_tree(&[session.root()], Some(&session.marker), QUICK).await;
    assert_eq!(ended.survivors, []);
    assert!(ended.killed >= 2, "{ended:?}");
    assert!(!deaf.alive() && !session.root().alive());
}

#[tokio::test]
async fn who_tidies_up_when_asked_has_the_time_for_it() {
    // Only TERM is handled: HUP would end it at once.
    let session = Session::start(
        "trap 'i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo tidy > said; exit' TERM
         echo $$ > up; while :; do sleep 0.05; done",
    );
    session.pid_in("up");
    let ended = end_tree(&[session.root()], Some(&session.marker), PATIENT).await;
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0), "{ended:?}");
    assert_eq!(fs::read_to_string(session.dir.path().join("said")).expect("its handler ran"), "tidy\n");
}

#[tokio::test]
async fn who_ignores_that_is_hung_up_on() {
    // As interactive shells do: at once, not after the time others have to tidy up.
    let session = Session::start("trap '' TERM; echo $$ > up; while :; do sleep 1000; done");
    session.pid_in("up");
    let begun = std::time::Instant::now();
    let ended = end_tree(&[session.root()], Some(&session.marker), PATIENT).await;
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0), "{ended:?}");
    assert!(begun.elapsed() < PATIENT.ask / 2, "{:?}", begun.elapsed());
    // Who handles it and goes on is hung up on later.
    let session = Session::start("trap 'echo not yet' TERM; echo $$ > up; while :; do sleep 1000; done");
    session.pid_in("up");
    let grace = Grace { ask: Duration::from_secs(2), ..PATIENT };
    let ended = end_tree(&[session.root()], Some(&session.marker), grace).await;
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0), "{ended:?}");
}

#[tokio::test]
async fn who_forks_while_dying_is_caught() {
    let session = Session::start(
        "trap 'trap \"\" TERM; setsid sh -c \"echo \\$\\$ > late; while :; do sleep 0.05; done\" & exit' TERM
         trap '' HUP; echo $$ > up; while :; do sleep 0.05; done",
    );
    session.pid_in("up");
    let ended = end_tree(&[session.root()], Some(&session.marker), QUICK).await;
    assert_eq!(ended.survivors, []);
    assert!(!session.pid_or_gone("late"));
}

impl Session {
    /// Whether the process named in `file` is alive; it must have existed.
    fn pid_or_gone(&self, file: &str) -> bool {
        let text = fs::read_to_string(self.dir.path().join(file)).expect("it had started");
        ProcessId::of(text.trim().parse().expect("a pid")).is_some_and(ProcessId::alive)
    }
}

#[tokio::test]
async fn stopped_processes_end_too() {
    let session = Session::start("sleep 1000 & echo $! > a; wait");
    let child = session.pid_in("a");
    let frozen = freeze(session.root(), Leader::Shim, Some(&session.marker)).await;
    assert_eq!(frozen, Frozen::Yes(vec![child]));
    assert!(child.stat().expect("there").is_stopped());
    let ended = end_tree(&[session.root()], Some(&session.marker), PATIENT).await;
    assert_eq!((ended.killed, ended.survivors.len()), (0, 0), "{ended:?}");
}

#[tokio::test]
async fn nothing_to_end_is_an_end() {
    let nobody = ProcessId { pid: 1, start: 1 };
    assert_eq!(end_tree(&[nobody], Some(&Marker::session("cm-none")), PATIENT).await, Ended::default());
    let reused = ProcessId { start: 1, ..ProcessId::me().expect("me") };
    assert!(!reused.alive());
    assert_eq!(tree(&[reused], None), []);
}

#[tokio::test]
async fn a_tree_stops_whole_and_goes_on() {
    let session = Session::start(
        "sh -c 'echo $$ > a; while :; do echo x >> ticks; sleep 0.01; done' &
         setsid sh -c 'echo $$ > b; while :; do sleep 0.01; done' &
         wait",
    );
    let (a, b) = (session.pid_in("a"), session.pid_in("b"));
    let Frozen::Yes(stopped) = freeze(session.root(), Leader::Shim, Some(&session.marker)).await else {
        panic!("it stops");
    };
    assert!(stopped.contains(&a) && stopped.contains(&b) && !stopped.contains(&session.root()));
    let all = session.members();
    let running: Vec<_> = all.into_iter().filter(|id| !rests(*id)).collect();
    assert_eq!(running, [session.root()]);
    let ticks = session.dir.path().join("ticks");
    let before = fs::metadata(&ticks).expect("ticks").len();
    assert!(thaw(session.root(), Some(&session.marker)) >= 3);
    eventually("it ticks again", || (fs::metadata(&ticks).ok()?.len() > before + 4).then_some(()));
    eventually("both run", || (!rests(a) && !rests(b)).then_some(()));
}

/// A tmux server of its own, gone with the test.
struct Tmux {
    dir: tempfile::TempDir,
}

impl Tmux {
    fn start(dir: tempfile::TempDir, script: &str) -> (Self, ProcessId) {
        let tmux = Self { dir };
        tmux.run(&["-f", "/dev/null", "new-session", "-d", "--", "sh", "-c", script]);
        let pid = tmux.run(&["list-panes", "-F", "#{pane_pid}"]);
        (tmux, ProcessId::of(pid.trim().parse().expect("a pid")).expect("runs"))
    }

    fn run(&self, args: &[&str]) -> String {
        let output = Command::new("tmux")
            .arg("-S")
            .arg(self.dir.path().join("sock"))
            .args(args)
            .current_dir(self.dir.path())
            .output()
            .expect("tmux is installed");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("utf-8")
    }
}

impl Drop for Tmux {
    fn drop(&mut self) {
        let socket = self.dir.path().join("sock");
        let _ = Command::new("tmux").arg("-S").arg(socket).arg("kill-server").output();
    }
}

#[tokio::test]
async fn below_tmux_a_shim_makes_a_session_stoppable() {
    let dir = tempfile::tempdir().expect("dir");
    let (tmux, leader) = Tmux::start(dir, "sh -c 'echo $$ > a; while :; do sleep 0.01; done'; exit $?");
    let tool = pid_in(tmux.dir.path(), "a");
    let Frozen::Yes(stopped) = freeze(leader, Leader::Shim, None).await else { panic!("it stops") };
    assert!(stopped.contains(&tool));
    // Any command makes tmux look after its children first.
    tmux.run(&["list-panes"]);
    assert!(rests(tool), "tmux lets it lie");
    assert!(thaw(leader, None) >= 2);
    eventually("it runs", || (!rests(tool)).then_some(()));
}

#[tokio::test]
async fn below_tmux_a_tool_that_leads_cannot_be_stopped_and_nothing_is() {
    let dir = tempfile::tempdir().expect("dir");
    let (tmux, leader) = Tmux::start(dir, "sleep 1000 & echo $! > a; while :; do sleep 0.01; done");
    let child = pid_in(tmux.dir.path(), "a");
    assert!(matches!(freeze(leader, Leader::Tool, None).await, Frozen::No(_)));
    assert!(!child.stat().expect("there").is_stopped());
    assert!(!leader.stat().expect("there").is_stopped());
}

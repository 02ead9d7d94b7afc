//! Ends, crashes and returns: what is told, how soon, and what lives on.

use std::process::Stdio;
use std::time::{Duration, Instant};

use cm_agent::tmux::{Capture, CommandError, Ending, Life, Notice, Open, OpenError};
use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Room, clients_of, is_running, processes_naming, soon, text, until, watch};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("a pid"), Signal::KILL).expect("it lives");
}

async fn check_ending(script: &str, expected: impl Fn(&Ending) -> bool) {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", &format!("echo out; read x; {script}")]).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("out")).await;
    control.enter().await.expect("pressed");
    let started = Instant::now();
    let end = watch("its end", &control, &mut notices, |s| s.status.ended().is_some()).await;
    assert!(started.elapsed() < Duration::from_secs(2), "told after {:?}", started.elapsed());
    let ending = end.status.ended().expect("just seen");
    assert!(expected(ending), "{script}: {ending:?}");
    assert!(text(&end.screen).contains("out"), "what it printed stays");
    assert!(!text(&end.screen).contains("dead"), "tmux adds nothing to it");
}

#[tokio::test]
async fn an_exit_is_told_at_once() {
    check_ending("exit 3", |end| matches!(end, Ending::Exit { code: 3, at: Some(_) })).await;
    check_ending("exit 0", |end| matches!(end, Ending::Exit { code: 0, .. })).await;
}

#[tokio::test]
async fn a_signal_is_told_by_name() {
    check_ending("kill -9 $$", |end| matches!(end, Ending::Signal { name, .. } if name == "SIGKILL")).await;
    check_ending("kill -TERM $$", |end| matches!(end, Ending::Signal { name, .. } if name == "SIGTERM"))
        .await;
}

#[tokio::test]
async fn an_end_before_anybody_looks_is_seen() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["true"]).await;
    let end = watch("its end", &control, &mut notices, |s| s.status.ended().is_some()).await;
    assert!(matches!(end.status.ended(), Some(Ending::Exit { code: 0, .. })));
}

#[tokio::test]
async fn a_program_that_survives_its_terminal_has_not_ended() {
    let room = Room::new().await;
    let script = "trap '' HUP; exec </dev/null >/dev/null 2>&1; touch off; while ! [ -e go ]; do sleep 0.01; done; exit 4";
    let (control, mut notices) = room.start(&["sh", "-c", script]).await;
    until("it", || room.path("off").exists()).await;
    let status = control.inspect().await.expect("a status");
    assert!(status.ended().is_none() && is_running(status.pane_pid), "{status:?}");
    std::fs::write(room.path("go"), "").expect("writable");
    let end = watch("its end", &control, &mut notices, |s| s.status.ended().is_some()).await;
    assert!(matches!(end.status.ended(), Some(Ending::Exit { code: 4, .. })), "{:?}", end.status);
}

/// tmux misses some of these ends by itself (see `watch.rs`).
#[tokio::test(flavor = "multi_thread")]
async fn of_many_ends_at_once_none_is_missed() {
    let one = async |n: i32| {
        let room = Room::new().await;
        let (control, mut notices) = room.start(&["sh", "-c", &format!("read x; exit {n}")]).await;
        control.enter().await.expect("pressed");
        let end = watch("its end", &control, &mut notices, |s| s.status.ended().is_some()).await;
        assert!(
            matches!(end.status.ended(), Some(Ending::Exit { code, .. }) if *code == n),
            "{:?}",
            end.status
        );
    };
    for batch in 0..3 {
        futures_util::future::join_all((0..12).map(|n| one(batch * 12 + n))).await;
    }
}

#[tokio::test]
async fn the_session_survives_its_client() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", "echo hello; exec cat"]).await;
    let before = watch("it", &control, &mut notices, |s| text(&s.screen).contains("hello")).await.status;
    let clients = clients_of(&room.socket());
    assert_eq!(clients.len(), 1);
    kill(clients[0]);
    let last = soon("the last notice", async {
        let mut last = None;
        while let Some(notice) = notices.recv().await {
            last = Some(notice);
        }
        last
    });
    assert!(matches!(last.await, Some(Notice::Exit { .. })));
    assert!(matches!(control.inspect().await, Err(CommandError::Closed(_))));
    control.close().await;

    let (again, _notices) = room.open(Open::Attach).await.expect("the server lives");
    let after = again.inspect().await.expect("a status");
    assert_eq!((after.server_pid, after.server_start), (before.server_pid, before.server_start));
    assert_eq!((after.pane_pid, after.session_id), (before.pane_pid, before.session_id));
    let screen = again.capture(Capture::default()).await.expect("captured");
    assert!(text(&screen).contains("hello"));
}

#[tokio::test]
async fn closing_and_dropping_end_the_client_only() {
    let room = Room::new().await;
    let (control, notices) = room.start(&["cat"]).await;
    let server = control.inspect().await.expect("a status").server_pid;
    let client = clients_of(&room.socket())[0];
    soon("the close", control.close()).await;
    assert!(!is_running(client), "joined means gone");
    assert!(is_running(server));
    soon("a second close", control.close()).await;
    drop((control, notices));

    let (control, notices) = room.open(Open::Attach).await.expect("the server lives");
    let client = clients_of(&room.socket())[0];
    drop(control.clone());
    assert!(control.inspect().await.is_ok(), "one of two handles went");
    drop((control, notices));
    until("the dropped client's end", || !is_running(client)).await;
    assert!(is_running(server));
}

#[tokio::test]
async fn kill_server_leaves_nothing() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", "sleep 1000 & echo up; wait"]).await;
    let status = watch("it", &control, &mut notices, |s| text(&s.screen).contains("up")).await.status;
    control.kill_server().await.expect("killed");
    let socket = room.socket();
    until("everything's end", || {
        !is_running(status.server_pid)
            && !is_running(status.pane_pid)
            && processes_naming(socket.to_str().expect("UTF-8")).is_empty()
    })
    .await;
    let error = room.open(Open::Attach).await.expect_err("dead");
    assert!(error.proves_death(), "{error:?}");
    control.kill_server().await.expect("dead is what was wanted");
}

#[tokio::test]
async fn a_killed_server_is_proven_dead() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["cat"]).await;
    let server = control.inspect().await.expect("a status").server_pid;
    kill(server);
    soon("the last notice", async { while notices.recv().await.is_some() {} }).await;
    // The socket's file stays behind, and whoever was just being born of the server may hold it for a moment.
    until("the server's end", || std::os::unix::net::UnixStream::connect(room.socket()).is_err()).await;
    let error = room.open(Open::Attach).await.expect_err("dead");
    assert!(matches!(error, OpenError::Refused { .. }) && error.proves_death(), "{error:?}");
}

#[tokio::test]
async fn a_person_is_seen_and_the_session_ends_with_their_kill() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["cat"]).await;
    // `script` gives the person a terminal.
    let attach = format!("tmux -S {} attach", room.socket().display());
    let mut person = std::process::Command::new("script")
        .args(["-qec", &attach, "/dev/null"])
        .env("TERM", "xterm-256color")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("script is part of every Linux");
    let seen = watch("the person", &control, &mut notices, |s| s.status.people == 1).await;
    assert_eq!(seen.status.life, Life::Running);
    use std::io::Write;
    person.stdin.as_mut().expect("piped").write_all(b"hello\r").expect("typed");
    watch("their words", &control, &mut notices, |s| text(&s.screen).contains("hello\nhello\n")).await;
    let mut kill = std::process::Command::new("tmux");
    kill.arg("-S").arg(room.socket()).args(["kill-session", "-t", "main"]);
    assert!(kill.status().expect("it runs").success());
    soon("the last notice", async { while notices.recv().await.is_some() {} }).await;
    let dead = || std::os::unix::net::UnixStream::connect(room.socket()).is_err();
    until("the server's end", dead).await;
    assert!(room.open(Open::Attach).await.expect_err("dead").proves_death());
    person.wait().expect("their tmux has ended");
}

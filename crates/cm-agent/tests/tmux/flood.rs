//! Floods: they cost neither the agent nor the tool nor another session.

use std::time::{Duration, Instant};

use cm_agent::tmux::{Capture, Command, Control, Notice, Notices, PaneId};

use crate::support::{Room, soon, text, watch};

/// How many bytes a program has written so far.
fn written(pid: i32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).expect("it lives");
    let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).expect("counted by Linux");
    line.parse().expect("a number")
}

/// Waits until a flood has been paused: output is announced, and then no more.
async fn paused(control: &Control, notices: &mut Notices) -> u64 {
    let mut total = 0;
    loop {
        match tokio::time::timeout(Duration::from_millis(300), notices.recv()).await {
            Ok(Some(Notice::Output { bytes, .. })) => total += bytes,
            Ok(other) => assert!(other.is_some(), "the client has ended"),
            Err(_) if total > 0 => return total,
            Err(_) => assert!(control.inspect().await.is_ok()),
        }
    }
}

#[tokio::test]
async fn a_flood_is_paused_and_the_tool_goes_on() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["yes"]).await;
    let pid = control.inspect().await.expect("a status").pane_pid;
    let sent = soon("the pause", paused(&control, &mut notices)).await;
    assert!(sent < 8 << 20, "{sent} bytes were sent to us");
    let before = written(pid);
    crate::support::until("the tool's progress", || written(pid) > before + (1 << 20)).await;
    // A look resumes: output is announced again.
    let seen = control.snapshot(Capture::default()).await.expect("a snapshot");
    assert!(text(&seen.screen).starts_with("y\ny\n"));
    soon("new output", async {
        while !matches!(notices.recv().await.expect("it lives"), Notice::Output { .. }) {}
    })
    .await;
}

#[tokio::test]
async fn what_follows_a_look_is_never_missed() {
    let room = Room::new().await;
    let script = "i=0; while [ $i -lt 200 ]; do seq 1 3000; i=$((i+1)); done; echo the end; exec cat";
    let (control, mut notices) = room.start(&["sh", "-c", script]).await;
    // Looks only when told to: were one notice lost, this would wait for ever.
    watch("the last line", &control, &mut notices, |s| text(&s.screen).contains("the end")).await;
}

#[tokio::test]
async fn rearm_alone_resumes() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["yes"]).await;
    soon("the pause", paused(&control, &mut notices)).await;
    control.rearm().await.expect("rearmed");
    soon("new output", notices.recv()).await.expect("it lives");
}

#[tokio::test]
async fn another_session_is_not_slowed() {
    let (loud, quiet) = (Room::new().await, Room::new().await);
    let (shouting, mut shouts) = loud.start(&["yes"]).await;
    let (control, _notices) = quiet.start(&["cat"]).await;
    let looks = async {
        loop {
            shouts.recv().await;
            shouting.snapshot(Capture::default()).await.expect("a snapshot");
            tokio::time::sleep(Duration::from_millis(30)).await;
        }
    };
    let asks = async {
        let mut took = Vec::new();
        for _ in 0..200 {
            let start = Instant::now();
            control.snapshot(Capture::default()).await.expect("a snapshot");
            took.push(start.elapsed());
        }
        took.sort_unstable();
        took
    };
    let took = tokio::select! {
        took = asks => took,
        () = looks => unreachable!("it looks for ever"),
    };
    assert!(took[100] < Duration::from_millis(50), "the median took {:?}", took[100]);
}

#[tokio::test]
async fn a_tap_gives_the_bytes_themselves() {
    let room = Room::new().await;
    let script = r"stty raw -echo; printf ready; read x; printf '\033]777;\377hi\007\\'; exec cat";
    let (control, mut notices) = room.start(&["sh", "-c", script]).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    notices.tap(4096);
    control.command(Command::on_pane("send-keys").arg("-H").arg("0a")).await.expect("pressed");
    let mut got = Vec::new();
    let expected = b"\x1b]777;\xffhi\x07\\";
    soon("the bytes", async {
        while got.len() < expected.len() {
            match notices.recv().await.expect("it lives") {
                Notice::Output { pane, data, .. } => {
                    assert_eq!(pane, PaneId(0));
                    got.extend(data);
                }
                _ => continue,
            }
        }
    })
    .await;
    assert_eq!(got, expected);
}

#[tokio::test]
async fn a_pane_that_a_person_makes_is_not_listened_to() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", "echo up; exec cat"]).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("up")).await;
    let split = Command::on_pane("split-window").arg("-P").arg("-F").arg("#{pane_id}").arg("yes");
    assert_eq!(control.command(split).await.expect("split"), b"%1\n");
    control.paste("still here\n").await.expect("pasted");
    let seen =
        watch("our pane", &control, &mut notices, |s| text(&s.screen).contains("still here\nstill here"))
            .await;
    assert_eq!(seen.status.program, "cat");
}

//! `cm-agent hold --status` in a real tmux: what the tool says becomes the window's name, and nothing else changes.

use std::time::{Duration, Instant};

use cm_agent::host::process::Stat;
use cm_agent::host::{Frozen, Leader, ProcessId, freeze, thaw};
use cm_agent::tmux::{Control, Ending, Key, LaunchSpec, Notice, Notices};
use cm_agent::tool::{Blocked, Status, Told};

use crate::support::{Room, soon, text, until, watch};

fn spec(room: &Room, script: &str) -> LaunchSpec {
    let agent = env!("CARGO_BIN_EXE_cm-agent");
    LaunchSpec { allow_rename: true, ..room.spec(&[agent, "hold", "--status", "--", "sh", "-c", script]) }
}

async fn start(room: &Room, script: &str) -> (Control, Notices) {
    room.launch(&spec(room, script)).await
}

/// The statuses told after the first `count`, up to this one.
async fn told_until(notices: &mut Notices, mut count: u64, last: Status) -> Vec<Status> {
    soon("a status", async {
        let mut all = Vec::new();
        while all.last() != Some(&last) {
            if let Notice::WindowRenamed { name, .. } = notices.recv().await.expect("it lives")
                && let Some(told) = Told::from_window_name(&name)
            {
                all.extend(told.since(count));
                count = told.count;
            }
        }
        all
    })
    .await
}

#[tokio::test]
async fn a_status_is_told_in_order_and_stays() {
    let room = Room::new().await;
    let script = r#"say() { printf '\033]7501;state=%s\033\\' "$1"; }
        say working:app=x; read a; say blocked:kind=permission; read a; say working; say done; read a; say done; read a"#;
    let (control, mut notices) = start(&room, script).await;
    let first = watch("working", &control, &mut notices, |s| s.status.window_name != "main").await;
    assert_eq!(first.status.window_name, "cm-status:working#1-w");
    control.enter().await.expect("pressed");
    let asks = Status::Blocked(Blocked::Permission);
    assert_eq!(told_until(&mut notices, 1, asks).await, [asks]);
    control.enter().await.expect("pressed");
    let quick = told_until(&mut notices, 2, Status::Done).await;
    assert_eq!(quick, [Status::Working, Status::Done], "of two at once both are told");
    control.enter().await.expect("pressed");
    assert_eq!(told_until(&mut notices, 4, Status::Done).await, [Status::Done], "the same once more is news");
    let seen = control.inspect().await.expect("a status");
    assert_eq!(seen.window_name, "cm-status:done#5-wpwdd");
}

#[tokio::test]
async fn the_question_is_answered_and_not_shown() {
    let room = Room::new().await;
    let script = r"stty raw -echo; printf 'a\033]7501;?\033\\b'; head -c 12 > got; printf c; exec cat";
    let (control, mut notices) = start(&room, script).await;
    let seen = watch("the end", &control, &mut notices, |s| text(&s.screen).contains("abc")).await;
    assert_eq!(std::fs::read(room.path("got")).expect("written"), b"\x1b]7501;?;1\x1b\\");
    assert_eq!(seen.status.window_name, "main");
}

#[tokio::test]
async fn nobody_else_speaks_through_the_name() {
    let room = Room::new().await;
    let script =
        r"printf 'x\033kcm-dead\033\\y\033kcm-status:idle#1\033\\z'; printf '\033]0;t\007'; exec cat";
    let (control, mut notices) = start(&room, script).await;
    let seen = watch("it", &control, &mut notices, |s| text(&s.screen).contains("xyz")).await;
    assert_eq!(seen.status.window_name, "main");
    watch("the title", &control, &mut notices, |s| s.status.title == "t").await;
}

async fn check_ending(script: &str, expected: impl Fn(&Ending) -> bool) {
    let room = Room::new().await;
    let (control, mut notices) =
        start(&room, &format!("printf '\\033]7501;state=done\\007'; {script}")).await;
    let started = Instant::now();
    let end = watch("its end", &control, &mut notices, |s| {
        s.status.ended().is_some() && s.status.window_name == "cm-dead"
    })
    .await;
    assert!(started.elapsed() < Duration::from_secs(5), "told after {:?}", started.elapsed());
    assert!(expected(end.status.ended().expect("just seen")), "{script}: {:?}", end.status);
    assert!(text(&end.screen).contains("last words"), "{script}: {}", text(&end.screen));
}

#[tokio::test]
async fn it_ends_as_the_tool_ends_with_all_it_has_said() {
    check_ending("seq 1 20000; echo last words; exit 3", |e| matches!(e, Ending::Exit { code: 3, .. })).await;
    check_ending("printf 'last words\\033]7501;sta'", |e| matches!(e, Ending::Exit { code: 0, .. })).await;
    check_ending(
        "echo last words; kill -9 $$",
        |e| matches!(e, Ending::Signal { name, .. } if name == "SIGKILL"),
    )
    .await;
    check_ending(
        "echo last words; kill -INT $$",
        |e| matches!(e, Ending::Signal { name, .. } if name == "SIGINT"),
    )
    .await;
    // Somebody who stays on the terminal is not waited for.
    check_ending("(trap '' HUP; while [ -e \"$PWD\" ]; do sleep 0.1; done) & echo last words", |e| {
        matches!(e, Ending::Exit { code: 0, .. })
    })
    .await;
}

#[tokio::test]
async fn a_tool_that_is_missing_is_said() {
    let room = Room::new().await;
    let agent = env!("CARGO_BIN_EXE_cm-agent");
    let spec =
        LaunchSpec { allow_rename: true, ..room.spec(&[agent, "hold", "--status", "--", "cm-no-such-tool"]) };
    let (control, mut notices) = room.launch(&spec).await;
    let end = watch("its end", &control, &mut notices, |s| s.status.ended().is_some()).await;
    assert!(matches!(end.status.ended(), Some(Ending::Exit { code: 127, .. })), "{:?}", end.status);
    assert!(text(&end.screen).contains("cm-no-such-tool cannot be run"), "{}", text(&end.screen));
}

#[tokio::test]
async fn a_new_size_and_keys_reach_the_tool() {
    let room = Room::new().await;
    let script = r"trap 'stty size > size' WINCH; trap 'echo interrupted' INT
        stty size > size; tty > tty; echo ready; while :; do read x && echo got $x; done";
    let (control, mut notices) = start(&room, script).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    let size = || std::fs::read_to_string(room.path("size")).unwrap_or_default();
    assert_eq!(size(), "24 80\n");
    control.resize(101, 31).await.expect("resized");
    // The shell runs its trap when what it reads has come.
    control.enter().await.expect("pressed");
    until("the new size", || size() == "31 101\n").await;
    control.press(&[Key::parse("C-c").expect("a key")]).await.expect("pressed");
    watch("the signal", &control, &mut notices, |s| text(&s.screen).contains("interrupted")).await;
    control.press(&[Key::parse("C-d").expect("a key")]).await.expect("pressed");
    control.paste("line").await.expect("pasted");
    control.enter().await.expect("pressed");
    watch("the line", &control, &mut notices, |s| text(&s.screen).contains("got line")).await;
}

#[tokio::test]
async fn a_raw_tool_gets_every_byte() {
    let room = Room::new().await;
    let script = "stty raw -echo; printf ready; exec cat > got";
    let (control, mut notices) = start(&room, script).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    control
        .press(&[Key::parse("C-c").expect("a key"), Key::parse("C-z").expect("a key")])
        .await
        .expect("pressed");
    let long = "é😀 some text ".repeat(10_000);
    control.paste(&long).await.expect("pasted");
    let expected = [b"\x03\x1a", long.as_bytes()].concat();
    let got = || std::fs::read(room.path("got")).unwrap_or_default();
    until("the bytes", || got().len() >= expected.len()).await;
    assert!(got() == expected, "something else arrived");
}

#[tokio::test]
async fn the_tool_can_be_stopped_and_goes_on() {
    let room = Room::new().await;
    let script = "echo ready; i=0; while :; do i=$((i+1)); echo $i > count; sleep 0.01; done";
    let (control, mut notices) = start(&room, script).await;
    let seen = watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    let shim = ProcessId::of(seen.status.pane_pid).expect("it lives");
    let count = || std::fs::read_to_string(room.path("count")).unwrap_or_default();
    until("it counts", || !count().is_empty()).await;
    let Frozen::Yes(stopped) = freeze(shim, Leader::Shim, None).await else { panic!("it goes on") };
    assert!(!stopped.is_empty() && !stopped.contains(&shim));
    let stood = count();
    // One that waits for its child to begin (`D`) is stopped on its way out.
    let stands = |stat: Stat| stat.is_stopped() || stat.is_dead() || stat.state == 'D';
    assert!(stopped.iter().all(|id| id.stat().is_none_or(stands)));
    assert_eq!(count(), stood);
    thaw(shim, None);
    until("it counts on", || count() != stood).await;
}

#[tokio::test]
async fn with_the_terminal_the_tool_goes() {
    let room = Room::new().await;
    let script = "trap 'echo > hup; exit' HUP; echo ready; while :; do sleep 0.01; done";
    let (control, mut notices) = start(&room, script).await;
    watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    control.kill_server().await.expect("killed");
    until("the tool's end", || room.path("hup").exists()).await;
}

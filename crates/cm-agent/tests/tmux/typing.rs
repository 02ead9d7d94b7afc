//! Text, keys, copy mode and size: what reaches the program.

use cm_agent::tmux::{Capture, Command, CommandError, Control, Key, Notices, PaneStatus, Range};

use crate::support::{Room, text, until, watch};

/// A program that says it is ready, then collects raw bytes in the file `got`.
async fn collector(room: &Room, modes: &str) -> (Control, Notices) {
    let script = format!("stty raw -echo; printf '{modes}ready'; exec cat > got");
    let (control, mut notices) = room.start(&["sh", "-c", &script]).await;
    watch("the collector", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    (control, notices)
}

async fn check_got(room: &Room, expected: &[u8]) {
    let got = || std::fs::read(room.path("got")).unwrap_or_default();
    until("the bytes", || got().len() >= expected.len()).await;
    let got = got();
    assert_eq!(String::from_utf8_lossy(&got), String::from_utf8_lossy(expected));
}

#[tokio::test]
async fn a_paste_arrives_as_it_is() {
    let room = Room::new().await;
    let (control, _notices) = collector(&room, "").await;
    control.paste("a;b #{pid} $HOME ~ -x 'q' \"d\" \\ %0 é😀\ttab\r\nnext\n").await.expect("pasted");
    control.paste("").await.expect("nothing to do");
    control.paste("-l").await.expect("pasted");
    control.enter().await.expect("pressed");
    check_got(&room, "a;b #{pid} $HOME ~ -x 'q' \"d\" \\ %0 é😀\ttab\rnext\r-l\r".as_bytes()).await;
}

#[tokio::test]
async fn a_paste_is_bracketed_where_that_was_asked_for() {
    let room = Room::new().await;
    let (control, _notices) = collector(&room, "\\033[?2004h").await;
    control.paste("one\ntwo").await.expect("pasted");
    control.enter().await.expect("pressed");
    check_got(&room, b"\x1b[200~one\rtwo\x1b[201~\r").await;
}

#[tokio::test]
async fn a_long_paste_into_a_line_editor_arrives_whole() {
    let room = Room::new().await;
    let (control, mut notices) = room.start(&["sh", "-c", "stty -echo; printf ready; exec cat > got"]).await;
    watch("cat", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    let long: String = (0..2000).map(|n| format!("line {n} é \"quoted\" {}\n", "x".repeat(30))).collect();
    assert!(long.len() > 100_000);
    control.paste(&long).await.expect("pasted");
    check_got(&room, long.as_bytes()).await;
}

#[tokio::test]
async fn the_longest_paste_of_the_worst_characters() {
    let room = Room::new().await;
    let (control, _notices) = collector(&room, "").await;
    let worst = "😀".repeat((256 << 10) / 4);
    control.paste(&worst).await.expect("pasted");
    check_got(&room, worst.as_bytes()).await;
    let log = control.command(Command::new("show-messages")).await.expect("shown");
    assert_eq!(text(&log), "", "the server's log of commands keeps no pastes");
    let check = |result: Result<(), CommandError>, told: &str| {
        let error = result.expect_err("refused");
        assert!(matches!(error, CommandError::Invalid(_)) && error.to_string().contains(told), "{error}");
    };
    check(control.paste(&format!("{worst}x")).await, "262145 bytes");
    check(control.paste("ab\x1b[201~").await, "\\u{1b} at byte 2");
    check(control.paste("\0").await, "\\u{0}");
    check(control.paste("\u{9b}").await, "\\u{9b}");
}

#[tokio::test]
async fn keys_reach_the_program() {
    let room = Room::new().await;
    let (control, _notices) = collector(&room, "").await;
    let keys = ["C-c", "Escape", "Tab", "Enter", "Space", "a", ";", "é", "Up", "M-x", "F5", "-", "BSpace"];
    let keys = keys.map(|name| Key::parse(name).expect("a key"));
    control.press(&keys).await.expect("pressed");
    control.press(&[]).await.expect("nothing to do");
    check_got(&room, "\x03\x1b\t\r a;é\x1b[A\x1bx\x1b[15~-\x7f".as_bytes()).await;
}

#[tokio::test]
async fn copy_mode_is_left_before_keys() {
    let room = Room::new().await;
    let (control, _notices) = collector(&room, "").await;
    control.leave_copy_mode().await.expect("nothing to leave is no error");
    control.command(Command::on_pane("copy-mode")).await.expect("as a person does");
    assert!(control.inspect().await.expect("a status").in_mode);
    control.paste("p").await.expect("a paste does not mind");
    control.leave_copy_mode().await.expect("left");
    assert!(!control.inspect().await.expect("a status").in_mode);
    control.press(&[Key::parse("k").expect("a key")]).await.expect("pressed");
    check_got(&room, b"pk").await;
}

#[tokio::test]
async fn titles_and_odd_bytes_do_not_confuse() {
    let room = Room::new().await;
    let script = r"printf '\033]2;a|b \303\251 #{pid}\033\\'; printf '\377\376 %%end 1 2 1\n%%exit\nready\n'; exec cat";
    let (control, mut notices) = room.start(&["sh", "-c", script]).await;
    let seen = watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    assert_eq!(seen.status.title, "a|b é #{pid}");
    assert!(text(&seen.screen).contains("%end 1 2 1\n%exit\nready\n"), "{}", text(&seen.screen));
}

#[tokio::test]
async fn history_is_captured_by_line() {
    let room = Room::new().await;
    let script = "for n in $(seq 1 100); do echo line $n; done; echo ready; exec cat";
    let (control, mut notices) = room.start(&["sh", "-c", script]).await;
    let seen = watch("it", &control, &mut notices, |s| text(&s.screen).contains("ready")).await;
    let history = seen.status.history;
    assert_eq!(history, 78);
    let range = Range::Lines { from: -2, to: -1 };
    let lines = control.capture(Capture { range, ..Capture::default() }).await.expect("captured");
    assert_eq!(text(&lines), format!("line {}\nline {history}\n", history - 1));
    let all =
        control.capture(Capture { range: Range::All, join: true, escapes: true }).await.expect("captured");
    assert!(text(&all).starts_with("line 1\nline 2\n"));
}

#[tokio::test]
async fn the_size_follows() {
    let room = Room::new().await;
    let (control, _notices) = room.start(&["cat"]).await;
    control.resize(132, 43).await.expect("resized");
    let PaneStatus { cols, rows, .. } = control.inspect().await.expect("a status");
    assert_eq!((cols, rows), (132, 43));
    let option = Command::on_pane("show-options").arg("-w").arg("window-size");
    assert_eq!(control.command(option).await.expect("shown"), b"", "a person's terminal sizes it again");
}

#[tokio::test]
async fn what_tmux_refuses_is_told() {
    let room = Room::new().await;
    let (control, _notices) = room.start(&["cat"]).await;
    let error = control.command(Command::new("no-such-command")).await.expect_err("refused");
    assert!(matches!(&error, CommandError::Refused(told) if told.contains("no-such-command")), "{error:?}");
    assert!(control.inspect().await.is_ok(), "the client goes on");
}

#[tokio::test]
async fn many_commands_at_once_get_their_own_answers() {
    let room = Room::new().await;
    let (control, _notices) = room.start(&["cat"]).await;
    let asked = (0..500).map(|n: u32| {
        let control = control.clone();
        async move {
            let echo = Command::new("display-message").arg("-p").arg(n.to_string());
            assert_eq!(control.command(echo).await.expect("answered"), format!("{n}\n").into_bytes());
        }
    });
    futures_util::future::join_all(asked).await;
}

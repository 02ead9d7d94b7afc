//! What is typed into a tool: when it is ready, once, seen to arrive, and never across a person's line.

use std::time::Duration;

use cm_protocol::{KeysObserved, PolicyVerdict, State};
use cm_testkit::terminal::Terminal;

use super::program::{ECHO, Scripted, boxed, done, frame, idle, whole, working};
use super::stage::{policy, rule};
use super::support::until;

const NONE: [String; 0] = [];

/// At work for a moment, then done.
const SOON: &str = "{ after = 500, goto = 'done' }";

/// What the empty box stands below at the start.
const BANNER: &str = " scripted tool 1.0";

#[tokio::test]
async fn failure_04_nothing_is_typed_to_find_something_out() {
    let tool = Scripted::new(&whole(SOON));
    let mut stage = tool.open("", None).await;
    stage.state(State::Idle).await;
    // Somebody looks, and asks why: still no key.
    stage.client.capture_pane(&stage.id, 50).await.expect("seen");
    stage.client.explain_session(&stage.id).await.expect("explained");
    assert_eq!(tool.keys(""), NONE);
    stage.types("do it").await;
    stage.done().await;
    assert_eq!(tool.keys(""), ["do it", "Enter"]);
    stage.close().await;
}

#[tokio::test]
async fn failure_15_an_enter_that_was_swallowed_is_pressed_again() {
    // The first Enter does nothing: the task stands in the box as before.
    let tool = Scripted::new(&[
        frame("idle", &boxed(BANNER, ""), &format!("{ECHO}\nthen = [{{ on = 'Enter', goto = 'full' }}]")),
        frame(
            "full",
            &boxed(BANNER, "do it"),
            "cursor = [7, 7]\nthen = [{ on = 'Enter', goto = 'working' }]",
        ),
        working(SOON),
        done(),
    ]);
    let mut stage = tool.open("do it", None).await;
    stage.done().await;
    assert_eq!(
        (tool.keys("idle").join(" "), tool.keys("full").join(" ")),
        ("do it Enter".into(), "Enter".into())
    );
    stage.close().await;
}

#[tokio::test]
async fn failure_15_a_tool_that_takes_nothing_has_not_got_its_task() {
    let tool = Scripted::new(&[frame("deaf", &boxed(BANNER, ""), "cursor = [2, 7]")]);
    let mut stage = tool.open("do it", None).await;
    stage.fails("the task could not be typed").await;
    let typed = tool.keys("deaf").into_iter().filter(|key| key == "do it").count();
    assert_eq!(typed, 1, "never twice");
    stage.close().await;
}

#[tokio::test]
async fn failure_16_a_terminal_that_somebody_has_scrolled_takes_words_all_the_same() {
    let tool = Scripted::new(&whole(SOON));
    let mut stage = tool.open("", None).await;
    stage.state(State::Idle).await;
    let socket = stage.client.get_session(&stage.id).await.expect("there").socket.expect("open");
    let tmux = ["-S", &socket, "copy-mode", "-t", "=main:"];
    assert!(std::process::Command::new("tmux").args(tmux).status().expect("tmux").success());
    let text = format!("do it {}end", "with many words ".repeat(200));
    let observed = stage.client.send_line(&stage.id, text.clone()).await.expect("typed");
    assert_eq!(observed, Some(KeysObserved::Submitted));
    stage.done().await;
    assert_eq!(std::fs::read_to_string(tool.path("task.txt")).expect("a task"), text);
    stage.close().await;
}

#[tokio::test]
async fn failure_18_a_line_that_somebody_has_begun_is_theirs() {
    let begun = frame(
        "begun",
        &boxed(BANNER, "half a thou"),
        "cursor = [13, 7]\nthen = [{ file = 'go.txt', goto = 'idle' }]",
    );
    let tool = Scripted::new(&[begun, idle(), working(SOON), done()]);
    let mut stage = tool.open("do it", None).await;
    // It is seen for what it is, and left alone.
    until("the line is seen", async || {
        let explained = stage.client.explain_session(&stage.id).await.expect("explained");
        explained.channels.iter().any(|channel| channel.says.contains("nobody has submitted")).then_some(())
    })
    .await;
    assert_eq!(tool.keys("begun"), NONE);
    tool.release("go.txt");
    stage.done().await;
    assert_eq!(tool.keys("begun"), NONE);
    assert_eq!(tool.keys("idle"), ["do it", "Enter"]);
    stage.close().await;
}

#[tokio::test]
async fn failure_18_a_person_at_the_terminal_answers_first() {
    let tool = Scripted::new(&whole("{ file = 'go.txt', goto = 'ask' }"));
    let allow = policy(vec![rule("command", PolicyVerdict::Allow, None)]);
    let mut stage = tool.open("do it", allow).await;
    stage.state(State::Running).await;
    let socket = stage.client.get_session(&stage.id).await.expect("there").socket.expect("open");
    let dir = tempfile::Builder::new().prefix("cmp-").tempdir_in("/tmp").expect("a directory");
    let argv = ["env", "-u", "TMUX", "tmux", "-S", &socket, "attach"].map(Into::into);
    let person = Terminal::start(dir.path(), dir.path(), (120, 40), &argv).expect("attached");
    person.shows("Working…", Duration::from_secs(20)).expect("they see it");
    tool.release("go.txt");
    stage.done().await;
    let (drawn, pressed) = (tool.stood("ask").expect("drawn"), tool.pressed("ask").expect("answered"));
    assert!(pressed - drawn >= 1_900_000, "answered {} µs after it was drawn", pressed - drawn);
    assert_eq!(tool.keys("ask"), ["Enter"]);
    drop(person);
    stage.close().await;
}

//! What proves a task done: its own check, given back to the tool where it fails.

use cm_protocol::{Check, Proof, State};

use super::program::{ECHO, Scripted, boxed, done, frame, idle, renamed, whole, working};
use super::stage::Stage;

/// At work for a moment, then done.
const SOON: &str = "{ after = 500, goto = 'done' }";

fn check(command: &str, retries: u32) -> Check {
    Check { command: command.to_owned(), timeout: None, retries }
}

#[tokio::test]
async fn failure_12_what_is_claimed_is_checked() {
    for (command, state, proof) in [
        (None, State::Done, Some(Proof::Claimed)),
        (Some("test -e task.txt"), State::Done, Some(Proof::Verified)),
        (Some("echo nothing there >&2; test -e nothing.txt"), State::Failed, None),
    ] {
        let tool = Scripted::new(&whole(SOON));
        let mut request = tool.request("do it", None);
        request.check = command.map(|command| check(command, 0));
        let mut stage = Stage::open(tool.agent().await, request).await;
        let outcome = stage.ends().await;
        assert_eq!((outcome.state, outcome.proof), (state, proof), "{command:?}: {outcome:?}");
        if state == State::Failed {
            let result = outcome.check.expect("it ran");
            assert!(outcome.reason.expect("why").starts_with("check_failed"));
            assert_eq!((result.exit_code, result.tail), (Some(1), vec!["nothing there".to_owned()]));
        }
        stage.close().await;
    }
}

#[tokio::test]
async fn a_failed_check_is_given_back_and_may_be_mended() {
    let again = frame(
        "done",
        &boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s", ""),
        &format!("{ECHO}\nthen = [{{ line = '', touch = 'mended.txt', goto = 'more' }}]"),
    );
    let more = renamed(&working("{ after = 500, goto = 'over' }"), "more");
    let over = renamed(&done(), "over").replace("for 1s", "for 2s");
    let tool = Scripted::new(&[idle(), working(SOON), again, more, over]);
    let mut request = tool.request("do it", None);
    request.check = Some(check("test -e mended.txt", 2));
    let mut stage = Stage::open(tool.agent().await, request).await;
    let outcome = stage.done().await;
    assert_eq!((outcome.proof, outcome.check.expect("it ran").runs), (Some(Proof::Verified), 2));
    let told = std::fs::read_to_string(tool.path("mended.txt")).expect("it was told");
    assert!(told.contains("test -e mended.txt"), "{told}");
    stage.close().await;
}

#[tokio::test]
async fn a_check_that_never_passes_ends_the_task_after_its_retries() {
    let again = |name: &str, next: &str| {
        let more = format!("{ECHO}\nthen = [{{ line = '', goto = '{next}' }}]");
        frame(name, &boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s", ""), &more)
    };
    let more = renamed(&working("{ after = 500, goto = 'over' }"), "more");
    let tool = Scripted::new(&[idle(), working(SOON), again("done", "more"), more, again("over", "more")]);
    let mut request = tool.request("do it", None);
    request.check = Some(check("false", 1));
    let mut stage = Stage::open(tool.agent().await, request).await;
    let outcome = stage.fails("check_failed").await;
    assert_eq!(outcome.check.expect("it ran").runs, 2);
    stage.close().await;
}

//! What a tool's work and its end are taken for: work that looks like an end, ends that look like work, crashes.

use std::time::Duration;

use cm_client::Incoming;
use cm_protocol::{AnswerDecision, EventKind, State};

use super::program::{
    ANSWERS, ECHO, OPTIONS, Scripted, asks, boxed, done, frame, idle, lower, renamed, said, whole, working,
};
use super::stage::{Stage, all_asked};
use super::support::{is_alive, until};

const NONE: [String; 0] = [];

/// At work for a moment, then done.
const SOON: &str = "{ after = 500, goto = 'done' }";

/// How often a session was said to be in one of these states.
fn count(stage: &Stage, states: &[State]) -> usize {
    stage.states().iter().filter(|state| states.contains(state)).count()
}

/// A tool that works like this, and is done only where `done` stands.
async fn is_done_at_the_end(frames: &[String], speaking: bool) -> Stage {
    let tool = Scripted::new(frames);
    let tool = if speaking { tool.speaking() } else { tool };
    let mut stage = tool.open("do it", None).await;
    stage.done().await;
    assert!(tool.stood("done").is_some(), "said to be done before it was: {:?}", stage.told);
    assert_eq!(count(&stage, &[State::Done, State::Idle]), 1, "{:?}", stage.states());
    stage
}

#[tokio::test]
async fn failure_07_the_tools_own_word_beats_its_screen() {
    // Its box stands there, its turn seems to be over; but it says that it works.
    let looks = frame(
        "working",
        &boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s", ""),
        "status = 'state=working'\nthen = [{ after = 4000, goto = 'done' }]",
    );
    let frames = [said(&idle(), "state=idle"), looks, said(&done(), "state=done")];
    let stage = is_done_at_the_end(&frames, true).await;
    let explained = stage.client.explain_session(&stage.id).await.expect("explained");
    assert_eq!(explained.authority, "status");
    stage.close().await;
}

#[tokio::test]
async fn failure_08_words_about_the_end_are_no_end() {
    let words = "❯ do it\n\n● Done! All tests passed. Error: none.\n● Task complete. Exit code 0.\n✻ Working… (3s · esc to interrupt)";
    let more = format!("{ECHO}\nthen = [{{ after = 4000, goto = 'done' }}]");
    let frames = [idle(), frame("working", &boxed(words, ""), &more), done()];
    is_done_at_the_end(&frames, false).await.close().await;
}

#[tokio::test]
async fn failure_09_a_screen_that_stands_still_is_no_end() {
    let still = boxed("❯ do it\n\n✻ Working… (0s · esc to interrupt)", "");
    let more = format!("{ECHO}\nthen = [{{ after = 5000, goto = 'done' }}]");
    let frames = [idle(), frame("working", &still, &more), done()];
    is_done_at_the_end(&frames, false).await.close().await;
}

#[tokio::test]
async fn failure_09_a_screen_that_always_moves_is_no_work() {
    let moves = "spin = { at = [0, 1], texts = ['⠋ tip of the day', '⠙ tip of the day'], every_ms = 80 }";
    let over = boxed("❯ do it\n\n● Done with it.\n\n✻ Baked for 1s", "");
    let frames = [idle(), working(SOON), frame("done", &over, &format!("{moves}\n{ECHO}"))];
    is_done_at_the_end(&frames, false).await.close().await;
}

#[tokio::test]
async fn failure_10_a_box_that_flickers_by_is_no_end() {
    let more = format!("{ECHO}\nthen = [{{ after = 250, goto = 'again' }}]");
    let flicker = frame("flicker", &boxed("❯ do it\n\n● Let me see.", ""), &more);
    let again = renamed(&working("{ after = 1500, goto = 'done' }"), "again");
    let frames = [idle(), working("{ after = 500, goto = 'flicker' }"), flicker, again, done()];
    is_done_at_the_end(&frames, false).await.close().await;
}

#[tokio::test]
async fn failure_11_an_error_that_leaves_the_box_is_no_success() {
    for (words, reason) in [
        ("● API Error: 500 something broke", "api_error: API Error: 500 something broke"),
        ("● Limit reached. Resets at 2038-01-19 03:14 UTC", "rate_limited"),
    ] {
        let tool = Scripted::new(&[
            idle(),
            working("{ after = 500, goto = 'failed' }"),
            frame("failed", &boxed(&format!("❯ do it\n\n{words}"), ""), ECHO),
        ]);
        let mut stage = tool.open("do it", None).await;
        let outcome = stage.fails(reason).await;
        assert_eq!(outcome.until.is_some(), reason == "rate_limited", "{outcome:?}");
        stage.close().await;
    }
}

#[tokio::test]
async fn failure_13_a_profile_that_is_wrong_is_said_and_costs_no_other_session() {
    let tool = Scripted::new(&whole(SOON));
    std::fs::write(tool.profiles().join("broken.toml"), "name = \"broken\"\nversion = 0\n").expect("written");
    let mut stage = tool.open("do it", None).await;
    stage.done().await;
    let mut events = stage.client.follow(Some(0)).await.expect("followed");
    let told = loop {
        let next = tokio::time::timeout(Duration::from_secs(20), events.next()).await.expect("in time");
        if let Some(Incoming::Event(event)) = next
            && let EventKind::Notice(notice) = event.kind
            && notice.message.contains("broken.toml")
        {
            break notice.message;
        }
    };
    assert!(told.contains("broken.toml:2:11: versions count from 1"), "{told}");
    stage.close().await;
}

#[tokio::test]
async fn failure_17_words_for_a_session_that_is_gone_reach_no_other() {
    let tool = Scripted::new(&[idle(), working("{ file = 'never.txt', goto = 'done' }"), done()]);
    let mut first = tool.open("", None).await;
    first.state(State::Idle).await;
    let other = first.client.create_session(tool.request("", None)).await.expect("made").session_id;
    first.client.kill_session(&other).await.expect("killed");
    assert!(first.client.send_line(&other, "lost words").await.is_err());
    assert_eq!(tool.keys(""), NONE);
    first.close().await;
}

#[tokio::test]
async fn a_status_that_tells_everything_is_followed_to_the_letter() {
    let [second, third] = lower("touch made.txt");
    let ask = frame("ask", &asks("touch made.txt", OPTIONS), ANSWERS);
    let tool = Scripted::new(&[
        said(&idle(), "state=idle"),
        said(&working("{ after = 400, goto = 'ask' }"), "state=working"),
        said(&ask, "state=blocked:kind=permission"),
        second,
        third,
        said(&done(), "state=done"),
    ])
    .speaking();
    let mut stage = tool.open("do it", all_asked()).await;
    stage.asks().await;
    stage.answers(AnswerDecision::Allow, "").await;
    stage.done().await;
    let mut states = stage.states();
    states.dedup();
    assert_eq!(states, [State::Starting, State::Running, State::Waiting, State::Running, State::Done]);
    stage.close().await;
}

/// The processes of the session that are this binary, as the tool.
fn tools_of(stage: &Stage) -> Vec<i32> {
    let mine = std::env::current_exe().expect("this binary");
    let all = super::peace::processes_of(&stage.agent.socket()).into_iter();
    all.filter_map(|pid| pid.parse().ok())
        .filter(|pid: &i32| std::fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == mine))
        .collect()
}

#[tokio::test]
async fn a_tool_that_is_killed_at_work_has_crashed() {
    let tool = Scripted::new(&whole("{ file = 'never.txt', goto = 'done' }"));
    let mut stage = tool.open("do it", None).await;
    stage.state(State::Running).await;
    for pid in tools_of(&stage) {
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("killed");
    }
    let outcome = stage.fails("crashed").await;
    assert_eq!(outcome.signal.as_deref(), Some("SIGKILL"), "{outcome:?}");
    stage.close().await;
}

#[tokio::test]
async fn a_tool_that_ignores_everything_is_ended_all_the_same() {
    let tool = Scripted::new(&[frame("deaf", "Busy, and not to be interrupted.\n", "")]);
    let stage = tool.open("", None).await;
    tool.at("deaf").await;
    stage.presses(&["C-c", "C-d", "C-c"]).await;
    let pids = tools_of(&stage);
    assert!(!pids.is_empty() && pids.iter().all(|pid| is_alive(*pid)));
    stage.close().await;
    assert!(!pids.iter().any(|pid| is_alive(*pid)));
}

#[tokio::test]
async fn a_turn_that_a_person_broke_off_waits_for_their_words() {
    let stopped = boxed("❯ do it\n\n● Interrupted by user", "");
    let tool = Scripted::new(&[
        idle(),
        working("{ on = 'Escape', goto = 'stopped' }"),
        frame("stopped", &stopped, &format!("{ECHO}\nthen = [{{ line = '', goto = 'more' }}]")),
        renamed(&working(SOON), "more"),
        done(),
    ]);
    let mut stage = tool.open("do it", None).await;
    stage.state(State::Running).await;
    tool.at("working").await;
    stage.presses(&["Escape"]).await;
    let reason = stage.state(State::Idle).await;
    assert!(reason.starts_with("interrupted"), "{reason}");
    stage.types("go on").await;
    stage.state(State::Running).await;
    stage.done().await;
    stage.close().await;
}

#[tokio::test]
async fn an_agent_that_dies_while_a_question_stands_asks_nothing_twice() {
    let tool = Scripted::new(&whole("{ after = 400, goto = 'ask' }"));
    let mut stage = tool.open("do it", all_asked()).await;
    let prompt = stage.asks().await;
    stage.restart().await;
    let info = stage.client.get_session(&stage.id).await.expect("there").info;
    assert_eq!(info.state, State::Waiting);
    assert_eq!(info.prompt.map(|p| (p.id, p.subject)), Some((prompt.id, prompt.subject)));
    until("answers are taken again", async || {
        let decision = AnswerDecision::Allow;
        let answer = cm_protocol::Answer { session_id: stage.id.clone(), decision, ..Default::default() };
        stage.client.answer(answer).await.ok()
    })
    .await;
    stage.done().await;
    assert_eq!(tool.keys("ask"), ["Enter"]);
    assert_eq!(count(&stage, &[State::Waiting]), 1, "{:?}", stage.states());
    stage.close().await;
}

#[tokio::test]
async fn an_agent_that_dies_while_the_tool_works_goes_on_with_it() {
    let tool = Scripted::new(&whole("{ file = 'go.txt', goto = 'done' }"));
    let mut stage = tool.open("do it", None).await;
    stage.state(State::Running).await;
    tool.at("working").await;
    stage.restart().await;
    assert_eq!(stage.client.get_session(&stage.id).await.expect("there").info.state, State::Running);
    tool.release("go.txt");
    stage.done().await;
    assert_eq!(tool.keys("idle"), ["do it", "Enter"], "its task was given once");
    assert_eq!(tool.keys("working"), NONE);
    assert_eq!(count(&stage, &[State::Running, State::Done]), 2, "{:?}", stage.states());
    stage.close().await;
}

#[tokio::test]
async fn two_sessions_in_one_directory_are_told_of_each_other() {
    let tool = Scripted::new(&[idle(), working("{ file = 'never.txt', goto = 'done' }"), done()]);
    let mut first = tool.open("do it", None).await;
    first.state(State::Running).await;
    let made = first.client.create_session(tool.request("do it, too", None)).await.expect("allowed");
    let told = made.warnings.iter().any(|warning| warning.contains(first.id.as_str()));
    assert!(told, "{:?}", made.warnings);
    first.client.kill_session(&made.session_id).await.expect("killed");
    first.close().await;
}

//! Turns that people break off, tools that are left, killed, or gone on with.

use cm_protocol::{PolicyVerdict, State};
use cm_testkit::homes::Tool;

use super::room::{Room, each, prompt};
use super::stage::{PATIENCE, Stage, policy, rule};
use super::support::is_alive;

each! {
    is_broken_off_and_goes_on: Claude, Codex, Claude197, Gemini;
    is_broken_off_while_it_runs_a_command: Claude, Codex;
    is_left_with_ctrl_c: Claude, Codex, Claude197, Gemini;
    is_killed_at_work: Claude, Codex, Claude197, Gemini, OpenCode, Aider;
    goes_on_with_an_earlier_conversation: Claude, Codex;
    goes_on_while_the_agent_is_restarted: Claude, Codex;
    is_silent_for_long: Claude, Codex;
    speaks_of_the_end_before_it: Claude, Codex;
    holds_its_last_words: Claude, Codex;
}

/// It works, for certain.
async fn at_work(room: &Room, stage: &mut Stage, gate: &str) {
    if let Err(late) = room.model.held(gate, PATIENCE).await {
        stage.fail("work", &late.to_string()).await;
    }
    // It may have been told before the model was asked.
    stage.catch_up();
    if !stage.states().contains(&State::Running) {
        stage.state(State::Running).await;
    }
}

async fn is_broken_off_and_goes_on(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("held", None).await;
    at_work(&room, &mut stage, "held").await;
    stage.presses(&["Escape"]).await;
    let reason = stage.state(State::Idle).await;
    assert!(reason.starts_with("interrupted"), "{reason}");
    stage.types(&prompt("say")).await;
    stage.state(State::Running).await;
    stage.done().await;
    stage.close().await;
}

async fn is_broken_off_while_it_runs_a_command(tool: Tool) {
    let room = Room::new(tool);
    let allow = policy(vec![rule("command", PolicyVerdict::Allow, None)]);
    let mut stage = room.open("lasting", allow).await;
    stage.comes("the command", || room.has("started.txt")).await;
    stage.presses(&["Escape"]).await;
    let reason = stage.state(State::Idle).await;
    assert!(reason.starts_with("interrupted"), "{reason}");
    stage.close().await;
}

async fn is_left_with_ctrl_c(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("", None).await;
    stage.state(State::Idle).await;
    stage.presses(&["C-c"]).await;
    if tool != Tool::Codex {
        stage.presses(&["C-c"]).await;
    }
    let outcome = stage.ends().await;
    assert_eq!((outcome.state, outcome.exit_code), (State::Done, Some(0)), "{outcome:?}");
    stage.close().await;
}

async fn is_killed_at_work(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("held", None).await;
    at_work(&room, &mut stage, "held").await;
    let tools = tools_of(&stage);
    assert!(!tools.is_empty());
    for pid in tools {
        let pid = rustix::process::Pid::from_raw(pid).expect("a pid");
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
    }
    let outcome = stage.fails("crashed").await;
    assert!(outcome.signal.is_some() || outcome.exit_code.is_some(), "{outcome:?}");
    stage.close().await;
}

/// The processes of the session that are no part of the agent.
fn tools_of(stage: &Stage) -> Vec<i32> {
    let agent = std::fs::read_link(format!("/proc/{}/exe", stage.agent.pid())).expect("it runs");
    let all =
        super::peace::processes_of(&stage.agent.socket()).into_iter().filter_map(|pid| pid.parse().ok());
    let ours = |pid: &i32| {
        let exe = std::fs::read_link(format!("/proc/{pid}/exe")).unwrap_or_default();
        exe == agent || exe.file_name().is_some_and(|name| name == "tmux")
    };
    all.filter(|pid| is_alive(*pid) && !ours(pid)).collect()
}

async fn goes_on_with_an_earlier_conversation(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("write", None).await;
    stage.done().await;
    stage.client.kill_session(&stage.id).await.expect("killed");
    room.write("made.txt", "alpha\nbeta\ngamma\n");
    let mut request = room.request("edit", None);
    request.resume = Some(stage.id.clone());
    let before = room.model.turns().len();
    let mut again = Stage::open(stage.agent, request).await;
    again.done().await;
    assert_eq!(room.text("made.txt"), "alpha\nBETA\ngamma\n");
    let turn = room.model.turns()[before].json().to_string();
    assert!(turn.contains("SCENARIO:write") && turn.contains("SCENARIO:edit"), "it remembers");
    again.close().await;
}

async fn goes_on_while_the_agent_is_restarted(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("held_command", None).await;
    at_work(&room, &mut stage, "before").await;
    stage.restart().await;
    let info = stage.client.get_session(&stage.id).await.expect("there").info;
    assert_eq!(info.state, State::Running);
    room.model.open("before");
    room.model.open("after");
    stage.done().await;
    assert!(room.has("made_by_command.txt"));
    let last = room.model.turns().pop().expect("a turn").json().to_string();
    assert_eq!(last.matches("SCENARIO:held_command").count(), 1, "its task was given once");
    stage.close().await;
}

/// A whole turn in which nothing stands for the end but its end.
async fn ends_once(tool: Tool, scenario: &str, gate: Option<&str>) {
    let room = Room::new(tool);
    let mut stage = room.open(scenario, None).await;
    if let Some(gate) = gate {
        at_work(&room, &mut stage, gate).await;
        // Longer than a prompt that is back has to stand.
        let mut frames = stage.client.events();
        stage.client.watch_screen(&stage.id).await.expect("watched");
        let until = tokio::time::Instant::now() + std::time::Duration::from_secs(4);
        while tokio::time::timeout_at(until, frames.next()).await.is_ok() {}
        stage.catch_up();
        let ended = stage.states().iter().any(|s| matches!(s, State::Done | State::Idle | State::Waiting));
        assert!(!ended, "{:?}", stage.states());
        room.model.open(gate);
    }
    stage.done().await;
    let resting = stage.states().iter().filter(|s| matches!(s, State::Done | State::Idle)).count();
    assert_eq!(resting, 1, "{:?}", stage.states());
    stage.close().await;
}

async fn is_silent_for_long(tool: Tool) {
    ends_once(tool, "silent", None).await;
}

async fn speaks_of_the_end_before_it(tool: Tool) {
    ends_once(tool, "done_prose", Some("prose")).await;
}

async fn holds_its_last_words(tool: Tool) {
    ends_once(tool, "half", Some("half")).await;
}

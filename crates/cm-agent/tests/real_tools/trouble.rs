//! A model that fails: tried again by the tool, given up, limited; each told as what it is.

use cm_protocol::State;
use cm_testkit::homes::Tool;

use super::room::{Room, each, prompt};

each! {
    recovers_from_an_overload: Claude, Codex, Claude197;
    recovers_in_the_middle_of_its_work: Claude, Codex;
    gives_up_on_a_bad_request: Claude, Codex, Claude197, OpenCode;
    gives_up_on_a_broken_service: Claude, Codex;
    is_limited: Claude, Codex, Claude197;
    is_given_words_after_an_error: Claude, Codex;
}

async fn recovers_from_an_overload(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("flaky", None).await;
    stage.done().await;
    assert!(!stage.states().contains(&State::Failed), "{:?}", stage.states());
    assert!(room.model.turns().len() >= 3);
    stage.close().await;
}

async fn recovers_in_the_middle_of_its_work(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("flaky_command", None).await;
    stage.done().await;
    assert!(room.has("made_by_command.txt"));
    stage.close().await;
}

async fn gives_up_on_a_bad_request(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("bad_request", None).await;
    stage.fails("api_error").await;
    stage.close().await;
}

async fn gives_up_on_a_broken_service(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("broken", None);
    // It would go on trying for minutes.
    request.env.insert("CLAUDE_CODE_MAX_RETRIES".into(), "1".into());
    let mut stage = super::stage::Stage::open(room.agent().await, request).await;
    stage.fails("api_error").await;
    stage.close().await;
}

async fn is_limited(tool: Tool) {
    let room = Room::new(tool);
    let scenario = if tool == Tool::Codex { "quota" } else { "no_credit" };
    let mut stage = room.open(scenario, None).await;
    stage.fails("rate_limited").await;
    stage.close().await;
}

async fn is_given_words_after_an_error(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("bad_request", None).await;
    stage.fails("api_error").await;
    stage.types(&prompt("say")).await;
    stage.state(State::Running).await;
    stage.done().await;
    stage.close().await;
}

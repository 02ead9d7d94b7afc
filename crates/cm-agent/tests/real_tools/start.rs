//! How a tool begins: trust, log-in, no task, a program that is not there, a version nobody knows.

use std::os::unix::fs::PermissionsExt;

use cm_protocol::{AnswerDecision, EventKind, State};
use cm_testkit::homes::{Login, Tool, Trusted};

use super::room::{Room, each, prompt};
use super::stage::{Stage, all_asked};

each! {
    trusts_the_work_tree_because_policy_says_so: Claude, Codex, Claude197, Gemini;
    asks_whether_to_trust: Claude, Codex;
    is_not_trusted: Claude, Codex;
    is_not_logged_in: Claude, Codex;
    begins_without_a_task: Claude, Codex, Claude197, Gemini, OpenCode, Aider;
    is_not_installed: Claude, Codex;
    says_its_version: Claude, Codex, Claude197, Gemini, OpenCode, Aider;
}

async fn trusts_the_work_tree_because_policy_says_so(tool: Tool) {
    let room = Room::with(tool, Trusted::No, Login::Yes);
    let mut stage = room.open("write", None).await;
    let receipt = stage.receipt().await;
    assert_eq!((receipt.prompt.kind.as_str(), receipt.verdict.as_str()), ("trust", "allow"), "{receipt:?}");
    stage.done().await;
    if room.text("made.txt") != "alpha\nbeta\ngamma\n" {
        stage.fail("its file", &room.text("made.txt")).await;
    }
    stage.close().await;
}

async fn asks_whether_to_trust(tool: Tool) {
    let room = Room::with(tool, Trusted::No, Login::Yes);
    let mut stage = room.open("say", all_asked()).await;
    let prompt = stage.asks().await;
    assert_eq!(prompt.kind, "trust", "{prompt:?}");
    assert!(room.model.turns().is_empty(), "nothing was asked of the model yet");
    stage.answers(AnswerDecision::Allow, "").await;
    stage.done().await;
    assert!(!room.model.turns().is_empty());
    stage.close().await;
}

async fn is_not_trusted(tool: Tool) {
    let room = Room::with(tool, Trusted::No, Login::Yes);
    let mut stage = room.open("say", all_asked()).await;
    stage.asks().await;
    stage.answers(AnswerDecision::Deny, "").await;
    let outcome = stage.ends().await;
    assert_eq!(outcome.state, State::Failed, "{outcome:?}");
    assert!(room.model.turns().is_empty());
    stage.close().await;
}

/// It is told as what it is, and never as done.
async fn is_not_logged_in(tool: Tool) {
    let room = Room::with(tool, Trusted::Yes, Login::No);
    let mut stage = room.open("say", None).await;
    let reason = stage
        .until("why it cannot go on", |event| match event {
            EventKind::StateChange {
                state: State::Waiting | State::Failed | State::Done, reason, ..
            } => Some(reason.clone().unwrap_or_default()),
            _ => None,
        })
        .await;
    if !reason.starts_with("login_required") {
        stage.fail("login_required", &format!("it is {reason:?}")).await;
    }
    stage.close().await;
}

async fn begins_without_a_task(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("", None).await;
    stage.state(State::Idle).await;
    stage.types(&prompt("say")).await;
    stage.state(State::Running).await;
    stage.done().await;
    stage.close().await;
}

async fn is_not_installed(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("say", None);
    request.env.insert("PATH".into(), "/nowhere".into());
    let agent = room.agent().await;
    let client = agent.client().await;
    let refused = client.create_session(request).await.expect_err("there is none").to_string();
    assert!(refused.contains("tool not found") && refused.contains("/nowhere"), "{refused}");
    assert!(client.list_all_sessions().await.expect("listed").is_empty());
}

async fn says_its_version(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("", None).await;
    stage.state(State::Idle).await;
    let pinned = cm_testkit::tools::pin(tool.name()).expect("a pin").version;
    let explained = stage.client.explain_session(&stage.id).await.expect("explained");
    assert_eq!(explained.tool_version.as_deref(), Some(pinned.as_str()));
    assert_eq!(stage.warnings, Vec::<String>::new());
    stage.close().await;
}

#[tokio::test]
async fn a_version_that_no_profile_was_made_for_is_said() {
    let room = Room::new(Tool::Claude);
    let fake = room.outside("bin/claude");
    std::fs::create_dir(room.outside("bin")).expect("made");
    let program = room.home.program.display();
    let text = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && {{ echo '9.9.9 (Claude Code)'; exit; }}\nexec {program} \"$@\"\n"
    );
    std::fs::write(&fake, text).expect("written");
    std::fs::set_permissions(&fake, std::fs::Permissions::from_mode(0o755)).expect("made runnable");
    let mut request = room.request("say", None);
    let path = format!("{}:{}", room.outside("bin").display(), request.env["PATH"]);
    request.env.insert("PATH".into(), path);
    let mut stage = Stage::open(room.agent().await, request).await;
    assert!(stage.warnings.iter().any(|warning| warning.contains("9.9.9")), "{:?}", stage.warnings);
    stage.done().await;
    stage.close().await;
}

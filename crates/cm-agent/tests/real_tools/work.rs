//! Work that policy allows: files written and changed, commands run, each with a receipt; and what is refused.

use cm_protocol::{AnswerDecision, EventKind, PolicyRule, PolicyVerdict, Proof, State};
use cm_testkit::homes::Tool;

use super::room::{Room, each};
use super::stage::{Stage, policy, rule};

each! {
    writes_a_file: Claude, Codex, Claude197, Gemini, OpenCode;
    changes_a_file: Claude, Codex, Claude197, Gemini, OpenCode;
    runs_a_harmless_command: Claude, Codex, Claude197, Gemini, OpenCode;
    asks_for_what_its_sandbox_refused: Codex;
    is_refused_a_command_and_goes_on: Claude, Codex, Claude197, OpenCode;
    insists_on_a_command_until_a_person_is_asked: Gemini;
    is_seen_at_each_kind_of_work: Claude, Codex;
    does_much_in_one_task: Claude, Codex;
    aider_writes: Aider;
}

/// Everything that was done about prompts was allowed, and by whom.
fn all_allowed(stage: &Stage, rule: &str) {
    let receipts = stage.receipts();
    assert!(!receipts.is_empty(), "{:?}", stage.told);
    for receipt in receipts {
        assert_eq!(
            (receipt.verdict.as_str(), receipt.outcome.as_str()),
            ("allow", "accepted"),
            "{receipt:?}"
        );
        assert!(receipt.rule.starts_with(rule), "{receipt:?}");
        assert!(!receipt.option.as_deref().unwrap_or("").contains("always"), "{receipt:?}");
    }
    assert!(!stage.states().contains(&State::Waiting), "{:?}", stage.states());
}

async fn writes_a_file(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("write", None).await;
    let outcome = stage.done().await;
    assert_eq!(room.text("made.txt"), "alpha\nbeta\ngamma\n");
    all_allowed(&stage, "careful/");
    assert_eq!(outcome.proof, Some(Proof::Claimed));
    let changes = outcome.changes.as_ref().expect("a repository");
    assert_eq!((changes.files, changes.insertions, changes.uncommitted), (1, 3, true), "{changes:?}");
    assert!(!outcome.receipts.is_empty() && outcome.tail.len() > 2, "{outcome:?}");
    stage.close().await;
}

async fn changes_a_file(tool: Tool) {
    let room = Room::new(tool);
    room.write("made.txt", "alpha\nbeta\ngamma\n");
    let mut stage = room.open("edit", None).await;
    stage.done().await;
    assert_eq!(room.text("made.txt"), "alpha\nBETA\ngamma\n");
    all_allowed(&stage, "careful/");
    stage.close().await;
}

async fn runs_a_harmless_command(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("command", None).await;
    stage.done().await;
    assert!(room.has("made_by_command.txt"));
    all_allowed(&stage, "careful/");
    stage.close().await;
}

/// What runs without being asked about can change nothing.
async fn asks_for_what_its_sandbox_refused(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("sandboxed", None).await;
    stage.done().await;
    let results = room.results();
    assert!(results[0].contains("Read-only file system"), "{results:?}");
    assert!(room.has("made_by_command.txt"));
    all_allowed(&stage, "careful/");
    assert_eq!(stage.receipts().len(), 1, "{:?}", stage.receipts());
    stage.close().await;
}

/// Why nothing is removed.
const NEVER: &str = "Nothing is removed here. Use mv instead.";

/// A model that wants to remove a directory, and a policy that has nothing removed.
async fn removes(tool: Tool) -> (Room, Stage) {
    let room = Room::new(tool);
    std::fs::create_dir(room.path("scratch")).expect("made");
    let never = PolicyRule {
        name: Some("never".into()),
        command: vec!["rm -rf *".into()],
        ..rule("command", PolicyVerdict::Deny, Some(NEVER))
    };
    let stage = room.open("rm", policy(vec![never])).await;
    (room, stage)
}

/// Whether the model was told so: as the call's result, or in words.
fn was_told(room: &Room, words: &str) -> bool {
    room.model.requests().iter().any(|request| String::from_utf8_lossy(&request.body).contains(words))
}

async fn is_refused_a_command_and_goes_on(tool: Tool) {
    let (room, mut stage) = removes(tool).await;
    let receipt = stage.receipt().await;
    assert_eq!((receipt.verdict.as_str(), receipt.outcome.as_str()), ("deny", "accepted"), "{receipt:?}");
    assert!(receipt.rule.contains("test/never"), "{receipt:?}");
    stage.done().await;
    if !room.has("scratch") {
        stage.fail("nothing", "it was removed").await;
    }
    assert!(was_told(&room, NEVER), "{:?}", room.results());
    assert!(!stage.states().contains(&State::Waiting), "{:?}", stage.states());
    stage.close().await;
}

/// It forgets what was refused, and its model asks for the same again.
async fn insists_on_a_command_until_a_person_is_asked(tool: Tool) {
    let (room, mut stage) = removes(tool).await;
    let prompt = stage.asks().await;
    assert!(prompt.rule.is_none(), "{prompt:?}");
    let refused = stage.receipts();
    let refused = refused.iter().filter(|receipt| receipt.verdict == "deny" && receipt.outcome == "accepted");
    if refused.count() != 3 {
        stage.fail("three refusals", "a person was asked before").await;
    }
    let reason = stage.client.get_session(&stage.id).await.expect("there").info.reason;
    assert!(reason.as_deref().unwrap_or("").starts_with("refused 3 times"), "{reason:?}");
    assert!(was_told(&room, NEVER));
    stage.answers(AnswerDecision::Deny, "").await;
    stage.fails("denied").await;
    if !room.has("scratch") {
        stage.fail("nothing", "it was removed").await;
    }
    stage.close().await;
}

/// What it does is told from its tool calls.
async fn is_seen_at_each_kind_of_work(tool: Tool) {
    let room = Room::new(tool);
    room.write("run_tests.sh", "echo fine\n");
    let allow = policy(vec![rule("command", PolicyVerdict::Allow, None)]);
    let mut stage = room.open("every", allow).await;
    stage.done().await;
    let states = stage.states();
    let at = |wanted: State| states.iter().position(|state| *state == wanted);
    let order = [State::Editing, State::Testing, State::Done].map(at);
    assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{states:?}");
    stage.close().await;
}

async fn does_much_in_one_task(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("plan_work", None).await;
    stage.done().await;
    assert_eq!(room.text("made.txt"), "alpha\nBETA\ngamma\n");
    let ends = stage.told.iter().filter(|event| matches!(event, EventKind::SessionCompleted { .. })).count();
    let resting = stage.states().iter().filter(|s| matches!(s, State::Done | State::Idle)).count();
    assert_eq!((ends, resting), (1, 1), "{:?}", stage.states());
    stage.close().await;
}

/// It writes without asking, and asks nothing else here.
#[cfg(feature = "all-tools")]
async fn aider_writes(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("write", None);
    request.args.push("made.txt".into());
    room.write("made.txt", "");
    room.git(&["add", "."]);
    room.git(&["commit", "-q", "-m", "an empty file"]);
    let mut stage = Stage::open(room.agent().await, request).await;
    stage.done().await;
    assert_eq!(room.text("made.txt"), "alpha\nbeta\ngamma\n");
    stage.close().await;
}

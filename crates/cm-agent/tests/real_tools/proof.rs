//! What proves the work of a real tool: its check, what changed, and a work tree of its own.

use cm_protocol::{Check, Proof, State, Worktree};
use cm_testkit::homes::Tool;

use super::room::{Room, each};
use super::stage::Stage;

each! {
    is_verified: Claude, Codex;
    mends_what_its_check_found: Claude, Codex;
    fails_its_check_for_good: Claude, Codex;
    works_in_a_tree_of_its_own: Claude, Codex;
}

fn check(command: &str, retries: u32) -> Option<Check> {
    Some(Check { command: command.to_owned(), timeout: None, retries })
}

async fn is_verified(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("write", None);
    request.check = check("grep -c a made.txt", 0);
    let mut stage = Stage::open(room.agent().await, request).await;
    let outcome = stage.done().await;
    assert_eq!(outcome.proof, Some(Proof::Verified));
    let result = outcome.check.expect("it ran");
    assert_eq!((result.exit_code, result.runs, result.tail), (Some(0), 1, vec!["3".to_owned()]));
    stage.close().await;
}

async fn mends_what_its_check_found(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("mend", None);
    request.check = check("test -e mended.txt || { echo mended.txt is missing; false; }", 1);
    let mut stage = Stage::open(room.agent().await, request).await;
    let outcome = stage.done().await;
    assert_eq!((outcome.proof, outcome.check.expect("it ran").runs), (Some(Proof::Verified), 2));
    let told = room.model.turns().iter().any(|turn| {
        turn.played.as_ref().is_some_and(|played| played.prompt.contains("mended.txt is missing"))
    });
    assert!(told, "it was told what its check said");
    let ends = stage.states().iter().filter(|state| **state == State::Done).count();
    assert_eq!(ends, 1, "{:?}", stage.states());
    stage.close().await;
}

async fn fails_its_check_for_good(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("say", None);
    request.check = check("echo nothing was done; exit 7", 0);
    let mut stage = Stage::open(room.agent().await, request).await;
    let outcome = stage.fails("check_failed").await;
    let result = outcome.check.expect("it ran");
    assert_eq!((result.exit_code, result.tail), (Some(7), vec!["nothing was done".to_owned()]));
    assert_eq!(outcome.proof, None);
    stage.close().await;
}

async fn works_in_a_tree_of_its_own(tool: Tool) {
    let room = Room::new(tool);
    let mut request = room.request("write", None);
    request.name = Some("tidy-up".into());
    request.worktree = Some(Worktree::default());
    let mut stage = Stage::open(room.agent().await, request).await;
    let outcome = stage.done().await;
    assert!(!room.has("made.txt"), "the person's own tree is as it was");
    let changes = outcome.changes.expect("a repository");
    assert_eq!((changes.branch.as_deref(), changes.files), (Some("cm/tidy-up"), 1), "{changes:?}");
    let patch = std::fs::read_to_string(changes.patch.expect("a patch")).expect("readable");
    assert!(patch.contains("made.txt") && patch.contains("+beta"), "{patch}");
    let tree = std::path::PathBuf::from(changes.worktree.expect("its tree"));
    assert_eq!(std::fs::read_to_string(tree.join("made.txt")).expect("there"), "alpha\nbeta\ngamma\n");
    assert_eq!(room.git(&["branch", "--list", "cm/*", "--format", "%(refname:short)"]), "cm/tidy-up");
    stage.close().await;
}

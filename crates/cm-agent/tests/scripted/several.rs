//! Questions that take several answers: boxes are ticked by label, seen ticked, submitted, and confirmed.

use cm_protocol::{Answer, AnswerDecision, KeysObserved};

use super::program::{RULE, Scripted, done, frame, idle, working};
use super::stage::Stage;

/// The question with these boxes ticked and the highlight on a line: 0 to 2 a box, 3 `Submit`.
fn question(name: &str, ticked: [bool; 3], at: usize, then: &str) -> String {
    let mark = |line: usize| if line == at { "❯" } else { " " };
    let boxes = ["Prices", "Stock", "Login"].iter().zip(ticked).enumerate().map(|(n, (label, ticked))| {
        format!(" {} {}. [{}] {label}\n", mark(n), n + 1, if ticked { "✔" } else { " " })
    });
    let text = format!(
        "❯ do it\n\n{RULE}\n ☐ Tests\n\n Which parts should be covered?\n\n{} {}    Submit\n\n Enter to select · ↑/↓ to navigate · Esc to cancel\n",
        boxes.collect::<String>(),
        mark(3),
    );
    frame(name, &text, &format!("then = [{then}]"))
}

/// Asks, and shows the answers once more before it takes them. `tick`: what the space bar does at the third box.
async fn asks(tick: &str) -> (Scripted, Stage) {
    let review = format!(
        "❯ do it\n\n{RULE}\n Review your answers\n\n {{}} 1. Submit answers\n {{}} 2. Cancel\n\n Enter to select · Esc to cancel\n"
    );
    let on = |key: &str, to: &str| format!("{{ on = '{key}', goto = '{to}' }}");
    let tool = Scripted::new(&[
        idle(),
        working("{ after = 400, goto = 'ask' }"),
        question("ask", [false, true, false], 0, &on("Space", "first")),
        question("first", [true, true, false], 0, &on("Down", "second")),
        question("second", [true, true, false], 1, &on("Space", "untick")),
        question("untick", [true, false, false], 1, &on("Down", "third")),
        question("third", [true, false, false], 2, tick),
        question("ticked", [true, false, true], 2, &on("Down", "submit")),
        question("submit", [true, false, true], 3, &on("Enter", "review")),
        frame(
            "review",
            &review.replacen("{}", " ", 1).replacen("{}", "❯", 1),
            &format!("then = [{}, {{ on = 'Enter', touch = 'wrong.txt', goto = 'done' }}]", on("Up", "yes")),
        ),
        frame(
            "yes",
            &review.replacen("{}", "❯", 1).replacen("{}", " ", 1),
            "then = [{ on = 'Enter', touch = 'right.txt', goto = 'done' }]",
        ),
        done(),
    ]);
    let stage = tool.open("do it", None).await;
    (tool, stage)
}

#[tokio::test]
async fn exactly_those_that_are_meant_are_ticked() {
    let (tool, mut stage) = asks("{ on = 'Space', goto = 'ticked' }").await;
    let prompt = stage.asks().await;
    let boxes: Vec<_> = prompt.options.iter().map(|option| (option.label.as_str(), option.checked)).collect();
    let expected = [("Prices", Some(false)), ("Stock", Some(true)), ("Login", Some(false)), ("Submit", None)];
    assert_eq!(boxes, expected);
    stage.chooses(&["3", "prices"]).await;
    stage.done().await;
    assert!(tool.has("right.txt") && !tool.has("wrong.txt"));
    let receipt = stage.receipts().pop().expect("one");
    assert_eq!((receipt.option.as_deref(), receipt.outcome.as_str()), (Some("Login, Prices"), "accepted"));
    let keys = "Space Down Space Down Space Down Enter Up Enter";
    assert_eq!(receipt.keys.join(" "), keys);
    stage.close().await;
}

#[tokio::test]
async fn a_box_that_stays_empty_is_told_and_nothing_submitted() {
    let (tool, mut stage) = asks("{ on = 'Down', goto = 'submit' }").await;
    stage.asks().await;
    let answer = Answer {
        session_id: stage.id.clone(),
        decision: AnswerDecision::Choose,
        options: vec!["Prices".into(), "Login".into()],
        ..Answer::default()
    };
    let answered = stage.client.answer(answer).await.expect("heard");
    assert_eq!(answered.observed, KeysObserved::NoEvidence);
    // It is a person's again.
    stage.asks().await;
    assert_eq!(tool.keys("third"), ["Space"]);
    assert!(!tool.has("right.txt") && !tool.has("wrong.txt"));
    stage.close().await;
}

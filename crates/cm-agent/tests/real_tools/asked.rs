//! What is asked of a person: shown whole, answered from afar, and nothing done before that.

use cm_protocol::{AnswerDecision, Meaning, State};
use cm_testkit::homes::Tool;

use super::room::{Room, each};
use super::stage::all_asked;
use super::support::until;

each! {
    asks_and_is_allowed: Claude, Codex, Claude197, Gemini, OpenCode;
    asks_and_is_refused: Claude, Codex;
    asks_and_is_refused_with_words: Claude, Codex, Claude197, Gemini, OpenCode;
    asks_and_an_option_is_chosen: Claude, Codex;
    asks_about_a_file_elsewhere: Claude, Codex;
    asks_a_question: Claude, Claude197;
    asks_a_question_with_several_answers: Claude, Claude197, OpenCode;
    asks_twice_the_same_kind_of_thing: Claude, Codex;
    keeps_its_question_while_the_agent_is_restarted: Claude, Codex;
}

async fn asks_and_is_allowed(tool: Tool) {
    let room = Room::new(tool);
    let file = "made_by_command.txt";
    let mut stage = room.open("command", all_asked()).await;
    let prompt = stage.asks().await;
    assert_eq!(prompt.kind, "command", "{prompt:?}");
    assert!(prompt.subject.as_deref().unwrap_or("").contains(&format!("touch {file}")), "{prompt:?}");
    assert!(prompt.screen.iter().any(|line| line.contains(file)), "{prompt:?}");
    let means = |meaning| prompt.options.iter().filter(|option| option.meaning == meaning).count();
    assert_eq!(means(Meaning::Once), 1, "{prompt:?}");
    assert!(means(Meaning::Refuse) >= 1, "{prompt:?}");
    assert!(!room.has(file));
    stage.answers(AnswerDecision::Allow, "").await;
    stage.done().await;
    assert!(room.has(file));
    let receipt = stage.receipts().pop().expect("one");
    assert_eq!((receipt.rule.as_str(), receipt.outcome.as_str()), ("person", "accepted"));
    assert!(!receipt.before.is_empty() && !receipt.keys.is_empty(), "{receipt:?}");
    stage.close().await;
}

async fn asks_and_is_refused(tool: Tool) {
    let room = Room::new(tool);
    let file = "made_by_command.txt";
    let mut stage = room.open("command", all_asked()).await;
    stage.asks().await;
    stage.answers(AnswerDecision::Deny, "").await;
    stage.fails("denied").await;
    assert!(!room.has(file));
    stage.close().await;
}

async fn asks_and_is_refused_with_words(tool: Tool) {
    let room = Room::new(tool);
    let file = "made_by_command.txt";
    let mut stage = room.open("command", all_asked()).await;
    stage.asks().await;
    stage.answers(AnswerDecision::Deny, "Write it down instead.").await;
    if tool == Tool::Gemini {
        // It tells its model nothing of the refused turn, and the model here asks for the same again.
        stage.asks().await;
        stage.answers(AnswerDecision::Deny, "").await;
        stage.fails("denied").await;
    } else {
        stage.done().await;
    }
    assert!(!room.has(file));
    let told = room
        .model
        .requests()
        .iter()
        .any(|request| String::from_utf8_lossy(&request.body).contains("Write it down instead."));
    assert!(told, "{:?}", room.results());
    stage.close().await;
}

async fn asks_and_an_option_is_chosen(tool: Tool) {
    let room = Room::new(tool);
    let file = "made_by_command.txt";
    let mut stage = room.open("command", all_asked()).await;
    let prompt = stage.asks().await;
    let option = prompt.options.iter().find(|option| option.meaning == Meaning::Always);
    let label = option.unwrap_or(&prompt.options[0]).label.clone();
    stage.answers(AnswerDecision::Choose, &label).await;
    stage.done().await;
    assert!(room.has(file));
    let receipt = stage.receipts().pop().expect("one");
    assert_eq!((receipt.verdict.as_str(), receipt.option), ("choose", Some(label)));
    stage.close().await;
}

async fn asks_about_a_file_elsewhere(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("outside", None).await;
    let prompt = stage.asks().await;
    assert_eq!(prompt.kind, "edit", "{prompt:?}");
    assert!(prompt.screen.iter().any(|line| line.contains("out.txt")), "{prompt:?}");
    assert!(prompt.rule.is_some(), "{prompt:?}");
    stage.answers(AnswerDecision::Deny, "").await;
    stage.ends().await;
    assert!(!room.outside("outside/out.txt").exists());
    stage.close().await;
}

async fn asks_a_question(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("question", None).await;
    let prompt = stage.asks().await;
    assert_eq!((prompt.kind.as_str(), prompt.text.as_str()), ("question", "Which database should I use?"));
    let labels: Vec<_> = prompt.options.iter().map(|option| option.label.as_str()).collect();
    assert!(labels.starts_with(&["PostgreSQL", "SQLite"]), "{labels:?}");
    stage.answers(AnswerDecision::Choose, "sqlite").await;
    stage.done().await;
    assert!(room.results().iter().any(|result| result.contains("SQLite")), "{:?}", room.results());
    stage.close().await;
}

async fn asks_a_question_with_several_answers(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("several", None).await;
    let prompt = stage.asks().await;
    assert_eq!(prompt.kind, "question", "{prompt:?}");
    let boxes: Vec<_> = prompt.options.iter().map(|option| (option.label.as_str(), option.checked)).collect();
    assert!(
        boxes.starts_with(&[("Prices", Some(false)), ("Stock", Some(false)), ("Login", Some(false))]),
        "{boxes:?}"
    );
    stage.chooses(&["login", "1"]).await;
    stage.done().await;
    let results = room.results();
    let has = |word: &str| results.iter().any(|result| result.contains(word));
    if !(has("Prices") && has("Login")) || has("Stock") && tool == Tool::Claude {
        stage.fail("the answers", &format!("{results:?}")).await;
    }
    let receipt = stage.receipts().pop().expect("one");
    assert_eq!((receipt.option.as_deref(), receipt.outcome.as_str()), (Some("Login, Prices"), "accepted"));
    stage.close().await;
}

async fn asks_twice_the_same_kind_of_thing(tool: Tool) {
    let room = Room::new(tool);
    let mut stage = room.open("twice", all_asked()).await;
    let first = stage.asks().await;
    stage.answers(AnswerDecision::Allow, "").await;
    let second = stage.asks().await;
    assert_ne!(first.id, second.id);
    assert_ne!(first.class, second.class, "they are about different commands");
    assert!(room.has("first.txt") && !room.has("second.txt"));
    stage.answers(AnswerDecision::Allow, "").await;
    stage.done().await;
    assert!(room.has("second.txt"));
    stage.close().await;
}

async fn keeps_its_question_while_the_agent_is_restarted(tool: Tool) {
    let room = Room::new(tool);
    let file = "made_by_command.txt";
    let mut stage = room.open("command", all_asked()).await;
    let prompt = stage.asks().await;
    stage.restart().await;
    let info = stage.client.get_session(&stage.id).await.expect("there").info;
    assert_eq!((info.state, info.prompt.map(|prompt| prompt.id)), (State::Waiting, Some(prompt.id)));
    until("answers are taken again", async || {
        let decision = AnswerDecision::Allow;
        let answer = cm_protocol::Answer { session_id: stage.id.clone(), decision, ..Default::default() };
        stage.client.answer(answer).await.ok()
    })
    .await;
    stage.done().await;
    assert!(room.has(file));
    let asked = stage.states().iter().filter(|state| **state == State::Waiting).count();
    assert_eq!((asked, stage.receipts().len()), (1, 1), "{:?}", stage.told);
    stage.close().await;
}

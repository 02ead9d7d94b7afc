//! The model server over real connections: each dialect's shape, errors, cuts, gates and what is recorded.

mod support;

use cm_testkit::model::{Dialect, ModelServer, Options, Outcome};
use serde_json::{Value, json};
use support::{Answer, PATIENCE, ask, receive, send};

fn server() -> ModelServer {
    ModelServer::start().expect("it starts")
}

const TOOLS: [&str; 2] = ["Bash", "Write"];

/// A request for a scenario in a dialect, as a client would put it.
fn request(dialect: Dialect, scenario: &str, stream: bool) -> (String, Value) {
    let text = format!("SCENARIO:{scenario} in <cwd>/p</cwd>");
    let (path, body) = match dialect {
        Dialect::Anthropic => (
            "/v1/messages?beta=true",
            json!({
                "model": "m", "stream": stream,
                "tools": TOOLS.map(|name| json!({ "name": name, "input_schema": {} })),
                "messages": [{ "role": "user", "content": text }],
            }),
        ),
        Dialect::Responses => (
            "/v1/responses",
            json!({
                "model": "m", "stream": stream,
                "tools": [
                    { "type": "function", "name": "exec_command" },
                    { "type": "custom", "name": "apply_patch" },
                ],
                "input": [{ "type": "message", "role": "user", "content": [{ "type": "input_text", "text": text }] }],
            }),
        ),
        Dialect::Chat => (
            "/v1/chat/completions",
            json!({
                "model": "m", "stream": stream,
                "tools": [
                    { "type": "function", "function": { "name": "bash" } },
                    { "type": "function", "function": { "name": "write" } },
                ],
                "messages": [{ "role": "user", "content": text }],
            }),
        ),
        Dialect::Gemini => (
            if stream {
                "/v1beta/models/m:streamGenerateContent?alt=sse"
            } else {
                "/v1beta/models/m:generateContent"
            },
            json!({
                "tools": [{ "functionDeclarations": [{ "name": "run_shell_command" }, { "name": "write_file" }] }],
                "contents": [{ "role": "user", "parts": [{ "text": text }] }],
            }),
        ),
    };
    (path.to_owned(), body)
}

const ALL: [Dialect; 4] = [Dialect::Anthropic, Dialect::Responses, Dialect::Chat, Dialect::Gemini];

fn play(model: &ModelServer, dialect: Dialect, scenario: &str, stream: bool) -> Answer {
    let (path, body) = request(dialect, scenario, stream);
    ask(&model.url(), "POST", &path, &body)
}

#[test]
fn anthropic_streams_blocks_and_then_a_call() {
    let model = server();
    let answer = play(&model, Dialect::Anthropic, "bash", true);
    assert!(answer.head.contains("content-type: text/event-stream"), "{}", answer.head);
    let mut names = answer.names();
    names.dedup();
    let text = ["content_block_start", "content_block_delta", "content_block_stop"];
    let expected =
        [&["message_start", "ping"][..], &text, &text, &["message_delta", "message_stop"]].concat();
    assert_eq!(names, expected);
    let events = answer.events();
    for (name, data) in &events {
        assert_eq!(data["type"], name.as_str());
    }
    let call = events.iter().find(|(_, data)| data["content_block"]["type"] == "tool_use").expect("a call");
    assert_eq!(call.1["content_block"]["name"], "Bash");
    let input =
        events.iter().find_map(|(_, data)| data["delta"]["partial_json"].as_str()).expect("its input");
    assert!(serde_json::from_str::<Value>(input).expect("JSON")["command"].is_string());
    let stop = events.iter().find(|(name, _)| name == "message_delta").expect("an end");
    assert_eq!(stop.1["delta"]["stop_reason"], "tool_use");
}

#[test]
fn anthropic_thinks_with_a_signature() {
    let events = play(&server(), Dialect::Anthropic, "think", true).events();
    let kinds: Vec<&str> = events.iter().filter_map(|(_, data)| data["delta"]["type"].as_str()).collect();
    assert_eq!(kinds.first(), Some(&"thinking_delta"));
    assert!(kinds.contains(&"signature_delta"));
    assert_eq!(kinds.last(), Some(&"text_delta"));
}

#[test]
fn responses_number_their_events_and_patch_with_text() {
    let events = play(&server(), Dialect::Responses, "write", true).events();
    let numbers: Vec<u64> = events.iter().filter_map(|(_, data)| data["sequence_number"].as_u64()).collect();
    assert_eq!(numbers, (1..=events.len() as u64).collect::<Vec<_>>());
    let (name, last) = events.last().expect("an end");
    assert_eq!(name, "response.completed");
    let output = &last["response"]["output"];
    assert_eq!(output[0]["content"][0]["text"], "I will create the file.");
    assert_eq!(output[1]["type"], "custom_tool_call");
    assert!(output[1]["input"].as_str().expect("text").contains("*** Add File: made.txt\n+alpha\n"));
    let done: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "response.output_item.done")
        .map(|(_, data)| &data["item"])
        .collect();
    assert_eq!(done, [&output[0], &output[1]]);
}

#[test]
fn chat_ends_with_its_reason_and_done() {
    let events = play(&server(), Dialect::Chat, "bash", true).events();
    assert_eq!(events.last().expect("an end").1, "[DONE]");
    let choice = |n: usize| events[events.len() - n].1["choices"][0].clone();
    assert_eq!(choice(3)["finish_reason"], "tool_calls");
    assert_eq!(choice(4)["delta"]["tool_calls"][0]["function"]["name"], "bash");
    let text: String =
        events.iter().filter_map(|(_, data)| data["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(text, "I will run a command.");
}

#[test]
fn gemini_calls_with_arguments() {
    let events = play(&server(), Dialect::Gemini, "write", true).events();
    let call = events
        .iter()
        .map(|(_, data)| &data["candidates"][0]["content"]["parts"][0]["functionCall"])
        .find(|call| call.is_object())
        .expect("a call");
    assert_eq!((&call["name"], &call["args"]["file_path"]), (&json!("write_file"), &json!("/p/made.txt")));
    assert_eq!(events.last().expect("an end").1["candidates"][0]["finishReason"], "STOP");
}

#[test]
fn whole_answers_say_the_same() {
    let model = server();
    let check = |dialect, text: &str, call: &str| {
        let body = play(&model, dialect, "bash", false).json();
        assert_eq!(body.pointer(text), Some(&json!("I will run a command.")), "{dialect:?}: {body}");
        assert!(body.pointer(call).is_some_and(Value::is_string), "{dialect:?}: {body}");
    };
    check(Dialect::Anthropic, "/content/0/text", "/content/1/input/command");
    check(Dialect::Responses, "/output/0/content/0/text", "/output/1/arguments");
    check(Dialect::Chat, "/choices/0/message/content", "/choices/0/message/tool_calls/0/function/arguments");
    check(
        Dialect::Gemini,
        "/candidates/0/content/parts/0/text",
        "/candidates/0/content/parts/1/functionCall/args/command",
    );
}

#[test]
fn errors_come_as_often_as_the_scenario_says() {
    for dialect in ALL {
        let model = server();
        let statuses: Vec<u16> = (0..4).map(|_| play(&model, dialect, "flaky", true).status).collect();
        assert_eq!(statuses, [529, 529, 200, 200], "{dialect:?}");
        let limited = play(&model, dialect, "limited", true);
        assert_eq!(limited.status, 429);
        assert!(limited.head.contains("retry-after: 3600"), "{}", limited.head);
    }
}

#[test]
fn a_cut_breaks_the_connection_in_the_middle() {
    for dialect in ALL {
        for stream in [true, false] {
            let model = server();
            let answer = play(&model, dialect, "cut", stream);
            assert!(!answer.whole && answer.status == 200, "{dialect:?}: {answer:?}");
            let last = model.requests().pop().expect("recorded");
            assert_eq!(last.outcome, Outcome::Cut);
        }
    }
}

#[tokio::test]
async fn an_answer_waits_at_a_gate_until_it_is_released() {
    let model = server();
    let (path, body) = request(Dialect::Anthropic, "held", true);
    let stream = send(&model.url(), "POST", &path, &body);
    model.held("held", PATIENCE).await.expect("it holds");
    assert_eq!(model.turns()[0].outcome, Outcome::Underway);
    model.release("held");
    let record = model.answered("held", 0, PATIENCE).await.expect("answered");
    assert!(record.ended.is_some_and(|ended| ended >= record.at));
    assert!(receive(stream).body.contains("Released."));
    // The pass is used up: the next one waits again, and a client that goes away leaves the gate.
    let stream = send(&model.url(), "POST", &path, &body);
    model.held("held", PATIENCE).await.expect("it holds again");
    drop(stream);
    let gone = |all: &[cm_testkit::model::Record]| (all.last()?.outcome == Outcome::Gone).then_some(());
    model.until("the client to be gone", PATIENCE, gone).await.expect("seen");
    assert_eq!(model.waiting("held"), 0);
    model.open("held");
    assert!(receive(send(&model.url(), "POST", &path, &body)).whole);
}

#[tokio::test]
async fn waiting_too_long_says_what_was_asked_meanwhile() {
    let model = server();
    play(&model, Dialect::Chat, "say", true);
    let late = model.held("never", std::time::Duration::from_millis(1)).await.unwrap_err().to_string();
    assert!(late.contains("the gate never") && late.contains("\"scenario\":\"say\""), "{late}");
}

#[test]
fn what_was_asked_is_recorded_and_bounded() {
    let model = ModelServer::start_with(Options { keep: 3, ..Options::default() }).expect("it starts");
    for _ in 0..5 {
        play(&model, Dialect::Responses, "bash", true);
    }
    let all = model.requests();
    assert_eq!(all.iter().map(|record| record.number).collect::<Vec<_>>(), [3, 4, 5]);
    let record = &all[2];
    let played = record.played.as_ref().expect("a turn");
    assert_eq!(
        (record.path.as_str(), record.status, record.user_agent.as_str()),
        ("/v1/responses", 200, "kit/1")
    );
    assert_eq!((played.scenario.as_str(), played.step, played.cwd.as_deref()), ("bash", 0, Some("/p")));
    assert_eq!(played.offered, ["exec_command", "apply_patch"]);
    assert_eq!(record.json()["model"], "m");
}

#[test]
fn a_test_brings_its_own_scenarios() {
    let model = server();
    let own =
        "[own]\n[[own.step]]\nsay = 'mine'\ncalls = [{ raw = { name = 'Bash', arguments = { a = 1 } } }]";
    model.add(own).expect("sound");
    let body = play(&model, Dialect::Anthropic, "own", false).json();
    assert_eq!((&body["content"][0]["text"], &body["content"][1]["input"]["a"]), (&json!("mine"), &json!(1)));
    assert!(model.add("[own]\nstep = 1").is_err());
}

#[test]
fn what_is_beside_the_conversation_takes_no_step() {
    let model = server();
    let body =
        json!({ "model": "m", "messages": [{ "role": "user", "content": "A title for: SCENARIO:bash" }] });
    let answer = ask(&model.url(), "POST", "/v1/messages", &body);
    assert_eq!(answer.json()["content"][0]["text"], "Task bash");
    assert!(model.turns().is_empty() && model.requests().len() == 1);
}

#[test]
fn other_paths_are_answered_too() {
    let model = server();
    let check = |method: &str, path: &str, status: u16| {
        assert_eq!(ask(&model.url(), method, path, &Value::Null).status, status, "{method} {path}");
    };
    check("GET", "/v1/models", 200);
    check("HEAD", "/", 200);
    check("POST", "/v1/messages/count_tokens", 200);
    check("POST", "/v1beta/models/m:countTokens", 200);
    check("GET", "/elsewhere", 404);
    check("POST", "/elsewhere", 404);
}

#[test]
fn it_is_gone_when_it_is_dropped() {
    let model = server();
    let url = model.url();
    let (path, body) = request(Dialect::Chat, "held", true);
    let waiting = send(&url, "POST", &path, &body);
    drop(model);
    assert!(!receive(waiting).whole);
    assert!(std::net::TcpStream::connect(url.trim_start_matches("http://")).is_err());
}

//! PURE. OpenAI's `/v1/chat/completions`: what is asked in it, and an answer as chunks or as one object.

use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::asked::{Asked, Dialect, Offered, Talk, Wants, cwd_of, mentions, text_of};

/// Reads a request.
pub fn read(body: &Value) -> Asked {
    let mut talk = Talk::default();
    for message in body["messages"].as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("assistant") => talk.model(),
            Some("user") => talk.user(text_of(&message["content"])),
            Some("tool") => talk.result(text_of(&message["content"]), false),
            _ => {}
        }
    }
    let offered: Vec<Offered> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|tool| tool["function"]["name"].as_str().or(tool["name"].as_str()))
        .map(|name| Offered { name: name.to_owned(), custom: false })
        .collect();
    let wants = if !offered.is_empty() {
        Wants::Turn
    } else if mentions(body, "SEARCH/REPLACE") {
        Wants::EditBlocks
    } else if mentions(body, "title") {
        Wants::Title
    } else {
        Wants::Remark
    };
    Asked {
        dialect: Dialect::Chat,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        talk,
        offered,
        wants,
        cwd: cwd_of(body),
    }
}

/// The answer as chunks.
pub fn stream(answer: &Answer) -> Script {
    let mut script = Script::default();
    let chunk = |script: &mut Script, delta: Value, finish: Option<&str>| {
        let choices = json!([{ "index": 0, "delta": delta, "finish_reason": finish }]);
        script.data(&object(answer, "chat.completion.chunk", choices).to_string());
    };
    chunk(&mut script, json!({ "role": "assistant", "content": "" }), None);
    script.open(answer);
    script.pieces(answer, &answer.thoughts, |script, word| {
        chunk(script, json!({ "reasoning_content": word }), None);
    });
    if !script.words(answer, |script, word| chunk(script, json!({ "content": word }), None)) {
        return script;
    }
    script.close(answer);
    for (n, mut call) in calls(answer).into_iter().enumerate() {
        call["index"] = json!(n);
        chunk(&mut script, json!({ "tool_calls": [call] }), None);
    }
    chunk(&mut script, json!({}), Some(finish_reason(answer)));
    let mut last = object(answer, "chat.completion.chunk", json!([]));
    last["usage"] = usage();
    script.data(&last.to_string());
    script.data("[DONE]");
    script
}

/// The answer as one object.
pub fn whole(answer: &Answer) -> Value {
    let mut message = json!({ "role": "assistant", "content": answer.text() });
    if !answer.calls.is_empty() {
        message["tool_calls"] = json!(calls(answer));
    }
    let choice = json!({ "index": 0, "message": message, "finish_reason": finish_reason(answer) });
    let mut body = object(answer, "chat.completion", json!([choice]));
    body["usage"] = usage();
    body
}

fn object(answer: &Answer, kind: &str, choices: Value) -> Value {
    json!({
        "id": format!("chatcmpl-{}", answer.tag),
        "object": kind,
        "created": 0,
        "model": answer.model,
        "choices": choices,
    })
}

fn calls(answer: &Answer) -> Vec<Value> {
    let call = |(n, call): (usize, &super::calls::ToolCall)| {
        json!({
            "id": answer.call_id("call_", n),
            "type": "function",
            "function": { "name": call.name, "arguments": call.input.object().to_string() },
        })
    };
    answer.calls.iter().enumerate().map(call).collect()
}

fn usage() -> Value {
    json!({ "prompt_tokens": 1200, "completion_tokens": 60, "total_tokens": 1260 })
}

fn finish_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "stop" } else { "tool_calls" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_without_tools_may_want_edit_blocks() {
        let check = |system: &str, tools: Value, expected: Wants| {
            let messages =
                json!([{ "role": "system", "content": system }, { "role": "user", "content": "x" }]);
            assert_eq!(read(&json!({ "messages": messages, "tools": tools })).wants, expected, "{system}");
        };
        check("Use SEARCH/REPLACE blocks", Value::Null, Wants::EditBlocks);
        check("Write a title", Value::Null, Wants::Title);
        check("Write a commit message", Value::Null, Wants::Remark);
        check("Write", json!([{ "type": "function", "function": { "name": "bash" } }]), Wants::Turn);
    }
}

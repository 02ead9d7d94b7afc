//! PURE. Anthropic's `/v1/messages`: what is asked in it, and an answer as events or as one object.

use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::asked::{Asked, Dialect, Offered, Talk, Wants, cwd_of, each_text, mentions, text_of};

/// Reads a request.
pub fn read(body: &Value) -> Asked {
    let mut talk = Talk::default();
    for message in body["messages"].as_array().into_iter().flatten() {
        match message["role"].as_str() {
            Some("assistant") => {
                talk.model();
                continue;
            }
            Some("user") => {}
            // The client's own words: no prompt, and no end of a turn.
            _ => continue,
        }
        for block in message["content"].as_array().into_iter().flatten() {
            if block["type"] == "tool_result" {
                talk.result(text_of(&block["content"]), block["is_error"] == true);
            }
        }
        let text = text_of(&message["content"]);
        if !text.is_empty() {
            talk.user(text);
        }
    }
    let offer = |name: &str| Offered { name: name.to_owned(), custom: false };
    let named = body["tools"].as_array().into_iter().flatten().filter_map(|tool| tool["name"].as_str());
    let mut offered: Vec<Offered> = named.map(offer).collect();
    let deferred = deferred(body);
    offered.extend(deferred.iter().map(|name| offer(name)));
    let wants = match (offered.is_empty(), mentions(body, "title")) {
        (false, _) => Wants::Turn,
        (true, true) => Wants::Title,
        (true, false) => Wants::Remark,
    };
    Asked {
        dialect: Dialect::Anthropic,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        talk,
        offered,
        wants,
        cwd: cwd_of(body),
    }
}

/// Tools the client only names, one a line under a heading, until they are asked for. It takes calls of them
/// all the same, if the arguments are right.
fn deferred(body: &Value) -> Vec<String> {
    let mut names = Vec::new();
    each_text(&body["messages"], &mut |text| {
        if let Some((_, rest)) = text.split_once("deferred tools are now available") {
            let listed = rest.lines().skip(1).take_while(|line| !line.trim().is_empty());
            names.extend(listed.map(|line| line.trim().to_owned()));
        }
    });
    names
}

/// What a side request is answered: one client wants a title as an object, others as text.
pub fn side(wants: Wants, name: &str, body: &Value) -> String {
    let object = !body["output_config"].is_null() || mentions(body, "\"title\"") || mentions(body, "JSON");
    match wants {
        Wants::Title if object => json!({ "title": format!("Task {name}") }).to_string(),
        Wants::Title => format!("Task {name}"),
        _ => "A side answer.".to_owned(),
    }
}

/// The answer as events.
pub fn stream(answer: &Answer) -> Script {
    let mut script = Script::default();
    let mut message = message(answer, json!([]), 1);
    message["stop_reason"] = Value::Null;
    script.event("message_start", json!({ "message": message }));
    script.event("ping", json!({}));
    script.open(answer);
    let mut index = 0;
    if !answer.thoughts.is_empty() {
        let delta = |script: &mut Script, delta: Value| {
            script.event("content_block_delta", json!({ "index": index, "delta": delta }));
        };
        let block = json!({ "type": "thinking", "thinking": "", "signature": "" });
        script.event("content_block_start", json!({ "index": index, "content_block": block }));
        script.pieces(answer, &answer.thoughts, |script, word| {
            delta(script, json!({ "type": "thinking_delta", "thinking": word }));
        });
        delta(&mut script, json!({ "type": "signature_delta", "signature": "c2lnbmVk" }));
        script.event("content_block_stop", json!({ "index": index }));
        index += 1;
    }
    if answer.speaks() {
        let block = json!({ "type": "text", "text": "" });
        script.event("content_block_start", json!({ "index": index, "content_block": block }));
        let whole = script.words(answer, |script, word| {
            let delta = json!({ "type": "text_delta", "text": word });
            script.event("content_block_delta", json!({ "index": index, "delta": delta }));
        });
        if !whole {
            return script;
        }
        script.close(answer);
        script.event("content_block_stop", json!({ "index": index }));
        index += 1;
    } else {
        script.close(answer);
    }
    for (n, call) in answer.calls.iter().enumerate() {
        let mut block = tool_use(answer, n);
        block["input"] = json!({});
        script.event("content_block_start", json!({ "index": index, "content_block": block }));
        let delta = json!({ "type": "input_json_delta", "partial_json": call.input.object().to_string() });
        script.event("content_block_delta", json!({ "index": index, "delta": delta }));
        script.event("content_block_stop", json!({ "index": index }));
        index += 1;
    }
    let delta = json!({ "stop_reason": stop_reason(answer), "stop_sequence": null });
    script.event("message_delta", json!({ "delta": delta, "usage": { "output_tokens": 60 } }));
    script.event("message_stop", json!({}));
    script
}

/// The answer as one object.
pub fn whole(answer: &Answer) -> Value {
    let mut content = Vec::new();
    if answer.speaks() {
        content.push(json!({ "type": "text", "text": answer.text() }));
    }
    content.extend((0..answer.calls.len()).map(|n| tool_use(answer, n)));
    message(answer, json!(content), 60)
}

fn message(answer: &Answer, content: Value, output_tokens: u32) -> Value {
    json!({
        "id": format!("msg_{}", answer.tag),
        "type": "message",
        "role": "assistant",
        "model": answer.model,
        "content": content,
        "stop_reason": stop_reason(answer),
        "stop_sequence": null,
        "usage": {
            "input_tokens": 1200,
            "output_tokens": output_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
        },
    })
}

fn tool_use(answer: &Answer, n: usize) -> Value {
    let call = &answer.calls[n];
    json!({
        "type": "tool_use",
        "id": answer.call_id("toolu_", n),
        "name": call.name,
        "input": call.input.object(),
    })
}

fn stop_reason(answer: &Answer) -> &'static str {
    if answer.calls.is_empty() { "end_turn" } else { "tool_use" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_texts_of_a_request_are_told_apart() {
        let asked = read(&json!({
            "model": "m", "stream": true, "tools": [{ "name": "Bash" }],
            "messages": [
                { "role": "user", "content": [{ "type": "text", "text": "SCENARIO:bash" }] },
                { "role": "assistant", "content": [{ "type": "tool_use", "id": "a", "name": "Bash", "input": {} }] },
                { "role": "user", "content": [
                    { "type": "tool_result", "tool_use_id": "a", "is_error": true, "content": "SCENARIO:rm refused" },
                ] },
            ],
        }));
        assert_eq!(asked.talk.prompt(), "SCENARIO:bash");
        assert_eq!(asked.talk.results()[0].text, "SCENARIO:rm refused");
        assert!(asked.talk.results()[0].error);
        assert_eq!(asked.wants, Wants::Turn);
    }

    #[test]
    fn what_the_client_says_itself_is_no_prompt_but_may_offer_more() {
        let asked = read(&json!({
            "tools": [{ "name": "Bash" }],
            "messages": [
                { "role": "user", "content": "SCENARIO:plan" },
                { "role": "system", "content": "The following deferred tools are now available. x\nExitPlanMode\nWebFetch\n\nMore" },
            ],
        }));
        assert_eq!(asked.talk.prompt(), "SCENARIO:plan");
        let names: Vec<_> = asked.offered.iter().map(|tool| tool.name.as_str()).collect();
        assert_eq!(names, ["Bash", "ExitPlanMode", "WebFetch"]);
    }
}

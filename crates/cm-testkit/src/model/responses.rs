//! PURE. OpenAI's `/v1/responses`: what is asked in it, and an answer as events or as one object.

use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::asked::{Asked, Dialect, Offered, Talk, Wants, cwd_of, mentions, text_of};
use super::calls::Input;

/// Reads a request.
pub fn read(body: &Value) -> Asked {
    let mut talk = Talk::default();
    let mut offered = Vec::new();
    tools(&body["tools"], &mut offered);
    match &body["input"] {
        Value::String(text) => talk.user(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| read_item(item, &mut talk, &mut offered)),
        _ => {}
    }
    let wants = match (offered.is_empty(), mentions(body, "title")) {
        (false, _) => Wants::Turn,
        (true, true) => Wants::Title,
        (true, false) => Wants::Remark,
    };
    Asked {
        dialect: Dialect::Responses,
        model: body["model"].as_str().unwrap_or_default().to_owned(),
        stream: body["stream"] == true,
        talk,
        offered,
        wants,
        cwd: cwd_of(body),
    }
}

fn read_item(item: &Value, talk: &mut Talk, offered: &mut Vec<Offered>) {
    match item["type"].as_str().unwrap_or("message") {
        "message" => match item["role"].as_str() {
            Some("assistant") => talk.model(),
            Some("user") => talk.user(text_of(&item["content"])),
            _ => {}
        },
        "function_call" | "custom_tool_call" | "local_shell_call" => talk.model(),
        "additional_tools" => tools(&item["tools"], offered),
        kind if kind.ends_with("_output") => {
            let output = &item["output"];
            let text = match output {
                Value::Object(_) => text_of(&output["content"]),
                other => text_of(other),
            };
            talk.result(text, output["success"] == false);
        }
        _ => {}
    }
}

fn tools(list: &Value, offered: &mut Vec<Offered>) {
    for tool in list.as_array().into_iter().flatten() {
        if tool["type"] == "namespace" {
            tools(&tool["tools"], offered);
        } else if let Some(name) = tool["name"].as_str().or(tool["type"].as_str()) {
            offered.push(Offered { name: name.to_owned(), custom: tool["type"] == "custom" });
        }
    }
}

/// The answer as events.
pub fn stream(asked: &Asked, answer: &Answer) -> Script {
    let mut events = Events { script: Script::default(), sent: 0 };
    let begun = response(answer, "in_progress", &[]);
    events.send("response.created", json!({ "response": begun }));
    events.send("response.in_progress", json!({ "response": begun }));
    events.script.open(answer);
    let mut done = Vec::new();
    if !answer.thoughts.is_empty() {
        done.push(events.reasoning(answer, done.len()));
    }
    if answer.speaks() {
        let Some(item) = events.message(answer, done.len()) else {
            return events.script;
        };
        done.push(item);
    } else {
        events.script.close(answer);
    }
    for n in 0..answer.calls.len() {
        let item = call(asked, answer, n);
        events.call(&item, done.len());
        done.push(item);
    }
    events.send("response.completed", json!({ "response": response(answer, "completed", &done) }));
    events.script
}

/// The answer as one object.
pub fn whole(asked: &Asked, answer: &Answer) -> Value {
    let mut items = Vec::new();
    if answer.speaks() {
        items.push(message(answer, "completed", &json!([text_part(&answer.text())])));
    }
    items.extend((0..answer.calls.len()).map(|n| call(asked, answer, n)));
    response(answer, "completed", &items)
}

/// Events with their numbers.
struct Events {
    script: Script,
    sent: u64,
}

impl Events {
    fn send(&mut self, name: &str, mut data: Value) {
        self.sent += 1;
        data["sequence_number"] = self.sent.into();
        self.script.event(name, data);
    }

    fn reasoning(&mut self, answer: &Answer, at: usize) -> Value {
        let id = format!("rs_{}", answer.tag);
        let item = |summary: Value| json!({ "type": "reasoning", "id": id, "summary": summary, "encrypted_content": null });
        let place = |mut more: Value| {
            more["item_id"] = json!(id);
            more["output_index"] = json!(at);
            more["summary_index"] = json!(0);
            more
        };
        // The first line in bold is what clients show while the model thinks.
        let text = format!("**Considering it**\n\n{}", answer.thought());
        let part = |text: &str| json!({ "type": "summary_text", "text": text });
        self.send("response.output_item.added", json!({ "output_index": at, "item": item(json!([])) }));
        self.send("response.reasoning_summary_part.added", place(json!({ "part": part("") })));
        let mut words = vec!["**Considering it**\n\n".to_owned()];
        words.extend(answer.thoughts.iter().cloned());
        let mut sent = self.sent;
        self.script.pieces(answer, &words, |script, word| {
            sent += 1;
            let mut data = place(json!({ "delta": word }));
            data["sequence_number"] = sent.into();
            script.event("response.reasoning_summary_text.delta", data);
        });
        self.sent = sent;
        self.send("response.reasoning_summary_text.done", place(json!({ "text": text })));
        self.send("response.reasoning_summary_part.done", place(json!({ "part": part(&text) })));
        let item = item(json!([part(&text)]));
        self.send("response.output_item.done", json!({ "output_index": at, "item": item }));
        item
    }

    /// `None` if it was cut off.
    fn message(&mut self, answer: &Answer, at: usize) -> Option<Value> {
        let place = |mut more: Value| {
            more["item_id"] = json!(message_id(answer));
            more["output_index"] = json!(at);
            more["content_index"] = json!(0);
            more
        };
        let begun = message(answer, "in_progress", &json!([]));
        self.send("response.output_item.added", json!({ "output_index": at, "item": begun }));
        self.send("response.content_part.added", place(json!({ "part": text_part("") })));
        let mut sent = self.sent;
        let whole = self.script.words(answer, |script, word| {
            sent += 1;
            let mut data = place(json!({ "delta": word }));
            data["sequence_number"] = sent.into();
            script.event("response.output_text.delta", data);
        });
        self.sent = sent;
        if !whole {
            return None;
        }
        self.script.close(answer);
        let text = answer.text();
        self.send("response.output_text.done", place(json!({ "text": text })));
        self.send("response.content_part.done", place(json!({ "part": text_part(&text) })));
        let item = message(answer, "completed", &json!([text_part(&text)]));
        self.send("response.output_item.done", json!({ "output_index": at, "item": item }));
        Some(item)
    }

    fn call(&mut self, item: &Value, at: usize) {
        let (field, kind) = match item["type"].as_str() {
            Some("custom_tool_call") => ("input", "custom_tool_call_input"),
            _ => ("arguments", "function_call_arguments"),
        };
        let mut begun = item.clone();
        begun[field] = json!("");
        begun["status"] = json!("in_progress");
        self.send("response.output_item.added", json!({ "output_index": at, "item": begun }));
        let place = |name: &str| json!({ "item_id": item["id"], "output_index": at, name: item[field] });
        self.send(&format!("response.{kind}.delta"), place("delta"));
        self.send(&format!("response.{kind}.done"), place(field));
        self.send("response.output_item.done", json!({ "output_index": at, "item": item }));
    }
}

fn call(asked: &Asked, answer: &Answer, n: usize) -> Value {
    let call = &answer.calls[n];
    let id = answer.call_id("call_", n);
    let custom = asked.offered.iter().any(|tool| tool.name == call.name && tool.custom);
    if custom {
        let input = match &call.input {
            Input::Text(text) => text.clone(),
            Input::Object(value) => value.to_string(),
        };
        json!({
            "type": "custom_tool_call", "id": format!("ctc_{id}"), "call_id": id,
            "name": call.name, "input": input, "status": "completed",
        })
    } else {
        json!({
            "type": "function_call", "id": format!("fc_{id}"), "call_id": id,
            "name": call.name, "arguments": call.input.object().to_string(), "status": "completed",
        })
    }
}

fn message_id(answer: &Answer) -> String {
    format!("msg_{}", answer.tag)
}

fn message(answer: &Answer, status: &str, content: &Value) -> Value {
    json!({
        "type": "message", "id": message_id(answer), "role": "assistant", "status": status, "content": content,
    })
}

fn text_part(text: &str) -> Value {
    json!({ "type": "output_text", "text": text, "annotations": [] })
}

fn response(answer: &Answer, status: &str, output: &[Value]) -> Value {
    let usage = json!({
        "input_tokens": 1200,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": 60,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": 1260,
    });
    json!({
        "id": format!("resp_{}", answer.tag),
        "object": "response",
        "created_at": 0,
        "model": answer.model,
        "status": status,
        "output": output,
        "usage": if status == "completed" { usage } else { Value::Null },
        "error": null,
        "incomplete_details": null,
        "instructions": null,
        "metadata": {},
        "parallel_tool_calls": true,
        "temperature": 1,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_and_their_outputs_make_turns() {
        let asked = read(&json!({
            "model": "m", "stream": true,
            "tools": [{ "type": "custom", "name": "apply_patch" }, { "type": "namespace", "tools": [{ "type": "function", "name": "x" }] }],
            "input": [
                { "type": "message", "role": "developer", "content": [{ "type": "input_text", "text": "<cwd>/p</cwd>" }] },
                { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "SCENARIO:edit" }] },
                { "type": "message", "role": "assistant", "content": [{ "type": "output_text", "text": "I will" }] },
                { "type": "function_call", "call_id": "a" },
                { "type": "function_call_output", "call_id": "a", "output": "it said" },
            ],
        }));
        let scenarios = super::super::scenario::builtin().unwrap();
        assert_eq!(asked.place(&scenarios).step, 1);
        assert_eq!(asked.talk.results()[0].text, "it said");
        assert_eq!(asked.cwd.as_deref(), Some("/p"));
        let names: Vec<_> = asked.offered.iter().map(|tool| (tool.name.as_str(), tool.custom)).collect();
        assert_eq!(names, [("apply_patch", true), ("x", false)]);
    }
}

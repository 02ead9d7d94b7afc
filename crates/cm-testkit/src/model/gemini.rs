//! PURE. Gemini's `:generateContent` and `:streamGenerateContent`: what is asked in them, and the answer.

use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::asked::{Asked, Dialect, Offered, Talk, Wants, cwd_of, mentions, text_of};

/// Reads a request. The model and whether to stream stand in the path.
pub fn read(body: &Value, model: &str, stream: bool) -> Asked {
    let mut talk = Talk::default();
    for content in body["contents"].as_array().into_iter().flatten() {
        if content["role"] == "model" {
            talk.model();
            continue;
        }
        for part in content["parts"].as_array().into_iter().flatten() {
            let result = &part["functionResponse"]["response"];
            if result.is_object() {
                let error = result["error"].as_str();
                let text =
                    error.or(result["output"].as_str()).map_or_else(|| result.to_string(), str::to_owned);
                talk.result(text, error.is_some());
            }
        }
        let text = text_of(&content["parts"]);
        if !text.is_empty() {
            talk.user(text);
        }
    }
    let offered: Vec<Offered> = body["tools"]
        .as_array()
        .into_iter()
        .flatten()
        .flat_map(|tool| tool["functionDeclarations"].as_array().into_iter().flatten())
        .filter_map(|declared| declared["name"].as_str())
        .map(|name| Offered { name: name.to_owned(), custom: false })
        .collect();
    let config = &body["generationConfig"];
    let object = config["responseMimeType"] == "application/json"
        || !config["responseJsonSchema"].is_null()
        || !config["responseSchema"].is_null();
    let wants = match (object, offered.is_empty()) {
        (true, _) => Wants::Object,
        (false, false) => Wants::Turn,
        (false, true) => Wants::Remark,
    };
    Asked {
        dialect: Dialect::Gemini,
        model: model.to_owned(),
        stream,
        talk,
        offered,
        wants,
        cwd: cwd_of(body),
    }
}

/// What a side request is answered: the client's own questions about the conversation want certain fields.
pub fn side(wants: Wants, body: &Value) -> String {
    if wants != Wants::Object {
        return "A side answer.".to_owned();
    }
    let asks = |field: &str| {
        mentions(body, field) || body["generationConfig"].to_string().contains(&format!("\"{field}\""))
    };
    let object = if asks("next_speaker") {
        json!({ "reasoning": "It is complete.", "next_speaker": "user" })
    } else if asks("complexity_score") {
        json!({ "complexity_reasoning": "It is small.", "complexity_score": 50 })
    } else if asks("model_choice") {
        json!({ "reasoning": "It is small.", "model_choice": "pro" })
    } else {
        json!({ "title": "Task", "summary": "A task.", "reasoning": "As asked." })
    };
    object.to_string()
}

/// The answer as chunks.
pub fn stream(answer: &Answer) -> Script {
    let mut script = Script::default();
    script.open(answer);
    script.pieces(answer, &answer.thoughts, |script, word| {
        script.data(&candidate(answer, &json!([{ "text": word, "thought": true }]), None).to_string());
    });
    let whole = script.words(answer, |script, word| {
        script.data(&candidate(answer, &json!([{ "text": word }]), None).to_string());
    });
    if !whole {
        return script;
    }
    script.close(answer);
    if !answer.calls.is_empty() {
        script.data(&candidate(answer, &json!(calls(answer)), None).to_string());
    }
    script.data(&candidate(answer, &json!([{ "text": "" }]), Some("STOP")).to_string());
    script
}

/// The answer as one object.
pub fn whole(answer: &Answer) -> Value {
    let mut parts = vec![json!({ "text": answer.text() })];
    parts.extend(calls(answer));
    candidate(answer, &json!(parts), Some("STOP"))
}

fn calls(answer: &Answer) -> Vec<Value> {
    let call = |(n, call): (usize, &super::calls::ToolCall)| {
        let id = answer.call_id("call_", n);
        json!({ "functionCall": { "id": id, "name": call.name, "args": call.input.object() } })
    };
    answer.calls.iter().enumerate().map(call).collect()
}

fn candidate(answer: &Answer, parts: &Value, finish: Option<&str>) -> Value {
    let mut candidate = json!({ "index": 0, "content": { "role": "model", "parts": parts } });
    if let Some(finish) = finish {
        candidate["finishReason"] = json!(finish);
    }
    json!({
        "candidates": [candidate],
        "usageMetadata": { "promptTokenCount": 1200, "candidatesTokenCount": 60, "totalTokenCount": 1260 },
        "modelVersion": answer.model,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clients_own_questions_are_no_turns() {
        let body = json!({
            "contents": [{ "role": "user", "parts": [{ "text": "Who speaks next? next_speaker" }] }],
            "generationConfig": { "responseMimeType": "application/json" },
        });
        let asked = read(&body, "m", false);
        assert_eq!(asked.wants, Wants::Object);
        assert!(side(asked.wants, &body).contains("\"next_speaker\":\"user\""));
    }
}

//! PURE. Which dialect a request is in, by its path; and the answers that are always the same.

use serde_json::{Value, json};

use super::answer::{Answer, Script};
use super::asked::{Asked, Dialect};
use super::{anthropic, chat, gemini, responses};

/// What a request is.
#[derive(Debug)]
pub enum Route {
    /// A turn of a conversation, or something beside one.
    Turn(Box<Asked>),
    /// Always answered so.
    Fixed(Value),
    /// Nothing the server knows.
    Unknown,
}

/// Models that are listed. A client may ask for any other.
const MODELS: [&str; 4] = ["claude-opus-4-5", "claude-sonnet-4-5", "gpt-5.5", "gemini-2.5-pro"];

/// What the request is. `path` without its query.
pub fn route(method: &str, path: &str, body: &Value) -> Route {
    match method {
        "GET" if path.ends_with("/models") => Route::Fixed(models()),
        "HEAD" | "GET" if path == "/" => Route::Fixed(json!({})),
        "POST" => post(path, body),
        _ => Route::Unknown,
    }
}

fn post(path: &str, body: &Value) -> Route {
    if path.ends_with("/count_tokens") {
        return Route::Fixed(json!({ "input_tokens": 100 }));
    }
    if path.ends_with(":countTokens") {
        return Route::Fixed(json!({ "totalTokens": 100 }));
    }
    let asked = if path.ends_with("/messages") {
        anthropic::read(body)
    } else if path.ends_with("/responses") {
        responses::read(body)
    } else if path.ends_with("/chat/completions") {
        chat::read(body)
    } else if let Some((model, act)) = path.rsplit('/').next().and_then(|last| last.split_once(':')) {
        match act {
            "streamGenerateContent" => gemini::read(body, model, true),
            "generateContent" => gemini::read(body, model, false),
            _ => return Route::Unknown,
        }
    } else {
        return Route::Unknown;
    };
    Route::Turn(Box::new(asked))
}

fn models() -> Value {
    let each = |id: &&str| {
        json!({
            "id": id, "type": "model", "object": "model", "display_name": id, "owned_by": "test",
            "created": 0, "created_at": "2025-01-01T00:00:00Z",
        })
    };
    let data: Vec<Value> = MODELS.iter().map(each).collect();
    // `models` is where one client looks for more than names; it takes none for "use your own list".
    json!({ "object": "list", "has_more": false, "data": data, "models": [] })
}

/// The text of an answer to something beside the conversation.
pub fn side(asked: &Asked, name: &str, body: &Value) -> String {
    match asked.dialect {
        Dialect::Anthropic => anthropic::side(asked.wants, name, body),
        Dialect::Gemini => gemini::side(asked.wants, body),
        Dialect::Responses | Dialect::Chat => format!("Task {name}"),
    }
}

/// The answer in the client's dialect.
pub fn write(asked: &Asked, answer: &Answer) -> Script {
    match (asked.dialect, asked.stream) {
        (Dialect::Anthropic, true) => anthropic::stream(answer),
        (Dialect::Responses, true) => responses::stream(asked, answer),
        (Dialect::Chat, true) => chat::stream(answer),
        (Dialect::Gemini, true) => gemini::stream(answer),
        (Dialect::Anthropic, false) => Script::whole(answer, &anthropic::whole(answer)),
        (Dialect::Responses, false) => Script::whole(answer, &responses::whole(asked, answer)),
        (Dialect::Chat, false) => Script::whole(answer, &chat::whole(answer)),
        (Dialect::Gemini, false) => Script::whole(answer, &gemini::whole(answer)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_says_the_dialect() {
        let check = |method: &str, path: &str, expected: Option<Dialect>| {
            let found = match route(method, path, &Value::Null) {
                Route::Turn(asked) => Some(asked.dialect),
                Route::Fixed(_) | Route::Unknown => None,
            };
            assert_eq!(found, expected, "{method} {path}");
        };
        check("POST", "/v1/messages", Some(Dialect::Anthropic));
        check("POST", "/v1/responses", Some(Dialect::Responses));
        check("POST", "/v1/chat/completions", Some(Dialect::Chat));
        check("POST", "/v1beta/models/m:streamGenerateContent", Some(Dialect::Gemini));
        check("POST", "/v1beta/models/m:generateContent", Some(Dialect::Gemini));
        check("POST", "/v1beta/models/m:other", None);
        check("GET", "/v1/messages", None);
        assert!(matches!(route("GET", "/v1/models", &Value::Null), Route::Fixed(_)));
        assert!(matches!(route("POST", "/v1/messages/count_tokens", &Value::Null), Route::Fixed(_)));
        assert!(matches!(route("POST", "/elsewhere", &Value::Null), Route::Unknown));
    }
}

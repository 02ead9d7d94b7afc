//! PURE. An error in the words of each dialect.

use serde_json::{Value, json};

use super::asked::Dialect;
use super::scenario::Error;

/// The body of an error's answer.
pub fn body(dialect: Dialect, error: &Error) -> Value {
    let message = error.message.as_deref().unwrap_or(message(error.status));
    let kind = |usual: &'static str| error.kind.clone().unwrap_or_else(|| usual.to_owned());
    match dialect {
        Dialect::Anthropic => json!({
            "type": "error",
            "error": { "type": kind(anthropic(error.status)), "message": message },
            "request_id": "req_test",
        }),
        Dialect::Responses | Dialect::Chat => {
            let kind = kind(openai(error.status));
            json!({ "error": { "message": message, "type": kind, "code": kind, "param": null } })
        }
        Dialect::Gemini => json!({
            "error": { "code": error.status, "message": message, "status": kind(gemini(error.status)) },
        }),
    }
}

const fn message(status: u16) -> &'static str {
    match status {
        400 => "The request is not valid.",
        401 => "invalid x-api-key",
        403 => "Your API key does not have permission to use the specified resource.",
        404 => "The model does not exist.",
        413 => "The request is too large.",
        429 => "Rate limit reached. Please try again later.",
        529 | 503 => "Overloaded",
        _ => "Internal server error",
    }
}

const fn anthropic(status: u16) -> &'static str {
    match status {
        400 => "invalid_request_error",
        401 => "authentication_error",
        403 => "permission_error",
        404 => "not_found_error",
        413 => "request_too_large",
        429 => "rate_limit_error",
        529 | 503 => "overloaded_error",
        _ => "api_error",
    }
}

const fn openai(status: u16) -> &'static str {
    match status {
        400 | 413 => "invalid_request_error",
        401 => "invalid_api_key",
        403 => "insufficient_permissions",
        404 => "model_not_found",
        429 => "rate_limit_exceeded",
        _ => "server_error",
    }
}

const fn gemini(status: u16) -> &'static str {
    match status {
        400 | 413 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        529 | 503 => "UNAVAILABLE",
        _ => "INTERNAL",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_has_its_own_words() {
        let error = |status| Error { status, ..Error::default() };
        let check = |dialect, status, field: &str, expected: &str| {
            assert_eq!(body(dialect, &error(status))["error"][field], expected);
        };
        check(Dialect::Anthropic, 529, "type", "overloaded_error");
        check(Dialect::Responses, 429, "code", "rate_limit_exceeded");
        check(Dialect::Chat, 401, "type", "invalid_api_key");
        check(Dialect::Gemini, 429, "status", "RESOURCE_EXHAUSTED");
        let own = Error { kind: Some("insufficient_quota".into()), ..error(429) };
        assert_eq!(body(Dialect::Chat, &own)["error"]["code"], "insufficient_quota");
    }
}

//! opencode: its configuration names the server as Anthropic's, and asks before it does anything.

use serde_json::json;

use super::{HomeError, KEY, Login, Spec, ToolHome};

pub(super) fn seed(home: &mut ToolHome, spec: &Spec<'_>) -> Result<(), HomeError> {
    for name in [
        "OPENCODE_DISABLE_AUTOUPDATE",
        "OPENCODE_DISABLE_DEFAULT_PLUGINS",
        "OPENCODE_DISABLE_LSP_DOWNLOAD",
        "OPENCODE_DISABLE_MODELS_FETCH",
    ] {
        home.env(name, "1");
    }
    if spec.login == Login::Empty {
        return Ok(());
    }
    let mut options = json!({ "baseURL": format!("{}/v1", spec.url) });
    if spec.login == Login::Yes {
        options["apiKey"] = json!(KEY);
    }
    let config = json!({
        "autoupdate": false,
        "share": "disabled",
        "model": "anthropic/claude-sonnet-4-5",
        "small_model": "anthropic/claude-sonnet-4-5",
        "provider": { "anthropic": { "options": options } },
        "permission": { "edit": "ask", "bash": "ask", "webfetch": "ask" },
    });
    home.write(".config/opencode/opencode.json", &config.to_string())
}

//! aider: everything on its command line.

use super::{HomeError, KEY, Login, Spec, ToolHome};

pub(super) fn seed(home: &mut ToolHome, spec: &Spec<'_>) -> Result<(), HomeError> {
    home.env("OPENAI_API_BASE", &format!("{}/v1", spec.url));
    // The table of models' prices would be fetched at the start: twice, for the library has its own.
    home.env("LITELLM_LOCAL_MODEL_COST_MAP", "True");
    home.write(".aider/caches/model_prices_and_context_window.json", r#"{"none":{}}"#)?;
    home.env("AIDER_ANALYTICS_DISABLE", "true");
    home.env("AIDER_CHECK_UPDATE", "false");
    if spec.login == Login::Empty {
        return Ok(());
    }
    if spec.login == Login::Yes {
        home.env("OPENAI_API_KEY", KEY);
    }
    for arg in [
        "--model",
        "openai/gpt-4o",
        "--edit-format",
        "diff",
        "--no-check-update",
        "--no-show-release-notes",
        "--no-show-model-warnings",
        "--no-gitignore",
        "--no-auto-commits",
        "--no-suggest-shell-commands",
    ] {
        home.arg(arg);
    }
    Ok(())
}

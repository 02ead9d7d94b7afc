//! Claude Code: `~/.claude.json` says what a first start would ask.

use serde_json::json;

use super::{HomeError, KEY, Login, Spec, ToolHome, Trusted};

pub(super) fn seed(home: &mut ToolHome, spec: &Spec<'_>) -> Result<(), HomeError> {
    home.env("ANTHROPIC_BASE_URL", spec.url);
    for name in [
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
        "CLAUDE_CODE_DISABLE_OFFICIAL_MARKETPLACE_AUTOINSTALL",
        "DISABLE_AUTOUPDATER",
        "DISABLE_ERROR_REPORTING",
        "DISABLE_TELEMETRY",
    ] {
        home.env(name, "1");
    }
    if spec.login == Login::Empty {
        return Ok(());
    }
    let mut config = json!({
        "hasCompletedOnboarding": true,
        "theme": "dark",
        "lastOnboardingVersion": "2.1.330",
        "autoUpdates": false,
        "hasSeenAutoDefaultNotice": true,
    });
    if spec.login == Login::Yes {
        home.env("ANTHROPIC_API_KEY", KEY);
        // It remembers a key by its end.
        config["customApiKeyResponses"] = json!({ "approved": [&KEY[KEY.len() - 20..]], "rejected": [] });
    }
    if spec.trusted == Trusted::Yes {
        let project = home.project.to_string_lossy().into_owned();
        config["projects"] = json!({ project: { "hasTrustDialogAccepted": true, "allowedTools": [] } });
    }
    home.write(".claude.json", &config.to_string())?;
    home.arg("--permission-mode");
    home.arg("default");
    Ok(())
}

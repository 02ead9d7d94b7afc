//! gemini-cli: `~/.gemini/settings.json`, and the folders it trusts beside it.

use serde_json::json;

use super::{HomeError, KEY, Login, Spec, ToolHome, Trusted};

pub(super) fn seed(home: &mut ToolHome, spec: &Spec<'_>) -> Result<(), HomeError> {
    home.env("GOOGLE_GEMINI_BASE_URL", spec.url);
    home.env("GEMINI_TELEMETRY_ENABLED", "false");
    if spec.trusted == Trusted::Yes {
        // Else it starts itself a second time, with more memory. It has to once it trusts a folder.
        home.env("GEMINI_CLI_NO_RELAUNCH", "true");
    }
    if spec.login == Login::Empty {
        return Ok(());
    }
    let mut settings = json!({
        "general": { "enableAutoUpdate": false, "enableAutoUpdateNotification": false, "disableAutoUpdate": true },
        "privacy": { "usageStatisticsEnabled": false },
        "telemetry": { "enabled": false },
        "ui": { "theme": "Default", "hideTips": true, "showHomeDirectoryWarning": false },
        "ide": { "hasSeenNudge": true },
        "security": { "folderTrust": { "enabled": true } },
    });
    if spec.login == Login::Yes {
        home.env("GEMINI_API_KEY", KEY);
        settings["security"]["auth"] = json!({ "selectedType": "gemini-api-key" });
    }
    home.write(".gemini/settings.json", &settings.to_string())?;
    if spec.trusted == Trusted::Yes {
        let project = home.project.to_string_lossy().into_owned();
        home.write(".gemini/trustedFolders.json", &json!({ project: "TRUST_FOLDER" }).to_string())?;
    }
    Ok(())
}

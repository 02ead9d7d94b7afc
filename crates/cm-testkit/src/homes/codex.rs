//! Codex: `config.toml` in `CODEX_HOME` names the server as a provider.

use super::{HomeError, KEY, Login, Spec, ToolHome, Trusted};

/// A model it knows: for another it has no `apply_patch`.
const MODEL: &str = "gpt-5.5";
/// The model it would propose instead; seen, that is, so that no dialog takes the first prompt.
const PROPOSED: &str = "gpt-6-sol";

pub(super) fn seed(home: &mut ToolHome, spec: &Spec<'_>) -> Result<(), HomeError> {
    let dir = home.home.join(".codex");
    home.env("CODEX_HOME", &dir.to_string_lossy());
    if spec.login == Login::Empty {
        return home.write(".codex/.keep", "");
    }
    // A JSON string is a TOML string, too.
    let project = serde_json::Value::from(home.project.to_string_lossy().into_owned());
    let url = serde_json::Value::from(format!("{}/v1", spec.url));
    let mut config = format!(
        "model = \"{MODEL}\"\n\
         check_for_update_on_startup = false\n"
    );
    if spec.login == Login::Yes {
        home.env("CM_TEST_KEY", KEY);
        config += "model_provider = \"test\"\n";
    }
    config += &format!(
        "\n[analytics]\nenabled = false\n\
         \n[notice.model_migrations]\n\"{MODEL}\" = \"{PROPOSED}\"\n\
         \n[model_providers.test]\nname = \"test\"\nbase_url = {url}\nwire_api = \"responses\"\n\
         env_key = \"CM_TEST_KEY\"\n"
    );
    if spec.trusted == Trusted::Yes {
        config += &format!("\n[projects.{project}]\ntrust_level = \"trusted\"\n");
    }
    home.write(".codex/config.toml", &config)
}

//! `serve --config FILE`: the settings a deployment brought, read once at the start and never shown.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use cm_protocol::PolicyChoice;
use cm_protocol::deploy::AgentSettings;

use crate::config::{ConfigError, Placement, ServeArgs};
use crate::policies_dir::{self, Unusable};
use crate::session::environment;
use crate::tool::policy::{Policies, read};

/// Bytes of settings at most: policies are the longest part.
pub const BYTES: u64 = 4 << 20;

/// Reads the settings. The file holds secrets: one that others may read is refused.
///
/// # Errors
/// It cannot be read, is open to others, or is not what it should be.
pub fn load(path: &Path) -> Result<AgentSettings, ConfigError> {
    let bad = |why: String| ConfigError::BadConfig { path: path.to_path_buf(), why };
    let file = File::open(path).map_err(|e| bad(e.to_string()))?;
    let meta = file.metadata().map_err(|e| bad(e.to_string()))?;
    if meta.mode() & 0o077 != 0 {
        return Err(bad(format!("others may read it; chmod 600 {}", path.display())));
    }
    let mut text = Vec::new();
    file.take(BYTES + 1).read_to_end(&mut text).map_err(|e| bad(e.to_string()))?;
    if text.len() as u64 > BYTES {
        return Err(bad(format!("it has more than {BYTES} bytes")));
    }
    // serde's message may quote a value, and values are secrets: only the place is told.
    let settings: AgentSettings = serde_json::from_slice(&text).map_err(|e| {
        bad(format!("line {}, column {}: not the settings of an agent", e.line(), e.column()))
    })?;
    check(&settings).map_err(bad)?;
    Ok(settings)
}

/// PURE. Whether an agent can be started with these; else why not, without quoting a secret.
///
/// # Errors
/// The reason, in words.
pub fn check(settings: &AgentSettings) -> Result<(), String> {
    if let Some(listen) = &settings.listen {
        listen
            .parse::<std::net::SocketAddr>()
            .map_err(|_| format!("listen: {listen:?} is not ADDRESS:PORT"))?;
    }
    if settings.token.as_ref().is_some_and(|token| token.0.trim().is_empty()) {
        return Err("token: it is empty".into());
    }
    if settings.max_sessions == Some(0) {
        return Err("max_sessions: must be at least 1".into());
    }
    if settings.max_clients == Some(0) {
        return Err("max_clients: must be at least 1".into());
    }
    if let Some(word) = settings.placement.as_deref().filter(|word| Placement::named(word).is_none()) {
        return Err(format!("placement: {word:?} is none of auto, systemd, detached, keeper"));
    }
    if let Some(log) = &settings.log {
        tracing_subscriber::EnvFilter::try_new(log)
            .map_err(|_| format!("log: {log:?} is no level or filter"))?;
    }
    for (name, value) in &settings.env {
        if let Some(why) = environment::refuse(name, &value.0) {
            return Err(format!("env: {why}"));
        }
    }
    for dir in &settings.path {
        if !(dir.starts_with('/') || dir == "~" || dir.starts_with("~/")) || dir.contains([':', '\0', '\n']) {
            return Err(format!("path: {dir:?} is no absolute directory (~ is allowed, : is not)"));
        }
    }
    let mut policies = Policies::builtin();
    add_policies(settings, &mut policies)?;
    if let Some(name) = &settings.policy {
        let choice = PolicyChoice::Name(name.clone());
        policies.resolve(Some(&choice)).map_err(|e| format!("policy: {e}"))?;
    }
    Ok(())
}

/// Adds the policies that came with the settings.
///
/// # Errors
/// One of them is wrong: with line and column.
pub fn add_policies(settings: &AgentSettings, policies: &mut Policies) -> Result<(), String> {
    for (name, text) in &settings.policies {
        let mut policy = read(name, text).map_err(|e| format!("policies: {e}"))?;
        // The name it is chosen by is the one it was sent under.
        policy.name.clone_from(name);
        policies.add(&policy).map_err(|e| format!("policies: {e}"))?;
    }
    Ok(())
}

/// The policy where a task does not say: the settings' word before the command line's default.
///
/// # Errors
/// There is none of that name.
pub fn policy(args: &ServeArgs, policies: &Policies) -> Result<PolicyChoice, Unusable> {
    match &args.settings.policy {
        Some(name) => {
            let choice = PolicyChoice::Name(name.clone());
            policies.resolve(Some(&choice))?;
            Ok(choice)
        }
        None => policies_dir::chosen(&args.policy, policies),
    }
}

/// PURE. Where programs are looked for: the settings' directories before the usual ones.
pub fn search_path(settings: &AgentSettings, home: Option<&str>, usual: &str) -> String {
    let expanded = settings.path.iter().map(|dir| match (dir.strip_prefix('~'), home) {
        (Some(rest), Some(home)) => format!("{}{rest}", home.trim_end_matches('/')),
        _ => dir.clone(),
    });
    let all: Vec<String> = expanded.chain([usual.to_owned()]).filter(|dir| !dir.is_empty()).collect();
    all.join(":")
}

/// The variables of every session.
pub fn session_env(settings: &AgentSettings) -> BTreeMap<String, String> {
    settings.env.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect()
}

/// Where the installation is that a configuration file belongs to: `DIR` of `DIR/current/agent.json`.
pub fn installation(config: &Path) -> Option<PathBuf> {
    let link = config.parent()?;
    let dir = link.parent()?;
    (link.file_name()? == "current" && dir.join("generations").is_dir()).then(|| dir.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cm_protocol::deploy::Hidden;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn what_cannot_work_is_said_before_anything_is_started() {
        #[track_caller]
        fn check(json: &str, expected: &str) {
            let settings: AgentSettings = serde_json::from_str(json).expect("settings");
            match super::check(&settings) {
                Ok(()) => assert_eq!(expected, ""),
                Err(why) => {
                    assert!(!expected.is_empty() && why.contains(expected), "{why}");
                    assert!(!why.contains("poison"), "{why}");
                }
            }
        }
        check("{}", "");
        check(r#"{"listen":"127.0.0.1:9876","token":"poison","env":{"A":"poison"},"path":["~/bin"]}"#, "");
        check(r#"{"listen":"localhost"}"#, "ADDRESS:PORT");
        check(r#"{"token":" "}"#, "token");
        check(r#"{"maxSessions":0}"#, "at least 1");
        check(r#"{"maxClients":0}"#, "at least 1");
        check(r#"{"placement":"keeper"}"#, "");
        check(r#"{"placement":"moon"}"#, "none of auto");
        check(r#"{"log":"cm_agent=loud"}"#, "log");
        check(r#"{"env":{"A-B":"poison"}}"#, "A-B");
        check(r#"{"env":{"CM_AGENT_TOKEN":"poison"}}"#, "belongs to the agent");
        check(r#"{"path":["bin"]}"#, "absolute");
        check(r#"{"policy":"reckless"}"#, "known are");
        check(r#"{"policies":{"a":"name: b\nextends: careful\n"},"policy":"a"}"#, "");
        check(r#"{"policies":{"x":"name: x\nrulez: []\n"}}"#, "policies");
    }

    #[test]
    fn directories_come_before_the_usual_ones() {
        let settings = AgentSettings { path: vec!["~/a".into(), "/b".into()], ..AgentSettings::default() };
        assert_eq!(search_path(&settings, Some("/home/me/"), "/bin"), "/home/me/a:/b:/bin");
        assert_eq!(search_path(&AgentSettings::default(), None, "/bin"), "/bin");
    }

    #[test]
    fn a_file_others_may_read_is_refused() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("agent.json");
        std::fs::write(&file, r#"{"env":{"KEY":"poison"}}"#).expect("written");
        let mode = |mode| std::fs::set_permissions(&file, PermissionsExt::from_mode(mode)).expect("set");
        mode(0o640);
        assert!(load(&file).expect_err("open").to_string().contains("chmod 600"));
        mode(0o600);
        assert_eq!(load(&file).expect("read").env["KEY"], Hidden("poison".into()));
        std::fs::write(&file, r#"{"env":["poison"]}"#).expect("written");
        let why = load(&file).expect_err("wrong").to_string();
        assert!(why.contains("line 1") && !why.contains("poison"), "{why}");
    }
}

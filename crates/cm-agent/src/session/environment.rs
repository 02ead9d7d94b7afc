//! The clean environment a session is born into. PURE.
//!
//! A tool must not inherit the agent's surroundings: not its token, not the tmux, ssh connection, service
//! manager or coding agent it happened to be started from. What it gets is a login's environment, what
//! its profile passes on, and what the task was given.

use std::collections::BTreeMap;

/// Variables any session inherits. A trailing `*` stands for any ending.
const INHERITED: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "PATH",
    "LANG",
    "LC_*",
    "LANGUAGE",
    "TZ",
    "TMPDIR",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "XDG_CONFIG_HOME",
    "XDG_DATA_HOME",
    "XDG_STATE_HOME",
    "XDG_CACHE_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_DATA_DIRS",
    "XDG_CONFIG_DIRS",
    "DBUS_SESSION_BUS_ADDRESS",
    "SSH_AUTH_SOCK",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
    "ALL_PROXY",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "all_proxy",
    "CARGO_HOME",
    "RUSTUP_HOME",
    "RUSTUP_TOOLCHAIN",
    "GOPATH",
    "GOROOT",
    "JAVA_HOME",
    "NVM_DIR",
    "NIX_*",
    "PYENV_ROOT",
    "LD_LIBRARY_PATH",
];

/// Where programs are looked for when the agent itself has no PATH.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a session is told of itself.
pub struct Marks<'a> {
    /// Its id; also how its processes are recognised for ever.
    pub session: &'a str,
    /// The agent's socket, for reports from inside.
    pub agent_socket: &'a str,
}

/// The environment without the values that were given with the task: safe to stand where others may
/// look (a unit's description).
pub fn base(
    agent: &BTreeMap<String, String>,
    passes: impl Fn(&str) -> bool,
    marks: &Marks<'_>,
) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = agent
        .iter()
        .filter(|(name, _)| passes(name) || INHERITED.iter().any(|p| fits(p, name)))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    env.entry("PATH".into()).or_insert_with(|| DEFAULT_PATH.into());
    if !is_utf8(&env) {
        // LC_ALL beats everything, so it goes; the C locale with UTF-8 exists on every modern host.
        env.remove("LC_ALL");
        env.insert("LC_CTYPE".into(), "C.UTF-8".into());
        env.entry("LANG".into()).or_insert_with(|| "C.UTF-8".into());
    }
    env.insert("CM_SESSION_ID".into(), marks.session.into());
    env.insert("CM_AGENT_SOCKET".into(), marks.agent_socket.into());
    env
}

/// Whether programs will take this environment's characters for UTF-8.
fn is_utf8(env: &BTreeMap<String, String>) -> bool {
    ["LC_ALL", "LC_CTYPE", "LANG"]
        .iter()
        .find_map(|name| env.get(*name).filter(|v| !v.is_empty()))
        .is_some_and(|v| v.to_ascii_lowercase().replace('-', "").contains("utf8"))
}

fn fits(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => pattern == name,
    }
}

/// Why a variable cannot be set.
pub fn refuse(name: &str, value: &str) -> Option<String> {
    let named = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !named || name.as_bytes()[0].is_ascii_digit() {
        Some(format!("{name:?} is not a variable's name (letters, digits and _)"))
    } else if name.starts_with("CM_SESSION_") || name == "CM_AGENT_SOCKET" || name == "CM_AGENT_TOKEN" {
        Some(format!("{name} belongs to the agent"))
    } else if value.contains('\0') {
        Some(format!("the value of {name} contains a NUL character"))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    fn check(agent: &[(&str, &str)], pass: &[&str], expected: &[(&str, &str)]) {
        let marks = Marks { session: "cm-1", agent_socket: "/s" };
        let mut env = base(&map(agent), |name| pass.contains(&name), &marks);
        assert_eq!(env.remove("CM_SESSION_ID").as_deref(), Some("cm-1"));
        assert_eq!(env.remove("CM_AGENT_SOCKET").as_deref(), Some("/s"));
        assert_eq!(env, map(expected));
    }

    #[test]
    fn surroundings_of_the_agent_stay_outside() {
        check(
            &[
                ("PATH", "/bin"),
                ("LANG", "de_DE.UTF-8"),
                ("TMUX", "/tmp/x,1,0"),
                ("CM_AGENT_TOKEN", "secret"),
                ("SSH_CONNECTION", "1 2 3 4"),
                ("NOTIFY_SOCKET", "/run/n"),
                ("AWS_SECRET_ACCESS_KEY", "x"),
                ("CLAUDECODE", "1"),
            ],
            &[],
            &[("PATH", "/bin"), ("LANG", "de_DE.UTF-8")],
        );
    }

    #[test]
    fn a_profile_passes_on_what_its_tool_needs() {
        let agent = [("PATH", "/bin"), ("LC_ALL", "C.utf8"), ("FOO_KEY", "k"), ("FOOD", "no"), ("BAR", "b")];
        check(
            &agent,
            &["FOO_KEY", "BAR"],
            &[("PATH", "/bin"), ("LC_ALL", "C.utf8"), ("FOO_KEY", "k"), ("BAR", "b")],
        );
    }

    #[test]
    fn the_locale_is_utf8_whatever_the_agent_had() {
        let path = ("PATH", "/bin");
        let c_utf8 = [path, ("LANG", "C.UTF-8"), ("LC_CTYPE", "C.UTF-8")];
        check(&[path], &[], &c_utf8);
        check(&[path, ("LC_ALL", "C")], &[], &c_utf8);
        check(&[path, ("LANG", "C")], &[], &[path, ("LANG", "C"), ("LC_CTYPE", "C.UTF-8")]);
        check(
            &[path, ("LANG", "en_US.UTF-8"), ("LC_ALL", "POSIX")],
            &[],
            &[path, ("LANG", "en_US.UTF-8"), ("LC_CTYPE", "C.UTF-8")],
        );
    }

    #[test]
    fn no_path_is_no_reason_to_find_nothing() {
        check(&[("LANG", "C.UTF-8")], &[], &[("PATH", DEFAULT_PATH), ("LANG", "C.UTF-8")]);
    }

    #[test]
    fn names_and_values_that_cannot_be_set() {
        let check =
            |name: &str, value: &str, ok: bool| assert_eq!(refuse(name, value).is_none(), ok, "{name}");
        check("A_1", "x=y\n", true);
        check("", "x", false);
        check("1A", "x", false);
        check("A=B", "x", false);
        check("A", "x\0", false);
        check("CM_SESSION_ID", "x", false);
        check("CM_AGENT_TOKEN", "x", false);
    }
}

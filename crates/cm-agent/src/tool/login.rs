//! How a tool shows, without being started and without the network, that somebody has logged in. PURE.

/// What a login leaves behind.
#[derive(Debug)]
pub struct Traces {
    /// The tool.
    pub tool: &'static str,
    /// Files below the home directory.
    pub files: &'static [&'static str],
    /// Variables that hold a key.
    pub variables: &'static [&'static str],
}

/// The tools of which that is known.
pub const KNOWN: [Traces; 5] = [
    Traces {
        tool: "claude",
        files: &[".claude/.credentials.json"],
        variables: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN"],
    },
    Traces { tool: "codex", files: &[".codex/auth.json"], variables: &["OPENAI_API_KEY", "CODEX_API_KEY"] },
    Traces {
        tool: "gemini",
        files: &[".gemini/oauth_creds.json"],
        variables: &["GEMINI_API_KEY", "GOOGLE_API_KEY"],
    },
    Traces {
        tool: "opencode",
        files: &[".local/share/opencode/auth.json"],
        variables: &["ANTHROPIC_API_KEY", "OPENAI_API_KEY"],
    },
    Traces {
        tool: "aider",
        files: &[".aider.conf.yml"],
        variables: &["ANTHROPIC_API_KEY", "OPENAI_API_KEY"],
    },
];

impl Traces {
    /// Whether one of them is there.
    pub fn found(&self, exists: impl Fn(&str) -> bool, is_set: impl Fn(&str) -> bool) -> bool {
        self.files.iter().any(|file| exists(file)) || self.variables.iter().any(|name| is_set(name))
    }
}

/// Whether somebody is logged in to a tool; `None`: cannot be told.
pub fn logged_in(tool: &str, exists: impl Fn(&str) -> bool, is_set: impl Fn(&str) -> bool) -> Option<bool> {
    KNOWN.iter().find(|traces| traces.tool == tool).map(|traces| traces.found(exists, is_set))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_of_logins() {
        let check = |tool: &str, file: &str, variable: &str, expected: Option<bool>| {
            assert_eq!(
                logged_in(tool, |f| f == file, |v| v == variable),
                expected,
                "{tool} {file} {variable}"
            );
        };
        check("claude", ".claude/.credentials.json", "", Some(true));
        check("claude", "", "ANTHROPIC_API_KEY", Some(true));
        check("claude", ".codex/auth.json", "OPENAI_API_KEY", Some(false));
        check("codex", ".codex/auth.json", "", Some(true));
        check("shell", "", "", None);
        check("/usr/bin/claude", ".claude/.credentials.json", "", None);
    }
}

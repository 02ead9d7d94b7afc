//! The agent's unit file, made from the template that people install by hand. PURE.

use std::path::Path;

/// The template: `deploy/systemd/cm-agent.service`.
pub const TEMPLATE: &str = include_str!("../../../../deploy/systemd/cm-agent.service");

/// What the agent's unit may do without. Each is tried on the host first, and left out where its manager refuses.
///
/// The list is short for a reason: a task's check is a process of the agent's, and has to work. It may use
/// namespaces, debuggers, compilers that write and run code, other architectures. Whatever needs a mount
/// namespace would, for a user's manager, mean a user namespace, where ssh refuses its own configuration
/// ("bad owner") and git over ssh with it. What is left takes sudo from checks; `hardened: false` gives it back.
/// Sessions are units of their own and inherit nothing of this.
pub const HARDENING: [&str; 6] = [
    "NoNewPrivileges=yes",
    "RestrictRealtime=yes",
    "SystemCallFilter=~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap",
    "SystemCallErrorNumber=EPERM",
    "KeyringMode=private",
    "LimitCORE=0:infinity",
];

/// What goes into a unit.
#[derive(Debug, Clone, Copy)]
pub struct Parts<'a> {
    /// Where the installation is.
    pub dir: &'a Path,
    /// It listens on TCP with the token made on this host.
    pub own_token: bool,
    /// Hardening to use.
    pub hardening: &'a [&'a str],
}

/// The unit file.
pub fn render(parts: Parts<'_>) -> String {
    let program = parts.dir.join("current/cm-agent").display().to_string();
    let word = |path: &str| quoted(&parts.dir.join(path).display().to_string());
    let mut start = format!(
        "ExecStart={} serve --placement systemd --config {}",
        quoted(&program),
        word("current/agent.json")
    );
    if parts.own_token {
        start += &format!(" --token-file {}", word("token"));
    }
    // The program that going back is done with has been seen to run; the new one may not.
    let back = format!(
        "ExecStartPre=-{} install revert --if-overdue --dir {}",
        quoted(&parts.dir.join("installer").display().to_string()),
        quoted(&parts.dir.display().to_string())
    );
    let mut text = String::from(
        "# Written by `cm-agent install`; the next deployment writes it anew. Changes of your own belong into\n\
         # a drop-in: systemctl --user edit cm-agent\n",
    );
    for line in TEMPLATE.lines().filter(|line| !line.starts_with('#')) {
        match line {
            // Where the template's comments stood.
            "" if text.ends_with("\n\n") => continue,
            _ if line.starts_with("ExecStart=") => text += &format!("{back}\n{start}\n"),
            "[Install]" => {
                let hardening: String = parts.hardening.iter().map(|one| format!("{one}\n")).collect();
                text = format!("{}\n{hardening}\n[Install]\n", text.trim_end());
            }
            _ => text += &format!("{line}\n"),
        }
    }
    text
}

/// A word of a command line in a unit file (systemd.service(5)).
fn quoted(word: &str) -> String {
    let mut text = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            '%' | '$' => text.extend([c, c]),
            _ => text.push(c),
        }
    }
    text + "\""
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directives(text: &str) -> Vec<&str> {
        text.lines().filter(|line| line.contains('=') && !line.starts_with('#')).collect()
    }

    #[test]
    fn the_unit_is_the_template_with_another_start() {
        let parts = Parts {
            dir: Path::new("/home/ada/.local/share/cm-agent"),
            own_token: true,
            hardening: &HARDENING,
        };
        let unit = render(parts);
        insta::assert_snapshot!(unit);
        for line in directives(TEMPLATE).iter().filter(|line| !line.starts_with("ExecStart=")) {
            assert!(unit.lines().any(|there| there == *line), "{line} is in the template only");
        }
        let own = ["ExecStart=", "ExecStartPre="];
        for line in directives(&unit) {
            let ours = own.iter().any(|start| line.starts_with(start)) || HARDENING.contains(&line);
            assert!(ours || directives(TEMPLATE).contains(&line), "{line} is in no template");
        }
        let plain = render(Parts { own_token: false, hardening: &[], ..parts });
        assert!(!plain.contains("token") && !plain.contains("NoNewPrivileges"), "{plain}");
    }

    #[test]
    fn odd_directories_stay_one_word() {
        let check = |word: &str, expected: &str| assert_eq!(quoted(word), expected);
        check("/a b", r#""/a b""#);
        check(r#"/a"\$x%h"#, r#""/a\"\\$$x%%h""#);
    }
}

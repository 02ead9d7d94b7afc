//! Reads what a host answered to the question what it is. PURE.

use cm_protocol::deploy::Facts;

use super::script::{BEGIN, END, after_mark};

/// The most of an answer that is kept in an error, in characters.
const SHOWN: usize = 200;

/// An answer that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// The mark never came.
    #[error("it did not run our script; it printed: {0}")]
    NoMark(String),
    /// It broke off.
    #[error("its answer broke off after: {0}")]
    Cut(String),
    /// The agent there said something else than facts.
    #[error("its agent's answer cannot be read ({why}): {text}")]
    Json {
        /// What is wrong.
        why: String,
        /// What it said.
        text: String,
    },
}

/// The facts in everything a host printed.
///
/// # Errors
/// The answer is missing, cut off or not understood.
pub fn read(printed: &str) -> Result<Facts, BadAnswer> {
    let answer = after_mark(printed).ok_or_else(|| BadAnswer::NoMark(shown(printed)))?;
    let lines: Vec<&str> = answer.lines().map(str::trim_end).collect();
    let end = lines.iter().position(|line| *line == END).ok_or_else(|| BadAnswer::Cut(shown(answer)))?;
    let lines = &lines[..end];
    if let Some(json) = lines.iter().find(|line| line.starts_with('{')) {
        return serde_json::from_str(json)
            .map_err(|e| BadAnswer::Json { why: e.to_string(), text: shown(json) });
    }
    Ok(from_shell(lines))
}

/// What the shell alone could say: `key=value` lines; empty values are absent.
fn from_shell(lines: &[&str]) -> Facts {
    let value = |key: &str| {
        lines
            .iter()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='))
            .map(str::trim)
            .filter(|value| !value.is_empty())
            .map(str::to_owned)
    };
    let word =
        |key: &str, at: usize| value(key).and_then(|v| v.split_whitespace().nth(at).map(str::to_owned));
    let options = value("mount");
    Facts {
        host: value("host").unwrap_or_default(),
        arch: value("arch").unwrap_or_default(),
        os: value("os").unwrap_or_default(),
        user: value("user").unwrap_or_default(),
        home: value("home").unwrap_or_default(),
        boot_id: value("boot").unwrap_or_default(),
        now: value("now").and_then(|now| now.parse().ok()).unwrap_or_default(),
        user_manager: value("manager").is_some(),
        // "systemd 252 (252.39-1~deb12u1)", "tmux 3.3a", "git version 2.39.5"
        systemd: word("systemd", 1),
        linger: Some(value("linger").is_some()),
        tmux: word("tmux", 1),
        git: word("git", 2),
        // The line of `df -P` for one file system: its fourth field is what is available, in KiB.
        disk_free: word("free", 3)
            .and_then(|kib| kib.parse::<u64>().ok())
            .map(|kib| kib.saturating_mul(1024)),
        exec: options.map(|options| !options.split(',').any(|option| option == "noexec")),
        ..Facts::default()
    }
}

fn shown(text: &str) -> String {
    let text: String = text.lines().filter(|line| *line != BEGIN).collect::<Vec<_>>().join(" ⏎ ");
    let text = crate::report::clean::clean(&text);
    if text.is_empty() { "nothing".to_owned() } else { text.chars().take(SHOWN).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_shell_says() {
        let printed = "motd\ncm-fleet:begin\narch=aarch64\nhost=h1\nuser=deploy\nhome=/home/deploy\n\
            now=1700000000\nboot=b\nos=Debian GNU/Linux 12 (bookworm)\nmanager=1\n\
            systemd=systemd 252 (252.39-1~deb12u1)\ntmux=tmux 3.3a\ngit=\n\
            free=/dev/sda1 100 40 60 40% /\nmount=rw,nosuid,noexec,relatime\ncm-fleet:end\n";
        let facts = read(printed).expect("facts");
        let expected = Facts {
            host: "h1".into(),
            arch: "aarch64".into(),
            os: "Debian GNU/Linux 12 (bookworm)".into(),
            user: "deploy".into(),
            home: "/home/deploy".into(),
            boot_id: "b".into(),
            now: 1_700_000_000.0,
            user_manager: true,
            systemd: Some("252".into()),
            linger: Some(false),
            tmux: Some("3.3a".into()),
            disk_free: Some(60 * 1024),
            exec: Some(false),
            ..Facts::default()
        };
        assert_eq!(facts, expected);
    }

    #[test]
    fn what_an_agent_says() {
        let facts = Facts { host: "h2".into(), arch: "x86_64".into(), ..Facts::default() };
        let json = serde_json::to_string(&facts).expect("json");
        assert_eq!(read(&format!("cm-fleet:begin\n{json}\ncm-fleet:end\n")), Ok(facts));
    }

    #[test]
    fn what_is_no_answer() {
        let check = |printed: &str, expected: &str| {
            assert_eq!(read(printed).expect_err("no answer").to_string(), expected);
        };
        check(
            "This account is\nnot available.\n",
            "it did not run our script; it printed: This account is ⏎ not available.",
        );
        check("", "it did not run our script; it printed: nothing");
        check("cm-fleet:begin\narch=x\n", "its answer broke off after: arch=x");
        assert!(read("cm-fleet:begin\n{\"host\":3}\ncm-fleet:end\n").is_err());
    }
}

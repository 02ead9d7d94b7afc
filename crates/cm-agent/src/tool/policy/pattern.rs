//! Patterns for commands and hosts (PURE).

use super::place::{Fit, is_exact, wildcard};

/// Words a command has to begin with. A lone `*` is any one word, at the end any number of words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommandPattern {
    words: Vec<String>,
    /// It ends in a lone `*`.
    open: bool,
}

impl CommandPattern {
    /// Reads a pattern.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        let mut words: Vec<String> = text.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            return Err("a command pattern is empty; write words, such as `git push *`".to_owned());
        }
        if text.contains(['"', '\'', '`', ';', '|', '&', '\n']) || text.contains("$(") {
            return Err(format!(
                "command pattern {text:?} has the shell's signs; it is compared word by word with each single command"
            ));
        }
        let open = words.len() > 1 && words.last().is_some_and(|last| last == "*");
        if open {
            words.pop();
        }
        Ok(Self { words, open })
    }

    /// Whether it names every word, without any `*` or `?`.
    pub(super) fn is_literal(&self) -> bool {
        !self.open && !self.words.iter().any(|word| word.contains(['*', '?']))
    }

    /// Whether a command certainly fits, and each of its words `special` is named and not covered by a `*`.
    pub(super) fn allows(&self, command: &[String], special: &[usize]) -> bool {
        let enough =
            if self.open { command.len() >= self.words.len() } else { command.len() == self.words.len() };
        let fits = self.words.iter().zip(command).enumerate().all(|(i, (pattern, word))| {
            if i == 0 {
                return program_is(pattern, word);
            }
            if pattern == "*" { true } else { is_exact(word) && wildcard(pattern, word) }
        });
        let named = |i: usize| {
            let pattern = self.words.get(i);
            pattern.is_some_and(|pattern| {
                pattern.trim_matches('*').trim_matches('-').len() > 1 || command[i] == *pattern
            })
        };
        enough && fits && special.iter().all(|i| named(*i))
    }

    /// Whether a command fits, for a rule that refuses or asks: a program counts by its last component.
    pub(super) fn meets(&self, command: &[String]) -> Fit {
        if command.len() < self.words.len() || (!self.open && command.len() > self.words.len()) {
            return Fit::No;
        }
        let mut fit = Fit::Yes;
        for (i, (pattern, word)) in self.words.iter().zip(command).enumerate() {
            let word = if i == 0 && !pattern.contains('/') { base_name(word) } else { word };
            if pattern == "*" || wildcard(pattern, word) {
                continue;
            }
            if is_exact(word) || i == 0 {
                return Fit::No;
            }
            fit = Fit::Maybe;
        }
        fit
    }

    /// Whether the words occur anywhere in a text that could not be read as commands.
    pub(super) fn occurs_in(&self, text: &str) -> bool {
        let words: Vec<&str> = text
            .split(|c: char| c.is_whitespace() || ";|&()<>`{}\"'".contains(c))
            .filter(|word| !word.is_empty())
            .collect();
        words.windows(self.words.len()).any(|window| {
            self.words
                .iter()
                .zip(window)
                .enumerate()
                .all(|(i, (pattern, word))| wildcard(pattern, if i == 0 { base_name(word) } else { word }))
        })
    }
}

/// Directories whose programs are what their names say.
const SYSTEM: [&str; 5] = ["/bin/", "/usr/bin/", "/usr/local/bin/", "/sbin/", "/usr/sbin/"];

/// Whether a command's first word certainly is this program.
fn program_is(pattern: &str, word: &str) -> bool {
    if !is_exact(word) {
        return false;
    }
    if pattern.contains('/') || !word.contains('/') {
        return wildcard(pattern, word);
    }
    is_system_program(word) && wildcard(pattern, base_name(word))
}

/// Whether a path is a program in one of the system's own directories.
pub(super) fn is_system_program(path: &str) -> bool {
    SYSTEM
        .iter()
        .filter_map(|directory| path.strip_prefix(directory))
        .any(|name| !name.is_empty() && !name.contains('/'))
}

/// What follows the last slash.
pub(super) fn base_name(path: &str) -> &str {
    path.trim_end_matches('/').rsplit('/').next().unwrap_or(path)
}

/// A host, `*` for any text; `*.example.com` is also `example.com`'s subdomains of any depth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct HostPattern(String);

impl HostPattern {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a host is empty; write a name, such as `*.example.com`".to_owned());
        }
        if text.contains('/') || text.contains(char::is_whitespace) {
            return Err(format!("host {text:?} is no host name; write it without scheme and path"));
        }
        Ok(Self(text.to_ascii_lowercase()))
    }

    pub(super) fn fit(&self, host: &str) -> Fit {
        if !is_exact(host) {
            return Fit::Maybe;
        }
        Fit::from_bool(wildcard(&self.0, &host.to_ascii_lowercase()))
    }
}

/// The host of an address, `user@host:path` or `host:port`; `None` if there is none.
pub(super) fn host_of(text: &str) -> Option<String> {
    let rest = match text.split_once("://") {
        Some((scheme, rest)) if !scheme.is_empty() => rest,
        _ => text,
    };
    let rest = rest.split(['/', '?', '#', '\\']).next().unwrap_or(rest);
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let host = match rest.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or(v6),
        None => rest.split(':').next().unwrap_or(rest),
    };
    let host = host.trim_end_matches('.');
    (!host.is_empty() && !host.contains(char::is_whitespace)).then(|| host.to_ascii_lowercase())
}

//! PURE. Which hosts ssh's configuration cannot tell apart: one `ssh -G` then answers for all of them.

use crate::known_hosts::pattern;

/// Words with which one line of a configuration can mean something else for each host: whoever uses them is
/// asked about every host.
const TELLING: [&str; 4] =
    ["match", "canonicalizehostname", "canonicaldomains", "canonicalizepermittedcnames"];

/// What configuration files say of names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Every pattern of every `Host` line but `*`, without its `!`.
    patterns: Vec<String>,
}

/// One line that matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Patterns of names.
    Host(Vec<String>),
    /// More files, as patterns.
    Include(Vec<String>),
}

/// The lines of one file that matter. `None` where ssh has to be asked about every host.
pub fn lines(text: &str) -> Option<Vec<Line>> {
    let mut lines = Vec::new();
    for line in text.lines() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // `Key value`, `Key=value`, `Key = value`.
        let end = line.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(line.len());
        let (key, value) = line.split_at(end);
        let key = key.to_ascii_lowercase();
        // A token stands for the host's name, perhaps; a quote may hide where a word ends.
        if TELLING.contains(&key.as_str()) || value.contains(['%', '"', '\'', '\\']) {
            return None;
        }
        let value = value.trim_start_matches(|c: char| c.is_whitespace() || c == '=');
        let value = value.split(" #").next().unwrap_or(value);
        let words = || value.split_whitespace().map(str::to_owned).collect();
        match key.as_str() {
            "host" => lines.push(Line::Host(words())),
            "include" => lines.push(Line::Include(words())),
            _ => {}
        }
    }
    Some(lines)
}

impl Names {
    /// Adds the patterns of a `Host` line.
    pub fn add(&mut self, patterns: Vec<String>) {
        let patterns = patterns.into_iter().map(|p| p.trim_start_matches('!').to_ascii_lowercase());
        self.patterns.extend(patterns.filter(|pattern| pattern != "*"));
    }

    /// Whether no line means this host and not another one of which that is true as well. Only of names that ssh
    /// takes as they are.
    pub fn unnamed(&self, host: &str) -> bool {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-_".contains(c);
        // `127.1` is an address, too, and ssh writes it out.
        let number = host.chars().all(|c| c.is_ascii_digit() || c == '.');
        let written_out = !number || host.parse::<std::net::Ipv4Addr>().is_ok();
        host.chars().all(plain) && written_out && !self.patterns.iter().any(|p| pattern::matches(p, host))
    }
}

/// What `ssh -G` says of `asked`, made of what it said of `other`, neither of which is named. `None` where that
/// cannot be known: one is reached through the other, perhaps.
pub fn renamed(text: &str, other: &str, asked: &str) -> Option<String> {
    let mut renamed = String::with_capacity(text.len() + asked.len());
    for line in text.lines() {
        match line.split_once(' ') {
            Some(("proxyjump", hop)) if hop != "none" => return None,
            Some((key @ ("hostname" | "host"), name)) if name == other => {
                renamed.extend([key, " ", asked]);
            }
            _ => renamed.push_str(line),
        }
        renamed.push('\n');
    }
    Some(renamed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_that_no_line_means_are_alike() {
        let check = |text: &str, host: &str, expected: Option<bool>| {
            let unnamed = lines(text).map(|lines| {
                let mut names = Names::default();
                for line in lines {
                    if let Line::Host(patterns) = line {
                        names.add(patterns);
                    }
                }
                names.unnamed(host)
            });
            assert_eq!(unnamed, expected, "{host} with {text:?}");
        };
        check("", "web", Some(true));
        check("# Host web\n\nHost *\n  User deploy\n", "web", Some(true));
        check("Host web db\n", "web", Some(false));
        check("host=WEB\n", "web", Some(false));
        check("Host * !web\n", "web", Some(false));
        check("Host gpu-* # the big ones\n", "gpu-7", Some(false));
        check("Host gpu-*\n", "web", Some(true));
        check("", "10.0.0.7", Some(true));
        check("", "127.1", Some(false));
        check("", "Web", Some(false));
        check("", "fe80::1", Some(false));
        check("Match user root\n", "web", None);
        check("  matCH=all\n", "web", None);
        check("IdentityFile ~/.ssh/%h\n", "web", None);
        check("Host \"web\"\n", "web", None);
        check("CanonicalizeHostname yes\n", "web", None);
    }

    #[test]
    fn includes_are_told() {
        let check = |text: &str, expected: &[&str]| {
            let words = expected.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(lines(text), Some(vec![Line::Include(words)]), "{text:?}");
        };
        check("Include /etc/ssh/ssh_config.d/*.conf", &["/etc/ssh/ssh_config.d/*.conf"]);
        check("include = a b # both", &["a", "b"]);
    }

    #[test]
    fn an_answer_for_another_host() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(renamed(text, "a", "b").as_deref(), expected, "{text:?}");
        };
        check("host a\nhostname a\nuser a\n", Some("host b\nhostname b\nuser a\n"));
        check("hostname 10.0.0.1\nproxyjump none\n", Some("hostname 10.0.0.1\nproxyjump none\n"));
        check("hostname a\nproxyjump b\n", None);
    }
}

//! What is probably wrong although the inventory is good: files and variables it names that are not there
//! yet, and secrets that stand in the open.

use std::fmt;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde::Serialize;

use super::{Host, Runtime, SecretRef, Value};

/// Something to be warned of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Doubt {
    /// What, and what to do.
    pub message: String,
    /// The hosts it is about.
    pub hosts: Vec<String>,
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let few: Vec<&str> = self.hosts.iter().take(SHOWN).map(String::as_str).collect();
        write!(f, "{} ({}", self.message, few.join(", "))?;
        match self.hosts.len().saturating_sub(SHOWN) {
            0 => f.write_str(")"),
            more => write!(f, " and {more} more)"),
        }
    }
}

/// Everything to be warned of, each once. No secret is read, no command run.
pub fn doubts(hosts: &[Host], env: &dyn Fn(&str) -> Option<String>) -> Vec<Doubt> {
    let mut all: Vec<Doubt> = Vec::new();
    // Hosts share most of what they say: each thing is looked at once.
    let mut looked: std::collections::HashMap<String, Vec<String>> = std::collections::HashMap::new();
    for host in hosts {
        for (what, look) in things(host) {
            let found = looked.entry(what).or_insert_with(|| look.messages(env));
            for message in found.iter() {
                match all.iter_mut().find(|doubt| doubt.message == *message) {
                    Some(doubt) if doubt.hosts.last() == Some(&host.name) => {}
                    Some(doubt) => doubt.hosts.push(host.name.clone()),
                    None => all.push(Doubt { message: message.clone(), hosts: vec![host.name.clone()] }),
                }
            }
        }
    }
    all
}

/// Something that can be looked at.
enum Thing<'a> {
    Key(&'a Path),
    File(&'static str, &'a Path),
    Secret(&'a SecretRef),
    Variable(&'a str, &'a str),
}

/// What a host names, each with a text that is the same for the same thing.
fn things(host: &Host) -> Vec<(String, Thing<'_>)> {
    let mut things = Vec::new();
    things.extend(host.identity.iter().map(|path| Thing::Key(path)));
    things.extend(host.known_hosts.iter().map(|path| Thing::File("the known_hosts file", path)));
    let binary = host.agent.binary.iter().filter(|path| !path.to_string_lossy().contains("{arch}"));
    things.extend(binary.map(|path| Thing::File("the agent's binary", path)));
    things.extend(host.agent.token.iter().map(Thing::Secret));
    let container = match &host.runtime {
        Runtime::Container(container) => Some(&container.env),
        _ => None,
    };
    for (name, value) in host.env.iter().chain(container.into_iter().flatten()) {
        things.push(match value {
            Value::Plain(text) => Thing::Variable(name, text),
            Value::Secret(secret) => Thing::Secret(secret),
        });
    }
    things.into_iter().map(|thing| (thing.key(), thing)).collect()
}

impl Thing<'_> {
    fn key(&self) -> String {
        match self {
            Self::Key(path) => format!("key {}", path.display()),
            Self::File(what, path) => format!("{what} {}", path.display()),
            Self::Secret(secret) => format!("secret {secret}"),
            Self::Variable(name, text) => format!("variable {name} {}", text.is_empty()),
        }
    }

    fn messages(&self, env: &dyn Fn(&str) -> Option<String>) -> Vec<String> {
        let found = match self {
            Self::Key(path) => private(&format!("the key {}", path.display()), path),
            Self::File(what, path) => there(what, path),
            Self::Secret(SecretRef::Env(name)) => match env(name) {
                None => Some(format!("the secret env:{name} is not set here; export it before it is needed")),
                Some(value) if value.is_empty() => Some(format!("the secret env:{name} is empty")),
                Some(_) => None,
            },
            Self::Secret(SecretRef::File(path)) => private(&format!("the secret {}", path.display()), path),
            Self::Secret(SecretRef::Cmd(_)) => None,
            Self::Variable(name, text) => in_the_open(name, text),
        };
        found.into_iter().collect()
    }
}

fn there(what: &str, path: &Path) -> Option<String> {
    let error = std::fs::metadata(path).err()?;
    Some(format!("{what} {} cannot be used: {error}", path.display()))
}

fn private(what: &str, path: &Path) -> Option<String> {
    match std::fs::metadata(path) {
        Err(error) => Some(format!("{what} cannot be used: {error}")),
        Ok(meta) if meta.is_dir() => Some(format!("{what} is a directory")),
        Ok(meta) if meta.is_file() && meta.len() == 0 => Some(format!("{what} is empty")),
        Ok(meta) if meta.is_file() && meta.permissions().mode() & 0o077 != 0 => {
            Some(format!("{what} can be read by other users: chmod 600 {}", path.display()))
        }
        Ok(_) => None,
    }
}

/// A variable whose name says secret and whose value stands in the file.
fn in_the_open(name: &str, text: &str) -> Option<String> {
    let upper = name.to_uppercase();
    let telling = ["TOKEN", "SECRET", "PASSWORD", "PASSWD", "API_KEY", "APIKEY", "PRIVATE_KEY"];
    let secret = telling.iter().any(|word| upper.contains(word)) && !text.is_empty();
    secret.then(|| format!("the value of {name} stands in the inventory; refer to it: `{name}: env:{name}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_warned_of() {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name: &str, mode: u32, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).expect("written");
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("set");
            path.display().to_string()
        };
        let (good, open, empty) =
            (file("good", 0o600, "x"), file("open", 0o644, "x"), file("empty", 0o600, ""));
        let text = format!(
            "
defaults: {{identity: [{good}, {open}, /none/key], env: {{A: 'file:{empty}', B: 'env:SET', C: 'env:UNSET'}}}}
hosts:
  a: {{agent: {{binary: /none/agent, token: 'file:{open}'}}}}
  b: {{agent: {{binary: '/none/agent-{{arch}}'}}, known_hosts: /none/known}}
  c: {{env: {{MY_API_KEY: hunter2, D: 'env:EMPTY', E: 'cmd:exit 1', SECRETARY: ''}}}}
  d: {{runtime: container, container: {{env: {{GH_TOKEN: x}}}}}}
"
        );
        let fleet = crate::inventory::tests::inventory(&text);
        let env = |name: &str| match name {
            "SET" => Some("p0ison".to_owned()),
            "EMPTY" => Some(String::new()),
            _ => None,
        };
        let all: Vec<String> = doubts(&fleet.hosts, &env).iter().map(ToString::to_string).collect();
        let shown = all.join("\n").replace(&dir.path().display().to_string(), "DIR");
        insta::assert_snapshot!(shown);
        assert!(!shown.contains("hunter2") && !shown.contains("p0ison"));
    }
}

//! Texts with `{{ key }}` in them: read once, filled in for every combination. PURE.

use crate::yaml::{FromNode, Node, Place, Reader, meant};

/// The key that stands for the host's name.
pub const HOST: &str = "host";
/// What the keys of labels begin with.
pub const LABEL: &str = "labels.";

/// Bytes of a text that was filled in at most.
const BYTES: usize = 16 << 20;

/// A text as it stands in the file, its keys found.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    /// Where it stands.
    pub place: Place,
    /// As it is written.
    written: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Plain(String),
    Key(String),
}

/// What the keys stand for in one combination.
#[derive(Debug, Clone, Default)]
pub struct Scope<'a> {
    /// The matrix: every key with its value; `None` where the value could not be read.
    pub values: Vec<(&'a str, Option<&'a str>)>,
    /// The host.
    pub seat: Seat<'a>,
}

/// Which host a task is made for.
#[derive(Debug, Clone, Copy, Default)]
pub enum Seat<'a> {
    /// None: any host may do it.
    #[default]
    Any,
    /// One that is not known yet.
    Later,
    /// This one.
    Here(&'a super::HostFacts),
}

/// A text filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filled {
    /// The text; what is not known yet stands in it as `{{ key }}`.
    pub text: String,
    /// Whether something is not known yet.
    pub open: bool,
}

impl Template {
    /// Finds the keys of a text. `{{{{` stands for `{{`.
    ///
    /// # Errors
    /// In words: what stands between the braces is no key.
    pub fn parse(text: &str, place: Place) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("{{") {
            plain.push_str(&rest[..at]);
            let inner = &rest[at + 2..];
            if let Some(after) = inner.strip_prefix("{{") {
                plain.push_str("{{");
                rest = after;
                continue;
            }
            let close = inner.find("}}").ok_or("`{{` is not closed; `{{{{` stands for `{{` itself")?;
            let key = inner[..close].trim();
            if !is_key(key.strip_prefix(LABEL).unwrap_or(key)) {
                let shown: String = key.chars().take(40).collect();
                return Err(format!("`{{{{ {shown} }}}}` names no key; `{{{{{{{{` stands for `{{{{` itself"));
            }
            if !plain.is_empty() {
                parts.push(Part::Plain(std::mem::take(&mut plain)));
            }
            parts.push(Part::Key(key.to_owned()));
            rest = &inner[close + 2..];
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Plain(plain));
        }
        Ok(Self { place, written: text.to_owned(), parts })
    }

    /// Reads it from a node that may hold a secret.
    pub fn from_secret(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = node.text(reader)?;
        let parsed = Self::parse(text, node.place);
        let why = "what stands between `{{` and `}}` is no key; `{{{{` stands for `{{` itself";
        parsed.map_err(|_| reader.wrong_secret(node.place, why)).ok()
    }

    /// As it stands in the file.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// The keys in it.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Key(key) => Some(key.as_str()),
            Part::Plain(_) => None,
        })
    }

    /// Whether it depends on the host.
    pub fn needs_host(&self) -> bool {
        self.keys().any(of_host)
    }

    /// The text, where there is nothing to be filled in.
    pub fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Plain(text)] => Some(text),
            _ => None,
        }
    }

    /// The text of one combination.
    ///
    /// # Errors
    /// In words: a key is none of the matrix, or the host does not have that label.
    pub fn fill(&self, scope: &Scope<'_>) -> Result<Filled, String> {
        let mut filled = Filled { text: String::with_capacity(self.written.len()), open: false };
        for part in &self.parts {
            match part {
                Part::Plain(text) => filled.text.push_str(text),
                Part::Key(key) => match scope.value(key)? {
                    Some(value) => filled.text.push_str(value),
                    None => {
                        filled.open = true;
                        filled.text.push_str(&placeholder(key));
                    }
                },
            }
            if filled.text.len() > BYTES {
                return Err("filled in, this text is over 16 MiB".to_owned());
            }
        }
        Ok(filled)
    }
}

/// A key as it is written.
pub fn placeholder(key: &str) -> String {
    format!("{{{{ {key} }}}}")
}

/// Whether a text can be the key of a matrix, or a label's.
fn is_key(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphanumeric() || c == '_')
        && text.chars().all(|c| c.is_alphanumeric() || "._/+:-".contains(c))
}

fn of_host(key: &str) -> bool {
    key == HOST || key.starts_with(LABEL)
}

/// What is wrong with a matrix's key.
pub fn bad_key(key: &str) -> Option<String> {
    if key == "labels" || of_host(key) {
        return Some(format!("`{key}` is what {} stands for; take another name", placeholder(key)));
    }
    (!is_key(key)).then(|| format!("`{key}` is no key: letters, digits and `._/+:-`"))
}

impl<'a> Scope<'a> {
    /// What a key stands for; `None` where that is not known yet.
    fn value(&self, key: &str) -> Result<Option<&'a str>, String> {
        if let Some((_, value)) = self.values.iter().find(|(name, _)| *name == key) {
            return Ok(*value);
        }
        match (self.seat, key.strip_prefix(LABEL)) {
            (Seat::Later, _) if of_host(key) => Ok(None),
            (Seat::Here(host), None) if key == HOST => Ok(Some(&host.name)),
            (Seat::Here(host), Some(label)) => match host.labels.get(label) {
                Some(value) => Ok(Some(value)),
                None => {
                    let near = meant(label, host.labels.keys().map(String::as_str));
                    let near = near.map(|near| format!("; did you mean `{LABEL}{near}`?"));
                    let near = near.unwrap_or_default();
                    Err(format!("the host `{}` has no label `{label}`{near}", host.name))
                }
            },
            _ if of_host(key) => Err(format!("{} needs `each_host: true` on the task", placeholder(key))),
            _ => Err(self.unknown(key)),
        }
    }

    fn unknown(&self, key: &str) -> String {
        let keys = self.values.iter().map(|(name, _)| *name);
        let hint = match meant(key, keys.clone()) {
            Some(near) => format!("did you mean {}?", placeholder(near)),
            None if self.values.is_empty() => {
                let shown = placeholder(key);
                return format!(
                    "{shown} stands for nothing: the task has no `matrix`; `{{{{{{{{` stands for `{{{{` itself"
                );
            }
            None => format!("its keys are {}", keys.collect::<Vec<_>>().join(", ")),
        };
        format!("the matrix has no key `{key}`; {hint}")
    }
}

impl FromNode for Template {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let text = node.text(reader)?;
        Self::parse(text, node.place).map_err(|why| reader.wrong(node.place, why)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dispatch::tasks::HostFacts;

    #[test]
    fn texts_are_filled_in() {
        let labels = [("zone".to_owned(), "eu".to_owned())];
        let host = HostFacts { name: "web".into(), labels: labels.into(), ..HostFacts::default() };
        let here = Scope { values: vec![("os", Some("linux")), ("v", None)], seat: Seat::Here(&host) };
        let later = Scope { seat: Seat::Later, ..here.clone() };
        let check = |scope: &Scope<'_>, text: &str, expected: &str| {
            let got = Template::parse(text, Place::default()).and_then(|template| template.fill(scope));
            match got {
                Ok(filled) => {
                    assert_eq!(filled.text, expected, "{text}");
                    assert_eq!(filled.open, text.contains("{{ v") || matches!(scope.seat, Seat::Later));
                }
                Err(why) => assert!(!expected.is_empty() && why.contains(expected), "{text}: {why}"),
            }
        };
        check(&here, "", "");
        check(&here, "a {{ os }}-{{os}} b", "a linux-linux b");
        check(&here, "{{host}}/{{ labels.zone }}", "web/eu");
        check(&here, "{{ v }}", "{{ v }}");
        check(&later, "{{ os }} {{ host }} {{ labels.x }}", "linux {{ host }} {{ labels.x }}");
        check(&here, "docker ps --format '{{{{.Names}}'", "docker ps --format '{{.Names}}'");
        check(&here, "{{{{ os }} }}", "{{ os }} }}");
        check(&here, "漢{{ os }}字", "漢linux字");
        check(&here, "{{ so }}", "did you mean {{ os }}?");
        check(&here, "{{ colour }}", "its keys are os, v");
        check(&here, "{{ labels.zoen }}", "the host `web` has no label `zoen`; did you mean `labels.zone`?");
        check(&here, "{{ os", "not closed");
        check(&here, "{{ os | upper }}", "`{{ os | upper }}` names no key");
        check(&here, "{{}}", "names no key");
        check(&here, "{{ labels. }}", "names no key");
        let any = Scope::default();
        check(&any, "{{ host }}", "needs `each_host: true`");
        check(&any, "{{ x }}", "the task has no `matrix`");
    }
}

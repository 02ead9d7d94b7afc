//! YAML as a tree that knows where everything stands, and reading values out of it. PURE.
//!
//! Reading goes on after a mistake: what is wrong is noted in the [`Reader`], so that a file's mistakes are
//! reported together.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::near::meant;
use super::problem::{Place, Problem, Sources};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub struct At<T> {
    /// Where.
    pub place: Place,
    /// What.
    pub value: T,
}

/// A piece of YAML.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Where it stands.
    pub place: Place,
    /// What it is.
    pub what: What,
}

/// What a piece of YAML is.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Nothing, or `~`.
    Null,
    /// Something wrong that has been noted already.
    Noted,
    /// A text or number, as it is written.
    Scalar {
        /// Without its quotes.
        text: String,
        /// Whether it stands in quotes (or in a block), and is thus no number.
        quoted: bool,
    },
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; every key once.
    Map(Vec<(At<String>, Node)>),
}

/// What reading needs to know, and what it found wrong.
pub struct Reader<'a> {
    /// The files.
    pub sources: Sources,
    /// What is wrong so far.
    pub problems: Vec<Problem>,
    /// The variables of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

/// What can be read from a node.
pub trait FromNode: Sized {
    /// Reads it. None means that something was wrong and has been noted.
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self>;
}

/// One or several, written alone or as a list.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Many<T>(pub Vec<T>);

impl Reader<'_> {
    /// Notes a mistake.
    pub fn wrong(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into(), secret: false });
    }

    /// Notes a mistake where a secret may stand.
    pub fn wrong_secret(&mut self, place: Place, message: impl Into<String>) {
        self.problems.push(Problem { place, message: message.into(), secret: true });
    }

    /// Notes a key that does not exist.
    pub fn unknown_key(&mut self, key: &At<String>, place: &str, keys: &[&str]) {
        let hint = match meant(&key.value, keys.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("keys are {}", keys.join(", ")),
        };
        self.wrong(key.place, format!("there is no key `{}` {place}; {hint}", key.value));
    }

    /// A path of this machine: `~/…` is the home directory, a relative one belongs to the file it stands in.
    pub fn path(&self, place: Place, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("there is no path here".to_owned());
        }
        let Some(rest) = text.strip_prefix('~') else {
            let file = self.sources.real(place.file);
            return Ok(file.parent().map_or_else(|| PathBuf::from(text), |dir| dir.join(text)));
        };
        match (rest.strip_prefix('/'), (self.env)("HOME").filter(|home| !home.is_empty())) {
            (None, _) if !rest.is_empty() => {
                Err("`~` stands for your own home directory only; write the others out".to_owned())
            }
            (_, None) => Err("`~` cannot be resolved: HOME is not set".to_owned()),
            (rest, Some(home)) => Ok(PathBuf::from(home).join(rest.unwrap_or(""))),
        }
    }
}

impl Node {
    /// Whether there is nothing here.
    pub fn is_null(&self) -> bool {
        self.what == What::Null
    }

    /// The entries of a map.
    pub fn map(&self, reader: &mut Reader<'_>) -> Option<&[(At<String>, Node)]> {
        match &self.what {
            What::Map(entries) => Some(entries),
            What::Null => Some(&[]),
            _ => self.expected("keys and values", reader),
        }
    }

    /// The text of a scalar.
    pub fn text(&self, reader: &mut Reader<'_>) -> Option<&str> {
        match &self.what {
            What::Scalar { text, .. } => Some(text),
            _ => self.expected("a text", reader),
        }
    }

    /// A scalar that `read` understands.
    pub fn scalar<T>(
        &self,
        reader: &mut Reader<'_>,
        read: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(reader)?;
        read(text).map_err(|message| reader.wrong(self.place, message)).ok()
    }

    /// One of some words.
    pub fn word<T: Copy>(&self, reader: &mut Reader<'_>, words: &[(&str, T)]) -> Option<T> {
        let text = self.text(reader)?;
        let found = words.iter().find(|(word, _)| *word == text);
        if found.is_none() {
            let all = words.iter().map(|(word, _)| *word);
            let near = meant(text, all.clone()).map(|word| format!("; did you mean `{word}`?"));
            let all = all.collect::<Vec<_>>().join(", ");
            let near = near.unwrap_or_default();
            reader.wrong(self.place, format!("`{text}` is none of {all}{near}"));
        }
        found.map(|(_, value)| *value)
    }

    /// Notes that something else was expected.
    pub fn expected<T>(&self, expected: &str, reader: &mut Reader<'_>) -> Option<T> {
        let found = match &self.what {
            What::Noted => return None,
            What::Null => "nothing",
            What::Scalar { quoted: true, .. } => "a text",
            What::Scalar { text, .. } if text.parse::<f64>().is_ok() => "a number",
            What::Scalar { .. } => "a text",
            What::List(_) => "a list",
            What::Map(_) => "keys and values",
        };
        reader.wrong(self.place, format!("expected {expected}, found {found}"));
        None
    }

    /// A number that stands without quotes.
    pub fn number<T: std::str::FromStr>(&self, expected: &str, reader: &mut Reader<'_>) -> Option<T> {
        match &self.what {
            What::Scalar { text, quoted } => match text.parse() {
                Ok(number) if !quoted => Some(number),
                Ok(_) => self.expected(&format!("{expected} without quotes"), reader),
                Err(_) => {
                    reader.wrong(self.place, format!("`{text}` is not {expected}"));
                    None
                }
            },
            _ => self.expected(expected, reader),
        }
    }
}

impl FromNode for String {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        node.text(reader).map(str::to_owned)
    }
}

impl FromNode for bool {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        node.word(reader, &[("true", true), ("false", false)])
    }
}

impl<T: FromNode> FromNode for At<T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        T::from_node(node, reader).map(|value| Self { place: node.place, value })
    }
}

impl<T: FromNode> FromNode for Many<T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let items = match &node.what {
            What::List(items) => items.as_slice(),
            _ => std::slice::from_ref(node),
        };
        Some(Self(items.iter().filter_map(|item| T::from_node(item, reader)).collect()))
    }
}

impl<T: FromNode> FromNode for BTreeMap<String, T> {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let entries = node.map(reader)?;
        Some(entries.iter().filter_map(|(k, v)| Some((k.value.clone(), T::from_node(v, reader)?))).collect())
    }
}

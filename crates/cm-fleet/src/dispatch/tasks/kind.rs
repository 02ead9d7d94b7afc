//! The values a task's keys take: texts that may hold `{{ key }}`, each checked where it is read, or, with a key in
//! it, where it is filled in; each with its JSON Schema. PURE.

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::template::{Scope, Template, bad_key};
use crate::inventory::secret::variable;
use crate::inventory::{SecretRef, Selector};
use crate::parse;
use crate::yaml::{At, FromNode, Layer, Node, Reader, What};

/// Bytes of a check's command at most; agents take no more.
const CHECK_BYTES: usize = 16 * 1024;
/// Keys of a matrix at most.
const KEYS: usize = 32;
/// The longest time, in seconds: a year. Agents take no more.
const LONGEST: f64 = 365.0 * 24.0 * 3600.0;

/// Defines kinds of texts: what they come to, their schema, and how they are read.
macro_rules! texts {
    ($($(#[$doc:meta])* $name:ident($value:ty) = $schema:tt, $read:expr;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name(pub Template);

        impl $name {
            fn read(text: &str) -> Result<$value, String> {
                let read: fn(&str) -> Result<$value, String> = $read;
                read(text)
            }

            /// What it comes to in one combination. None: something is wrong, which has been noted, or not
            /// known yet.
            #[allow(dead_code, reason = "names of other tasks are only compared")]
            pub fn value(&self, scope: &Scope<'_>, reader: &mut Reader<'_>) -> Option<$value> {
                let filled = self.0.fill(scope);
                let value = filled.and_then(|filled| match filled.open {
                    true => Ok(None),
                    false => Self::read(&filled.text).map(Some),
                });
                value.map_err(|why| reader.wrong(self.0.place, why)).ok()?
            }
        }

        impl Layer for $name {}

        impl FromNode for $name {
            fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
                let template = Template::from_node(node, reader)?;
                if let Some(Err(why)) = template.plain().map(Self::read) {
                    reader.wrong(node.place, why);
                }
                // Kept all the same: that it is there matters to other keys.
                Some(Self(template))
            }
        }

        impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

texts! {
    /// What is to be done.
    Prose(String) = {"type": "string"}, |text| match text.trim() {
        "" => Err("the task is empty".to_owned()),
        _ => free(text, "a task"),
    };
    /// A task's name.
    Name(String) = {"type": ["string", "number"]}, name;
    /// A task's name, where another one refers to it.
    Earlier(String) = {"type": ["string", "number"]}, |text| match text {
        "" => Err("a task's name is missing here".to_owned()),
        _ => Ok(text.to_owned()),
    };
    /// A tool.
    Tool(String) = {"type": "string"}, |text| {
        let text = plain(text, "a tool's name")?;
        match text.contains('/') && !text.starts_with('/') {
            true => Err(format!("`{text}`: write a program's name, or its absolute path")),
            false => Ok(text),
        }
    };
    /// A directory on the host.
    Directory(String) = {"type": "string"}, |text| match text {
        "" => Err("there is no path here".to_owned()),
        _ if text.contains(['\0', '\n']) => Err("a path has no line breaks in it".to_owned()),
        _ => Ok(text.to_owned()),
    };
    /// A git repository.
    Repo(String) = {"type": "string"}, |text| plain(text, "a repository's URL");
    /// A commit, branch or tag.
    Reference(String) = {"type": ["string", "number"]}, |text| plain(text, "a commit, branch or tag");
    /// Which hosts.
    On(String) = {"type": "string"}, |text| match Selector::parse(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    };
    /// A policy.
    PolicyText(String) = {"type": "string"}, |text| match text {
        "" => Err("a policy's name or file is missing here".to_owned()),
        _ => free(text, "a policy"),
    };
    /// A command.
    Command(String) = {"type": "string"}, |text| match parse::command(text) {
        Ok(command) if command.len() > CHECK_BYTES => Err("a check has at most 16 KiB".to_owned()),
        other => other,
    };
    /// A time.
    Time(f64) = {"type": ["number", "string"]}, |text| match parse::duration(text) {
        Ok(seconds) if seconds > LONGEST => Err(format!("`{text}` is over a year")),
        other => other,
    };
    /// How often a failed attempt is made again.
    Retries(u32) = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 100}, {"type": "string"}]},
        |text| whole(text, 0, 100);
    /// How often a failed check is given back.
    Mendings(u32) = {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 20}, {"type": "string"}]},
        |text| whole(text, 0, 20);
    /// Bytes.
    Memory(u64) = {"type": ["integer", "string"]}, |text| match parse::bytes(text) {
        Ok(bytes) if bytes < 4 << 20 => Err(format!("`{text}` is too little memory: at least 4M")),
        other => other,
    };
    /// Cores.
    Cpu(f64) = {"type": ["number", "string"]}, |text| match parse::cores(text) {
        Ok(cores) if cores < 0.01 => Err(format!("`{text}` is too little: at least 0.01 cores")),
        other => other,
    };
    /// Processes and threads.
    Processes(u64) = {"anyOf": [{"type": "integer", "minimum": 4}, {"type": "string"}]},
        |text| whole(text, 4, 10_000_000).map(u64::from);
    /// An argument for the tool.
    Arg(String) = {"type": ["string", "number", "boolean"]}, |text| free(text, "an argument");
    /// Whether there is a work tree, and on which branch.
    Tree(TreeKind) = {"type": ["boolean", "string"]}, |text| match text {
        "true" => Ok(TreeKind::Own),
        "false" => Ok(TreeKind::None),
        branch => match cm_agent::work::names::bad_branch(branch) {
            Some(why) => Err(format!("`{branch}` is no branch's name: {why}")),
            None => Ok(TreeKind::Branch(branch.to_owned())),
        },
    };
}

/// What `worktree:` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TreeKind {
    /// `false`.
    None,
    /// `true`.
    Own,
    /// A branch.
    Branch(String),
}

/// Yes or no.
#[derive(Debug, Clone, Copy, PartialEq, Eq, JsonSchema)]
#[schemars(inline)]
pub struct Flag(pub bool);

impl Layer for Flag {}

impl FromNode for Flag {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        bool::from_node(node, reader).map(Self)
    }
}

/// Variables: a text, or none where one's own is passed on.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Env(pub BTreeMap<String, Option<Template>>);

impl Env {
    /// Lays `inner` over this, variable by variable.
    pub fn merge(&mut self, inner: &Self) {
        self.0.extend(inner.0.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
}

impl FromNode for Env {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut all = BTreeMap::new();
        if let What::List(items) = &node.what {
            for item in items {
                listed(item, &mut all, reader);
            }
            return Some(Self(all));
        }
        for (key, value) in node.map(reader)? {
            if !variable(&key.value) {
                let message = format!("`{}` is no name of a variable: letters, digits and _", key.value);
                reader.wrong(key.place, message);
            } else if value.is_null() {
                all.insert(key.value.clone(), None);
            } else if let Some(value) = env_value(value, reader) {
                all.insert(key.value.clone(), Some(value));
            }
        }
        Some(Self(all))
    }
}

/// `NAME` or `NAME=value`, as on the command line.
fn listed(item: &Node, all: &mut BTreeMap<String, Option<Template>>, reader: &mut Reader<'_>) {
    let Some(text) = item.text(reader) else { return };
    let (name, value) = match text.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (text.to_owned(), None),
    };
    if !variable(&name) {
        return reader.wrong_secret(item.place, "in a list, variables are written NAME or NAME=value");
    }
    let value = match value {
        None => Some(None),
        Some(text) => {
            let what = What::Scalar { text, quoted: true };
            env_value(&Node { place: item.place, what }, reader).map(Some)
        }
    };
    all.extend(value.map(|value| (name, value)));
}

fn env_value(node: &Node, reader: &mut Reader<'_>) -> Option<Template> {
    let text = node.text(reader)?;
    if text.contains('\0') {
        reader.wrong_secret(node.place, "a variable cannot hold a NUL byte");
        return None;
    }
    if let Some((scheme, _)) = SecretRef::scheme(text) {
        let message = format!(
            "`{scheme}:` refers to a secret in an inventory, not here; leave the value away to pass your own \
             variable on, or write `plain:` before the text to take it as it is"
        );
        reader.wrong_secret(node.place, message);
        return None;
    }
    let text = text.strip_prefix("plain:").unwrap_or(text).to_owned();
    Template::from_secret(&Node { place: node.place, what: What::Scalar { text, quoted: true } }, reader)
}

impl JsonSchema for Env {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Env".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [
            {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean", "null"]}},
            {"type": "array", "items": {"type": "string"}},
        ]})
    }
}

/// Keys and the values each of them takes in turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Matrix {
    /// Where it stands.
    pub place: crate::yaml::Place,
    /// In the order of the file. Without values where they could not be read.
    pub keys: Vec<(String, Vec<String>)>,
}

impl Layer for Matrix {}

impl FromNode for Matrix {
    fn from_node(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let mut keys = Vec::new();
        let entries = node.map(reader)?;
        if entries.is_empty() {
            reader.wrong(node.place, "the matrix has no keys; write `key: [value, value]`");
        }
        if entries.len() > KEYS {
            reader.wrong(node.place, format!("a matrix has at most {KEYS} keys"));
            return None;
        }
        for (key, value) in entries {
            if let Some(why) = bad_key(&key.value) {
                reader.wrong(key.place, why);
            } else {
                keys.push((key.value.clone(), values(key, value, reader)));
            }
        }
        Some(Self { place: node.place, keys })
    }
}

fn values(key: &At<String>, node: &Node, reader: &mut Reader<'_>) -> Vec<String> {
    let What::List(items) = &node.what else {
        let wanted = format!("the values of `{}`: a list", key.value);
        node.expected::<()>(&wanted, reader);
        return Vec::new();
    };
    if items.is_empty() {
        reader.wrong(node.place, format!("`{}` has no values: no task would be made", key.value));
    }
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    let mut values = Vec::with_capacity(items.len());
    for item in items {
        let Some(text) = item.text(reader) else { return Vec::new() };
        if seen.insert(text) {
            values.push(text.to_owned());
        } else {
            reader.wrong(item.place, format!("`{text}` is here twice: its tasks would be the same"));
        }
    }
    values
}

impl JsonSchema for Matrix {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Matrix".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "array",
                "minItems": 1,
                "uniqueItems": true,
                "items": {"type": ["string", "number", "boolean"]},
            },
        })
    }
}

/// A text without NUL bytes, which no argument can hold.
fn free(text: &str, what: &str) -> Result<String, String> {
    match text.contains('\0') {
        true => Err(format!("{what} cannot hold a NUL byte")),
        false => Ok(text.to_owned()),
    }
}

/// A text that is an argument of its own and never an option.
fn plain(text: &str, what: &str) -> Result<String, String> {
    match text {
        "" => Err(format!("{what} is missing here")),
        _ if text.starts_with('-') => Err(format!("`{text}` begins with `-`: {what} cannot")),
        _ if text.len() > 2000 => Err(format!("{what} has at most 2000 bytes")),
        _ if text.chars().any(|c| c.is_whitespace() || c.is_control()) => {
            Err(format!("{what} has no white space in it: {text:?}"))
        }
        _ => Ok(text.to_owned()),
    }
}

/// As agents take it.
fn name(text: &str) -> Result<String, String> {
    match text {
        "" => Err("a name is missing here".to_owned()),
        _ if text.len() > 64 => Err(format!("`{text}` is over 64 bytes: too long for a name")),
        _ if text.chars().any(char::is_control) => Err("a name is one line".to_owned()),
        _ if text.trim() != text => Err(format!("a name neither begins nor ends with a blank: {text:?}")),
        _ if text.starts_with("cm-") => {
            Err(format!("`{text}`: what begins with `cm-` is a session's id; take another name"))
        }
        _ => Ok(text.to_owned()),
    }
}

fn whole(text: &str, least: u32, most: u32) -> Result<u32, String> {
    let number = text.parse::<u32>().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("`{text}` is not a whole number ({least} to {most})"))
}

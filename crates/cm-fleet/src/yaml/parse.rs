//! YAML text to nodes: the only file that knows the YAML crate.

use std::fmt;
use std::io::Read;
use std::path::Path;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::DuplicateKeyPolicy;
use serde_yaml::{Error as YamlError, Location, Spanned};

use super::node::{At, Node, Reader, What};
use super::problem::{Place, Problem};

/// Bytes of one file at most.
const BYTES: u64 = 8 << 20;
/// Pieces of YAML that aliases may stand for, in one file.
const REPLAYED: usize = 200_000;

/// The text of a file.
///
/// # Errors
/// The file system's own; it is a directory, no UTF-8, or over 8 MiB.
pub fn read(path: &Path) -> std::io::Result<String> {
    let file = std::fs::File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(std::io::Error::from(std::io::ErrorKind::IsADirectory));
    }
    let mut text = String::new();
    file.take(BYTES + 1).read_to_string(&mut text)?;
    if text.len() as u64 > BYTES {
        return Err(std::io::Error::other("it is over 8 MiB"));
    }
    Ok(text)
}

/// The tree of a file's text; None where it is no YAML.
pub fn parse(file: u16, text: &str, reader: &mut Reader<'_>) -> Option<Node> {
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        with_snippet: false,
        alias_limits: serde_yaml::alias_limits! { max_total_replayed_events: REPLAYED },
    };
    match serde_yaml::from_str_with_options::<Spanned<Raw>>(text, options) {
        Ok(raw) => Some(Shape { file, text, problems: &mut reader.problems }.node(raw)),
        Err(error) => {
            let place = error.location().map_or(Place::top(file), |at| place(file, at));
            let line = text.lines().nth(place.line.saturating_sub(1) as usize).unwrap_or_default();
            reader.wrong(Place { len: 1, ..place }, complaint(&error, line));
            None
        }
    }
}

fn place(file: u16, at: Location) -> Place {
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Place {
        file,
        line: number(at.line()).max(1),
        column: number(at.column()).max(1),
        len: number(at.span().len()),
    }
}

/// The crate's complaint in our words.
fn complaint(error: &YamlError, line: &str) -> String {
    if let YamlError::MultipleDocuments { .. } = error.without_snippet() {
        return "this is to be one YAML document: take `---` and what follows away".to_owned();
    }
    let words = error.without_snippet().to_string();
    let words = words.lines().next().unwrap_or_default();
    let words = words.split(" at line ").next().unwrap_or_default();
    let range = || {
        line.match_indices('[').any(|(at, _)| line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '-'))
    };
    let hint = match () {
        () if words.contains("tab") => "; YAML is indented by spaces",
        () if line.contains("${") => "; within braces and brackets, `${…}` needs quotes around it",
        () if line.contains("{{") => "; a text that begins with `{{` needs quotes around it",
        () if words.contains("flow") && range() => {
            "; a range in a list on one line needs quotes: [\"gpu[1-8]\"]"
        }
        () if words.contains("anchor") || words.contains("character") => {
            "; a text that begins with a sign needs quotes around it"
        }
        () => "",
    };
    format!("this is no YAML: {words}{hint}")
}

/// YAML as the crate gives it. What is written without quotes and looks like a number or truth value has to be
/// looked up in the text: `1.10` is a fine label.
enum Raw {
    Null,
    Written,
    Text(String),
    List(Vec<Spanned<Self>>),
    Map(Vec<(Spanned<Self>, Spanned<Self>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;
impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("YAML")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_i128<E: de::Error>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_u128<E: de::Error>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Written)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Raw, E> {
        Ok(Raw::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Makes nodes of what the crate gives.
struct Shape<'a> {
    file: u16,
    text: &'a str,
    problems: &'a mut Vec<Problem>,
}

impl Shape<'_> {
    fn node(&mut self, raw: Spanned<Raw>) -> Node {
        let place = self.place(&raw);
        let what = match raw.value {
            Raw::Null => What::Null,
            Raw::Written => What::Scalar { text: self.slice(raw.defined).trim().to_owned(), quoted: false },
            Raw::Text(text) => {
                let quoted = self.slice(raw.defined).starts_with(['"', '\'', '|', '>']);
                What::Scalar { text, quoted }
            }
            Raw::List(items) => What::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => {
                // `key: {{ x }}`: it was to be a text, and is no map with one key less.
                let braces = entries.iter().any(|(key, _)| matches!(key.value, Raw::Map(_)));
                let map = self.map(entries);
                if braces { What::Noted } else { What::Map(map) }
            }
        };
        Node { place, what }
    }

    fn map(&mut self, entries: Vec<(Spanned<Raw>, Spanned<Raw>)>) -> Vec<(At<String>, Node)> {
        let mut map: Vec<(At<String>, Node)> = Vec::with_capacity(entries.len());
        let mut seen = std::collections::HashMap::with_capacity(entries.len());
        for (key, value) in entries {
            let place = self.place(&key);
            let key = match self.node(key).what {
                What::Scalar { text, .. } => text,
                What::Map(_) => {
                    let template = "a key is a text; one that begins with `{{` needs quotes around it";
                    self.wrong(place, template.to_owned());
                    continue;
                }
                _ => {
                    self.wrong(place, "a key is a text".to_owned());
                    continue;
                }
            };
            if let Some(first) = seen.get(&key) {
                let first: &u32 = first;
                self.wrong(place, format!("`{key}` is here twice; the first is in line {first}"));
                continue;
            }
            seen.insert(key.clone(), place.line);
            map.push((At { place, value: key }, self.node(value)));
        }
        map
    }

    /// Where something stands: where it is written, unless an alias stands for it.
    fn place(&self, raw: &Spanned<Raw>) -> Place {
        let place = place(self.file, raw.referenced);
        match raw.value {
            // Of a list or map, its beginning.
            Raw::List(_) | Raw::Map(_) => Place { len: 1, ..place },
            _ => Place { len: place.len.max(1), ..place },
        }
    }

    fn slice(&self, at: Location) -> &str {
        let number = |n: Option<u64>| n.and_then(|n| usize::try_from(n).ok());
        let (start, len) = (number(at.span().byte_offset()), number(at.span().byte_len()));
        let end = start.zip(len).map(|(start, len)| start + len);
        start.zip(end).and_then(|(start, end)| self.text.get(start..end)).unwrap_or_default()
    }

    fn wrong(&mut self, place: Place, message: String) {
        self.problems.push(Problem { place, message, secret: false });
    }
}

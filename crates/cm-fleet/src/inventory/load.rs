//! Reading an inventory's files: the only file that knows the YAML crate.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::options::DuplicateKeyPolicy;
use serde_yaml::{Error as YamlError, Location, Spanned};

use super::file::FleetFile;
use super::node::{At, FromNode, Node, Reader, What};
use super::problem::{InventoryError, Place, Problem, Sources};
use super::{Inventory, range, resolve, vars};

/// Bytes of one file at most.
const BYTES: u64 = 8 << 20;
/// Pieces of YAML that aliases may stand for, in one file.
const REPLAYED: usize = 200_000;
/// Files an inventory consists of at most.
const FILES: usize = 256;
/// How deep files may include each other.
const DEPTH: usize = 8;

impl Inventory {
    /// Reads an inventory and all it includes. `env` gives the environment's variables.
    ///
    /// # Errors
    /// A file cannot be read, or something is wrong in one: all that is found, each with its place.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, InventoryError> {
        let reader = Reader { sources: Sources::default(), problems: Vec::new(), env };
        let mut loader = Loader { reader, open: Vec::new(), seen: Vec::new(), files: Vec::new() };
        let text = read(path).map_err(|e| InventoryError::Unreadable(path.to_owned(), e))?;
        let real = std::path::absolute(path).map_err(|e| InventoryError::Unreadable(path.to_owned(), e))?;
        loader.file(path, real, &text);
        let Loader { mut reader, files, .. } = loader;
        let inventory = resolve::resolve(&files, &mut reader);
        match reader.problems.is_empty() {
            true => Ok(inventory),
            false => Err(reader.sources.wrong(reader.problems)),
        }
    }
}

struct Loader<'a> {
    reader: Reader<'a>,
    /// The files that include the one that is read, outermost first: as the system names them.
    open: Vec<PathBuf>,
    /// All that were opened, so too.
    seen: Vec<PathBuf>,
    /// What was read; included files stand before those that include them.
    files: Vec<FleetFile>,
}

impl Loader<'_> {
    fn file(&mut self, path: &Path, real: PathBuf, text: &str) {
        let system = std::fs::canonicalize(&real).unwrap_or_else(|_| real.clone());
        self.seen.push(system.clone());
        self.open.push(system);
        let number = self.reader.sources.add(path.to_owned(), real, text);
        let file = parse(number, text, &mut self.reader).and_then(|mut node| {
            vars::fill(&mut node, &mut self.reader);
            FleetFile::from_node(&node, &mut self.reader)
        });
        if let Some(file) = file {
            let includes = file.include.iter().flat_map(|many| &many.0);
            includes.for_each(|include| self.include(include));
            if let (Some(fleet), true) = (&file.fleet, self.open.len() > 1) {
                self.reader
                    .wrong(fleet.place, "an included file cannot name the fleet; the outermost one does");
            }
            self.files.push(file);
        }
        self.open.pop();
    }

    fn include(&mut self, include: &At<String>) {
        let place = include.place;
        let found = self.reader.path(place, &include.value).and_then(|path| matching(&path));
        let paths = match found {
            Ok(paths) => paths,
            Err(why) => return self.reader.wrong(place, why),
        };
        for path in paths {
            // A pattern may mean the file it stands in.
            let itself = range::is_glob(&include.value)
                && std::fs::canonicalize(&path).is_ok_and(|path| self.open.contains(&path));
            if let (false, Err(why)) = (itself, self.include_one(&path)) {
                self.reader.wrong(place, why);
            }
        }
    }

    fn include_one(&mut self, real: &Path) -> Result<(), String> {
        let path = self.shown(real);
        let shown = path.display();
        let cannot = |e: std::io::Error| format!("cannot read {shown}: {e}");
        let system = std::fs::canonicalize(real).map_err(cannot)?;
        if let Some(at) = self.open.iter().position(|open| *open == system) {
            let names = self.open[at..].iter().chain([&system]).map(|open| self.shown(open));
            let chain: Vec<_> = names.map(|path| path.display().to_string()).collect();
            return Err(format!("files include each other: {}", chain.join(" -> ")));
        }
        if self.seen.contains(&system) {
            return Err(format!("{shown} is included a second time"));
        }
        if self.open.len() > DEPTH {
            return Err(format!("files include each other more than {DEPTH} deep"));
        }
        if self.seen.len() >= FILES {
            return Err(format!("an inventory has at most {FILES} files"));
        }
        let text = read(real).map_err(cannot)?;
        self.file(&path, real.to_owned(), &text);
        Ok(())
    }

    /// A path as the user would write it, who named the outermost file.
    fn shown(&self, real: &Path) -> PathBuf {
        let (outermost, named) = (self.reader.sources.real(0), self.reader.sources.path(0));
        let dirs = outermost.parent().zip(named.parent());
        let near = dirs.and_then(|(dir, named)| real.strip_prefix(dir).ok().map(|rest| named.join(rest)));
        near.unwrap_or_else(|| real.to_owned())
    }
}

/// The files a path means, in the order of their names. A name with a star may mean none.
fn matching(path: &Path) -> Result<Vec<PathBuf>, String> {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let dir = path.parent().unwrap_or(Path::new(""));
    if range::is_glob(&dir.to_string_lossy()) {
        return Err("`*` and `?` can be in a file's name, not in a directory's".to_owned());
    }
    if !range::is_glob(name) {
        return Ok(vec![path.to_owned()]);
    }
    let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let entries = match std::fs::read_dir(here) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(format!("cannot read {}: {e}", here.display())),
    };
    let mut found: Vec<PathBuf> = entries
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|text| !text.starts_with('.') && range::glob(name, text))
        })
        .map(|entry| dir.join(entry.file_name()))
        .filter(|path| path.is_file())
        .collect();
    found.sort();
    Ok(found)
}

fn read(path: &Path) -> std::io::Result<String> {
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
fn parse(file: u16, text: &str, reader: &mut Reader<'_>) -> Option<Node> {
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
        return "an inventory is one YAML document: take `---` and what follows away".to_owned();
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
            Raw::Map(entries) => What::Map(self.map(entries)),
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

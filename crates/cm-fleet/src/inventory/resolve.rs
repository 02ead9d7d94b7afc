//! Hosts of what files say: ranges expanded, groups flattened, settings inherited, references checked. PURE.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::file::{Entry, FleetFile, Group, Settings};
use super::{Host, Inventory, range};
use crate::circle::circle;
use crate::yaml::{At, Place, Reader, meant};

mod groups;
mod host;
mod jump;

use groups::Tree;

/// What a name is that ends up on hosts.
const FLEET: &str = "a fleet";
/// Hosts an inventory has at most.
const MOST: usize = range::MOST;

/// A host as it is defined: its name, where that stands, and what is said of it alone.
struct Defined<'a> {
    name: At<String>,
    own: Option<&'a Settings>,
}

/// All definitions, in the order of the files.
#[derive(Default)]
struct Definitions<'a> {
    all: Vec<Defined<'a>>,
    by_name: HashMap<String, usize>,
}

/// The inventory of these files, the outermost last. What is wrong is noted in the reader, and what is
/// returned is only good if nothing was.
pub fn resolve(files: &[FleetFile], reader: &mut Reader<'_>) -> Inventory {
    let mut defaults = Settings::default();
    files.iter().for_each(|file| defaults.merge(&file.defaults));
    let mut hosts = Definitions::default();
    for file in files {
        for entry in &file.hosts.0 {
            hosts.define(entry, true, reader);
        }
        for (_, group) in &file.groups.0 {
            if let Some(group) = group {
                hosts.within(group, reader);
            }
        }
    }
    let tree = Tree::new(files, reader);
    let members = tree.members(&hosts, reader);
    let fleet = files.last().and_then(|file| file.fleet.as_ref());
    let resolved = inherit(&hosts, &tree, &members, &defaults, reader);
    jump::check(&hosts, &resolved, reader);
    host::one_local(&hosts, &resolved, reader);
    Inventory {
        name: fleet_name(fleet, reader),
        file: reader.sources.path(0).to_owned(),
        files: reader.sources.paths(),
        groups: tree.names(),
        hosts: resolved,
    }
}

/// Every host with what it inherits. Hosts of the same groups inherit the same: that is computed once.
fn inherit(
    hosts: &Definitions<'_>,
    tree: &Tree<'_>,
    members: &[Vec<usize>],
    defaults: &Settings,
    reader: &mut Reader<'_>,
) -> Vec<Host> {
    let mut inherited: HashMap<&[usize], (Settings, BTreeSet<String>)> = HashMap::new();
    let mut resolved = Vec::with_capacity(hosts.all.len());
    for (index, defined) in hosts.all.iter().enumerate() {
        let groups = members.get(index).map_or(&[][..], Vec::as_slice);
        let (outer, names) = inherited.entry(groups).or_insert_with(|| tree.settings(groups, defaults));
        let mut settings = outer.clone();
        if let Some(own) = defined.own {
            settings.merge(own);
        }
        let own_jump = defined.own.is_some_and(|own| own.jump.is_some());
        resolved.push(host::host(&defined.name.value, settings, own_jump, names.clone(), reader));
    }
    resolved
}

impl<'a> Definitions<'a> {
    /// Hosts that groups define rather than name.
    fn within(&mut self, group: &'a Group, reader: &mut Reader<'_>) {
        for entry in &group.hosts.0 {
            if let Some(settings) = &entry.settings {
                self.define(entry, *settings != Settings::default(), reader);
            }
        }
        for (_, inner) in &group.groups.0 {
            if let Some(inner) = inner {
                self.within(inner, reader);
            }
        }
    }

    /// Adds the hosts of an entry. `strict`: they cannot be there already.
    fn define(&mut self, entry: &'a Entry, strict: bool, reader: &mut Reader<'_>) {
        let Entry { pattern, settings } = entry;
        let names = match range::expand(&pattern.value) {
            Ok(names) => names,
            Err(why) => return reader.wrong(pattern.place, why),
        };
        if self.all.len() + names.len() > MOST {
            return reader.wrong(pattern.place, format!("an inventory has at most {MOST} hosts"));
        }
        for name in names {
            if let Err(why) = host_name(&name) {
                return reader.wrong(pattern.place, why);
            }
            if let Some(first) = self.by_name.get(&name).and_then(|index| self.all.get(*index)) {
                if strict {
                    let at = place_of(first.name.place, pattern.place, reader);
                    let common = "what several hosts have in common stands in a group";
                    reader.wrong(pattern.place, format!("the host `{name}` is already in {at}; {common}"));
                    return;
                }
                continue;
            }
            self.by_name.insert(name.clone(), self.all.len());
            self.all.push(Defined { name: At { place: pattern.place, value: name }, own: settings.as_ref() });
        }
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    fn near(&self, name: &str) -> Option<&str> {
        meant(name, self.all.iter().map(|host| host.name.value.as_str()))
    }
}

/// A place, for a sentence about another place.
fn place_of(place: Place, seen_from: Place, reader: &Reader<'_>) -> String {
    match place.file == seen_from.file {
        true => format!("line {}", place.line),
        false => format!("{}:{}", reader.sources.path(place.file).display(), place.line),
    }
}

/// Whether a text can be a host's name.
///
/// # Errors
/// In words: it cannot, and why.
pub(super) fn host_name(name: &str) -> Result<(), String> {
    if let Some((_, host)) = name.split_once('@').filter(|(user, _)| !user.is_empty()) {
        return Err(format!("`{name}` is no host's name; write `{host}:` and under it `user:`"));
    }
    known_as(name, "a host")
}

/// Names are what selectors and paths can hold.
fn known_as(name: &str, what: &str) -> Result<(), String> {
    let sign = |c: char| !c.is_alphanumeric() && !"._-".contains(c);
    match name.chars().find(|c| sign(*c)) {
        _ if what == FLEET && !name.is_ascii() => {
            Err(format!("only ASCII letters can be in the name of a fleet: `{name}`"))
        }
        _ if name.is_empty() => Err(format!("{what} needs a name")),
        _ if name.len() > 253 => Err(format!("`{name}` is over 253 bytes: too long for {what}")),
        _ if name.starts_with(['-', '.']) => Err(format!("the name of {what} cannot begin as `{name}` does")),
        _ if name == "all" => Err(format!("`all` means all hosts; {what} cannot be called so")),
        Some(c) => Err(format!("`{c}` cannot be in the name of {what}: `{name}`")),
        None => Ok(()),
    }
}

/// What the file says; else its name, or its directory's where the file's is the usual one.
fn fleet_name(said: Option<&At<String>>, reader: &mut Reader<'_>) -> String {
    if let Some(At { place, value }) = said {
        if let Err(why) = known_as(value, FLEET) {
            reader.wrong(*place, why);
        }
        return value.clone();
    }
    usual_name(reader.sources.real(0))
}

/// The name of a fleet whose file does not say it.
pub(super) fn usual_name(path: &Path) -> String {
    let text = |part: Option<&std::ffi::OsStr>| {
        part.and_then(|part| part.to_str()).map(tidy).filter(|name| known_as(name, FLEET).is_ok())
    };
    let stem = text(path.file_stem()).filter(|stem| stem != "fleet");
    stem.or_else(|| text(path.parent().and_then(Path::file_name))).unwrap_or_else(|| "default".to_owned())
}

fn tidy(text: &str) -> String {
    let tidy: String =
        text.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect();
    tidy.trim_start_matches(['-', '.']).to_owned()
}

/// The chain of a circle, for people: `a -> b -> a`.
fn chain(names: &[&str]) -> String {
    names.join(" -> ")
}

/// Indices by name.
type Index = BTreeMap<String, usize>;

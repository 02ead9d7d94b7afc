//! Names of combinations: as the file says, and different ones where they would be the same. PURE.

use std::collections::{HashMap, HashSet};

use cm_agent::work::names::slug;

use super::file::{Read, Task};
use super::spread::{All, Made};
use super::template::{HOST, Seat, placeholder};
use crate::yaml::Reader;

/// Bytes of a name at most; agents take no longer ones.
const LONGEST: usize = 64;

/// Gives every combination its name.
pub fn give(read: &Read, all: &mut All<'_>, reader: &mut Reader<'_>) {
    let mut taken: HashMap<String, usize> = HashMap::new();
    for (index, task) in read.tasks.iter().enumerate() {
        let Some((name, range)) = task.name.as_ref().zip(all.of.get(index)) else { continue };
        let made = all.made.get_mut(range.clone()).unwrap_or_default();
        fill(task, made, reader);
        for made in made {
            let Some(text) = &made.name else { continue };
            let first = *taken.entry(text.clone()).or_insert(index);
            // The same name in the file twice has been noted.
            let other = read.tasks.get(first).and_then(|task| task.name.as_ref());
            if let Some(other) = other.filter(|_| first != index) {
                if other.0.written() != name.0.written() {
                    let line = other.0.place.line;
                    reader.wrong(
                        name.0.place,
                        format!("the name `{text}` is also made of the one in line {line}"),
                    );
                }
                break;
            }
        }
    }
}

/// The names of one task's combinations.
fn fill(task: &Task, made: &mut [Made<'_>], reader: &mut Reader<'_>) {
    let Some(name) = &task.name else { return };
    for made in made.iter_mut() {
        match name.0.fill(&made.scope) {
            Ok(filled) => made.name = Some(filled.text),
            Err(why) => return reader.wrong(name.0.place, why),
        }
        // Checked as it stands; what is added to it below fits.
        if name.value(&made.scope, reader).is_none() && !name.0.needs_host() {
            return;
        }
    }
    let missing = missing(task);
    for made in made.iter_mut() {
        let longer = longer(made, &missing);
        made.name = Some(longer);
    }
    let mut taken = HashSet::with_capacity(made.len());
    for made in made.iter_mut() {
        let name = made.name.take().unwrap_or_default();
        made.name = Some(free(&name, &mut taken));
    }
}

/// The keys that make several tasks of one and are not in its name. That follows from the file alone, not from how
/// many hosts there are, so that the names others refer to are always the same.
fn missing(task: &Task) -> Vec<&str> {
    let used: HashSet<&str> = task.name.iter().flat_map(|name| name.0.keys()).collect();
    let matrix = task.settings.matrix.iter().flat_map(|matrix| &matrix.keys);
    let keys = matrix.filter(|(_, values)| values.len() > 1).map(|(key, _)| key.as_str());
    let host = task.each_host().then_some(HOST);
    keys.chain(host).filter(|key| !used.contains(key)).collect()
}

/// The name with the values that are not in it yet.
fn longer(made: &Made<'_>, missing: &[&str]) -> String {
    let mut name = made.name.clone().unwrap_or_default();
    let values = made.scope.values.iter().filter(|(key, _)| missing.contains(key));
    for value in values.filter_map(|(_, value)| *value) {
        name = format!("{name}-{}", slug(value, "x"));
    }
    match made.scope.seat {
        Seat::Here(host) if missing.contains(&HOST) => format!("{name}-{}", slug(&host.name, "x")),
        Seat::Later if missing.contains(&HOST) => format!("{name}-{}", placeholder(HOST)),
        _ => name,
    }
}

/// The name, or the first of `name-2`, `name-3`, … that is free.
fn free(wanted: &str, taken: &mut HashSet<String>) -> String {
    let cut = |room: usize| {
        let mut end = wanted.len().min(room);
        while !wanted.is_char_boundary(end) {
            end -= 1;
        }
        wanted[..end].trim_end_matches('-')
    };
    let mut name = cut(LONGEST).to_owned();
    let mut number = 2_usize;
    while !taken.insert(name.clone()) {
        name = format!("{}-{number}", cut(LONGEST - 7));
        number += 1;
    }
    name
}

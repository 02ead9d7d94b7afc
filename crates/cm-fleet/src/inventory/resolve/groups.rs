//! The tree of groups: who is in which, and what holds there. PURE.

use std::collections::BTreeSet;

use super::{Definitions, Index, chain, circle, known_as, range};
use crate::inventory::file::{Entry, FleetFile, Group, Groups, Settings};
use crate::yaml::{At, Reader, meant};

/// All groups of all files, flat.
#[derive(Default)]
pub struct Tree<'a> {
    groups: Vec<Flat<'a>>,
    by_name: Index,
}

/// A group, all that files say of it together.
#[derive(Default)]
struct Flat<'a> {
    name: String,
    settings: Settings,
    entries: Vec<&'a Entry>,
    /// The groups in it, each with where that is said.
    inner: Vec<&'a At<String>>,
    /// Itself and every group around it.
    around: BTreeSet<usize>,
    /// The longest way to it from a group that is in no other.
    depth: usize,
}

impl<'a> Tree<'a> {
    /// Flattens the groups of all files, and notes what is wrong with them.
    pub fn new(files: &'a [FleetFile], reader: &mut Reader<'_>) -> Self {
        let mut tree = Self::default();
        files.iter().for_each(|file| tree.add(&file.groups, reader));
        let edges = tree.edges(reader);
        match circle(&edges) {
            Some(nodes) => tree.circular(&nodes, reader),
            None => tree.measure(&edges),
        }
        tree
    }

    fn add(&mut self, groups: &'a Groups, reader: &mut Reader<'_>) {
        for (name, group) in &groups.0 {
            if let Some(group) = group {
                self.add_one(name, group, reader);
            }
        }
    }

    fn add_one(&mut self, name: &'a At<String>, group: &'a Group, reader: &mut Reader<'_>) {
        if let Err(why) = known_as(&name.value, "a group") {
            return reader.wrong(name.place, why);
        }
        let next = self.groups.len();
        let index = *self.by_name.entry(name.value.clone()).or_insert(next);
        if index == next {
            self.groups.push(Flat { name: name.value.clone(), ..Flat::default() });
        }
        let flat = &mut self.groups[index];
        flat.settings.merge(&group.settings);
        flat.entries.extend(&group.hosts.0);
        flat.inner.extend(group.groups.0.iter().map(|(inner, _)| inner));
        self.add(&group.groups, reader);
    }

    /// The groups in each group.
    fn edges(&self, reader: &mut Reader<'_>) -> Vec<Vec<usize>> {
        let mut edges = Vec::with_capacity(self.groups.len());
        for group in &self.groups {
            let mut inner = Vec::new();
            for name in &group.inner {
                match self.by_name.get(&name.value) {
                    Some(index) => inner.push(*index),
                    // A name that cannot be one has been noted already.
                    None if known_as(&name.value, "a group").is_err() => {}
                    None => {
                        let near = self.near(&name.value).map(|near| format!("; did you mean `{near}`?"));
                        let near = near.unwrap_or_default();
                        reader.wrong(name.place, format!("there is no group `{}`{near}", name.value));
                    }
                }
            }
            edges.push(inner);
        }
        edges
    }

    fn circular(&self, nodes: &[usize], reader: &mut Reader<'_>) {
        let names: Vec<&str> = nodes.iter().map(|index| self.groups[*index].name.as_str()).collect();
        let [.., from, to] = nodes[..] else { return };
        let edge = self.groups[from].inner.iter().find(|name| name.value == self.groups[to].name);
        if let Some(name) = edge {
            reader.wrong(name.place, format!("a group cannot be in itself: {}", chain(&names)));
        }
    }

    /// What is around each group, and how deep it is. There is no circle.
    fn measure(&mut self, edges: &[Vec<usize>]) {
        let mut waiting = vec![0; edges.len()];
        edges.iter().flatten().for_each(|inner| waiting[*inner] += 1);
        let mut ready: Vec<usize> = (0..edges.len()).filter(|index| waiting[*index] == 0).collect();
        while let Some(index) = ready.pop() {
            self.groups[index].around.insert(index);
            let (around, depth) = (self.groups[index].around.clone(), self.groups[index].depth);
            for inner in &edges[index] {
                self.groups[*inner].around.extend(&around);
                self.groups[*inner].depth = self.groups[*inner].depth.max(depth + 1);
                waiting[*inner] -= 1;
                if waiting[*inner] == 0 {
                    ready.push(*inner);
                }
            }
        }
    }

    /// For every host the groups it is in, the groups around them too, outermost first; those of the same
    /// depth in the order of the files.
    pub fn members(&self, hosts: &Definitions<'_>, reader: &mut Reader<'_>) -> Vec<Vec<usize>> {
        let mut sets = vec![BTreeSet::new(); hosts.all.len()];
        for group in &self.groups {
            for entry in &group.entries {
                for host in self.meant(entry, hosts, reader) {
                    sets[host].extend(&group.around);
                }
            }
        }
        let sorted = sets.into_iter().map(|set| {
            let mut all: Vec<usize> = set.into_iter().collect();
            all.sort_by_key(|index| (self.groups[*index].depth, *index));
            all
        });
        sorted.collect()
    }

    fn meant(&self, entry: &Entry, hosts: &Definitions<'_>, reader: &mut Reader<'_>) -> Vec<usize> {
        let Entry { pattern: At { place, value }, settings } = entry;
        // Of definitions, what is wrong has been noted.
        let silent = settings.is_some();
        if range::is_glob(value) {
            let all = hosts.all.iter().enumerate().filter(|(_, host)| range::glob(value, &host.name.value));
            let found: Vec<usize> = all.map(|(index, _)| index).collect();
            if found.is_empty() && !silent {
                reader.wrong(*place, format!("no host is called as `{value}` says"));
            }
            return found;
        }
        let names = match range::expand(value) {
            Ok(names) => names,
            Err(why) => {
                if !silent {
                    reader.wrong(*place, why);
                }
                return Vec::new();
            }
        };
        let (found, missing): (Vec<_>, Vec<_>) =
            names.iter().map(|name| hosts.find(name).ok_or(name)).partition(Result::is_ok);
        if let (Some(Err(name)), false) = (missing.first(), silent) {
            reader.wrong(*place, self.no_host(name, hosts));
        }
        found.into_iter().flatten().collect()
    }

    fn no_host(&self, name: &str, hosts: &Definitions<'_>) -> String {
        let bare = name.strip_prefix('@').unwrap_or(name);
        if self.by_name.contains_key(bare) {
            return format!("`{bare}` is a group: put it under `groups`");
        }
        let hint = match hosts.near(name) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("add `{name}` under `hosts`"),
        };
        format!("there is no host `{name}`; {hint}")
    }

    fn near(&self, name: &str) -> Option<&str> {
        meant(name, self.by_name.keys().map(String::as_str))
    }

    /// What holds in all these groups, and their names.
    pub fn settings(&self, groups: &[usize], defaults: &Settings) -> (Settings, BTreeSet<String>) {
        let mut settings = defaults.clone();
        let mut names = BTreeSet::new();
        for group in groups.iter().filter_map(|index| self.groups.get(*index)) {
            settings.merge(&group.settings);
            names.insert(group.name.clone());
        }
        (settings, names)
    }

    /// Every group's name.
    pub fn names(&self) -> BTreeSet<String> {
        self.by_name.keys().cloned().collect()
    }
}

//! Which hosts a selector means, for tasks that are made for each of them. PURE.

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;

use super::HostFacts;
use crate::inventory::{Host, Inventory, Selector};

/// The hosts there are.
pub struct Hosts<'a> {
    /// What is known of them; none where they come later.
    pub facts: Option<&'a [HostFacts]>,
    inventory: Option<Inventory>,
    /// Every selector is looked into once.
    found: HashMap<String, Result<Vec<usize>, String>>,
}

impl<'a> Hosts<'a> {
    /// They are not known yet.
    pub fn later() -> Self {
        Self { facts: None, inventory: None, found: HashMap::new() }
    }

    /// These.
    pub fn known(facts: &'a [HostFacts]) -> Self {
        Self { facts: Some(facts), inventory: None, found: HashMap::new() }
    }

    /// The places of those that a selector means; all without one.
    ///
    /// # Errors
    /// In words: it selects none.
    pub fn select(&mut self, on: Option<&str>) -> Result<Vec<usize>, String> {
        let facts = self.facts.unwrap_or_default();
        let Some(on) = on else { return Ok((0..facts.len()).collect()) };
        if let Some(found) = self.found.get(on) {
            return found.clone();
        }
        let inventory = self.inventory.get_or_insert_with(|| inventory(facts));
        let found = look(inventory, on);
        self.found.insert(on.to_owned(), found.clone());
        found
    }
}

fn look(inventory: &Inventory, on: &str) -> Result<Vec<usize>, String> {
    let chosen = Selector::parse(on).and_then(|one| {
        let chosen = inventory.select(&[one])?;
        Ok(chosen.into_iter().map(|host| host.name.as_str()).collect::<BTreeSet<_>>())
    });
    match chosen {
        Ok(names) => {
            let all = inventory.hosts.iter().enumerate();
            Ok(all.filter(|(_, host)| names.contains(host.name.as_str())).map(|(at, _)| at).collect())
        }
        Err(error) => {
            let hint = error.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            Err(format!("{error}{hint}"))
        }
    }
}

/// As much of an inventory as selectors look at.
fn inventory(facts: &[HostFacts]) -> Inventory {
    let host = |facts: &HostFacts| Host {
        labels: facts.labels.clone(),
        groups: facts.groups.clone(),
        ..Host::named(&facts.name)
    };
    Inventory {
        name: String::new(),
        file: PathBuf::new(),
        files: Vec::new(),
        groups: facts.iter().flat_map(|facts| facts.groups.iter().cloned()).collect(),
        hosts: facts.iter().map(host).collect(),
    }
}

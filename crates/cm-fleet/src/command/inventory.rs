//! Which inventory and which of its hosts a command is about: arguments that commands share.

use std::path::{Path, PathBuf};

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::inventory::{self, Host, Inventory, InventoryError, SelectError, Selector};

/// For commands whose object is the inventory.
#[derive(Debug, Clone, Args)]
pub struct InventoryArgs {
    /// The inventory [default: fleet.yaml here, else ~/.config/cm-fleet/fleet.yaml]
    #[arg(value_name = "FILE", conflicts_with = "inventory")]
    pub file: Option<PathBuf>,
    /// The inventory, where another argument would be taken for it
    #[arg(long, short, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Only these hosts: a name (gpu-01, gpu-*), @group or label=value, joined by , & !. May be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub on: Vec<String>,
}

/// For commands whose object is something else.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct InventoryOption {
    /// The inventory [default: fleet.yaml here, else ~/.config/cm-fleet/fleet.yaml]
    #[arg(long, short, value_name = "FILE")]
    pub inventory: Option<PathBuf>,
    /// Only these hosts: a name (gpu-01, gpu-*), @group or label=value, joined by , & !. May be repeated
    #[arg(long, value_name = "SELECTOR")]
    pub on: Vec<String>,
}

impl InventoryArgs {
    /// The inventory and the hosts that are meant, at least one.
    ///
    /// # Errors
    /// There is none, it has mistakes or no hosts, or a selector selects none.
    pub fn load(&self) -> Result<(Inventory, Vec<Host>), Failure> {
        load(self.path(), &self.on)
    }

    /// The file that was named, in either way.
    pub fn path(&self) -> Option<&Path> {
        self.file.as_deref().or(self.inventory.as_deref())
    }
}

impl InventoryOption {
    /// The inventory and the hosts that are meant, at least one.
    ///
    /// # Errors
    /// There is none, it has mistakes or no hosts, or a selector selects none.
    pub fn load(&self) -> Result<(Inventory, Vec<Host>), Failure> {
        load(self.inventory.as_deref(), &self.on)
    }
}

fn load(path: Option<&Path>, on: &[String]) -> Result<(Inventory, Vec<Host>), Failure> {
    let inventory = read(path).map_err(|error| error.failure())?;
    if inventory.hosts.is_empty() {
        let what = format!("{} has no hosts", inventory.file.display());
        return Err(Failure::usage(what).hint("add some under `hosts`; `cm-fleet init` shows how"));
    }
    let hosts = select(&inventory, on)?;
    Ok((inventory, hosts))
}

/// The inventory of a file, or of the place where it is looked for.
pub(super) fn read(path: Option<&Path>) -> Result<Inventory, InventoryError> {
    Inventory::load(&inventory::find(path)?, &|name| std::env::var(name).ok())
}

/// The hosts that are meant; all of them if nothing is said.
pub(super) fn select(inventory: &Inventory, on: &[String]) -> Result<Vec<Host>, Failure> {
    let failure = |error: &SelectError| {
        let failure = Failure::usage(error.to_string());
        error.hint().into_iter().fold(failure, Failure::hint)
    };
    let selectors: Result<Vec<Selector>, _> = on.iter().map(|text| Selector::parse(text)).collect();
    let selectors = selectors.map_err(|error| failure(&error))?;
    let hosts = inventory.select(&selectors).map_err(|error| failure(&error))?;
    Ok(hosts.into_iter().cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_inventory_and_its_selected_hosts() {
        let dir = tempfile::tempdir().expect("a directory");
        let check = |text: &str, on: &[&str], expected: &str| {
            let file = dir.path().join("fleet.yaml");
            std::fs::write(&file, text).expect("written");
            let on: Vec<String> = on.iter().map(|text| (*text).to_owned()).collect();
            let positional = InventoryArgs { file: Some(file.clone()), inventory: None, on: on.clone() };
            let option = InventoryOption { inventory: Some(file), on };
            for loaded in [positional.load(), option.load()] {
                match loaded {
                    Ok((inventory, hosts)) => {
                        assert!(inventory.hosts.len() >= hosts.len());
                        let names: Vec<&str> = hosts.iter().map(|host| host.name.as_str()).collect();
                        assert_eq!(names.join(" "), expected);
                    }
                    Err(failure) => {
                        assert!(failure.to_string().contains(expected), "{failure}");
                        assert_eq!(failure.kind.exit().code(), 2);
                    }
                }
            }
        };
        check("hosts: [a, b, c]", &[], "a b c");
        check("hosts: [a, b, c]", &["c", "a"], "a c");
        check("hosts: [a, b, c]", &["c", "!c"], "no host is selected by `c, !c`");
        check("hosts: [a, b, c]", &["("], "a name is missing");
        check("hosts: []", &[], "has no hosts\n  hint: add some under `hosts`");
        check("hosts: 5", &[], "has a mistake");
    }
}

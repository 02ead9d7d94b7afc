//! Whole inventories: what is made of them, and what is said of bad ones.

use std::path::{Path, PathBuf};

use super::{Inventory, InventoryError};

mod bad;
mod example;
mod good;
mod secrets;

/// The variables of these tests.
pub fn env(name: &str) -> Option<String> {
    let value = match name {
        "HOME" => "/home/op",
        "ZONE" => "eu",
        "PORT" => "2200",
        "EMPTY" => "",
        _ => return None,
    };
    Some(value.to_owned())
}

/// Writes files into a directory, and loads the first one.
pub fn load(files: &[(&str, &str)]) -> (tempfile::TempDir, Result<Inventory, InventoryError>) {
    let dir = tempfile::tempdir().expect("a directory");
    for (name, text) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        std::fs::write(path, text).expect("written");
    }
    let loaded = Inventory::load(&dir.path().join(files[0].0), &env);
    (dir, loaded)
}

/// A good inventory of one file.
pub fn inventory(text: &str) -> Inventory {
    load(&[("fleet.yaml", text)]).1.unwrap_or_else(|error| panic!("{error}"))
}

/// What is said, without the directory.
pub fn said(files: &[(&str, &str)]) -> String {
    let (dir, loaded) = load(files);
    let error = loaded.err().unwrap_or_else(|| panic!("this is good: {files:?}"));
    let dir = format!("{}/", dir.path().display());
    error.failure().to_string().replace(&dir, "")
}

/// The names of hosts.
pub fn names(inventory: &Inventory) -> String {
    inventory.hosts.iter().map(|host| host.name.as_str()).collect::<Vec<_>>().join(" ")
}

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

//! The schema in `docs/` is the one the types make, and names every field the golden files hold.
#![cfg(feature = "schema")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[test]
fn docs_hold_the_schema_of_the_types() {
    let file = here("../../docs/protocol.schema.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    let stored: Value = serde_json::from_str(&text).unwrap();
    assert!(
        stored == cm_protocol::schema::document(),
        "docs/protocol.schema.json is not what the types say; write it anew with `cargo xtask schema`"
    );
}

/// Every key of an object that describes messages, down to the leaves. Maps whose keys are the user's (`env`)
/// or a tool's (a hook's `event` and `output`) are not followed.
fn keys(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            for (key, value) in map {
                found.insert(key.clone());
                if !matches!(key.as_str(), "env" | "event" | "output") {
                    keys(value, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| keys(item, found)),
        _ => {}
    }
}

/// All property names anywhere in the schema.
fn properties(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Object(named)) = map.get("properties") {
                found.extend(named.keys().cloned());
            }
            map.values().for_each(|value| properties(value, found));
        }
        Value::Array(items) => items.iter().for_each(|item| properties(item, found)),
        _ => {}
    }
}

#[test]
fn the_golden_files_use_every_property_and_no_other() {
    let mut used = BTreeSet::new();
    for entry in std::fs::read_dir(here("tests/wire")).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        keys(&serde_json::from_str(&text).unwrap(), &mut used);
    }
    let mut named = BTreeSet::new();
    properties(&cm_protocol::schema::document(), &mut named);
    assert_eq!(used, named);
}

//! What docs/tasks.md shows: every file in it can be read, and stands for what it says.

use std::path::{Path, PathBuf};

use super::super::file::Settings;
use super::super::schema;
use super::{good, listed};

fn repository(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(name)
}

fn page() -> String {
    std::fs::read_to_string(repository("docs/tasks.md")).expect("read")
}

/// The blocks of a kind, in order: `yaml` is a file of tasks, `text` what it stands for.
fn blocks() -> Vec<(String, String)> {
    let (mut blocks, mut open) = (Vec::new(), None);
    for line in page().lines() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(kind), None) => open = Some((kind.to_owned(), String::new())),
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some((kind, text))) => open = Some((kind, format!("{text}{line}\n"))),
            (None, None) => {}
        }
    }
    blocks
}

#[test]
fn the_examples_are_good_and_stand_for_what_is_said() {
    let blocks = blocks();
    let mut files = 0;
    for (at, (kind, text)) in blocks.iter().enumerate() {
        if kind != "yaml" {
            continue;
        }
        files += 1;
        good(text);
        if let Some((_, expected)) = blocks.get(at + 1).filter(|(kind, _)| kind == "text") {
            assert_eq!(&listed(text), expected, "{text}");
        }
    }
    assert!(files >= 4, "{files} examples");
}

#[test]
fn every_key_is_named() {
    let page = page();
    for key in Settings::KEYS.iter().chain(&["task", "name", "after", "defaults", "tasks"]) {
        assert!(page.contains(&format!("`{key}`")), "docs/tasks.md does not name `{key}`");
    }
}

/// `cargo run -p cm-fleet -- schema tasks > docs/tasks.schema.json` writes it anew.
#[test]
fn the_schema_in_the_documentation_is_the_one_printed() {
    let file = std::fs::read_to_string(repository("docs/tasks.schema.json")).expect("read");
    let now = serde_json::to_string_pretty(&schema()).expect("JSON");
    let how = "run: cargo run -p cm-fleet -- schema tasks > docs/tasks.schema.json";
    assert!(file.trim_end() == now, "{how}");
}

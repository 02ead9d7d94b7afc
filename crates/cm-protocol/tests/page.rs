//! `docs/protocol.md` shows every golden file, and nothing else.

use std::path::Path;

use serde_json::Value;

#[test]
fn the_page_shows_every_message_as_it_is() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(here.join("../../docs/protocol.md")).unwrap();
    let mut shown: Vec<Value> = page
        .lines()
        .filter_map(|line| line.strip_prefix("-> ").or_else(|| line.strip_prefix("<- ")))
        .map(|text| serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")))
        .collect();
    for entry in std::fs::read_dir(here.join("tests/wire")).unwrap() {
        let path = entry.unwrap().path();
        let golden: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let at = shown.iter().position(|example| *example == golden);
        shown.remove(at.unwrap_or_else(|| panic!("docs/protocol.md does not show {}", path.display())));
    }
    assert!(shown.is_empty(), "in docs/protocol.md, but in no golden file: {shown:#?}");
}

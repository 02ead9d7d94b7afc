//! Every captured screen of a coding CLI: what is seen on it is what was true.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::*;
use crate::tool::profile::tests::profiles;

/// What is known of a captured screen: the file beside it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    tool: String,
    version: String,
    size: (u16, u16),
    cursor: (u16, u16, bool),
    alternate: bool,
    history: u64,
    title: String,
    #[allow(dead_code)]
    note: String,
    expect: Expected,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    state: String,
    reason: Option<String>,
    dialog: Option<ExpectedDialog>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedDialog {
    kind: String,
    question: Option<String>,
    subject: Option<String>,
    options: Vec<ExpectedOption>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct ExpectedOption {
    label: String,
    meaning: String,
    selected: bool,
    key: Option<String>,
}

pub(super) fn captured() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/screens");
    let list = |dir: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<_> =
            std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let mut found = Vec::new();
    for tool in list(&root).into_iter().filter(|path| path.is_dir()) {
        for path in list(&tool) {
            let below = if path.is_dir() { list(&path) } else { vec![path] };
            found
                .extend(below.into_iter().filter(|path| path.extension().is_some_and(|end| end == "screen")));
        }
    }
    found
}

/// A captured screen as it was, what is known of it, and its tool's profile.
pub(super) struct Captured {
    pub(super) screen: Screen,
    pub(super) cursor: Cursor,
    pub(super) profile: Profile,
    expect: Expected,
}

pub(super) fn read(path: &Path) -> Captured {
    let text = std::fs::read_to_string(path).unwrap();
    let toml = std::fs::read_to_string(path.with_extension("toml")).unwrap();
    let case: Case = toml::from_str(&toml).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let screen = Screen {
        cols: case.size.0,
        rows: case.size.1,
        history: case.history,
        alternate: case.alternate,
        title: case.title,
        ..Screen::default()
    }
    .with_text(&text);
    let cursor = Cursor { col: case.cursor.0, row: case.cursor.1, visible: case.cursor.2 };
    let profile = profiles().for_version(&case.tool, Some(&case.version));
    Captured { screen, cursor, profile, expect: case.expect }
}

/// What differs from what is expected.
fn differences(path: &Path) -> String {
    let case = read(path);
    let seen = explain(&case.profile, &case.screen, Some(case.cursor));
    let mut wrong = String::new();
    let mut check = |what: &str, seen: &str, expected: &str| {
        if seen != expected {
            let _ = write!(wrong, "\n    {what}: {seen:?}\n      not {expected:?}");
        }
    };
    let works = ["running", "planning", "editing", "testing"];
    let state = if works.contains(&seen.state.as_str()) { "running" } else { &seen.state };
    check("state", state, &case.expect.state);
    let word = |reason: Option<&str>| {
        reason.map(|r| r.split(':').next().unwrap_or(r).to_owned()).unwrap_or_default()
    };
    check("reason", &word(seen.reason.as_deref()), &word(case.expect.reason.as_deref()));
    let is_menu = case.expect.state == "waiting" && case.expect.dialog.is_none();
    match (&seen.dialog, &case.expect.dialog) {
        (Some(seen), Some(expected)) => {
            check("kind", &seen.kind, &expected.kind);
            check("question", &seen.question, expected.question.as_deref().unwrap_or(""));
            check(
                "subject",
                seen.subject.as_deref().unwrap_or(""),
                expected.subject.as_deref().unwrap_or(""),
            );
            let options =
                |options: &[ExpectedOption]| options.iter().map(|o| format!("{o:?}\n")).collect::<String>();
            let drawn: Vec<_> = seen
                .options
                .iter()
                .map(|o| ExpectedOption {
                    label: o.label.clone(),
                    meaning: o.meaning.clone(),
                    selected: o.selected,
                    key: o.key.clone(),
                })
                .collect();
            for (i, (seen, expected)) in drawn.iter().zip(&expected.options).enumerate() {
                check(&format!("option {}", i + 1), &format!("{seen:?}"), &format!("{expected:?}"));
            }
            if drawn.len() != expected.options.len() {
                check("options", &options(&drawn), &options(&expected.options));
            }
        }
        // A menu the user opened is not described.
        (Some(_), None) if is_menu => {}
        (Some(_), None) => check("dialog", "one", "none"),
        (None, Some(_)) => check("dialog", "none", "one"),
        (None, None) => {}
    }
    if wrong.is_empty() { wrong } else { format!("\n{} (by {}){wrong}", path.display(), seen.rule) }
}

#[test]
fn captured_screens_of_tools() {
    let paths = captured();
    assert!(paths.len() >= 400, "only {} captured screens", paths.len());
    let wrong: Vec<String> =
        paths.iter().map(|path| differences(path)).filter(|text| !text.is_empty()).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} screens are seen wrongly:{}",
        wrong.len(),
        paths.len(),
        wrong.concat()
    );
}

/// The state and the reason's first word on a screen drawn here.
fn state(tool: &str, text: &str) -> String {
    let screen = Screen { cols: 90, rows: 40, ..Screen::default() }.with_text(text);
    let seen = explain(&profiles().for_tool(tool), &screen, None);
    let word = seen.reason.as_deref().and_then(|reason| reason.split(':').next());
    word.map_or_else(|| seen.state.clone(), |word| format!("{} {word}", seen.state))
}

#[test]
fn turns_end_as_the_tool_says_not_as_the_model_says() {
    let rule = "─".repeat(90);
    let claude = |last: &str| format!("❯ do it\n\n{last}\n\n{rule}\n❯ \n{rule}\n  ? for shortcuts");
    let table = [
        ("● Your rate limit handling is in place.\n\n✻ Baked for 2s", "done"),
        ("● Server error pages work now. API Error: 500 is shown as before.", "done"),
        ("● Interrupted downloads go on.\n\n✻ Baked for 2s", "done"),
        ("● Bash(curl x)\n  ⎿  Error: 401 unauthorized\n\n● It needs a login.\n\n✻ Baked for 2s", "done"),
        ("● API Error: 529 Overloaded", "failed api_error"),
        ("● API Error: 500 x\n\n✻ Baked for 0s", "failed api_error"),
        ("  ⎿  Not logged in · Please run /login", "failed login_required"),
        ("  ⎿  You've hit your session limit · resets 5pm (UTC)\n\n✻ Baked for 0s", "failed rate_limited"),
        ("  ⎿  Interrupted · What should Claude do instead?", "idle interrupted"),
        ("● Reading\n\n✻ Pondering… (3s · ↓ 41 tokens)", "running"),
        ("● Update(src/a.rs)\n\n✶ Pondering…", "editing"),
        ("● Bash(cargo test -p x)\n  ⎿  Running…\n\n✶ Pondering…", "testing"),
        ("✻ API error · Retrying in 14s · attempt 6/10", "running"),
    ];
    for (last, expected) in table {
        assert_eq!(state("claude", &claude(last)), expected, "{last}");
    }
}

#[test]
fn states_of_tools_nobody_knows() {
    let rule = "─".repeat(90);
    let table = [
        ("", "starting"),
        (&format!("Wren 1.0\n\n{rule}\n> \n{rule}\n  ? for shortcuts"), "idle"),
        (&format!("> do it\n\n● It is done.\n\n{rule}\n> \n{rule}"), "done"),
        (&format!("> do it\n\n✽ Whistling… (12s · esc to interrupt)\n\n{rule}\n> \n{rule}"), "running"),
        (&format!("> do it\n\n● Some text\n\n{rule}\n> \n{rule}\n  esc to interrupt"), "running"),
        ("> do it\n\n⠋ Working...\n\n╭──────────────╮\n│ >            │\n╰──────────────╯", "running"),
        ("Wren 1.0\n\n╭──────────────╮\n│              │\n╰──────────────╯\n  wren-1 · ~/src", "idle"),
        ("Building…\n\nProceed with the upload? [y/N]", "waiting"),
        ("Done. Shall I go on?", "starting"),
    ];
    for (text, expected) in table {
        assert_eq!(state("wren", text), expected, "{text}");
    }
}

#[test]
fn a_cursor_left_below_a_dialog() {
    let rule = "─".repeat(60);
    let dialog = format!("{rule}\n Run this command?\n\n   make all\n\n ❯ 1. Yes\n   2. No");
    let hinted = format!("{dialog}\n\n Enter to confirm · Esc to cancel");
    #[track_caller]
    fn check(tool: &str, alternate: bool, text: &str, below: u16, expected: bool) {
        let screen = Screen { cols: 90, rows: 40, alternate, ..Screen::default() }.with_text(text);
        let cursor = Cursor { col: 0, row: screen.lines.len() as u16 + below, visible: true };
        let seen = explain(&profiles().for_tool(tool), &screen, Some(cursor));
        let options = seen.dialog.map_or(0, |dialog| dialog.options.len());
        assert_eq!(options == 2, expected, "{tool}, {alternate}, {below}: {}\n{text}", seen.state);
    }
    // What these print is never the last on the screen.
    check("claude", false, &hinted, 0, true);
    check("wren", true, &hinted, 0, true);
    // It may be a file that is printed.
    check("wren", false, &hinted, 0, false);
    check("shell", false, &hinted, 0, false);
    // Nothing says that this is all of it; or more is to come.
    check("wren", true, &dialog, 0, false);
    check("wren", true, &hinted, 1, false);
}

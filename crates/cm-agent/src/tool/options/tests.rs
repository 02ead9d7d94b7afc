//! What labels mean, by tables.

use super::*;

fn check(kind: PromptKind, expected: Meaning, labels: &[&str]) {
    for label in labels {
        assert_eq!(meaning(label, kind), expected, "{kind:?} {label:?}");
    }
}

#[test]
fn permissions() {
    use Meaning::{Always, Once};
    let kind = PromptKind::Command;
    check(
        kind,
        Once,
        &[
            "Yes",
            "yes",
            "Allow once",
            "Allow",
            "Yes, proceed",
            "Yes, allow once",
            "Proceed",
            "Continue",
            "Run this command",
            "Run (once)",
            "Approve",
            "Accept this change",
            "Yes, run `rm -rf always`",
            "Yes, and tell Claude what to do next",
            "Yes, create src/main.rs",
            "OK",
            "Just this once",
        ],
    );
    check(
        kind,
        Always,
        &[
            "Yes, and don't ask again for: git push *",
            "Yes, and don’t ask again for commands that start with `npm test`",
            "Always allow",
            "Allow for this session",
            "Allow tool for this session",
            "Allow all server tools for this session",
            "Yes, and always allow access to shop/ from this project",
            "Yes, allow reading from other/ during this session",
            "Yes, and remember this",
            "Yes, and approve `touch` for the rest of the running session",
            "Add Shell(touch) to allowlist?",
            "Allow All for Every Session",
            "Whitelist this command",
            "Yes, never ask",
            "Yes, allow all edits during this session",
            "Yes, and switch to accept edits for this session",
            "Yes, and auto-accept edits",
            "Don't ask again",
            "Approve all similar",
            "Run everything",
            "All",
            "Yes to all",
            "Allow any command",
        ],
    );
}

#[test]
fn refusals_and_modes() {
    use Meaning::{Answer, Mode, Refuse};
    let kind = PromptKind::Command;
    check(
        kind,
        Refuse,
        &[
            "No",
            "no",
            "No, and don't ask again",
            "No, and tell Codex what to do differently",
            "No, suggest changes",
            "Deny",
            "Reject",
            "Cancel",
            "Skip",
            "Skip all",
            "Not now",
            "Exit",
            "Don't run it",
            "Never",
            "No, always deny",
            "Deny with feedback",
            "Tell Claude what to do differently",
            "Do not allow",
        ],
    );
    check(
        kind,
        Mode,
        &[
            "Yes, and switch to auto mode · auto mode handles these prompts for you",
            "Yes, and bypass permissions",
            "Switch to YOLO",
            "Yes, use full access",
            "Yes, clear context and implement",
        ],
    );
    check(
        kind,
        Answer,
        &[
            "Modify with external editor",
            "Explain",
            "Yes, but only on Tuesdays",
            "Yes, in the background",
            "Edit the command",
            "Perhaps",
            "",
            "Ja",
            "None of the above",
            "Yes, as root",
            "Allow commands",
        ],
    );
}

#[test]
fn trust_and_plans() {
    check(
        PromptKind::Trust,
        Meaning::Once,
        &["Yes, I trust this folder", "Trust folder (shop)", "Trust and continue", "Yes, proceed"],
    );
    check(
        PromptKind::Trust,
        Meaning::Always,
        &["Trust parent folder (ada)", "Yes, and remember this folder for future sessions"],
    );
    check(
        PromptKind::Trust,
        Meaning::Refuse,
        &["No, exit", "Don't trust", "Quit", "Back to Agent Command Center"],
    );
    check(
        PromptKind::Plan,
        Meaning::Once,
        &["Yes, and manually approve edits", "Yes, manually approve edits", "Yes, implement this plan"],
    );
    check(PromptKind::Plan, Meaning::Always, &["Yes, and auto-accept edits"]);
    check(PromptKind::Plan, Meaning::Refuse, &["No, keep planning", "No, stay in Plan mode"]);
    check(PromptKind::Plan, Meaning::Mode, &["Yes, clear context and implement", "Yes, and use auto mode"]);
}

#[test]
fn answers() {
    check(PromptKind::Question, Meaning::Answer, &["Yes", "No", "PostgreSQL", "Always", "None of the above"]);
    check(PromptKind::Question, Meaning::Refuse, &["Cancel", "Chat about this"]);
    check(PromptKind::Text, Meaning::Answer, &["Yes", "Continue", "gpt-7"]);
    assert!(takes_text("Type something.") && takes_text("Other") && !takes_text("Mother"));
}

//! What choosing an option means, by its label alone (PURE).
//!
//! Refusals and lasting permissions are looked for first. `once` is believed only of a label that begins by
//! allowing and says nothing else this file does not know: an unknown word makes it `answer`, which no
//! policy takes for an allowance.

use cm_protocol::Meaning;

use super::profile::PromptKind;

/// What an option means in a prompt of this kind.
pub fn meaning(label: &str, kind: PromptKind) -> Meaning {
    let label = plain(label);
    let words: Vec<&str> = words(&label).collect();
    if kind == PromptKind::Question {
        return if leaves_question(&label, &words) { Meaning::Refuse } else { Meaning::Answer };
    }
    match permission(&label, &words) {
        Meaning::Once if kind == PromptKind::Text => Meaning::Answer,
        // Which parent folder is trusted decides about everything below it.
        Meaning::Once if kind == PromptKind::Trust && label.contains("parent") => Meaning::Always,
        meaning => meaning,
    }
}

/// Whether a label offers to write an answer of one's own.
pub fn takes_text(label: &str) -> bool {
    let label = plain(label);
    TEXT_ENTRY.iter().any(|beginning| label.starts_with(beginning)) && !label.contains("feedback")
}

const TEXT_ENTRY: [&str; 10] = [
    "type something",
    "type your",
    "type a",
    "other",
    "something else",
    "none of the above",
    "custom answer",
    "enter a custom",
    "write your own",
    "enter your own",
];

/// Lower case, straight quotes, no text in backticks, quotation marks or brackets: what is quoted there is
/// no part of what the tool says.
fn plain(label: &str) -> String {
    let label = label.trim().to_lowercase().replace(['’', '‘', '`'], "'");
    let mut out = String::with_capacity(label.len());
    let mut closing: Option<char> = None;
    let mut before = ' ';
    for c in label.chars() {
        match closing {
            Some(end) if c == end => closing = None,
            Some(_) => {}
            None => match c {
                '(' => closing = Some(')'),
                '[' => closing = Some(']'),
                '"' => closing = Some('"'),
                '“' => closing = Some('”'),
                // An apostrophe inside a word is none of these.
                '\'' if !before.is_alphanumeric() => closing = Some('\''),
                _ => out.push(c),
            },
        }
        before = c;
    }
    if closing.is_some() { label } else { out }
}

fn words(label: &str) -> impl Iterator<Item = &str> {
    label
        .split(|c: char| !(c.is_alphanumeric() || c == '\'' || c == '-' || c == '.' || c == '/' || c == '_'))
        .map(|word| word.trim_matches(['.', '-', '\'']))
        .filter(|word| !word.is_empty())
}

const LEAVES: [&str; 6] = ["cancel", "exit", "quit", "dismiss", "abort", "skip"];

fn leaves_question(label: &str, words: &[&str]) -> bool {
    words.first().is_some_and(|word| LEAVES.contains(word) && words.len() <= 3)
        || label.trim().starts_with("chat about this")
}

fn permission(label: &str, words: &[&str]) -> Meaning {
    let Some(&head) = words.first() else { return Meaning::Answer };
    let asks_no_more = has(label, &ASK_NO_MORE);
    if !asks_no_more && (REFUSING.contains(&head) || has(label, &REFUSING_PHRASES))
        || matches!(head, "no" | "deny" | "reject" | "refuse" | "decline" | "nope" | "tell")
    {
        return Meaning::Refuse;
    }
    if label.contains("accept edits mode") {
        return Meaning::Mode;
    }
    if has(label, &ACCEPTS_EDITS) && !has(label, &["manually"]) {
        return Meaning::Always;
    }
    if has(label, &MODES) {
        return Meaning::Mode;
    }
    if asks_no_more || has(label, &LASTING) || head == "all" || words == ["always"] {
        return Meaning::Always;
    }
    if ALLOWING.contains(&head) && only_known(label) {
        return Meaning::Once;
    }
    Meaning::Answer
}

/// Whether one of the phrases stands there, beginning and ending with a word.
fn has(label: &str, phrases: &[&str]) -> bool {
    phrases.iter().any(|phrase| {
        label.match_indices(phrase).any(|(at, _)| {
            let edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric());
            edge(label[..at].chars().next_back()) && edge(label[at + phrase.len()..].chars().next())
        })
    })
}

const REFUSING: [&str; 24] = [
    "no", "n", "nope", "deny", "reject", "refuse", "decline", "cancel", "abort", "exit", "quit", "stop",
    "skip", "don't", "not", "never", "disallow", "block", "disagree", "back", "later", "dismiss", "discard",
    "esc",
];

const REFUSING_PHRASES: [&str; 13] = [
    "what to do differently",
    "what to do instead",
    "suggest changes",
    "keep planning",
    "continue planning",
    "stay in plan mode",
    "go back",
    "don't trust",
    "do not",
    "don't allow",
    "use existing",
    "feedback",
    "what to change",
];

const ASK_NO_MORE: [&str; 9] = [
    "don't ask",
    "do not ask",
    "never ask",
    "won't ask",
    "not ask again",
    "stop asking",
    "ask no more",
    "don't show",
    "never again ask",
];

const ACCEPTS_EDITS: [&str; 10] = [
    "accept edits",
    "auto-accept",
    "auto accept",
    "all edits",
    "accept all",
    "allow all",
    "approve all",
    "auto-approve",
    "auto approve",
    "automatically accept",
];

const MODES: [&str; 20] = [
    "auto mode",
    "auto-mode",
    "automatic mode",
    "bypass",
    "plan mode",
    "manual mode",
    "switch to",
    "switch mode",
    "switches to",
    "yolo",
    "full access",
    "full auto",
    "full-auto",
    "autopilot",
    "agent mode",
    "clear context",
    "dangerously",
    "unrestricted",
    "change mode",
    "new model",
];

const LASTING: [&str; 47] = [
    "always",
    "for this session",
    "this session",
    "for the session",
    "the session",
    "every session",
    "session",
    "rest of",
    "remember",
    "all commands",
    "all tools",
    "yes to all",
    "to all",
    "trust all",
    "all files",
    "run all",
    "all actions",
    "all future",
    "everything",
    "every time",
    "every",
    "any",
    "whitelist",
    "allowlist",
    "allow list",
    "allow-list",
    "permanently",
    "permanent",
    "future",
    "forever",
    "similar",
    "from now on",
    "in this project",
    "for this project",
    "from this project",
    "for this user",
    "for this folder",
    "for this repository",
    "for this workspace",
    "in this workspace",
    "start with",
    "starting with",
    "until",
    "auto-run",
    "these files",
    "for all",
    "parent folder",
];

/// How a label begins that allows.
const ALLOWING: [&str; 25] = [
    "yes",
    "y",
    "yep",
    "allow",
    "accept",
    "approve",
    "proceed",
    "continue",
    "confirm",
    "trust",
    "ok",
    "okay",
    "run",
    "once",
    "apply",
    "execute",
    "permit",
    "grant",
    "go",
    "sure",
    "create",
    "agree",
    "implement",
    "i",
    "just",
];

/// Words that change nothing about an allowance.
const NEUTRAL: [&str; 83] = [
    "overwrite",
    "replace",
    "install",
    "add",
    "save",
    "send",
    "commit",
    "push",
    "update",
    "delete",
    "remove",
    "keep",
    "the",
    "this",
    "that",
    "it",
    "a",
    "an",
    "once",
    "now",
    "time",
    "one",
    "only",
    "just",
    "command",
    "edit",
    "edits",
    "change",
    "changes",
    "file",
    "tool",
    "call",
    "action",
    "operation",
    "request",
    "plan",
    "and",
    "i",
    "folder",
    "workspace",
    "directory",
    "project",
    "repository",
    "server",
    "author",
    "authors",
    "manually",
    "review",
    "each",
    "write",
    "read",
    "fetch",
    "please",
    "do",
    "ahead",
    "to",
    "me",
    "my",
    "its",
    "of",
    "for",
    "in",
    "use",
    "key",
    "api",
    "start",
    "coding",
    "build",
    "implementing",
    "implementation",
    "understand",
    "risk",
    "execution",
    "shell",
    "permission",
    "access",
    "download",
    "will",
    "make",
    "contents",
    "files",
    "patch",
    "step",
];

/// Whether every word is known to add nothing. A path or name with a dot or slash is what it is about.
fn only_known(label: &str) -> bool {
    // "…, and tell NAME what to do next" adds words for the tool, no permission.
    let label = match label.split_once("and tell ") {
        Some((before, after)) if after.trim_end().ends_with("what to do next") => before,
        _ => label,
    };
    words(label).all(|word| {
        ALLOWING.contains(&word) || NEUTRAL.contains(&word) || word.contains('/') || word.contains('.')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(kind: PromptKind, expected: Meaning, labels: &[&str]) {
        for label in labels {
            assert_eq!(meaning(label, kind), expected, "{kind:?} {label:?}");
        }
    }

    #[test]
    fn permissions() {
        use Meaning::{Always, Answer, Mode, Once, Refuse};
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
        check(
            PromptKind::Plan,
            Meaning::Mode,
            &["Yes, clear context and implement", "Yes, and use auto mode"],
        );
    }

    #[test]
    fn answers() {
        check(
            PromptKind::Question,
            Meaning::Answer,
            &["Yes", "No", "PostgreSQL", "Always", "None of the above"],
        );
        check(PromptKind::Question, Meaning::Refuse, &["Cancel", "Chat about this"]);
        check(PromptKind::Text, Meaning::Answer, &["Yes", "Continue", "gpt-7"]);
        assert!(takes_text("Type something.") && takes_text("Other") && !takes_text("Mother"));
    }
}

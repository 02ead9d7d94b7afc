//! Lines that say which keys do what: `Enter to select · ↑/↓ to navigate · Esc to cancel` (PURE).

/// The longest line that is a hint.
const LONGEST_HINT: usize = 170;

/// How a hint begins, if not with a key.
const OPENERS: [&str; 11] =
    ["help", "press", "use", "hit", "confirm", "select", "navigate", "move", "type", "choose", "cancel"];

const KEYS: [&str; 31] = [
    "esc",
    "escape",
    "enter",
    "return",
    "tab",
    "space",
    "spacebar",
    "arrow",
    "arrows",
    "ctrl",
    "shift",
    "alt",
    "↑",
    "↓",
    "←",
    "→",
    "⇆",
    "⇥",
    "↵",
    "⏎",
    "⇧",
    "⌃",
    "⎋",
    "j/k",
    "number",
    "ctrl+c",
    "backspace",
    "pgup",
    "pgdn",
    "cmd",
    "option",
];

const ACTIONS: [&str; 65] = [
    "select",
    "confirm",
    "cancel",
    "navigate",
    "move",
    "submit",
    "choose",
    "continue",
    "close",
    "exit",
    "quit",
    "back",
    "toggle",
    "amend",
    "skip",
    "interrupt",
    "reject",
    "accept",
    "approve",
    "explain",
    "edit",
    "open",
    "scroll",
    "go",
    "dismiss",
    "apply",
    "keys",
    "clear",
    "add",
    "resume",
    "archive",
    "change",
    "focus",
    "browse",
    "switch",
    "fullscreen",
    "deny",
    "allow",
    "stop",
    "nav",
    "cycle",
    "abort",
    "pick",
    "use",
    "save",
    "adjust",
    "set",
    "rename",
    "preview",
    "show",
    "search",
    "view",
    "manage",
    "expand",
    "return",
    "finish",
    "review",
    "run",
    "next",
    "leave",
    "stay",
    "retry",
    "filter",
    "tabs",
    "dismisses",
];

/// Whether a line names keys and what they do, and says nothing else.
pub fn is_hint(text: &str) -> bool {
    if text.len() > LONGEST_HINT {
        return false;
    }
    let text = text.to_lowercase();
    let text = text.trim_start_matches(['(', '[', '?', ' ', '·', '•', '-']);
    let mut tokens = words(text);
    let Some(first) = tokens.next() else { return false };
    let letter = first.chars().count() == 1 && words(text).nth(1) == Some("to");
    let opens = is_key(first) || letter || OPENERS.contains(&first) || first == "any";
    // A sentence about keys goes on to say more.
    let sentence =
        text.trim_end().ends_with(['.', '!']) && !text.starts_with("press") && !text.starts_with("use");
    opens && !sentence && words(text).any(is_key) && words(text).any(|word| ACTIONS.contains(&word))
}

/// Whether the line names a key to take or leave a choice.
pub fn chooses(text: &str) -> bool {
    let text = text.to_lowercase();
    let mut found = false;
    for word in words(&text).flat_map(|word| word.split('/')) {
        found |= matches!(word, "esc" | "escape" | "enter" | "return" | "↵" | "⏎" | "⎋")
            || word.contains(['↑', '↓', '←', '→', '⇆'])
            || word.starts_with("arrow");
    }
    found
}

/// Whether the line ends in a key and what it does: `Theme: dark (ctrl+t to change)`.
pub fn notes_key(text: &str) -> bool {
    if text.contains("←/→ to ") || text.contains("↑/↓ to ") {
        return true;
    }
    let inner = text.strip_suffix(')').and_then(|text| text.rsplit_once('(')).map(|(_, inner)| inner);
    inner.is_some_and(|inner| {
        let first = inner.split(' ').next().unwrap_or("").to_lowercase();
        first.contains('+') && is_key(&first) && inner.split(' ').count() <= 5
    })
}

/// Whether the line says there is more of a list than is shown: `↓ 3 more`, `▼`, `(1/42)`.
pub fn is_scroll_mark(text: &str) -> bool {
    let mut chars = text.chars();
    match chars.next() {
        Some('↑' | '↓' | '▲' | '▼' | '⌃' | '⌄' | '…') => {
            let rest = chars.as_str().trim().to_lowercase();
            rest.is_empty() || rest.contains("more") || rest.chars().all(|c| c.is_ascii_digit() || c == '/')
        }
        Some('(') => {
            text.len() <= 9
                && text.ends_with(')')
                && text[1..]
                    .trim_end_matches(')')
                    .split('/')
                    .all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
                && text.contains('/')
        }
        _ => false,
    }
}

/// Whether the line looks like a tool's status at the very bottom: fields apart, a path, no sentence.
pub fn is_status(text: &str) -> bool {
    let fields = text.contains("   ") || text.contains(" · ") || text.contains(" | ") || text.contains(" • ");
    let path = text.starts_with(['~', '/']);
    (fields || path) && !text.ends_with(['.', '?', ':', '!'])
}

/// The name of a key in brackets: `y`, `esc`, `ctrl+x`; several (`esc or n`): the first.
pub fn key_name(text: &str) -> Option<String> {
    let lower = text.trim().to_lowercase();
    if lower.is_empty() || lower.chars().count() > 16 {
        return None;
    }
    let first = lower.split([' ', ',']).next()?;
    let first = if first.chars().count() > 1 { first.split('/').next()? } else { first };
    let letter =
        first.chars().count() == 1 && first.chars().all(|c| c.is_ascii_alphabetic() || "↵⏎⎋⇥".contains(c));
    let named = matches!(
        first,
        "esc" | "escape" | "enter" | "return" | "tab" | "space" | "backspace" | "del" | "delete"
    );
    let chord = ["ctrl+", "shift+", "alt+", "cmd+", "ctrl-", "shift-", "alt-", "^", "opt+", "⌥", "⌘"]
        .iter()
        .any(|start| first.strip_prefix(start).is_some_and(|key| !key.is_empty()));
    let rest_is_keys = lower[first.len()..]
        .split([' ', '/', ','])
        .filter(|word| !word.is_empty())
        .all(|word| matches!(word, "or" | "to" | "stop" | "cancel" | "and") || key_name(word).is_some());
    ((letter || named || chord) && rest_is_keys).then(|| match first {
        "escape" | "⎋" => "esc".to_owned(),
        "↵" | "⏎" | "return" => "enter".to_owned(),
        other => other.to_owned(),
    })
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| {
        c.is_whitespace() || matches!(c, ',' | '·' | '•' | '|' | '(' | ')' | '[' | ']' | ':' | ';')
    })
    .map(|word| word.trim_matches(['.', '"', '\'', '<', '>']))
    .filter(|word| !word.is_empty())
}

fn is_key(word: &str) -> bool {
    KEYS.contains(&word)
        || word.split(['+', '/', '-']).all(|part| KEYS.contains(&part) || part.chars().count() == 1)
            && word.contains(['+', '/', '-'])
        || word.contains(['↑', '↓', '←', '→', '⇆', '↵', '⏎', '↹'])
        || word.strip_prefix('^').is_some_and(|key| key.chars().count() == 1)
        || word.strip_prefix('f').is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hints() {
        for text in [
            "Esc to cancel · Tab to amend",
            "Enter to select · ↑/↓ to navigate · Esc to cancel",
            "Press enter to confirm or esc to cancel",
            "enter select · esc back",
            "(Use Enter to select)",
            "(Press Esc to close)",
            "Use arrow keys to navigate, Enter to select, or press the key shown",
            "enter/esc confirm · ^c quit",
            "tab to add notes | enter to submit answer | esc to interrupt",
            "Confirm with number keys or ↑↓ keys and Enter, Cancel with Esc",
            "↑↓ navigate  Enter select  ESC reject",
            "←/→ choose • enter confirm",
            "ctrl+f fullscreen  ⇆ select  enter confirm",
            "Use ↑↓ to navigate, Enter to select, Esc to cancel",
            "Press enter to continue",
        ] {
            assert!(is_hint(text), "{text:?}");
        }
        for text in [
            "Do you want to proceed?",
            "Enter a value:",
            "That is what it draws.",
            "Enter the shop and select the goods you want to take home.",
            "1. Yes",
            "~/shop",
            "Done",
            "",
            "Reading the code of the shop module",
        ] {
            assert!(!is_hint(text), "{text:?}");
        }
    }

    #[test]
    fn keys() {
        let table = [
            ("y", Some("y")),
            ("esc", Some("esc")),
            ("esc or n", Some("esc")),
            ("Esc to stop", Some("esc")),
            ("shift+tab", Some("shift+tab")),
            ("Alt+1", Some("alt+1")),
            ("y/enter", Some("y")),
            ("once", None),
            ("recommended", None),
            ("1", None),
            ("current", None),
            ("a b c d", Some("a")),
            ("in 3 seconds", None),
            ("", None),
        ];
        for (text, expected) in table {
            assert_eq!(key_name(text).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn scroll_marks() {
        for text in ["↓ 3 more", "▼", "↑", "(1/42)", "↑ 77 more lines", "…"] {
            assert!(is_scroll_mark(text), "{text:?}");
        }
        for text in ["→ Stock", "(a/b)", "↑ up the hill", "(1)"] {
            assert!(!is_scroll_mark(text), "{text:?}");
        }
    }
}

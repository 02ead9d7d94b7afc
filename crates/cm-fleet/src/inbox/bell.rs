//! What a terminal is told so that it calls a person: the bell, and a notification where it knows them. PURE.

use crate::report::clean::{clean, fit};

/// Columns of a notification.
const TEXT: usize = 200;

/// How a terminal takes notifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `OSC 9 ; text`: iTerm2, kitty, WezTerm, Ghostty, Windows Terminal; others ignore it.
    Osc9,
    /// `OSC 777 ; notify ; title ; text`: urxvt, foot, terminals of VTE.
    Osc777,
}

/// What the environment says of the terminal.
pub fn kind(env: impl Fn(&str) -> Option<String>) -> Kind {
    let term = env("TERM").unwrap_or_default();
    let has = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    match term.starts_with("rxvt") || term.starts_with("foot") || has("VTE_VERSION") {
        true => Kind::Osc777,
        false => Kind::Osc9,
    }
}

/// The bytes for these questions, each in one line; nothing where there are none.
pub fn ring(kind: Kind, questions: &[String]) -> String {
    let text = match questions {
        [] => return String::new(),
        [one] => clean(one),
        [first, rest @ ..] => format!("{} (and {} more)", clean(first), rest.len()),
    };
    let text = fit(&text, TEXT);
    match kind {
        // After `9;` digits would mean something else.
        Kind::Osc9 => format!("\x07\x1b]9;cm-fleet: {text}\x07"),
        Kind::Osc777 => format!("\x07\x1b]777;notify;cm-fleet;{}\x07", text.replace(';', ",")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent() {
        let check = |kind, questions: &[&str], expected: &str| {
            let questions: Vec<String> = questions.iter().map(|text| (*text).to_owned()).collect();
            assert_eq!(ring(kind, &questions), expected);
        };
        check(Kind::Osc9, &[], "");
        check(Kind::Osc9, &["web asks"], "\x07\x1b]9;cm-fleet: web asks\x07");
        check(Kind::Osc9, &["a\x07\x1b]0;t\x07b", "c", "d"], "\x07\x1b]9;cm-fleet: ab (and 2 more)\x07");
        check(Kind::Osc777, &["run a; b"], "\x07\x1b]777;notify;cm-fleet;run a, b\x07");
    }

    #[test]
    fn which_terminal_it_is() {
        let check = |vars: &[(&str, &str)], expected| {
            let env = |name: &str| vars.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            assert_eq!(kind(env), expected, "{vars:?}");
        };
        check(&[("TERM", "xterm-kitty")], Kind::Osc9);
        check(&[("TERM", "foot-extra")], Kind::Osc777);
        check(&[("TERM", "rxvt-unicode-256color")], Kind::Osc777);
        check(&[("TERM", "xterm-256color"), ("VTE_VERSION", "7603")], Kind::Osc777);
        check(&[], Kind::Osc9);
    }
}

//! PURE: names of keys, as `send_keys` with `named` takes them and as tmux knows them.

use super::command::Command;

/// A key tmux knows by name, or one printable character, with modifiers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key(String);

/// Not the name of a key. Unchecked, tmux would type the word instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not the name of a key: {0:?}; write e.g. Enter, Escape, Tab, Up, PageDown, F5, C-c, M-x, S-Left or one character"
)]
pub struct UnknownKey(pub String);

/// The names every tmux from 3.2 on knows.
const NAMES: &[&str] = &[
    "Up", "Down", "Left", "Right", "BSpace", "BTab", "DC", "Delete", "End", "Enter", "Escape", "F1", "F2",
    "F3", "F4", "F5", "F6", "F7", "F8", "F9", "F10", "F11", "F12", "Home", "IC", "Insert", "NPage",
    "PageDown", "PgDn", "PPage", "PageUp", "PgUp", "Space", "Tab",
];

impl Key {
    /// Reads a key's name: any of `C-`, `M-`, `S-` in front of a name or of one printable character.
    ///
    /// # Errors
    /// It is no key's name.
    pub fn parse(text: &str) -> Result<Self, UnknownKey> {
        let unknown = || UnknownKey(text.chars().take(40).collect());
        let mut base = text;
        // A modifier is only one where a key follows: `C-` alone is nothing, `C--` is control and minus.
        while let Some(rest) = ["C-", "M-", "S-"].iter().find_map(|m| base.strip_prefix(m)) {
            base = rest;
        }
        let mut chars = base.chars();
        match (chars.next(), chars.next()) {
            (Some(one), None) if !one.is_control() && !one.is_whitespace() => Ok(Self(text.to_owned())),
            (Some(_), Some(_)) => NAMES
                .iter()
                .find(|name| name.eq_ignore_ascii_case(base))
                .map(|name| Self(format!("{}{name}", &text[..text.len() - base.len()])))
                .ok_or_else(unknown),
            _ => Err(unknown()),
        }
    }

    /// Return.
    pub fn enter() -> Self {
        Self("Enter".into())
    }

    /// The space bar.
    pub fn space() -> Self {
        Self("Space".into())
    }

    /// The name as it goes to tmux.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The command that presses it.
    ///
    /// The keys that are one plain byte on every terminal are sent as that byte: what tmux makes of the
    /// *name* depends on its version and on the keyboard protocol the program asked for.
    pub fn press(&self) -> Command {
        let byte = match self.0.as_str() {
            "Enter" => "0d",
            "Tab" => "09",
            "Escape" => "1b",
            "Space" => "20",
            name => return Command::on_pane("send-keys").arg("--").arg(name),
        };
        Command::on_pane("send-keys").arg("-H").arg(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(Key::parse(text).ok().as_ref().map(Key::as_str), expected, "{text:?}");
    }

    #[test]
    fn only_keys_pass() {
        check("Enter", Some("Enter"));
        check("enter", Some("Enter"));
        check("C-c", Some("C-c"));
        check("M-Enter", Some("M-Enter"));
        check("C-M-S-Left", Some("C-M-S-Left"));
        check("C--", Some("C--"));
        check("-", Some("-"));
        check(";", Some(";"));
        check("é", Some("é"));
        check("F12", Some("F12"));
        check("F13", None);
        check("hello", None);
        check("C-", None);
        check("C-hello", None);
        check("", None);
        check(" ", None);
        check("\n", None);
        check("-X", None);
        check("0x41", None);
        check("Any", None);
        check("MouseDown1Pane", None);
    }

    #[test]
    fn plain_keys_are_bytes() {
        let line = |name| Key::parse(name).expect("a key").press().line().to_vec();
        assert_eq!(line("Enter"), br#"send-keys -t "%0" "-H" "0d""#.to_vec());
        assert_eq!(line("C-c"), br#"send-keys -t "%0" "--" "C-c""#.to_vec());
        assert_eq!(line(";"), br#"send-keys -t "%0" "--" "\073""#.to_vec());
    }
}

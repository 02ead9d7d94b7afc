//! Taking an option of a drawn dialog by its label: move the highlight, look, and only then press Enter. PURE.
//!
//! Never a fixed digit, never an option that is not seen highlighted, never a second Enter for the same
//! instance of a prompt (failures 1, 2 and 5).

use std::time::Duration;

use cm_protocol::PromptOption;

use super::steering::{Steer, Steering};
use crate::tmux::Key;
use crate::tool::{FoundPrompt, Layout};

/// How long the deciding key may take to make the dialog go away. Some tools end after it, and leave it
/// standing until they have.
pub(super) const EFFECT: Duration = Duration::from_secs(4);
/// How long a dialog may be out of sight before it counts as gone: some are drawn anew, line by line, whenever
/// the highlight moves.
pub(super) const REDRAW: Duration = Duration::from_millis(400);

/// What the session is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Press this key.
    Press(Key),
    /// Type this text, then Enter.
    Type(String),
    /// Look again when the screen changes, at the latest then.
    Look(Duration),
    /// It is over.
    Finished(Chosen),
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen {
    /// The key was pressed and the dialog has gone.
    Accepted,
    /// The key was pressed and the dialog still stands.
    NoEffect,
    /// The dialog had gone or had become another before the deciding key; that key was not pressed.
    Dropped,
    /// The highlight could not be brought to the option, or a box not be ticked; the deciding key was not
    /// pressed.
    Unreachable,
}

/// One act of choosing, from the first look to the verdict.
#[derive(Debug)]
pub struct Choosing {
    label: String,
    steering: Steering,
    /// The deciding key is pressed; by then it should have had an effect.
    decided: Option<Duration>,
    /// When it counts as gone; it is not to be seen just now.
    gone_at: Option<Duration>,
    /// The keys that were pressed, as tmux names them.
    pub pressed: Vec<String>,
}

impl Choosing {
    /// Begins; nothing is done before the first [`Choosing::step`].
    pub fn new(label: impl Into<String>) -> Self {
        let (steering, pressed) = (Steering::default(), Vec::new());
        Self { label: label.into(), steering, decided: None, gone_at: None, pressed }
    }

    /// What to do next. `found`: the same dialog on the newest screen, if it still stands there; `another`: a
    /// dialog stands there, and it is another one.
    pub fn step(&mut self, found: Option<&FoundPrompt>, another: bool, now: Duration) -> Act {
        let Some(found) = found else {
            let gone_at = *self.gone_at.get_or_insert(now + REDRAW);
            return match self.decided {
                Some(_) => Act::Finished(Chosen::Accepted),
                None if now < gone_at && !another => Act::Look(gone_at),
                None => Act::Finished(Chosen::Dropped),
            };
        };
        self.gone_at = None;
        match self.decided {
            Some(until) if now < until => Act::Look(until),
            Some(_) => Act::Finished(Chosen::NoEffect),
            None => self.aim(found, now),
        }
    }

    fn aim(&mut self, found: &FoundPrompt, now: Duration) -> Act {
        let Some(wanted) = found.options.iter().position(|option| option.label == self.label) else {
            return Act::Finished(Chosen::Dropped);
        };
        let option = &found.options[wanted];
        match found.layout {
            Layout::Typed => match typed(option) {
                Some(text) => self.decide(Act::Type(text), now),
                None => Act::Finished(Chosen::Unreachable),
            },
            Layout::Keys => match option.key.as_deref().and_then(key_named) {
                Some(key) => self.decide(Act::Press(key), now),
                None => Act::Finished(Chosen::Unreachable),
            },
            Layout::Vertical | Layout::Horizontal => match self.steering.step(found, wanted, now) {
                Steer::There => self.decide(Act::Press(Key::enter()), now),
                Steer::Press(key) => {
                    self.pressed.push(key.as_str().to_owned());
                    Act::Press(key)
                }
                Steer::Look(until) => Act::Look(until),
                Steer::Unreachable => Act::Finished(Chosen::Unreachable),
            },
        }
    }

    fn decide(&mut self, act: Act, now: Duration) -> Act {
        self.decided = Some(now + EFFECT);
        self.pressed.push(match &act {
            Act::Press(key) => key.as_str().to_owned(),
            Act::Type(text) => format!("{text} Enter"),
            Act::Look(_) | Act::Finished(_) => String::new(),
        });
        act
    }
}

/// What is typed for an option at a line-oriented prompt.
fn typed(option: &PromptOption) -> Option<String> {
    let text = option.key.clone().unwrap_or_else(|| option.label.clone());
    let plain = !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || " -_.".contains(c));
    plain.then_some(text)
}

/// The key a screen names: `y`, `Esc`, `enter`, `1`.
fn key_named(name: &str) -> Option<Key> {
    let name = match name.to_ascii_lowercase().as_str() {
        "esc" | "escape" => "Escape",
        "enter" | "return" | "↵" | "⏎" => "Enter",
        "tab" => "Tab",
        "space" => "Space",
        _ => name,
    };
    Key::parse(name).ok()
}

#[cfg(test)]
mod tests {
    use cm_protocol::Meaning;

    use super::*;
    use crate::tool::PromptKind;

    /// `>` marks the highlight, `y=Yes` an option with a key.
    fn dialog(layout: Layout, options: &str) -> FoundPrompt {
        let options = options.split(", ").map(|text| {
            let (selected, text) = text.strip_prefix('>').map_or((false, text), |rest| (true, rest));
            let (key, label) = text.split_once('=').map_or((None, text), |(k, l)| (Some(k.to_owned()), l));
            PromptOption { label: label.into(), key, selected, checked: None, meaning: Meaning::Answer }
        });
        FoundPrompt {
            layout,
            options: options.collect(),
            ..FoundPrompt::plain(PromptKind::Command, "?", "r")
        }
    }

    /// Steps are (milliseconds, options on the screen, `-` where the dialog has gone, or `another`); acts in short.
    fn check(layout: Layout, label: &str, steps: &[(u64, &str)], expected: &str) {
        let mut choosing = Choosing::new(label);
        let acts: Vec<String> = steps
            .iter()
            .map(|(ms, options)| {
                let found = (!matches!(*options, "-" | "another")).then(|| dialog(layout, options));
                match choosing.step(found.as_ref(), *options == "another", Duration::from_millis(*ms)) {
                    Act::Press(key) => key.as_str().to_owned(),
                    Act::Type(text) => format!("type {text}"),
                    Act::Look(_) => "look".into(),
                    Act::Finished(chosen) => format!("{chosen:?}"),
                }
            })
            .collect();
        assert_eq!(acts.join(" "), expected, "{label} {steps:?}");
    }

    #[test]
    fn the_highlight_is_seen_on_the_option_before_enter() {
        let list = |steps: &[(u64, &str)], expected| check(Layout::Vertical, "Yes", steps, expected);
        list(&[(0, ">Yes, No"), (9, "-")], "Enter Accepted");
        list(&[(0, ">No, Yes"), (5, ">No, Yes"), (20, "No, >Yes"), (30, "-")], "Down look Enter Accepted");
        list(&[(0, "No, Always, Yes, >Exit"), (20, "No, Always, >Yes, Exit")], "Up Enter");
        // A key that was swallowed is pressed again, not Enter instead.
        let lost =
            [(0, ">No, Yes"), (1000, ">No, Yes"), (1020, "No, >Yes"), (2519, "No, >Yes"), (2520, "No, >Yes")];
        list(&lost, "Down Down look look Enter");
    }

    #[test]
    fn what_is_not_surely_so_is_left_alone() {
        let list = |steps: &[(u64, &str)], expected| check(Layout::Vertical, "Yes", steps, expected);
        list(&[(0, "-"), (399, "-"), (400, "-")], "look look Dropped");
        list(&[(0, ">No, Maybe")], "Dropped");
        list(&[(0, ">No, Yes"), (20, "another")], "Down Dropped");
        list(&[(0, "Yes, No")], "Unreachable");
        list(&[(0, ">Yes, >No")], "Unreachable");
        list(&[(0, ">No, Yes"), (20, "-"), (420, "-")], "Down look Dropped");
        // Half drawn for a moment.
        list(&[(0, ">No, Yes"), (20, "-"), (60, "No, >Yes"), (70, "-")], "Down look Enter Accepted");
        list(&[(0, "-"), (60, ">No, Yes"), (380, "-"), (420, "No, >Yes")], "look Down look Enter");
        let stuck: Vec<(u64, &str)> = (0..5).map(|n| (n * 1000, ">No, Yes")).collect();
        list(&stuck, "Down Down Down Down Unreachable");
    }

    #[test]
    fn enter_waits_for_keys_that_are_late() {
        let row = |steps: &[(u64, &str)], expected| check(Layout::Horizontal, "No", steps, expected);
        // Pressed twice, and both count: the second one moves it on, round the end.
        let late = [
            (0, ">Yes, Always, No"),
            (20, "Yes, >Always, No"),
            (1020, "Yes, >Always, No"),
            (1100, "Yes, Always, >No"),
            (1150, ">Yes, Always, No"),
            (1200, "Yes, >Always, No"),
            (1250, "Yes, Always, >No"),
        ];
        row(&late, "Right Right Right look Right Right Enter");
        // Both at once.
        let both = [(0, ">Yes, Always, No"), (1000, ">Yes, Always, No"), (1900, "Yes, Always, >No")];
        row(&both, "Right Right Enter");
        // One of them was lost, short of the option.
        let lost = [
            (0, ">Yes, Always, No"),
            (1000, ">Yes, Always, No"),
            (1100, "Yes, >Always, No"),
            (2600, "Yes, >Always, No"),
            (2620, "Yes, Always, >No"),
        ];
        row(&lost, "Right Right look Right Enter");
        // Gone while it is waited for.
        row(
            &[late[0], late[1], late[2], late[3], (1200, "-"), (1600, "-")],
            "Right Right Right look look Dropped",
        );
    }

    #[test]
    fn enter_is_pressed_once() {
        let steps = [(0, ">Yes, No"), (10, ">Yes, No"), (3999, ">Yes, No"), (4001, ">Yes, No")];
        check(Layout::Vertical, "Yes", &steps, "Enter look look NoEffect");
    }

    #[test]
    fn rows_keys_and_words() {
        check(Layout::Horizontal, "Allow", &[(0, "Allow, >Reject"), (9, ">Allow, Reject")], "Left Enter");
        check(Layout::Keys, "Yes", &[(0, "y=Yes, esc=No"), (9, "-")], "y Accepted");
        check(Layout::Keys, "No", &[(0, "y=Yes, esc=No")], "Escape");
        check(Layout::Keys, "Yes", &[(0, "Yes, esc=No")], "Unreachable");
        check(Layout::Typed, "Yes", &[(0, "y=Yes, n=No"), (9, "-")], "type y Accepted");
        check(Layout::Typed, "a; rm", &[(0, "a; rm")], "Unreachable");
    }
}

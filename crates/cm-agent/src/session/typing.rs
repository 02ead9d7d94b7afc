//! Typing with evidence: put the text in, see it, press Enter, see it taken. PURE.
//!
//! The rules come from what others lost: Enter sent together with the text is swallowed, text sent to a
//! program that does not read is not a success, and nothing is ever typed to find something out
//! (failure-modes 4, 14, 15, 16).

use std::time::Duration;

use cm_protocol::KeysObserved;

use crate::tmux::Key;
use crate::tool::Screen;

/// How long text may take to show up before Enter is pressed all the same (a password is never shown).
const ECHO: Duration = Duration::from_millis(600);
/// How long Enter may take to show an effect.
const EFFECT: Duration = Duration::from_millis(1000);
/// How long text a person has left in the tool's box is waited for (failure 18).
const PERSON: Duration = Duration::from_secs(600);
/// How often Enter is pressed again while our text still stands in the box (failure 15).
const AGAIN: u32 = 2;

/// What stands in the tool's input box, where it draws one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InBox {
    /// It draws none, or it is not to be seen.
    Unknown,
    /// Nothing.
    Nothing,
    /// Text that nobody has submitted.
    Text,
}

/// What is to be typed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keys {
    /// Literal text.
    pub text: String,
    /// Named keys after it.
    pub named: Vec<Key>,
    /// Enter at the end.
    pub enter: bool,
}

/// What the session is to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Paste the text.
    Paste(String),
    /// Press named keys.
    Press(Vec<Key>),
    /// Press Enter.
    Enter,
    /// Look again when the screen changes, at the latest then.
    Look(Duration),
    /// It is over; this was seen.
    Finished(KeysObserved),
}

/// One act of typing, from the first look to the verdict.
#[derive(Debug)]
pub struct Typing {
    keys: Keys,
    stage: Stage,
    /// The text or a key was seen to arrive.
    seen: bool,
    /// It comes from the agent itself: what a person has typed is waited for.
    yields: bool,
    /// Presses of Enter that had no effect.
    again: u32,
}

#[derive(Debug)]
enum Stage {
    Fresh,
    /// A person's text stands in the box.
    Yielding {
        until: Duration,
    },
    Echo {
        before: Face,
        until: Duration,
    },
    Pressed {
        before: Face,
        until: Duration,
    },
    Effect {
        before: Face,
        until: Duration,
    },
}

/// What is compared of a screen: its text and where the cursor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Face {
    lines: Vec<String>,
    row: u16,
    col: u16,
    history: u64,
}

impl Face {
    fn of(screen: &Screen) -> Self {
        Self {
            lines: screen.lines.clone(),
            row: screen.cursor.row,
            col: screen.cursor.col,
            history: screen.history,
        }
    }
}

impl Typing {
    /// Begins; nothing is done before the first [`Typing::step`].
    pub fn new(keys: Keys) -> Self {
        Self { keys, stage: Stage::Fresh, seen: false, yields: false, again: 0 }
    }

    /// The same for text of the agent's own: it waits for a person who is half-way through a line.
    pub fn yielding(keys: Keys) -> Self {
        Self { yields: true, ..Self::new(keys) }
    }

    /// What to do next, given the screen as it is now.
    pub fn step(&mut self, screen: &Screen, in_box: InBox, now: Duration) -> Act {
        let face = Face::of(screen);
        match &self.stage {
            Stage::Fresh if self.yields && in_box == InBox::Text => {
                self.stage = Stage::Yielding { until: now + PERSON };
                Act::Look(now + EFFECT)
            }
            Stage::Yielding { until } if in_box == InBox::Text => {
                if now < *until {
                    Act::Look(now + EFFECT)
                } else {
                    self.finished()
                }
            }
            Stage::Yielding { .. } => {
                self.stage = Stage::Fresh;
                self.step(screen, in_box, now)
            }
            Stage::Fresh if self.keys.text.is_empty() => self.press(face, now),
            Stage::Fresh => {
                self.stage = Stage::Echo { before: face, until: now + ECHO };
                Act::Paste(std::mem::take(&mut self.keys.text))
            }
            Stage::Echo { before, until } => {
                let arrived = *before != face && in_box != InBox::Nothing;
                if !arrived && now < *until {
                    return Act::Look(*until);
                }
                self.seen |= arrived;
                self.press(face, now)
            }
            Stage::Pressed { before, until } => {
                let effect = *before != face;
                if !effect && now < *until {
                    return Act::Look(*until);
                }
                self.seen |= effect;
                self.enter(face, now)
            }
            Stage::Effect { before, until } => {
                if *before != face && in_box != InBox::Text {
                    Act::Finished(KeysObserved::Submitted)
                } else if in_box == InBox::Text && now >= *until && self.again < AGAIN {
                    // It was swallowed: the text still stands there, so this submits it once.
                    self.again += 1;
                    self.stage = Stage::Effect { before: face, until: now + EFFECT };
                    Act::Enter
                } else if now < *until {
                    Act::Look(*until)
                } else {
                    self.finished()
                }
            }
        }
    }

    /// The program has ended while something was typed: that is an effect, if anything had been sent.
    pub fn ended(&self) -> Option<KeysObserved> {
        match self.stage {
            Stage::Fresh | Stage::Yielding { .. } => None,
            Stage::Echo { .. } | Stage::Pressed { .. } => Some(KeysObserved::Typed),
            Stage::Effect { .. } => Some(KeysObserved::Submitted),
        }
    }

    fn press(&mut self, face: Face, now: Duration) -> Act {
        if self.keys.named.is_empty() {
            return self.enter(face, now);
        }
        self.stage = Stage::Pressed { before: face, until: now + EFFECT };
        Act::Press(std::mem::take(&mut self.keys.named))
    }

    fn enter(&mut self, face: Face, now: Duration) -> Act {
        if !std::mem::take(&mut self.keys.enter) {
            return self.finished();
        }
        self.stage = Stage::Effect { before: face, until: now + EFFECT };
        Act::Enter
    }

    fn finished(&self) -> Act {
        Act::Finished(if self.seen { KeysObserved::Typed } else { KeysObserved::NoEvidence })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::Cursor;

    fn screen(line: &str, row: u16) -> Screen {
        let mut screen = Screen { lines: vec![line.to_owned()], cols: 80, rows: 24, ..Screen::default() };
        // Counting characters is enough for a test's ASCII.
        screen.cursor = Cursor { col: line.len() as u16, row, visible: true };
        screen
    }

    /// Steps are (screen line, cursor row, milliseconds); the acts are written as one word each.
    fn check(keys: Keys, steps: &[(&str, u16, u64)], expected: &[&str]) {
        let mut typing = Typing::new(keys);
        let acts: Vec<String> = steps
            .iter()
            .map(|(line, row, ms)| {
                match typing.step(&screen(line, *row), InBox::Unknown, Duration::from_millis(*ms)) {
                    Act::Paste(text) => format!("paste {text}"),
                    Act::Press(keys) => {
                        format!("press {}", keys.iter().map(Key::as_str).collect::<Vec<_>>().join(" "))
                    }
                    Act::Enter => "enter".into(),
                    Act::Look(_) => "look".into(),
                    Act::Finished(seen) => format!("{seen:?}"),
                }
            })
            .collect();
        assert_eq!(acts, expected);
    }

    fn key(name: &str) -> Key {
        Key::parse(name).expect("a key")
    }

    fn text(text: &str) -> Keys {
        Keys { text: text.into(), enter: true, ..Keys::default() }
    }

    #[test]
    fn a_program_that_ends_at_enter_has_taken_it() {
        let mut typing = Typing::new(text("q"));
        assert_eq!(typing.ended(), None);
        typing.step(&screen("$ ", 0), InBox::Unknown, Duration::ZERO);
        assert_eq!(typing.ended(), Some(KeysObserved::Typed), "the text is not the Enter");
        assert_eq!(typing.step(&screen("$ q", 0), InBox::Unknown, Duration::ZERO), Act::Enter);
        assert_eq!(typing.ended(), Some(KeysObserved::Submitted));
    }

    #[test]
    fn text_is_seen_before_enter_and_enter_before_success() {
        check(
            text("ls"),
            &[("$ ", 0, 0), ("$ ", 0, 1), ("$ ls", 0, 5), ("$ ls", 0, 6), ("$ ls", 1, 9)],
            &["paste ls", "look", "enter", "look", "Submitted"],
        );
    }

    #[test]
    fn a_password_is_not_shown_but_taken() {
        check(
            text("pw"),
            &[("Password:", 0, 0), ("Password:", 0, 300), ("Password:", 0, 600), ("Password:", 1, 610)],
            &["paste pw", "look", "enter", "Submitted"],
        );
    }

    #[test]
    fn a_program_that_does_not_read_is_no_success() {
        check(
            text("x"),
            &[("", 0, 0), ("", 0, 700), ("", 0, 1000), ("", 0, 1700)],
            &["paste x", "enter", "look", "NoEvidence"],
        );
    }

    #[test]
    fn enter_without_effect_is_typed_only() {
        check(text("x"), &[("> ", 0, 0), ("> x", 0, 5), ("> x", 0, 1100)], &["paste x", "enter", "Typed"]);
    }

    #[test]
    fn without_enter_the_text_stays() {
        let keys = Keys { enter: false, ..text("x") };
        check(keys, &[("> ", 0, 0), ("> x", 0, 5)], &["paste x", "Typed"]);
    }

    #[test]
    fn named_keys_come_after_the_text_and_before_enter() {
        let keys = Keys { named: vec![key("Down"), key("Tab")], ..text("a") };
        check(
            keys,
            &[("> ", 0, 0), ("> a", 0, 5), ("> ab", 0, 9), ("", 1, 12)],
            &["paste a", "press Down Tab", "enter", "Submitted"],
        );
        let only = Keys { named: vec![key("C-c")], ..Keys::default() };
        check(only.clone(), &[("> ", 0, 0), ("> ^C", 0, 5)], &["press C-c", "Typed"]);
        check(only, &[("> ", 0, 0), ("> ", 0, 500), ("> ", 0, 1000)], &["press C-c", "look", "NoEvidence"]);
    }

    #[test]
    fn nothing_but_enter() {
        check(text(""), &[("(END)", 0, 0), ("$ ", 0, 4)], &["enter", "Submitted"]);
        check(Keys::default(), &[("$", 0, 0)], &["NoEvidence"]);
    }
}

//! PURE. What stands in a box for typing, and what a key does to it.

use std::time::Duration;

use super::draw::moved;
use super::script::Echo;

/// The text in a box.
#[derive(Debug, Default)]
pub struct Typed {
    /// What is entered, and what is shown of it: pastes may be shown shorter than they are.
    text: String,
    shown: String,
    /// When something was last typed that was not pasted.
    at: Option<Duration>,
}

/// What a key did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Pressed {
    /// Nothing.
    Lost,
    /// The box is to be drawn again.
    Changed,
    /// This line was entered, and the box is empty.
    Entered(String),
}

impl Typed {
    /// A key, by its name.
    pub fn press(&mut self, echo: &Echo, name: &str, now: Duration) -> Pressed {
        match name {
            "Enter" => {
                let soon = Duration::from_millis(echo.swallow_enter_ms);
                if self.at.is_some_and(|at| now < at + soon) {
                    return Pressed::Lost;
                }
                self.shown.clear();
                return Pressed::Entered(std::mem::take(&mut self.text));
            }
            "BSpace" => {
                self.text.pop();
                self.shown.pop();
            }
            "C-u" => {
                self.text.clear();
                self.shown.clear();
            }
            "Space" => self.add(" ", " "),
            name if name.chars().count() == 1 => self.add(name, name),
            _ => return Pressed::Lost,
        }
        self.at = Some(now);
        Pressed::Changed
    }

    /// A paste.
    pub fn paste(&mut self, echo: &Echo, text: &str) {
        let lines = text.lines().count();
        match echo.collapse_over {
            Some(most) if lines > most => {
                self.add(text, &format!("[Pasted text #1 +{} lines]", lines.saturating_sub(1)));
            }
            _ => self.add(text, &text.replace('\n', " ")),
        }
    }

    /// The box as it is to be drawn; nothing if it shows nothing.
    pub fn drawn(&self, echo: &Echo) -> Option<String> {
        let place = moved(echo.at.0, echo.at.1);
        (!echo.hidden).then(|| format!("{place}\x1b[K{}", self.shown))
    }

    fn add(&mut self, text: &str, shown: &str) {
        self.text += text;
        self.shown += shown;
    }
}

//! A dialog as it is drawn: its question, what it is about, what can be chosen and how (PURE).

mod about;
mod buttons;
mod hints;
mod item;
mod judge;
mod keyed;
mod list;
mod page;
mod read;
mod subject;
#[cfg(test)]
mod tests;

use cm_protocol::{Meaning, PromptOption};
use serde::Deserialize;

pub use hints::{chooses, is_hint};
pub use item::{Item, item};
pub use judge::begins_input;
pub use keyed::{Typed, letters};
pub use list::Choice;
pub use page::page;
pub use read::{find, options_of};

use super::profile::PromptKind;

/// A question found on a screen, active: it waits for a key now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundPrompt {
    /// What it is about.
    pub kind: PromptKind,
    /// The question as it stands there, one line.
    pub text: String,
    /// The command, path or address it is about; a command of several lines keeps them.
    pub subject: Option<String>,
    /// What can be chosen, in the order drawn.
    pub options: Vec<PromptOption>,
    /// How an option is taken.
    pub layout: Layout,
    /// The keys that go on, for kind `continue`.
    pub press: Vec<String>,
    /// The whole prompt as it is drawn, without its frame.
    pub lines: Vec<String>,
    /// The profile's rule that found it.
    pub rule: String,
}

/// How an option is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// A list: Up and Down move the highlight, Enter takes it.
    Vertical,
    /// A row of buttons: Left and Right move the highlight, Enter takes it.
    Horizontal,
    /// Each option has a key of its own that takes it at once.
    Keys,
    /// The answer is typed at the cursor and submitted with Enter: an option's key is what is typed.
    Typed,
}

impl FoundPrompt {
    /// A question of which nothing but its text is known.
    pub fn plain(kind: PromptKind, text: impl Into<String>, rule: impl Into<String>) -> Self {
        Self {
            kind,
            text: text.into(),
            subject: None,
            options: Vec::new(),
            layout: Layout::Typed,
            press: Vec::new(),
            lines: Vec::new(),
            rule: rule.into(),
        }
    }

    /// The first option with a meaning.
    pub fn option(&self, meaning: Meaning) -> Option<&PromptOption> {
        self.options.iter().find(|option| option.meaning == meaning)
    }
}

/// What stands in the way of a tool, or ended its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// Of which sort.
    pub cause: Cause,
    /// The tool's own words, one line.
    pub text: String,
    /// The moment after which it may be over, as the tool wrote it: `3pm`, `in 2 hours`.
    pub until: Option<String>,
}

/// Sorts of trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// A quota or rate limit; it ends by itself.
    RateLimited,
    /// The tool wants a log-in, a key, or a first setup.
    LoginRequired,
    /// The model's service failed, and the tool has given up on it.
    ApiError,
    /// A person or the agent broke the turn off.
    Interrupted,
}

impl Cause {
    /// The stable word a reason begins with.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RateLimited => "rate_limited",
            Self::LoginRequired => "login_required",
            Self::ApiError => "api_error",
            Self::Interrupted => "interrupted",
        }
    }
}

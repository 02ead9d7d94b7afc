//! What is known of one tool, as data: how it is launched, when it is ready, what it asks, when it is done (PURE).
//!
//! A profile is a versioned TOML file; `profiles/generic.toml` explains every field. Facts about tools live
//! there and not in code, because tools change faster than this program (failure 13: one detector update
//! broke every session of a fleet at once).

mod argv;
mod builtin;
mod facts;
mod file;
mod read;
mod version;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

pub use builtin::Profiles;
pub use facts::{
    ActivityRule, DialogRule, Facts, InputBox, OptionRule, Shape, Sidebar, Transcript, TroubleRule,
    TurnFacts, Working,
};
pub use version::{Range, Version};

/// A tool, as far as this agent knows it. Cheap to clone: compiled patterns are shared.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// The tool it is about; a tool may have several profiles, for different versions of it.
    pub tool: String,
    /// The version of these facts; grows with every change to them.
    pub version: u32,
    /// The tool's versions they are true of.
    pub versions: Range,
    /// The newest version these facts were tried with.
    pub newest: Option<Version>,
    /// The program to run, searched in `PATH`.
    pub program: String,
    /// How it is started and given its task.
    pub launch: Launch,
    /// What its state rests on, as long as nothing inside reports.
    pub life: Life,
    /// How long a question must stand.
    pub asking: Asking,
    /// The questions it may ask, in the order they are tried.
    pub prompts: Arc<[PromptRule]>,
    /// How the tool itself reports its status: `osc7501`.
    pub status: Option<String>,
    /// Whose way of calling hooks it has: `claude`.
    pub hooks: Option<String>,
    /// Its screens are captured with their colours: a highlight of it is nothing but colour.
    pub styles: bool,
    /// Its keys.
    pub keys: Keys,
    /// What is known of its screen.
    pub facts: Facts,
}

/// The channels a tool reports through, in the words of its profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Channels<'a> {
    /// How the tool itself reports its status: `osc7501`.
    pub status: Option<&'a str>,
    /// Whose way of calling hooks it has: `claude`.
    pub hooks: Option<&'a str>,
    /// Its title tells whether it works.
    pub title: bool,
}

/// The keys of a tool, as tmux names them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    /// Breaks its turn off.
    pub interrupt: Vec<String>,
    /// Ends it.
    pub exit: Vec<String>,
    /// Leaves a dialog that has no option to refuse.
    pub refuse: Vec<String>,
    /// Ticks the highlighted box of a question that takes several answers; `Space` where it does not say.
    pub tick: Vec<String>,
    /// Ends such a list, where no line of it does.
    pub submit: Vec<String>,
}

impl Keys {
    /// Whether a key breaks the tool's turn off; Ctrl-C does of any program.
    pub fn breaks_off(&self, key: &str) -> bool {
        key == "C-c" || self.interrupt.iter().any(|name| name.eq_ignore_ascii_case(key))
    }
}

/// How a tool is started.
#[derive(Debug, Clone)]
pub struct Launch {
    /// How the task gets in.
    pub task: TaskEntry,
    /// Arguments that always come first.
    pub args: Vec<String>,
    /// By one of those, the user's arguments that take its place: a word, with or without a value.
    pub yields: BTreeMap<String, Vec<String>>,
    /// The last arguments, if the task is one; `{task}` in them is the task.
    pub argument: Vec<String>,
    /// Environment variables it gets.
    pub env: BTreeMap<String, String>,
    /// Environment variables it may inherit: names, or beginnings of names followed by `*`.
    pub pass_env: Vec<String>,
    /// Arguments that go on with an earlier conversation; `{id}` in them is its id.
    pub resume: Vec<String>,
    /// Finds the conversation's id in the path of a file the tool keeps open, where it tells it in no other
    /// way; the first group is taken.
    pub conversation: Option<Pattern>,
    /// Arguments that make it print its version.
    pub version_args: Vec<String>,
    /// Finds the version in what it prints then; the first group is taken.
    pub version_pattern: Option<Pattern>,
}

/// How a task gets into a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEntry {
    /// It is the script a shell runs: `sh -c TASK`.
    Script,
    /// It is typed once the tool is ready.
    Typed,
    /// It is the last argument.
    Argument,
}

/// What a tool's state rests on.
#[derive(Debug, Clone)]
pub enum Life {
    /// Its process: running while it lives, done or failed by how it ends.
    Process,
    /// Its screen, while its process lives.
    Screen {
        /// When it can be given a task.
        ready: Ready,
        /// When its task is finished.
        done: Done,
    },
}

/// When a tool can be given a task. Each time says how long the screen must have stood still; the first
/// that comes true counts.
#[derive(Debug, Clone)]
pub struct Ready {
    /// What the text before the cursor looks like, trailing blanks removed.
    pub patterns: Vec<Pattern>,
    /// The whole screen, with such a text before the cursor.
    pub quiet: Duration,
    /// That text alone, while the screen moves elsewhere.
    pub animated: Duration,
    /// The whole screen, whatever is on it: tools without a prompt.
    pub silent: Duration,
}

/// When a task is finished: the prompt seen at readiness is back and has stood for so long (failure 10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// On a later line than before, the whole screen still.
    pub quiet: Duration,
    /// On the same line, or while the screen moves elsewhere.
    pub animated: Duration,
    /// After a report of `idle`, `done` or `failed`; a report of `working` in between cancels it.
    pub report: Duration,
}

/// How long a question must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asking {
    /// The whole screen, before text at the cursor is taken for a question.
    pub quiet: Duration,
    /// An answered question that still stands after this is open again, for a person.
    pub answered: Duration,
    /// A tool that takes no keys right after drawing a dialog: it must have stood so long before one comes.
    pub deaf: Duration,
}

/// A question a tool may ask: text directly before the cursor, nothing behind it (failure 2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PromptRule {
    /// The rule's name, for `explain`, journal and receipts.
    pub name: String,
    /// What kind of answer it wants.
    pub kind: PromptKind,
    /// What the text before the cursor looks like, trailing blanks removed.
    pub pattern: Pattern,
    /// What must not stand in the lines just above: the rule then does not apply.
    #[serde(default)]
    pub unless_above: Option<Pattern>,
    /// Only on the terminal's last row.
    #[serde(default)]
    pub last_row: bool,
    /// The keys that answer it, as tmux names them; only with kind `continue`.
    #[serde(default)]
    pub press: Vec<String>,
}

/// What kind of answer a question wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PromptKind {
    /// Yes or no, or another consent.
    Confirm,
    /// A password, passphrase or code.
    Secret,
    /// Words, or a choice from a list.
    Text,
    /// Nothing but a key to go on.
    Continue,
    /// Asked by a report from inside the session.
    Report,
    /// Leave to read a file.
    Read,
    /// Leave to change or create a file.
    Edit,
    /// Leave to run a command.
    Command,
    /// Leave to reach another machine.
    Network,
    /// A question of the tool's with answers to choose from or to write.
    Question,
    /// Whether a folder, a server or a configuration is trusted.
    Trust,
    /// Whether a plan is to be carried out.
    Plan,
}

impl PromptKind {
    /// Every kind there is.
    pub const ALL: [Self; 12] = [
        Self::Confirm,
        Self::Secret,
        Self::Text,
        Self::Continue,
        Self::Report,
        Self::Read,
        Self::Edit,
        Self::Command,
        Self::Network,
        Self::Question,
        Self::Trust,
        Self::Plan,
    ];

    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Secret => "secret",
            Self::Text => "text",
            Self::Continue => "continue",
            Self::Report => "report",
            Self::Read => "read",
            Self::Edit => "edit",
            Self::Command => "command",
            Self::Network => "network",
            Self::Question => "question",
            Self::Trust => "trust",
            Self::Plan => "plan",
        }
    }
}

/// A regular expression, compiled once and shared. It knows Unicode unless it says `(?-u)`.
#[derive(Debug, Clone)]
pub struct Pattern(Arc<Regex>);

impl Pattern {
    /// Whether it is found in the text.
    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text.as_bytes())
    }

    /// The first group where it is found, or the whole find if it has no groups.
    pub fn first_group(&self, text: &str) -> Option<String> {
        let found = self.0.captures(text.as_bytes())?;
        let group = found.get(1).or_else(|| found.get(0))?;
        std::str::from_utf8(group.as_bytes()).ok().map(|group| group.trim().to_owned())
    }
}

/// Why a profile cannot be read: `FILE:LINE:COLUMN: what is wrong`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ProfileError {
    /// The file's name as it was given.
    pub file: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
    /// What is wrong, and what was expected.
    pub message: String,
}

impl Profile {
    /// Reads a profile. `file` is its name, for errors.
    ///
    /// # Errors
    /// The first thing wrong with it, with its place.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        read::profile(file, text, &builtin::text)
    }

    /// Whether a task must be typed, once the tool is ready.
    pub fn types_task(&self) -> bool {
        self.launch.task == TaskEntry::Typed
    }

    /// What a person should know of these facts and a version of the tool, if they do not surely fit.
    pub fn doubt(&self, version: &str) -> Option<String> {
        let parsed = Version::parse(version)?;
        let about = match &self.newest {
            _ if !self.versions.contains(&parsed) => format!("{} ({})", self.name, self.versions),
            Some(newest) if parsed > *newest => format!("{} (tried up to {newest})", self.name),
            _ => return None,
        };
        let tool = &self.tool;
        Some(format!(
            "{tool} {version} is none of the versions of the profile {about}: its screens may be read \
             wrongly, and what is not recognised is left to a person"
        ))
    }

    /// Through what the tool reports.
    pub fn channels(&self) -> Channels<'_> {
        Channels {
            status: self.status.as_deref(),
            hooks: self.hooks.as_deref(),
            title: !self.facts.working.title.is_empty(),
        }
    }

    /// Whether it draws a screen of its own instead of asking line by line.
    pub fn is_tui(&self) -> bool {
        self.facts.input.as_ref().is_some_and(|input| input.shape != Shape::Cursor)
    }

    /// Whether its status comes through its terminal (OSC 7501).
    pub fn reports_status(&self) -> bool {
        self.channels().status == Some("osc7501")
    }

    /// Whether it has hooks of Claude's kind.
    pub fn has_hooks(&self) -> bool {
        self.channels().hooks == Some("claude")
    }

    /// Whether only its exit decides how it ends.
    pub fn life_is_process(&self) -> bool {
        matches!(self.life, Life::Process)
    }

    /// Whether the tool may inherit this environment variable.
    pub fn passes_env(&self, name: &str) -> bool {
        self.launch.pass_env.iter().any(|pattern| match pattern.strip_suffix('*') {
            Some(beginning) => name.starts_with(beginning),
            None => name == pattern,
        })
    }
}

#[cfg(test)]
pub(crate) mod tests;

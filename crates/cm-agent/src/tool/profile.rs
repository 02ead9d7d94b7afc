//! What is known of one tool, as data: how it is launched, when it is ready, what it asks, when it is done (PURE).
//!
//! A profile is a versioned TOML file; `profiles/generic.toml` explains every field. Facts about tools live
//! there and not in code, because tools change faster than this program (failure 13: one detector update
//! broke every session of a fleet at once).

mod read;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use regex::bytes::Regex;
use serde::{Deserialize, Serialize};

/// A tool, as far as this agent knows it. Cheap to clone: compiled patterns are shared.
#[derive(Debug, Clone)]
pub struct Profile {
    /// The profile's name.
    pub name: String,
    /// The version of these facts; grows with every change to them.
    pub version: u32,
    /// The program to run, searched in `PATH`.
    pub program: String,
    /// How it is started and given its task.
    pub launch: Launch,
    /// What its state rests on, as long as nothing inside reports.
    pub life: Life,
    /// Its screen is looked at with its colours.
    pub styles: bool,
    /// How long a question must stand.
    pub asking: Asking,
    /// The questions it may ask, in the order they are tried.
    pub prompts: Arc<[PromptRule]>,
}

/// How a tool is started.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Launch {
    /// How the task gets in.
    pub task: TaskEntry,
    /// Arguments that always come first.
    #[serde(default)]
    pub args: Vec<String>,
    /// Environment variables it may inherit: names, or beginnings of names followed by `*`.
    #[serde(default, deserialize_with = "read::env_patterns")]
    pub pass_env: Vec<String>,
}

/// How a task gets into a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEntry {
    /// It is the script a shell runs: `sh -c TASK`.
    Script,
    /// It is typed once the tool is ready.
    Typed,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Done {
    /// On a later line than before, the whole screen still.
    #[serde(deserialize_with = "read::hold")]
    pub quiet: Duration,
    /// On the same line, or while the screen moves elsewhere.
    #[serde(deserialize_with = "read::hold")]
    pub animated: Duration,
    /// After a report of `idle`, `done` or `failed`; a report of `working` in between cancels it.
    #[serde(deserialize_with = "read::hold")]
    pub report: Duration,
}

/// How long a question must stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asking {
    /// The whole screen, before text at the cursor is taken for a question.
    #[serde(deserialize_with = "read::hold")]
    pub quiet: Duration,
    /// An answered question that still stands after this is open again, for a person.
    #[serde(deserialize_with = "read::hold")]
    pub answered: Duration,
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
        read::profile(file, text)
    }

    /// The program and its arguments, for a task (empty: none) and further arguments of the user's.
    pub fn argv(&self, task: &str, args: &[String]) -> Vec<String> {
        let mut argv = vec![self.program.clone()];
        argv.extend_from_slice(&self.launch.args);
        match self.launch.task {
            TaskEntry::Script if !task.is_empty() => {
                argv.push("-c".into());
                // A shell would read such a script as options (failure 27).
                if task.starts_with(['-', '+']) {
                    argv.push("--".into());
                }
                argv.push(task.into());
                if !args.is_empty() {
                    argv.push(self.program.clone());
                }
            }
            TaskEntry::Script | TaskEntry::Typed => {}
        }
        argv.extend_from_slice(args);
        argv
    }

    /// Whether a task must be typed, once the tool is ready.
    pub fn types_task(&self) -> bool {
        self.launch.task == TaskEntry::Typed
    }

    /// x
    pub fn version_args(&self) -> &[String] {
        &[]
    }

    /// x
    pub fn reports_status(&self) -> bool {
        false
    }

    /// Whether it draws a screen of its own instead of printing line by line.
    pub fn is_tui(&self) -> bool {
        false
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

/// The profiles at hand, by name.
#[derive(Debug, Clone)]
pub struct Profiles {
    known: BTreeMap<String, Profile>,
    generic: Profile,
}

impl Profiles {
    /// Those that come with the agent.
    pub fn builtin() -> Self {
        // These texts are part of the program and a test reads every one: they cannot be wrong at run time.
        let read = |file, text| Profile::parse(file, text).expect("a built-in profile is well-formed");
        let generic = read("generic.toml", include_str!("profiles/generic.toml"));
        Self { known: BTreeMap::new(), generic }.with(read("shell.toml", include_str!("profiles/shell.toml")))
    }

    /// The same with one more; it takes the place of one of the same name.
    #[must_use]
    pub fn with(mut self, profile: Profile) -> Self {
        self.known.insert(profile.name.clone(), profile);
        self
    }

    /// The profile for a tool: its own, or the generic one with the tool as its program.
    pub fn for_tool(&self, tool: &str) -> Profile {
        match self.known.get(tool) {
            Some(profile) => profile.clone(),
            None => Profile { program: tool.to_owned(), ..self.generic.clone() },
        }
    }

    /// x
    pub fn for_version(&self, tool: &str, _: Option<&str>) -> Profile {
        self.for_tool(tool)
    }

    /// The names of tools with a profile of their own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
}

#[cfg(test)]
pub(crate) mod tests;

//! A profile as it stands in its file, every field optional, and where in the file something is wrong (PURE).

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{
    ActivityRule, Asking, DialogRule, Done, InputBox, Keys, OptionRule, Pattern, ProfileError, PromptRule,
    TaskEntry, Transcript, TroubleRule, TurnFacts, Working,
};

/// The longest hold that makes sense; more is a slip of units.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// A table whose every field may be left out, and filled from another one.
macro_rules! table {
    ($(#[$meta:meta])* $name:ident { $($field:ident: $type:ty,)* }) => {
        $(#[$meta])*
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name { $(pub(super) $field: Option<$type>,)* }

        impl $name {
            /// What this one leaves out comes from `below`.
            fn filled(self, below: Self) -> Self {
                Self { $($field: self.$field.or(below.$field),)* }
            }
        }
    };
}

table! {
    /// A profile's file.
    ProfileFile {
        name: Spanned<String>,
        version: Spanned<u32>,
        extends: Spanned<String>,
        tool: String,
        versions: Spanned<String>,
        newest: Spanned<String>,
        program: String,
        authority: Spanned<AuthorityWord>,
        terminal_prompts: bool,
        status: String,
        hooks: String,
        styles: bool,
        launch: Spanned<LaunchTable>,
        ready: Spanned<ReadyTable>,
        done: Spanned<DoneTable>,
        asking: AskingTable,
        keys: Keys,
        r#box: InputBox,
        transcript: Transcript,
        working: Working,
        turn: TurnFacts,
        prompt: Vec<Spanned<PromptRule>>,
        dialog: Vec<DialogRule>,
        trouble: Vec<TroubleRule>,
        activity: Vec<ActivityRule>,
        option: Vec<OptionRule>,
    }
}

table! {
    LaunchTable {
        task: TaskEntry,
        args: Vec<String>,
        yields: BTreeMap<String, Vec<String>>,
        argument: Vec<String>,
        env: BTreeMap<String, String>,
        pass_env: EnvPatterns,
        resume: Vec<String>,
        conversation: Pattern,
        version_args: Vec<String>,
        version_pattern: Pattern,
    }
}

table! {
    ReadyTable {
        pattern: Vec<Spanned<String>>,
        quiet: Hold,
        animated: Hold,
        silent: Hold,
    }
}

table! {
    DoneTable {
        quiet: Hold,
        animated: Hold,
        report: Hold,
    }
}

table! {
    AskingTable {
        quiet: Hold,
        answered: Hold,
        deaf: Hold,
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum AuthorityWord {
    Process,
    Screen,
}

impl ProfileFile {
    /// This profile, with what it leaves out from the one it extends. Lists of rules come before the other's.
    pub(super) fn over(mut self, mut below: Self) -> Self {
        fn inner<T>(
            own: Option<Spanned<T>>,
            below: Option<Spanned<T>>,
            fill: fn(T, T) -> T,
        ) -> Option<Spanned<T>> {
            match (own, below) {
                (Some(own), Some(below)) => {
                    let span = own.span();
                    Some(Spanned::new(span, fill(own.into_inner(), below.into_inner())))
                }
                (own, below) => own.or(below),
            }
        }
        fn before<T>(own: Option<Vec<T>>, below: Option<Vec<T>>) -> Option<Vec<T>> {
            Some(own.into_iter().flatten().chain(below.into_iter().flatten()).collect())
        }
        // A profile for a tool of its own does not answer for the other tool.
        self.tool = self.tool.or_else(|| self.name.as_ref().map(|name| name.get_ref().clone()));
        self.program = self
            .program
            .or_else(|| below.program.take().or_else(|| below.tool.clone()))
            .or_else(|| below.name.as_ref().map(|name| name.get_ref().clone()));
        self.launch = inner(self.launch, below.launch.take(), LaunchTable::filled);
        self.ready = inner(self.ready, below.ready.take(), ReadyTable::filled);
        self.done = inner(self.done, below.done.take(), DoneTable::filled);
        self.asking = match (self.asking, below.asking.take()) {
            (Some(own), Some(below)) => Some(own.filled(below)),
            (own, below) => own.or(below),
        };
        self.prompt = before(self.prompt, below.prompt.take());
        self.dialog = before(self.dialog, below.dialog.take());
        self.trouble = before(self.trouble, below.trouble.take());
        self.activity = before(self.activity, below.activity.take());
        self.option = before(self.option, below.option.take());
        below.versions = None;
        below.newest = None;
        self.filled(below)
    }
}

impl DoneTable {
    pub(super) fn built(self) -> Result<Done, Wrong> {
        match (self.quiet, self.animated, self.report) {
            (Some(quiet), Some(animated), Some(report)) => {
                Ok(Done { quiet: quiet.0, animated: animated.0, report: report.0 })
            }
            _ => wrong(0..0, "[done] needs `quiet`, `animated` and `report`"),
        }
    }
}

impl AskingTable {
    pub(super) fn built(self) -> Result<Asking, Wrong> {
        match (self.quiet, self.answered) {
            (Some(quiet), Some(answered)) => {
                let deaf = self.deaf.map_or(Duration::ZERO, |deaf| deaf.0);
                Ok(Asking { quiet: quiet.0, answered: answered.0, deaf })
            }
            _ => wrong(0..0, "[asking] needs `quiet` and `answered`"),
        }
    }
}

/// A complaint and its place in the text.
pub(super) struct Wrong {
    pub(super) at: Range<usize>,
    pub(super) message: String,
}

pub(super) fn wrong<T>(at: Range<usize>, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, message: message.into() })
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        let message = error.message().trim();
        let message = match suggestion(message) {
            Some(word) => format!("{message}; did you mean `{word}`?"),
            None => message.to_owned(),
        };
        Self { at: error.span().unwrap_or(0..0), message }
    }
}

/// The expected word that is most like the unknown one.
fn suggestion(message: &str) -> Option<&str> {
    if !message.starts_with("unknown ") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let unknown = quoted.next()?;
    let (distance, word) = quoted.map(|word| (distance(unknown, word), word)).min()?;
    (distance <= unknown.chars().count() / 2).then_some(word)
}

/// How many letters must change to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let changed = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = changed.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[other.len()]
}

/// Gives an error its line and column.
pub(super) fn located<T>(file: &str, text: &str, result: Result<T, Wrong>) -> Result<T, ProfileError> {
    result.map_err(|Wrong { at, message }| {
        let before = text.get(..at.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        ProfileError { file: file.to_owned(), line, column, message }
    })
}

/// `"400ms"`, `"1.5s"`: a positive time of at most ten minutes.
#[derive(Clone, Copy)]
pub(super) struct Hold(pub(super) Duration);

impl<'de> Deserialize<'de> for Hold {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let seconds = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
            (Some(number), _) => number.parse::<f64>().ok().map(|ms| ms / 1000.0),
            (None, Some(number)) => number.parse::<f64>().ok(),
            (None, None) => None,
        };
        seconds
            .filter(|s| *s > 0.0)
            .and_then(|s| Duration::try_from_secs_f64(s).ok())
            .filter(|hold| (Duration::from_millis(1)..=LONGEST_HOLD).contains(hold))
            .map(Hold)
            .ok_or_else(|| D::Error::custom(format!("`{text}` is no time from \"1ms\" to \"600s\"")))
    }
}

/// Names of environment variables, a trailing `*` for any ending.
#[derive(Default)]
pub(super) struct EnvPatterns(pub(super) Vec<String>);

impl<'de> Deserialize<'de> for EnvPatterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let patterns = Vec::<String>::deserialize(deserializer)?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        for pattern in &patterns {
            let name = pattern.strip_suffix('*').unwrap_or(pattern);
            if name.is_empty() || !name.chars().all(is_name) {
                return Err(D::Error::custom(format!(
                    "`{pattern}` is no environment variable's name, nor the beginning of one and `*`"
                )));
            }
        }
        Ok(Self(patterns))
    }
}

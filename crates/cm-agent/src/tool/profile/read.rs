//! Reading a profile from TOML, with the line and column of whatever is wrong (PURE).

use std::ops::Range;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use regex::bytes::RegexBuilder;
use serde::{Deserialize, Deserializer, de::Error as _};
use toml::Spanned;

use super::{Asking, Done, Launch, Life, Pattern, Profile, ProfileError, PromptKind, PromptRule, Ready};

/// The longest hold that makes sense; more is a slip of units.
const LONGEST_HOLD: Duration = Duration::from_secs(600);

/// The keys a profile may have pressed without a person: they go on, they never choose.
const HARMLESS_KEYS: [&str; 3] = ["Enter", "Space", "q"];

/// What any program in a terminal may ask.
const TERMINAL_PROMPTS: &str = include_str!("../profiles/terminal-prompts.toml");

/// A profile as it stands in the file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProfileFile {
    name: Spanned<String>,
    version: Spanned<u32>,
    #[serde(default)]
    program: String,
    authority: Spanned<AuthorityWord>,
    launch: Launch,
    ready: Option<Spanned<ReadyTable>>,
    done: Option<Spanned<Done>>,
    asking: Asking,
    terminal_prompts: bool,
    #[serde(default)]
    prompt: Vec<Spanned<PromptRule>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyTable {
    pattern: Vec<Spanned<String>>,
    #[serde(deserialize_with = "hold")]
    quiet: Duration,
    #[serde(deserialize_with = "hold")]
    animated: Duration,
    #[serde(deserialize_with = "hold")]
    silent: Duration,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum AuthorityWord {
    Process,
    Screen,
}

/// The file with the questions of all terminals.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PromptsFile {
    prompt: Vec<Spanned<PromptRule>>,
}

/// A complaint and its place in the text.
struct Wrong {
    at: Range<usize>,
    message: String,
}

pub(super) fn profile(file: &str, text: &str) -> Result<Profile, ProfileError> {
    located(file, text, toml::from_str(text).map_err(Wrong::from).and_then(build))
}

fn build(read: ProfileFile) -> Result<Profile, Wrong> {
    let name = read.name.get_ref();
    if name.is_empty() || !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return wrong(read.name.span(), "a name is lower-case letters, digits and `-`");
    }
    if *read.version.get_ref() == 0 {
        return wrong(read.version.span(), "versions count from 1");
    }
    let at = read.authority.span();
    let life = match (read.authority.into_inner(), read.ready, read.done) {
        (AuthorityWord::Process, None, None) => Life::Process,
        (AuthorityWord::Process, ready, done) => {
            let at = ready.map(|table| table.span()).or(done.map(|table| table.span())).unwrap_or(at);
            return wrong(at, "with authority `process` there is no [ready] and no [done]: its exit decides");
        }
        (AuthorityWord::Screen, Some(ready), Some(done)) => {
            Life::Screen { ready: compiled(ready.into_inner())?, done: done.into_inner() }
        }
        (AuthorityWord::Screen, _, _) => {
            return wrong(at, "authority `screen` needs the tables [ready] and [done]");
        }
    };
    let mut prompts = checked(read.prompt)?;
    if read.terminal_prompts {
        prompts.extend(terminal_prompts().iter().cloned());
    }
    Ok(Profile {
        program: if read.program.is_empty() { name.clone() } else { read.program },
        name: read.name.into_inner(),
        version: read.version.into_inner(),
        launch: read.launch,
        life,
        styles: false,
        asking: read.asking,
        prompts: Arc::from(prompts),
    })
}

/// Compiles the patterns of readiness, each with its own place.
fn compiled(table: ReadyTable) -> Result<Ready, Wrong> {
    let compile = |text: Spanned<String>| {
        let at = text.span();
        Pattern::compile(text.get_ref()).or_else(|message| wrong(at, message))
    };
    let patterns = table.pattern.into_iter().map(compile).collect::<Result<_, _>>()?;
    Ok(Ready { patterns, quiet: table.quiet, animated: table.animated, silent: table.silent })
}

/// The rules of `terminal-prompts.toml`, read once.
fn terminal_prompts() -> &'static [PromptRule] {
    static READ: OnceLock<Vec<PromptRule>> = OnceLock::new();
    READ.get_or_init(|| {
        let file = toml::from_str(TERMINAL_PROMPTS).map_err(Wrong::from);
        // This text is part of the program and a test reads it: it cannot be wrong at run time.
        located(
            "terminal-prompts.toml",
            TERMINAL_PROMPTS,
            file.and_then(|file: PromptsFile| checked(file.prompt)),
        )
        .expect("the built-in prompts are well-formed")
    })
}

/// What serde cannot see: unique names, and keys only where nothing is decided by them.
fn checked(rules: Vec<Spanned<PromptRule>>) -> Result<Vec<PromptRule>, Wrong> {
    let mut known: Vec<PromptRule> = Vec::new();
    for rule in rules {
        let at = rule.span();
        let rule = rule.into_inner();
        if rule.name.is_empty() || known.iter().any(|other| other.name == rule.name) {
            return wrong(at, format!("the prompt's name `{}` is empty or taken", rule.name));
        }
        if (rule.kind == PromptKind::Continue) == rule.press.is_empty() {
            return wrong(
                at,
                format!("prompt `{}`: `press` goes with kind `continue`, and only with it", rule.name),
            );
        }
        if rule.kind == PromptKind::Report {
            return wrong(
                at,
                format!("prompt `{}`: kind `report` comes from reports, not from screens", rule.name),
            );
        }
        if let Some(key) = rule.press.iter().find(|key| !HARMLESS_KEYS.contains(&key.as_str())) {
            let keys = HARMLESS_KEYS.join("`, `");
            return wrong(at, format!("prompt `{}`: key `{key}` is none of `{keys}`", rule.name));
        }
        known.push(rule);
    }
    Ok(known)
}

fn wrong<T>(at: Range<usize>, message: impl Into<String>) -> Result<T, Wrong> {
    Err(Wrong { at, message: message.into() })
}

impl From<toml::de::Error> for Wrong {
    fn from(error: toml::de::Error) -> Self {
        Self { at: error.span().unwrap_or(0..0), message: error.message().trim().to_owned() }
    }
}

/// Gives an error its line and column.
fn located<T>(file: &str, text: &str, result: Result<T, Wrong>) -> Result<T, ProfileError> {
    result.map_err(|Wrong { at, message }| {
        let before = text.get(..at.start).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        ProfileError { file: file.to_owned(), line, column, message }
    })
}

/// `"400ms"`, `"1.5s"`: a positive time of at most ten minutes.
pub(super) fn hold<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
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
        .ok_or_else(|| D::Error::custom(format!("`{text}` is no time from \"1ms\" to \"600s\"")))
}

/// Names of environment variables, a trailing `*` for any ending.
pub(super) fn env_patterns<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
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
    Ok(patterns)
}

impl Pattern {
    fn compile(text: &str) -> Result<Self, String> {
        let regex = RegexBuilder::new(text).size_limit(1 << 20).build().map_err(|e| {
            // The last line of a regex error is the complaint; the ones above draw the pattern.
            let complaint = e.to_string();
            format!("pattern: {}", complaint.lines().last().unwrap_or_default().trim_start_matches("error: "))
        })?;
        if regex.is_match(b"") {
            return Err(format!("pattern `{text}` matches everything"));
        }
        Ok(Self(Arc::new(regex)))
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::compile(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

//! PURE. Scenarios: what the model says and calls, step by step, read from TOML.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// Scenarios by name.
pub type Scenarios = BTreeMap<String, Scenario>;

/// What the model does from a `SCENARIO:name` on: one step for each of its turns. The last step is repeated.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// What it is good for, for people.
    #[serde(default)]
    pub about: String,
    /// Never empty.
    pub step: Vec<Step>,
}

/// One turn of the model: it thinks, speaks, then calls tools. Times are in milliseconds.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Step {
    /// What it thinks, where the dialect can show it.
    pub think: String,
    /// What it says.
    pub say: String,
    /// How often `say` is said: once, if not given.
    pub repeat: Option<u32>,
    /// The tools it calls, all at once.
    pub calls: Vec<Call>,
    /// Left out for a client that has no tool for any of its calls.
    pub optional: bool,
    /// Silence before the answer begins at all (no status, no header).
    pub first_byte_ms: u64,
    /// Silence after the answer has begun, before the first word.
    pub silent_ms: u64,
    /// Between two words.
    pub piece_ms: u64,
    /// Hold at this gate after the answer has begun, before the first word.
    pub gate: Option<String>,
    /// Hold at this gate after the last word, before the calls and the end.
    pub end_gate: Option<String>,
    /// Break the connection after this many words.
    pub cut_after: Option<usize>,
    /// Answer with an error instead.
    pub error: Option<Error>,
}

/// An error in place of an answer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Error {
    /// The HTTP status.
    pub status: u16,
    /// How many requests of a conversation get it, before the step is answered; without it, all do.
    pub times: Option<u32>,
    /// The `retry-after` header, in seconds.
    pub retry_after_s: Option<u64>,
    /// In place of the usual words.
    pub message: Option<String>,
    /// In place of the usual type or code of the error.
    pub kind: Option<String>,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
}

/// A call in our own words; `calls` turns it into one the client knows.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Call {
    /// A new file.
    Write {
        /// Relative to where the tool works, or absolute.
        path: String,
        /// All of it.
        content: String,
    },
    /// Reads a file.
    Read {
        /// Relative or absolute.
        path: String,
    },
    /// Replaces one text in a file.
    Edit {
        /// Relative or absolute.
        path: String,
        /// Stands there once.
        old: String,
        /// Stands there afterwards.
        new: String,
    },
    /// A shell command.
    Bash {
        /// As typed.
        command: String,
        /// Ask to run it outside of the sandbox, where the client has one.
        #[serde(default)]
        escalate: bool,
    },
    /// Asks the user to choose.
    Question {
        /// One or two words.
        header: String,
        /// The question.
        text: String,
        /// What can be chosen.
        options: Vec<String>,
        /// Whether more than one can.
        #[serde(default)]
        many: bool,
    },
    /// Shows a plan and asks to go on.
    ExitPlan {
        /// The plan.
        plan: String,
    },
    /// Notes what is to be done; the first item is under way.
    Todo {
        /// In order.
        items: Vec<String>,
    },
    /// Fetches a page.
    Fetch {
        /// Where.
        url: String,
    },
    /// Any tool under its own name.
    Raw {
        /// As the client offers it.
        name: String,
        /// As the client takes them.
        arguments: Value,
    },
}

impl Call {
    /// Its name in a scenario.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Write { .. } => "write",
            Self::Read { .. } => "read",
            Self::Edit { .. } => "edit",
            Self::Bash { .. } => "bash",
            Self::Question { .. } => "question",
            Self::ExitPlan { .. } => "exit_plan",
            Self::Todo { .. } => "todo",
            Self::Fetch { .. } => "fetch",
            Self::Raw { .. } => "raw",
        }
    }
}

/// What is wrong with a file of scenarios.
#[derive(Debug, thiserror::Error)]
pub enum BadScenario {
    /// Not TOML, or not in this shape.
    #[error("{file}: {source}")]
    Shape {
        /// Which file.
        file: String,
        /// Where and what.
        source: Box<toml::de::Error>,
    },
    /// No step.
    #[error("{file}: scenario {name} has no step; add [[{name}.step]]")]
    Empty {
        /// Which file.
        file: String,
        /// Which scenario.
        name: String,
    },
    /// A name that could not be asked for.
    #[error("{file}: scenario {name:?} cannot be asked for; use small letters, digits and _")]
    Name {
        /// Which file.
        file: String,
        /// Which scenario.
        name: String,
    },
}

/// The scenarios that come with the kit.
pub fn builtin() -> Result<Scenarios, BadScenario> {
    let files = [
        ("words.toml", include_str!("../../scenarios/words.toml")),
        ("work.toml", include_str!("../../scenarios/work.toml")),
        ("asks.toml", include_str!("../../scenarios/asks.toml")),
        ("trouble.toml", include_str!("../../scenarios/trouble.toml")),
    ];
    let mut all = Scenarios::new();
    for (file, text) in files {
        all.extend(parse(file, text)?);
    }
    Ok(all)
}

/// Reads scenarios: one table for each, `[[name.step]]` for its steps.
pub fn parse(file: &str, text: &str) -> Result<Scenarios, BadScenario> {
    let all: Scenarios = toml::from_str(text)
        .map_err(|source| BadScenario::Shape { file: file.to_owned(), source: Box::new(source) })?;
    for (name, scenario) in &all {
        let (file, name) = (file.to_owned(), name.clone());
        if name.is_empty() || !name.bytes().all(is_name_byte) {
            return Err(BadScenario::Name { file, name });
        }
        if scenario.step.is_empty() {
            return Err(BadScenario::Empty { file, name });
        }
    }
    Ok(all)
}

/// What a scenario's name is made of.
pub const fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scenarios_of_the_kit_are_sound() {
        let all = builtin().unwrap();
        for name in ["say", "write", "edit", "bash", "question", "flaky", "cut"] {
            assert!(all.contains_key(name), "{name}");
        }
        for (name, scenario) in all {
            assert!(!scenario.about.is_empty(), "{name} says what it is good for");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_the_file() {
        let check = |text: &str, expected: &str| {
            let error = parse("x.toml", text).unwrap_err().to_string();
            assert!(error.contains("x.toml") && error.contains(expected), "{text}: {error}");
        };
        check("[a]\nstep = []", "has no step");
        check("[A]\n[[A.step]]", "cannot be asked for");
        check("[a]\n[[a.step]]\nsya = 'x'", "unknown field `sya`");
        check("[a]\n[[a.step]]\ncalls = [{ wirte = { path = 'x' } }]", "unknown variant `wirte`");
        check("[a]\n[[a.step]]\ncalls = [{ write = { path = 'x' } }]", "missing field `content`");
    }
}

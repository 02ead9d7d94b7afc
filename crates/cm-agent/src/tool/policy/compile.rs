//! Policies made ready to decide: rules checked, presets resolved by name (PURE).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cm_protocol::{Policy, PolicyChoice};

use super::read::read;
use super::rule::{Rule, Wrong, meant};

/// The presets, as anyone could write them.
const PRESETS: [(&str, &str); 3] = [
    ("read-only", include_str!("presets/read-only.yaml")),
    ("careful", include_str!("presets/careful.yaml")),
    ("trusting", include_str!("presets/trusting.yaml")),
];

/// The presets' names.
pub(super) const PRESET_NAMES: [&str; 3] = ["read-only", "careful", "trusting"];

/// The most rules of one policy.
const MOST_RULES: usize = 1000;

/// A policy ready to decide.
#[derive(Debug, PartialEq, Eq)]
pub struct Compiled {
    name: String,
    pub(super) rules: Vec<Rule>,
}

impl Compiled {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The policies known by name: the presets, and those of the host's own.
#[derive(Debug, Clone)]
pub struct Policies {
    known: BTreeMap<String, Arc<Compiled>>,
}

/// Where in a policy something is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    Name,
    Extends,
    Rules,
    /// A rule by its index.
    Rule(usize, Wrong),
}

impl Policies {
    /// The name of the policy that holds where none is chosen.
    pub const DEFAULT: &str = "careful";

    /// `read-only`, `careful` and `trusting`.
    pub fn builtin() -> Self {
        let mut known = BTreeMap::new();
        for (name, text) in PRESETS {
            // The presets are part of the program, and a test reads each of them.
            let preset = read(name, text).ok().and_then(|policy| compile(&policy).ok());
            let compiled = preset.unwrap_or_else(|| Compiled { name: name.to_owned(), rules: Vec::new() });
            known.insert(name.to_owned(), Arc::new(compiled));
        }
        Self { known }
    }

    /// The policy that holds where none is chosen.
    pub fn careful() -> Arc<Compiled> {
        static CAREFUL: OnceLock<Arc<Compiled>> = OnceLock::new();
        // A test resolves every preset: this one is always known.
        CAREFUL.get_or_init(|| Self::builtin().resolve(None).expect("a preset")).clone()
    }

    /// Makes a policy known by its name.
    ///
    /// # Errors
    /// A rule is wrong, or the name is a preset's.
    pub fn add(&mut self, policy: &Policy) -> Result<(), PolicyError> {
        let compiled = self.own(policy)?;
        self.known.insert(policy.name.clone(), compiled);
        Ok(())
    }

    /// The names that can be chosen.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// The policy that was chosen; [`Self::DEFAULT`] if none was.
    ///
    /// # Errors
    /// No policy has this name, or a rule is wrong.
    pub fn resolve(&self, choice: Option<&PolicyChoice>) -> Result<Arc<Compiled>, PolicyError> {
        let name = match choice {
            None => Self::DEFAULT,
            Some(PolicyChoice::Name(name)) => name,
            Some(PolicyChoice::Rules(policy)) => return self.own(policy),
        };
        self.known.get(name).cloned().ok_or_else(|| {
            let names: Vec<&str> = self.names().collect();
            PolicyError::Unknown { name: name.to_owned(), hint: meant(name, &names), known: names.join(", ") }
        })
    }

    /// A policy that is no preset, with the rules of the one it extends.
    fn own(&self, policy: &Policy) -> Result<Arc<Compiled>, PolicyError> {
        let fault = |(place, message): (Place, String)| PolicyError::Rules {
            policy: policy.name.clone(),
            message: match place {
                Place::Name | Place::Extends | Place::Rules => message,
                Place::Rule(index, wrong) => format!("rule {}, `{}`: {message}", index + 1, wrong.field),
            },
        };
        if PRESET_NAMES.contains(&policy.name.as_str()) {
            return Err(fault((Place::Name, "this is a preset's name; give yours another".to_owned())));
        }
        let mut compiled = compile(policy).map_err(fault)?;
        if let Some(base) = policy.extends.as_deref().and_then(|name| self.known.get(name)) {
            compiled.rules.extend(base.rules.iter().cloned());
        }
        Ok(Arc::new(compiled))
    }
}

/// Checks a policy's own rules.
pub(super) fn compile(policy: &Policy) -> Result<Compiled, (Place, String)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if policy.name.is_empty() || policy.name.len() > 64 || !policy.name.chars().all(plain) {
        let message =
            format!("{:?} is no policy's name; use up to 64 letters, digits, `-`, `_` and `.`", policy.name);
        return Err((Place::Name, message));
    }
    if let Some(base) = policy.extends.as_deref().filter(|base| !PRESET_NAMES.contains(base)) {
        let hint = meant(base, &PRESET_NAMES);
        return Err((
            Place::Extends,
            format!("there is no preset {base:?}{hint}; presets are {}", PRESET_NAMES.join(", ")),
        ));
    }
    if policy.rules.len() > MOST_RULES {
        return Err((
            Place::Rules,
            format!("there are {} rules; {MOST_RULES} are the most", policy.rules.len()),
        ));
    }
    let mut rules = Vec::new();
    for (index, rule) in policy.rules.iter().enumerate() {
        let rule = Rule::new(&policy.name, index + 1, rule).map_err(|wrong| {
            let message = wrong.message.clone();
            (Place::Rule(index, wrong), message)
        })?;
        rules.push(rule);
    }
    Ok(Compiled { name: policy.name.clone(), rules })
}

/// What is wrong with a policy, and what was meant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// In a file.
    #[error("{file}:{line}:{column}: {message}")]
    At {
        /// The file, as it was named.
        file: String,
        /// From 1.
        line: usize,
        /// From 1, in characters.
        column: usize,
        /// What is wrong and what was meant.
        message: String,
    },
    /// In a policy that came without a file.
    #[error("policy {policy:?}: {message}")]
    Rules {
        /// Its name.
        policy: String,
        /// Which rule, what is wrong and what was meant.
        message: String,
    },
    /// No policy has this name.
    #[error("no policy is called {name:?}{hint}; known are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// `; did you mean …?`, or nothing.
        hint: String,
        /// The names there are.
        known: String,
    },
}

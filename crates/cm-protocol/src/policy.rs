//! What may be done without a person: ordered rules, the same on every host.

use serde::{Deserialize, Deserializer, Serialize};

use crate::forms::{Short, one_or_many, short_or_full};

/// A policy as a request carries it: by name, or its rules themselves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum PolicyChoice {
    /// One the agent knows: `read-only`, `careful`, `trusting`, or one of its host's own.
    Name(String),
    /// These rules.
    Rules(Policy),
}

impl<'de> Deserialize<'de> for PolicyChoice {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let short = |short: Short<'_>| match short {
            Short::Text(name) => Ok(Self::Name(name.to_owned())),
            Short::Flag(_) => Err("expected a policy's name or its rules"),
        };
        short_or_full(deserializer, "a policy's name or its rules", short, Self::Rules)
    }
}

/// Ordered rules. The first that fits a prompt decides; what none fits goes on to `extends`, then to a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Its name, for journal and receipts.
    pub name: String,
    /// The preset whose rules follow these: `read-only`, `careful` or `trusting`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extends: Option<String>,
    /// The rules.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<PolicyRule>,
}

/// One rule. Every condition given must hold; a list holds if one of its members does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct PolicyRule {
    /// Its name, for journal and receipts; its number if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Tools by name, `*` stands for any text.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub tool: Vec<String>,
    /// Kinds of prompt: `read`, `edit`, `command`, `network`, `question`, `trust`, `plan`, `continue`.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub kind: Vec<String>,
    /// Where the path lies: `inside` or `outside` of the work tree, or a glob (`src/**`, `~/.ssh/**`).
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub path: Vec<String>,
    /// Commands: words with `*` for the rest (`git push *`). To allow, every part of the command line must
    /// fit one of them; to deny or ask, one part is enough.
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// Hosts of a network access (`*.example.com`).
    #[serde(default, deserialize_with = "one_or_many", skip_serializing_if = "Vec::is_empty")]
    pub host: Vec<String>,
    /// What is done.
    pub then: PolicyVerdict,
    /// With `deny`: what the tool is told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// What a rule says is done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum PolicyVerdict {
    /// Allowed, this one time.
    Allow,
    /// Refused.
    Deny,
    /// A person decides.
    #[default]
    Ask,
}

//! Deciding about a prompt: the rules of a policy in their order, within bounds that no policy moves (PURE).

use crate::tool::profile::PromptKind;

pub use super::compile::{Compiled, Policies, PolicyError};
pub use super::read::read;

/// What is asked, and where.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The tool that asks (`claude`).
    pub tool: &'a str,
    /// What it asks about.
    pub kind: PromptKind,
    /// The command, path or address it is about; of several paths, one a line.
    pub subject: Option<&'a str>,
    /// The root of the work tree, absolute.
    pub work_dir: &'a str,
    /// The home directory, absolute.
    pub home: &'a str,
    /// The profile's rule that found the prompt.
    pub prompt_rule: &'a str,
}

/// What is done about a prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Allowed, this one time.
    Allow,
    /// Refused.
    Deny {
        /// What the tool is told.
        message: Option<String>,
    },
    /// A person decides.
    Ask,
}

/// What is done about a prompt, by which rule and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub verdict: Verdict,
    /// `policy/rule`.
    pub rule: String,
    /// One line for a person who asks why.
    pub why: String,
}

/// What a policy says about a prompt.
pub fn decide(policy: &Compiled, asked: &Asked) -> Decision {
    let why = asked.prompt_rule.to_owned();
    match asked.kind {
        PromptKind::Continue => Decision { verdict: Verdict::Allow, rule: policy.rule_name("go-on"), why },
        _ => Decision { verdict: Verdict::Ask, rule: policy.rule_name("otherwise-ask"), why },
    }
}

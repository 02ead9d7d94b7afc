//! Tests of the policy engine: tables of commands and what each preset says about them.

mod allowed;
mod evil;
mod evil_paths;
mod evil_programs;
mod files;
mod language;
mod properties;
mod subtle;
mod trusting;

use super::engine::{Asked, Compiled, Decision, Policies, Verdict, decide, read};
use crate::tool::profile::PromptKind;
use cm_protocol::PolicyChoice;
use std::sync::{Arc, OnceLock};

pub(super) const WORK: &str = "/proj/tree";
pub(super) const HOME: &str = "/home/ada";

pub(super) fn preset(name: &str) -> Arc<Compiled> {
    static POLICIES: OnceLock<Policies> = OnceLock::new();
    POLICIES.get_or_init(Policies::builtin).resolve(Some(&PolicyChoice::Name(name.to_owned()))).unwrap()
}

pub(super) fn own(yaml: &str) -> Arc<Compiled> {
    let policy = read("test.yaml", yaml).unwrap();
    Policies::builtin().resolve(Some(&PolicyChoice::Rules(policy))).unwrap()
}

pub(super) fn asked(kind: PromptKind, subject: &str) -> Asked<'_> {
    Asked { tool: "claude", kind, subject: Some(subject), work_dir: WORK, home: HOME, prompt_rule: "a-rule" }
}

pub(super) fn on(policy: &Compiled, kind: PromptKind, subject: &str) -> Decision {
    decide(policy, &asked(kind, subject))
}

pub(super) fn command(policy: &Compiled, text: &str) -> Decision {
    on(policy, PromptKind::Command, text)
}

pub(super) fn word(decision: &Decision) -> &'static str {
    match decision.verdict {
        Verdict::Allow => "allow",
        Verdict::Deny { .. } => "deny",
        Verdict::Ask => "ask",
    }
}

/// Every command of a list gets the verdict; all that do not are told at once.
pub(super) fn check_all(policy: &Compiled, commands: &[&str], expected: &[&str]) {
    let wrong: Vec<String> = commands
        .iter()
        .map(|text| (text, command(policy, text)))
        .filter(|(_, decision)| !expected.contains(&word(decision)))
        .map(|(text, decision)| {
            format!("{text:?}: {} by {} ({})", word(&decision), decision.rule, decision.why)
        })
        .collect();
    assert!(wrong.is_empty(), "{} is not {expected:?} about\n{}", policy.name(), wrong.join("\n"));
}

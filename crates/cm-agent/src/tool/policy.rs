//! Which questions may be answered without a person, and how (PURE).
//!
//! What a policy may allow is bounded from outside it: only a question that decides nothing is ever answered
//! by a key. Passwords, consents and choices are asked whatever a policy says.

mod act;
mod bounds;
mod compile;
mod effects;
pub mod engine;
mod expand;
mod git;
mod judge;
mod known;
mod network;
mod pattern;
mod place;
mod programs;
mod read;
mod rule;
mod script;
mod sets;
mod shell;
mod unwrap;
mod variables;
mod walk;

#[cfg(test)]
#[path = "policy/tests/mod.rs"]
mod engine_tests;

use super::dialog::FoundPrompt;
use super::profile::PromptKind;

/// Rules, tried in order; what none of them allows is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Its name, for journal and receipts.
    pub name: String,
    /// The rules.
    pub rules: Vec<PolicyRule>,
}

/// One rule of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRule {
    /// Its name, for journal and receipts.
    pub name: String,
    /// The questions it is about.
    pub kind: PromptKind,
    /// Whether they are answered.
    pub allow: bool,
}

/// What is done about a question, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// What is done.
    pub verdict: Verdict,
    /// `policy/rule`, and the profile's rule that found the question.
    pub rule: String,
}

/// What is done about a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These keys answer it.
    Allow {
        /// As tmux names them.
        press: Vec<String>,
    },
    /// A person answers.
    Ask,
}

impl Policy {
    /// The built-in policy: goes on where a key is all that is wanted, asks for everything else.
    pub fn careful() -> Self {
        let rule = PolicyRule { name: "go-on".into(), kind: PromptKind::Continue, allow: true };
        Self { name: "careful".into(), rules: vec![rule] }
    }
}

/// What a policy says about a question.
pub fn decide(policy: &Policy, prompt: &FoundPrompt) -> Decision {
    let rule = policy.rules.iter().find(|rule| rule.kind == prompt.kind);
    let named = |name: &str| format!("{}/{name} on {}", policy.name, prompt.rule);
    match rule {
        Some(rule) if rule.allow && may_ever_be_pressed(prompt) => {
            Decision { verdict: Verdict::Allow { press: prompt.press.clone() }, rule: named(&rule.name) }
        }
        Some(rule) => Decision { verdict: Verdict::Ask, rule: named(&rule.name) },
        None => Decision { verdict: Verdict::Ask, rule: named("otherwise-ask") },
    }
}

/// The bound no policy moves (failures 5 and 6).
fn may_ever_be_pressed(prompt: &FoundPrompt) -> bool {
    prompt.kind == PromptKind::Continue && !prompt.press.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(kind: PromptKind, press: &[&str]) -> FoundPrompt {
        let press = press.iter().map(|key| (*key).to_owned()).collect();
        FoundPrompt { press, ..FoundPrompt::plain(kind, "?", "a-rule") }
    }

    const ALL: [PromptKind; 5] =
        [PromptKind::Confirm, PromptKind::Secret, PromptKind::Text, PromptKind::Continue, PromptKind::Report];

    #[test]
    fn careful_only_goes_on() {
        let decision = decide(&Policy::careful(), &found(PromptKind::Continue, &["Space"]));
        assert_eq!(decision.verdict, Verdict::Allow { press: vec!["Space".into()] });
        assert_eq!(decision.rule, "careful/go-on on a-rule");
        for kind in ALL.into_iter().filter(|kind| *kind != PromptKind::Continue) {
            let decision = decide(&Policy::careful(), &found(kind, &["Enter"]));
            assert_eq!(decision.verdict, Verdict::Ask, "{kind:?}");
            assert_eq!(decision.rule, "careful/otherwise-ask on a-rule");
        }
    }

    #[test]
    fn no_policy_lifts_the_bound() {
        let rules = ALL.map(|kind| PolicyRule { name: "all".into(), kind, allow: true }).to_vec();
        let policy = Policy { name: "reckless".into(), rules };
        for kind in ALL {
            let allowed = decide(&policy, &found(kind, &["Enter"])).verdict != Verdict::Ask;
            assert_eq!(allowed, kind == PromptKind::Continue, "{kind:?}");
        }
        assert_eq!(decide(&policy, &found(PromptKind::Continue, &[])).verdict, Verdict::Ask, "no keys known");
    }

    #[test]
    fn the_first_rule_counts() {
        let rule = |allow| PolicyRule { name: format!("{allow}"), kind: PromptKind::Continue, allow };
        let policy = Policy { name: "p".into(), rules: vec![rule(false), rule(true)] };
        assert_eq!(decide(&policy, &found(PromptKind::Continue, &["Enter"])).verdict, Verdict::Ask);
    }
}

//! Deciding about a prompt: the rules of a policy in their order, within bounds that no policy moves (PURE).

use cm_protocol::PolicyVerdict;

use super::bounds::{self, Bound};
use super::judge;
use super::pattern::host_of;
use super::place::{Fit, Ground, Place};
use super::rule::{Kind, Rule};
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
    /// `policy/rule`; `bounds/…` for what no policy moves.
    pub rule: String,
    /// One line for a person who asks why.
    pub why: String,
}

/// What a policy says about a prompt.
pub fn decide(policy: &Compiled, asked: &Asked) -> Decision {
    let mut decision = judged(policy, asked);
    decision.why = format!("{} [{}]", decision.why, asked.prompt_rule);
    decision
}

fn judged(policy: &Compiled, asked: &Asked) -> Decision {
    let Some(kind) = Kind::of(asked.kind) else {
        return Decision::new(
            Verdict::Ask,
            "bounds/a-person-writes",
            "passwords and free text are always a person's",
        );
    };
    let ground = Ground { work_dir: asked.work_dir, home: asked.home };
    if !asked.work_dir.starts_with('/') || !asked.home.starts_with('/') {
        return Decision::new(
            Verdict::Ask,
            "bounds/no-ground",
            "the work tree or the home directory is not known",
        );
    }
    let rules: Vec<&Rule> = policy.rules.iter().filter(|rule| rule.is_for(asked.tool)).collect();
    if kind == Kind::Command {
        return judge::command(policy.name(), &rules, asked.subject, ground);
    }
    let subject =
        Subject::new(kind, if is_work_tree(asked) { Some(asked.work_dir) } else { asked.subject }, ground);
    let found = rules.iter().find_map(|rule| match subject.fit(rule, ground) {
        Fit::No => None,
        fit => Some((*rule, fit)),
    });
    let decision = by_rule(policy.name(), found, &subject.shown);
    let bound = subject.bound(ground);
    bounded(decision, if kind == Kind::Question { Some(questions()) } else { bound })
}

/// What profiles call the dialog about the folder a tool works in.
const FOLDER: &str = "trust-folder";

/// Whether it is asked about the work tree by its name alone: some tools draw no more of the path.
fn is_work_tree(asked: &Asked) -> bool {
    let name = asked.work_dir.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty());
    asked.kind == PromptKind::Trust && asked.prompt_rule == FOLDER && asked.subject == name && name.is_some()
}

/// A question's answer is never guessed.
fn questions() -> Bound {
    Bound {
        name: "a-person-answers",
        why: "the answer to a question is a person's".to_owned(),
        refuse: false,
    }
}

/// What a prompt that is no command is about.
struct Subject {
    kind: Kind,
    places: Vec<Place>,
    hosts: Vec<String>,
    shown: String,
}

impl Subject {
    fn new(kind: Kind, subject: Option<&str>, ground: Ground) -> Self {
        let lines = || subject.unwrap_or_default().lines().filter(|line| !line.trim().is_empty());
        let place = |line: &str| match kind {
            // A server's or a setting's name is no path.
            Kind::Trust if !line.trim().starts_with(['/', '~']) => Place::Unknown,
            _ => Place::named(line, ground),
        };
        let mut places: Vec<Place> = match kind {
            Kind::Read | Kind::Edit | Kind::Trust => lines().map(place).collect(),
            _ => Vec::new(),
        };
        if places.is_empty() && matches!(kind, Kind::Read | Kind::Edit | Kind::Trust) {
            places.push(Place::Unknown);
        }
        let hosts = match kind {
            Kind::Network => lines().filter_map(|line| host_of(line.trim())).collect(),
            _ => Vec::new(),
        };
        let shown = match subject.and_then(|subject| subject.lines().next()) {
            Some(line) => format!("{} {}", kind.word(), judge::short(line)),
            None => kind.word().to_owned(),
        };
        Self { kind, places, hosts, shown }
    }

    fn fit(&self, rule: &Rule, ground: Ground) -> Fit {
        if !rule.is_about(self.kind) || !rule.command.is_empty() {
            return Fit::No;
        }
        let no_places = self.places.is_empty() && !rule.path.is_empty();
        if no_places || (self.kind != Kind::Network && !rule.host.is_empty()) {
            return Fit::No;
        }
        let places = if rule.path.is_empty() { Fit::Yes } else { rule.fit_places(&self.places, ground) };
        places.min(rule.fit_hosts(&self.hosts))
    }

    fn bound(&self, ground: Ground) -> Option<Bound> {
        match self.kind {
            Kind::Edit => self.places.iter().find_map(|place| bounds::written(place, ground)),
            Kind::Read => self.places.iter().find_map(|place| bounds::read(place, ground)),
            _ => None,
        }
    }
}

/// What the rule that was found says.
pub(super) fn by_rule(policy: &str, found: Option<(&Rule, Fit)>, what: &str) -> Decision {
    let Some((rule, fit)) = found else {
        return Decision::new(
            Verdict::Ask,
            format!("{policy}/otherwise-ask"),
            format!("no rule is about {what}"),
        );
    };
    let verdict = match (rule.then, fit) {
        (PolicyVerdict::Allow, Fit::Yes) => Verdict::Allow,
        (PolicyVerdict::Deny, Fit::Yes) => Verdict::Deny { message: rule.message.clone() },
        _ => Verdict::Ask,
    };
    let why = match fit {
        Fit::Maybe => format!("it cannot be told whether the rule is about {what}"),
        _ => what.to_owned(),
    };
    Decision::new(verdict, rule.name.clone(), why)
}

/// What is left of a decision to allow within the bounds.
pub(super) fn bounded(decision: Decision, bound: Option<Bound>) -> Decision {
    match bound {
        Some(bound) if decision.verdict == Verdict::Allow => {
            let message = format!("Never allowed here: {}.", bound.why);
            let verdict = if bound.refuse { Verdict::Deny { message: Some(message) } } else { Verdict::Ask };
            Decision::new(verdict, format!("bounds/{}", bound.name), bound.why)
        }
        _ => decision,
    }
}

impl Decision {
    pub(super) fn new(verdict: Verdict, rule: impl Into<String>, why: impl Into<String>) -> Self {
        Self { verdict, rule: rule.into(), why: why.into() }
    }

    /// How much stands in the way: the strictest of several parts decides.
    pub(super) fn strictness(&self) -> u8 {
        match self.verdict {
            Verdict::Allow => 0,
            Verdict::Ask => 1,
            Verdict::Deny { .. } => 2,
        }
    }
}

//! One rule, checked: which prompts it fits, and what it says (PURE).

use cm_protocol::{PolicyRule, PolicyVerdict};

use super::pattern::{CommandPattern, HostPattern};
use super::place::{Fit, Ground, PathRule, Place, wildcard};
use super::sets;
use crate::near::{LETTERS, distance};
use crate::tool::profile::PromptKind;

/// What a rule may be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Edit,
    Command,
    Network,
    Question,
    Trust,
    Plan,
    Continue,
    Confirm,
}

/// Every kind with its word in a policy.
pub(super) const KINDS: [(&str, Kind); 9] = [
    ("read", Kind::Read),
    ("edit", Kind::Edit),
    ("command", Kind::Command),
    ("network", Kind::Network),
    ("question", Kind::Question),
    ("trust", Kind::Trust),
    ("plan", Kind::Plan),
    ("continue", Kind::Continue),
    ("confirm", Kind::Confirm),
];

impl Kind {
    /// The kind of a prompt; `None` for one that a person always answers.
    pub(super) fn of(kind: PromptKind) -> Option<Self> {
        Some(match kind {
            PromptKind::Read => Self::Read,
            PromptKind::Edit => Self::Edit,
            PromptKind::Command => Self::Command,
            PromptKind::Network => Self::Network,
            PromptKind::Question => Self::Question,
            PromptKind::Trust => Self::Trust,
            PromptKind::Plan => Self::Plan,
            PromptKind::Continue => Self::Continue,
            PromptKind::Confirm => Self::Confirm,
            PromptKind::Secret | PromptKind::Text | PromptKind::Report => return None,
        })
    }

    pub(super) fn word(self) -> &'static str {
        KINDS.iter().find(|(_, kind)| *kind == self).map_or("", |(word, _)| word)
    }
}

/// A checked rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Rule {
    /// `policy/rule`.
    pub(super) name: String,
    tool: Vec<String>,
    kinds: Vec<Kind>,
    pub(super) path: Vec<PathRule>,
    pub(super) command: Vec<CommandPattern>,
    pub(super) host: Vec<HostPattern>,
    pub(super) then: PolicyVerdict,
    pub(super) message: Option<String>,
}

/// What is wrong with a rule: the field, which of its values, and what was meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: &'static str,
    pub(super) item: usize,
    pub(super) message: String,
}

impl Rule {
    /// Checks a rule. `number` names it if nothing else does.
    pub(super) fn new(policy: &str, number: usize, rule: &PolicyRule) -> Result<Self, Wrong> {
        let own = rule.name.clone().unwrap_or_else(|| number.to_string());
        if own.trim().is_empty() || own.contains('/') || own.chars().any(char::is_control) {
            return wrong("name", 0, format!("{own:?} is no rule's name; use words and dashes"));
        }
        if rule.message.is_some() && rule.then != PolicyVerdict::Deny {
            return wrong(
                "message",
                0,
                "`message` is what a refused tool is told: it needs `then: deny`".to_owned(),
            );
        }
        let tool = each("tool", &rule.tool, |text| {
            if text.trim().is_empty() {
                return Err("a tool's name is empty; write a name, such as `claude`, or `*`".to_owned());
            }
            Ok(text.to_owned())
        })?;
        let kinds = each("kind", &rule.kind, |text| {
            KINDS.iter().find(|(word, _)| *word == text).map(|(_, kind)| *kind).ok_or_else(|| {
                let words = KINDS.map(|(word, _)| word);
                format!("there is no kind {text:?}{}; kinds are {}", meant(text, &words), words.join(", "))
            })
        })?;
        let mut command = Vec::new();
        for (item, text) in rule.command.iter().enumerate() {
            command.extend(patterns(text).or_else(|message| wrong("command", item, message))?);
        }
        Ok(Self {
            name: format!("{policy}/{own}"),
            tool,
            kinds,
            path: each("path", &rule.path, PathRule::new)?,
            command,
            host: each("host", &rule.host, HostPattern::new)?,
            then: rule.then,
            message: rule.message.clone(),
        })
    }

    pub(super) fn is_for(&self, tool: &str) -> bool {
        self.tool.is_empty() || self.tool.iter().any(|pattern| wildcard(pattern, tool))
    }

    pub(super) fn is_about(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    pub(super) fn names_kind(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// How well places fit the rule's paths. To allow, all of them have to; otherwise one is enough.
    pub(super) fn fit_places(&self, places: &[Place], ground: Ground) -> Fit {
        let one =
            |place: &Place| self.path.iter().map(|path| path.fit(place, ground)).max().unwrap_or(Fit::Yes);
        let mut fits = places.iter().map(one);
        if self.then == PolicyVerdict::Allow {
            Fit::from_bool(fits.all(|fit| fit == Fit::Yes))
        } else {
            fits.max().unwrap_or(Fit::No)
        }
    }

    /// The same for hosts. A rule about hosts does not allow where none is known.
    pub(super) fn fit_hosts(&self, hosts: &[String]) -> Fit {
        if self.host.is_empty() {
            return Fit::Yes;
        }
        let one = |host: &String| self.host.iter().map(|pattern| pattern.fit(host)).max().unwrap_or(Fit::No);
        if self.then == PolicyVerdict::Allow {
            Fit::from_bool(!hosts.is_empty() && hosts.iter().all(|host| one(host) == Fit::Yes))
        } else if hosts.is_empty() {
            Fit::Maybe
        } else {
            hosts.iter().map(one).max().unwrap_or(Fit::No)
        }
    }
}

fn patterns(text: &str) -> Result<Vec<CommandPattern>, String> {
    if text.starts_with('<') {
        let mut set = sets::set(text).ok_or_else(|| {
            format!(
                "there is no list {text:?}{}; lists are {}",
                meant(text, &sets::NAMES),
                sets::NAMES.join(", ")
            )
        })?;
        return set.try_fold(Vec::new(), |mut patterns, text| {
            patterns.push(CommandPattern::new(text)?);
            Ok(patterns)
        });
    }
    CommandPattern::new(text).map(|pattern| vec![pattern])
}

fn wrong<T>(field: &'static str, item: usize, message: String) -> Result<T, Wrong> {
    Err(Wrong { field, item, message })
}

fn each<T>(
    field: &'static str,
    texts: &[String],
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, Wrong> {
    let read = |(item, text): (usize, &String)| read(text).or_else(|message| wrong(field, item, message));
    texts.iter().enumerate().map(read).collect()
}

/// `; did you mean "x"?`, if one of the words is close.
pub(super) fn meant(text: &str, words: &[&str]) -> String {
    let lower: String = text.to_lowercase().chars().take(LETTERS).collect();
    let near = words.iter().map(|word| (distance(&lower, word), word)).min();
    match near {
        Some((far, word)) if far <= 1 + word.len() / 4 => format!("; did you mean `{word}`?"),
        _ => String::new(),
    }
}

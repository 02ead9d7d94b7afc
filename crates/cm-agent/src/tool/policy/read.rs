//! Reading a policy from YAML, with file, line and column of whatever is wrong (PURE).
//!
//! The only file that knows the YAML crate.

use std::fmt;

use cm_protocol::{Policy, PolicyRule, PolicyVerdict};
use serde::Deserialize;
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde_yaml::{Error as YamlError, Location, Spanned};

use super::compile::{Place, PolicyError, compile};
use super::rule::{Wrong, meant};

/// The longest policy that is read, in bytes.
const LONGEST: usize = 1024 * 1024;

/// The words of `then`.
const VERDICTS: [&str; 3] = ["allow", "deny", "ask"];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    name: Spanned<String>,
    extends: Option<Spanned<String>>,
    #[serde(default)]
    rules: Vec<Spanned<RuleFile>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleFile {
    name: Option<Spanned<String>>,
    tool: Option<Spanned<Texts>>,
    kind: Option<Spanned<Texts>>,
    path: Option<Spanned<Texts>>,
    command: Option<Spanned<Texts>>,
    host: Option<Spanned<Texts>>,
    then: Spanned<String>,
    message: Option<Spanned<String>>,
}

/// `x` or `[x, y]`.
enum Texts {
    One(String),
    Many(Vec<Spanned<String>>),
}

impl<'de> Deserialize<'de> for Texts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts;

            fn expecting(&self, formatter: &mut fmt::Formatter) -> fmt::Result {
                formatter.write_str("a text or a list of texts")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Texts, E> {
                Ok(Texts::One(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Texts, A::Error> {
                let mut texts = Vec::new();
                while let Some(text) = items.next_element()? {
                    texts.push(text);
                }
                if texts.is_empty() {
                    return Err(de::Error::custom(
                        "the list is empty; leave the key out if the rule is about everything",
                    ));
                }
                Ok(Texts::Many(texts))
            }
        }
        deserializer.deserialize_any(TextsVisitor)
    }
}

/// Reads a policy. `file` only names it in errors.
///
/// # Errors
/// Whatever is wrong with the text, where, and what was meant.
pub fn read(file: &str, text: &str) -> Result<Policy, PolicyError> {
    let at = |line: u64, column: u64, message: String| {
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX).max(1);
        PolicyError::At { file: file.to_owned(), line: number(line), column: number(column), message }
    };
    if text.len() > LONGEST {
        return Err(at(1, 1, format!("the file has {} bytes; a policy has up to {LONGEST}", text.len())));
    }
    let read: PolicyFile = serde_yaml::from_str(text).map_err(|error| {
        let place = error.location().map_or((1, 1), |place| (place.line(), place.column()));
        let message = complaint(error.without_snippet(), line_of(text, place.0));
        at(place.0, place.1, message)
    })?;
    let located = |(place, message): (Location, String)| at(place.line(), place.column(), message);
    let policy = policy(&read).map_err(located)?;
    compile(&policy).map_err(|(place, message)| located((location(&read, &place), message)))?;
    Ok(policy)
}

fn policy(read: &PolicyFile) -> Result<Policy, (Location, String)> {
    let rules = read.rules.iter().map(|rule| policy_rule(&rule.value)).collect::<Result<_, _>>()?;
    let extends = read.extends.as_ref().map(|extends| extends.value.clone());
    Ok(Policy { name: read.name.value.clone(), extends, rules })
}

fn policy_rule(rule: &RuleFile) -> Result<PolicyRule, (Location, String)> {
    let then = match rule.then.value.as_str() {
        "allow" => PolicyVerdict::Allow,
        "deny" => PolicyVerdict::Deny,
        "ask" => PolicyVerdict::Ask,
        other => {
            let hint = meant(other, &VERDICTS);
            let message = format!("`then` is `allow`, `deny` or `ask`, not {other:?}{hint}");
            return Err((rule.then.referenced, message));
        }
    };
    let texts = |texts: &Option<Spanned<Texts>>| match texts.as_ref().map(|texts| &texts.value) {
        None => Vec::new(),
        Some(Texts::One(text)) => vec![text.clone()],
        Some(Texts::Many(texts)) => texts.iter().map(|text| text.value.clone()).collect(),
    };
    let text = |text: &Option<Spanned<String>>| text.as_ref().map(|text| text.value.clone());
    Ok(PolicyRule {
        name: text(&rule.name),
        tool: texts(&rule.tool),
        kind: texts(&rule.kind),
        path: texts(&rule.path),
        command: texts(&rule.command),
        host: texts(&rule.host),
        then,
        message: text(&rule.message),
    })
}

/// Where in the file something is.
fn location(read: &PolicyFile, place: &Place) -> Location {
    let name = read.name.referenced;
    let (index, Wrong { field, item, .. }) = match place {
        Place::Name | Place::Rules => return name,
        Place::Extends => return read.extends.as_ref().map_or(name, |extends| extends.referenced),
        Place::Rule(index, wrong) => (*index, wrong),
    };
    let Some(rule) = read.rules.get(index) else { return name };
    let texts = match *field {
        "tool" => &rule.value.tool,
        "kind" => &rule.value.kind,
        "path" => &rule.value.path,
        "command" => &rule.value.command,
        "host" => &rule.value.host,
        "name" => return rule.value.name.as_ref().map_or(rule.referenced, |name| name.referenced),
        "message" => {
            return rule.value.message.as_ref().map_or(rule.referenced, |message| message.referenced);
        }
        _ => return rule.referenced,
    };
    match texts {
        Some(Spanned { value: Texts::Many(texts), .. }) => {
            texts.get(*item).map_or(rule.referenced, |text| text.referenced)
        }
        Some(one) => one.referenced,
        None => rule.referenced,
    }
}

fn line_of(text: &str, number: u64) -> &str {
    let index = usize::try_from(number.saturating_sub(1)).unwrap_or(usize::MAX);
    text.lines().nth(index).unwrap_or_default()
}

/// The crate's complaint in our words.
fn complaint(error: &YamlError, line: &str) -> String {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            let hint = meant(field, expected);
            format!("there is no key {field:?} here{hint}; keys are {}", expected.join(", "))
        }
        YamlError::SerdeMissingField { field: "then", .. } => {
            "this rule does not say what is done: `then: allow`, `deny` or `ask`".to_owned()
        }
        YamlError::SerdeMissingField { field, .. } => format!("the key `{field}` is missing"),
        other => {
            let words = other.to_string();
            let words = words.lines().next().unwrap_or_default();
            let star = line
                .split(['[', ',', ':', '-'])
                .any(|part| part.trim_start().starts_with(['*', '@', '!', '&', '`', '%']));
            let hint = if star { "; a text that begins with a sign has to be quoted: \"*\"" } else { "" };
            format!("{words}{hint}")
        }
    }
}

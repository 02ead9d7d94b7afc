//! Choosing hosts: `gpu-01`, `gpu-*`, `gpu-[01-04]`, `@group`, `zone=eu`, with `&`, `!`, `,` and brackets. PURE.

use std::fmt;

use super::{Host, Inventory, range};
use crate::yaml::meant;

/// How deep brackets may stand in each other.
const DEPTH: usize = 32;
/// Bytes of a selector at most.
const BYTES: usize = 64 * 1024;

/// Which hosts are meant. Parts with commas between are added up, and parts that begin with `!` are then
/// taken away; a selector of nothing but such parts takes them away from all hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selector {
    text: String,
    parts: Vec<Expr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Expr {
    Any(Vec<Expr>),
    All(Vec<Expr>),
    Not(Box<Expr>),
    Term(Term),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Term {
    Everything,
    /// A host's name, or a glob of it.
    Host(String),
    /// A group's name, or a glob of it.
    Group(String),
    /// A label with this value, or a glob of it.
    Label(String, String),
    /// Not with this value; also without the label.
    NotLabel(String, String),
}

/// Why nothing is selected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// It is no selector.
    #[error("`{text}` selects nothing: {why}")]
    Syntax {
        /// What was written.
        text: String,
        /// What is wrong with it.
        why: String,
    },
    /// It names what the inventory does not have.
    #[error("there is no {what} `{name}` in the inventory")]
    Unknown {
        /// `host`, `group` or `label`.
        what: &'static str,
        /// What was named.
        name: String,
        /// What was probably meant, as it would be written.
        near: Option<String>,
        /// What there is, a few of it.
        known: Vec<String>,
    },
    /// All it names is there, but no host is left.
    #[error("no host is selected by `{0}`")]
    Nothing(String),
}

impl SelectError {
    /// The next move.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Syntax { .. } => Some(
                "write a name (gpu-01, gpu-*), @group or label=value; join them by , & ! and brackets"
                    .to_owned(),
            ),
            Self::Unknown { near: Some(near), .. } => Some(format!("did you mean `{near}`?")),
            Self::Unknown { known, .. } if !known.is_empty() => {
                Some(format!("there is {}", known.join(", ")))
            }
            Self::Unknown { .. } => None,
            Self::Nothing(_) => Some("`cm-fleet check --on SELECTOR` shows what one selects".to_owned()),
        }
    }
}

impl Selector {
    /// Reads a selector.
    ///
    /// # Errors
    /// It is none; the error says where it stops making sense.
    pub fn parse(text: &str) -> Result<Self, SelectError> {
        let wrong = |why: String| SelectError::Syntax { text: text.to_owned(), why };
        if text.len() > BYTES {
            return Err(SelectError::Syntax { text: "…".into(), why: "it is over 64 KiB".into() });
        }
        let mut parser = Parser { rest: text, depth: 0 };
        let parts = parser.any().map_err(wrong)?;
        match parser.rest.chars().next() {
            None => Ok(Self { text: text.trim().to_owned(), parts }),
            Some(c) => Err(wrong(format!("`{c}` is not expected there"))),
        }
    }

    /// Whether a host is meant.
    pub fn matches(&self, host: &Host) -> bool {
        selects(std::slice::from_ref(self), host)
    }

    fn parts(&self, negative: bool) -> impl Iterator<Item = &Expr> {
        self.parts.iter().filter(move |part| matches!(part, Expr::Not(_)) == negative)
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::str::FromStr for Selector {
    type Err = SelectError;

    fn from_str(text: &str) -> Result<Self, SelectError> {
        Self::parse(text)
    }
}

/// Several selectors are one with commas between.
fn selects(selectors: &[Selector], host: &Host) -> bool {
    let mut wanted = selectors.iter().flat_map(|selector| selector.parts(false)).peekable();
    let chosen = wanted.peek().is_none() || wanted.any(|part| part.matches(host));
    chosen && selectors.iter().flat_map(|selector| selector.parts(true)).all(|part| part.matches(host))
}

impl Inventory {
    /// The hosts that selectors mean, in the inventory's order; all hosts without any selector.
    ///
    /// # Errors
    /// A selector names a host, group or label that is not there, selects no host, or nothing is left of
    /// what all of them select.
    pub fn select(&self, selectors: &[Selector]) -> Result<Vec<&Host>, SelectError> {
        for part in selectors.iter().flat_map(|selector| &selector.parts) {
            part.check(self)?;
        }
        for selector in selectors {
            let part_of_many = selectors.len() > 1 && selector.parts(false).next().is_none();
            if !part_of_many && !self.hosts.iter().any(|host| selector.matches(host)) {
                return Err(SelectError::Nothing(selector.text.clone()));
            }
        }
        let chosen: Vec<&Host> = self.hosts.iter().filter(|host| selects(selectors, host)).collect();
        if chosen.is_empty() && !selectors.is_empty() {
            let all: Vec<&str> = selectors.iter().map(|selector| selector.text.as_str()).collect();
            return Err(SelectError::Nothing(all.join(", ")));
        }
        Ok(chosen)
    }
}

impl Expr {
    fn matches(&self, host: &Host) -> bool {
        match self {
            Self::Any(all) => all.iter().any(|one| one.matches(host)),
            Self::All(all) => all.iter().all(|one| one.matches(host)),
            Self::Not(one) => !one.matches(host),
            Self::Term(term) => term.matches(host),
        }
    }

    fn check(&self, inventory: &Inventory) -> Result<(), SelectError> {
        match self {
            Self::Any(all) | Self::All(all) => all.iter().try_for_each(|one| one.check(inventory)),
            Self::Not(one) => one.check(inventory),
            Self::Term(term) => term.check(inventory),
        }
    }
}

impl Term {
    fn matches(&self, host: &Host) -> bool {
        let has = |key: &str, value: &String| host.labels.get(key).is_some_and(|own| range::glob(value, own));
        match self {
            Self::Everything => true,
            Self::Host(pattern) => range::glob(pattern, &host.name),
            Self::Group(pattern) if range::is_glob(pattern) => {
                host.groups.iter().any(|group| range::glob(pattern, group))
            }
            Self::Group(name) => host.groups.contains(name),
            Self::Label(key, value) => has(key, value),
            Self::NotLabel(key, value) => !has(key, value),
        }
    }

    /// Whether what it names is there: a typing error must not select too much, or too little, in silence.
    fn check(&self, inventory: &Inventory) -> Result<(), SelectError> {
        let hosts = || inventory.hosts.iter().map(|host| host.name.as_str());
        let groups = || inventory.groups.iter().map(String::as_str);
        let labels = || inventory.hosts.iter().flat_map(|host| host.labels.keys()).map(String::as_str);
        match self {
            Self::Host(pattern) if !hosts().any(|name| range::glob(pattern, name)) => {
                let near = meant(pattern, hosts()).map(str::to_owned);
                let group = groups().any(|name| name == pattern).then(|| format!("@{pattern}"));
                unknown("host", pattern, group.or(near), hosts())
            }
            Self::Group(pattern) if !groups().any(|name| range::glob(pattern, name)) => {
                let near = meant(pattern, groups()).map(|name| format!("@{name}"));
                let host = hosts().any(|name| name == pattern).then(|| pattern.clone());
                unknown("group", pattern, host.or(near), groups())
            }
            Self::Label(key, value) if !labels().any(|name| name == key) => {
                unknown("label", key, meant(key, labels()).map(|name| format!("{name}={value}")), labels())
            }
            Self::NotLabel(key, value) if !labels().any(|name| name == key) => {
                unknown("label", key, meant(key, labels()).map(|name| format!("{name}!={value}")), labels())
            }
            _ => Ok(()),
        }
    }
}

fn unknown<'a>(
    what: &'static str,
    name: &str,
    near: Option<String>,
    known: impl Iterator<Item = &'a str>,
) -> Result<(), SelectError> {
    const FEW: usize = 8;
    let all: std::collections::BTreeSet<&str> = known.collect();
    let mut known: Vec<String> = all.iter().take(FEW).map(|name| (*name).to_owned()).collect();
    if all.len() > FEW {
        known.push("…".to_owned());
    }
    Err(SelectError::Unknown { what, name: name.to_owned(), near, known })
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl Parser<'_> {
    fn skip(&mut self, sign: char) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(sign);
        self.rest = found.unwrap_or(self.rest).trim_start();
        found.is_some()
    }

    fn any(&mut self) -> Result<Vec<Expr>, String> {
        let mut parts = vec![self.all()?];
        while self.skip(',') {
            parts.push(self.all()?);
        }
        Ok(parts)
    }

    fn all(&mut self) -> Result<Expr, String> {
        let first = self.not()?;
        let mut parts = vec![first];
        while self.skip('&') {
            parts.push(self.not()?);
        }
        Ok(if parts.len() == 1 { parts.remove(0) } else { Expr::All(parts) })
    }

    fn not(&mut self) -> Result<Expr, String> {
        let mut negative = false;
        while self.skip('!') {
            negative = !negative;
        }
        let one = if self.skip('(') { self.bracket()? } else { self.term()? };
        Ok(if negative { Expr::Not(Box::new(one)) } else { one })
    }

    fn bracket(&mut self) -> Result<Expr, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err(format!("brackets stand more than {DEPTH} deep"));
        }
        let parts = self.any()?;
        self.depth -= 1;
        if !self.skip(')') {
            return Err("a bracket is not closed".to_owned());
        }
        // Within brackets the rule is the same: what is negated is taken away from the others.
        let (without, with): (Vec<_>, Vec<_>) =
            parts.into_iter().partition(|part| matches!(part, Expr::Not(_)));
        let with = if with.is_empty() { Expr::Term(Term::Everything) } else { Expr::Any(with) };
        Ok(Expr::All(std::iter::once(with).chain(without).collect()))
    }

    fn term(&mut self) -> Result<Expr, String> {
        let word = self.word();
        if word.is_empty() {
            return Err(match self.rest.chars().next() {
                Some(c) => format!("before `{c}` a name is missing"),
                None => "at its end a name is missing".to_owned(),
            });
        }
        let group = word.strip_prefix('@');
        if word == "*" || word == "all" || group.is_some_and(|name| name == "all" || name == "*") {
            return Ok(Expr::Term(Term::Everything));
        }
        if let Some((key, value)) = word.split_once('=') {
            let (key, negative) = match key.strip_suffix('!') {
                Some(key) => (key, true),
                None => (key, false),
            };
            if group.is_some() || key.is_empty() || value.is_empty() || value.contains('=') {
                return Err(format!("`{word}` is no label=value (`*` is any value)"));
            }
            let (key, value) = (key.to_owned(), value.to_owned());
            return Ok(Expr::Term(if negative {
                Term::NotLabel(key, value)
            } else {
                Term::Label(key, value)
            }));
        }
        let term = |name: String| match group {
            Some(_) => Expr::Term(Term::Group(name)),
            None => Expr::Term(Term::Host(name)),
        };
        let mut names: Vec<Expr> = range::expand(group.unwrap_or(word))?.into_iter().map(term).collect();
        if group == Some("") {
            return Err("after `@` a group's name is missing".to_owned());
        }
        Ok(if names.len() == 1 { names.remove(0) } else { Expr::Any(names) })
    }

    /// Up to the next sign or white space; commas in square brackets belong to the word, and so does the `!`
    /// of `!=`.
    fn word(&mut self) -> &str {
        let mut open = false;
        let mut chars = self.rest.char_indices().peekable();
        let mut end = self.rest.len();
        while let Some((at, c)) = chars.next() {
            match c {
                '[' => open = true,
                ']' => open = false,
                '!' if chars.peek().is_some_and(|(_, next)| *next == '=') => {}
                ',' if open => {}
                ',' | '&' | '!' | '(' | ')' => {
                    end = at;
                    break;
                }
                c if c.is_whitespace() => {
                    end = at;
                    break;
                }
                _ => {}
            }
        }
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }
}

#[cfg(test)]
mod tests;

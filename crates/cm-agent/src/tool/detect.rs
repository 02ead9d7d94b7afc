//! What one screen means for one tool: working, at its prompt, asking (PURE).
//!
//! This says what is *seen*, without a clock; the state machine says how long it must have stood to be
//! believed. Nothing is concluded from words somewhere on the screen: what counts stands directly before a
//! visible cursor (failures 2 and 8).

use super::dialog::{FoundPrompt, Trouble};
use super::hooks::clean;
use super::profile::{Life, Profile};
use super::screen::Screen;
use super::state::Memory;

/// How many lines above a question tell what it is about.
const CONTEXT_LINES: usize = 6;

/// The longest text that can be a tool's prompt: no sentence is one.
const LONGEST_PROMPT: usize = 80;

/// What is seen, and which rule says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observation {
    /// What is seen.
    pub kind: Seen,
    /// The rule, for `explain`.
    pub rule: String,
}

/// What a screen shows of its tool.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// It has not come to a prompt yet.
    NotReady,
    /// It is at its prompt and takes a task.
    AtPrompt {
        /// The prompt's text.
        prompt_text: String,
        /// Text stands in its box that nobody has submitted.
        draft: bool,
        /// How its last turn ended, where the screen says so above the prompt.
        turn: Option<Turn>,
    },
    /// Neither prompt nor question.
    Working {
        /// What at, as far as the tool calls it draws tell.
        activity: Option<Activity>,
    },
    /// A question waits for an answer.
    Asking(FoundPrompt),
    /// It cannot go on by itself, and nothing that could be chosen is drawn.
    Blocked(Trouble),
}

/// How a turn ended, as the screen says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Well.
    Done,
    /// Not well.
    Failed(Trouble),
}

/// What a tool works at, by its tool calls, never by words in prose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activity {
    /// Makes a plan or a list of things to do.
    Planning,
    /// Changes files.
    Editing,
    /// Runs tests.
    Testing,
    /// Anything else.
    Running,
}

/// What is seen on a screen. `memory` knows the prompt the tool showed when it was ready.
pub fn detect(profile: &Profile, memory: &Memory, screen: &Screen) -> Observation {
    let nothing = || {
        let kind = if memory.is_starting() { Seen::NotReady } else { Seen::Working { activity: None } };
        Observation { kind, rule: "no prompt at the cursor".into() }
    };
    let Some(text) = screen.before_cursor() else { return nothing() };
    if memory.ready_prompt().is_some_and(|prompt| same_prompt(prompt, &text)) {
        return Observation {
            kind: Seen::AtPrompt { prompt_text: text, draft: false, turn: None },
            rule: "the tool's prompt".into(),
        };
    }
    if let Some(found) = question(profile, screen, &text) {
        return Observation { rule: format!("prompt `{}`", found.rule), kind: Seen::Asking(found) };
    }
    match &profile.life {
        Life::Screen { ready, .. } if memory.may_learn_prompt() && text.chars().count() <= LONGEST_PROMPT => {
            match ready.patterns.iter().position(|pattern| pattern.is_match(&text)) {
                Some(n) => Observation {
                    kind: Seen::AtPrompt { prompt_text: text, draft: false, turn: None },
                    rule: format!("ready pattern {}", n + 1),
                },
                None => nothing(),
            }
        }
        Life::Screen { .. } | Life::Process => nothing(),
    }
}

/// Whether a question still stands on a newer screen, unanswered: look here immediately before pressing a
/// key for it (failure 1).
pub fn still_there(screen: &Screen, prompt: &cm_protocol::Prompt) -> bool {
    screen.nothing_after_cursor() && screen.before_cursor().is_some_and(|text| clean(&text) == prompt.text)
}

fn question(profile: &Profile, screen: &Screen, text: &str) -> Option<FoundPrompt> {
    if !screen.nothing_after_cursor() {
        return None;
    }
    let rule = profile.prompts.iter().find(|rule| {
        (!rule.last_row || screen.on_last_row())
            && rule.pattern.is_match(text)
            && !rule.unless_above.as_ref().is_some_and(|grave| {
                screen.tail_above_cursor(CONTEXT_LINES).iter().any(|line| grave.is_match(line))
            })
    })?;
    Some(FoundPrompt {
        press: rule.press.clone(),
        ..FoundPrompt::plain(rule.kind, clean(text), rule.name.clone())
    })
}

/// Whether two texts are the same tool's prompt. Prompts count (`In [3]:`) and name the directory
/// (`me@host:~/src$`): numbers and paths may differ.
fn same_prompt(one: &str, other: &str) -> bool {
    one == other || shape(one) == shape(other)
}

fn shape(prompt: &str) -> String {
    let is_path = |c: char| c.is_alphanumeric() || "._-+~/".contains(c);
    let mut shape = String::with_capacity(prompt.len());
    let mut rest = prompt;
    while let Some(first) = rest.chars().next() {
        let end = rest.find(|c| !is_path(c)).unwrap_or(rest.len());
        if end == 0 {
            shape.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (word, after) = rest.split_at(end);
        if word.starts_with(['/', '~']) {
            shape.push('~');
        } else {
            for c in word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }) {
                if c != '0' || !shape.ends_with('0') {
                    shape.push(c);
                }
            }
        }
        rest = after;
    }
    shape
}

#[cfg(test)]
mod tests;

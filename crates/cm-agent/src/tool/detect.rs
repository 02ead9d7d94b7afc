//! What one screen means for one tool: working, at its prompt, asking (PURE).
//!
//! This says what is *seen*, without a clock; the state machine says how long it must have stood to be
//! believed. Nothing is concluded from words somewhere on the screen: what counts is a dialog drawn at the
//! bottom, the input box and what stands directly above and below it, or the text before a visible cursor
//! (failures 2 and 8).

mod full;
mod input;
mod line;
mod turn;
mod words;

pub use words::last_words;

use super::dialog::{self, FoundPrompt, Trouble};
use super::hooks::clean;
use super::profile::{Facts, Profile, Shape};
use super::region;
use super::screen::Screen;
use super::state::Memory;

/// The rule of a screen that shows neither: it may be anything.
pub const NEITHER: &str = "neither dialog nor input box";

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
    let sidebar = profile.facts.input.as_ref().and_then(|input| input.sidebar);
    let rows = match sidebar.filter(|bar| screen.cols >= bar.from) {
        Some(bar) => region::rows_within(screen, usize::from(screen.cols.saturating_sub(bar.columns))),
        None => region::rows(screen),
    };
    let by_line = profile.facts.input.as_ref().is_none_or(|input| input.shape == Shape::Cursor);
    if by_line {
        line::detect(profile, memory, screen, &rows)
    } else {
        full::detect(profile, memory, screen, &rows)
    }
}

/// Whether a turn has ended on the screen of a tool nothing is known of: something that looks like a line a
/// person has sent stands above its input line, and an answer below that.
pub fn plain_turn(screen: &Screen) -> Option<Turn> {
    let rows = region::rows(screen);
    let input = rows.iter().rposition(|row| row.is_text() && dialog::begins_input(row))?;
    full::plain_turn(&rows[..input])
}

/// Whether a question still stands on a newer screen, unanswered: look here immediately before pressing a
/// key for it (failure 1).
pub fn still_there(screen: &Screen, prompt: &cm_protocol::Prompt) -> bool {
    let at_cursor = || {
        let line = clean(&screen.before_cursor()?);
        let asked = dialog::letters(&line).map(|typed| clean(&typed.question));
        Some(line == prompt.text || asked.is_some_and(|question| question == prompt.text))
    };
    if screen.nothing_after_cursor() && at_cursor().unwrap_or_default() {
        return true;
    }
    if prompt.options.is_empty() {
        return false;
    }
    let rows = region::rows(screen);
    dialog::find(&Facts::default(), screen, &rows).is_some_and(|found| {
        // Without the profile the question may be another line of the same dialog.
        let about = |found: FoundPrompt| FoundPrompt { subject: None, ..found };
        same_choice(&about(found), prompt)
    })
}

/// The same, for a tool whose profile is known: what the profile says of its screen counts too.
pub fn still_asked(profile: &Profile, screen: &Screen, prompt: &cm_protocol::Prompt) -> bool {
    let Seen::Asking(found) = detect(profile, &Memory::fresh(), screen).kind else { return false };
    same_choice(&found, prompt)
}

/// Whether a prompt found now is the one that was asked: by question and options, not by what is selected.
fn same_choice(found: &FoundPrompt, prompt: &cm_protocol::Prompt) -> bool {
    let choices = |options: &[cm_protocol::PromptOption]| {
        options.iter().map(|option| (option.label.clone(), option.key.clone())).collect::<Vec<_>>()
    };
    choices(&found.options) == choices(&prompt.options)
        && (found.text == prompt.text || found.lines == prompt.screen)
        && (found.subject.is_none() || prompt.subject.is_none() || found.subject == prompt.subject)
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

//! What a profile knows of a tool's screen: its input box, its dialogs, how it looks at work and afterwards (PURE).
//!
//! All of it is optional. The general rooms read dialogs and boxes by their structure; these facts decide
//! where that leaves a doubt.

use std::sync::Arc;

use cm_protocol::Meaning;
use serde::Deserialize;

use super::{Pattern, PromptKind};
use crate::tool::detect::Activity;
use crate::tool::dialog::Cause;

/// What is known of a tool's screen. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The box one types into; absent for tools that ask line by line.
    pub input: Option<InputBox>,
    /// How a transcript is told from the rest.
    pub transcript: Transcript,
    /// How it looks at work.
    pub working: Working,
    /// How it looks when a turn is over.
    pub turn: TurnFacts,
    /// What its dialogs are about; the first that applies counts.
    pub dialogs: Arc<[DialogRule]>,
    /// What ends a turn badly, or stands in the way.
    pub troubles: Arc<[TroubleRule]>,
    /// What a tool call means.
    pub activities: Arc<[ActivityRule]>,
    /// Labels that mean something else than they seem to.
    pub options: Arc<[OptionRule]>,
}

/// The box one types into.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InputBox {
    /// What its first line begins with: `❯`.
    pub marks: Vec<String>,
    /// How it is drawn.
    pub shape: Shape,
    /// Texts in it that nobody has typed.
    pub placeholder: Vec<Pattern>,
    /// Dialogs stand between a rule or box and the screen's end, never in the open.
    pub framed_dialogs: bool,
    /// A line above the heading of its dialogs that says nothing.
    pub dialog_title: Option<Pattern>,
    /// With nothing above it the tool has not begun yet.
    pub needs_text_above: bool,
    /// A line below it without which it is none.
    pub footer: Option<Pattern>,
    /// The last line of a view that stands in its place for a while.
    pub view: Option<Pattern>,
    /// A line of a window that lies over everything.
    pub overlay: Option<Pattern>,
    /// Columns on the right that belong to something else, on wide terminals.
    pub sidebar: Option<Sidebar>,
}

/// Columns on the right that belong to something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sidebar {
    /// How many.
    pub columns: u16,
    /// On terminals at least so wide.
    pub from: u16,
}

/// How an input box is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shape {
    /// Any of the others.
    #[default]
    Any,
    /// Between two rules.
    Rules,
    /// In a box with corners.
    Boxed,
    /// Between two rules or in a box with corners.
    Framed,
    /// A line in the open.
    Line,
    /// Behind a thick bar on the left.
    Bar,
    /// The line the cursor is on, for tools that ask line by line.
    Cursor,
}

/// How a transcript is told from the rest.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Transcript {
    /// A line a person has sent.
    pub sent: Option<Pattern>,
    /// A command to the tool itself that a person has sent: `/model`.
    pub command: Option<Pattern>,
    /// How a piece the tool wrote begins: an answer, a tool call, a result.
    pub piece: Option<Pattern>,
    /// Lines between transcript and box that belong to neither: tips, the mode line.
    pub skip: Vec<Pattern>,
    /// What the tool draws at its start, above all transcripts.
    pub banner: Option<Pattern>,
}

/// How a tool looks at work.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Working {
    /// A line between transcript and box.
    pub line: Vec<Pattern>,
    /// A line below the box.
    pub footer: Vec<Pattern>,
    /// The terminal's title.
    pub title: Vec<Pattern>,
}

/// How a tool looks when a turn is over.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TurnFacts {
    /// The line that says so.
    pub done: Vec<Pattern>,
    /// Without such a line, or an error, it is not over: the tool shows nothing else while it writes.
    pub said: bool,
    /// Such a line says that it ended well, whatever stands above it.
    pub well: bool,
    /// The line that ends a turn. What is framed directly above it is the error; without one it was broken off,
    /// unless the line is one of `done`.
    pub unsaid: Option<Pattern>,
}

/// What a dialog is about.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DialogRule {
    /// The rule's name.
    pub name: String,
    /// The kind of its question.
    pub kind: PromptKind,
    /// What its question, or a line above it in the dialog, looks like.
    pub pattern: Pattern,
    /// Finds the subject in its lines; the first group is taken.
    #[serde(default)]
    pub subject: Option<Pattern>,
    /// The question, where none is drawn.
    #[serde(default)]
    pub question: Option<String>,
    /// A line below the options without which it is not drawn to its end.
    #[serde(default)]
    pub footer: Option<Pattern>,
    /// Finds its question in its lines; the first group is taken.
    #[serde(default)]
    pub asks: Option<Pattern>,
    /// Its first option, where that tells it from others.
    #[serde(default)]
    pub first: Option<Pattern>,
    /// It names no keys below its options.
    #[serde(default)]
    pub hintless: bool,
    /// What stands in the last lines of the transcript above it.
    #[serde(default)]
    pub after: Option<Pattern>,
    /// It is the last line of a page with nothing to choose from.
    #[serde(default)]
    pub bare: bool,
    /// What allowing means here, where it is more than once.
    #[serde(default)]
    pub allow: Option<Meaning>,
    /// It stands in the way of all work: the word a reason begins with, `login_required` or `onboarding`.
    #[serde(default)]
    pub reason: Option<String>,
}

/// What ends a turn badly, or stands in the way.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TroubleRule {
    /// Of which sort.
    pub cause: Cause,
    /// The beginning of the last piece of the transcript, its bullet included.
    pub pattern: Pattern,
    /// The tool cannot go on: it says so with no box and no dialog on the screen.
    #[serde(default)]
    pub blocks: bool,
    /// It says so below its box, and waits.
    #[serde(default)]
    pub below: bool,
    /// Finds when it may be over; the first group is taken.
    #[serde(default)]
    pub until: Option<Pattern>,
}

/// What a tool call means.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActivityRule {
    /// What the tool does.
    pub activity: Activity,
    /// The first line of the newest piece of the transcript.
    pub pattern: Pattern,
}

/// A label that means something else than it seems to.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptionRule {
    /// The label, whole.
    pub label: Pattern,
    /// What it means.
    pub meaning: Meaning,
}

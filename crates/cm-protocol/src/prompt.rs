//! A question a session waits on: what it is about, what can be answered, and how it was answered.

use serde::{Deserialize, Serialize};

use crate::session::SessionId;

/// A question a session waits on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Prompt {
    /// This instance of the prompt, unique within its session.
    pub id: u64,
    /// What it is about: `read`, `edit`, `command`, `network`, `question`, `trust`, `plan`; or, of any
    /// program in a terminal, `confirm`, `secret`, `text`, `continue`; `report`: asked by a report.
    pub kind: String,
    /// The question as it stands on the screen.
    pub text: String,
    /// The command, path or address it is about, where it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// What can be chosen, in the order drawn; empty where text is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<PromptOption>,
    /// The whole prompt as it is drawn, a line each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub screen: Vec<String>,
    /// The policy's rule that left it to a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The same for prompts that are the same but for place and time: they can be settled together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub class: Option<String>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct PromptOption {
    /// Its text, without number, key and highlight.
    pub label: String,
    /// The key the screen names for it: `1`, `y`, `Esc`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Whether it is the highlighted one, which Enter takes.
    #[serde(default)]
    pub selected: bool,
    /// Whether its box is ticked, where it has one: of those, several can be taken together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checked: Option<bool>,
    /// What choosing it means.
    pub meaning: Meaning,
}

/// What choosing an option means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Meaning {
    /// Allowed, this one time.
    Once,
    /// Allowed now and later. Never chosen by an agent on its own.
    Always,
    /// Not allowed.
    Refuse,
    /// The tool changes into another mode. Never chosen by an agent on its own.
    Mode,
    /// An answer to a question.
    Answer,
}

impl Prompt {
    /// Whether several of its options can be taken together.
    pub fn takes_several(&self) -> bool {
        self.options.iter().any(|option| option.checked.is_some())
    }
}

impl Meaning {
    /// The word on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Always => "always",
            Self::Refuse => "refuse",
            Self::Mode => "mode",
            Self::Answer => "answer",
        }
    }
}

/// `answer`: settle a prompt a session waits on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The session.
    pub session_id: SessionId,
    /// The prompt's id; absent: the one that is open. Another one that is open by now is not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<u64>,
    /// What is answered.
    pub decision: AnswerDecision,
    /// With `choose`: the option's label or key, or an unambiguous beginning of the label. Several for a
    /// question that takes several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// With `text`: what is typed. With `deny`: what the tool is told, where it takes words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// How a prompt is settled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AnswerDecision {
    /// Allow it, this one time.
    Allow,
    /// Refuse it.
    #[default]
    Deny,
    /// Take one option, or several.
    Choose,
    /// Type an answer.
    Text,
}

/// One thing the agent did on its own, or for a person, about a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Receipt {
    /// When, Unix seconds.
    pub at: f64,
    /// The prompt as it stood.
    pub prompt: Prompt,
    /// What was decided: `allow`, `deny`, `choose` or `text`.
    pub verdict: String,
    /// The rule that decided (`policy/rule`), or `person`.
    pub rule: String,
    /// How it was done: `hook` (in the hook's answer, no key) or `screen` (keys).
    pub channel: String,
    /// The option taken, by its label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<String>,
    /// The keys pressed, as tmux names them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keys: Vec<String>,
    /// The last lines of the screen just before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub before: Vec<String>,
    /// The last lines of the screen after it had taken effect.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// What came of it: `accepted`, `no_effect`, or `dropped` (the prompt had gone; nothing was pressed).
    pub outcome: String,
}

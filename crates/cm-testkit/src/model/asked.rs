//! PURE. What a client asks, the same for all dialects, and which step of which scenario answers it.

use serde_json::Value;

use super::calls::Client;
use super::edit_blocks;
use super::scenario::{Scenarios, Step, is_name_byte};

/// Chosen where the user names none, or one that does not exist.
pub const DEFAULT: &str = "say";
const MARK: &str = "SCENARIO:";

/// How a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dialect {
    /// `/v1/messages`.
    Anthropic,
    /// `/v1/responses`.
    Responses,
    /// `/v1/chat/completions`.
    Chat,
    /// `:generateContent`.
    Gemini,
}

/// One request.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// How it was put.
    pub dialect: Dialect,
    /// The model's name.
    pub model: String,
    /// Whether the answer is to come in pieces.
    pub stream: bool,
    /// The conversation so far.
    pub talk: Talk,
    /// The tools it may be answered with.
    pub offered: Vec<Offered>,
    /// What kind of answer is wanted.
    pub wants: Wants,
    /// Where the client works, if it says so.
    pub cwd: Option<String>,
}

impl Asked {
    /// What its calls are made with.
    pub fn client(&self) -> Client<'_> {
        Client { offered: &self.offered, cwd: self.cwd.as_deref() }
    }

    /// Which step of which scenario comes now. A client without tools gets only the steps that can be written;
    /// an optional step is for those that have a tool for it.
    pub fn place(&self, scenarios: &Scenarios) -> Place {
        let client = self.client();
        self.talk.place(scenarios, |step| match self.wants {
            Wants::EditBlocks => edit_blocks::can_write(step),
            _ => !step.optional || step.calls.iter().any(|call| client.call(call).is_some()),
        })
    }
}

/// What kind of answer a request wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wants {
    /// A turn of the scenario.
    Turn,
    /// A turn of the scenario, with calls written into the text as edit blocks.
    EditBlocks,
    /// A title or a summary, beside the conversation.
    Title,
    /// An object with certain fields, beside the conversation.
    Object,
    /// Any text, beside the conversation.
    Remark,
}

impl Wants {
    /// Whether the request is beside the conversation, and takes no step of the scenario.
    pub const fn is_side(self) -> bool {
        matches!(self, Self::Title | Self::Object | Self::Remark)
    }
}

/// A tool the client has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// Its name there.
    pub name: String,
    /// Takes text instead of an object.
    pub custom: bool,
}

/// What came of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolResult {
    /// As the client put it.
    pub text: String,
    /// Marked as an error (a refusal is, where the dialect has the mark).
    pub error: bool,
}

/// A conversation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Talk {
    turns: Vec<Turn>,
    /// Results since the model's last turn.
    results: Vec<ToolResult>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Turn {
    User(String),
    /// Ends a turn of the model, and is none of the user's.
    Result,
    Model,
}

impl Talk {
    /// The user wrote.
    pub fn user(&mut self, text: String) {
        self.turns.push(Turn::User(text));
    }

    /// The model spoke or called; what follows directly is the same turn.
    pub fn model(&mut self) {
        if self.turns.last() != Some(&Turn::Model) {
            self.turns.push(Turn::Model);
            self.results.clear();
        }
    }

    /// A call came back.
    pub fn result(&mut self, text: String, error: bool) {
        self.turns.push(Turn::Result);
        self.results.push(ToolResult { text, error });
    }

    /// Results since the model's last turn.
    pub fn results(&self) -> &[ToolResult] {
        &self.results
    }

    /// What the user wrote last.
    pub fn prompt(&self) -> &str {
        let text = |turn: &'_ Turn| matches!(turn, Turn::User(text) if !text.trim().is_empty());
        match self.turns.iter().rev().find(|turn| text(turn)) {
            Some(Turn::User(text)) => text,
            _ => "",
        }
    }

    /// Which step of which scenario comes now, of those the client `can` play.
    pub fn place(&self, scenarios: &Scenarios, can: impl Fn(&Step) -> bool) -> Place {
        let named = self.turns.iter().enumerate().rev().find_map(|(at, turn)| match turn {
            Turn::User(text) => last_name(text).map(|name| (at, name)),
            Turn::Model | Turn::Result => None,
        });
        let (at, name) = named.unwrap_or((0, DEFAULT.to_owned()));
        let since = self.turns.iter().skip(at).filter(|turn| **turn == Turn::Model).count();
        let name = if scenarios.contains_key(&name) { name } else { DEFAULT.to_owned() };
        let all = scenarios.get(&name).map_or(&[][..], |scenario| &scenario.step);
        let steps: Vec<usize> = (0..all.len()).filter(|at| can(&all[*at])).collect();
        let step = steps.get(since).or(steps.last()).copied().unwrap_or(0);
        Place { name, step, turn: at }
    }
}

/// A step of a scenario, and where in the conversation the scenario began.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The scenario's.
    pub name: String,
    /// From 0.
    pub step: usize,
    /// Of the conversation.
    pub turn: usize,
}

fn last_name(text: &str) -> Option<String> {
    let (_, rest) = text.rsplit_once(MARK)?;
    let rest = rest.to_ascii_lowercase();
    let end = rest.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(rest.len());
    (end > 0).then(|| rest[..end].to_owned())
}

/// The text of a message's content: a string, or blocks of which some are text.
pub fn text_of(content: &Value) -> String {
    let block = |block: &Value| match block {
        Value::String(text) => Some(text.clone()),
        _ => match block["type"].as_str() {
            None | Some("text" | "input_text" | "output_text") => block["text"].as_str().map(str::to_owned),
            Some(_) => None,
        },
    };
    match content {
        Value::Array(blocks) => blocks.iter().filter_map(block).collect::<Vec<_>>().join("\n"),
        other => block(other).unwrap_or_default(),
    }
}

/// What stands before the working directory in what the tools tell the model of their surroundings.
const CWD_MARKS: [&str; 6] = [
    "<cwd>",
    "rimary working directory:",
    "orking directory:",
    "orking directory is",
    "orkspace Directories:**",
    "urrent directory:",
];

/// The directory the client says it works in: the last one named anywhere in the request.
pub fn cwd_of(body: &Value) -> Option<String> {
    let mut found = None;
    each_text(body, &mut |text| {
        for mark in CWD_MARKS {
            if let Some((_, rest)) = text.rsplit_once(mark)
                && let Some(path) = path_at(rest)
            {
                found = Some(path);
                return;
            }
        }
    });
    found
}

fn path_at(text: &str) -> Option<String> {
    let text = text.trim_start_matches([' ', '`', '\n', '-', '"']);
    let end = text.find(|c: char| c.is_whitespace() || "<`\"'(".contains(c)).unwrap_or(text.len());
    let path = text[..end].trim_end_matches(['.', ',', '/']);
    path.starts_with('/').then(|| path.to_owned())
}

/// Whether any text in the request contains `needle`.
pub fn mentions(body: &Value, needle: &str) -> bool {
    let mut found = false;
    each_text(body, &mut |text| found |= text.contains(needle));
    found
}

/// Shows every text in a value.
pub fn each_text(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(all) => all.iter().for_each(|value| each_text(value, see)),
        Value::Object(all) => all.values().for_each(|value| each_text(value, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::scenario::builtin;
    use super::*;

    fn talk(turns: &str) -> Talk {
        let mut talk = Talk::default();
        for turn in turns.split_whitespace() {
            match turn {
                "m" => talk.model(),
                "r" => talk.result("ok".into(), false),
                text => talk.user(text.to_owned()),
            }
        }
        talk
    }

    #[test]
    fn the_last_name_counts_and_the_models_turns_since() {
        let scenarios = builtin().unwrap();
        let check = |turns: &str, name: &str, step: usize| {
            let place = talk(turns).place(&scenarios, |_| true);
            assert_eq!((place.name.as_str(), place.step), (name, step), "{turns}");
        };
        check("", "say", 0);
        check("hello", "say", 0);
        check("SCENARIO:edit", "edit", 0);
        check("SCENARIO:edit m r", "edit", 1);
        check("SCENARIO:edit m m r r", "edit", 1);
        check("SCENARIO:edit m r m r", "edit", 2);
        check("SCENARIO:edit m r m r m more", "edit", 2);
        check("SCENARIO:edit m r m r m SCENARIO:write", "write", 0);
        check("SCENARIO:edit,SCENARIO:bash.", "bash", 0);
        check("SCENARIO:Write", "write", 0);
        check("SCENARIO:nonsense", "say", 0);
        check("SCENARIO:", "say", 0);
    }

    #[test]
    fn a_client_without_tools_is_not_told_to_read() {
        let scenarios = builtin().unwrap();
        let step = |turns: &str| talk(turns).place(&scenarios, edit_blocks::can_write).step;
        assert_eq!((step("SCENARIO:edit"), step("SCENARIO:edit m")), (1, 2));
    }

    #[test]
    fn results_are_those_since_the_models_last_turn() {
        assert_eq!(talk("a m r m r r").results().len(), 2);
        assert_eq!(talk("a m r m").results().len(), 0);
    }

    #[test]
    fn where_the_client_works_is_read_from_its_words() {
        let check = |text: &str, expected: Option<&str>| {
            let body = json!({"messages": [{"content": [{"text": text}]}]});
            assert_eq!(cwd_of(&body).as_deref(), expected, "{text}");
        };
        check("<environment_context>\n<cwd>/srv/app</cwd>\n", Some("/srv/app"));
        check(" - Primary working directory: /srv/app\n - x", Some("/srv/app"));
        check("  Working directory: /srv/app\n", Some("/srv/app"));
        check("- **Workspace Directories:**\n  - /srv/app\n", Some("/srv/app"));
        check("nothing of the kind", None);
        check("the working directory: none", None);
    }
}

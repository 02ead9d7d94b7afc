//! What is seen on one screen, told for people and as data: `cm-agent tools explain` (PURE).

use cm_protocol::PromptOption;
use serde::Serialize;

use super::detect::{Activity, Observation, Seen, Turn, detect, plain_turn};
use super::dialog::{Cause, FoundPrompt, Trouble};
use super::profile::{Profile, PromptKind, PromptRule};
use super::screen::{Cursor, Screen, width};
use super::state::Memory;

/// What is seen on a screen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// The state: one of the words sessions have.
    pub state: String,
    /// Why, where there is more to say; it begins with a stable word and a colon.
    pub reason: Option<String>,
    /// The rule it rests on.
    pub rule: String,
    /// The dialog that waits.
    pub dialog: Option<Dialog>,
}

/// A dialog that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Dialog {
    /// What it is about.
    pub kind: String,
    /// Its question.
    pub question: String,
    /// The command, path or address it is about.
    pub subject: Option<String>,
    /// What can be chosen.
    pub options: Vec<Choice>,
}

/// One thing that can be chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Choice {
    /// Its text.
    pub label: String,
    /// The key drawn for it.
    pub key: Option<String>,
    /// Whether Enter takes it.
    pub selected: bool,
    /// What choosing it means.
    pub meaning: String,
}

/// The questions at a cursor that are certain enough where nobody knows where the cursor is.
const CERTAIN: [&str; 5] = ["password", "yes-no", "letter-menu", "coreutils", "press-to-continue"];

/// What is seen on a screen of a tool. Without a cursor it is taken to stand behind the last text where a
/// tool asks line by line, and to be hidden where it draws on the whole screen.
pub fn explain(profile: &Profile, screen: &Screen, cursor: Option<Cursor>) -> Explained {
    let memory = Memory::fresh();
    let full = profile.facts.input.as_ref().is_some_and(|input| input.shape != super::profile::Shape::Cursor);
    let at = |cursor: Cursor| Screen { cursor, ..screen.clone() };
    let screen = match cursor {
        Some(cursor) => at(cursor),
        None if full || profile.name == "generic" => at(Cursor::default()),
        None => at(behind(screen)),
    };
    let mut observation = detect(profile, &memory, &screen);
    if cursor.is_none() && profile.name == "generic" && is_nothing(&observation.kind) {
        // A tool nothing is known of may ask line by line as well.
        let certain = |rule: &&PromptRule| CERTAIN.contains(&rule.name.as_str());
        let narrow =
            Profile { prompts: profile.prompts.iter().filter(certain).cloned().collect(), ..profile.clone() };
        observation = detect(&narrow, &memory, &at(behind(&screen)));
    }
    if profile.facts.input.is_some() && at_shell(&screen) {
        let reason = Some("exited: a shell's prompt stands where the tool was".into());
        return Explained { state: "failed".into(), reason, rule: "a shell's prompt".into(), dialog: None };
    }
    // Of a tool nothing is known of, only lines that look like sent ones tell that there was a turn.
    if let Seen::AtPrompt { turn: turn @ None, .. } = &mut observation.kind
        && profile.name == "generic"
    {
        *turn = plain_turn(&screen);
    }
    told(profile, observation)
}

fn is_nothing(seen: &Seen) -> bool {
    matches!(seen, Seen::NotReady)
}

/// Directly behind the last text.
fn behind(screen: &Screen) -> Cursor {
    let row = screen.lines.iter().rposition(|line| !line.trim().is_empty()).unwrap_or(0);
    let col = screen.lines.get(row).map_or(0, |line| width(line));
    let fit = |n: usize| u16::try_from(n).unwrap_or(u16::MAX);
    Cursor { col: fit(col), row: fit(row), visible: true }
}

/// Whether the cursor stands behind a shell's prompt: `me@box:~/src$`.
fn at_shell(screen: &Screen) -> bool {
    let shown = Cursor { visible: true, ..screen.cursor };
    let here = Screen { cursor: shown, ..screen.clone() };
    let cursor = if screen.cursor == Cursor::default() { behind(screen) } else { shown };
    let text = Screen { cursor, ..here }.before_cursor().unwrap_or_default();
    let Some(prompt) = text.strip_suffix(['$', '#', '%']) else { return false };
    let Some((user, rest)) = prompt.split_once('@') else { return false };
    let word =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_alphanumeric() || "._-".contains(c));
    let host = rest.split([':', ' ']).next().unwrap_or("");
    word(user) && word(host) && rest.len() < 200
}

fn told(profile: &Profile, observation: Observation) -> Explained {
    let rule = observation.rule;
    let plain = |state: &str, reason: Option<String>| Explained {
        state: state.to_owned(),
        reason,
        rule: rule.clone(),
        dialog: None,
    };
    match observation.kind {
        Seen::NotReady => plain("starting", None),
        Seen::Working { activity } => plain(activity_word(activity), None),
        Seen::AtPrompt { turn: None, .. } => plain("idle", None),
        Seen::AtPrompt { turn: Some(Turn::Done), .. } => plain("done", None),
        Seen::AtPrompt { turn: Some(Turn::Failed(trouble)), .. } => {
            let state = if trouble.cause == Cause::Interrupted { "idle" } else { "failed" };
            plain(state, Some(reason(&trouble)))
        }
        Seen::Blocked(trouble) => plain("waiting", Some(reason(&trouble))),
        Seen::Asking(found) => {
            let known = profile.facts.dialogs.iter().find(|rule| rule.name == found.rule);
            let word = known.and_then(|rule| rule.reason.as_ref());
            Explained {
                reason: word.map(|word| format!("{word}: {}", found.text)),
                dialog: Some(dialog(found)),
                ..plain("waiting", None)
            }
        }
    }
}

fn activity_word(activity: Option<Activity>) -> &'static str {
    match activity {
        Some(Activity::Planning) => "planning",
        Some(Activity::Editing) => "editing",
        Some(Activity::Testing) => "testing",
        Some(Activity::Running) | None => "running",
    }
}

fn reason(trouble: &Trouble) -> String {
    format!("{}: {}", trouble.cause.as_str(), trouble.text)
}

fn dialog(found: FoundPrompt) -> Dialog {
    let choice = |option: PromptOption| Choice {
        label: option.label,
        key: option.key,
        selected: option.selected,
        meaning: option.meaning.as_str().to_owned(),
    };
    let kind = if found.kind == PromptKind::Continue { "continue" } else { found.kind.as_str() };
    Dialog {
        kind: kind.to_owned(),
        question: found.text,
        subject: found.subject,
        options: found.options.into_iter().map(choice).collect(),
    }
}

impl Explained {
    /// For people: a line for the state, and the dialog below it.
    pub fn lines(&self) -> Vec<String> {
        let mut lines = vec![match &self.reason {
            Some(reason) => format!("{}  {reason}", self.state),
            None => self.state.clone(),
        }];
        lines.push(format!("  by       {}", self.rule));
        let Some(dialog) = &self.dialog else { return lines };
        lines.push(format!("  asks     {} ({})", dialog.question, dialog.kind));
        for (i, line) in dialog.subject.iter().flat_map(|subject| subject.lines()).enumerate() {
            lines.push(format!("  {:<8} {line}", if i == 0 { "about" } else { "" }));
        }
        for option in &dialog.options {
            let mark = if option.selected { '>' } else { ' ' };
            let key = option.key.as_deref().map(|key| format!("  [{key}]")).unwrap_or_default();
            lines.push(format!("  {mark} {:<7} {}{key}", option.meaning, option.label));
        }
        lines
    }
}

#[cfg(test)]
mod tests;

#[cfg(test)]
mod properties;

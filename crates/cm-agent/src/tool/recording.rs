//! What a session's state machine was given and what it decided, a line each; enough to do it again (PURE).

use std::time::Duration;

use cm_protocol::{PolicyChoice, Report, State};
use serde::{Deserialize, Serialize};

use super::detect::Activity;
use super::hooks::Heard;
use super::screen::Screen;
use super::state::{Effect, Exit, Input, Memory, Voice};

/// One line of a recording.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since an arbitrary point, the same for a whole recording of one agent's life.
    pub at: f64,
    /// What happened.
    #[serde(flatten)]
    pub entry: Entry,
}

/// Everything a recording holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Entry {
    /// A session begins, or a later agent goes on with it.
    Start(Box<Start>),
    /// The screen, as far as it differs from the one before.
    Screen(Box<Delta>),
    /// A script inside reported.
    Report {
        /// What.
        report: Report,
    },
    /// The tool said how things stand.
    Heard {
        /// Through which channel.
        voice: Voice,
        /// What; absent: what it said before holds no more.
        heard: Option<Heard>,
    },
    /// Hooks said what it works at.
    Works {
        /// What at.
        activity: Activity,
    },
    /// A person opened or left the terminal.
    Attached {
        /// Opened.
        attached: bool,
    },
    /// The program ended.
    Exited {
        /// Its exit code.
        code: Option<i32>,
        /// Its signal.
        signal: Option<String>,
    },
    /// The check ran.
    Checked {
        /// Whether it proves the task done.
        passed: bool,
        /// In words.
        summary: String,
        /// What the tool was told.
        again: Option<String>,
    },
    /// Anything else, by its word: `keys`, `pressed`, `delivered`, `paused`, `resumed`, `killed`, `tick` …
    Event {
        /// The word.
        word: String,
        /// More of it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        text: Option<String>,
        /// A prompt's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<u64>,
    },
    /// What followed.
    Decided {
        /// In short, as [`shown`] writes it.
        effect: String,
        /// The rule it rests on.
        rule: String,
    },
    /// The recording is full: nothing follows.
    Full,
}

/// What a session began with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Start {
    /// The session.
    pub session: String,
    /// The tool as it was asked for.
    pub tool: String,
    /// Its version.
    pub tool_version: Option<String>,
    /// The profile and its version.
    pub profile: String,
    /// The policy.
    pub policy: Option<PolicyChoice>,
    /// It was created with a task.
    pub task: bool,
    /// The root of the work tree.
    pub work_dir: String,
    /// The user's home.
    pub home: String,
    /// A check is to prove the task done.
    pub check: bool,
    /// What the machine remembered, where an earlier agent had begun.
    pub memory: Option<Memory>,
}

/// The rows of a screen that are new.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Delta {
    /// How many rows there are.
    pub height: usize,
    /// Those that differ, by number from 0.
    pub lines: Vec<(usize, String)>,
    /// Everything else of it, its `lines` left out.
    pub screen: Screen,
}

impl Delta {
    /// What changed from one screen to the next.
    pub fn between(before: Option<&Screen>, after: &Screen) -> Self {
        let same = |row: usize, line: &String| before.and_then(|b| b.lines.get(row)) == Some(line);
        let lines = after.lines.iter().enumerate().filter(|(row, line)| !same(*row, line));
        let lines = lines.map(|(row, line)| (row, line.clone())).collect();
        let mut screen = after.clone();
        let height = screen.lines.len();
        screen.lines.clear();
        Self { height, lines, screen }
    }

    /// The screen after it.
    pub fn applied(&self, before: Option<&Screen>) -> Screen {
        let mut screen = self.screen.clone();
        screen.lines = before.map(|before| before.lines.clone()).unwrap_or_default();
        screen.lines.resize(self.height.min(1000), String::new());
        for (row, line) in &self.lines {
            if let Some(place) = screen.lines.get_mut(*row) {
                place.clone_from(line);
            }
        }
        screen
    }
}

impl Entry {
    /// The line an input is worth. `before`: the screen before it.
    pub fn of(input: &Input<'_>, before: Option<&Screen>) -> Self {
        let event = |word: &str, text: Option<String>, prompt: Option<u64>| Self::Event {
            word: word.to_owned(),
            text,
            prompt,
        };
        match input {
            Input::Screen(screen) => Self::Screen(Box::new(Delta::between(before, screen))),
            Input::Report(report) => Self::Report { report: (*report).clone() },
            Input::Heard(voice, heard) => Self::Heard { voice: *voice, heard: heard.clone() },
            Input::Works(activity) => Self::Works { activity: *activity },
            Input::Attached(attached) => Self::Attached { attached: *attached },
            Input::Exited(exit) => Self::Exited { code: exit.code, signal: exit.signal.clone() },
            Input::Checked { passed, summary, again } => {
                Self::Checked { passed: *passed, summary: summary.clone(), again: again.clone() }
            }
            Input::Vanished { cause } => event("vanished", Some(cause.clone()), None),
            Input::KeysSubmitted => event("keys", None, None),
            Input::KeysPressed => event("pressed", None, None),
            Input::Interrupting => event("interrupting", None, None),
            Input::TaskDelivered => event("delivered", None, None),
            Input::TaskUndeliverable { why } => event("undeliverable", Some(why.clone()), None),
            Input::Paused => event("paused", None, None),
            Input::Resumed => event("resumed", None, None),
            Input::KillRequested { why } => event("killed", why.clone(), None),
            Input::TimedOut { after } => event("timed_out", Some(after.as_secs_f64().to_string()), None),
            Input::Answering { prompt_id } => event("answering", None, Some(*prompt_id)),
            Input::Refusing { prompt_id, told } => event("refusing", told.clone(), Some(*prompt_id)),
            Input::Unanswered { prompt_id, why } => event("unanswered", Some(why.clone()), Some(*prompt_id)),
            Input::Settled { prompt_id, rule } => event("settled", Some(rule.clone()), Some(*prompt_id)),
            Input::Tick => event("tick", None, None),
        }
    }

    /// The input a line stands for, `None` for lines that are none. `screen` is where a screen is put.
    pub fn input<'a>(&'a self, screen: &'a mut Option<Screen>) -> Option<Input<'a>> {
        Some(match self {
            Self::Screen(delta) => {
                *screen = Some(delta.applied(screen.as_ref()));
                Input::Screen(screen.as_ref()?)
            }
            Self::Report { report } => Input::Report(report),
            Self::Heard { voice, heard } => Input::Heard(*voice, heard.clone()),
            Self::Works { activity } => Input::Works(*activity),
            Self::Attached { attached } => Input::Attached(*attached),
            Self::Exited { code, signal } => Input::Exited(Exit { code: *code, signal: signal.clone() }),
            Self::Checked { passed, summary, again } => {
                Input::Checked { passed: *passed, summary: summary.clone(), again: again.clone() }
            }
            Self::Event { word, text, prompt } => {
                return event(word, text.as_deref(), prompt.unwrap_or_default());
            }
            Self::Start(_) | Self::Decided { .. } | Self::Full => return None,
        })
    }
}

fn event(word: &str, told: Option<&str>, prompt_id: u64) -> Option<Input<'static>> {
    let text = told.unwrap_or_default();
    Some(match word {
        "vanished" => Input::Vanished { cause: text.to_owned() },
        "keys" => Input::KeysSubmitted,
        "pressed" => Input::KeysPressed,
        "interrupting" => Input::Interrupting,
        "delivered" => Input::TaskDelivered,
        "undeliverable" => Input::TaskUndeliverable { why: text.to_owned() },
        "paused" => Input::Paused,
        "resumed" => Input::Resumed,
        "killed" => Input::KillRequested { why: told.map(str::to_owned) },
        "timed_out" => {
            let seconds = text.parse().ok()?;
            Input::TimedOut { after: Duration::try_from_secs_f64(seconds).ok()? }
        }
        "answering" => Input::Answering { prompt_id },
        "refusing" => Input::Refusing { prompt_id, told: told.map(str::to_owned) },
        "unanswered" => Input::Unanswered { prompt_id, why: text.to_owned() },
        "settled" => Input::Settled { prompt_id, rule: text.to_owned() },
        "tick" => Input::Tick,
        _ => return None,
    })
}

/// An effect in a few words: `waiting #3 command "Do you want to proceed?"`, `choose "Yes" (allow)`.
pub fn shown(effect: &Effect) -> String {
    match effect {
        Effect::Announce { state, reason, prompt } => {
            let mut text = state.to_string();
            if let Some(reason) = reason {
                text += &format!(" ({reason})");
            }
            if let Some(prompt) = prompt {
                text += &format!(" #{} {} {:?}", prompt.id, prompt.kind, prompt.text);
                if let Some(subject) = &prompt.subject {
                    text += &format!(" about {subject:?}");
                }
            }
            text
        }
        Effect::DeliverTask => "type the task".into(),
        Effect::DeliverWords { words } => format!("type {words:?}"),
        Effect::RunCheck => "run the check".into(),
        Effect::Choose { prompt, label, verdict, .. } => {
            format!("choose {label:?} ({verdict}) for #{}", prompt.id)
        }
        Effect::Press { prompt, keys, .. } => format!("press {} for #{}", keys.join(" "), prompt.id),
        Effect::Complete { state, exit_code, signal, .. } => {
            let how = exit_code.map(|code| format!(" code {code}")).or(signal.clone()).unwrap_or_default();
            format!("complete {}{how}", State::as_str(*state))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tool::screen::tests::draw;

    #[test]
    fn a_screen_is_what_changed_of_it() {
        let screens = ["a\nb\nc▮", "a\nB\nc▮", "a", "", "x\n\n\ny▮"].map(draw);
        let (mut written, mut before) = (Vec::new(), None);
        for screen in &screens {
            let line = Line { at: 1.5, entry: Entry::of(&Input::Screen(screen), before) };
            written.push(serde_json::to_string(&line).unwrap());
            before = Some(screen);
        }
        assert!(written[1].contains(r#""lines":[[1,"B"]]"#), "{}", written[1]);
        let mut screen = None;
        for (line, expected) in written.iter().zip(&screens) {
            let line: Line = serde_json::from_str(line).unwrap();
            assert!(matches!(line.entry.input(&mut screen), Some(Input::Screen(_))));
            assert_eq!(screen.as_ref(), Some(expected));
        }
    }

    #[test]
    fn every_input_comes_back() {
        let report = Report::default();
        let inputs = [
            Input::Report(&report),
            Input::Heard(Voice::Status, None),
            Input::Works(Activity::Editing),
            Input::Attached(true),
            Input::Exited(Exit { code: Some(3), signal: None }),
            Input::Checked { passed: false, summary: "s".into(), again: Some("a".into()) },
            Input::Vanished { cause: "c".into() },
            Input::KeysSubmitted,
            Input::KeysPressed,
            Input::Interrupting,
            Input::TaskDelivered,
            Input::TaskUndeliverable { why: "w".into() },
            Input::Paused,
            Input::Resumed,
            Input::KillRequested { why: None },
            Input::KillRequested { why: Some("w".into()) },
            Input::TimedOut { after: Duration::from_millis(1500) },
            Input::Answering { prompt_id: 3 },
            Input::Unanswered { prompt_id: 3, why: "w".into() },
            Input::Settled { prompt_id: 4, rule: "r".into() },
            Input::Tick,
        ];
        for input in inputs {
            let text = serde_json::to_string(&Line { at: 0.0, entry: Entry::of(&input, None) }).unwrap();
            let line: Line = serde_json::from_str(&text).unwrap();
            let (mut screen, expected) = (None, format!("{input:?}"));
            let back = line.entry.input(&mut screen).map(|input| format!("{input:?}"));
            assert_eq!(back, Some(expected), "{text}");
        }
    }
}

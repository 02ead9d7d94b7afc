//! Why a session is in its state: what was heard and decided, kept for `explain`.

use std::collections::{BTreeMap, VecDeque};

use cm_protocol::{Channel, Explanation, Step};

use super::actor::Actor;
use crate::host::clock;
use crate::tool::{Effect, Seen, Turn};

/// Steps that are remembered.
const STEPS: usize = 50;
/// Lines of the screen that are shown.
const LINES: usize = 24;

/// What was heard and decided so far, by this agent.
#[derive(Default)]
pub(super) struct Past {
    /// The newest word of each channel, and when it came.
    channels: BTreeMap<&'static str, (String, f64)>,
    steps: VecDeque<Step>,
}

impl Past {
    /// A channel has said something.
    pub(super) fn heard(&mut self, channel: &'static str, words: String) {
        self.channels.insert(channel, (words, clock::unix_now()));
    }

    /// The state machine has decided something.
    pub(super) fn decided(&mut self, effects: &[Effect], rule: &str) {
        for effect in effects {
            if let Effect::Announce { state, .. } = effect {
                self.steps.push_back(Step { at: clock::unix_now(), state: *state, rule: rule.to_owned() });
            }
        }
        let over = self.steps.len().saturating_sub(STEPS);
        self.steps.drain(..over);
    }
}

impl Actor {
    /// Everything the session's state rests on.
    pub(super) fn explain(&self) -> Explanation {
        let now = clock::unix_now();
        let profile = self.machine.profile();
        let screen = self.view.screen.as_deref();
        let authority = self.machine.authority();
        let mut channels: Vec<Channel> = self
            .past
            .channels
            .iter()
            .map(|(name, (says, at))| Channel {
                name: (*name).to_owned(),
                says: says.clone(),
                ago: (now - at).max(0.0),
            })
            .collect();
        if let Some(observation) = self.machine.observation() {
            let says = format!("{} ({})", in_words(&observation.kind), observation.rule);
            let ago = clock::now().saturating_sub(self.view.looked).as_secs_f64();
            channels.push(Channel { name: "screen".into(), says, ago });
        }
        channels.sort_by_key(|channel| channel.name != authority);
        Explanation {
            session_id: self.record.id.clone(),
            tool: self.record.tool.clone(),
            tool_version: self.record.tool_version.clone(),
            profile: format!("{} {}", profile.name, profile.version),
            policy: self.machine.bearings().policy.name().to_owned(),
            state: self.machine.state(),
            reason: self.machine.reason().map(str::to_owned),
            rule: self.machine.rule().to_owned(),
            authority: authority.to_owned(),
            channels,
            prompt: self.machine.prompt().cloned(),
            screen: screen.map(|s| closed_up(s.bottom(usize::MAX))).unwrap_or_default(),
            title: screen.map(|s| s.title.clone()).unwrap_or_default(),
            steps: self.past.steps.iter().cloned().collect(),
            receipts: self.record.receipts.clone(),
        }
    }
}

/// The last lines, runs of blank ones as one: full-screen tools leave much of a screen empty.
fn closed_up(lines: &[String]) -> Vec<String> {
    let mut kept: Vec<String> = Vec::new();
    for line in lines {
        if !line.trim().is_empty() || kept.last().is_some_and(|last| !last.is_empty()) {
            kept.push(line.trim_end().to_owned());
        }
    }
    kept.split_off(kept.len().saturating_sub(LINES))
}

/// What is seen on a screen, in a few words.
fn in_words(seen: &Seen) -> String {
    match seen {
        Seen::NotReady => "nothing that is known yet".into(),
        Seen::Working { activity: None } => "at work".into(),
        Seen::Working { activity: Some(activity) } => format!("at work: {activity:?}").to_lowercase(),
        Seen::AtPrompt { draft: true, .. } => "at its prompt, with text nobody has submitted".into(),
        Seen::AtPrompt { turn: None, .. } => "at its prompt".into(),
        Seen::AtPrompt { turn: Some(Turn::Done), .. } => "at its prompt, a turn ended well".into(),
        Seen::AtPrompt { turn: Some(Turn::Failed(trouble)), .. } => {
            format!("at its prompt, a turn ended: {} {:?}", trouble.cause.as_str(), trouble.text)
        }
        Seen::Asking(found) => format!("asks ({}): {:?}", found.kind.as_str(), found.text),
        Seen::Blocked(trouble) => format!("blocked: {} {:?}", trouble.cause.as_str(), trouble.text),
    }
}

impl super::Engine {
    /// What is remembered of a session whose terminal is gone.
    pub(crate) fn explain_closed(&self, record: &super::record::SessionRecord) -> Explanation {
        let profile = self.profile_of(record);
        let bearings = self.bearings_of(record);
        let machine = record
            .memory
            .as_deref()
            .map(|memory| crate::tool::Machine::restore(profile.clone(), memory.clone(), clock::now()));
        Explanation {
            session_id: record.id.clone(),
            tool: record.tool.clone(),
            tool_version: record.tool_version.clone(),
            profile: format!("{} {}", profile.name, profile.version),
            policy: bearings.policy.name().to_owned(),
            state: record.state,
            reason: record.reason.clone(),
            rule: machine.map(|machine| machine.rule().to_owned()).unwrap_or_default(),
            authority: record.authority.clone(),
            prompt: record.prompt.clone(),
            screen: record.outcome.as_ref().map(|outcome| outcome.tail.clone()).unwrap_or_default(),
            receipts: record.receipts.clone(),
            ..Explanation::default()
        }
    }
}

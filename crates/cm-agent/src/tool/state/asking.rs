//! Questions: from the one that was found to what is done about it, once per instance (PURE).

use cm_protocol::{Meaning, Prompt};

use super::memory::{Instance, Mark, Refusal, Source, Stage};
use super::{Effect, Machine};
use crate::tool::dialog::{Cause, FoundPrompt, Layout, Trouble};
use crate::tool::policy::{Asked, Decision, Verdict, decide};
use crate::tool::profile::PromptKind;

/// Lines of a prompt that are shown to people.
const SCREEN_LINES: usize = 40;
/// Characters of each.
const LINE_CHARS: usize = 300;

/// What follows from a policy's word about a question.
enum Act {
    /// Nothing is pressed: a person answers. Why, in a rule.
    Ask(String),
    /// These keys go on.
    Press(Vec<String>, String),
    /// This option is taken.
    Choose { label: String, verdict: &'static str, rule: String, message: Option<String> },
}

impl Machine {
    pub(super) fn ask(
        &mut self,
        found: &FoundPrompt,
        reason: Option<String>,
        mark: Mark,
        effects: &mut Vec<Effect>,
    ) {
        let act = self.act_on(found);
        self.memory.prompts += 1;
        self.memory.distrusted |= found.kind == PromptKind::Trust;
        let mut prompt = prompt_of(self.memory.prompts, found);
        let stage = match &act {
            Act::Ask(rule) => {
                prompt.rule = Some(rule.clone());
                Stage::Asked
            }
            Act::Press(..) | Act::Choose { .. } => Stage::Pressed,
        };
        let (Act::Ask(rule) | Act::Press(_, rule) | Act::Choose { rule, .. }) = &act;
        self.memory.rule.clone_from(rule);
        let source = if found.is_drawn() { Source::Drawn } else { Source::Screen(mark) };
        self.memory.asked = Some(Instance { prompt: prompt.clone(), reason, source, stage });
        self.announce(effects);
        if stage == Stage::Pressed {
            self.watch.answered_at = self.watch.now;
        }
        match act {
            Act::Ask(_) => {}
            Act::Press(keys, rule) => effects.push(Effect::Press { prompt, keys, rule }),
            Act::Choose { label, verdict, rule, message } => {
                let trust = found.kind == PromptKind::Trust;
                self.memory.refusal =
                    (verdict == "deny").then(|| Refusal { rule: rule.clone(), message, trust });
                effects.push(Effect::Choose { prompt, label, verdict, rule });
            }
        }
    }

    /// An answer is under way: the question is not open any more, and not answered a second time. `refused`:
    /// it is a refusal, and what the tool is to be told about it.
    pub(super) fn on_answering(&mut self, prompt_id: u64, refused: Option<Option<String>>) {
        let Some(asked) = self.memory.asked.as_mut().filter(|asked| asked.prompt.id == prompt_id) else {
            return;
        };
        asked.stage = Stage::PressedForPerson;
        self.watch.answered_at = self.watch.now;
        let trust = asked.prompt.kind == PromptKind::Trust.as_str();
        self.memory.refusal = refused.map(|message| Refusal { rule: "a person".into(), message, trust });
    }

    /// Whether a question would be answered without a person.
    pub(super) fn answers_itself(&self, found: &FoundPrompt) -> bool {
        !matches!(self.act_on(found), Act::Ask(_))
    }

    /// What the policy says about something the tool wants. `prompt_rule`: how that was found.
    pub fn decide(&self, kind: PromptKind, subject: Option<&str>, prompt_rule: &str) -> Decision {
        let asked = Asked {
            tool: &self.bearings.tool,
            kind,
            subject,
            work_dir: &self.bearings.work_dir,
            home: &self.bearings.home,
            prompt_rule,
        };
        decide(&self.bearings.policy, &asked)
    }

    /// A prompt that is settled before it is drawn, for its receipt. Say so with [`Input::Settled`](super::Input).
    pub fn settled_prompt(&self, kind: PromptKind, text: String, subject: Option<String>) -> Prompt {
        Prompt {
            id: self.memory.prompts + 1,
            kind: kind.as_str().to_owned(),
            text,
            subject,
            ..Prompt::default()
        }
    }

    fn act_on(&self, found: &FoundPrompt) -> Act {
        let decision = self.decide(found.kind, found.subject.as_deref(), &found.rule);
        let rule = format!("{} on {}", decision.rule, found.rule);
        // The bounds no policy moves: secrets and words are a person's; and an option is taken by what it
        // means, never because it is the first (failures 5 and 6).
        if matches!(found.kind, PromptKind::Secret | PromptKind::Text | PromptKind::Report) {
            return Act::Ask(rule);
        }
        let choose = |meaning, verdict, message| match only_one(found, meaning) {
            Some(label) => Act::Choose { label, verdict, rule: rule.clone(), message },
            None => Act::Ask(format!("{rule}, but no option is surely `{}`", meaning.as_str())),
        };
        match decision.verdict {
            Verdict::Ask => Act::Ask(rule),
            Verdict::Allow if found.kind == PromptKind::Continue && !found.press.is_empty() => {
                Act::Press(found.press.clone(), rule)
            }
            Verdict::Allow if found.kind == PromptKind::Question => Act::Ask(rule),
            Verdict::Allow => choose(Meaning::Once, "allow", None),
            Verdict::Deny { message } => choose(Meaning::Refuse, "deny", message),
        }
    }

    pub(super) fn ask_by_report(&mut self, text: String) {
        self.memory.prompts += 1;
        let prompt = Prompt {
            id: self.memory.prompts,
            kind: PromptKind::Report.as_str().to_owned(),
            text,
            ..Prompt::default()
        };
        self.memory.rule = format!("{}: waiting", self.memory.voice.as_str());
        let source = Source::Report;
        self.memory.asked = Some(Instance { prompt, reason: None, source, stage: Stage::Asked });
    }
}

/// The label of the first option with this meaning, if no other option is called the same.
fn only_one(found: &FoundPrompt, meaning: Meaning) -> Option<String> {
    let option = found.option(meaning)?;
    let same = found.options.iter().filter(|other| other.label == option.label).count();
    (same == 1 && !option.label.is_empty()).then(|| option.label.clone())
}

fn prompt_of(id: u64, found: &FoundPrompt) -> Prompt {
    let shorten = |line: &String| line.chars().take(LINE_CHARS).collect();
    Prompt {
        id,
        kind: found.kind.as_str().to_owned(),
        text: found.text.clone(),
        subject: found.subject.clone(),
        options: found.options.clone(),
        screen: found.lines.iter().take(SCREEN_LINES).map(shorten).collect(),
        rule: None,
        class: (!found.options.is_empty()).then(|| class_of(found)),
    }
}

/// The same for the same question about the same thing with the same options, whatever is highlighted.
pub(super) fn class_of(found: &FoundPrompt) -> String {
    let mut hash = crate::tool::screen::Fnv::new();
    let mut add = |text: &str| {
        hash.add(text.as_bytes());
        hash.add(&[0]);
    };
    add(&found.text);
    add(found.subject.as_deref().unwrap_or_default());
    for option in &found.options {
        add(&option.label);
    }
    format!("{}-{:016x}", found.kind.as_str(), hash.value())
}

impl FoundPrompt {
    /// Whether it is a drawn dialog, not text at the cursor.
    pub(super) fn is_drawn(&self) -> bool {
        !self.options.is_empty() && self.layout != Layout::Typed
    }

    /// What stands in the tool's way, as something a person must see to.
    pub(super) fn blocked(trouble: &Trouble) -> Self {
        let rule = match trouble.cause {
            Cause::LoginRequired => "login",
            Cause::RateLimited => "limit",
            Cause::ApiError | Cause::Interrupted => "blocked",
        };
        Self::plain(PromptKind::Text, trouble.text.clone(), rule)
    }
}

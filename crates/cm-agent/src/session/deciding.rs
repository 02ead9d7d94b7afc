//! Doing what was decided about a prompt: taking an option by its label, with a receipt for every act.

use std::time::Duration;

use cm_protocol::{
    Answer, AnswerDecision, ErrorReply, EventKind, KeysObserved, Meaning, Prompt, PromptOption, Receipt,
};

use super::actor::{Actor, Purpose, Round};
use super::choosing::{Act, Choosing, Chosen};
use super::effects::not_now;
use super::handle;
use super::typing::Keys;
use crate::host::clock;
use crate::tmux::{CommandError, Control, Key};
use crate::tool::{Input, Layout, PromptKind, Screen, Seen};

/// Lines of the screen in a receipt.
const RECEIPT_LINES: usize = 16;
/// How options are called behind which words can be written.
const FREE_TEXT: [&str; 6] = ["type something", "other", "type your", "enter your", "custom", "write your"];

/// What a client is told of its answer.
pub(super) type Answered = handle::Answer<(u64, KeysObserved)>;

/// An option that is being taken, and for whom.
pub(super) struct Choice {
    choosing: Choosing,
    prompt: Prompt,
    label: String,
    verdict: &'static str,
    rule: String,
    /// Typed after the option was taken.
    then: Option<String>,
    before: Vec<String>,
    answer: Option<Answered>,
    /// The next look is due then even if nothing changes.
    pub(super) until: Duration,
}

impl Actor {
    /// Begins to take an option, as the policy says.
    pub(super) fn begin_choice(
        &mut self,
        prompt: Prompt,
        label: String,
        verdict: &'static str,
        rule: String,
    ) {
        self.choose(prompt, label, verdict, rule, None, None);
    }

    fn choose(
        &mut self,
        prompt: Prompt,
        label: String,
        verdict: &'static str,
        rule: String,
        then: Option<String>,
        answer: Option<Answered>,
    ) {
        self.choice = Some(Choice {
            choosing: Choosing::new(label.clone()),
            prompt,
            label,
            verdict,
            rule,
            then,
            before: self.last_rows(),
            answer,
            // Look again before anything is pressed.
            until: clock::now(),
        });
        self.view.look_at = Some(clock::now());
    }

    /// Takes the choice a step further, now that the screen has been seen.
    pub(super) async fn go_on_choosing(&mut self, control: &Control, screen: &Screen) -> Round {
        if self.typing.is_some() {
            // A client types; its text is not cut in two.
            return Round::On;
        }
        let Some(mut choice) = self.choice.take() else { return Round::On };
        let found = if self.view.ended { None } else { self.machine.found_again(screen, &choice.prompt) };
        let done = match choice.choosing.step(found.as_ref(), clock::now()) {
            Act::Press(key) => press(control, &[key]).await,
            Act::Type(text) => submit(control, &text).await,
            Act::Look(at) => {
                choice.until = at;
                self.choice = Some(choice);
                return Round::On;
            }
            Act::Finished(chosen) => return self.chosen(control, choice, chosen).await,
        };
        if let Err(error) = done {
            let lost = self.lost_sight(&error);
            if let Some(answer) = choice.answer.take() {
                let _ = answer.send(Err(not_now(error)));
            }
            return lost;
        }
        choice.until = clock::now() + Duration::from_millis(3);
        self.choice = Some(choice);
        Round::On
    }

    async fn chosen(&mut self, control: &Control, mut choice: Choice, chosen: Chosen) -> Round {
        let prompt_id = choice.prompt.id;
        let (outcome, observed) = match chosen {
            Chosen::Accepted => ("accepted", KeysObserved::Submitted),
            Chosen::NoEffect => ("no_effect", KeysObserved::Typed),
            Chosen::Dropped | Chosen::Unreachable => ("dropped", KeysObserved::NoEvidence),
        };
        let receipt = Receipt {
            at: clock::unix_now(),
            prompt: without_screen(&choice.prompt),
            verdict: choice.verdict.to_owned(),
            rule: choice.rule.clone(),
            channel: "screen".into(),
            option: Some(choice.label.clone()),
            keys: std::mem::take(&mut choice.choosing.pressed),
            before: std::mem::take(&mut choice.before),
            after: self.last_rows(),
            outcome: outcome.into(),
        };
        self.receive(receipt);
        if chosen == Chosen::Accepted && choice.answer.is_none() && choice.verdict == "allow" {
            self.engine.hub.publish(EventKind::AutoConfirmed {
                session_id: self.record.id.clone(),
                prompt: Some(without_screen(&choice.prompt)),
                rule: Some(choice.rule.clone()),
            });
        }
        if let Some(answer) = choice.answer.take() {
            let _ = answer.send(Ok((prompt_id, observed)));
        }
        let why = match chosen {
            Chosen::Accepted => {
                if let Some(text) = choice.then.take() {
                    let keys = Keys { text, named: Vec::new(), enter: true };
                    self.begin_typing(keys, Purpose::Words);
                }
                return Round::On;
            }
            // It has gone, or is another one by now, which is asked about anew.
            Chosen::Dropped => return Round::On,
            Chosen::NoEffect => format!("{:?} was chosen, but the question still stands", choice.label),
            Chosen::Unreachable => format!("{:?} could not be highlighted", choice.label),
        };
        Box::pin(self.step(Some(control), Input::Unanswered { prompt_id, why })).await
    }

    /// Tells of a receipt: with that it is in the journal and in the session's record.
    pub(super) fn receive(&mut self, receipt: Receipt) {
        self.engine
            .hub
            .publish(EventKind::Receipt { session_id: self.record.id.clone(), receipt: Box::new(receipt) });
        self.recall();
    }

    /// The last lines of the screen, for a receipt.
    pub(super) fn last_rows(&self) -> Vec<String> {
        let Some(screen) = &self.view.screen else { return Vec::new() };
        screen.bottom(RECEIPT_LINES).to_vec()
    }

    /// A person's answer to the open prompt.
    pub(super) async fn settle_prompt(
        &mut self,
        control: &Control,
        asked: Answer,
        answer: Answered,
    ) -> Round {
        let settled = match self.settling(&asked) {
            Ok(settled) => settled,
            Err(error) => {
                let _ = answer.send(Err(error));
                return Round::On;
            }
        };
        let Settling { prompt, label, verdict, then } = settled;
        let input = match verdict {
            "deny" => Input::Refusing { prompt_id: prompt.id, told: then.clone() },
            _ => Input::Answering { prompt_id: prompt.id },
        };
        let round = Box::pin(self.step(Some(control), input)).await;
        match label {
            Some(label) => {
                let then = if verdict == "deny" { None } else { then };
                self.choose(prompt, label, verdict, "person".into(), then, Some(answer));
            }
            None => {
                let keys = Keys { text: then.unwrap_or_default(), named: Vec::new(), enter: true };
                let purpose = Purpose::Answer { answer, prompt };
                if self.typing.is_some() {
                    self.waiting.push_back((keys, purpose));
                } else {
                    self.begin_typing(keys, purpose);
                    self.look_soon();
                }
            }
        }
        round
    }

    fn settling(&self, asked: &Answer) -> Result<Settling, ErrorReply> {
        if self.view.ended || self.record.paused_since.is_some() {
            return Err(self.conflict("its program has ended or is paused; nothing can be answered"));
        }
        let Some(prompt) = self.machine.open_prompt(asked.prompt_id) else {
            return Err(self.conflict(match asked.prompt_id {
                Some(_) => "this prompt is not open any more",
                None => "it does not wait for an answer",
            }));
        };
        if prompt.kind == PromptKind::Report.as_str() {
            return Err(self.conflict("what it waits for cannot be answered from here; attach to it"));
        }
        let typed = matches!(
            self.machine.observation().map(|seen| &seen.kind),
            Some(Seen::Asking(found)) if found.layout == Layout::Typed
        );
        settling(prompt.clone(), asked, typed)
    }
}

/// An answer, made ready to be given.
#[derive(Debug, PartialEq)]
struct Settling {
    prompt: Prompt,
    /// The option; none: words are typed.
    label: Option<String>,
    verdict: &'static str,
    /// Typed after it.
    then: Option<String>,
}

/// `typed`: its answer is typed at the cursor, whatever options it names.
fn settling(prompt: Prompt, asked: &Answer, typed: bool) -> Result<Settling, ErrorReply> {
    let bad = |field: &str, why: String| Err(ErrorReply::bad_request(field, why));
    let labels = || prompt.options.iter().map(|o| format!("{:?}", o.label)).collect::<Vec<_>>().join(", ");
    let mut then = asked.text.clone();
    let (label, verdict) = match asked.decision {
        AnswerDecision::Allow => match with_meaning(&prompt, Meaning::Once) {
            Some(option) => (Some(option.label.clone()), "allow"),
            None => {
                return bad(
                    "decision",
                    format!("no option surely allows it once; choose one of {}", labels()),
                );
            }
        },
        AnswerDecision::Deny => match with_meaning(&prompt, Meaning::Refuse) {
            Some(option) => (Some(option.label.clone()), "deny"),
            None => {
                return bad("decision", format!("no option surely refuses it; choose one of {}", labels()));
            }
        },
        AnswerDecision::Choose => {
            let [wanted] = asked.options.as_slice() else {
                return bad("options", "options: give one; for several, attach to the session".into());
            };
            match named(&prompt.options, wanted) {
                Some(option) => (Some(option.label.clone()), "choose"),
                None => {
                    return bad("options", format!("{wanted:?} is none, or several, of {}", labels()));
                }
            }
        }
        AnswerDecision::Text => {
            let Some(text) = asked.text.as_deref().filter(|text| !text.trim().is_empty()) else {
                return bad("text", "text: missing".into());
            };
            if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
                return bad("text", "text: control characters cannot be typed".into());
            }
            let free = prompt.options.iter().find(|option| {
                let label = option.label.to_lowercase();
                FREE_TEXT.iter().any(|words| label.starts_with(words))
            });
            match free {
                Some(option) => (Some(option.label.clone()), "text"),
                None if typed || prompt.options.is_empty() => (None, "text"),
                None => return bad("text", format!("it takes no words, only one of {}", labels())),
            }
        }
    };
    if matches!(asked.decision, AnswerDecision::Allow | AnswerDecision::Choose) {
        then = None;
    }
    Ok(Settling { prompt, label, verdict, then })
}

/// The first option with a meaning. A yes-or-no question of a line-oriented program has none drawn.
fn with_meaning(prompt: &Prompt, meaning: Meaning) -> Option<&PromptOption> {
    prompt.options.iter().find(|option| option.meaning == meaning)
}

/// The option that is meant: by its label, its key, or an unambiguous beginning.
fn named<'a>(options: &'a [PromptOption], wanted: &str) -> Option<&'a PromptOption> {
    let wanted = wanted.trim().to_lowercase();
    let is = |option: &&PromptOption| option.label.to_lowercase() == wanted;
    let key = |option: &&PromptOption| option.key.as_deref().is_some_and(|k| k.to_lowercase() == wanted);
    if let Some(option) = options.iter().find(is).or_else(|| options.iter().find(key)) {
        return Some(option);
    }
    let mut begun = options.iter().filter(|option| option.label.to_lowercase().starts_with(&wanted));
    match (begun.next(), begun.next(), wanted.is_empty()) {
        (Some(option), None, false) => Some(option),
        _ => None,
    }
}

fn without_screen(prompt: &Prompt) -> Prompt {
    Prompt { screen: Vec::new(), ..prompt.clone() }
}

/// Presses keys so that they reach the program, even if somebody left the terminal scrolled back.
pub(super) async fn press(control: &Control, keys: &[Key]) -> Result<(), CommandError> {
    control.leave_copy_mode().await?;
    control.press(keys).await
}

async fn submit(control: &Control, text: &str) -> Result<(), CommandError> {
    control.leave_copy_mode().await?;
    control.paste(text).await?;
    control.press(&[Key::enter()]).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(options: &[(&str, &str, Meaning)]) -> Prompt {
        let options = options.iter().map(|(key, label, meaning)| PromptOption {
            label: (*label).into(),
            key: Some((*key).to_owned()).filter(|k| !k.is_empty()),
            selected: false,
            meaning: *meaning,
        });
        Prompt { id: 3, kind: "command".into(), options: options.collect(), ..Prompt::default() }
    }

    fn check(prompt: &Prompt, decision: AnswerDecision, words: &str, expected: Result<(&str, &str), &str>) {
        let (options, text) = match decision {
            AnswerDecision::Choose => (vec![words.to_owned()], None),
            _ => (Vec::new(), Some(words.to_owned()).filter(|w| !w.is_empty())),
        };
        let asked = Answer { decision, options, text, ..Answer::default() };
        let got = settling(prompt.clone(), &asked, false);
        let got = match &got {
            Ok(settled) => Ok((settled.label.as_deref().unwrap_or("-"), settled.verdict)),
            Err(error) => Err(error.field.as_deref().unwrap_or_default()),
        };
        assert_eq!(got, expected, "{decision:?} {words:?}");
    }

    #[test]
    fn permissions_are_settled_by_meaning() {
        use AnswerDecision::{Allow, Choose, Deny, Text};
        let asks = prompt(&[
            ("1", "Yes", Meaning::Once),
            ("2", "Yes, and don't ask again", Meaning::Always),
            ("3", "No", Meaning::Refuse),
        ]);
        check(&asks, Allow, "", Ok(("Yes", "allow")));
        check(&asks, Deny, "use rg", Ok(("No", "deny")));
        check(&asks, Choose, "yes, and", Ok(("Yes, and don't ask again", "choose")));
        check(&asks, Choose, "YES", Ok(("Yes", "choose")));
        check(&asks, Choose, "3", Ok(("No", "choose")));
        check(&asks, Choose, "y", Err("options"));
        check(&asks, Choose, "", Err("options"));
        check(&asks, Text, "hello", Err("text"));
        let unsure = prompt(&[("", "Maybe", Meaning::Answer), ("", "Later", Meaning::Answer)]);
        check(&unsure, Allow, "", Err("decision"));
        check(&unsure, Deny, "", Err("decision"));
    }

    #[test]
    fn questions_are_settled_by_name_or_words() {
        use AnswerDecision::{Choose, Text};
        let asks = prompt(&[
            ("1", "PostgreSQL", Meaning::Answer),
            ("2", "SQLite", Meaning::Answer),
            ("3", "Type something.", Meaning::Answer),
        ]);
        check(&asks, Choose, "post", Ok(("PostgreSQL", "choose")));
        check(&asks, Text, "MariaDB", Ok(("Type something.", "text")));
        check(&asks, Text, " ", Err("text"));
        check(&asks, Text, "a\u{1b}b", Err("text"));
        check(&prompt(&[]), Text, "MariaDB", Ok(("-", "text")));
    }
}

//! Doing what was decided about a prompt: taking an option by its label, with a receipt for every act.

use std::time::Duration;

use cm_protocol::{Answer, ErrorReply, EventKind, KeysObserved, Prompt, Receipt};

use super::actor::{Actor, Purpose, Round};
use super::choosing::{Act, Choosing, Chosen};
use super::effects::not_now;
use super::handle;
use super::settling::{Settling, Way, settling};
use super::ticking::{Ticking, Ways};
use super::typing::Keys;
use crate::host::clock;
use crate::tmux::{CommandError, Control, Key};
use crate::tool::detect::detect;
use crate::tool::{Input, Layout, PromptKind, Screen, Seen};

/// Lines of the screen in a receipt.
const RECEIPT_LINES: usize = 16;

/// Between two keys: some tools take an Enter that follows closely for a part of what was pasted.
const GAP: Duration = Duration::from_millis(60);

/// What a client is told of its answer.
pub(super) type Answered = handle::Answer<(u64, KeysObserved)>;

/// An option that is being taken, and for whom.
pub(super) struct Choice {
    taking: Taking,
    prompt: Prompt,
    /// What is taken, in words.
    label: String,
    verdict: &'static str,
    rule: String,
    /// Typed after the option was taken.
    then: Option<String>,
    before: Vec<String>,
    answer: Option<Answered>,
    /// The next look is due then even if nothing changes.
    pub(super) until: Duration,
    /// No key before.
    not_before: Duration,
}

/// How it is taken.
enum Taking {
    One(Choosing),
    Several(Ticking),
}

impl Taking {
    fn pressed(&mut self) -> Vec<String> {
        std::mem::take(match self {
            Self::One(choosing) => &mut choosing.pressed,
            Self::Several(ticking) => &mut ticking.pressed,
        })
    }
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
        let (taking, then, answer) = (Taking::One(Choosing::new(label.clone())), None, None);
        self.choose(Choice {
            taking,
            prompt,
            label,
            verdict,
            rule,
            then,
            answer,
            before: self.last_rows(),
            until: Duration::ZERO,
            not_before: Duration::ZERO,
        });
    }

    fn choose(&mut self, choice: Choice) {
        self.choice = Some(Choice {
            // Look again before anything is pressed.
            until: clock::now(),
            ..choice
        });
        self.view.look_at = Some(clock::now());
    }

    /// Takes the choice a step further, now that the screen has been seen.
    pub(super) async fn go_on_choosing(&mut self, control: &Control, screen: &Screen) -> Round {
        if self.typing.is_some() {
            // A client types; its text is not cut in two.
            return Round::On;
        }
        if self.choice.as_ref().is_some_and(|choice| clock::now() < choice.not_before) {
            return Round::On;
        }
        let Some(mut choice) = self.choice.take() else { return Round::On };
        let found = if self.view.ended { None } else { self.machine.found_again(screen, &choice.prompt) };
        let page = match detect(self.machine.profile(), self.machine.memory(), screen).kind {
            Seen::Asking(page) if !self.view.ended => Some(page),
            _ => None,
        };
        let now = clock::now();
        let act = match &mut choice.taking {
            Taking::One(choosing) => choosing.step(found.as_ref(), found.is_none() && page.is_some(), now),
            Taking::Several(ticking) => ticking.step(found.as_ref(), page.as_ref(), now),
        };
        let done = match act {
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
        choice.not_before = clock::now() + GAP;
        choice.until = choice.not_before;
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
            keys: choice.taking.pressed(),
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
        let Settling { prompt, way, verdict, then } = settled;
        let input = match verdict {
            "deny" => Input::Refusing { prompt_id: prompt.id, told: then.clone() },
            _ => Input::Answering { prompt_id: prompt.id },
        };
        let round = Box::pin(self.step(Some(control), input)).await;
        let (taking, label) = match way {
            Way::Take(label) => (Taking::One(Choosing::new(label.clone())), label),
            Way::Tick(labels) => {
                let label = labels.join(", ");
                (Taking::Several(Ticking::new(labels, self.ways())), label)
            }
            Way::Type => {
                let keys = Keys { text: then.unwrap_or_default(), named: Vec::new(), enter: true };
                let purpose = Purpose::Answer { answer, prompt };
                if self.typing.is_some() {
                    self.waiting.push_back((keys, purpose));
                } else {
                    self.begin_typing(keys, purpose);
                    self.look_soon();
                }
                return round;
            }
        };
        let then = then.filter(|_| verdict != "deny");
        let (rule, answer, before) = ("person".into(), Some(answer), self.last_rows());
        let until = Duration::ZERO;
        self.choose(Choice {
            taking,
            prompt,
            label,
            verdict,
            rule,
            then,
            before,
            answer,
            until,
            not_before: until,
        });
        round
    }

    /// The keys of its tool for questions that take several answers.
    fn ways(&self) -> Ways {
        let profile = self.machine.profile();
        let key = |keys: &[String]| keys.first().and_then(|name| Key::parse(name).ok());
        Ways {
            tick: key(&profile.keys.tick).unwrap_or_else(Key::space),
            submit: key(&profile.keys.submit),
            deaf: profile.asking.deaf,
        }
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

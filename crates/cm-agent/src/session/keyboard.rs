//! Typing into a session: for a client, for the task, or a key that a policy allows.

use std::time::Duration;

use cm_protocol::{ErrorReply, EventKind, KeysObserved, Prompt, Receipt};

use super::actor::{Actor, Busy, Purpose, Round};
use super::deciding::press;
use super::effects::not_now;
use super::handle::Answer;
use super::look::screen_of;
use super::typing::{Act, InBox, Keys, Typing};
use crate::host::clock;
use crate::tmux::{Control, Key};
use crate::tool::{Input, Screen, Seen};

impl Actor {
    /// Presses keys a policy has allowed, if the prompt is still the one that was decided on.
    pub(super) async fn press(
        &mut self,
        control: &Control,
        prompt: Prompt,
        keys: Vec<String>,
        rule: String,
    ) -> Round {
        let seen = match control.snapshot(self.capture()).await {
            Ok(seen) => seen,
            Err(error) => return self.lost_sight(&error),
        };
        if seen.status.ended().is_some() || !self.machine.still_there(&screen_of(&seen), &prompt) {
            tracing::info!(session = %self.record.id, "the prompt has gone; nothing pressed");
            return Round::On;
        }
        let before = self.last_rows();
        let pressed: Vec<Key> = keys.iter().filter_map(|name| Key::parse(name).ok()).collect();
        if let Err(error) = press(control, &pressed).await {
            return self.lost_sight(&error);
        }
        self.receive(Receipt {
            at: clock::unix_now(),
            prompt: Prompt { screen: Vec::new(), ..prompt.clone() },
            verdict: "allow".into(),
            rule: rule.clone(),
            channel: "screen".into(),
            option: None,
            keys,
            before,
            after: Vec::new(),
            outcome: "accepted".into(),
        });
        let session_id = self.record.id.clone();
        self.engine.hub.publish(EventKind::AutoConfirmed {
            session_id,
            prompt: Some(prompt),
            rule: Some(rule),
        });
        Round::On
    }

    pub(super) async fn send(
        &mut self,
        control: &Control,
        keys: Keys,
        answer: Answer<KeysObserved>,
    ) -> Round {
        if self.view.ended {
            let _ = answer.send(Err(self.conflict("its program has ended, there is nothing to type into")));
            return Round::On;
        }
        if self.record.paused_since.is_some() {
            let _ = answer.send(Err(self.conflict("it is paused; resume it first")));
            return Round::On;
        }
        let enters = keys.enter || keys.named.contains(&Key::enter());
        let purpose = Purpose::Client { answer, named: !keys.named.is_empty(), enters };
        if self.typing.is_some() {
            self.waiting.push_back((keys, purpose));
            return Round::On;
        }
        self.begin_typing(keys, purpose);
        self.look(control).await
    }

    pub(super) fn begin_typing(&mut self, keys: Keys, purpose: Purpose) {
        let typing = match purpose {
            Purpose::Task => Typing::yielding(keys),
            Purpose::Words | Purpose::Answer { .. } | Purpose::Client { .. } => Typing::new(keys),
        };
        self.typing = Some(Busy { typing, purpose, until: Some(clock::now()) });
    }

    /// Takes typing a step further, now that the screen has been seen.
    pub(super) async fn go_on_typing(&mut self, control: &Control, screen: &Screen) -> Round {
        let Some(mut busy) = self.typing.take() else { return Round::On };
        if self.view.ended {
            let result = busy.typing.ended().ok_or_else(|| self.conflict("its program has ended"));
            return self.typed(control, busy.purpose, result).await;
        }
        let in_box = match self.machine.observation().map(|seen| &seen.kind) {
            Some(Seen::AtPrompt { draft: true, .. }) => InBox::Text,
            Some(Seen::AtPrompt { .. }) if self.machine.profile().is_tui() => InBox::Nothing,
            _ => InBox::Unknown,
        };
        let done = match busy.typing.step(screen, in_box, clock::now()) {
            Act::Paste(text) => control.paste(&text).await,
            Act::Press(keys) => {
                let by_person = matches!(busy.purpose, Purpose::Client { .. });
                let pressed = press(control, &keys).await;
                let breaks_off = |key: &Key| self.machine.profile().keys.breaks_off(key.as_str());
                if pressed.is_ok() && by_person && keys.iter().any(breaks_off) {
                    // Before anything is seen of it: what comes of it may be seen at once.
                    Box::pin(self.step(Some(control), Input::Interrupting)).await;
                }
                pressed
            }
            Act::Enter => press(control, &[Key::enter()]).await,
            Act::Look(at) => {
                busy.until = Some(at);
                self.typing = Some(busy);
                return Round::On;
            }
            Act::Finished(seen) => return self.typed(control, busy.purpose, Ok(seen)).await,
        };
        if let Err(error) = done {
            let lost = self.lost_sight(&error);
            // The answer goes out before the connection is made anew.
            self.typed(control, busy.purpose, Err(not_now(error))).await;
            return lost;
        }
        // The effect shows within milliseconds, or as output; the stage's own deadline comes with the look.
        busy.until = Some(clock::now() + Duration::from_millis(3));
        self.typing = Some(busy);
        Round::On
    }

    pub(super) async fn typed(
        &mut self,
        control: &Control,
        purpose: Purpose,
        result: Result<KeysObserved, ErrorReply>,
    ) -> Round {
        self.typing = None;
        let round = match purpose {
            Purpose::Client { answer, named, enters } => {
                // A key may be the answer to a question; text without Enter is none.
                let submitted = match result {
                    Ok(KeysObserved::Submitted) => true,
                    Ok(KeysObserved::Typed) => named,
                    Ok(KeysObserved::NoEvidence) | Err(_) => false,
                };
                let _ = answer.send(result);
                let input = if enters { Input::KeysSubmitted } else { Input::KeysPressed };
                if submitted { Box::pin(self.step(Some(control), input)).await } else { Round::On }
            }
            Purpose::Words => Round::On,
            Purpose::Answer { answer, prompt } => {
                let prompt_id = prompt.id;
                let observed = result.as_ref().copied().unwrap_or(KeysObserved::NoEvidence);
                self.receive(answer_receipt(prompt, observed, self.last_rows()));
                let _ = answer.send(result.map(|observed| (prompt_id, observed)));
                if observed == KeysObserved::Submitted {
                    Round::On
                } else {
                    let why = "the answer was typed, but nothing was seen to happen".to_owned();
                    Box::pin(self.step(Some(control), Input::Unanswered { prompt_id, why })).await
                }
            }
            Purpose::Task => {
                let input = match result {
                    Ok(KeysObserved::Submitted) => Input::TaskDelivered,
                    Ok(KeysObserved::Typed) => {
                        Input::TaskUndeliverable { why: "the task was typed but Enter had no effect".into() }
                    }
                    Ok(KeysObserved::NoEvidence) => {
                        Input::TaskUndeliverable { why: "the task was typed but never appeared".into() }
                    }
                    Err(error) => Input::TaskUndeliverable { why: error.error },
                };
                Box::pin(self.step(Some(control), input)).await
            }
        };
        // What was just typed may have made the tool ready, and then its task is being typed by now.
        if self.typing.is_none()
            && let Some((keys, purpose)) = self.waiting.pop_front()
        {
            self.begin_typing(keys, purpose);
        }
        round
    }
}

/// That a person's words were typed; not the words, which may be secret.
fn answer_receipt(prompt: Prompt, observed: KeysObserved, after: Vec<String>) -> Receipt {
    Receipt {
        at: clock::unix_now(),
        prompt: Prompt { screen: Vec::new(), ..prompt },
        verdict: "text".into(),
        rule: "person".into(),
        channel: "screen".into(),
        option: None,
        keys: Vec::new(),
        before: Vec::new(),
        after,
        outcome: if observed == KeysObserved::Submitted { "accepted" } else { "no_effect" }.into(),
    }
}

//! PURE. What is answered: words, calls and pauses; and the bytes they become, with the waits between them.

use std::time::Duration;

use serde_json::Value;

use super::asked::{Asked, Wants};
use super::calls::ToolCall;
use super::scenario::Step;

/// An answer, the same for all dialects.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Answer {
    /// Makes the names of messages and calls unlike all others.
    pub tag: String,
    /// As asked for.
    pub model: String,
    /// Thoughts, word by word.
    pub thoughts: Vec<String>,
    /// Words with the space behind them.
    pub words: Vec<String>,
    /// Calls at the end.
    pub calls: Vec<ToolCall>,
    /// Before the answer begins at all.
    pub first_byte: Duration,
    /// Before the first word.
    pub silent: Duration,
    /// Between two words.
    pub pace: Duration,
    /// Held here before the first word.
    pub gate: Option<String>,
    /// Held here after the last word.
    pub end_gate: Option<String>,
    /// Broken off after so many words.
    pub cut_after: Option<usize>,
}

impl Answer {
    /// What a step says to a client. A call it has no tool for is put in words.
    pub fn of_step(tag: String, asked: &Asked, step: &Step) -> Self {
        let client = asked.client();
        let mut say = step.say.repeat(step.repeat.unwrap_or(1) as usize);
        let mut calls = Vec::new();
        for call in &step.calls {
            if asked.wants == Wants::EditBlocks {
                say += &super::edit_blocks::written(call);
            } else if let Some(call) = client.call(call) {
                calls.push(call);
            } else {
                say += &format!("\nThere is no tool here for {}.", call.name());
            }
        }
        Self {
            tag,
            model: asked.model.clone(),
            thoughts: words(&step.think),
            words: words(&say),
            calls,
            first_byte: Duration::from_millis(step.first_byte_ms),
            silent: Duration::from_millis(step.silent_ms),
            pace: Duration::from_millis(step.piece_ms),
            gate: step.gate.clone(),
            end_gate: step.end_gate.clone(),
            cut_after: step.cut_after,
        }
    }

    /// Plain text, at once.
    pub fn of_text(tag: String, asked: &Asked, text: &str) -> Self {
        Self { tag, model: asked.model.clone(), words: words(text), ..Self::default() }
    }

    /// All words.
    pub fn text(&self) -> String {
        self.words.concat()
    }

    /// All thoughts.
    pub fn thought(&self) -> String {
        self.thoughts.concat()
    }

    /// A name for the `n`th call.
    pub fn call_id(&self, prefix: &str, n: usize) -> String {
        format!("{prefix}{}{n:02}", self.tag)
    }

    /// Whether there is anything to say in words: an answer of nothing is an empty text.
    pub fn speaks(&self) -> bool {
        !self.words.is_empty() || self.calls.is_empty()
    }
}

/// Words with the white space that follows them, so that together they are the text.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut in_space = false;
    for c in text.chars() {
        if in_space && !c.is_whitespace() {
            words.push(std::mem::take(&mut word));
        }
        in_space = c.is_whitespace();
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// One thing to do while answering.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Out {
    /// Send this.
    Bytes(String),
    /// Wait.
    Pause(Duration),
    /// Wait until the test releases this gate.
    Gate(String),
    /// Break the connection.
    Cut,
}

/// What to do, in order.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Script(pub Vec<Out>);

impl Script {
    /// A server-sent event with a name; the data's `type` is the same.
    pub fn event(&mut self, name: &str, mut data: Value) {
        data["type"] = Value::from(name);
        self.0.push(Out::Bytes(format!("event: {name}\ndata: {data}\n\n")));
    }

    /// A server-sent event without a name.
    pub fn data(&mut self, data: &str) {
        self.0.push(Out::Bytes(format!("data: {data}\n\n")));
    }

    /// The silence before the first word.
    pub fn open(&mut self, answer: &Answer) {
        self.pause(answer.silent);
        self.0.extend(answer.gate.clone().map(Out::Gate));
    }

    /// The silence after the last word.
    pub fn close(&mut self, answer: &Answer) {
        self.0.extend(answer.end_gate.clone().map(Out::Gate));
    }

    /// `words`, each sent by `send`, with the answer's pace.
    pub fn pieces(&mut self, answer: &Answer, words: &[String], mut send: impl FnMut(&mut Self, &str)) {
        for word in words {
            send(self, word);
            self.pause(answer.pace);
        }
    }

    /// The answer's words, each sent by `send`. False if the answer is cut off there.
    pub fn words(&mut self, answer: &Answer, send: impl FnMut(&mut Self, &str)) -> bool {
        let all = answer.words.as_slice();
        match answer.cut_after {
            Some(cut) => {
                self.pieces(answer, &all[..cut.min(all.len())], send);
                self.0.push(Out::Cut);
                false
            }
            None => {
                self.pieces(answer, all, send);
                true
            }
        }
    }

    /// One whole body, after everything the answer waits for.
    pub fn whole(answer: &Answer, body: &Value) -> Self {
        let mut script = Self::default();
        script.open(answer);
        let pieces = answer.words.len() + answer.thoughts.len();
        script.pause(answer.pace.saturating_mul(u32::try_from(pieces).unwrap_or(u32::MAX)));
        script.close(answer);
        let text = body.to_string();
        if answer.cut_after.is_some() {
            let half = boundary(&text, text.len() / 2);
            script.0.extend([Out::Bytes(text[..half].to_owned()), Out::Cut]);
        } else {
            script.0.push(Out::Bytes(text));
        }
        script
    }

    fn pause(&mut self, time: Duration) {
        if !time.is_zero() {
            self.0.push(Out::Pause(time));
        }
    }

    /// Everything that is sent, without the waits.
    #[cfg(test)]
    pub fn sent(&self) -> String {
        self.0
            .iter()
            .filter_map(|out| if let Out::Bytes(text) = out { Some(text.as_str()) } else { None })
            .collect()
    }
}

/// The last place at or before `at` where the text may be divided.
fn boundary(text: &str, at: usize) -> usize {
    (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_together_are_the_text() {
        let check = |text: &str, expected: &[&str]| {
            assert_eq!(words(text), expected);
            assert_eq!(words(text).concat(), text);
        };
        check("", &[]);
        check("one", &["one"]);
        check("one two\n\nthree ", &["one ", "two\n\n", "three "]);
        check("  in front", &["  ", "in ", "front"]);
    }

    #[test]
    fn a_cut_ends_the_words() {
        let answer = Answer { words: words("a b c"), cut_after: Some(2), ..Answer::default() };
        let mut script = Script::default();
        assert!(!script.words(&answer, |script, word| script.data(word)));
        assert_eq!(script.0.last(), Some(&Out::Cut));
        assert_eq!(script.sent(), "data: a \n\ndata: b \n\n");
    }
}

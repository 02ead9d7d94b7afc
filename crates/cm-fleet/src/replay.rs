//! A session's recording: what was decided then, what would be decided now, and where the two differ. PURE.

use std::io::{self, BufRead, Read};

use cm_protocol::{Prompt, State};
use serde::{Deserialize, Serialize};

/// Bytes of one line at most: a whole screen takes some ten thousand.
const LINE_BYTES: u64 = 4 << 20;
/// Decisions this close together (seconds) are about the same frame.
const TOGETHER: f64 = 0.001;

/// Decides anew what is in a recording. The reader gives the recording's lines; the error is for people.
pub type Engine = fn(&mut dyn BufRead) -> Result<Vec<Decision>, String>;

/// The agent's own deciding, run over a recording: the one place where it is plugged in.
pub const ENGINE: Option<Engine> = None;

/// One decision about a session's state.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// When, in the recording's time (seconds).
    pub at: f64,
    /// The state from then on.
    pub state: State,
    /// The rule it rests on.
    pub rule: String,
    /// Why, where there is something to say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The prompt that is open from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Prompt>,
}

/// What a recording begins with. An older or newer agent may leave fields out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Start {
    /// The tool.
    pub tool: String,
    /// The tool's own version.
    pub version: Option<String>,
    /// The profile it was judged by.
    pub profile: String,
    /// The policy that decided.
    pub policy: String,
    /// Where it worked.
    pub work_dir: String,
}

/// What a recording holds, as far as it can be told without deciding anew.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Recording {
    /// Its beginning.
    pub start: Start,
    /// The time of its first line; what follows is told relative to it.
    pub begin: f64,
    /// Screens in it.
    pub screens: usize,
    /// Lines in it that could not be read; the first one's number and what is wrong with it.
    pub unread: Option<(usize, String)>,
    /// Seconds from its first line to its last.
    pub seconds: f64,
    /// What was decided then.
    pub decisions: Vec<Decision>,
}

/// A moment, with what was decided then and what is decided now.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Moment {
    /// When, in the recording's time (seconds).
    pub at: f64,
    /// As it was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recorded: Option<Decision>,
    /// As it comes out now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<Decision>,
}

impl Moment {
    /// Whether another state or rule comes out than was recorded.
    pub fn differs(&self) -> bool {
        match (&self.recorded, &self.now) {
            (Some(then), Some(now)) => (then.state, &then.rule) != (now.state, &now.rule),
            _ => true,
        }
    }
}

#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Kind {
    Start(Start),
    Screen {},
    Decided(Decision),
    #[serde(other)]
    Other,
}

/// Reads a recording. A line that cannot be read is left out and reported: the last one may have been cut
/// off by a crash.
///
/// # Errors
/// It cannot be read at all, or has a line that is far too long.
pub fn read(mut from: impl BufRead) -> io::Result<Recording> {
    let mut found = Recording::default();
    let mut first: Option<f64> = None;
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)?;
        if line.is_empty() {
            break;
        }
        if line.len() as u64 == LINE_BYTES && line.last() != Some(&b'\n') {
            return Err(io::Error::other(format!("line {number} is over {} MiB", LINE_BYTES >> 20)));
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        match understood(&line) {
            Ok((at, kind)) => {
                let begin = *first.get_or_insert(at);
                found.begin = begin;
                found.seconds = found.seconds.max(at - begin);
                match kind {
                    Kind::Start(start) => found.start = start,
                    Kind::Screen {} => found.screens += 1,
                    Kind::Decided(decision) => found.decisions.push(decision),
                    Kind::Other => {}
                }
            }
            Err(error) => {
                found.unread.get_or_insert_with(|| (number, error.to_string()));
            }
        }
    }
    Ok(found)
}

fn understood(line: &[u8]) -> serde_json::Result<(f64, Kind)> {
    #[derive(Deserialize)]
    struct When {
        at: f64,
    }
    let value: serde_json::Value = serde_json::from_slice(line)?;
    let When { at } = When::deserialize(&value)?;
    Ok((at, serde_json::from_value(value)?))
}

/// The two beside each other, in the order of time.
pub fn beside(recorded: Vec<Decision>, now: Vec<Decision>) -> Vec<Moment> {
    let mut out = Vec::with_capacity(recorded.len().max(now.len()));
    let (mut then, mut anew) = (recorded.into_iter().peekable(), now.into_iter().peekable());
    loop {
        let moment = match (then.peek(), anew.peek()) {
            (None, None) => return out,
            (Some(a), Some(b)) if (a.at - b.at).abs() <= TOGETHER => {
                Moment { at: a.at, recorded: then.next(), now: anew.next() }
            }
            (Some(a), Some(b)) if a.at < b.at => Moment { at: a.at, recorded: then.next(), now: None },
            (Some(a), None) => Moment { at: a.at, recorded: then.next(), now: None },
            (_, Some(b)) => Moment { at: b.at, recorded: None, now: anew.next() },
        };
        out.push(moment);
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) const RECORDING: &str = r#"{"at":100.0,"kind":"start","tool":"claude","version":"2.1.330","profile":"claude 3","policy":"careful","task":true,"workDir":"/p"}
{"at":100.5,"kind":"screen","lines":["> "],"cursor":[2,0,true],"size":[120,40],"history":0,"alternate":true,"title":"x"}
{"at":100.5,"kind":"decided","state":"idle","rule":"claude/ready"}
{"at":101.0,"kind":"keys"}

{"at":103.25,"kind":"decided","state":"waiting","rule":"claude/permission","reason":"asks to run make","prompt":{"id":1,"kind":"command","text":"Proceed?","subject":"make"}}
{"at":104.0,"kind":"a kind of later days","more":[1]}
{"at":105.0,"kind":"decided","sta"#;

    pub(crate) fn decision(at: f64, state: State, rule: &str) -> Decision {
        Decision { at, state, rule: rule.into(), reason: None, prompt: None }
    }

    #[test]
    fn a_recording_that_was_cut_off() {
        let read = read(RECORDING.as_bytes()).expect("readable");
        assert_eq!((read.start.tool.as_str(), read.start.version.as_deref()), ("claude", Some("2.1.330")));
        assert_eq!((read.screens, read.begin, read.seconds), (1, 100.0, 4.0));
        let rules: Vec<(f64, &str)> = read.decisions.iter().map(|d| (d.at, d.rule.as_str())).collect();
        assert_eq!(rules, [(100.5, "claude/ready"), (103.25, "claude/permission")]);
        assert_eq!(read.unread.expect("the last line").0, 8);
    }

    #[test]
    fn what_is_no_recording() {
        let check = |text: &str, line: usize, words: &str| {
            let (number, error) =
                read(text.as_bytes()).expect("readable").unread.expect("something is wrong");
            assert!(number == line && error.contains(words), "{text:?}: line {number}: {error}");
        };
        check("hello", 1, "expected value");
        check("{}", 1, "missing field `at`");
        check("{\"at\":1.0,\"kind\":\"keys\"}\n{\"at\":2.0}\n", 2, "missing field `kind`");
        check("{\"at\":1.0,\"kind\":\"decided\",\"state\":\"dancing\",\"rule\":\"x\"}", 1, "dancing");
        assert_eq!(read(&b""[..]).expect("readable"), Recording::default());
        let long = vec![b'x'; usize::try_from(LINE_BYTES).expect("small") + 1];
        assert!(read(&long[..]).expect_err("too long").to_string().contains("line 1 is over 4 MiB"));
    }

    #[test]
    fn then_and_now() {
        let then = vec![decision(1.0, State::Running, "a"), decision(2.0, State::Done, "b")];
        let now = vec![
            decision(1.0, State::Running, "a"),
            decision(1.5, State::Waiting, "c"),
            decision(2.0005, State::Done, "d"),
            decision(3.0, State::Idle, "e"),
        ];
        let moments = beside(then, now);
        let told: Vec<(f64, bool)> = moments.iter().map(|m| (m.at, m.differs())).collect();
        assert_eq!(told, [(1.0, false), (1.5, true), (2.0, true), (3.0, true)]);
        assert!(moments[1].recorded.is_none() && moments[2].recorded.is_some());
        assert_eq!(beside(vec![decision(1.0, State::Done, "a")], Vec::new()).len(), 1);
    }
}

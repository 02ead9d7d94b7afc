//! PURE: what an agent asks of a keeper and what it is told; one JSON line each way on one connection.
//!
//! Agent and keeper may be of different releases, for the keeper stays while sessions live: words are only ever added.

use serde::{Deserialize, Serialize};

/// The longest line, in bytes: the kernel allows programs no more arguments and variables than that.
pub const LONGEST: u64 = 4 << 20;

/// What is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Ask {
    /// Who are you?
    Hello,
    /// Start a program that leaves a server behind, and wait until it has.
    Start(Start),
}

/// A program to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// All its variables.
    pub env: Vec<(String, String)>,
    /// Where it is started.
    pub dir: String,
    /// Directories that it will need, and programs (by path or name): looked for first, because what is missing
    /// there would fail in silence.
    #[serde(default)]
    pub needs_dirs: Vec<String>,
    /// See `needs_dirs`.
    #[serde(default)]
    pub needs_programs: Vec<String>,
    /// Milliseconds it may take to leave its server behind and end.
    pub within_ms: u64,
}

/// What is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Told {
    /// To [`Ask::Hello`].
    Hello(Hello),
    /// The program has ended well; what it left behind lives.
    Started {
        /// What its process was.
        pid: u32,
    },
    /// Nothing was left behind.
    Refused {
        /// Why, in words.
        why: String,
    },
}

/// Who a keeper is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// Its release.
    pub version: String,
    /// The SHA-256 of its program.
    pub sha256: String,
    /// Its process.
    pub pid: u32,
    /// Its process namespace, as `/proc/self/ns/pid` names it; empty where that cannot be read.
    pub namespace: String,
    /// It was told to end, and takes no more.
    #[serde(default)]
    pub ending: bool,
}

/// Whether an agent can live with this keeper: they must see the same processes.
///
/// # Errors
/// In words: why not, and what to do.
pub fn fits(keeper: &Hello, own_namespace: &str) -> Result<(), String> {
    if !keeper.namespace.is_empty() && !own_namespace.is_empty() && keeper.namespace != own_namespace {
        return Err("it sees other processes than this agent; start the agent's container with `--pid \
                    container:<the keeper's>`"
            .into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_on_the_wire() {
        #[track_caller]
        fn check<T: Serialize + serde::de::DeserializeOwned + PartialEq + std::fmt::Debug>(
            value: &T,
            text: &str,
        ) {
            assert_eq!(serde_json::to_string(value).expect("text"), text);
            assert_eq!(&serde_json::from_str::<T>(text).expect("value"), value);
        }
        check(&Ask::Hello, r#"{"ask":"hello"}"#);
        let start = Start {
            argv: vec!["tmux".into(), "-V".into()],
            env: vec![("A".into(), "b".into())],
            dir: "/".into(),
            needs_dirs: vec!["/v".into()],
            needs_programs: Vec::new(),
            within_ms: 5,
        };
        check(
            &Ask::Start(start),
            r#"{"ask":"start","argv":["tmux","-V"],"env":[["A","b"]],"dir":"/","needs_dirs":["/v"],"needs_programs":[],"within_ms":5}"#,
        );
        check(&Told::Started { pid: 7 }, r#"{"answer":"started","pid":7}"#);
        check(&Told::Refused { why: "no".into() }, r#"{"answer":"refused","why":"no"}"#);
        // What a later keeper says besides is no mistake.
        let hello = r#"{"answer":"hello","version":"9","sha256":"","pid":1,"namespace":"pid:[1]","more":1}"#;
        assert!(matches!(serde_json::from_str(hello), Ok(Told::Hello(Hello { ending: false, .. }))));
    }

    #[test]
    fn an_agent_and_its_keeper_see_the_same_processes() {
        #[track_caller]
        fn check(theirs: &str, own: &str, fitting: bool) {
            let hello = Hello {
                version: "1".into(),
                sha256: String::new(),
                pid: 7,
                namespace: theirs.into(),
                ending: false,
            };
            assert_eq!(fits(&hello, own).is_ok(), fitting);
        }
        check("pid:[1]", "pid:[1]", true);
        check("pid:[1]", "pid:[2]", false);
        check("", "pid:[2]", true);
        check("pid:[1]", "", true);
    }
}

//! What a program's status report says, and how it is written as a window's name (PURE).

/// What every such name begins with.
const NAME: &str = "cm-status";
/// The longest text that is kept of a report's fields, in characters.
const TEXT: usize = 500;

/// What a tool says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It waits for a task.
    Idle,
    /// It works.
    Working,
    /// It has finished a task.
    Done,
    /// A task has failed.
    Error,
    /// What it said before counts no longer.
    Clear,
    /// It waits for a person.
    Blocked(Blocked),
}

/// What for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blocked {
    /// Leave to do something.
    Permission,
    /// An answer.
    Question,
    /// Something else, or it does not say.
    Other,
}

/// A whole report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// What it says.
    pub status: Status,
    /// Who says it, e.g. `claude-code`.
    pub app: Option<String>,
    /// In its own words, one line.
    pub message: Option<String>,
}

impl Report {
    /// Reads what stands between `ESC ] 7501 ;` and its end: `state=working:app=…:kind=…:msg=BASE64`.
    /// `None`: it names no state that is known.
    pub fn parse(content: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(content).ok()?;
        let field = |name: &str| {
            let named = |part: &str| Some(part.strip_prefix(name)?.strip_prefix('=')?.to_owned());
            text.split([':', ';']).find_map(named)
        };
        let status = Status::from_words(&field("state")?, field("kind").as_deref())?;
        let message = field("msg").and_then(|coded| String::from_utf8(base64(coded.as_bytes())?).ok());
        let kept = |text: String| Some(line(&text)).filter(|text| !text.is_empty());
        Some(Self { status, app: field("app").and_then(kept), message: message.and_then(kept) })
    }
}

impl Status {
    /// The words a report uses.
    fn from_words(state: &str, kind: Option<&str>) -> Option<Self> {
        Some(match state {
            "idle" => Self::Idle,
            "working" => Self::Working,
            "done" => Self::Done,
            "error" => Self::Error,
            "clear" => Self::Clear,
            "blocked" => Self::Blocked(match kind {
                Some("permission") => Blocked::Permission,
                Some("question") => Blocked::Question,
                _ => Blocked::Other,
            }),
            _ => return None,
        })
    }

    /// As it is shown: `working`, `blocked:permission`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Working => "working",
            Self::Done => "done",
            Self::Error => "error",
            Self::Clear => "clear",
            Self::Blocked(Blocked::Permission) => "blocked:permission",
            Self::Blocked(Blocked::Question) => "blocked:question",
            Self::Blocked(Blocked::Other) => "blocked:other",
        }
    }

    /// The window's name that stands for it: `cm-status:working#12`. `count` tells equal ones apart that
    /// follow each other.
    pub fn window_name(self, count: u64) -> String {
        format!("{NAME}:{}#{count}", self.as_str())
    }

    /// Reads such a name. `None`: the window is called something else.
    pub fn from_window_name(name: &str) -> Option<Self> {
        // A tmux that does not want a colon in a name makes it an underscore.
        let rest = name.strip_prefix(NAME)?.strip_prefix([':', '_'])?;
        let (words, count) = rest.rsplit_once('#')?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        match words.split_once([':', '_']) {
            Some(("blocked", kind)) => Self::from_words("blocked", Some(kind)),
            Some(_) => None,
            None => Self::from_words(words, None),
        }
    }
}

/// One line without control characters, bounded.
fn line(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(TEXT)
        .collect::<String>()
        .trim()
        .to_owned()
}

/// Decodes base64, with or without padding. `None`: it is none.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    let text = text.strip_suffix(b"==").or_else(|| text.strip_suffix(b"=")).unwrap_or(text);
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut have) = (0_u32, 0_u32);
    for &c in text {
        let value = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6) | u32::from(value);
        have += 6;
        if have >= 8 {
            have -= 8;
            bytes.push(u8::try_from((bits >> have) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports() {
        #[track_caller]
        fn check(content: &str, expected: Option<(Status, Option<&str>, Option<&str>)>) {
            let found = Report::parse(content.as_bytes());
            let found = found.as_ref().map(|r| (r.status, r.app.as_deref(), r.message.as_deref()));
            assert_eq!(found, expected, "{content}");
        }
        check("state=working:app=claude-code", Some((Status::Working, Some("claude-code"), None)));
        check("state=idle", Some((Status::Idle, None, None)));
        check("app=x:state=done", Some((Status::Done, Some("x"), None)));
        check("state=error", Some((Status::Error, None, None)));
        check("state=clear:app=", Some((Status::Clear, None, None)));
        check(
            "state=blocked:app=claude-code:kind=permission:msg=YXBwcm92ZSBXcml0ZTogL2EvYi50eHQ=",
            Some((
                Status::Blocked(Blocked::Permission),
                Some("claude-code"),
                Some("approve Write: /a/b.txt"),
            )),
        );
        check("state=blocked:kind=question", Some((Status::Blocked(Blocked::Question), None, None)));
        check("state=blocked", Some((Status::Blocked(Blocked::Other), None, None)));
        check("state=blocked:kind=news", Some((Status::Blocked(Blocked::Other), None, None)));
        check("state=working:msg=***", Some((Status::Working, None, None)));
        check("state=working:msg=YQpiG2M", Some((Status::Working, None, Some("a b c"))));
        check("state=dancing", None);
        check("states=idle", None);
        check("?;1", None);
        check("", None);
        assert_eq!(Report::parse(b"state=idle:app=\xff"), None);
    }

    #[test]
    fn names_can_be_read_back() {
        let all = [Status::Idle, Status::Working, Status::Done, Status::Error, Status::Clear];
        let blocked = [Blocked::Permission, Blocked::Question, Blocked::Other].map(Status::Blocked);
        for status in all.into_iter().chain(blocked) {
            let name = status.window_name(12);
            assert_eq!(Status::from_window_name(&name), Some(status), "{name}");
            assert_eq!(Status::from_window_name(&name.replace(':', "_")), Some(status), "{name}");
        }
        assert_eq!(Status::Blocked(Blocked::Permission).window_name(7), "cm-status:blocked:permission#7");
        for other in [
            "",
            "main",
            "cm-dead",
            "cm-status",
            "cm-status:",
            "cm-status:working",
            "cm-status:working#",
            "cm-status:working#1x",
            "cm-status:working:permission#1",
            "cm-status:dancing#1",
            "xcm-status:idle#1",
        ] {
            assert_eq!(Status::from_window_name(other), None, "{other}");
        }
    }
}

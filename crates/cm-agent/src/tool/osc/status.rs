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

    /// Reads a window's name that tells a status. `None`: the window is called something else.
    pub fn from_window_name(name: &str) -> Option<Self> {
        Told::from_window_name(name).map(|told| told.status)
    }

    fn letter(self) -> char {
        match self {
            Self::Idle => 'i',
            Self::Working => 'w',
            Self::Done => 'd',
            Self::Error => 'e',
            Self::Clear => 'c',
            Self::Blocked(Blocked::Permission) => 'p',
            Self::Blocked(Blocked::Question) => 'q',
            Self::Blocked(Blocked::Other) => 'o',
        }
    }

    fn from_letter(letter: char) -> Option<Self> {
        let blocked = [Blocked::Permission, Blocked::Question, Blocked::Other].map(Self::Blocked);
        [Self::Idle, Self::Working, Self::Done, Self::Error, Self::Clear]
            .into_iter()
            .chain(blocked)
            .find(|status| status.letter() == letter)
    }
}

/// What a window's name tells: the newest status, and those before it. tmux tells of two renames in quick
/// succession as if both were the second, so each name carries what may have been missed:
/// `cm-status:done#12-wpwd`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The newest.
    pub status: Status,
    /// How many there have been.
    pub count: u64,
    /// The last ones (at most [`Told::RECENT`]), oldest first; the newest is among them.
    pub recent: Vec<Status>,
}

impl Told {
    /// How many statuses a name carries at most.
    pub const RECENT: usize = 12;

    /// The first.
    pub(super) fn first(status: Status) -> Self {
        Self { status, count: 1, recent: vec![status] }
    }

    /// The next one after this.
    pub(super) fn next(mut self, status: Status) -> Self {
        if self.recent.len() >= Self::RECENT {
            self.recent.remove(0);
        }
        self.recent.push(status);
        Self { status, count: self.count + 1, recent: self.recent }
    }

    /// Those that came after the first `count`, oldest first, as far as they are known.
    pub fn since(&self, count: u64) -> &[Status] {
        let new = usize::try_from(self.count.saturating_sub(count)).unwrap_or(usize::MAX);
        &self.recent[self.recent.len().saturating_sub(new)..]
    }

    /// The window's name.
    pub fn window_name(&self) -> String {
        let recent: String = self.recent.iter().map(|status| status.letter()).collect();
        format!("{NAME}:{}#{}-{recent}", self.status.as_str(), self.count)
    }

    /// Reads such a name. `None`: the window is called something else.
    pub fn from_window_name(name: &str) -> Option<Self> {
        // A tmux that does not want a colon in a name makes it an underscore.
        let rest = name.strip_prefix(NAME)?.strip_prefix([':', '_'])?;
        let (words, rest) = rest.split_once('#')?;
        let (count, recent) = rest.split_once('-')?;
        let status = match words.split_once([':', '_']) {
            Some(("blocked", kind)) => Status::from_words("blocked", Some(kind))?,
            Some(_) => return None,
            None => Status::from_words(words, None)?,
        };
        let recent = recent.chars().map(Status::from_letter).collect::<Option<Vec<_>>>()?;
        let count = count.parse().ok()?;
        (recent.last() == Some(&status)).then_some(Self { status, count, recent })
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
            let told = Told::first(Status::Idle).next(status);
            let name = told.window_name();
            assert_eq!(Told::from_window_name(&name), Some(told.clone()), "{name}");
            assert_eq!(Told::from_window_name(&name.replace(':', "_")), Some(told), "{name}");
            assert_eq!(Status::from_window_name(&name), Some(status));
        }
        let asks = Told::first(Status::Working).next(blocked[0]);
        assert_eq!(asks.window_name(), "cm-status:blocked:permission#2-wp");
        for other in [
            "",
            "main",
            "cm-dead",
            "cm-status",
            "cm-status:",
            "cm-status:working",
            "cm-status:working#",
            "cm-status:working#1",
            "cm-status:working#1-",
            "cm-status:working#1-i",
            "cm-status:working#1-xw",
            "cm-status:working#1x-w",
            "cm-status:working:permission#1-w",
            "cm-status:dancing#1-w",
            "xcm-status:idle#1-i",
        ] {
            assert_eq!(Told::from_window_name(other), None, "{other}");
        }
    }

    #[test]
    fn what_was_missed_is_in_the_next_name() {
        let mut told = Told::first(Status::Idle);
        for status in [Status::Working, Status::Done] {
            told = told.next(status);
        }
        assert_eq!(told.since(0), [Status::Idle, Status::Working, Status::Done]);
        assert_eq!(told.since(1), [Status::Working, Status::Done]);
        assert_eq!(told.since(3), []);
        assert_eq!(told.since(9), []);
        for _ in 0..100 {
            told = told.next(Status::Error);
        }
        assert_eq!((told.count, told.recent.len(), told.since(0).len()), (103, Told::RECENT, Told::RECENT));
        assert!(told.window_name().len() < 60);
    }
}

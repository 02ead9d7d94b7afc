//! PURE. The little of D-Bus that it takes to have a service manager start a unit and to hear what became of that.

/// Where the service manager is, and what it is there.
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
/// The number of our one call.
pub(super) const SERIAL: u32 = 1;
/// The longest message that is taken, in bytes. The manager's are some hundred.
const MOST: usize = 1 << 20;
/// What stands before the fields of every message.
const FIXED: usize = 16;

/// What a unit's property may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value<'a> {
    /// A word.
    Text(&'a str),
    /// Yes or no.
    Flag(bool),
    /// A number, or microseconds.
    Number(u64),
    /// What is run: a program and its arguments, its name the first of them.
    Run(&'a [String]),
}

/// What a manager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Our call was taken: by this the job is known.
    Taken(String),
    /// It was not.
    Refused {
        /// The error's name.
        name: String,
        /// In words.
        why: String,
    },
    /// A job is over.
    Over {
        /// Which.
        job: String,
        /// `done`, or why not.
        result: String,
    },
    /// Nothing for us.
    Other,
}

/// What is not D-Bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is no message of D-Bus")]
pub(super) struct Garbage;

/// The greeting of this user, up to where messages begin.
pub(super) fn greeting(uid: u32) -> Vec<u8> {
    let hex: String = uid.to_string().bytes().map(|digit| format!("{digit:02x}")).collect();
    format!("\0AUTH EXTERNAL {hex}\r\nBEGIN\r\n").into_bytes()
}

/// The call that starts a transient unit with these properties.
pub(super) fn start(unit: &str, properties: &[(&str, Value<'_>)]) -> Vec<u8> {
    let mut body = Writer::default();
    body.text(unit);
    body.text("fail");
    body.array(8, |body| {
        for (name, value) in properties {
            body.align(8);
            body.text(name);
            value.write(body);
        }
    });
    // No units beside it.
    body.array(8, |_| {});
    let mut message = Writer::default();
    // Little-endian, a method call, no flags, the first version.
    message.0.extend([b'l', 1, 0, 1]);
    message.number(u32::try_from(body.0.len()).unwrap_or(u32::MAX));
    message.number(SERIAL);
    message.array(8, |fields| {
        let texts = [(1, "o", PATH), (2, "s", INTERFACE), (3, "s", "StartTransientUnit")];
        for (code, kind, text) in texts {
            fields.align(8);
            fields.0.push(code);
            fields.signature(kind);
            fields.text(text);
        }
        fields.align(8);
        fields.0.push(8);
        fields.signature("g");
        fields.signature("ssa(sv)a(sa(sv))");
    });
    message.align(8);
    message.0.append(&mut body.0);
    message.0
}

impl Value<'_> {
    fn write(&self, to: &mut Writer) {
        match self {
            Self::Text(text) => {
                to.signature("s");
                to.text(text);
            }
            Self::Flag(flag) => {
                to.signature("b");
                to.number(u32::from(*flag));
            }
            Self::Number(number) => {
                to.signature("t");
                to.align(8);
                to.0.extend(number.to_le_bytes());
            }
            Self::Run(argv) => {
                to.signature("a(sasb)");
                to.array(8, |to| {
                    to.text(argv.first().map_or("", String::as_str));
                    to.array(4, |to| argv.iter().for_each(|word| to.text(word)));
                    // That it fails counts.
                    to.number(0);
                });
            }
        }
    }
}

/// Puts values where D-Bus wants them: each at a multiple of its size.
#[derive(Default)]
struct Writer(Vec<u8>);

impl Writer {
    fn align(&mut self, to: usize) {
        self.0.resize(self.0.len().next_multiple_of(to), 0);
    }

    fn number(&mut self, number: u32) {
        self.align(4);
        self.0.extend(number.to_le_bytes());
    }

    fn text(&mut self, text: &str) {
        self.number(u32::try_from(text.len()).unwrap_or(u32::MAX));
        self.0.extend(text.as_bytes());
        self.0.push(0);
    }

    fn signature(&mut self, kinds: &str) {
        self.0.push(u8::try_from(kinds.len()).unwrap_or(u8::MAX));
        self.0.extend(kinds.as_bytes());
        self.0.push(0);
    }

    /// `size`: what its elements are aligned to. The space before the first one does not count as its length.
    fn array(&mut self, size: usize, fill: impl FnOnce(&mut Self)) {
        self.number(0);
        let at = self.0.len() - 4;
        self.align(size);
        let from = self.0.len();
        fill(self);
        let length = u32::try_from(self.0.len() - from).unwrap_or(u32::MAX);
        self.0[at..at + 4].copy_from_slice(&length.to_le_bytes());
    }
}

/// The first message of what has arrived, and how long it is; none if it is not whole yet.
///
/// # Errors
/// It is no message, or one that is longer than any of a manager's.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(Heard, usize)>, Garbage> {
    let Some(fixed) = bytes.get(..FIXED) else { return Ok(None) };
    let big = match fixed[0] {
        b'l' => false,
        b'B' => true,
        _ => return Err(Garbage),
    };
    let mut head = Reader { bytes: fixed, at: 4, big };
    let (body, _, fields) = (head.number()?, head.number()?, head.number()?);
    let size = |number: u32| usize::try_from(number).ok().filter(|size| *size <= MOST).ok_or(Garbage);
    let begin = (FIXED + size(fields)?).next_multiple_of(8);
    let end = begin + size(body)?;
    let Some(whole) = bytes.get(..end) else { return Ok(None) };
    let fields = Fields::read(Reader { bytes: &whole[..FIXED + size(fields)?], at: FIXED, big })?;
    let mut body = Reader { bytes: &whole[begin..], at: 0, big };
    let ours = fields.reply_to == Some(SERIAL);
    let heard = match whole[1] {
        2 if ours => Heard::Taken(body.text()?),
        3 if ours => {
            Heard::Refused { name: fields.error.unwrap_or_default(), why: body.text().unwrap_or_default() }
        }
        4 if fields.member.as_deref() == Some("JobRemoved") => {
            body.number()?;
            let job = body.text()?;
            body.text()?;
            Heard::Over { job, result: body.text()? }
        }
        _ => Heard::Other,
    };
    Ok(Some((heard, end)))
}

/// What a message is about.
#[derive(Default)]
struct Fields {
    reply_to: Option<u32>,
    member: Option<String>,
    error: Option<String>,
}

impl Fields {
    fn read(mut from: Reader<'_>) -> Result<Self, Garbage> {
        let mut fields = Self::default();
        while from.at < from.bytes.len() {
            from.align(8);
            let code = from.byte()?;
            match (code, from.signature()?) {
                (5, "u") => fields.reply_to = Some(from.number()?),
                (3, "s") => fields.member = Some(from.text()?),
                (4, "s") => fields.error = Some(from.text()?),
                (_, "s" | "o") => drop(from.text()?),
                (_, "u") => drop(from.number()?),
                (_, "g") => drop(from.signature()?),
                _ => return Err(Garbage),
            }
        }
        Ok(fields)
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    big: bool,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, count: usize) -> Result<&'a [u8], Garbage> {
        let end = self.at.checked_add(count).ok_or(Garbage)?;
        let taken = self.bytes.get(self.at..end).ok_or(Garbage)?;
        self.at = end;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Garbage> {
        self.take(1)?.first().copied().ok_or(Garbage)
    }

    fn number(&mut self) -> Result<u32, Garbage> {
        self.align(4);
        let bytes = self.take(4)?.try_into().map_err(|_| Garbage)?;
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    /// What stands before a final zero.
    fn words(&mut self, length: usize) -> Result<&'a str, Garbage> {
        let text = self.take(length)?;
        match self.byte()? {
            0 => std::str::from_utf8(text).map_err(|_| Garbage),
            _ => Err(Garbage),
        }
    }

    fn text(&mut self) -> Result<String, Garbage> {
        let length = usize::try_from(self.number()?).map_err(|_| Garbage)?;
        self.words(length).map(str::to_owned)
    }

    fn signature(&mut self) -> Result<&'a str, Garbage> {
        let length = usize::from(self.byte()?);
        self.words(length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A message as a manager writes it, in either order of bytes.
    struct Said {
        big: bool,
        bytes: Vec<u8>,
    }

    impl Said {
        fn number(&mut self, number: u32) {
            self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
            self.bytes.extend(if self.big { number.to_be_bytes() } else { number.to_le_bytes() });
        }

        fn text(&mut self, text: &str) {
            self.number(u32::try_from(text.len()).unwrap());
            self.bytes.extend(text.bytes().chain([0]));
        }
    }

    /// Fields: code, kind, and a text or (without one) a number.
    fn said(big: bool, kind: u8, fields: &[(u8, &str, &str)], body: &[&str], id: Option<u32>) -> Vec<u8> {
        let mut inner = Said { big, bytes: Vec::new() };
        id.into_iter().for_each(|id| inner.number(id));
        body.iter().for_each(|text| inner.text(text));
        let mut head = Said { big, bytes: Vec::new() };
        for (code, kind, text) in fields {
            head.bytes.resize(head.bytes.len().next_multiple_of(8), 0);
            head.bytes.extend([*code, u8::try_from(kind.len()).unwrap()]);
            head.bytes.extend(kind.bytes().chain([0]));
            match *kind {
                "u" => head.number(text.parse().unwrap()),
                "g" => {
                    head.bytes.push(u8::try_from(text.len()).unwrap());
                    head.bytes.extend(text.bytes().chain([0]));
                }
                _ => head.text(text),
            }
        }
        let mut whole = Said { big, bytes: vec![if big { b'B' } else { b'l' }, kind, 1, 1] };
        for number in [inner.bytes.len(), 77, head.bytes.len()] {
            whole.number(u32::try_from(number).unwrap());
        }
        whole.bytes.extend(head.bytes);
        whole.bytes.resize(whole.bytes.len().next_multiple_of(8), 0);
        whole.bytes.extend(inner.bytes);
        whole.bytes
    }

    fn ours() -> [(u8, &'static str, &'static str); 2] {
        [(5, "u", "1"), (8, "g", "o")]
    }

    #[test]
    fn what_a_manager_says() {
        let job = "/org/freedesktop/systemd1/job/7";
        let removed = [(1, "o", PATH), (2, "s", INTERFACE), (3, "s", "JobRemoved"), (8, "g", "uoss")];
        let refused = [(4, "s", "org.freedesktop.systemd1.UnitExists"), (5, "u", "1"), (8, "g", "s")];
        for big in [false, true] {
            let check = |bytes: Vec<u8>, expected: Heard| {
                let length = bytes.len();
                // Half a message is none yet, and what follows is another one.
                for part in 0..length {
                    assert_eq!(read(&bytes[..part]), Ok(None), "{part} of {length}");
                }
                let two = [bytes.as_slice(), b"l"].concat();
                assert_eq!(read(&two), Ok(Some((expected, length))), "big: {big}");
            };
            check(said(big, 2, &ours(), &[job], None), Heard::Taken(job.into()));
            let over = Heard::Over { job: job.into(), result: "done".into() };
            check(said(big, 4, &removed, &[job, "a.service", "done"], Some(7)), over);
            let words = Heard::Refused {
                name: "org.freedesktop.systemd1.UnitExists".into(),
                why: "Unit a.service already exists.".into(),
            };
            check(said(big, 3, &refused, &["Unit a.service already exists."], None), words);
            check(said(big, 2, &[(5, "u", "2"), (8, "g", "o")], &[job], None), Heard::Other);
            check(said(big, 4, &[(3, "s", "UnitNew")], &[], None), Heard::Other);
        }
    }

    #[test]
    fn what_no_manager_says_is_an_error() {
        let check = |bytes: &[u8]| assert_eq!(read(bytes), Err(Garbage), "{bytes:?}");
        check(b"HTTP/1.1 400 Bad Request\r\n");
        // Longer than any of them.
        check(&[&[b'l', 2, 0, 1][..], &[255; 4], &[0; 8]].concat());
        // A body that ends in the middle of a text, and a field of no known kind.
        let mut cut = said(false, 2, &ours(), &["/job"], None);
        let length = cut.len();
        cut[length - 9] = 200;
        check(&cut);
        check(&said(false, 2, &[(5, "x", "1")], &[], None));
    }

    #[test]
    fn what_it_is_asked() {
        assert_eq!(greeting(1000), b"\0AUTH EXTERNAL 31303030\r\nBEGIN\r\n");
        let argv = ["/bin/sh".to_owned(), "-c".to_owned(), "true".to_owned()];
        let properties = [
            ("Type", Value::Text("exec")),
            ("SendSIGHUP", Value::Flag(true)),
            ("MemoryMax", Value::Number(1 << 40)),
        ];
        let all = properties.into_iter().chain([("ExecStart", Value::Run(&argv))]).collect::<Vec<_>>();
        let asked = start("a.service", &all);
        assert_eq!(read(&asked), Ok(Some((Heard::Other, asked.len()))));
        let at = |text: &str| {
            let found = asked.windows(text.len()).position(|part| part == text.as_bytes());
            found.unwrap_or_else(|| panic!("{text} is not there"))
        };
        // Every value is where its kind belongs: behind the length of a text, at a multiple of its size.
        let number = |at: usize| u32::from_le_bytes(asked[at..at + 4].try_into().unwrap());
        for text in
            ["a.service", "fail", "Type", "exec", "/bin/sh", "true", PATH, INTERFACE, "StartTransientUnit"]
        {
            let at = at(text);
            assert_eq!((at % 4, number(at - 4)), (0, u32::try_from(text.len()).unwrap()), "{text}");
        }
        let memory = at("MemoryMax") + "MemoryMax".len() + 1;
        let value = (memory + 3).next_multiple_of(8);
        assert_eq!(asked[memory..memory + 3], *b"\x01t\0");
        assert_eq!(asked[value..value + 8], (1u64 << 40).to_le_bytes());
    }
}

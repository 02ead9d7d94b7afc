//! PURE. The little of D-Bus that it takes to have a service manager start, restart and stop units, and say how they are.

/// Where the service manager is, and what it is there.
const PATH: &str = "/org/freedesktop/systemd1";
const INTERFACE: &str = "org.freedesktop.systemd1.Manager";
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
    /// When a timer goes off: so many microseconds from now.
    In(u64),
}

/// A unit's properties, by their names.
pub(super) type Properties<'a> = [(&'a str, Value<'a>)];

/// What a manager is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Call<'a> {
    /// Make and start a unit; `beside`: make this one, too, which the first one starts.
    Start {
        /// Its name.
        unit: &'a str,
        /// What it is.
        properties: &'a Properties<'a>,
        /// Another one: its name, and what it is.
        beside: Option<(&'a str, &'a Properties<'a>)>,
    },
    /// Stop a unit, if it runs, and start it.
    Restart(&'a str),
    /// Stop a unit.
    Stop(&'a str),
    /// Forget that a unit has failed, and how often it was restarted.
    ForgetFailure(&'a str),
    /// Read all unit files again.
    Reload,
    /// What a unit's property is, with the interface it belongs to (`Unit`, `Service`), or the manager's (`Manager`).
    Get(&'a str, &'a str, &'a str),
}

/// What a manager says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Heard {
    /// Our call was taken: by this the job is known, if there is one.
    Taken(String),
    /// What was asked for, as `systemctl show` prints it.
    Is(String),
    /// Our call was refused.
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

impl Call<'_> {
    /// The message, as the `serial`-th of ours.
    pub(super) fn message(&self, serial: u32) -> Vec<u8> {
        let mut body = Writer::default();
        let (path, interface, member, signature) = match self {
            Self::Start { unit, properties, beside } => {
                body.text(unit);
                body.text("fail");
                body.properties(properties);
                body.array(8, |body| {
                    if let Some((unit, properties)) = beside {
                        body.align(8);
                        body.text(unit);
                        body.properties(properties);
                    }
                });
                (PATH.to_owned(), INTERFACE, "StartTransientUnit", "ssa(sv)a(sa(sv))")
            }
            Self::Restart(unit) => {
                body.text(unit);
                body.text("replace");
                (PATH.to_owned(), INTERFACE, "RestartUnit", "ss")
            }
            Self::Stop(unit) => {
                body.text(unit);
                body.text("replace");
                (PATH.to_owned(), INTERFACE, "StopUnit", "ss")
            }
            Self::ForgetFailure(unit) => {
                body.text(unit);
                (PATH.to_owned(), INTERFACE, "ResetFailedUnit", "s")
            }
            Self::Reload => (PATH.to_owned(), INTERFACE, "Reload", ""),
            Self::Get(unit, interface, property) => {
                body.text(&format!("org.freedesktop.systemd1.{interface}"));
                body.text(property);
                let path = if *interface == "Manager" { PATH.to_owned() } else { path_of(unit) };
                (path, "org.freedesktop.DBus.Properties", "Get", "ss")
            }
        };
        let mut message = Writer::default();
        // Little-endian, a method call, no flags, the first version.
        message.0.extend([b'l', 1, 0, 1]);
        message.number(u32::try_from(body.0.len()).unwrap_or(u32::MAX));
        message.number(serial);
        message.array(8, |fields| {
            for (code, kind, text) in [(1, "o", path.as_str()), (2, "s", interface), (3, "s", member)] {
                fields.align(8);
                fields.0.push(code);
                fields.signature(kind);
                fields.text(text);
            }
            if !signature.is_empty() {
                fields.align(8);
                fields.0.push(8);
                fields.signature("g");
                fields.signature(signature);
            }
        });
        message.align(8);
        message.0.append(&mut body.0);
        message.0
    }
}

/// Where a unit is: what is neither a letter nor a digit stands in hex (as does a digit at the beginning).
fn path_of(unit: &str) -> String {
    let mut path = format!("{PATH}/unit/");
    for (at, byte) in unit.bytes().enumerate() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' => path.push(char::from(byte)),
            b'0'..=b'9' if at > 0 => path.push(char::from(byte)),
            other => path += &format!("_{other:02x}"),
        }
    }
    path
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
            Self::In(microseconds) => {
                to.signature("a(st)");
                to.array(8, |to| {
                    to.align(8);
                    to.text("OnActiveSec");
                    to.align(8);
                    to.0.extend(microseconds.to_le_bytes());
                });
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

    fn properties(&mut self, properties: &Properties<'_>) {
        self.array(8, |body| {
            for (name, value) in properties {
                body.align(8);
                body.text(name);
                value.write(body);
            }
        });
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

/// The first message of what has arrived, and how long it is; none if it is not whole yet. `serial`: which call of ours
/// waits for its answer.
///
/// # Errors
/// It is no message, or one that is longer than any of a manager's.
pub(super) fn read(bytes: &[u8], serial: u32) -> Result<Option<(Heard, usize)>, Garbage> {
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
    let ours = fields.reply_to == Some(serial);
    let heard = match whole[1] {
        2 if ours && fields.kinds.as_deref() == Some("v") => Heard::Is(body.value()?),
        2 if ours && fields.kinds.is_none() => Heard::Taken(String::new()),
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
    /// What is in the body.
    kinds: Option<String>,
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
                (8, "g") => fields.kinds = Some(from.signature()?.to_owned()),
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

    /// A property, in systemctl's words. Of a kind that none of ours has: nothing.
    fn value(&mut self) -> Result<String, Garbage> {
        Ok(match self.signature()? {
            "s" | "o" => self.text()?,
            "b" if self.number()? == 0 => "no".to_owned(),
            "b" => "yes".to_owned(),
            "u" => self.number()?.to_string(),
            "i" => self.number()?.cast_signed().to_string(),
            "t" => self.long()?.to_string(),
            "(uo)" => {
                self.align(8);
                self.number()?.to_string()
            }
            "as" => {
                let length = usize::try_from(self.number()?).map_err(|_| Garbage)?;
                let end = self.at.checked_add(length).ok_or(Garbage)?;
                let mut all = Vec::new();
                while self.at < end {
                    all.push(self.text()?);
                }
                all.join(" ")
            }
            _ => String::new(),
        })
    }

    fn long(&mut self) -> Result<u64, Garbage> {
        self.align(8);
        let bytes = self.take(8)?.try_into().map_err(|_| Garbage)?;
        Ok(if self.big { u64::from_be_bytes(bytes) } else { u64::from_le_bytes(bytes) })
    }

    fn signature(&mut self) -> Result<&'a str, Garbage> {
        let length = usize::from(self.byte()?);
        self.words(length)
    }
}

#[cfg(test)]
mod tests;

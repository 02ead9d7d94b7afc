//! Messages as managers write them, and ours as they read them.

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
                assert_eq!(read(&bytes[..part], 1), Ok(None), "{part} of {length}");
            }
            let two = [bytes.as_slice(), b"l"].concat();
            assert_eq!(read(&two, 1), Ok(Some((expected, length))), "big: {big}");
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
fn properties_are_read_as_systemctl_prints_them() {
    let check = |kind: &str, value: &[u8], expected: &str| {
        let body = [&[u8::try_from(kind.len()).unwrap()], kind.as_bytes(), &[0], value].concat();
        let mut bytes = said(false, 2, &[(5, "u", "3"), (8, "g", "v")], &[], None);
        bytes.extend(&body);
        bytes[4..8].copy_from_slice(&u32::try_from(body.len()).unwrap().to_le_bytes());
        let length = bytes.len();
        assert_eq!(read(&bytes, 3), Ok(Some((Heard::Is(expected.into()), length))), "{kind}");
    };
    check("s", b"\0\x06\0\0\0active\0", "active");
    check("b", b"\0\x01\0\0\0", "yes");
    check("b", b"\0\0\0\0\0", "no");
    check("u", b"\0\x2a\0\0\0", "42");
    check("i", b"\0\xff\xff\xff\xff", "-1");
    check("t", b"\0\0\0\0\0\0\x01\0\0\0\0\0\0", "256");
    check("as", b"\x0f\0\0\0\x01\0\0\0a\0\0\0\x02\0\0\0bc\0", "a bc");
    check("as", b"\0\0\0\0", "");
    check("(uo)", b"\0\0\x07\0\0\0\x01\0\0\0/\0", "7");
    check("ay", b"", "");
    assert_eq!(path_of("cm-agent.service"), format!("{PATH}/unit/cm_2dagent_2eservice"));
    assert_eq!(path_of("9a9.timer"), format!("{PATH}/unit/_39a9_2etimer"));
}

#[test]
fn what_no_manager_says_is_an_error() {
    let check = |bytes: &[u8]| assert_eq!(read(bytes, 1), Err(Garbage), "{bytes:?}");
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
    let asked = Call::Start { unit: "a.service", properties: &all, beside: None }.message(1);
    assert_eq!(read(&asked, 1), Ok(Some((Heard::Other, asked.len()))));
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

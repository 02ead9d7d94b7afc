//! The control stream's parser against tables and against any chunking.

use proptest::prelude::*;

use super::*;

fn parse(mode: OutputMode, chunks: &[&[u8]]) -> Vec<Notice> {
    let mut parser = ControlParser::new();
    parser.set_mode(mode);
    let mut notices = Vec::new();
    for chunk in chunks {
        parser.push(chunk, &mut notices).expect("within the limits");
    }
    notices
}

fn check(line: &str, expected: Notice) {
    assert_eq!(parse(OutputMode::Keep, &[line.as_bytes(), b"\n"]), [expected], "{line}");
}

fn out(pane: u32, data: &[u8]) -> Notice {
    Notice::Output { pane: PaneId(pane), bytes: data.len() as u64, data: data.to_vec() }
}

#[test]
fn single_lines() {
    check("%output %0 hello\\015\\012", out(0, b"hello\r\n"));
    check("%output %12 a\\134b \\033[0m", out(12, b"a\\b \x1b[0m"));
    check("%output %0 ", out(0, b""));
    check("%extended-output %0 12 : a : b", out(0, b"a : b"));
    check("%extended-output %3 0 new fields : x", out(3, b"x"));
    check("%pause %4", Notice::Pause(PaneId(4)));
    check("%continue %4", Notice::Continue(PaneId(4)));
    check("%pane-mode-changed %0", Notice::PaneModeChanged(PaneId(0)));
    check("%window-renamed @0 a b", Notice::WindowRenamed { window: "@0".into(), name: "a b".into() });
    check("%session-changed $0 main", Notice::SessionChanged { session: "$0".into(), name: "main".into() });
    check("%client-session-changed /dev/pts/1 $0 main", {
        Notice::ClientSessionChanged { client: "/dev/pts/1".into() }
    });
    check("%client-detached /dev/pts/1", Notice::ClientDetached { client: "/dev/pts/1".into() });
    check("%layout-change @0 a b *", Notice::LayoutChange { window: "@0".into() });
    check("%sessions-changed", Notice::SessionsChanged);
    check("%exit", Notice::Exit { reason: None });
    check("%exit server exited", Notice::Exit { reason: Some("server exited".into()) });
    check("%end 1 2 1", Notice::Stray("%end 1 2 1".into()));
    check("no server running", Notice::Stray("no server running".into()));
    check("", Notice::Stray(String::new()));
    check("%pause nonsense", Notice::Other("%pause nonsense".into()));
    check("%begin 1 x 1", Notice::Other("%begin 1 x 1".into()));
    check("%output", Notice::Other("%output".into()));
    check("%something new", Notice::Other("%something new".into()));
}

#[test]
fn bytes_that_are_not_utf8_come_through() {
    let notices = parse(OutputMode::Keep, &[b"%output %0 \xff\xfe\\000\xc3\n"]);
    assert_eq!(notices, [out(0, b"\xff\xfe\0\xc3")]);
}

#[test]
fn a_body_may_look_like_anything() {
    let body = b"%output %0 x\n%end 7 8 0\n%error 7 9 1\n%begin 7 8 1\n\n%exit\n\xff\n";
    let mut stream = b"%begin 7 8 1\n".to_vec();
    stream.extend_from_slice(body);
    stream.extend_from_slice(b"%end 7 8 1\n%begin 7 9 0\nwrong\n%error 7 9 0\n");
    let expected = [
        Notice::Reply(Reply { number: 8, flags: 1, ok: true, body: body.to_vec() }),
        Notice::Reply(Reply { number: 9, flags: 0, ok: false, body: b"wrong\n".to_vec() }),
    ];
    assert_eq!(parse(OutputMode::Count, &[&stream]), expected);
}

#[test]
fn limits_are_errors() {
    let mut parser = ControlParser::with_limits(20, 30);
    let mut notices = Vec::new();
    assert_eq!(parser.push(&[b'x'; 21], &mut notices), Err(ControlError::LineTooLong));
    let mut parser = ControlParser::with_limits(20, 30);
    parser.push(b"%begin 1 2 3\n0123456789\n0123456789\n", &mut notices).expect("22 bytes");
    assert_eq!(parser.push(b"0123456789\n", &mut notices), Err(ControlError::BodyTooLong));
    assert_eq!(notices, []);
}

#[test]
fn counted_output_has_no_limit_and_is_not_collected() {
    let mut parser = ControlParser::with_limits(64, 64);
    let mut notices = Vec::new();
    parser.push(b"%extended-output %0 5 : ", &mut notices).expect("short");
    for _ in 0..1000 {
        for byte in b"0123456789\\015\\012" {
            parser.push(&[*byte], &mut notices).expect("only counted");
        }
    }
    assert!(matches!(parser.partial, Partial::Counting { .. }));
    parser.push(b"\n", &mut notices).expect("short");
    assert_eq!(notices, [Notice::Output { pane: PaneId(0), bytes: 12_000, data: Vec::new() }]);
}

/// A line of the stream, of any kind.
fn any_line() -> impl Strategy<Value = Vec<u8>> {
    let bytes = || proptest::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        bytes().prop_map(|data| [b"%output %0 ".to_vec(), encode(&data)].concat()),
        bytes().prop_map(|data| [b"%extended-output %1 77 : ".to_vec(), encode(&data)].concat()),
        (0u8..4).prop_map(|n| format!("%begin 1 {n} 1").into_bytes()),
        (0u8..4).prop_map(|n| format!("%end 1 {n} 1").into_bytes()),
        (0u8..4).prop_map(|n| format!("%error 1 {n} 1").into_bytes()),
        Just(b"%pause %0".to_vec()),
        bytes().prop_map(|data| data.into_iter().filter(|&b| b != b'\n').collect()),
    ]
}

proptest! {
    #[test]
    fn decode_undoes_encode(data in proptest::collection::vec(any::<u8>(), 0..300)) {
        let encoded = encode(&data);
        prop_assert_eq!(decoded_len(&encoded), data.len() as u64);
        prop_assert_eq!(decode(&encoded), data);
    }

    #[test]
    fn any_chunking_gives_the_same_notices(
        lines in proptest::collection::vec(any_line(), 0..40),
        cuts in proptest::collection::vec(1usize..50, 1..40),
        keep in any::<bool>(),
    ) {
        let mode = if keep { OutputMode::Keep } else { OutputMode::Count };
        let mut stream = lines.join(&b'\n');
        stream.push(b'\n');
        let mut chunks = Vec::new();
        let mut rest = stream.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() { break; }
            let (chunk, tail) = rest.split_at((*cut).min(rest.len()));
            chunks.push(chunk);
            rest = tail;
        }
        prop_assert_eq!(parse(mode, &chunks), parse(mode, &[&stream]));
    }
}

//! The scanner: tables of sequences, and that everything else passes byte for byte, however it is cut.

use super::*;
use proptest::prelude::*;

/// What comes of output given in these pieces at this distance: for the terminal, and for the tool.
fn scan<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, every: Duration) -> (Vec<u8>, Vec<u8>) {
    let (mut scanner, mut screen, mut tool) = (Scanner::default(), Vec::new(), Vec::new());
    let mut now = Duration::ZERO;
    for piece in pieces {
        scanner.feed(now, piece, &mut screen, &mut tool);
        now += every;
    }
    scanner.finish(&mut screen);
    (screen, tool)
}

#[track_caller]
fn check(output: &[u8], screen: &[u8], tool: &[u8]) {
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    for size in [1, 2, 3, 7, output.len().max(1)] {
        let (s, t) = scan(output.chunks(size), Duration::ZERO);
        assert_eq!(shown(&s), shown(screen), "{} in pieces of {size}", shown(output));
        assert_eq!(shown(&t), shown(tool), "{} in pieces of {size}", shown(output));
    }
}

#[track_caller]
fn passes(output: &[u8]) {
    check(output, output, b"");
}

#[test]
fn a_report_becomes_a_name_in_its_place() {
    let name = b"ab\x1bkcm-status:working#1-w\x1b\\cd";
    for end in ["\x07", "\x1b\\", "\u{9c}"] {
        check(format!("ab\x1b]7501;state=working:app=x{end}cd").as_bytes(), name, b"");
    }
    check(b"ab\x1b]7501;state=working\x9ccd", name, b"");
    check(
        b"\x1b]7501;state=blocked:kind=permission\x07\x1b]7501;state=idle\x07",
        b"\x1bkcm-status:blocked:permission#1-p\x1b\\\x1bkcm-status:idle#2-pi\x1b\\",
        b"",
    );
    // In a character of three bytes the one-byte terminator ends nothing.
    check("\x1b]7501;state=done:app=\u{271c}x\x07".as_bytes(), b"\x1bkcm-status:done#1-d\x1b\\", b"");
    // Behind half a character.
    check(b"\xe2\x9c\x1b]7501;state=done\x07", b"\xe2\x9c\x1bkcm-status:done#1-d\x1b\\", b"");
    // After another sequence that was left unfinished.
    check(b"\x1b]0;t\x1b]7501;state=done\x07", b"\x1b]0;t\x1bkcm-status:done#1-d\x1b\\", b"");
    check(b"\x1b[1\x1b]7501;state=done\x07", b"\x1b[1\x1bkcm-status:done#1-d\x1b\\", b"");
    check(b"\x1b\x1b]7501;state=done\x07", b"\x1b\x1bkcm-status:done#1-d\x1b\\", b"");
    check(b"\x1b_x\x1b\\\x1b]7501;state=done\x07", b"\x1b_x\x1b\\\x1bkcm-status:done#1-d\x1b\\", b"");
}

#[test]
fn the_question_is_answered() {
    check(b"a\x1b]7501;?\x1b\\b", b"ab", b"\x1b]7501;?;1\x1b\\");
    check(b"a\x1b]7501;?\x07b", b"ab", b"\x1b]7501;?;1\x1b\\");
    passes(b"\x1b]7501;?;1\x1b\\");
}

#[test]
fn a_tools_own_names_are_dropped() {
    check(b"a\x1bkvim\x1b\\b", b"ab", b"");
    check(b"a\x1bkcm-dead\x07\x1b\\b", b"ab", b"");
    check(b"a\x1bkcm-status:idle#9\x1b[mb", b"a\x1b[mb", b"");
    check(b"a\x1bkx\x18b", b"ab", b"");
    check(b"\x1bkx\x1b]7501;state=done\x07", b"\x1bkcm-status:done#1-d\x1b\\", b"");
    // tmux executes what stands between the escape and its letter, and goes on waiting for the letter.
    check(b"\x1b\nkx\x1b\\b", b"\x1b\n\x18b", b"");
    check(b"\x1b\xffkx\x1b\\b", b"\x1b\xff\x18b", b"");
    // Letters in other places mean nothing.
    passes(b"k\x1b[k\x1b(k\x1bOk\x1b\x18k\x1b\x1ak");
}

#[test]
fn everything_else_passes() {
    passes(b"");
    passes(b"plain \xf0\x9f\x98\x80 text\r\n");
    passes(b"\x1b");
    passes(b"\x1b]");
    passes(b"\x1b]7501");
    passes(b"\x1b]7501;state=idle");
    passes(b"\x1b]7501;state=idle\x1b");
    passes(b"\x1b]7501;state=idle\x1b[m");
    passes(b"\x1b]7501;state=idle\x18x");
    passes(b"\x1b]7501;state=idle\nx\x07");
    passes(b"\x1b]7501;state=dancing\x07");
    passes(b"\x1b]7501;state=dancing\x9c");
    passes("\x1b]7501;state=dancing\u{9c}".as_bytes());
    passes(b"\x1b]7501;\x1b\\");
    passes(b"\x1b]75011;state=idle\x07");
    passes(b"\x1b]0;7501;state=idle\x07");
    passes(b"\x1b]8;;http://x\x1b\\y\x1b]8;;\x1b\\");
    passes(b"\x1b]\x1b]7\x1b\x1b\x1b[31m");
    passes(b"\x1b ]7501;state=idle\x07");
    // In a device control string an escape is data, so this is no report.
    passes(b"\x1bPtmux;\x1b\x1b]7501;state=idle\x07\x1b\\");
    passes(b"\x1bP1;2$q\x1bkx\x1b\x1b\\\x1bkx\x1b\\");
    passes(b"\x1bP+q\x18\x1bkx\x1b\\");
    // One that tmux ignores ends with any escape.
    check(b"\x1bP:q\x1bkx\x1b\\a", b"\x1bP:qa", b"");
    check(b"\x1bP1\x1bkx\x1b\\a", b"\x1bP1a", b"");
}

#[test]
fn what_never_ends_is_passed_on() {
    let endless = [b"\x1b]7501;msg=".as_slice(), &vec![b'x'; 100_000]].concat();
    passes(&endless);
    let (mut scanner, mut screen) = (Scanner::default(), Vec::new());
    scanner.feed(Duration::ZERO, &endless, &mut screen, &mut Vec::new());
    assert_eq!(screen, endless, "and does not wait for the end");
    let after = [endless.as_slice(), b"\x1b\\\x1b]7501;state=done\x07"].concat();
    check(&after, &[endless.as_slice(), b"\x1b\\\x1bkcm-status:done#1-d\x1b\\"].concat(), b"");
}

#[test]
fn a_string_that_does_not_end_is_given_up_when_tmux_gives_it_up() {
    #[track_caller]
    fn check(pieces: [&[u8]; 2], seconds: u64, expected: &[u8]) {
        let (screen, _) = scan(pieces, Duration::from_secs(seconds));
        assert_eq!(screen.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    check([b"\x1bkna", b"me\x1b\\x"], 4, b"x");
    check([b"\x1bkna", b"me"], 5, b"me");
    check([b"\x1bPq", b"\x1bkx\x1b\\"], 4, b"\x1bPq\x1bkx\x1b\\");
    check([b"\x1bPq", b"\x1bkx\x1b\\"], 5, b"\x1bPq");
    // A report that was cut by a pause is one all the same.
    check([b"\x1b]7501;state=", b"done\x07"], 500, b"\x1bkcm-status:done#1-d\x1b\\");
}

/// Pieces of output, many of them beginnings and ends of sequences.
fn soup() -> impl Strategy<Value = Vec<u8>> {
    let words: &[&[u8]] = &[
        b"\x1b",
        b"]",
        b"7501;",
        b"\x1b]7501;",
        b"state=idle",
        b"?",
        b"\x07",
        b"\x1b\\",
        b"k",
        b"\x1bk",
        b"P",
        b"\x1bP",
        b"q",
        b":",
        b";",
        b"\x18",
        b"\x1a",
        b"\x9c",
        b"\xc2",
        b"\xe2",
        b"\n",
        b"\x7f",
        b"abc",
        b"[1m",
    ];
    let piece = prop_oneof![
        4 => proptest::sample::select(words).prop_map(<[u8]>::to_vec),
        1 => proptest::collection::vec(any::<u8>(), 0..8),
    ];
    proptest::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// Where to cut: the lengths of pieces.
fn cut<'a>(mut bytes: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut pieces = Vec::new();
    for &length in lengths {
        let (piece, rest) = bytes.split_at(length.min(bytes.len()));
        pieces.push(piece);
        bytes = rest;
    }
    pieces.push(bytes);
    pieces
}

/// Sequences that a tool may draw with, whole, none of them ours and none a window's name.
fn drawing() -> impl Strategy<Value = Vec<u8>> {
    let text = proptest::collection::vec(any::<u8>().prop_filter("an escape", |&b| b != ESC), 0..30);
    let payload = proptest::collection::vec(0x20_u8..0x7f, 0..30).prop_map(|p| p.concat_with(b"0;"));
    let wrapped = |intro: &'static [u8], end: &'static [u8]| {
        payload.clone().prop_map(move |p| [intro, p.as_slice(), end].concat())
    };
    prop_oneof![
        text,
        wrapped(b"\x1b]", b"\x07"),
        wrapped(b"\x1b]", b"\x1b\\"),
        wrapped(b"\x1b_", b"\x1b\\"),
        wrapped(b"\x1b[", b"m"),
        payload.clone().prop_map(|p| [b"\x1bPq", p.as_slice(), b"\x1b\x1bk\x1b\\"].concat()),
    ]
}

trait ConcatWith {
    fn concat_with(self, head: &[u8]) -> Vec<u8>;
}

impl ConcatWith for Vec<u8> {
    fn concat_with(self, head: &[u8]) -> Vec<u8> {
        [head, self.as_slice()].concat()
    }
}

proptest! {
    #[test]
    fn cutting_changes_nothing(bytes in soup(), lengths in proptest::collection::vec(0_usize..9, 0..60)) {
        let whole = scan([bytes.as_slice()], Duration::ZERO);
        prop_assert_eq!(scan(cut(&bytes, &lengths), Duration::ZERO), whole);
    }

    #[test]
    fn drawings_pass_and_reports_among_them_become_names(
        parts in proptest::collection::vec((drawing(), any::<bool>()), 0..20),
        lengths in proptest::collection::vec(0_usize..50, 0..60),
    ) {
        let (mut output, mut expected, mut count) = (Vec::new(), Vec::new(), 0);
        for (drawn, report) in parts {
            output.extend_from_slice(&drawn);
            expected.extend_from_slice(&drawn);
            if report {
                count += 1;
                output.extend_from_slice(b"\x1b]7501;state=done\x1b\\");
                expected.extend_from_slice(format!("\x1bkcm-status:done#{count}-{}\x1b\\", "d".repeat(count.min(Told::RECENT))).as_bytes());
            }
        }
        let (screen, tool) = scan(cut(&output, &lengths), Duration::ZERO);
        prop_assert_eq!(screen.escape_ascii().to_string(), expected.escape_ascii().to_string());
        prop_assert!(tool.is_empty());
    }

    #[test]
    fn what_has_nothing_of_ours_passes_byte_for_byte(bytes in soup()) {
        let has = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
        // A name can also follow an escape at some distance.
        prop_assume!(!has(b"k") && !has(b"state=idle") && !has(b"7501;?"));
        prop_assert_eq!(scan([bytes.as_slice()], Duration::ZERO).0, bytes);
    }

    #[test]
    fn no_name_but_ours_gets_through(bytes in soup()) {
        let (screen, _) = scan([bytes.as_slice()], Duration::ZERO);
        // What the terminal is given, read by a second scanner, holds exactly our names.
        let names = screen.windows(2).filter(|w| *w == b"\x1bk").count();
        let ours = screen.windows(12).filter(|w| *w == b"\x1bkcm-status:").count();
        let in_device = bytes.windows(2).any(|w| w == b"\x1bP") || bytes.contains(&b'P');
        prop_assert!(in_device || names == ours);
    }
}

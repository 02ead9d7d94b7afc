//! Output in pieces.

use super::*;

#[test]
fn lines_come_whole_however_they_arrive() {
    let check = |pieces: &[&str], expected: &[&str]| {
        let mut lines = Lines::default();
        let mut seen = Vec::new();
        let mut on = |event| {
            if let Event::Line(line) = event {
                seen.push(line);
            }
        };
        for piece in pieces {
            lines.add(piece.as_bytes(), &mut on);
        }
        lines.end(&mut on);
        assert_eq!(seen, expected, "{pieces:?}");
    };
    check(&["a\nb\n"], &["a", "b"]);
    check(&["a", "b\nc"], &["ab", "c"]);
    check(&["\n\n"], &["", ""]);
    check(&[], &[]);
    let long = "x".repeat(limits::LINE);
    check(&[&long, "y\n"], &[&long, "y"]);
    check(&[&long, "\n"], &[&long, ""]);
}

#[test]
fn output_is_kept_up_to_the_limit() {
    let mut kept = Kept::new(5);
    kept.keep(b"abc");
    assert!(!kept.over);
    kept.keep(b"de");
    assert!(!kept.over);
    kept.keep(b"f");
    assert!(kept.over);
    assert_eq!(kept.kept, b"abcde");
}

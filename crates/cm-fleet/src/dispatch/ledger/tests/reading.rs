//! Whatever is left of a ledger, a prefix of its events is read; what is damaged is left alone.

use proptest::prelude::*;

use super::super::{EVENTS, Ledger, Opened};
use super::{RunEvent, directory, event, events, lines, now, said};

fn open(dir: &std::path::Path) -> Opened<RunEvent> {
    Ledger::open(dir, now()).unwrap_or_else(|e| panic!("{e}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut anywhere, with anything behind the cut that has no line break.
    #[test]
    fn any_prefix_and_any_torn_tail(
        count in 0_usize..8,
        cut in 0.0_f64..1.0,
        tail in proptest::collection::vec(any::<u8>().prop_filter("no line break", |b| *b != b'\n'), 0..40),
    ) {
        let all = events(count);
        let whole = lines(&all);
        let at = (whole.len() as f64 * cut) as usize;
        let mut left = whole[..at].to_vec();
        left.extend(&tail);
        let good = left.iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        let expected = left[..good].iter().filter(|b| **b == b'\n').count();
        let dir = directory();
        let path = dir.path().join(EVENTS);
        std::fs::write(&path, &left).expect("written");
        let opened = open(dir.path());
        prop_assert_eq!(&opened.events[..], &all[..expected]);
        prop_assert_eq!(opened.torn.map_or(0, |torn| torn.bytes), (left.len() - good) as u64);
        opened.ledger.append(&event(99)).expect("taken");
        drop(opened.ledger);
        // What is appended stands behind the last whole line.
        let mut then = all[..expected].to_vec();
        then.push(event(99));
        prop_assert_eq!(std::fs::read(&path).expect("read"), lines(&then));
        let again = open(dir.path());
        prop_assert_eq!(again.events, then);
        prop_assert!(again.torn.is_none());
    }
}

#[test]
fn a_damaged_line_is_named_and_left_alone() {
    let dir = directory();
    let path = dir.path().join(EVENTS);
    let check = |damage: &dyn Fn(&mut Vec<u8>), expected: &str| {
        let mut bytes = lines(&events(3));
        damage(&mut bytes);
        bytes.extend(b"{\"at\":1");
        std::fs::write(&path, &bytes).expect("written");
        let error = Ledger::open::<RunEvent>(dir.path(), now()).expect_err("damaged");
        let said = said(&error, dir.path());
        assert!(said.contains(expected), "{said}");
        assert_eq!(std::fs::read(&path).expect("read"), bytes, "nothing is cut off");
    };
    check(&|bytes| bytes[2] = b'!', "line 1 of DIR/events.jsonl cannot be read: ");
    check(&|bytes| bytes.extend(b"\n"), "line 4 of DIR/events.jsonl cannot be read: ");
    check(&|bytes| bytes.extend(b"{\"at\":1.0,\"type\":\"of_tomorrow\"}\n"), "unknown variant `of_tomorrow`");
    check(&|bytes| bytes.extend(b"\0\0\0\n"), "another version wrote it, or it is damaged");
}

/// `list` tells the age of a run by the beginning of its first line.
#[test]
fn every_line_begins_with_its_time() {
    for event in events(3) {
        let line = serde_json::to_string(&event).expect("JSON");
        assert!(line.starts_with(&format!("{{\"at\":{:?},", event.at)), "{line}");
    }
}

#[test]
fn a_ledger_is_begun_once() {
    let dir = directory();
    let ledger = Ledger::create(dir.path(), now()).expect("made");
    let error = Ledger::open::<RunEvent>(dir.path(), now()).expect_err("held");
    let pid = std::process::id();
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let told = said(&error, dir.path());
    assert!(
        told.starts_with(&format!("error: the run in DIR is kept by process {pid} on {host}, for ")),
        "{told}"
    );
    drop(ledger);
    let error = Ledger::create(dir.path(), now()).expect_err("there");
    assert_eq!(said(&error, dir.path()), "error: DIR/events.jsonl is there already\n");
    let opened = open(dir.path());
    assert!(opened.events.is_empty() && opened.torn.is_none());
    let error = Ledger::create(&dir.path().join("none"), now()).expect_err("not there");
    assert_eq!(said(&error, dir.path()), "error: the run in DIR/none is gone\n");
}

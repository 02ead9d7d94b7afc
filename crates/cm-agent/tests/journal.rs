//! The journal against real disks: torn, damaged, full, killed in the middle of a write.

mod support;

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use cm_agent::journal::{Journal, JournalError, JournalLimits, Opened, Record};
use proptest::prelude::*;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "type")]
enum Rec {
    Event { seq: u64, text: String },
    Note { text: String },
    Whole { text: String },
}

impl Record for Rec {
    fn seq(&self) -> Option<u64> {
        match self {
            Self::Event { seq, .. } => Some(*seq),
            _ => None,
        }
    }
}

const BOOT: &str = "boot-a";
const LIMITS: JournalLimits = JournalLimits { segment_bytes: 4 << 10, total_bytes: 16 << 10 };

fn event(seq: u64) -> Rec {
    Rec::Event { seq, text: format!("event {seq}") }
}

fn whole(text: &str) -> Rec {
    Rec::Whole { text: text.into() }
}

fn open(dir: &Path, boot: &str) -> Opened<Rec> {
    Journal::open(dir, LIMITS, boot).expect("opens")
}

fn open_clean(dir: &Path) -> Opened<Rec> {
    let opened = open(dir, BOOT);
    assert_eq!(opened.problems, Vec::<String>::new());
    opened
}

/// Appends `count` events and returns their numbers.
fn write(journal: &mut Journal, count: usize) -> Vec<u64> {
    (0..count)
        .map(|_| {
            let seq = journal.next_seq().expect("a number");
            journal.append(&event(seq)).expect("appended");
            seq
        })
        .collect()
}

fn seqs(records: &[Rec]) -> Vec<u64> {
    records.iter().filter_map(Record::seq).collect()
}

fn all_since(journal: &Journal, after: u64, max: usize) -> (Vec<u64>, bool) {
    let (mut at, mut found, mut gap) = (after, Vec::new(), false);
    loop {
        let page = journal.reader().read_since::<Rec>(at, max).expect("reads");
        assert!(page.records.len() <= max);
        found.extend(seqs(&page.records));
        gap |= page.gap;
        match (page.more, found.last()) {
            (true, Some(last)) => at = *last,
            _ => return (found, gap),
        }
    }
}

fn files(dir: &Path, has: &str) -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .expect("listed")
        .map(|entry| entry.expect("entry").path())
        .filter(|path| path.to_string_lossy().contains(has))
        .collect();
    found.sort();
    found
}

fn segments(dir: &Path) -> Vec<PathBuf> {
    files(dir, ".jsonl")
        .into_iter()
        .filter(|path| path.extension().is_some_and(|ext| ext == "jsonl"))
        .collect()
}

#[test]
fn what_was_appended_is_there_after_a_restart() {
    let dir = tempfile::tempdir().expect("dir");
    let path = dir.path().join("journal");
    let mut opened = open_clean(&path);
    assert_eq!((opened.head, opened.tail.len(), &opened.checkpoint), (0, 0, &None));
    assert_eq!(write(&mut opened.journal, 3), [1, 2, 3]);
    opened.journal.append(&Rec::Note { text: "no number\nbut a newline".into() }).expect("appended");
    drop(opened);

    let mut opened = open_clean(&path);
    assert_eq!((opened.head, seqs(&opened.tail)), (3, vec![1, 2, 3]));
    assert_eq!(opened.tail.len(), 4);
    assert_eq!(write(&mut opened.journal, 1), [4]);

    let mode = |path: &Path| fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!(mode(&path), 0o700);
    assert!(segments(&path).iter().all(|segment| mode(segment) == 0o600));
}

#[test]
fn a_rotation_begins_with_the_whole_state_and_bounds_the_rest() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    let mut last = 0;
    for round in 0..30 {
        while !opened.journal.should_rotate() {
            last = write(&mut opened.journal, 1)[0];
        }
        opened.journal.rotate(&whole(&format!("round {round}"))).expect("rotated");
        assert!(!opened.journal.should_rotate());
    }
    let tail = write(&mut opened.journal, 2);
    let total: u64 = segments(dir.path()).iter().map(|path| fs::metadata(path).expect("there").len()).sum();
    assert!(total <= LIMITS.total_bytes + LIMITS.segment_bytes, "{total}");
    let (kept, gap) = all_since(&opened.journal, 0, 7);
    assert!(gap, "the first events are gone");
    assert_eq!(kept.last(), tail.last());
    assert!(kept.windows(2).all(|two| two[0] + 1 == two[1]), "what is kept has no hole");
    let (rest, gap) = all_since(&opened.journal, kept[0] - 1, 100);
    assert_eq!((rest, gap), (kept.clone(), false), "what is kept is enough for who has seen up to its start");
    assert_eq!(all_since(&opened.journal, last, 100), (tail.clone(), false));
    drop(opened);

    let opened = open_clean(dir.path());
    assert_eq!(opened.checkpoint, Some(whole("round 29")));
    assert_eq!(seqs(&opened.tail), tail);
    assert_eq!(all_since(&opened.journal, kept[0] - 1, 100), (kept, false));
}

#[test]
fn two_rotations_without_an_event_between_them() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    for text in ["one", "two", "three"] {
        opened.journal.rotate(&whole(text)).expect("rotated");
    }
    let seq = write(&mut opened.journal, 1);
    assert_eq!(all_since(&opened.journal, 0, 9), (seq.clone(), false), "numbers left out are no gap");
    drop(opened);
    let opened = open_clean(dir.path());
    assert_eq!((opened.checkpoint, seqs(&opened.tail)), (Some(whole("three")), seq));
}

#[test]
fn a_torn_last_line_is_cut_off_and_kept_aside() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    write(&mut opened.journal, 2);
    drop(opened);
    let segment = segments(dir.path())[0].clone();
    let torn = br#"{"type":"event","seq":3,"te"#;
    fs::OpenOptions::new().append(true).open(&segment).expect("open").write_all(torn).expect("written");

    let mut opened = open_clean(dir.path());
    assert_eq!(opened.head, 2);
    assert_eq!(fs::read(&files(dir.path(), ".torn")[0]).expect("kept"), [torn.as_slice(), b"\n"].concat());
    write(&mut opened.journal, 1);
    drop(opened);
    assert_eq!(seqs(&open_clean(dir.path()).tail), [1, 2, 3]);
}

#[test]
fn a_damaged_line_sets_the_segment_aside_and_loses_nothing_else() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    opened.journal.rotate(&whole("start")).expect("rotated");
    let before = write(&mut opened.journal, 3);
    drop(opened);
    let segment = segments(dir.path()).pop().expect("one");
    let text = fs::read_to_string(&segment).expect("read");
    let damaged = text.replace(&format!("event {}", before[1]), "\u{0}");
    fs::write(&segment, &damaged).expect("written");

    let mut opened = open(dir.path(), BOOT);
    assert_eq!(opened.problems.len(), 1, "{:?}", opened.problems);
    let aside = files(dir.path(), "unreadable-");
    assert!(opened.problems[0].contains(&aside[0].display().to_string()), "{}", opened.problems[0]);
    assert_eq!(fs::read_to_string(&aside[0]).expect("kept"), damaged, "as it was");
    assert_eq!(opened.checkpoint, Some(whole("start")));
    assert_eq!(seqs(&opened.tail), [before[0], before[2]]);
    let next = write(&mut opened.journal, 1);
    assert!(next[0] > before[2] + 10_000, "a ceiling may have been lost: {next:?}");
    assert_eq!(all_since(&opened.journal, before[0], 9), (vec![before[2], next[0]], true));
    assert_eq!(all_since(&opened.journal, opened.head, 9), (next.clone(), false));
    drop(opened);

    let opened = open_clean(dir.path());
    assert_eq!(opened.checkpoint, Some(whole("start")));
    assert_eq!(seqs(&opened.tail), [before[0], before[2], next[0]]);
    assert_eq!(files(dir.path(), "unreadable-").len(), 1);
}

#[test]
fn an_unreadable_newest_segment_falls_back_to_the_one_before() {
    for damage in ["garbage", "directory", "empty"] {
        let dir = tempfile::tempdir().expect("dir");
        let mut opened = open_clean(dir.path());
        write(&mut opened.journal, 2);
        opened.journal.rotate(&whole("one")).expect("rotated");
        let kept = write(&mut opened.journal, 2);
        opened.journal.rotate(&whole("two")).expect("rotated");
        let lost = write(&mut opened.journal, 2);
        drop(opened);
        let newest = segments(dir.path()).pop().expect("three");
        fs::remove_file(&newest).expect("removed");
        match damage {
            "garbage" => fs::write(&newest, [b'\xff', b'\n'].repeat(99)).expect("written"),
            "empty" => fs::write(&newest, "").expect("written"),
            _ => fs::create_dir(&newest).expect("made"),
        }
        let mut opened = open(dir.path(), BOOT);
        assert_eq!(opened.problems.len(), 1, "{damage}: {:?}", opened.problems);
        assert_eq!(
            (opened.checkpoint.clone(), seqs(&opened.tail)),
            (Some(whole("one")), kept.clone()),
            "{damage}"
        );
        let next = write(&mut opened.journal, 1)[0];
        assert!(next > lost[1], "{damage}");
        assert_eq!(all_since(&opened.journal, kept[1], 9), (vec![next], true), "{damage}");
        drop(opened);
        assert_eq!(seqs(&open_clean(dir.path()).tail), [kept, vec![next]].concat(), "{damage}");
    }
}

#[test]
fn numbers_must_come_from_the_journal_and_rise() {
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = open_clean(dir.path()).journal;
    let refused = |result| matches!(result, Err(JournalError::Order { .. }));
    assert!(refused(journal.append(&event(1))), "never handed out");
    let (one, two) = (journal.next_seq().expect("one"), journal.next_seq().expect("two"));
    journal.append_all(&[event(one), event(two)]).expect("appended");
    assert!(refused(journal.append(&event(two))), "twice");
    assert_eq!(journal.head(), two);
}

#[test]
fn after_a_power_cut_no_number_comes_again() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    let synced = write(&mut opened.journal, 3);
    let segment = segments(dir.path())[0].clone();
    let on_disk = fs::read(&segment).expect("read");
    let seen = write(&mut opened.journal, 9);
    drop(opened);
    fs::write(&segment, on_disk).expect("the rest never reached the disk");

    let mut opened = open(dir.path(), "boot-b");
    assert_eq!(opened.head, synced[2]);
    let next = write(&mut opened.journal, 1);
    assert!(next[0] > seen[8]);
    assert_eq!(
        all_since(&opened.journal, synced[2], 9),
        (next.clone(), false),
        "who saw no more misses nothing"
    );
    let (_, gap) = all_since(&opened.journal, seen[4], 9);
    assert!(gap, "who saw what is forgotten needs a snapshot");
    let (_, gap) = all_since(&opened.journal, next[0] + 5, 9);
    assert!(gap, "and so does who saw what never was");
    drop(opened);
    let (_, gap) = all_since(&open(dir.path(), "boot-b").journal, seen[4], 9);
    assert!(gap, "also after a restart");
}

#[test]
fn blocks_are_reserved_ahead() {
    let dir = tempfile::tempdir().expect("dir");
    let mut opened = open_clean(dir.path());
    let mut last = 0;
    for _ in 0..25_000 {
        let seq = opened.journal.next_seq().expect("a number");
        assert_eq!(seq, last + 1);
        last = seq;
    }
    drop(opened);
    assert_eq!(write(&mut open_clean(dir.path()).journal, 1), [1], "none of them was used in this boot");
    let next = write(&mut open(dir.path(), "boot-b").journal, 1);
    assert!(next[0] > last, "{next:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_waiters_share_a_sync_and_all_get_an_answer() {
    let dir = tempfile::tempdir().expect("dir");
    let mut journal = open_clean(dir.path()).journal;
    let mut waiting = Vec::new();
    for round in 0..200 {
        write(&mut journal, 1);
        let syncer = journal.syncer();
        waiting.push(tokio::spawn(async move { syncer.sync().await }));
        if round % 50 == 0 {
            journal.rotate(&whole("in between")).expect("rotated");
        }
    }
    for waiter in waiting {
        let answer = tokio::time::timeout(Duration::from_secs(20), waiter).await.expect("in time");
        answer.expect("no panic").expect("synced");
    }
    let syncer = journal.syncer();
    write(&mut journal, 1);
    drop(journal);
    assert!(syncer.sync().await.is_ok(), "dropping the journal syncs what is left");
}

#[test]
fn readers_follow_beside_the_writer() {
    let dir = tempfile::tempdir().expect("dir");
    let limits = JournalLimits { segment_bytes: 64 << 10, total_bytes: 64 << 20 };
    let mut journal = Journal::open::<Rec>(dir.path(), limits, BOOT).expect("opens").journal;
    let reader = journal.reader();
    let follower = std::thread::spawn(move || {
        let (mut at, mut pages) = (0, 0_u32);
        while at < 20_000 {
            let page = reader.read_since::<Rec>(at, 300).expect("reads");
            assert!(!page.gap);
            for seq in seqs(&page.records) {
                assert_eq!(seq, at + 1);
                at = seq;
            }
            pages += 1;
            if !page.more {
                std::thread::yield_now();
            }
        }
        pages
    });
    for _ in 0..20_000 {
        write(&mut journal, 1);
        if journal.should_rotate() {
            journal.rotate(&whole("state")).expect("rotated");
        }
    }
    assert!(follower.join().expect("read everything, in order, once") > 60);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn any_truncation_recovers_a_prefix(count in 0_usize..12, checkpoint in any::<bool>(), cut in 0_f64..=1.0, again in any::<bool>()) {
        let dir = tempfile::tempdir().expect("dir");
        let mut opened = open_clean(dir.path());
        if checkpoint {
            opened.journal.rotate(&whole("state")).expect("rotated");
        }
        let written = write(&mut opened.journal, count);
        drop(opened);
        let segment = segments(dir.path()).pop().expect("one");
        let bytes = fs::read(&segment).expect("read");
        let keep = (bytes.len() as f64 * cut) as usize;
        fs::write(&segment, &bytes[..keep]).expect("cut");
        let boot = if again { "boot-b" } else { BOOT };

        let mut opened = open(dir.path(), boot);
        let found = seqs(&opened.tail);
        prop_assert_eq!(&found[..], &written[..found.len()]);
        let lines = bytes[..keep].iter().filter(|byte| **byte == b'\n').count();
        let whole_lines = bytes.iter().filter(|byte| **byte == b'\n').count();
        prop_assert_eq!(found.len(), count.saturating_sub(whole_lines - lines));
        let kept_all = lines == whole_lines;
        if let (true, Some(last)) = (again, written.last()) {
            // A reserve line on the disk before any number was handed out: a cut before it cannot happen.
            if lines > 1 || kept_all {
                prop_assert!(write(&mut opened.journal, 1)[0] > *last);
            }
        }
        let next = write(&mut opened.journal, 1)[0];
        prop_assert!(found.last().is_none_or(|last| next > *last));
        drop(opened);
        let opened = open_clean_boot(dir.path(), boot);
        prop_assert!(seqs(&opened.tail).starts_with(&found) && seqs(&opened.tail).ends_with(&[next]));
    }
}

fn open_clean_boot(dir: &Path, boot: &str) -> Opened<Rec> {
    let opened = open(dir, boot);
    assert_eq!(opened.problems, Vec::<String>::new());
    opened
}

/// The writer half of the crash test: started again with a directory, it writes until it is killed and prints
/// every number once it is appended. Run by itself, it does the same for a while.
#[test]
fn a_writer_prints_what_it_appended() {
    let forever = support::again();
    let here = tempfile::tempdir().expect("dir");
    let dir = forever.as_deref().unwrap_or(here.path());
    let limits = JournalLimits { segment_bytes: 16 << 10, total_bytes: 1 << 30 };
    let mut opened = Journal::open::<Rec>(dir, limits, BOOT).expect("opens");
    assert_eq!(opened.problems, Vec::<String>::new());
    let mut out = std::io::stdout().lock();
    let mut done = 0;
    while forever.is_some() || done < 500 {
        let seq = opened.journal.next_seq().expect("a number");
        let text = "x".repeat((seq % 700) as usize);
        opened.journal.append(&Rec::Event { seq, text }).expect("appended");
        writeln!(out, "appended {seq}").expect("the parent reads");
        if opened.journal.should_rotate() {
            opened.journal.rotate(&whole("state")).expect("rotated");
        }
        done += 1;
    }
    assert_eq!(opened.journal.head(), 500);
}

#[test]
fn a_writer_killed_in_the_middle_loses_nothing_it_acknowledged() {
    let dir = tempfile::tempdir().expect("dir");
    let mut acknowledged = BTreeSet::new();
    for round in 0..25_u64 {
        let mut child = support::myself("a_writer_prints_what_it_appended", dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("starts");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let wanted = 20 + round * 37 % 400;
        let mut seen = 0;
        let mut note = |line: &str| {
            let Some(seq) = line.rsplit_once("appended ").and_then(|(_, seq)| seq.parse().ok()) else {
                return 0;
            };
            assert!(acknowledged.insert(seq), "number {seq} was given twice");
            1
        };
        while seen < wanted {
            seen += note(&lines.next().expect("it goes on writing").expect("utf-8"));
        }
        child.kill().expect("killed");
        child.wait().expect("reaped");
        // What was printed before the kill was appended, read or not; the last line may be cut short.
        let rest: Vec<String> = lines.map_while(Result::ok).collect();
        if let Some((_last, whole)) = rest.split_last() {
            for line in whole {
                note(line);
            }
        }
    }
    let opened = Journal::open::<Rec>(dir.path(), LIMITS, BOOT).expect("opens");
    assert_eq!(opened.problems, Vec::<String>::new());
    let (kept, gap) = all_since(&opened.journal, 0, 1000);
    assert!(!gap);
    let kept_set: BTreeSet<u64> = kept.iter().copied().collect();
    assert_eq!(kept_set.len(), kept.len(), "no number stands twice");
    let lost: Vec<_> = acknowledged.difference(&kept_set).collect();
    assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
}

#[test]
fn a_full_disk_is_said_and_leaves_no_half_line() {
    let Some(dir) = support::again() else {
        let dir = tempfile::tempdir().expect("dir");
        support::on_small_disk("a_full_disk_is_said_and_leaves_no_half_line", dir.path(), "size=256k");
        return;
    };
    let path = dir.join("journal");
    let limits = JournalLimits { total_bytes: 1 << 20, ..LIMITS };
    let reopen = || Journal::open::<Rec>(&path, limits, BOOT).expect("a full disk keeps nobody from opening");
    let mut journal = reopen().journal;
    let ballast = dir.join("ballast");
    fs::write(&ballast, vec![0; 64 << 10]).expect("fits");
    let mut kept = Vec::new();
    let mut full = 0;
    // Odd lengths, so that the disk ends in the middle of a line.
    while full < 3 {
        let seq = journal.next_seq().expect("a block is left");
        match journal.append(&Rec::Event { seq, text: "y".repeat(3001) }) {
            Ok(()) => kept.push(seq),
            Err(error) => {
                assert!(error.is_full(), "{error}");
                assert!(error.to_string().contains("free some space"), "{error}");
                full += 1;
            }
        }
        assert!(kept.len() < 100, "never full");
    }
    assert!(journal.rotate(&whole(&"z".repeat(100_000))).is_err_and(|error| error.is_full()));
    assert_eq!(files(&path, ".new"), Vec::<PathBuf>::new());
    assert_eq!(all_since(&journal, 0, 1000), (kept.clone(), false));
    drop(journal);

    let mut opened = reopen();
    assert_eq!((seqs(&opened.tail), opened.problems.len()), (kept.clone(), 0));
    fs::remove_file(ballast).expect("space again");
    let more = write(&mut opened.journal, 1);
    opened.journal.rotate(&whole("small")).expect("rotated");
    drop(opened);
    let opened = reopen();
    assert_eq!(opened.checkpoint, Some(whole("small")));
    let expected = [kept, more].concat();
    assert_eq!(all_since(&opened.journal, 0, 1000), (expected, false));
    assert_eq!(files(&path, ".torn"), Vec::<PathBuf>::new());
}

#[test]
fn a_read_only_disk_is_named() {
    let Some(dir) = support::again() else {
        let dir = tempfile::tempdir().expect("dir");
        support::on_small_disk("a_read_only_disk_is_named", dir.path(), "size=256k,ro");
        return;
    };
    let error = Journal::open::<Rec>(&dir.join("journal"), LIMITS, BOOT).expect_err("read-only");
    let words = error.to_string();
    assert!(words.contains("Read-only file system") && words.contains("journal"), "{words}");
    assert!(!error.is_full());
}

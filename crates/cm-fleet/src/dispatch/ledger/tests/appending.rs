//! Lines on their way to the disk: in order, synced before they are said to be, kept where the disk is full; and
//! whoever follows along.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use rustix::io::Errno;

use super::super::sink::{Disk, Sink};
use super::super::write::Writer;
use super::super::{EVENTS, Ledger, Tail, request_stop, take_stop};
use super::{LedgerError, Mark, PathBuf, RunEvent, Stop, Synced, directory, event, events, lines, now, said};

/// No wait of these tests is longer.
const LONG: Duration = Duration::from_secs(20);

/// Bytes that may wait in these tests.
const ROOM: usize = 1 << 20;

/// A disk of which a test says how much room it has and whether it syncs.
#[derive(Clone, Default)]
struct Small(Arc<Mutex<Inside>>);

#[derive(Default)]
struct Inside {
    bytes: Vec<u8>,
    /// How many of them are safe.
    synced: usize,
    room: usize,
    sick: bool,
    syncs: usize,
}

impl Small {
    fn with<T>(&self, act: impl FnOnce(&mut Inside) -> T) -> T {
        act(&mut self.0.lock().expect("not poisoned"))
    }

    fn writer(&self) -> Writer {
        Writer::start(Disk::new(self.clone(), 0), PathBuf::from("/d/events.jsonl"), 0, ROOM).expect("started")
    }
}

impl Sink for Small {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.with(|inside| {
            let fits = bytes.len().min(inside.room.saturating_sub(inside.bytes.len()));
            inside.bytes.extend(&bytes[..fits]);
            if fits < bytes.len() { Err(Errno::NOSPC.into()) } else { Ok(()) }
        })
    }

    fn sync(&mut self) -> io::Result<()> {
        self.with(|inside| {
            inside.syncs += 1;
            if inside.sick {
                return Err(Errno::IO.into());
            }
            inside.synced = inside.bytes.len();
            Ok(())
        })
    }

    fn cut(&mut self, good: u64) -> io::Result<()> {
        self.with(|inside| inside.bytes.truncate(usize::try_from(good).expect("small")));
        Ok(())
    }
}

async fn wait(synced: &Synced, mark: Mark) -> Result<(), LedgerError> {
    tokio::time::timeout(LONG, synced.wait(mark)).await.expect("in time")
}

fn append_all(writer: &Writer, events: &[RunEvent]) -> Vec<Mark> {
    events.iter().map(|event| writer.append(event).expect("taken")).collect()
}

#[tokio::test]
async fn what_is_said_to_be_synced_is() {
    let disk = Small::default();
    disk.with(|inside| inside.room = usize::MAX);
    let mut writer = disk.writer();
    let all = events(500);
    let synced = writer.synced();
    let marks = append_all(&writer, &all);
    wait(&synced, marks[0]).await.expect("written");
    assert!(disk.with(|inside| inside.synced) >= lines(&all[..1]).len());
    wait(&synced, marks[499]).await.expect("written");
    assert!(synced.has(marks[499]) && synced.error().is_none());
    disk.with(|inside| {
        assert_eq!((&inside.bytes, inside.synced), (&lines(&all), lines(&all).len()));
        assert!(inside.syncs <= 500);
    });
    writer.close().await.expect("closed");
    assert!(matches!(writer.append(&event(1)), Err(LedgerError::Closed)));
    wait(&synced, marks[499]).await.expect("still true");
}

/// Many lines of a slow disk are one write and one sync.
#[tokio::test]
async fn what_waits_is_written_at_once() {
    let disk = Small::default();
    disk.with(|inside| inside.room = usize::MAX);
    let writer = disk.writer();
    let synced = writer.synced();
    let all = events(300);
    // The disk is busy: nothing is written while its lock is held.
    let busy = disk.0.lock().expect("not poisoned");
    let marks = append_all(&writer, &all);
    drop(busy);
    wait(&synced, marks[299]).await.expect("written");
    disk.with(|inside| {
        assert_eq!(inside.bytes, lines(&all));
        assert!(inside.syncs <= 2, "{} syncs", inside.syncs);
    });
}

#[tokio::test]
async fn a_full_disk_loses_nothing() {
    let disk = Small::default();
    let all = events(40);
    let whole = lines(&all);
    disk.with(|inside| inside.room = whole.len() / 2);
    let mut writer = disk.writer();
    let synced = writer.synced();
    let marks = append_all(&writer, &all[..30]);
    let error = wait(&synced, marks[29]).await.expect_err("full");
    assert!(error.is_full());
    insta::assert_snapshot!(said(&error, std::path::Path::new("/none")), @r"
    error: the disk is full: cannot write /d/events.jsonl
      hint: free some space there: what waits to be written is kept until then
    ");
    // It goes on failing, and taking.
    let more = append_all(&writer, &all[30..]);
    assert!(wait(&synced, more[9]).await.expect_err("still").is_full());
    writer.retry();
    assert!(wait(&synced, more[9]).await.expect_err("still").is_full());
    disk.with(|inside| inside.room = usize::MAX);
    writer.retry();
    wait(&synced, more[9]).await.expect("written");
    assert_eq!(disk.with(|inside| inside.bytes.clone()), whole, "each line once, in order");
    writer.retry();
    writer.close().await.expect("closed");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// However often the disk is full or does not sync: what is said to be there is, each line once, in order.
    #[test]
    fn nothing_is_lost_or_doubled(steps in proptest::collection::vec((1_usize..5, 0_usize..600, any::<bool>()), 1..12)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let (disk, mut all, mut marks) = (Small::default(), Vec::new(), Vec::new());
        let mut writer = disk.writer();
        for (count, room, sick) in steps {
            disk.with(|inside| (inside.room, inside.sick) = (inside.room + room, sick));
            let more: Vec<RunEvent> = (all.len()..all.len() + count).map(event).collect();
            marks.extend(append_all(&writer, &more));
            all.extend(more);
            writer.retry();
            let waited = runtime.block_on(wait(&writer.synced(), *marks.last().expect("some")));
            let said = marks.iter().filter(|mark| writer.synced().has(**mark)).count();
            prop_assert!(waited.is_err() || said == marks.len());
            let safe = lines(&all[..said]);
            disk.with(|inside| assert!(inside.synced >= safe.len() && inside.bytes.starts_with(&safe)));
        }
        disk.with(|inside| (inside.room, inside.sick) = (usize::MAX, false));
        writer.retry();
        runtime.block_on(wait(&writer.synced(), *marks.last().expect("some"))).expect("written");
        prop_assert_eq!(disk.with(|inside| inside.bytes.clone()), lines(&all));
        runtime.block_on(writer.close()).expect("closed");
    }
}

#[tokio::test]
async fn a_sync_that_fails_is_written_anew() {
    let disk = Small::default();
    disk.with(|inside| (inside.room, inside.sick) = (usize::MAX, true));
    let mut writer = disk.writer();
    let synced = writer.synced();
    let mark = writer.append(&event(1)).expect("taken");
    let error = wait(&synced, mark).await.expect_err("sick");
    assert!(error.to_string().starts_with("cannot sync /d/events.jsonl: "), "{error}");
    disk.with(|inside| inside.sick = false);
    writer.retry();
    wait(&synced, mark).await.expect("written");
    assert_eq!(disk.with(|inside| inside.bytes.clone()), lines(&[event(1)]));
    // At the end it is tried once more, and said when that fails.
    disk.with(|inside| inside.sick = true);
    let mark = writer.append(&event(2)).expect("taken");
    assert!(wait(&synced, mark).await.is_err());
    assert!(writer.close().await.is_err());
    assert!(wait(&synced, mark).await.is_err());
}

#[tokio::test]
async fn more_than_memory_holds_is_refused() {
    let disk = Small::default();
    let writer = disk.writer();
    let long = "x".repeat(ROOM / 4);
    let marks: Vec<_> = (0..6).map(|_| writer.append(&long)).collect();
    assert!(marks[0].is_ok());
    let refused = marks.into_iter().find_map(Result::err).expect("too much");
    assert!(matches!(refused, LedgerError::Behind { bytes, .. } if bytes > ROOM / 2), "{refused}");
}

#[tokio::test]
async fn a_run_is_followed_to_its_end() {
    let dir = directory();
    let mut tail: Tail = Tail::open(dir.path()).expect("there");
    let news = tail.next_lines().expect("read");
    assert!(news.events.is_empty() && news.gone, "not begun");
    let ledger = Ledger::create(dir.path(), now()).expect("made");
    assert!(!tail.next_lines().expect("read").gone);
    let marks: Vec<Mark> = events(5).iter().map(|event| ledger.append(event).expect("taken")).collect();
    wait(&ledger.synced(), marks[4]).await.expect("written");
    let news = tail.next_lines().expect("read");
    assert_eq!((news.events, news.more, news.gone), (events(5), false, false));
    assert_eq!(tail.holder().expect("told").flatten().map(|h| h.pid), Some(std::process::id()));
    ledger.append(&event(5)).expect("taken");
    let path = ledger.path().to_owned();
    ledger.close().await.expect("closed");
    let news = tail.next_lines().expect("read");
    assert_eq!((news.events, news.gone), (vec![event(5)], true));
    assert_eq!(tail.next_lines().expect("read").events, []);
    // Half a line is none yet; one that is none is an error, after what is good.
    let mut whole = lines(&events(6));
    let keep = whole.len();
    whole.extend(lines(&[event(6)]));
    std::fs::write(&path, &whole[..keep + 10]).expect("written");
    assert_eq!(tail.next_lines().expect("read").events, []);
    whole.extend(b"{}\n");
    std::fs::write(&path, &whole).expect("written");
    let news = tail.next_lines().expect("read");
    assert_eq!((news.events, news.more, news.gone), (vec![event(6)], true, false));
    let error = tail.next_lines().expect_err("no event");
    assert!(
        error.to_string().contains(&format!("line 8 of {}", dir.path().join(EVENTS).display())),
        "{error}"
    );
}

#[test]
fn stops_are_asked_for_and_taken_once() {
    let dir = directory();
    let check = |ask: &[Stop], expected: Option<Stop>| {
        for stop in ask {
            request_stop(dir.path(), *stop).expect("asked");
        }
        assert_eq!(take_stop(dir.path()), expected, "{ask:?}");
        assert_eq!(take_stop(dir.path()), None);
    };
    check(&[], None);
    check(&[Stop::Detach], Some(Stop::Detach));
    check(&[Stop::Detach, Stop::Cancel], Some(Stop::Cancel));
    check(&[Stop::Cancel, Stop::Detach], Some(Stop::Cancel));
    std::fs::write(dir.path().join("stop"), "cancel\n").expect("written");
    check(&[], Some(Stop::Cancel));
    std::fs::write(dir.path().join("stop"), "what").expect("written");
    check(&[], None);
    let error = request_stop(&dir.path().join("none"), Stop::Detach).expect_err("gone");
    assert!(said(&error, dir.path()).contains("cannot write DIR/none/stop: "), "{error}");
}

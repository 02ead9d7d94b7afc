//! Opening what an earlier process left: reading back to the newest whole state, and mending without ever
//! overwriting what could not be read.

use std::{
    fs::{self, DirBuilder, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    JournalError, Record,
    mark::Mark,
    numbers::{Found, LEAP},
    page::Known,
    segment::{self, Line, Lines},
    write::{open_to_append, sync_dir, write_new},
};

/// What was found in a journal's directory.
pub(super) struct Recovered<R> {
    pub checkpoint: Option<R>,
    pub tail: Vec<R>,
    pub found: Found,
    pub segments: Vec<Known>,
    pub forgotten: Vec<(u64, u64)>,
    pub problems: Vec<String>,
}

/// What one segment holds.
struct Scan<R> {
    records: Vec<R>,
    /// The first record is a checkpoint.
    checkpoint: bool,
    /// Marks and numbers in the order they stand, for the history of numbers.
    history: Vec<Step>,
    /// What is wrong with it, besides a torn end.
    bad: Vec<String>,
    /// Where a torn last line begins.
    torn: Option<u64>,
}

/// One step in the history of numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Seq(u64),
    Reserved { boot: String, ceiling: u64 },
}

/// Reads the journal back to its newest checkpoint, mending what it meets.
pub(super) fn recover<R: Record>(dir: &Path, boot: &str) -> Result<Recovered<R>, JournalError> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir)
        .map_err(|source| JournalError::io("make the directory", dir, source))?;
    let firsts = list(dir)?;
    let mut problems = Vec::new();
    let mut scans: Vec<Scan<R>> = Vec::new();
    // The number the segment after the one at hand says it follows.
    let mut follows = None;
    for (back, first) in firsts.iter().rev().enumerate() {
        let path = segment::path_of(dir, *first);
        let mut scan = scan::<R>(&path, *first);
        if scan.bad.is_empty()
            && let Some(at) = scan.torn
        {
            cut_torn(&path, at)?;
        }
        if !scan.bad.is_empty() {
            let lost_to = (back > 0).then(|| follows.unwrap_or(0));
            let kept = salvage(dir, &path, *first, &mut scan, lost_to)?;
            problems.push(format!(
                "part of the journal could not be read ({}): {} is kept as {}, and what could be read is used",
                scan.bad.join("; "),
                path.display(),
                kept.display()
            ));
        }
        follows = Some(scan.after());
        let done = scan.checkpoint;
        scans.push(scan);
        if done {
            break;
        }
    }
    scans.reverse();
    let history: Vec<Step> = scans.iter_mut().flat_map(|scan| std::mem::take(&mut scan.history)).collect();
    let (found, forgotten) = numbers_in(&history, boot);
    let whole = scans.first().is_some_and(|scan| scan.checkpoint);
    let mut records = scans.into_iter().flat_map(|scan| scan.records);
    let checkpoint = if whole { records.next() } else { None };
    let tail = records.collect();
    let segments = firsts.iter().map(|first| known(dir, *first)).collect::<Result<_, _>>()?;
    problems.reverse();
    Ok(Recovered { checkpoint, tail, found, segments, forgotten, problems })
}

/// PURE. What a history says about numbers, and which of them a power cut swallowed.
fn numbers_in(history: &[Step], boot: &str) -> (Found, Vec<(u64, u64)>) {
    let (mut head, mut ceiling, mut last_boot) = (0, 0, None::<&str>);
    let mut forgotten = Vec::new();
    let mut change = |last: Option<&str>, now: &str, head: u64, ceiling: u64| {
        if last.is_some_and(|last| last != now) && ceiling > head {
            forgotten.push((head, ceiling));
        }
    };
    for step in history {
        match step {
            Step::Seq(seq) => head = head.max(*seq),
            Step::Reserved { boot, ceiling: next } => {
                change(last_boot, boot, head, ceiling);
                last_boot = Some(boot);
                ceiling = ceiling.max(*next);
            }
        }
    }
    change(last_boot, boot, head, ceiling);
    let same_boot = last_boot.is_none_or(|last| last == boot);
    (Found { head, ceiling, same_boot }, forgotten)
}

fn known(dir: &Path, first: u64) -> Result<Known, JournalError> {
    let path = segment::path_of(dir, first);
    let len = fs::metadata(&path).map_err(|source| JournalError::io("look at", &path, source))?.len();
    Ok(Known { first, path, len, places: Vec::new() })
}

/// The segments in order. Files that never came to count are removed.
fn list(dir: &Path) -> Result<Vec<u64>, JournalError> {
    let failed = |source| JournalError::io("list", dir, source);
    let mut firsts = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let Some(name) = name.to_str() else { continue };
        if let Some(first) = segment::first_of(name) {
            firsts.push(first);
        } else if name.strip_suffix(".new").and_then(segment::first_of).is_some() {
            // Its rotation was never finished; on a read-only disk it may as well stay.
            let _ = fs::remove_file(entry.path());
        }
    }
    firsts.sort_unstable();
    Ok(firsts)
}

fn scan<R: Record>(path: &Path, first: u64) -> Scan<R> {
    let mut scan =
        Scan { records: Vec::new(), checkpoint: false, history: Vec::new(), bad: Vec::new(), torn: None };
    if let Err(error) = scan_lines(&mut scan, path) {
        scan.bad.push(format!("{}: {error}", path.display()));
    }
    if scan.history.is_empty() {
        if scan.bad.is_empty() {
            scan.bad.push(format!("{} has no first line", path.display()));
        }
        // The name is all that is left.
        scan.history.push(Step::Seq(first.saturating_sub(1)));
    }
    scan
}

fn scan_lines<R: Record>(scan: &mut Scan<R>, path: &Path) -> io::Result<()> {
    let mut lines = Lines::open(path, 0, u64::MAX)?;
    let (mut number, mut expects_checkpoint) = (0_u64, false);
    loop {
        let start = lines.offset();
        let Some(line) = lines.next::<R>()? else {
            if expects_checkpoint && !scan.checkpoint && scan.bad.is_empty() {
                // Else whatever is appended next would be taken for it.
                scan.bad.push("its checkpoint is missing".into());
            }
            return Ok(());
        };
        number += 1;
        match line {
            Line::Mark(Mark::Segment { boot, after, ceiling, checkpoint }) if number == 1 => {
                expects_checkpoint = checkpoint;
                scan.history.push(Step::Seq(after));
                scan.history.push(Step::Reserved { boot, ceiling });
                continue;
            }
            Line::Mark(Mark::Reserve { boot, ceiling }) => {
                scan.history.push(Step::Reserved { boot, ceiling });
            }
            Line::Mark(Mark::Hole { after }) => scan.history.push(Step::Seq(after)),
            Line::Record(record) => {
                if expects_checkpoint && number == 2 {
                    scan.checkpoint = true;
                }
                scan.history.extend(record.seq().map(Step::Seq));
                scan.records.push(record);
            }
            Line::Torn => scan.torn = Some(start),
            Line::Mark(Mark::Segment { .. }) => scan.bad.push(format!("line {number} is out of place")),
            Line::Bad(why) => scan.bad.push(format!("line {number} {why}")),
        }
        if number == 1 && scan.torn.is_none() && scan.bad.is_empty() {
            scan.bad.push("the first line is missing".into());
        }
    }
}

impl<R> Scan<R> {
    /// The number its first line says it follows.
    fn after(&self) -> u64 {
        match self.history.first() {
            Some(Step::Seq(after)) => *after,
            _ => 0,
        }
    }

    fn highest(&self) -> u64 {
        let step = |step: &Step| match step {
            Step::Seq(seq) => *seq,
            Step::Reserved { ceiling, .. } => *ceiling,
        };
        self.history.iter().map(step).max().unwrap_or(0)
    }
}

/// Moves a torn last line out of the way, into a file beside the segment.
fn cut_torn(path: &Path, at: u64) -> Result<(), JournalError> {
    let torn = path.with_extension("jsonl.torn");
    let keep = || -> io::Result<()> {
        let mut from = fs::File::open(path)?;
        from.seek(SeekFrom::Start(at))?;
        let mut to = OpenOptions::new().append(true).create(true).mode(0o600).open(&torn)?;
        io::copy(&mut from.take(segment::MAX_LINE as u64 + 1), &mut to)?;
        to.write_all(b"\n")?;
        to.sync_all()
    };
    match keep().map_err(|source| JournalError::io("keep a torn line in", &torn, source)) {
        // With no room to keep it: a line that was never finished was never acknowledged.
        Err(error) if error.is_full() => tracing::warn!(%error, "a torn journal line is not kept"),
        other => other?,
    }
    open_to_append(path)?.set_len(at).map_err(|source| JournalError::io("cut a torn line off", path, source))
}

/// Sets a damaged segment aside and puts its readable lines in its place. `lost_to` is the number the next
/// segment follows; `None` for the newest segment, where numbering leaps, because a ceiling may be lost too.
fn salvage<R: Record>(
    dir: &Path,
    path: &Path,
    first: u64,
    scan: &mut Scan<R>,
    lost_to: Option<u64>,
) -> Result<PathBuf, JournalError> {
    let (mut bytes, mut open_hole) = (Vec::new(), false);
    let boot = scan.history.iter().rev().find_map(|step| match step {
        Step::Reserved { boot, .. } => Some(boot.clone()),
        Step::Seq(_) => None,
    });
    let header = Mark::Segment {
        boot: boot.unwrap_or_default(),
        after: scan.after(),
        ceiling: scan.after(),
        checkpoint: scan.checkpoint,
    };
    bytes.extend(header.to_line());
    if let Ok(mut lines) = Lines::open(path, 0, u64::MAX) {
        // A read that fails here failed in the scan too; what came before it is what there is.
        while let Ok(Some(line)) = lines.next::<R>() {
            match line {
                Line::Mark(Mark::Segment { .. }) | Line::Torn => {}
                Line::Bad(_) => open_hole = true,
                Line::Mark(_) => bytes.extend_from_slice(lines.bytes()),
                Line::Record(record) => {
                    if open_hole && let Some(seq) = record.seq() {
                        bytes.extend(Mark::Hole { after: seq.saturating_sub(1) }.to_line());
                        open_hole = false;
                    }
                    bytes.extend_from_slice(lines.bytes());
                }
            }
        }
    }
    let after = lost_to.unwrap_or_else(|| scan.highest().max(first).saturating_add(LEAP));
    bytes.extend(Mark::Hole { after }.to_line());
    scan.history.push(Step::Seq(after));
    let fresh = path.with_extension("jsonl.new");
    let kept = unreadable_name(path);
    write_new(&fresh, &bytes)
        .map_err(|source| JournalError::io("write the mended segment", &fresh, source))?;
    // A second name for the original, then its place taken in one step: a crash at any point leaves a segment
    // there. What cannot be linked (a directory, a file of another user) is moved away.
    fs::hard_link(path, &kept)
        .or_else(|_| fs::rename(path, &kept))
        .map_err(|source| JournalError::io("set aside", path, source))?;
    fs::rename(&fresh, path).map_err(|source| JournalError::io("put in place", path, source))?;
    sync_dir(dir)?;
    Ok(kept)
}

fn unreadable_name(path: &Path) -> PathBuf {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |now| now.as_secs());
    let name = |suffix: String| path.with_extension(format!("jsonl.unreadable-{now}{suffix}"));
    let taken = |path: &PathBuf| path.symlink_metadata().is_ok();
    (0..)
        .map(|n| name(if n == 0 { String::new() } else { format!(".{n}") }))
        .find(|path| !taken(path))
        .unwrap_or_else(|| unreachable!("a directory holds fewer than 2^31 files of one name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_boot_forgets_what_was_handed_out_and_not_found() {
        let reserved = |boot: &str, ceiling| Step::Reserved { boot: boot.into(), ceiling };
        let history = [
            Step::Seq(0),
            reserved("a", 10_000),
            Step::Seq(1),
            Step::Seq(2),
            reserved("b", 20_000),
            Step::Seq(10_001),
        ];
        let (found, forgotten) = numbers_in(&history, "b");
        assert_eq!(found, Found { head: 10_001, ceiling: 20_000, same_boot: true });
        assert_eq!(forgotten, [(2, 10_000)]);
        let (found, forgotten) = numbers_in(&history, "c");
        assert_eq!(found, Found { head: 10_001, ceiling: 20_000, same_boot: false });
        assert_eq!(forgotten, [(2, 10_000), (10_001, 20_000)]);
        assert!(numbers_in(&[], "a").0.same_boot, "an empty journal belongs to every boot");
    }
}

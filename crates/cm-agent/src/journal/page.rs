//! Reading events back from disk, beside the writer: a bounded page at a time.

use std::{
    io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    JournalError, Record,
    mark::Mark,
    segment::{Line, Lines},
};

/// How far apart, in bytes, a segment's remembered places are at least.
const STRIDE: u64 = 128 << 10;

/// A page ends after this many bytes of lines, however few records that is.
const PAGE_BYTES: u64 = 4 << 20;

/// Reads events back. Cheap to clone; every call reads the disk and blocks on it, so call it where blocking is
/// allowed.
#[derive(Debug, Clone)]
pub struct ReadHandle {
    index: Arc<Mutex<Index>>,
}

/// Some events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<R> {
    /// Events in order, all with a number above the one asked for.
    pub records: Vec<R>,
    /// Some events between the number asked for and the last of `records` are not kept any more (or the
    /// number is none this journal vouches for): the reader needs a snapshot.
    pub gap: bool,
    /// There is more to read.
    pub more: bool,
}

/// What is known about the segments without reading them.
#[derive(Debug)]
pub(super) struct Index {
    segments: Vec<Known>,
    head: u64,
    /// Numbers from above the first to the second were handed out and then lost in a power cut.
    forgotten: Vec<(u64, u64)>,
}

/// One segment.
#[derive(Debug, Clone)]
pub(super) struct Known {
    /// Its events are numbered from here.
    pub first: u64,
    /// Its file.
    pub path: PathBuf,
    /// Its whole lines end here.
    pub len: u64,
    /// `(seq, offset)`: all its events up to `seq` stand before `offset`.
    pub places: Vec<(u64, u64)>,
}

/// Where a walk through the segments stands.
struct Walk<R> {
    page: Page<R>,
    seen: u64,
    max: usize,
    bytes: u64,
}

impl ReadHandle {
    pub(super) fn new(index: Index) -> Self {
        Self { index: Arc::new(Mutex::new(index)) }
    }

    pub(super) fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The events numbered above `after_seq`, oldest first, at most `max` of them (and at most some megabytes).
    /// Go on with the last one's number while `more` says so.
    ///
    /// # Errors
    /// When a segment that should be there cannot be read.
    pub fn read_since<R: Record>(&self, after_seq: u64, max: usize) -> Result<Page<R>, JournalError> {
        // A rotation may remove a segment under our hands; then the list is asked for again, once for each of
        // a few rotations in a row.
        let mut attempts = 0;
        loop {
            match self.try_read(after_seq, max) {
                Err((path, error)) if error.kind() == io::ErrorKind::NotFound && attempts < 5 => {
                    attempts += 1;
                    tracing::debug!(path = %path.display(), "a journal segment went away while it was read");
                }
                Err((path, error)) => return Err(JournalError::io("read", path, error)),
                Ok(page) => return Ok(page),
            }
        }
    }

    fn try_read<R: Record>(&self, after: u64, max: usize) -> Result<Page<R>, (PathBuf, io::Error)> {
        let (segments, gap) = {
            let index = self.index();
            (index.from(after), index.unknown(after))
        };
        let page = Page { records: Vec::new(), gap, more: false };
        let mut walk = Walk { page, seen: after, max, bytes: 0 };
        for segment in &segments {
            let done =
                self.walk_segment(&mut walk, segment).map_err(|error| (segment.path.clone(), error))?;
            if done {
                break;
            }
        }
        Ok(walk.page)
    }

    /// Whether the page is full.
    fn walk_segment<R: Record>(&self, walk: &mut Walk<R>, segment: &Known) -> io::Result<bool> {
        let place = segment.places.iter().rev().find(|(seq, _)| *seq <= walk.seen);
        let mut lines = Lines::open(&segment.path, place.map_or(0, |(_, offset)| *offset), segment.len)?;
        loop {
            let start = lines.offset();
            let Some(line) = lines.next::<R>()? else { return Ok(false) };
            match line {
                Line::Mark(Mark::Segment { after, .. } | Mark::Hole { after }) => {
                    walk.page.gap |= walk.seen < after;
                    walk.seen = walk.seen.max(after);
                }
                Line::Mark(Mark::Reserve { .. }) | Line::Torn => {}
                Line::Bad(why) => {
                    tracing::warn!(path = %segment.path.display(), offset = start, "a journal line {why}");
                    walk.page.gap = true;
                }
                Line::Record(record) => {
                    let Some(seq) = record.seq().filter(|seq| *seq > walk.seen) else { continue };
                    if walk.page.records.len() >= walk.max || walk.bytes >= PAGE_BYTES {
                        walk.page.more = true;
                        self.index().remember(segment.first, walk.seen, start);
                        return Ok(true);
                    }
                    walk.seen = seq;
                    walk.bytes += lines.offset() - start;
                    walk.page.records.push(record);
                }
            }
        }
    }
}

impl Index {
    pub(super) fn new(segments: Vec<Known>, head: u64, forgotten: Vec<(u64, u64)>) -> Self {
        Self { segments, head, forgotten }
    }

    pub(super) fn newest(&self) -> Option<&Known> {
        self.segments.last()
    }

    /// A segment was begun.
    pub(super) fn begin(&mut self, first: u64, path: PathBuf, len: u64) {
        self.segments.push(Known { first, path, len, places: Vec::new() });
    }

    /// The newest segment has grown.
    pub(super) fn grown(&mut self, len: u64, head: u64) {
        self.head = head;
        if let Some(newest) = self.segments.last_mut() {
            newest.len = len;
            newest.remember(head, len);
        }
    }

    /// Takes the oldest segments out until the rest is within `total` bytes. The newest stays.
    pub(super) fn drop_beyond(&mut self, total: u64) -> Vec<Known> {
        let mut bytes: u64 = self.segments.iter().map(|segment| segment.len).sum();
        let mut count = 0;
        while bytes > total && count + 1 < self.segments.len() {
            bytes -= self.segments[count].len;
            count += 1;
        }
        self.segments.drain(..count).collect()
    }

    /// The segments that can hold events above `after`.
    fn from(&self, after: u64) -> Vec<Known> {
        let start = self.segments.iter().rposition(|segment| segment.first <= after.saturating_add(1));
        self.segments[start.unwrap_or(0)..].to_vec()
    }

    /// Whether `after` is a number a reader cannot have from what is kept here.
    fn unknown(&self, after: u64) -> bool {
        after > self.head || self.forgotten.iter().any(|(from, to)| *from < after && after <= *to)
    }

    fn remember(&mut self, first: u64, seq: u64, offset: u64) {
        if let Some(segment) = self.segments.iter_mut().find(|segment| segment.first == first) {
            segment.remember(seq, offset);
        }
    }
}

impl Known {
    /// Remembers a place, unless one nearby is known; so there are at most `len / STRIDE` of them.
    fn remember(&mut self, seq: u64, offset: u64) {
        let at = self.places.partition_point(|(_, known)| *known <= offset);
        let before = at.checked_sub(1).map_or(0, |before| self.places[before].1);
        let after = self.places.get(at).map(|(_, known)| *known);
        if offset - before >= STRIDE && after.is_none_or(|after| after - offset >= STRIDE) {
            self.places.insert(at, (seq, offset));
        }
    }
}

//! The one writer: whole lines in one write, taken back when they did not fit, and the change of segments.

use std::{
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread::JoinHandle,
};

use super::{
    JournalError, JournalLimits, Opened, ReadHandle, Record, Syncer,
    mark::Mark,
    numbers::{Next, Numbers},
    page::{Index, Known},
    recover::{self, Recovered},
    segment::{self, MAX_LINE},
};

/// A journal open for writing. Dropping it syncs what is left and joins its thread.
#[derive(Debug)]
pub struct Journal {
    dir: PathBuf,
    limits: JournalLimits,
    boot: String,
    active: Active,
    numbers: Numbers,
    head: u64,
    reader: ReadHandle,
    syncer: Syncer,
    thread: Option<JoinHandle<()>>,
}

/// The segment being written.
#[derive(Debug)]
struct Active {
    file: Arc<File>,
    path: PathBuf,
    len: u64,
    /// It began with so many, its checkpoint.
    begun: u64,
    /// Bytes beyond `len` could not be taken away yet.
    torn: bool,
}

impl Journal {
    /// Opens the journal in `dir` (made with mode 0700 if missing), repairs what has to be repaired and reads
    /// what is needed to go on. `boot` is the kernel's boot id. Blocks on the disk.
    ///
    /// A full disk does not keep an undamaged journal from being opened.
    ///
    /// # Errors
    /// When the directory or its newest segment cannot be used at all.
    pub fn open<R: Record>(dir: &Path, limits: JournalLimits, boot: &str) -> Result<Opened<R>, JournalError> {
        let Recovered { checkpoint, tail, found, segments, forgotten, problems } =
            recover::recover::<R>(dir, boot)?;
        let numbers = Numbers::after(found);
        let mut index = Index::new(segments, found.head, forgotten);
        let path = match index.newest() {
            Some(newest) => newest.path.clone(),
            None => {
                let first = numbers.handed() + 1;
                let path = segment::path_of(dir, first);
                let mark = Mark::Segment {
                    boot: boot.into(),
                    after: found.head,
                    ceiling: numbers.ceiling(),
                    checkpoint: false,
                };
                let line = mark.to_line();
                create_segment(dir, &path, &line)?;
                index.begin(first, path.clone(), line.len() as u64);
                path
            }
        };
        let file = open_to_append(&path)?;
        // What was read may only be in the page cache; numbers build on it.
        file.sync_data().map_err(|source| JournalError::io("sync", &path, source))?;
        let len = file.metadata().map_err(|source| JournalError::io("look at", &path, source))?.len();
        let file = Arc::new(file);
        let (syncer, thread) = Syncer::start(Arc::clone(&file), path.clone())?;
        let journal = Self {
            dir: dir.to_path_buf(),
            limits,
            boot: boot.into(),
            // How much of it is a checkpoint is not known; at worst one more is written soon.
            active: Active { file, path, len, begun: 0, torn: false },
            numbers,
            head: found.head,
            reader: ReadHandle::new(index),
            syncer,
            thread: Some(thread),
        };
        Ok(Opened { journal, checkpoint, tail, head: found.head, problems })
    }

    /// The number for the next event. A number counts as given once its event was appended: announce an event
    /// only after that. Once in ten thousand it has to wait for the disk, and normally not even
    /// then: a new block is reserved in the background when half of the last one is used.
    ///
    /// # Errors
    /// When no number is left and no block can be reserved, because the disk is full or failing.
    pub fn next_seq(&mut self) -> Result<u64, JournalError> {
        loop {
            match self.numbers.next(self.syncer.synced()) {
                Next::Take(seq) => return Ok(seq),
                Next::TakeAndReserve(seq, ceiling) => {
                    // A block is left. If this fails, the next call tries again.
                    if self.reserve(ceiling).is_ok() {
                        self.syncer.request();
                    }
                    return Ok(seq);
                }
                Next::Reserve(ceiling) => {
                    self.reserve(ceiling)?;
                    self.syncer.sync_now()?;
                }
                Next::Sync => self.syncer.sync_now()?,
            }
        }
    }

    /// The highest event number written.
    pub fn head(&self) -> u64 {
        self.head
    }

    /// Appends one record with one write. It is in the page cache then (it survives this process); for more,
    /// see [`Syncer::sync`].
    ///
    /// # Errors
    /// [`JournalError::Full`] and [`JournalError::Io`] leave nothing of the record behind; the same append may
    /// be tried again.
    pub fn append<R: Record>(&mut self, record: &R) -> Result<(), JournalError> {
        self.append_all(std::slice::from_ref(record))
    }

    /// Appends records with one write: all of them or none (a power cut may keep the first few).
    ///
    /// # Errors
    /// As [`Self::append`].
    pub fn append_all<R: Record>(&mut self, records: &[R]) -> Result<(), JournalError> {
        let mut bytes = Vec::with_capacity(256 * records.len());
        let mut head = self.head;
        for record in records {
            if let Some(seq) = record.seq() {
                if seq <= head || seq > self.numbers.handed() {
                    return Err(JournalError::Order { seq, head });
                }
                head = seq;
            }
            push_line(&mut bytes, record)?;
        }
        if bytes.is_empty() {
            return Ok(());
        }
        let before = self.head;
        self.head = head;
        self.write(&bytes).inspect_err(|_| self.head = before)?;
        Ok(())
    }

    /// Events up to this number were announced but will never be written. The next segment tells readers that
    /// they are missing; begin it right after this.
    pub fn skip(&mut self, seq: u64) {
        self.head = self.head.max(seq.min(self.numbers.handed()));
    }

    /// To wait for the disk.
    pub fn syncer(&self) -> Syncer {
        self.syncer.clone()
    }

    /// To read events back, from any thread.
    pub fn reader(&self) -> ReadHandle {
        self.reader.clone()
    }

    /// Whether the segment is large enough, or the disk has failed it: time for [`Self::rotate`].
    pub fn should_rotate(&self) -> bool {
        // What a checkpoint takes does not count: a large one would be written again for every record.
        self.active.len - self.active.begun >= self.limits.segment_bytes || self.syncer.failed()
    }

    /// Begins a new segment with the whole state, puts it on the disk, and only then lets it count; then
    /// removes the oldest segments beyond the limit. Blocks on the disk. After an error the old segment goes
    /// on as if nothing had been tried.
    ///
    /// # Errors
    /// When the new segment cannot be written and synced, or an old one not removed.
    pub fn rotate<R: Record>(&mut self, checkpoint: &R) -> Result<(), JournalError> {
        // Two segments never share a name, even with no event between them.
        let mut first = self.numbers.handed() + 1;
        if segment::path_of(&self.dir, first) == self.active.path {
            first = self.next_seq()? + 1;
        }
        let path = segment::path_of(&self.dir, first);
        let mark = Mark::Segment {
            boot: self.boot.clone(),
            after: self.head,
            ceiling: self.numbers.ceiling(),
            checkpoint: true,
        };
        let mut bytes = mark.to_line();
        push_line(&mut bytes, checkpoint)?;
        // What waits for the old segment's sync is still owed it: replay reads it from there. A segment that
        // has already failed can give no more; the checkpoint carries its state on.
        if !self.syncer.failed()
            && let Err(error) = self.syncer.sync_now()
        {
            tracing::warn!(%error, "the old journal segment could not be synced; going on with a new one");
        }
        create_segment(&self.dir, &path, &bytes)?;
        let file = match open_to_append(&path) {
            Ok(file) => Arc::new(file),
            Err(error) => {
                // It must not count: events will go on in the old segment.
                let _ = fs::remove_file(&path);
                return Err(error);
            }
        };
        self.numbers.segment_synced();
        self.syncer.switch(Arc::clone(&file), path.clone());
        self.reader.index().begin(first, path.clone(), bytes.len() as u64);
        let len = bytes.len() as u64;
        self.active = Active { file, path, len, begun: len, torn: false };
        self.drop_oldest()
    }

    fn drop_oldest(&self) -> Result<(), JournalError> {
        let doomed: Vec<Known> = self.reader.index().drop_beyond(self.limits.total_bytes);
        for segment in doomed {
            fs::remove_file(&segment.path)
                .map_err(|source| JournalError::io("remove the old segment", &segment.path, source))?;
        }
        Ok(())
    }

    fn reserve(&mut self, ceiling: u64) -> Result<(), JournalError> {
        let position = self.write(&Mark::Reserve { boot: self.boot.clone(), ceiling }.to_line())?;
        self.numbers.reserved(ceiling, position);
        Ok(())
    }

    /// One write of whole lines; the position after it.
    fn write(&mut self, bytes: &[u8]) -> Result<u64, JournalError> {
        self.active.write(bytes)?;
        self.reader.index().grown(self.active.len, self.head);
        Ok(self.syncer.appended(bytes.len() as u64))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.syncer.close();
        if let Some(thread) = self.thread.take() {
            // It only syncs; a panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

impl Active {
    fn write(&mut self, bytes: &[u8]) -> Result<(), JournalError> {
        if self.torn {
            self.take_back()
                .map_err(|source| JournalError::io("take half a line back from", &self.path, source))?;
        }
        let written = loop {
            match (&*self.file).write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match written {
            Ok(count) if count == bytes.len() => {
                self.len += count as u64;
                Ok(())
            }
            Ok(count) => {
                self.torn = count > 0 && self.take_back().is_err();
                // A regular file takes less than it was given only when there is no more room.
                Err(JournalError::Full { path: self.path.clone() })
            }
            Err(source) => {
                self.torn = self.take_back().is_err();
                Err(JournalError::io("append to", &self.path, source))
            }
        }
    }

    /// Cuts off what is beyond the last whole line.
    fn take_back(&mut self) -> io::Result<()> {
        self.file.set_len(self.len)?;
        self.torn = false;
        Ok(())
    }
}

fn push_line<R: Record>(bytes: &mut Vec<u8>, record: &R) -> Result<(), JournalError> {
    let start = bytes.len();
    serde_json::to_writer(&mut *bytes, record)?;
    bytes.push(b'\n');
    let length = bytes.len() - start;
    if length > MAX_LINE {
        return Err(JournalError::TooLong { bytes: length, max: MAX_LINE });
    }
    Ok(())
}

pub(super) fn open_to_append(path: &Path) -> Result<File, JournalError> {
    fs::OpenOptions::new()
        .append(true)
        .open(path)
        .map_err(|source| JournalError::io("open to append to", path, source))
}

/// Writes a segment under a name that does not count, syncs it, and gives it its name. On an error nothing
/// that counts is left.
pub(super) fn create_segment(dir: &Path, path: &Path, bytes: &[u8]) -> Result<(), JournalError> {
    let fresh = path.with_extension("jsonl.new");
    let made = write_new(&fresh, bytes)
        .map_err(|source| JournalError::io("write the new segment", &fresh, source))
        .and_then(|()| {
            fs::rename(&fresh, path).map_err(|source| JournalError::io("put in place", path, source))
        });
    if let Err(error) = made {
        let _ = fs::remove_file(&fresh);
        return Err(error);
    }
    sync_dir(dir).inspect_err(|_| {
        let _ = fs::remove_file(path);
    })
}

pub(super) fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a directory's entries on the disk.
pub(super) fn sync_dir(dir: &Path) -> Result<(), JournalError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|source| JournalError::io("sync", dir, source))
}

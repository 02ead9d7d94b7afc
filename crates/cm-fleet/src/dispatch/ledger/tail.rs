//! Following a run that another process keeps: new whole lines, and whether anybody still writes them.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::error::LedgerError;
use super::read::{Line, event, next};
use super::{EVENTS, lock};
use crate::report::event::RunEvent;

/// Bytes that are read at a time; a single line may be longer.
const AT_ONCE: u64 = 8 << 20;

/// A reader that knows how far it has read. Asked again and again, by the caller's clock.
#[derive(Debug)]
pub struct Tail<E = RunEvent> {
    dir: PathBuf,
    path: PathBuf,
    /// Bytes read.
    at: u64,
    /// Lines read.
    lines: u64,
    events: PhantomData<fn() -> E>,
}

/// What is new.
#[derive(Debug, Clone, PartialEq)]
pub struct News<E> {
    /// In order.
    pub events: Vec<E>,
    /// There is more already: ask again at once.
    pub more: bool,
    /// Nobody keeps the run any more, and everything it wrote has been read. Whether it has ended is in the events:
    /// its last one says so, else it was broken off and can be gone on with.
    pub gone: bool,
}

impl<E: DeserializeOwned> Tail<E> {
    /// Begins at the beginning.
    ///
    /// # Errors
    /// There is no such run.
    pub fn open(dir: &Path) -> Result<Self, LedgerError> {
        match dir.is_dir() {
            true => {
                Ok(Self { dir: dir.to_owned(), path: dir.join(EVENTS), at: 0, lines: 0, events: PhantomData })
            }
            false => Err(LedgerError::Gone { dir: dir.to_owned() }),
        }
    }

    /// The lines that are whole and have not been read yet, of a great many the first. Does not wait.
    ///
    /// # Errors
    /// The file cannot be read, or a line of it is no event: it is not read past that one.
    pub fn next_lines(&mut self) -> Result<News<E>, LedgerError> {
        // Before reading: what is written until the lock is given back is then read.
        let free = lock::holder(&self.dir)?.is_none();
        let mut news = News { events: Vec::new(), more: false, gone: false };
        let file = match File::open(&self.path) {
            // Not begun yet, or cleared away.
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(News { gone: free, ..news }),
            open => open.map_err(|e| LedgerError::io("open", &self.path, e))?,
        };
        let mut from = BufReader::new(file);
        from.seek(SeekFrom::Start(self.at)).map_err(|e| LedgerError::io("read", &self.path, e))?;
        let (mut line, begun) = (Vec::new(), self.at);
        while !news.more {
            match next(&mut from, &mut line).map_err(|e| LedgerError::io("read", &self.path, e))? {
                // It is being written, or never will be.
                Line::Torn(_) => break,
                Line::Whole(bytes) => {
                    match event(&line, self.lines + 1, &self.path) {
                        Ok(event) => news.events.push(event),
                        // What is good is told first.
                        Err(_) if !news.events.is_empty() => news.more = true,
                        Err(error) => return Err(error),
                    }
                    if !news.more {
                        self.at += bytes;
                        self.lines += 1;
                        news.more = self.at - begun >= AT_ONCE;
                    }
                }
            }
        }
        news.gone = free && !news.more;
        Ok(news)
    }

    /// Who keeps the run now. `Some(None)`: somebody who has not said so yet.
    ///
    /// # Errors
    /// The lock cannot be looked at.
    pub fn holder(&self) -> Result<Option<Option<lock::Holder>>, LedgerError> {
        lock::holder(&self.dir)
    }
}

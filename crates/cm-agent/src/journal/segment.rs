//! One segment file: its name, and reading its lines without ever holding more than one.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::{Record, mark::Mark};

/// The longest line, in bytes. A checkpoint is the longest line there is, and holds a whole agent's state.
pub(super) const MAX_LINE: usize = 64 << 20;

/// The file of the segment whose events are numbered from `first`.
pub(super) fn path_of(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.jsonl"))
}

/// The first number in a segment's file name; `None` for every other file.
pub(super) fn first_of(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".jsonl")?;
    (digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit())).then(|| digits.parse().ok())?
}

/// What a line is.
#[derive(Debug)]
pub(super) enum Line<R> {
    /// One of the journal's own.
    Mark(Mark),
    /// One of the user's.
    Record(R),
    /// Complete, and not readable.
    Bad(String),
    /// The last bytes of the file, without a newline.
    Torn,
}

/// Reads a segment line by line, from an offset to a limit.
pub(super) struct Lines {
    file: io::Take<BufReader<File>>,
    offset: u64,
    buffer: Vec<u8>,
}

impl Lines {
    /// Opens `path` at `offset`; bytes from `end` on are not looked at.
    pub(super) fn open(path: &Path, offset: u64, end: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        file.seek(SeekFrom::Start(offset))?;
        let file = BufReader::with_capacity(64 << 10, file).take(end.saturating_sub(offset));
        Ok(Self { file, offset, buffer: Vec::new() })
    }

    /// Where the next line begins.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The bytes of the line read last, with their newline.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// The next line, `None` at the end.
    pub(super) fn next<R: Record>(&mut self) -> io::Result<Option<Line<R>>> {
        self.buffer.clear();
        let read = (&mut self.file).take(MAX_LINE as u64 + 1).read_until(b'\n', &mut self.buffer)?;
        self.offset += read as u64;
        if read == 0 {
            return Ok(None);
        }
        let Some(line) = self.buffer.strip_suffix(b"\n") else {
            if read <= MAX_LINE {
                return Ok(Some(Line::Torn));
            }
            // Too long to be one of ours: passed over, in bounded memory.
            return Ok(Some(if self.skip_line()? { Line::Bad("is too long".into()) } else { Line::Torn }));
        };
        Ok(Some(parse(line)))
    }

    /// Skips the rest of a line; whether it had an end.
    fn skip_line(&mut self) -> io::Result<bool> {
        loop {
            let chunk = self.file.fill_buf()?;
            if chunk.is_empty() {
                return Ok(false);
            }
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.file.consume(used);
            self.offset += used as u64;
            if end.is_some() {
                return Ok(true);
            }
        }
    }
}

fn parse<R: Record>(line: &[u8]) -> Line<R> {
    if Mark::claims(line) {
        return Mark::parse(line).map_or_else(|| Line::Bad("is a damaged mark".into()), Line::Mark);
    }
    match serde_json::from_slice(line) {
        Ok(record) => Line::Record(record),
        Err(error) => Line::Bad(format!("cannot be read: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_are_segments() {
        #[track_caller]
        fn check(name: &str, expected: Option<u64>) {
            assert_eq!(first_of(name), expected, "{name}");
        }
        check("00000000000000000001.jsonl", Some(1));
        check("00000000000000000001.jsonl.new", None);
        check("00000000000000000001.jsonl.torn", None);
        check("00000000000000000001.jsonl.unreadable-17", None);
        check("1.jsonl", None);
        check("+0000000000000000001.jsonl", None);
        check("99999999999999999999.jsonl", None);
        assert_eq!(
            path_of(Path::new("/j"), 42).file_name().and_then(|n| n.to_str()).and_then(first_of),
            Some(42)
        );
    }
}

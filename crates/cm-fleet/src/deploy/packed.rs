//! A program, packed for sending: once for all hosts, and once for all deployments, on a shelf of the user's cache.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::SystemTime;

use flate2::{Compression, write::GzEncoder};

use super::wanted::hex;

/// How hard it is packed: level 6 takes twice as long and saves 3 %.
const LEVEL: Compression = Compression::new(4);
/// Smaller pieces are not packed side by side: each begins without what the others have learned.
const LEAST: usize = 1 << 20;
/// Programs that are kept packed: those used last.
const KEPT: usize = 8;
/// Digits of a checksum that are enough against accidents.
const DIGITS: usize = 16;

/// A directory of packed programs. A file is named by what it holds: `<sha256 of the program>-<of the file>.gz`, so
/// that one that was cut short or changed is noticed, and simply packed again.
#[derive(Debug, Clone)]
pub struct Shelf(PathBuf);

impl Shelf {
    /// `$XDG_CACHE_HOME/cm-fleet/packed`, or the same under `~/.cache`. Nothing is made there yet.
    pub fn of_user(env: &dyn Fn(&str) -> Option<OsString>) -> Option<Self> {
        let set = |name| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")))?;
        Some(Self(cache.join("cm-fleet/packed")))
    }

    /// The packed form of the program with this checksum.
    fn get(&self, sha256: &str) -> Option<Vec<u8>> {
        for entry in fs::read_dir(&self.0).ok()?.flatten() {
            let name = entry.file_name();
            let Some(rest) = name.to_str().and_then(|name| name.strip_prefix(sha256)) else { continue };
            let bytes = fs::read(entry.path()).ok()?;
            if rest == name_of("", &bytes) {
                let used = fs::File::options().append(true).open(entry.path());
                // Its age decides only what is thrown away first.
                let _ = used.and_then(|file| file.set_modified(SystemTime::now()));
                return Some(bytes);
            }
            let _ = fs::remove_file(entry.path());
        }
        None
    }

    /// Keeps it, whole or not at all, and throws away what was not used for the longest time.
    fn put(&self, sha256: &str, packed: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.0)?;
        let fresh = self.0.join(format!(".{}.new", std::process::id()));
        fs::write(&fresh, packed)?;
        fs::rename(&fresh, self.0.join(name_of(sha256, packed)))?;
        let mut all: Vec<(SystemTime, PathBuf)> = fs::read_dir(&self.0)?
            .flatten()
            .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
            .collect();
        all.sort();
        let surplus = all.len().saturating_sub(KEPT);
        all.into_iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

fn name_of(sha256: &str, packed: &[u8]) -> String {
    format!("{sha256}-{}.gz", hex(packed).get(..DIGITS).unwrap_or_default())
}

/// The packed form of a program: from the shelf, or made now and put there.
///
/// # Errors
/// None in practice: it is written into memory.
pub fn fetch(shelf: Option<&Shelf>, bytes: &[u8], sha256: &str) -> io::Result<Vec<u8>> {
    if let Some(packed) = shelf.and_then(|shelf| shelf.get(sha256)) {
        return Ok(packed);
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let packed = pack(bytes, cores)?;
    if let Some(Err(error)) = shelf.map(|shelf| shelf.put(sha256, &packed)) {
        // It will be packed again the next time.
        tracing::debug!(%error, "the packed program is not kept");
    }
    Ok(packed)
}

/// Compresses in so many pieces at once, each a member of its own (RFC 1952, 2.2): `gzip -dc` reads them as one.
fn pack(bytes: &[u8], pieces: usize) -> io::Result<Vec<u8>> {
    let piece = bytes.len().div_ceil(pieces.max(1)).max(LEAST);
    let members: Vec<io::Result<Vec<u8>>> = std::thread::scope(|scope| {
        let one = |piece: &[u8]| {
            let mut packer = GzEncoder::new(Vec::with_capacity(piece.len() / 2), LEVEL);
            packer.write_all(piece)?;
            packer.finish()
        };
        let threads: Vec<_> = bytes.chunks(piece).map(|piece| scope.spawn(move || one(piece))).collect();
        let gone = |_| io::Error::other("a thread that packs has ended");
        threads.into_iter().map(|thread| thread.join().map_err(gone).flatten()).collect()
    });
    let members: Vec<Vec<u8>> = members.into_iter().collect::<io::Result<_>>()?;
    if members.is_empty() {
        return GzEncoder::new(Vec::new(), LEVEL).finish();
    }
    Ok(members.concat())
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn a_packed_program_is_kept_and_one_that_was_changed_is_packed_again() {
        let dir = tempfile::tempdir().expect("a directory");
        let shelf = Shelf(dir.path().join("packed"));
        let program = b"a program".repeat(100);
        let sum = hex(&program);
        let first = fetch(Some(&shelf), &program, &sum).expect("packed");
        let files = || {
            let names = fs::read_dir(dir.path().join("packed")).expect("it is there");
            names.map(|entry| entry.expect("entry").path()).collect::<Vec<_>>()
        };
        let [kept] = &files()[..] else { panic!("one file: {:?}", files()) };
        // What is on the shelf is what is sent, even for other bytes.
        assert_eq!(fetch(Some(&shelf), b"other", &sum).expect("kept"), first);
        fs::write(kept, b"cut short").expect("write");
        assert_eq!(fetch(Some(&shelf), &program, &sum).expect("packed again"), first);
        assert_eq!(files().len(), 1);
        for number in 0..2 * KEPT {
            fetch(Some(&shelf), b"many", &format!("{number}")).expect("packed");
        }
        assert_eq!(files().len(), KEPT);
        // Without a place for it, it is packed all the same.
        let nowhere = Shelf("/dev/null/packed".into());
        assert_eq!(fetch(Some(&nowhere), &program, &sum).expect("packed"), first);
    }

    #[test]
    fn pieces_packed_side_by_side_are_one_file() {
        let bytes: Vec<u8> = (0..3 * LEAST + 17).map(|i| (i / 7 % 251) as u8).collect();
        let check = |bytes: &[u8], pieces: usize, members: usize| {
            let packed = pack(bytes, pieces).expect("packed");
            let mut unpacked = Vec::new();
            flate2::read::MultiGzDecoder::new(&packed[..]).read_to_end(&mut unpacked).expect("unpack");
            assert!(unpacked == bytes, "{} bytes in {pieces}", bytes.len());
            assert_eq!(packed.windows(3).filter(|w| *w == b"\x1f\x8b\x08").count(), members);
        };
        check(&bytes, 2, 2);
        check(&bytes, 64, 4);
        check(&bytes[..100], 8, 1);
        check(&[], 8, 1);
    }
}

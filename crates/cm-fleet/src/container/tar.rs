//! Just enough of tar: writing the few files that go into a container, and finding files in an image's archive. PURE.

/// The size everything is rounded up to.
pub const BLOCK: usize = 512;

/// A file or directory to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Put<'a> {
    /// Its path, relative; a directory's ends with `/`.
    pub path: &'a str,
    /// Its permissions.
    pub mode: u32,
    /// Whose it is.
    pub owner: (u32, u32),
    /// What is in it.
    pub bytes: &'a [u8],
}

/// An archive of these. Paths are ours and short.
pub fn write(files: &[Put<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        out.extend_from_slice(&header(file));
        out.extend_from_slice(file.bytes);
        out.resize(out.len().next_multiple_of(BLOCK), 0);
    }
    out.resize(out.len() + 2 * BLOCK, 0);
    out
}

/// A file's header in the format `ustar`.
pub fn header(file: &Put<'_>) -> [u8; BLOCK] {
    let mut block = [0_u8; BLOCK];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &file.path.as_bytes()[..file.path.len().min(100)]);
    put(100, format!("{:07o}\0", file.mode).as_bytes());
    put(108, format!("{:07o}\0", file.owner.0 & 0o7_777_777).as_bytes());
    put(116, format!("{:07o}\0", file.owner.1 & 0o7_777_777).as_bytes());
    put(124, format!("{:011o}\0", file.bytes.len()).as_bytes());
    put(136, b"00000000000\0");
    put(148, b"        ");
    put(156, if file.path.ends_with('/') { b"5" } else { b"0" });
    put(257, b"ustar\x0000");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// What a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The path, without `./` before it.
    pub path: String,
    /// Bytes that follow.
    pub size: u64,
    /// A file, as opposed to a directory, a link or a note about the next entry.
    pub file: bool,
    /// A note about the next entry.
    pub note: bool,
}

/// Reads a header; `None` at the archive's end.
///
/// # Errors
/// It is none.
pub fn read(block: &[u8; BLOCK]) -> Result<Option<Entry>, String> {
    if block.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let said = octal(&block[148..156]).ok_or("its checksum is no number")?;
    let sum: u64 = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u64::from(*byte) })
        .sum();
    if said != sum {
        return Err("a header's checksum is wrong: it is no tar archive, or damaged".to_owned());
    }
    let size = number(&block[124..136]).ok_or("a size is no number")?;
    let text = |bytes: &[u8]| {
        let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
        String::from_utf8_lossy(&bytes[..end]).into_owned()
    };
    let name = text(&block[..100]);
    let prefix = if block[257..262] == *b"ustar" && block[263] == b'0' {
        text(&block[345..500])
    } else {
        String::new()
    };
    let path = if prefix.is_empty() { name } else { format!("{prefix}/{name}") };
    let path = path.trim_start_matches("./").to_owned();
    let (file, note) = (matches!(block[156], b'0' | 0), matches!(block[156], b'x' | b'L' | b'K'));
    Ok(Some(Entry { path, size, file, note }))
}

fn octal(bytes: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(bytes).ok()?.trim_matches(['\0', ' ']);
    if text.is_empty() { Some(0) } else { u64::from_str_radix(text, 8).ok() }
}

/// A number in octal, or in base 256 where it is large.
fn number(bytes: &[u8]) -> Option<u64> {
    if bytes[0] & 0x80 == 0 {
        return octal(bytes);
    }
    let low = bytes.get(bytes.len() - 8..)?;
    Some(low.iter().fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte)))
}

/// The first file of an archive that stands in memory whole.
pub fn first(archive: &[u8]) -> Option<&[u8]> {
    let mut rest = archive;
    while let Some(block) = rest.first_chunk::<BLOCK>() {
        let entry = read(block).ok()??;
        let size = usize::try_from(entry.size).ok()?;
        let body = rest.get(BLOCK..BLOCK + size)?;
        if entry.file {
            return Some(body);
        }
        rest = rest.get(BLOCK + size.next_multiple_of(BLOCK)..)?;
    }
    None
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn what_is_written_can_be_read_by_tar_and_by_us() {
        let files = [
            Put { path: "d/", mode: 0o700, owner: (1000, 7), bytes: b"" },
            Put { path: "d/config.json", mode: 0o600, owner: (1000, 7), bytes: b"{\"a\":1}" },
        ];
        let archive = write(&files);
        let mut tar = Command::new("tar")
            .args(["--numeric-owner", "-tvf", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("tar");
        tar.stdin.take().expect("stdin").write_all(&archive).expect("write");
        let output = tar.wait_with_output().expect("output");
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[0][..3], ["drwx------", "1000/7", "0"], "{text}");
        assert_eq!(lines[1][..3], ["-rw-------", "1000/7", "7"], "{text}");
        assert_eq!(first(&archive), Some(&b"{\"a\":1}"[..]));
        let entry = read(archive.first_chunk().expect("a block")).expect("a header").expect("an entry");
        assert_eq!(entry, Entry { path: "d/".into(), size: 0, file: false, note: false });
    }

    #[test]
    fn what_is_no_archive() {
        assert!(read(&[7; BLOCK]).is_err());
        assert_eq!(read(&[0; BLOCK]), Ok(None));
        assert_eq!(first(b"short"), None);
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0]), Some(256));
    }
}

//! SHA256SUMS: the checksums of everything in a release, as `sha256sum --check` reads them.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use sha2::{Digest as _, Sha256};

use crate::failure::Failure;

/// The file's name. Its presence tells a release of ours from a directory of somebody else's.
pub const NAME: &str = "SHA256SUMS";

/// Writes it anew; the files in it, by name, with their sizes in bytes.
pub fn write(out: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let mut files = Vec::new();
    let mut text = String::new();
    for name in below(out, "")? {
        let path = out.join(&name);
        let bytes = fs::read(&path).map_err(Failure::file("read", &path))?;
        for byte in Sha256::digest(&bytes) {
            // A String takes everything.
            let _ = write!(text, "{byte:02x}");
        }
        text += &format!("  {name}\n");
        files.push((name, bytes.len() as u64));
    }
    let path = out.join(NAME);
    fs::write(&path, text).map_err(Failure::file("write", &path))?;
    Ok(files)
}

/// The files in a directory and those below it, sorted, relative to `out`.
fn below(out: &Path, dir: &str) -> Result<Vec<String>, Failure> {
    let path = out.join(dir);
    let mut names = Vec::new();
    for entry in fs::read_dir(&path).map_err(Failure::file("read", &path))? {
        let entry = entry.map_err(Failure::file("read", &path))?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = if dir.is_empty() { name } else { format!("{dir}/{name}") };
        let kind = entry.file_type().map_err(Failure::file("read", entry.path()))?;
        if kind.is_dir() {
            names.extend(below(out, &name)?);
        } else if name != NAME {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sh::{Run, SHORT};

    #[test]
    fn what_sha256sum_reads() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("man/man1")).unwrap();
        fs::write(dir.path().join("man/man1/a.1"), "page").unwrap();
        fs::write(dir.path().join("b"), "").unwrap();
        fs::write(dir.path().join(NAME), "old").unwrap();
        let files = write(dir.path()).unwrap();
        assert_eq!(files, [("b".to_owned(), 0), ("man/man1/a.1".to_owned(), 4)]);
        let said = Run::new("sha256sum").args(["--check", "--strict", NAME]).dir(dir.path()).capture(SHORT);
        assert_eq!(said.unwrap(), "b: OK\nman/man1/a.1: OK\n");
    }
}

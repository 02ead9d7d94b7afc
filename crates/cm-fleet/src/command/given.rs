//! What a command line names: directories here and there, files to read.

use std::io::Read;
use std::path::Path;

use crate::failure::Failure;

/// Bytes of a file of tasks at most.
const FILE_BYTES: u64 = 16 << 20;

/// The next move where `--path` cannot be used.
const OTHER_PATH: &str = "make that directory, or name another one with --path";

/// A directory on a host, which only its agent can check: `~` and what is below, or an absolute path.
pub(super) fn remote_directory(path: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = path else { return Ok("~".to_owned()) };
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::usage(format!("the path {} is not UTF-8", path.display()))),
    }
}

/// A directory on this machine, checked.
pub(super) fn directory(path: Option<&Path>) -> Result<String, Failure> {
    let path = match path {
        Some(path) => std::path::absolute(path),
        None => std::env::current_dir(),
    }
    .map_err(|e| {
        Failure::usage("cannot tell the current directory").because(&e).hint("name one with --path")
    })?;
    let shown = path.display().to_string();
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => path
            .into_os_string()
            .into_string()
            .map_err(|_| Failure::usage(format!("the path {shown} is not UTF-8"))),
        Ok(_) => Err(Failure::usage(format!("--path {shown} is not a directory")).hint(OTHER_PATH)),
        Err(e) => Err(Failure::usage(format!("--path {shown} cannot be used")).because(&e).hint(OTHER_PATH)),
    }
}

/// What stands in a file, or on standard input for `-`; at most 16 MiB.
pub(super) fn read(what: &str, path: &Path) -> Result<String, Failure> {
    let cannot =
        |e: &std::io::Error| Failure::usage(format!("cannot read {what} {}", path.display())).because(e);
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|e| cannot(&e))?)
    };
    let mut text = String::new();
    source.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| cannot(&e))?;
    if text.len() as u64 > FILE_BYTES {
        return Err(Failure::usage(format!("{what} {} is over 16 MiB", path.display())));
    }
    Ok(text)
}

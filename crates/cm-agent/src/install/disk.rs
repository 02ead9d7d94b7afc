//! Changes to the disk: each one whole or not at all, on the disk when it returns, and asked of the host first.

use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::host::Host;

/// Makes a directory and those above it; ours alone where it is new.
pub fn make_dir(host: &mut dyn Host, path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    host.before(&format!("make {}", path.display()))?;
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    path.parent().map_or(Ok(()), sync)
}

/// Closes a directory of ours to everybody else.
pub fn close_dir(host: &mut dyn Host, path: &Path) -> io::Result<()> {
    if fs::metadata(path)?.permissions().mode() & 0o077 != 0 {
        host.before(&format!("close {}", path.display()))?;
        fs::set_permissions(path, Permissions::from_mode(0o700))?;
    }
    Ok(())
}

/// Writes a file: what was there stays until the new text is whole and on the disk.
pub fn write(host: &mut dyn Host, path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    host.before(&format!("write {}", path.display()))?;
    let fresh = beside(path);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(mode).open(&fresh)?;
        // The file may be a leftover, and the umask may have taken something.
        file.set_permissions(Permissions::from_mode(mode))?;
        file.write_all(bytes)?;
        file.sync_all()
    })();
    finish(host, written, &fresh, path)
}

/// [`write`]s a value as JSON that only we can read.
pub fn write_json<T: Serialize>(host: &mut dyn Host, path: &Path, value: &T) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    write(host, path, &text, 0o600)
}

/// Copies a program.
pub fn copy(host: &mut dyn Host, from: &Path, to: &Path) -> io::Result<()> {
    host.before(&format!("copy to {}", to.display()))?;
    let fresh = beside(to);
    let copied = (|| {
        let mut source = File::open(from)?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&fresh)?;
        io::copy(&mut source, &mut file)?;
        file.set_permissions(Permissions::from_mode(0o755))?;
        file.sync_all()
    })();
    finish(host, copied, &fresh, to)
}

/// Moves a program to its place, its bytes synced.
pub fn take(host: &mut dyn Host, from: &Path, to: &Path) -> io::Result<()> {
    host.before(&format!("move to {}", to.display()))?;
    File::open(from)?.sync_all()?;
    fs::set_permissions(from, Permissions::from_mode(0o755))?;
    fs::rename(from, to)?;
    to.parent().map_or(Ok(()), sync)
}

/// Makes a link point there, at once.
pub fn link(host: &mut dyn Host, target: &Path, path: &Path) -> io::Result<()> {
    if fs::read_link(path).is_ok_and(|there| there == target) {
        return Ok(());
    }
    host.before(&format!("link {}", path.display()))?;
    let fresh = beside(path);
    remove_quietly(&fresh);
    let linked = symlink(target, &fresh);
    finish(host, linked, &fresh, path)
}

/// Removes a file, a link, or a directory with all that is in it. What is not there is as good.
pub fn remove(host: &mut dyn Host, path: &Path) -> io::Result<()> {
    let Ok(meta) = fs::symlink_metadata(path) else { return Ok(()) };
    host.before(&format!("remove {}", path.display()))?;
    let removed = if meta.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => path.parent().map_or(Ok(()), sync),
    }
}

fn finish(host: &mut dyn Host, done: io::Result<()>, fresh: &Path, path: &Path) -> io::Result<()> {
    let renamed = done
        .and_then(|()| host.before(&format!("put {} in place", path.display())))
        .and_then(|()| fs::rename(fresh, path));
    if renamed.is_err() && host.before("tidy up").is_ok() {
        // Half a file is of no use to anyone.
        remove_quietly(fresh);
    }
    renamed?;
    path.parent().map_or(Ok(()), sync)
}

fn remove_quietly(path: &Path) {
    // Not there is as good; anything else shows when it is written over.
    let _ = fs::remove_file(path);
}

/// A name beside another, for what is not whole yet.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(".new");
    path.with_file_name(name)
}

/// Puts a directory's entries on the disk.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

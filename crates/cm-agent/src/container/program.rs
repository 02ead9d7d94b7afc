//! The agent's own program in the volume, so that processes in the keeper's container find the one that started them.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

use super::Volume;
use crate::host::identity;

/// The program's name in its directory.
const NAME: &str = "cm-agent";

/// It cannot be put there.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}: {source}", path.display())]
pub struct ProgramError {
    act: &'static str,
    path: PathBuf,
    source: io::Error,
}

fn at<'a>(act: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> ProgramError + 'a {
    move |source| ProgramError { act, path: path.to_path_buf(), source }
}

/// Copies this process's program to `bin/<sha256>/cm-agent`, whole or not at all; where it is now.
///
/// # Errors
/// The volume is full, or programs may not be run from it.
pub fn install(volume: &Volume) -> Result<PathBuf, ProgramError> {
    let own = Path::new("/proc/self/exe");
    let unread = || io::Error::other("it cannot be read");
    let sha = identity::binary_sha256().ok_or_else(unread).map_err(at("hash", own))?;
    let dir = volume.programs().join(sha);
    let path = dir.join(NAME);
    if identity::sha256_of(&path).ok().as_deref() != Some(sha) {
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&dir).map_err(at("make", &dir))?;
        copy(own, &dir, &path)?;
    }
    access(&path, Access::EXEC_OK)
        .map_err(io::Error::from)
        .map_err(at("run programs from the volume (is it mounted noexec?):", &path))?;
    Ok(path)
}

fn copy(own: &Path, dir: &Path, path: &Path) -> Result<(), ProgramError> {
    let fresh = dir.join(format!(".{NAME}-{}", std::process::id()));
    let written = || -> io::Result<()> {
        let mut from = File::open(own)?;
        let mut to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o755).open(&fresh)?;
        io::copy(&mut from, &mut to)?;
        // Whatever the umask was.
        to.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
        to.sync_all()?;
        drop(to);
        fs::rename(&fresh, path)?;
        File::open(dir)?.sync_all()
    };
    written().map_err(|source| {
        // Half a program is of no use.
        let _ = fs::remove_file(&fresh);
        at("write", path)(source)
    })
}

/// Removes the programs of earlier agents that no process runs any more; how many. Where it cannot be seen what
/// runs, all stay.
pub fn remove_unused(volume: &Volume) -> usize {
    let dir = volume.programs();
    let own = identity::binary_sha256().unwrap_or_default();
    let Ok(entries) = fs::read_dir(&dir) else { return 0 };
    let old = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let old: Vec<String> = old.filter(|name| is_digest(name) && name != own).collect();
    if old.is_empty() {
        return 0;
    }
    let Some(used) = in_use(&dir) else { return 0 };
    let unused = old.iter().filter(|name| !used.contains(*name));
    unused.filter(|name| fs::remove_dir_all(dir.join(name)).is_ok()).count()
}

fn is_digest(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

/// The digests of the programs in `dir` that run; `None` where processes cannot be seen at all.
fn in_use(dir: &Path) -> Option<BTreeSet<String>> {
    let uid = rustix::process::getuid().as_raw();
    let mut used = BTreeSet::new();
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let is_process = process.file_name().to_str().is_some_and(|name| name.parse::<u32>().is_ok());
        if !is_process || fs::metadata(process.path()).map_or(true, |meta| meta.uid() != uid) {
            continue;
        }
        match fs::read_link(process.path().join("exe")) {
            Ok(program) => used.extend(digest(dir, &program)),
            // It has ended meanwhile, or only its exit status is left.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            // The kernel shows only what it was called as, which is by its whole path.
            Err(_) => used.extend(called(&process.path()).and_then(|program| digest(dir, &program))),
        }
    }
    Some(used)
}

/// The first word of a process's command line.
fn called(process: &Path) -> Option<PathBuf> {
    let words = fs::read(process.join("cmdline")).ok()?;
    let first = words.split(|byte| *byte == 0).next().filter(|word| !word.is_empty())?;
    Some(PathBuf::from(std::ffi::OsStr::from_bytes(first)))
}

/// PURE. `<sha256>` of `<dir>/<sha256>/…`.
fn digest(dir: &Path, program: &Path) -> Option<String> {
    let below = program.strip_prefix(dir).ok()?.components().next()?;
    below.as_os_str().to_str().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn the_program_is_there_once_whole_and_old_ones_go_when_nothing_runs_them() {
        let dir = tempfile::tempdir().expect("a directory");
        let volume = Volume { path: dir.path().to_path_buf() };
        let path = install(&volume).expect("installed");
        let sha = identity::binary_sha256().expect("read");
        assert_eq!(path, volume.programs().join(sha).join(NAME));
        assert_eq!(identity::sha256_of(&path).expect("read"), sha);
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o755);
        // Torn by whatever: it is made anew.
        fs::write(&path, "half").expect("written");
        assert_eq!(identity::sha256_of(&install(&volume).expect("installed")).expect("read"), sha);

        let old = |digit: &str| {
            let dir = volume.programs().join(digit.repeat(64));
            fs::create_dir(&dir).expect("made");
            fs::copy("/bin/sleep", dir.join(NAME)).expect("copied");
            dir
        };
        let (running, idle) = (old("a"), old("b"));
        let mut process = Command::new(running.join(NAME)).arg("600").spawn().expect("started");
        assert_eq!(remove_unused(&volume), 1);
        assert!(running.exists() && !idle.exists() && path.exists());
        process.kill().and_then(|()| process.wait().map(drop)).expect("ended");
        assert_eq!(remove_unused(&volume), 1);
        assert!(!running.exists() && path.exists());
        assert_eq!(remove_unused(&volume), 0);
    }

    #[test]
    fn programs_are_told_by_their_directory() {
        #[track_caller]
        fn check(program: &str, expected: Option<&str>) {
            assert_eq!(digest(Path::new("/v/bin"), Path::new(program)).as_deref(), expected);
        }
        check("/v/bin/abc/cm-agent", Some("abc"));
        check("/v/bin/abc/cm-agent (deleted)", Some("abc"));
        check("/v/bin", None);
        check("/usr/bin/tmux", None);
    }
}

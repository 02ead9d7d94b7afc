//! Reading ssh's configuration files, only to see which hosts they name.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use super::alike::{self, Line, Names};
use crate::known_hosts::pattern;

/// The most that is read of one file, in bytes.
const BYTES: u64 = 1 << 20;
/// The most files.
const FILES: usize = 200;
/// The system's own.
const SYSTEM: &str = "/etc/ssh";

/// What the files say of names that ssh reads with `config` in place of the user's own. `None` where ssh has to be
/// asked about every host: something cannot be read, or means each host differently.
pub fn names(config: Option<&Path>) -> Option<Names> {
    let mut reading = Reading { names: Names::default(), left: FILES };
    match config {
        Some(file) => {
            let own = own_dir()?;
            reading.file(file, &own, true)?;
        }
        None => {
            let own = own_dir()?;
            reading.file(&own.join("config"), &own, false)?;
            reading.file(&Path::new(SYSTEM).join("ssh_config"), Path::new(SYSTEM), false)?;
        }
    }
    Some(reading.names)
}

/// `~/.ssh` as ssh finds it: by the password file, whatever `HOME` says.
fn own_dir() -> Option<PathBuf> {
    let uid = rustix::process::getuid().as_raw().to_string();
    let text = read(Path::new("/etc/passwd"))?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(uid.as_str()))?;
    line.split(':').nth(5).map(|home| Path::new(home).join(".ssh"))
}

struct Reading {
    names: Names,
    left: usize,
}

impl Reading {
    fn file(&mut self, path: &Path, dir: &Path, needed: bool) -> Option<()> {
        self.left = self.left.checked_sub(1)?;
        if !needed && !path.exists() {
            return Some(());
        }
        for line in alike::lines(&read(path)?)? {
            match line {
                Line::Host(patterns) => self.names.add(patterns),
                Line::Include(patterns) => {
                    for pattern in patterns {
                        self.include(&pattern, dir)?;
                    }
                }
            }
        }
        Some(())
    }

    /// Files of one directory; wildcards in its own name are left to ssh.
    fn include(&mut self, wanted: &str, dir: &Path) -> Option<()> {
        let path = match wanted.strip_prefix("~/") {
            Some(rest) => own_dir()?.parent()?.join(rest),
            None => dir.join(wanted),
        };
        let (parent, name) = (path.parent()?, path.file_name()?.to_str()?);
        if parent.to_str()?.contains(['*', '?', '[']) || wanted.starts_with('~') && !wanted.starts_with("~/")
        {
            return None;
        }
        if name.contains(['[', ']']) {
            return None;
        }
        let Ok(found) = fs::read_dir(parent) else { return Some(()) };
        for entry in found {
            let entry = entry.ok()?.file_name();
            // One whose name is no text is matched by a star, perhaps.
            if pattern::matches(name, entry.to_str()?) {
                self.file(&parent.join(&entry), dir, false)?;
            }
        }
        Some(())
    }
}

fn read(path: &Path) -> Option<String> {
    let mut text = String::new();
    let read = File::open(path).ok()?.take(BYTES + 1).read_to_string(&mut text).ok()?;
    (read as u64 <= BYTES).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_files_are_looked_through() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = |name: &str| dir.path().join(name);
        let put = |name: &str, text: &str| fs::write(path(name), text).expect("write");
        put("main", &format!("Include {0}/more.d/*.conf {0}/none/*.conf\nHost a\n", dir.path().display()));
        fs::create_dir(path("more.d")).expect("a directory");
        put("more.d/one.conf", "Host b*\n");
        put("more.d/two.txt", "Host c\n");
        let check = |host: &str, unnamed: bool| {
            let names = names(Some(&path("main"))).expect("it can be told");
            assert_eq!(names.unnamed(host), unnamed, "{host}");
        };
        check("a", false);
        check("b7", false);
        check("c", true);
        put("more.d/one.conf", "Match all\n");
        assert_eq!(names(Some(&path("main"))), None);
        assert_eq!(names(Some(&path("missing"))), None);
        put("main", &format!("Include {}/main\n", dir.path().display()));
        assert_eq!(names(Some(&path("main"))), None, "a circle");
    }
}

//! The names of hosts in a user's ssh configuration. What it says of them is left to ssh.

use std::io::Read;
use std::path::{Path, PathBuf};

use super::range::{glob, is_glob};
use super::resolve::host_name;

/// Bytes of one file at most.
const BYTES: u64 = 1 << 20;
/// Files read at most, and how deep they may include each other.
const FILES: usize = 256;
const DEPTH: usize = 16;
/// Names kept at most.
const NAMES: usize = 10_000;
/// Where code is kept, not run.
const FORGES: &[&str] =
    &["github.com", "gitlab.com", "bitbucket.org", "codeberg.org", "ssh.dev.azure.com", "git.sr.ht"];

/// Names of hosts in `~/.ssh/config` and what it includes, in its order. None without wildcards is left out
/// but forges of code. What cannot be read is left out, too: ssh says so when it matters.
pub fn names(home: &Path) -> Vec<String> {
    let ssh = home.join(".ssh");
    let mut reading = Reading { home, ssh: &ssh, files: 0, names: Vec::new() };
    reading.file(&ssh.join("config"), 0);
    reading.names
}

struct Reading<'a> {
    home: &'a Path,
    ssh: &'a Path,
    files: usize,
    names: Vec<String>,
}

impl Reading<'_> {
    fn file(&mut self, path: &Path, depth: usize) {
        self.files += 1;
        if depth > DEPTH || self.files > FILES {
            return;
        }
        for line in read(path).unwrap_or_default().lines() {
            let mut words = words(line).into_iter();
            match words.next().map(|word| word.to_lowercase()).as_deref() {
                Some("host") => words.for_each(|name| self.name(name)),
                Some("include") => {
                    for path in words.flat_map(|pattern| self.included(&pattern)).collect::<Vec<_>>() {
                        self.file(&path, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }

    fn name(&mut self, name: String) {
        let pattern = is_glob(&name) || name.starts_with('!');
        let useful = !pattern && host_name(&name).is_ok() && !FORGES.contains(&name.as_str());
        if useful && self.names.len() < NAMES && !self.names.contains(&name) {
            self.names.push(name);
        }
    }

    fn included(&self, pattern: &str) -> Vec<PathBuf> {
        let path = match pattern.strip_prefix("~/") {
            Some(rest) => self.home.join(rest),
            None => self.ssh.join(pattern),
        };
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !is_glob(name) {
            return vec![path];
        }
        let entries =
            path.parent().and_then(|dir| std::fs::read_dir(dir).ok()).into_iter().flatten().flatten();
        let fits = |file: &std::ffi::OsStr| {
            file.to_str().is_some_and(|text| !text.starts_with('.') && glob(name, text))
        };
        let mut found: Vec<PathBuf> =
            entries.filter(|entry| fits(&entry.file_name())).map(|entry| entry.path()).collect();
        found.sort();
        found
    }
}

fn read(path: &Path) -> Option<String> {
    // A pipe could be waited for in vain.
    let file = std::fs::metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)
        .and_then(|_| std::fs::File::open(path).ok());
    let mut bytes = Vec::new();
    file?.take(BYTES).read_to_end(&mut bytes).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

/// The words of a line: after the first one there may be a `=`; words may stand in double quotes.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() && !rest.starts_with('#') {
        let end = |sign: char| sign.is_whitespace() || (words.is_empty() && sign == '=');
        let (word, after) = match rest.strip_prefix('"') {
            Some(inner) => inner.split_once('"').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(end).unwrap_or(rest.len())),
        };
        words.push(word.to_owned());
        rest = after.trim_start();
        if words.len() == 1 {
            rest = rest.strip_prefix('=').unwrap_or(rest).trim_start();
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_hosts_includes_followed() {
        let home = tempfile::tempdir().expect("a directory");
        let ssh = home.path().join(".ssh");
        std::fs::create_dir_all(ssh.join("conf.d")).expect("made");
        let write = |name: &str, text: &str| std::fs::write(ssh.join(name), text).expect("written");
        assert!(names(home.path()).is_empty());
        let config = "# mine\nInclude conf.d/*.conf ~/.ssh/extra none\nHost one two *.lan !three\n  HostName 10.0.0.1\n\
            host=four\nHOST \"five\" six # seven\nHost github.com\nHost one\nMatch host eight\nHost -x a@b ni?e\n\
            Include config\n";
        write("config", config);
        write("conf.d/b.conf", "Host b");
        write("conf.d/a.conf", "Host a\nInclude extra");
        write("conf.d/c.txt", "Host c");
        write("extra", "Host = extra");
        assert_eq!(names(home.path()).join(" "), "a extra b one two four five six");
    }
}

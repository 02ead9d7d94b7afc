//! Which version of a tool is installed: asked of the tool itself, once for each program file.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tokio::io::AsyncReadExt;

/// How long a tool may take to say its version: those in scripting languages take seconds to start.
const DEADLINE: Duration = Duration::from_secs(15);
/// Bytes that are read of what it says.
const BYTES: u64 = 4096;

/// Versions that were asked for, by the file they were asked of.
#[derive(Debug, Default)]
pub(super) struct Versions {
    known: Mutex<HashMap<Key, Option<String>>>,
}

/// A program file as it was: another size or time is another program.
type Key = (PathBuf, u64, Option<SystemTime>);

impl Versions {
    /// The version of a program that says it when called with these arguments; `None` if it does not.
    /// `env`: what it runs with.
    pub(super) async fn of(
        &self,
        program: &Path,
        args: &[String],
        env: &BTreeMap<String, String>,
    ) -> Option<String> {
        if args.is_empty() {
            return None;
        }
        let file = program.to_owned();
        let meta = tokio::task::spawn_blocking(move || std::fs::metadata(file)).await.ok()?.ok()?;
        let key = (program.to_owned(), meta.len(), meta.modified().ok());
        let known = |versions: &Self| {
            versions.known.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned()
        };
        if let Some(version) = known(self) {
            return version;
        }
        let version = ask(program, args, env).await;
        // What did not answer in time may do so later.
        if version.is_some() {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() > 256 {
                known.clear();
            }
            known.insert(key, version.clone());
        }
        version
    }
}

async fn ask(program: &Path, args: &[String], env: &BTreeMap<String, String>) -> Option<String> {
    let mut child = tokio::process::Command::new(program)
        .args(args)
        .env_clear()
        .envs(env)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let mut text = Vec::new();
    let out = child.stdout.take()?;
    let read = async {
        let _ = out.take(BYTES).read_to_end(&mut text).await;
        child.wait().await.ok()
    };
    tokio::time::timeout(DEADLINE, read).await.ok()??.success().then_some(())?;
    version_in(&String::from_utf8_lossy(&text))
}

/// The first thing in a text that looks like a version: `2.1.330`, `0.86.2.dev1`.
pub(super) fn version_in(text: &str) -> Option<String> {
    text.split(|c: char| c.is_whitespace() || matches!(c, '(' | ')' | ',' | '/' | '@')).find_map(|word| {
        let word = word.strip_prefix(['v', 'V']).unwrap_or(word);
        let digits =
            word.split('.').take_while(|part| part.starts_with(|c: char| c.is_ascii_digit())).count();
        (digits >= 2 && word.len() <= 64).then(|| word.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(version_in(text).as_deref(), expected, "{text:?}");
    }

    #[test]
    fn versions_stand_anywhere_in_a_line() {
        check("2.1.330 (Claude Code)\n", Some("2.1.330"));
        check("codex-cli 0.169.0", Some("0.169.0"));
        check("aider 0.86.2", Some("0.86.2"));
        check("v1.2", Some("1.2"));
        check("tool/3.0.0-beta.1 linux-x64", Some("3.0.0-beta.1"));
        check("usage: tool [options]", None);
        check("error: 404", None);
        check("", None);
    }
}

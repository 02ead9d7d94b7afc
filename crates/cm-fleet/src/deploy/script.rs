//! The commands a host is given: what it is, and a program that installs itself there. PURE.
//!
//! Each is one word for the login shell, whatever that is (`/bin/sh -c '…'`, which fish reads as sh does), so
//! there is neither a quote nor a backslash in them. What a login prints before ours is told apart by marks.
//! Nothing that must stay secret is in a command: manifests go to standard input.

use std::fmt;

/// Stands alone on a line before the answer.
pub const BEGIN: &str = "cm-fleet:begin";
/// Stands alone on a line after the answer.
pub const END: &str = "cm-fleet:end";
/// Stands alone on a line where [`ask_and_wait`] waits for what is to be done.
pub const WAITS: &str = "cm-fleet:waits";
/// What it is told: a program follows, which installs itself.
const PUSH: &str = "push";
/// What it is told: the program that is there installs itself anew.
const INSTALL: &str = "install";
/// Exit codes of [`ask_and_wait`] that are not the installation's own: the directory could not be made.
pub const NO_DIRECTORY: i32 = 90;
/// What was sent could not be unpacked: it broke off, was changed on its way, or the disk is full.
pub const NOT_UNPACKED: i32 = 91;
/// The unpacked program could not be started from there.
pub const NOT_STARTED: i32 = 92;

/// Where an agent is installed unless the inventory says otherwise, below the user's home.
pub const DEFAULT_DIR: &str = "~/.local/share/cm-agent";

/// A directory on a host that may stand in a script: absolute or below `~/`, of harmless characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dir(String);

/// A directory that may not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot be an agent's directory: it must begin with / or ~/, and have only letters, digits and ._-+@/ in it"
)]
pub struct BadDir(pub String);

impl Dir {
    /// Checks it.
    ///
    /// # Errors
    /// It is relative, the root, or has characters that a shell might take for its own.
    pub fn new(text: &str) -> Result<Self, BadDir> {
        let path = text.strip_prefix('~').unwrap_or(text).trim_end_matches('/');
        let harmless = |c: char| c.is_ascii_alphanumeric() || "._-+@/".contains(c);
        if !path.starts_with('/') || !path.chars().all(harmless) || path.split('/').any(|part| part == "..") {
            return Err(BadDir(text.to_owned()));
        }
        Ok(Self(text.trim_end_matches('/').to_owned()))
    }

    /// The directory as a word of a shell's.
    fn word(&self) -> String {
        match self.0.strip_prefix("~/") {
            Some(rest) => format!("\"$HOME/{rest}\""),
            None => format!("\"{}\"", self.0),
        }
    }
}

impl Default for Dir {
    fn default() -> Self {
        Self(DEFAULT_DIR.to_owned())
    }
}

impl fmt::Display for Dir {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The flag with which an agent looks closer, for [`ask`].
pub const DOCTOR: &str = "--doctor";

/// Asks a host what it is: the installed agent answers where there is one, else the shell says what it can.
/// Changes nothing. `more`: a flag for the agent's `facts` (`--doctor`).
pub fn ask(dir: &Dir, more: &str) -> String {
    in_sh(&question(dir, more))
}

/// [`ask`], and then waits, after [`WAITS`], for what is to be done: see [`todo()`]. With the end of its input it ends
/// and has changed nothing. One command for both saves a host a login shell, and us two round trips.
pub fn ask_and_wait(dir: &Dir) -> String {
    let question = question(dir, "");
    in_sh(&format!(
        r#"{question}
echo {WAITS}
IFS=" " read -r w k || exit 0
IFS= read -r m || exit 0
umask 077
trap "" HUP
case "$w" in
{INSTALL})
t="$d/current/cm-agent"
;;
{PUSH})
mkdir -p "$d" || exit {NO_DIRECTORY}
t="$d/.push-$k"
tidy() {{ if test -e "$t"; then rm -f "$t"; rmdir "$d" 2>/dev/null; fi; }}
trap tidy EXIT
gzip -dc > "$t" || exit {NOT_UNPACKED}
chmod 700 "$t" || exit {NO_DIRECTORY}
;;
esac
echo {BEGIN}
"$t" install --dir "$d" <<_
$m
_
c=$?
case $c in 126|127|132|139) exit {NOT_STARTED};; esac
exit $c"#
    ))
}

/// What [`ask_and_wait`] is told on its standard input: to install as `manifest` says (one line). With `push` the
/// program follows, compressed with gzip; it tells this push from others, `[0-9a-z-]`. Else the installed program does it.
pub fn todo(push: Option<&str>, manifest: &str) -> String {
    debug_assert!(!manifest.contains('\n'), "a manifest is one line");
    match push {
        Some(mark) => format!("{PUSH} {mark}\n{manifest}\n"),
        None => format!("{INSTALL}\n{manifest}\n"),
    }
}

/// The question. As few programs as possible are started: each is 2 ms of the host's.
fn question(dir: &Dir, more: &str) -> String {
    let dir = dir.word();
    format!(
        r#"d={dir}
echo {BEGIN}
if ! "$d/current/cm-agent" facts --dir "$d" {more} 2>/dev/null; then
i=$(id)
n="${{i#uid=}}"; n="${{n%%(*}}"
u="${{i#*(}}"; u="${{u%%)*}}"
read -r h < /proc/sys/kernel/hostname
read -r b < /proc/sys/kernel/random/boot_id
echo arch=$(uname -m)
echo "host=$h"
echo "user=$u"
echo "home=$HOME"
echo now=$(date +%s)
echo "boot=$b"
echo "os=$(. /etc/os-release 2>/dev/null && echo "$PRETTY_NAME")"
test -S "/run/user/$n/systemd/private" && echo manager=1
test -e "/var/lib/systemd/linger/$u" && echo linger=1
s=$(systemctl --version 2>/dev/null)
echo "systemd=${{s%%
*}}"
echo tmux=$(tmux -V 2>/dev/null)
echo git=$(git --version 2>/dev/null)
command -v gzip >/dev/null && echo gzip=1
p="$d"
while test -n "$p" && ! test -e "$p"; do p="${{p%/*}}"; done
test -w "${{p:-/}}" && echo writable=1
s=$(df -Pk "${{p:-/}}" 2>/dev/null)
echo "free=${{s##*
}}"
echo mount=$(findmnt -no OPTIONS -T "${{p:-/}}" 2>/dev/null)
fi
echo {END}"#
    )
}

/// Runs the agent that is installed, with these arguments (which are ours, never a user's).
pub fn installed(dir: &Dir, arguments: &str) -> String {
    let dir = dir.word();
    in_sh(&format!("d={dir}\necho {BEGIN}\nexec \"$d/current/cm-agent\" {arguments} --dir \"$d\""))
}

/// A script as one word that every login shell hands to `/bin/sh` as it is.
pub fn in_sh(script: &str) -> String {
    debug_assert!(!script.contains(['\'', '\\']), "fish reads these otherwise than sh does");
    format!("exec /bin/sh -c '{script}'")
}

/// What a host printed after [`BEGIN`].
pub fn after_mark(printed: &str) -> Option<&str> {
    let mut rest = printed;
    loop {
        let (line, after) = rest.split_once('\n')?;
        if line.trim_end_matches('\r') == BEGIN {
            return Some(after);
        }
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn directories() {
        let check = |text: &str, expected: Option<&str>| {
            let got = Dir::new(text).ok().map(|dir| dir.word());
            assert_eq!(got.as_deref(), expected, "{text:?}");
        };
        check("~/.local/share/cm-agent", Some("\"$HOME/.local/share/cm-agent\""));
        check("/opt/cm-agent/", Some("\"/opt/cm-agent\""));
        check("relative", None);
        check("~ada/x", None);
        check("/", None);
        check("~", None);
        check("~/", None);
        check("/opt/../etc", None);
        check("/opt/$(rm)", None);
        check("/opt/a b", None);
        check("/opt/a'b", None);
        check("", None);
    }

    #[test]
    fn nothing_in_the_scripts_means_something_else_to_another_shell() {
        let dir = Dir::default();
        for script in [ask(&dir, ""), ask_and_wait(&dir), installed(&dir, "install confirm")] {
            let inside = script.strip_prefix("exec /bin/sh -c '").and_then(|s| s.strip_suffix('\''));
            assert!(inside.is_some_and(|s| !s.contains(['\'', '\\'])), "{script}");
        }
    }

    #[test]
    fn a_login_that_talks_is_no_answer() {
        let check = |printed: &str, expected: Option<&str>| assert_eq!(after_mark(printed), expected);
        check("Welcome!\ncm-fleet:begin\n{}\n", Some("{}\n"));
        check("cm-fleet:begin\r\nx", Some("x"));
        check("not cm-fleet:begin\n", None);
        check("", None);
    }

    #[test]
    fn the_shell_of_this_machine_understands_the_question() {
        let home = tempfile::tempdir().expect("a directory");
        let output = Command::new("/bin/sh")
            .args(["-c", &ask(&Dir::default(), "")])
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .output()
            .expect("sh");
        let text = String::from_utf8_lossy(&output.stdout);
        let facts = super::super::asked::read(&text).expect("facts");
        assert_eq!(facts.arch, std::env::consts::ARCH);
        assert_eq!(facts.home, home.path().display().to_string());
        assert!(facts.installed.is_none() && facts.disk_free.is_some_and(|free| free > 0), "{facts:?}");
        assert!(String::from_utf8_lossy(&output.stderr).is_empty(), "{output:?}");
    }

    /// What the command prints and how it ends, its standard input being this.
    fn asked(home: &std::path::Path, input: &[u8]) -> (Option<i32>, String) {
        let mut child = Command::new("/bin/sh")
            .args(["-c", &ask_and_wait(&Dir::default())])
            .env("HOME", home)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("sh");
        // A script that gives up early does not read to the end.
        let _ = std::io::Write::write_all(&mut child.stdin.take().expect("stdin"), input);
        let output = child.wait_with_output().expect("output");
        let text = String::from_utf8(output.stdout).expect("text");
        let (facts, rest) = text.split_once(&format!("{WAITS}\n")).expect("it waits");
        super::super::asked::read(facts).expect("facts");
        (output.status.code(), after_mark(rest).unwrap_or_default().to_owned())
    }

    #[test]
    fn what_comes_after_the_answer_is_the_manifest_and_the_program() {
        let home = tempfile::tempdir().expect("a directory");
        let program =
            b"#!/bin/sh\ncase $1 in --version) ;; install) echo \"args $*\"; cat;; *) exit 1;; esac\n";
        let manifest = r#"{"a":"$HOME `x` \\ 'q'","b":"  two  "}"#;
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, program).expect("pack");
        let mut input = todo(Some("m1"), manifest).into_bytes();
        input.extend(packed.finish().expect("pack"));
        let dir = format!("{}/.local/share/cm-agent", home.path().display());
        let done = (Some(0), format!("args install --dir {dir}\n{manifest}\n"));
        assert_eq!(asked(home.path(), &input), done);
        assert!(!std::path::Path::new(&dir).exists(), "what the installation has not taken is gone");
        // Cut off on its way; or nothing was to be done.
        assert_eq!(asked(home.path(), &input[..input.len() - 12]), (Some(NOT_UNPACKED), String::new()));
        assert_eq!(asked(home.path(), b""), (Some(0), String::new()));
        assert_eq!(asked(home.path(), b"push m1\n"), (Some(0), String::new()));
        assert!(!std::path::Path::new(&dir).exists());
        // One that is no program for this machine.
        let mut input = todo(Some("m1"), manifest).into_bytes();
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        std::io::Write::write_all(&mut packed, b"#!/nowhere/interpreter\n").expect("pack");
        input.extend(packed.finish().expect("pack"));
        assert_eq!(asked(home.path(), &input), (Some(NOT_STARTED), String::new()));
        assert!(!std::path::Path::new(&dir).exists());
        // The program that is there does it.
        std::fs::create_dir_all(format!("{dir}/current")).expect("a directory");
        let there = format!("{dir}/current/cm-agent");
        std::fs::write(&there, program).expect("a program");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&there, mode).expect("a mode");
        assert_eq!(asked(home.path(), todo(None, manifest).as_bytes()), done);
    }
}

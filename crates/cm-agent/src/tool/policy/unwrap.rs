//! Programs that run other programs: what is inside of `sudo`, `env`, `timeout`, `xargs`, `sh -c`, `ssh` (PURE).

use super::pattern::{base_name, is_system_program};
use super::place::{GLOB, UNKNOWN, has_unknown, is_exact};

/// A simple command and what is inside of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Unwrapped {
    /// The words as written, then what each wrapper runs, the innermost last.
    pub(super) views: Vec<Vec<String>>,
    /// The view of the outermost wrapper that changes who or where a command is run: it has to be named itself.
    pub(super) guarded: Option<usize>,
    /// The innermost view runs elsewhere: another machine, a container.
    pub(super) elsewhere: bool,
    /// What it runs as a script.
    pub(super) script: Script,
    /// Assignments made by `env`.
    pub(super) assignments: Vec<(String, String)>,
    /// Another directory it runs in, as written.
    pub(super) directory: Option<String>,
    /// Why it is not certain what is run.
    pub(super) unclear: Option<&'static str>,
}

/// Shell text that a command runs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) enum Script {
    #[default]
    None,
    Text(String),
    /// From its standard input.
    Fed,
}

/// Shells whose language is read here.
const SHELLS: [&str; 7] = ["sh", "bash", "zsh", "dash", "ksh", "ash", "mksh"];

/// Whether this program is a shell whose language is read here.
pub(super) fn is_shell(program: &str) -> bool {
    SHELLS.contains(&program)
}

impl Unwrapped {
    /// Whether it runs with other rights: such a command is only allowed by a rule that names the wrapper.
    pub(super) fn raises(&self) -> bool {
        const RAISING: [&str; 14] = [
            "sudo",
            "doas",
            "pkexec",
            "run0",
            "su",
            "sudoedit",
            "runuser",
            "chroot",
            "nsenter",
            "gosu",
            "su-exec",
            "setpriv",
            "machinectl",
            "visudo",
        ];
        self.views.iter().filter_map(|words| words.first()).any(|first| RAISING.contains(&base_name(first)))
    }

    pub(super) fn innermost(&self) -> &[String] {
        self.views.last().map(Vec::as_slice).unwrap_or_default()
    }
}

/// What a wrapper leads to.
enum Step {
    /// No wrapper.
    Nothing,
    /// These words, from this index on.
    Inner(usize),
    /// Whatever it runs, it is not certain.
    Unclear(&'static str),
}

/// Looks through wrappers.
pub(super) fn unwrap(words: Vec<String>) -> Unwrapped {
    let mut result = Unwrapped { views: vec![words], ..Unwrapped::default() };
    for _ in 0..12 {
        let words = result.innermost().to_vec();
        let Some(first) = words.first() else { return result };
        let program = base_name(first).to_owned();
        let is_system = !first.contains('/') || is_system_program(first);
        let step = step(&program, &words, &mut result);
        if !is_system && result.script != Script::None {
            result.unclear.get_or_insert("it starts a program that may be anything");
        }
        match step {
            Step::Nothing => return result,
            Step::Unclear(why) => {
                result.unclear.get_or_insert(why);
                return result;
            }
            Step::Inner(at) if at >= words.len() => return result,
            Step::Inner(at) => {
                if !is_system {
                    result.unclear.get_or_insert("it starts a program that may be anything");
                }
                let mut inner = words[at..].to_vec();
                if program == "xargs" {
                    inner.push(UNKNOWN.to_string());
                    let slot = words[..at].iter().any(|word| {
                        word.starts_with("-I") || word.starts_with("-i") || word.starts_with("--replace")
                    });
                    if slot {
                        inner
                            .iter_mut()
                            .skip(1)
                            .filter(|word| !word.starts_with('-'))
                            .for_each(|word| *word = UNKNOWN.to_string());
                    }
                }
                result.views.push(inner);
            }
        }
    }
    result.unclear = Some("it has too many wrappers");
    result
}

/// Wrappers that change nothing about who runs what, and where; then the others.
fn step(program: &str, words: &[String], result: &mut Unwrapped) -> Step {
    match program {
        "builtin" | "nohup" | "noglob" | "nocorrect" | "-" | "chronic" | "unbuffer" | "eatmydata" => {
            skip_options(words, "", "", &[])
        }
        "command" => match words.get(1).map(String::as_str) {
            Some(option) if option.starts_with('-') && option.contains(['v', 'V']) => Step::Nothing,
            _ => skip_options(words, "p", "", &[]),
        },
        "exec" => skip_options(words, "cl", "a", &[]),
        "time" => skip_options(words, "pv", "", &[]),
        "setsid" => skip_options(words, "cfw", "", &["--fork", "--wait", "--ctty"]),
        "nice" => skip_options(words, "0123456789", "n", &["--adjustment="]),
        "ionice" => skip_options(words, "t", "cn", &["--class=", "--classdata=", "--ignore"]),
        "stdbuf" => skip_options(words, "", "ioe", &["--input=", "--output=", "--error="]),
        "busybox" | "toybox" => skip_options(words, "", "", &[]),
        "timeout" | "gtimeout" => {
            let known = ["--foreground", "--preserve-status", "--verbose", "--kill-after=", "--signal="];
            match skip_options(words, "v", "ks", &known) {
                Step::Inner(duration) => Step::Inner(duration + 1),
                other => other,
            }
        }
        "env" => env(words, result),
        "xargs" => {
            let known = [
                "--null",
                "--no-run-if-empty",
                "--verbose",
                "--exit",
                "--max-args=",
                "--max-procs=",
                "--max-lines=",
                "--delimiter=",
                "--replace=",
                "--replace",
                "--max-chars=",
            ];
            skip_options(words, "0rtxoi", "InPLdEs", &known)
        }
        shell if is_shell(shell) => shell_script(words, result),
        _ => guarded_step(program, words, result),
    }
}

/// Wrappers that have to be named themselves, and those whose inside is a text.
fn guarded_step(program: &str, words: &[String], result: &mut Unwrapped) -> Step {
    let at = result.views.len() - 1;
    match program {
        "sudo" | "doas" | "pkexec" | "run0" | "chroot" | "runuser" | "unshare" | "nsenter"
        | "systemd-run" | "gosu" | "su-exec" | "setpriv" | "fakeroot" | "proot" => {
            result.guarded.get_or_insert(at);
            guarded_inner(words)
        }
        "sudoedit" | "su" | "machinectl" | "visudo" => {
            result.guarded.get_or_insert(at);
            script_after(words, &["-c", "--command"], result)
        }
        "ssh" | "slogin" | "autossh" | "mosh" => {
            result.guarded.get_or_insert(at);
            remote_shell(words, result)
        }
        "docker" | "podman" | "nerdctl" | "kubectl" | "oc" => container(words, at, result),
        "flock" | "watch" | "parallel" | "script" | "strace" | "ltrace" | "gdb" | "entr" | "expect"
        | "screen" | "tmux" | "at" | "batch" | "crontab" | "start-stop-daemon" | "daemonize"
        | "dbus-run-session" | "firejail" | "bwrap" | "distrobox" | "toolbox" | "wsl" => {
            result.guarded.get_or_insert(at);
            inner_program(words)
        }
        "eval" => {
            result.script = Script::Text(words[1..].join(" "));
            if words[1..].iter().all(|word| is_exact(word)) {
                Step::Nothing
            } else {
                Step::Unclear("it runs a text only the shell knows")
            }
        }
        "trap" => match words.get(1) {
            Some(text) if is_exact(text) && !text.starts_with('-') && words.len() > 2 => {
                result.script = Script::Text(text.clone());
                Step::Nothing
            }
            _ => Step::Nothing,
        },
        "fish" | "tcsh" | "csh" | "nu" | "elvish" | "xonsh" | "pwsh" | "powershell" => {
            Step::Unclear("it runs a shell whose language is not read")
        }
        _ => Step::Nothing,
    }
}

/// Steps over options: `flags` without a value, `values` with one, `long` ones (`=` at the end: with one).
fn skip_options(words: &[String], flags: &str, values: &str, long: &[&str]) -> Step {
    let strange = Step::Unclear("a wrapper has an option that is not known");
    let mut at = 1;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return Step::Inner(at + 1);
        }
        if has_unknown(word) && !is_plain_start(word) {
            return Step::Unclear("a wrapper runs what only the shell knows");
        }
        if !word.starts_with('-') || word == "-" {
            break;
        }
        if word.starts_with("--") {
            let known = long.iter().any(|known| match known.strip_suffix('=') {
                Some(_) => word.starts_with(known),
                None => word == known,
            });
            if !known {
                return strange;
            }
            at += 1;
            continue;
        }
        let mut letters = word[1..].chars();
        let mut taken = 1;
        while let Some(letter) = letters.next() {
            if values.contains(letter) {
                if letters.as_str().is_empty() {
                    taken = 2;
                }
                break;
            }
            if !flags.contains(letter) {
                return strange;
            }
        }
        at += taken;
    }
    Step::Inner(at)
}

/// Whether a word begins with text that is known.
fn is_plain_start(word: &str) -> bool {
    word.chars().next().is_some_and(|c| !has_unknown(c.encode_utf8(&mut [0; 4])) && c != GLOB)
}

fn env(words: &[String], result: &mut Unwrapped) -> Step {
    let mut at = 1;
    while let Some(word) = words.get(at) {
        match word.as_str() {
            "-i" | "-" | "--ignore-environment" => at += 1,
            "-u" | "--unset" => at += 2,
            "-C" | "--chdir" => {
                result.directory = words.get(at + 1).cloned();
                at += 2;
            }
            "--" => at += 1,
            option if option.starts_with('-') => {
                return Step::Unclear("a wrapper has an option that is not known");
            }
            assignment => match assignment.split_once('=') {
                Some((name, value)) => {
                    result.assignments.push((name.to_owned(), value.to_owned()));
                    at += 1;
                }
                None => return Step::Inner(at),
            },
        }
    }
    Step::Nothing
}

/// The program within a wrapper that is never allowed by what is inside: a good guess is enough.
fn guarded_inner(words: &[String]) -> Step {
    const VALUES: [&str; 14] =
        ["-u", "-g", "-h", "-p", "-C", "-r", "-t", "-T", "-U", "-D", "-R", "--user", "--group", "--chdir"];
    let mut at = 1;
    while let Some(word) = words.get(at) {
        if word == "--" {
            return Step::Inner(at + 1);
        }
        if VALUES.contains(&word.as_str()) {
            at += 2;
        } else if word.starts_with('-') || word.contains('=') {
            at += 1;
        } else {
            break;
        }
    }
    let chroot = base_name(&words[0]) == "chroot"
        || base_name(&words[0]) == "gosu"
        || base_name(&words[0]) == "su-exec";
    Step::Inner(at + usize::from(chroot))
}

/// The first later word that names a program worth judging.
fn inner_program(words: &[String]) -> Step {
    const WORTH: [&str; 12] =
        ["rm", "dd", "mkfs", "shutdown", "reboot", "curl", "wget", "chmod", "chown", "sudo", "git", "mv"];
    let found = words.iter().skip(1).position(|word| {
        let name = base_name(word);
        WORTH.contains(&name) || is_shell(name)
    });
    found.map_or(Step::Nothing, |at| Step::Inner(at + 1))
}

fn script_after(words: &[String], options: &[&str], result: &mut Unwrapped) -> Step {
    let at = words.iter().position(|word| options.contains(&word.as_str()));
    if let Some(text) = at.and_then(|at| words.get(at + 1)).filter(|text| is_exact(text)) {
        result.script = Script::Text(text.clone());
    }
    Step::Nothing
}

fn remote_shell(words: &[String], result: &mut Unwrapped) -> Step {
    result.elsewhere = true;
    let mut at = 1;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-')) {
        let alone = word.len() == 2 && "bcDEeFIiJLlmOopQRSWwB".contains(&word[1..]);
        at += if alone { 2 } else { 1 };
    }
    let command = words.get(at + 1..).unwrap_or_default().join(" ");
    if !command.is_empty() && is_exact(&command) {
        result.script = Script::Text(command);
    }
    Step::Nothing
}

/// `docker exec` and `docker run`: what is run in the container.
fn container(words: &[String], at: usize, result: &mut Unwrapped) -> Step {
    let Some(verb) = words.iter().position(|word| matches!(word.as_str(), "exec" | "run")) else {
        return Step::Nothing;
    };
    result.guarded.get_or_insert(at);
    result.elsewhere = true;
    match inner_program(&words[verb..]) {
        Step::Inner(inner) => Step::Inner(verb + inner),
        other => other,
    }
}

/// `sh -c TEXT`, `sh FILE`, `sh`.
fn shell_script(words: &[String], result: &mut Unwrapped) -> Step {
    let mut at = 1;
    let mut text = false;
    while let Some(word) = words.get(at) {
        if !is_exact(word) && !is_plain_start(word) {
            return Step::Unclear("a shell runs what only the shell knows");
        }
        if word == "--" || word == "-" {
            at += 1;
            break;
        }
        if matches!(word.as_str(), "--login" | "--norc" | "--noprofile" | "--posix" | "--no-rcs") {
            at += 1;
            continue;
        }
        if word.starts_with("--") {
            return if words.len() == 2 {
                Step::Nothing
            } else {
                Step::Unclear("a shell has an option that is not known")
            };
        }
        let Some(letters) = word.strip_prefix(['-', '+']) else { break };
        if letters.contains(|c: char| !"abcefhilmnopsuvxBCEHPTO".contains(c)) {
            return Step::Unclear("a shell has an option that is not known");
        }
        text |= letters.contains('c');
        at += 1 + letters.chars().filter(|c| matches!(c, 'o' | 'O')).count();
    }
    match (words.get(at), text) {
        (Some(script), true) if is_exact(script) => result.script = Script::Text(script.clone()),
        (Some(_), true) => return Step::Unclear("a shell runs a text only the shell knows"),
        (None, true) => return Step::Unclear("a shell runs nothing"),
        (Some(_), false) => {}
        (None, false) => result.script = Script::Fed,
    }
    Step::Nothing
}

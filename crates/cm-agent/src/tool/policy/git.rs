//! What a `git` command does: its global options, the options that run programs, the paths (PURE).

use super::effects::{Found, candidates, starts_unknown};
use super::known::among;
use super::place::{GLOB, is_exact};

/// Settings that `-c` may make without changing what is run.
const HARMLESS_SETTINGS: [&str; 9] = [
    "color.",
    "core.quotepath=",
    "user.name=",
    "user.email=",
    "commit.gpgsign=false",
    "tag.gpgsign=false",
    "advice.",
    "log.showsignature=false",
    "init.defaultbranch=",
];

/// Options that run programs, write files or take something away, in any subcommand.
const SPECIAL: &str = "--ext-diff --textconv --filters --open-files-in-pager --exec --upload-pack --receive-pack --output \
    --output-directory --no-verify --exec-path --edit-description --separate-git-dir --template --config --force --delete \
    --move --copy --set-upstream-to --unset-upstream --create-reflog --annotate";

/// Options whose value is text, in any subcommand.
const TEXT: &str = "--message --author --date --trailer --max-count --since --until --after --before --grep --format --pretty \
    --cleanup --skip";

/// Options whose value is a file that is read.
const READS: &str = "-F --file --pathspec-from-file --exclude-from -X --contents --ignore-revs-file";

/// Subcommands that reach other machines.
const NETWORK: &str = "clone fetch pull push ls-remote submodule lfs send-email svn";

pub(super) fn effects(words: &[String], found: &mut Found) {
    let mut kept = vec![words[0].clone()];
    let mut special = Vec::new();
    let mut directory = String::new();
    let mut at = 1;
    while let Some(word) = words.get(at).filter(|word| word.starts_with('-') || !is_exact(word)) {
        let value = words.get(at + 1).map_or("", String::as_str);
        match word.as_str() {
            "--no-pager" | "-P" | "--no-optional-locks" | "--literal-pathspecs" | "--no-replace-objects" => {
                at += 1
            }
            "-C" => {
                directory = joined(&directory, value);
                found.read(&directory);
                at += 2;
            }
            "-c" if is_harmless_setting(value) => at += 2,
            _ => {
                let taken = if matches!(
                    word.as_str(),
                    "-c" | "--git-dir" | "--work-tree" | "--namespace" | "--config-env"
                ) {
                    2
                } else {
                    1
                };
                for word in &words[at..words.len().min(at + taken)] {
                    special.push(kept.len());
                    kept.push(word.clone());
                }
                at += taken;
            }
        }
    }
    let offset = at;
    let shift = kept.len();
    kept.extend(words.get(at..).unwrap_or_default().iter().cloned());
    found.effects.words = kept;
    special.into_iter().for_each(|at| found.special(at));
    let rest = words.get(offset..).unwrap_or_default();
    let Some(subcommand) = rest.first() else { return };
    found.effects.network |= among(NETWORK, subcommand)
        || (subcommand == "remote"
            && rest.iter().any(|word| matches!(word.as_str(), "show" | "update" | "prune")))
        || (subcommand == "archive" && rest.iter().any(|word| word.starts_with("--remote")));
    if found.effects.network {
        for word in &rest[1..] {
            if word.contains("://") || (word.contains('@') && word.contains(':')) {
                found.effects.hosts.extend(super::pattern::host_of(word));
            }
        }
    }
    arguments(subcommand, rest, shift, &directory, found);
}

fn is_harmless_setting(value: &str) -> bool {
    let lower = value.to_ascii_lowercase();
    is_exact(value)
        && HARMLESS_SETTINGS.iter().any(|setting| lower.starts_with(setting))
        && !lower.starts_with("color.pager")
}

/// The subcommand's options and paths. `shift`: where the subcommand stands among the kept words.
fn arguments(subcommand: &str, rest: &[String], shift: usize, directory: &str, found: &mut Found) {
    let mut options = true;
    let mut at = 1;
    while at < rest.len() {
        let word = rest[at].as_str();
        let next = rest.get(at + 1).map_or("", String::as_str);
        if options && word == "--" {
            options = false;
            at += 1;
            continue;
        }
        if !options || !word.starts_with('-') {
            if options && starts_unknown(word) && !(subcommand == "add" && word.starts_with(GLOB)) {
                found.special(shift + at);
            }
            found.read(&joined(directory, word));
            if matches!(subcommand, "mv" | "rm") {
                found.write(&joined(directory, word));
            }
            at += 1;
            continue;
        }
        let (name, value) = word.split_once('=').map_or((word, None), |(name, value)| (name, Some(value)));
        let begins = |list: &str| {
            list.split_ascii_whitespace().any(|known| {
                known == name || (name.len() > 2 && known.starts_with("--") && known.starts_with(name))
            })
        };
        if begins(SPECIAL) || is_special_letter(subcommand, word) || !is_exact(name) {
            found.special(shift + at);
            if "--output".starts_with(name)
                || "--output-directory".starts_with(name)
                || word.starts_with("-o")
            {
                found.write(&joined(directory, value.unwrap_or(next)));
            }
        }
        let takes_text = among(TEXT, name) || is_text_letter(subcommand, word);
        if among(READS, name) {
            found.read(&joined(directory, value.unwrap_or(next)));
            at += usize::from(value.is_none());
        } else if takes_text {
            // What looks like an option is looked at as one.
            at += usize::from(value.is_none() && !next.starts_with('-'));
        } else {
            candidates(word).into_iter().for_each(|path| found.read(path));
        }
        at += 1;
    }
}

/// Short options whose value, the next word, is text.
fn is_text_letter(subcommand: &str, word: &str) -> bool {
    match subcommand {
        // `-m`, also at the end of a group.
        "commit" => !word.starts_with("--") && word.ends_with('m'),
        "log" | "show" | "shortlog" | "rev-list" | "reflog" => among("-n -S -G -L", word),
        "diff" => among("-S -G", word),
        "grep" => among("-e -A -B -C", word),
        "blame" => word == "-L",
        _ => false,
    }
}

/// Short options that run programs, write or skip checks, in some subcommands.
fn is_special_letter(subcommand: &str, word: &str) -> bool {
    if word.starts_with("--") {
        return false;
    }
    let letters = match subcommand {
        "grep" => "O",
        "diff" | "log" | "show" => "O",
        "commit" => "nt",
        "add" => "f",
        "format-patch" | "archive" => "o",
        "rebase" => "xi",
        "clone" | "fetch" | "pull" | "ls-remote" => "u",
        "push" => "fd",
        "branch" => "dDmMcCf",
        "tag" => "dfFasu",
        _ => "",
    };
    // What follows a letter with a value is no letter.
    let end = if subcommand == "commit" { word.find('m').unwrap_or(word.len()) } else { word.len() };
    word[1..end.max(1)].contains(|c| letters.contains(c))
}

/// A path as git sees it after `-C directory`.
fn joined(directory: &str, path: &str) -> String {
    if directory.is_empty() || path.starts_with('/') {
        path.to_owned()
    } else {
        format!("{directory}/{path}")
    }
}

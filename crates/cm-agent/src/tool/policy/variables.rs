//! Shell variables: which may be set, which may be shown, which have a value that is known (PURE).

use std::collections::BTreeSet;

use super::known::among;
use super::shell::{Command, List, Piece, Redirect, Word};

/// Variables whose value changes nothing but what a program prints or how long it works.
const HARMLESS_VARIABLES: &str = "CI RUST_LOG RUST_BACKTRACE RUST_TEST_THREADS CARGO_TERM_COLOR CARGO_TERM_PROGRESS_WHEN \
    CARGO_INCREMENTAL CARGO_NET_OFFLINE NODE_ENV DEBUG VERBOSE LANG LC_ALL LC_CTYPE TZ \
    NO_COLOR FORCE_COLOR CLICOLOR CLICOLOR_FORCE TERM COLUMNS LINES PYTHONUNBUFFERED \
    PYTHONDONTWRITEBYTECODE PYTHONIOENCODING GOMAXPROCS INSTA_UPDATE PROPTEST_CASES \
    GIT_OPTIONAL_LOCKS";

/// Names in small letters that shells themselves give a meaning.
const SHELL_OWN: &str = "path cdpath fpath manpath mailpath module_path fignore argv status precmd chpwd prompt psvar watch \
    functions commands aliases galiases saliases options nameddirs userdirs parameters histchars signals";

/// Whether setting this variable cannot change what is run.
pub(super) fn is_harmless_variable(name: &str) -> bool {
    among(HARMLESS_VARIABLES, name)
        || (name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
            && !name.ends_with("_proxy")
            && !name.starts_with("npm_")
            && !among(SHELL_OWN, name))
}

/// Variables whose value may be printed: they hold no secret.
pub(super) fn is_printable(name: &str) -> bool {
    const PLAIN: &str = "HOME PWD OLDPWD USER LOGNAME SHELL PATH LANG TERM RANDOM SECONDS HOSTNAME";
    name.len() == 1 || among(PLAIN, name) || name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
}

/// Stands among the assigned for every variable.
pub(super) const ANY: &str = "*";

/// Words that may set any variable.
const SETTERS: [&str; 9] = ["eval", "trap", "source", ".", "read", "mapfile", "readarray", "getopts", "let"];

/// Collects the variables that are set, loops' own but the first of each name aside.
pub(super) fn find_assigned(list: &List, assigned: &mut BTreeSet<String>) {
    let mut loops = BTreeSet::new();
    assigned_in(list, assigned, &mut loops);
}

fn assigned_in(list: &List, assigned: &mut BTreeSet<String>, loops: &mut BTreeSet<String>) {
    for chain in &list.0 {
        for command in std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, p)| p)).flatten() {
            assigned_by(command, assigned, loops);
        }
    }
}

fn assigned_by(command: &Command, assigned: &mut BTreeSet<String>, loops: &mut BTreeSet<String>) {
    match command {
        Command::Simple(simple) => {
            assigned.extend(simple.assignments.iter().map(|(name, _)| name.clone()));
            let exported =
                simple.words.iter().filter_map(Word::literal).filter_map(|word| word.split_once('='));
            assigned.extend(exported.map(|(name, _)| name.to_owned()));
            if simple.words.iter().filter_map(Word::literal).any(|word| SETTERS.contains(&word)) {
                assigned.insert(ANY.to_owned());
            }
            let values = simple.assignments.iter().map(|(_, word)| word);
            assigned_within(values.chain(&simple.words), &simple.redirects, assigned, loops);
        }
        Command::Block { bodies, words, redirects, .. } => {
            bodies.iter().for_each(|body| assigned_in(body, assigned, loops));
            assigned_within(words.iter(), redirects, assigned, loops);
        }
        Command::For { name, body, words, redirects } => {
            if !loops.insert(name.clone()) {
                assigned.insert(name.clone());
            }
            assigned_in(body, assigned, loops);
            assigned_within(words.iter(), redirects, assigned, loops);
        }
        Command::Function { body, .. } => assigned_by(body, assigned, loops),
    }
}

/// The same for the commands within words.
fn assigned_within<'a>(
    words: impl Iterator<Item = &'a Word>,
    redirects: &'a [Redirect],
    assigned: &mut BTreeSet<String>,
    loops: &mut BTreeSet<String>,
) {
    let targets = redirects.iter().map(|redirect| match redirect {
        Redirect::Read(word) | Redirect::Write(word) | Redirect::Fed(word) | Redirect::Beside(word) => word,
    });
    for piece in words.chain(targets).flat_map(|word| &word.0) {
        if let Piece::Output(list) | Piece::Process(list) = piece {
            assigned_in(list, assigned, loops);
        }
    }
}

/// `export NAME=value …` is as harmless as its names.
pub(super) fn exported(words: &mut Vec<String>, assignments: &mut Vec<String>) {
    let pairs: Option<Vec<(&str, &str)>> = words[1..].iter().map(|word| word.split_once('=')).collect();
    let Some(pairs) = pairs.filter(|pairs| !pairs.is_empty()) else { return };
    assignments.extend(
        pairs
            .iter()
            .filter(|(name, _)| !is_harmless_variable(name))
            .map(|(name, value)| format!("{name}={value}")),
    );
    words.clear();
}

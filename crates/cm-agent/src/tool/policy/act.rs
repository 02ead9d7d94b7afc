//! What a command line would do, one act after another: programs run, files written and read (PURE).

use std::collections::BTreeSet;
use std::ops::Range;

use super::place::{Ground, Place};
use super::shell::{Command, List, Unclear, Word, parse};
use super::unwrap::Unwrapped;
use super::variables::find_assigned;
use super::walk::Walk;

/// The most acts of one command line.
pub(super) const MOST_ACTS: usize = 250;

/// A directory a command may run in; `None`: not known.
pub(super) type Directory = Option<String>;

/// One act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Act {
    /// A program is run.
    Run(Run),
    /// A redirection writes.
    Write(Vec<Place>),
    /// A redirection reads.
    Read(Vec<Place>),
    /// Nothing that matters: a variable is set.
    Nothing,
    /// Something happens that is not certain.
    Unclear(&'static str),
}

/// A program that is run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Run {
    /// Its words, and what is inside of them.
    pub(super) inner: Unwrapped,
    /// Assignments before it, as written, that are not known to be harmless.
    pub(super) assignments: Vec<String>,
    /// Where it may run.
    pub(super) directories: Vec<Directory>,
    /// Which pipeline it is in, and at which stage.
    pub(super) pipe: (usize, usize),
    /// The acts whose output is in its words or fed to it.
    pub(super) fed_by: Range<usize>,
    /// What it is fed holds a variable that may be a secret.
    pub(super) shows_secret: bool,
    /// What it runs is judged by itself, as acts of their own.
    pub(super) seen_through: bool,
    /// It runs elsewhere: what it does there is only looked at to refuse.
    pub(super) elsewhere: bool,
}

/// What a command line would do.
pub(super) fn acts(text: &str, ground: Ground) -> Result<Vec<Act>, Unclear> {
    let list = parse(text, 0)?;
    let mut assigned = BTreeSet::new();
    find_assigned(&list, &mut assigned);
    let mut walk = Walk::new(ground, assigned);
    walk.list(&list, &mut vec![Some(ground.work_dir.to_owned())])?;
    Ok(walk.acts)
}

/// The places a text may name, one for each directory; none for a device that holds nothing.
pub(super) fn places(text: &str, directories: &[Directory]) -> Vec<Place> {
    let places = directories.iter().map(|from| Place::of(text, from.as_deref()));
    places.filter(|place| !place.is_harmless_device()).collect()
}

/// The directories one is in after `cd`.
pub(super) fn entered(text: &str, directories: &[Directory]) -> Vec<Directory> {
    let mut result = Vec::new();
    for place in places(text, directories) {
        let directory = match place {
            Place::At(parts) => Some(format!("/{}", parts.join("/"))),
            Place::Unknown => None,
        };
        merge(&mut result, &[directory]);
    }
    result
}

pub(super) fn merge(into: &mut Vec<Directory>, from: &[Directory]) {
    for directory in from {
        if !into.contains(directory) {
            into.push(directory.clone());
        }
    }
    if into.len() > 6 {
        *into = vec![None];
    }
}

/// The mark of a function that does nothing but multiply.
pub(super) const FORK_BOMB: &str = "it starts itself without end";

/// Whether a function's body starts the function again, in the background or a pipeline.
pub(super) fn calls_itself(name: &str, body: &Command) -> bool {
    match body {
        Command::Simple(simple) => simple.words.first().and_then(Word::literal) == Some(name),
        Command::Block { bodies, .. } => bodies.iter().any(|body| list_calls(name, body)),
        Command::For { body, .. } => list_calls(name, body),
        Command::Function { body, .. } => calls_itself(name, body),
    }
}

fn list_calls(name: &str, list: &List) -> bool {
    let pipelines = list
        .0
        .iter()
        .flat_map(|chain| std::iter::once(&chain.first).chain(chain.rest.iter().map(|(_, p)| p)));
    pipelines.flatten().any(|command| calls_itself(name, command))
}

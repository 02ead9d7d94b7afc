//! A file of tasks (`cm-fleet dispatch --tasks FILE`): what is to be done, in YAML. PURE, except [`File::load`].
//!
//! `file` says which keys there are, `kind` what values they take, `template` fills in `{{ key }}`, `spread` makes
//! tasks of the combinations, `after` finds which one waits for which.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};

use cm_protocol::{Check, ResourceLimits, Worktree};

use crate::failure::Failure;
use crate::inventory::Host;
use crate::yaml::{Mistakes, Reader, Sources, parse, read};

pub use file::schema;

mod after;
mod doubt;
mod file;
mod hosts;
mod kind;
mod names;
mod spread;
mod template;
mod want;

#[cfg(test)]
mod tests;

/// Tasks a file may stand for.
pub const MOST: usize = 100_000;

/// One task that is wanted, everything filled in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    /// Its name, where it has one; no two tasks have the same.
    pub name: Option<String>,
    /// What is to be done; never empty.
    pub text: String,
    /// The tool, where the file says it.
    pub tool: Option<String>,
    /// Where it works, as it is written: on the host, or within the work tree of `repo`.
    pub path: Option<String>,
    /// A git repository that the host clones.
    pub repo: Option<String>,
    /// A commit, branch or tag of `repo`.
    pub reference: Option<String>,
    /// A selector of the hosts that may do it; it can be parsed.
    pub on: Option<String>,
    /// The one host that is to do it, where the task was made for each host.
    pub host: Option<String>,
    /// A policy's name, or the absolute path of its file.
    pub policy: Option<String>,
    /// What proves it done.
    pub check: Option<Check>,
    /// Seconds it may take.
    pub timeout: Option<f64>,
    /// How often it is tried again, where the file says it.
    pub retries: Option<u32>,
    /// Variables: a value, or none where the operator's own is passed on.
    pub env: BTreeMap<String, Option<String>>,
    /// More arguments for the tool.
    pub args: Vec<String>,
    /// A work tree of its own.
    pub worktree: Option<Worktree>,
    /// What it may use; all unset where the file says nothing.
    pub limits: ResourceLimits,
    /// The tasks that have to be done before it: indices into the expanded list, in order, each once.
    pub after: Vec<usize>,
}

/// What a task made for each host may say of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The groups it is in, for `on: "@group"`.
    pub groups: BTreeSet<String>,
}

impl From<&Host> for HostFacts {
    fn from(host: &Host) -> Self {
        Self { name: host.name.clone(), labels: host.labels.clone(), groups: host.groups.clone() }
    }
}

/// A file of tasks, read and found good as far as that can be said without hosts.
#[derive(Debug, Clone)]
pub struct File {
    read: file::Read,
    sources: Sources,
    /// For `~` in paths.
    home: Option<String>,
    stated: Stated,
}

/// How many tasks a file stands for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stated {
    /// Whatever hosts there are.
    pub tasks: usize,
    /// For each host that is selected.
    pub for_each_host: usize,
}

impl fmt::Display for Stated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tasks = |n: usize| if n == 1 { "1 task".to_owned() } else { format!("{n} tasks") };
        match (self.tasks, self.for_each_host) {
            (some, 0) => f.write_str(&tasks(some)),
            (0, each) => write!(f, "{} for each host", tasks(each)),
            (some, each) => write!(f, "{}, and {} for each host", tasks(some), tasks(each)),
        }
    }
}

/// Why there are no tasks.
#[derive(Debug, thiserror::Error)]
pub enum TasksError {
    /// The file cannot be read.
    #[error("cannot read the tasks in {}", .0.display())]
    Unreadable(PathBuf, #[source] std::io::Error),
    /// It has mistakes.
    #[error(transparent)]
    Wrong(#[from] Mistakes),
}

impl TasksError {
    /// As people read it, at the edge.
    pub fn failure(&self) -> Failure {
        match self {
            Self::Unreadable(..) => Failure::usage(self.to_string())
                .because(self)
                .hint("--tasks names a YAML file; --file reads one task a line"),
            Self::Wrong(mistakes) => mistakes.failure(),
        }
    }
}

impl File {
    /// Reads a file. `env` gives the environment's variables.
    ///
    /// # Errors
    /// The file cannot be read, or something is wrong in it: all that is found, each with its place.
    pub fn load(path: &Path, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, TasksError> {
        let unreadable = |error| TasksError::Unreadable(path.to_owned(), error);
        let text = read(path).map_err(unreadable)?;
        let real = std::path::absolute(path).map_err(unreadable)?;
        Self::of(path, real, &text, env)
    }

    /// The same of a text that was read already: `shown` is what the user calls it, `real` the absolute path that
    /// relative ones in it belong to.
    ///
    /// # Errors
    /// Something is wrong in it.
    pub fn of(
        shown: &Path,
        real: PathBuf,
        text: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, TasksError> {
        let mut reader = Reader { sources: Sources::default(), problems: Vec::new(), env };
        let number = reader.sources.add(shown.to_owned(), real, text);
        let node = parse(number, text, &mut reader);
        let read = node.map(|node| file::Read::from_node(&node, &mut reader)).unwrap_or_default();
        let stated = spread::check(&read, &mut reader);
        let Reader { sources, problems, .. } = reader;
        match problems.is_empty() {
            true => Ok(Self { read, sources, home: env("HOME"), stated }),
            false => Err(sources.mistakes(problems).into()),
        }
    }

    /// How many tasks it stands for.
    pub fn stated(&self) -> Stated {
        self.stated
    }

    /// Whether tasks are made for each host, so that hosts have to be known.
    pub fn needs_hosts(&self) -> bool {
        self.stated.for_each_host > 0
    }

    /// What is probably not meant although the file is good: secrets that stand in it.
    pub fn doubts(&self) -> Vec<String> {
        doubt::doubts(&self.read)
    }
}

/// The tasks of a file, in its order: all combinations, the last key turning fastest, hosts faster still. `hosts`:
/// all that may be used; where there are none, selectors are not looked into.
///
/// # Errors
/// Hosts do not have what the file asks of them, or there are too many tasks: each with its place.
pub fn expand(file: &File, hosts: &[HostFacts]) -> Result<Vec<Wanted>, Mistakes> {
    let env = |name: &str| file.home.clone().filter(|_| name == "HOME");
    let mut reader = Reader { sources: file.sources.clone(), problems: Vec::new(), env: &env };
    let wanted = spread::spread(&file.read, hosts, &mut reader);
    match reader.problems.is_empty() {
        true => Ok(wanted),
        false => Err(reader.sources.mistakes(reader.problems)),
    }
}

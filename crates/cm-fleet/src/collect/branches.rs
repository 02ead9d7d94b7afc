//! Branches of tasks, brought into a repository of the user's own; and what they change, compared.

use serde::Serialize;

use super::conflicts::{self, Pair, Verdict};
use super::git::Git;
use crate::dispatch::carry::{self, Place};
use crate::failure::Failure;
use crate::fleet::way::Way;

/// A task's work in a repository on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Work {
    /// The task's place among the run's.
    pub task: usize,
    /// The directory of its results: the branch here is `cm/` and this.
    pub folder: String,
    /// The repository on the host.
    pub repository: String,
    /// The ref there, by its whole name.
    pub wanted: String,
    /// The commit it began with; absent: where it parted from what is checked out here.
    pub base: Option<String>,
    /// A repository here and a ref in it: the same work, should the host have let go of it.
    pub saved: Option<(String, String)>,
}

/// What became of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Became {
    /// It is new.
    Made,
    /// It was there, and is the same.
    Same,
    /// It was there, and what came after it has been added.
    Forwarded,
    /// There is a branch of this name with other commits, or it cannot be set: it stays as it is.
    Kept {
        /// Why.
        why: String,
        /// Where the work is found.
        instead: String,
    },
    /// It could not be fetched.
    Failed {
        /// Why.
        why: String,
    },
}

impl Became {
    /// Whether the work is not where it was to be.
    pub fn is_bad(&self) -> bool {
        matches!(self, Self::Kept { .. } | Self::Failed { .. })
    }
}

/// A branch that was brought here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brought {
    /// The task's place among the run's.
    pub task: usize,
    /// The branch's name here.
    pub branch: String,
    /// The commit, where it came.
    pub commit: Option<String>,
    /// The commit it began with.
    pub base: Option<String>,
    /// What became of it.
    pub became: Became,
}

/// Brings a task's work here: as `cm/<folder>`, if no branch of this name has other commits.
pub async fn bring(git: &Git, way: &Way, run: &str, work: &Work) -> Brought {
    let branch = format!("cm/{}", work.folder);
    let hidden = format!("refs/cm/{run}/{}", work.folder);
    let mut brought =
        Brought { task: work.task, branch, commit: None, base: work.base.clone(), became: Became::Made };
    let place = Place::from(way);
    let mut fetched = carry::fetch_as(&place, &work.repository, &work.wanted, &git.dir, &hidden).await;
    if let (Ok(None), Some((repository, wanted))) = (&fetched, &work.saved) {
        fetched = carry::fetch_as(&Place::Here, repository, wanted, &git.dir, &hidden).await;
    }
    brought.became = match fetched {
        Ok(Some(commit)) => {
            brought.commit = Some(commit.to_string());
            let set = set(git, &hidden, &brought.branch, commit.as_str()).await;
            set.unwrap_or_else(|failure| Became::Failed { why: failure.chain.join(": ") })
        }
        Ok(None) => Became::Failed { why: format!("{} has no {} any more", work.repository, work.wanted) },
        Err(error) => Became::Failed { why: error.to_string() },
    };
    brought
}

/// Sets the branch, as git itself would: only forwards, and not under somebody's feet.
async fn set(git: &Git, hidden: &str, branch: &str, commit: &str) -> Result<Became, Failure> {
    let name = format!("refs/heads/{branch}");
    let before = git.commit(&name).await?;
    if before.as_deref() == Some(commit) {
        return Ok(Became::Same);
    }
    let refspec = format!("{hidden}:{name}");
    let said = git.run(&["fetch", "--quiet", "--no-tags", "--no-write-fetch-head", ".", &refspec]).await?;
    let Some(before) = before else {
        return Ok(match said.code {
            Some(0) => Became::Made,
            _ => Became::Kept { why: said.why(), instead: hidden.to_owned() },
        });
    };
    if said.code == Some(0) {
        return Ok(Became::Forwarded);
    }
    let older = git.run(&["merge-base", "--is-ancestor", &before, commit]).await?.code == Some(0);
    let why = match older {
        true => said.why(),
        false => format!("the branch {branch} here has commits of its own"),
    };
    Ok(Became::Kept { why, instead: hidden.to_owned() })
}

/// Two tasks that changed the same files, and what merging them would come to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meeting {
    /// One, by its place among the run's tasks.
    pub one: usize,
    /// The other.
    pub other: usize,
    /// Files both changed.
    pub files: Vec<String>,
    /// What git says.
    pub verdict: Verdict,
}

/// Looks where the branches meet, and how many pairs were not looked at.
///
/// # Errors
/// git cannot be run.
pub async fn meetings(git: &Git, brought: &[Brought]) -> Result<(Vec<Meeting>, usize), Failure> {
    let mut changed = Vec::with_capacity(brought.len());
    for one in brought {
        let Some(commit) = &one.commit else {
            changed.push(Vec::new());
            continue;
        };
        let base = match &one.base {
            Some(base) => Some(base.clone()),
            None => apart(git, commit).await?,
        };
        changed.push(match base {
            Some(base) => files(git, &base, commit).await?,
            None => Vec::new(),
        });
    }
    let (pairs, more) = conflicts::pairs(&changed);
    let mut met = Vec::with_capacity(pairs.len());
    for Pair { one, other, files } in pairs {
        let (one, other) = (&brought[one], &brought[other]);
        let verdict = match (&one.commit, &other.commit) {
            (Some(a), Some(b)) => merged(git, a, b).await?,
            _ => continue,
        };
        met.push(Meeting { one: one.task, other: other.task, files, verdict });
    }
    Ok((met, more))
}

/// Where a commit parted from what is checked out.
async fn apart(git: &Git, commit: &str) -> Result<Option<String>, Failure> {
    let said = git.run(&["merge-base", "HEAD", commit]).await?;
    Ok(Some(said.line()).filter(|_| said.code == Some(0)))
}

/// The files that differ.
async fn files(git: &Git, base: &str, commit: &str) -> Result<Vec<String>, Failure> {
    let args = ["diff", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv", "-z", base, commit];
    let said = git.run(&args).await?;
    Ok(if said.code == Some(0) { conflicts::names(&said.out) } else { Vec::new() })
}

async fn merged(git: &Git, one: &str, other: &str) -> Result<Verdict, Failure> {
    let args = ["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", one, other];
    let said = git.run(&args).await?;
    Ok(conflicts::verdict(said.code, &said.out, &said.complaints))
}

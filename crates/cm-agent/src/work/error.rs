//! What can go wrong with a work tree, each with the act, the place and the next move.

use std::{io, path::PathBuf, time::Duration};

/// Why something could not be done in a work tree.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// There is no git on this host.
    #[error("cannot {act} {}: there is no git on this host's PATH; install it", path.display())]
    NoGit {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// The directory is in no repository.
    #[error(
        "cannot {act} {}: it is not in a git repository; `git init` and a first commit make it one, or do without",
        path.display()
    )]
    NotARepository {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// The repository has no commit to start from.
    #[error(
        "cannot {act} {}: the repository has no commit yet; make one (`git commit`) or do without a work tree of its own",
        path.display()
    )]
    NoCommit {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
    },
    /// Nothing in the repository has that name.
    #[error("{} has no commit, branch or tag {base:?}; `git branch --all` and `git tag` there list what it has", path.display())]
    UnknownBase {
        /// The name.
        base: String,
        /// The repository.
        path: PathBuf,
    },
    /// Nothing in a repository elsewhere has that name.
    #[error("{url} has no {reference}; `git ls-remote {url}` lists what it has")]
    UnknownReference {
        /// What was asked for, in words.
        reference: String,
        /// Its address, without a login.
        url: String,
    },
    /// A repository elsewhere could not be fetched.
    #[error("cannot fetch {url}: {why}; `git ls-remote {url}` on this host shows whether it can be reached")]
    Fetch {
        /// Its address, without a login.
        url: String,
        /// git's last words, on one line, without a login.
        why: String,
    },
    /// Not a name git takes for a branch.
    #[error("{branch:?} cannot be a branch's name ({why}); name another one")]
    BadBranch {
        /// The name.
        branch: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The repository belongs to somebody else, and git does not trust it.
    #[error(
        "cannot {act} {}: it belongs to another user and git does not trust it; if you do, run `{remedy}` on this host",
        path.display()
    )]
    NotTrusted {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// The command that makes git trust it.
        remedy: String,
    },
    /// git took too long.
    #[error(
        "cannot {act} {}: git took longer than {} s; try `git status` there (a dead disk? a huge repository?)",
        path.display(), within.as_secs_f64().round()
    )]
    Timeout {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// How long it had.
        within: Duration,
    },
    /// git refused.
    #[error("cannot {act} {}: git says: {why}", path.display())]
    Git {
        /// What was tried.
        act: &'static str,
        /// Where.
        path: PathBuf,
        /// git's own words, on one line.
        why: String,
    },
    /// The system refused.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On which file or directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

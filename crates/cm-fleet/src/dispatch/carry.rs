//! Carrying commits from one machine's git repository to another's: as a bundle, through this machine, bounded in
//! bytes and time.
//!
//! It is done with git as it is found there (2.30 or later), over the ssh connections that everything else uses;
//! hosts need not reach each other, and neither side's branches, index and hooks are touched but for the one ref
//! that is carried.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cm_ssh::{Exec, Input, Keys, Ssh, SshError};

use crate::container;
use crate::container::engine::Road;
use crate::container::error::EngineError;
use crate::container::run::Command;

mod here;
mod place;
pub mod script;

pub use place::Place;

/// The largest bundle, in bytes. It is held in memory on its way.
pub const MOST: usize = 256 << 20;
/// How long a look at a repository may take.
const LOOK: Duration = Duration::from_secs(30);
/// How long making a bundle, sending it and taking it in may take, each.
const CARRY: Duration = Duration::from_secs(300);
/// How much is kept of what is no bundle, in bytes.
const WORDS: usize = 1 << 20;

/// A commit's id, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commit(String);

impl Commit {
    /// An id of 40 or 64 hexadecimal digits.
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        cm_agent::work::parse::is_id(text).then(|| Self(text.to_owned()))
    }

    /// The id.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why commits were not carried.
#[derive(Debug, thiserror::Error)]
pub enum CarryError {
    /// Not a ref's whole name.
    #[error("{name:?} is no ref that can be carried: {why}")]
    BadRef {
        /// What was asked for.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Not a repository's path.
    #[error("{path:?} is no repository's path: {why}")]
    BadRepository {
        /// What was given.
        path: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// The host, or the way to it.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The container, or the way to it.
    #[error("{host}: {source}")]
    Container {
        /// The host.
        host: String,
        /// Why not.
        source: EngineError,
    },
    /// This machine's shell could not be run.
    #[error("cannot run git on this machine: {0}")]
    Here(io::Error),
    /// It took too long.
    #[error("{host}: {act} {path} took longer than {} s; a slow disk or link? try again", within.as_secs())]
    Late {
        /// The host.
        host: String,
        /// What was done.
        act: &'static str,
        /// The repository.
        path: String,
        /// How long it had.
        within: Duration,
    },
    /// There is no git.
    #[error("{host}: there is no git; install it there")]
    NoGit {
        /// The host.
        host: String,
    },
    /// There is no repository.
    #[error("{host}: {path} is no git repository ({why}); name one, or start the task there once")]
    NoRepository {
        /// The host.
        host: String,
        /// The path.
        path: String,
        /// What was said.
        why: String,
    },
    /// The ref that was to be sent does not exist.
    #[error("{path} has no {name}: there is nothing to send")]
    Nothing {
        /// The repository on this machine.
        path: String,
        /// The ref.
        name: String,
    },
    /// It is too much.
    #[error(
        "{host}: {name} of {path} is more than {} MiB that the other side does not have; fetch it with git itself",
        MOST >> 20
    )]
    TooLarge {
        /// The host.
        host: String,
        /// The repository.
        path: String,
        /// The ref.
        name: String,
    },
    /// git refused.
    #[error("{host}: {act} {path}: git says: {why}")]
    Git {
        /// The host.
        host: String,
        /// What was done.
        act: &'static str,
        /// The repository.
        path: String,
        /// git's words, on one line.
        why: String,
    },
}

/// Fetches a ref (by its whole name) from a repository on a host into a bare repository of this machine's, which is
/// made if there is none, under the same name. `None`: there is no such ref. What `into` has already is not sent
/// again.
///
/// # Errors
/// See [`CarryError`]; `into` is then as it was.
pub async fn fetch(
    host: &Place<'_>,
    repository: &str,
    wanted: &str,
    into: &Path,
) -> Result<Option<Commit>, CarryError> {
    fetch_as(host, repository, wanted, into, wanted).await
}

/// [`fetch`], under another name: what `into` has under the ref's own name stays as it is.
///
/// # Errors
/// As there.
pub async fn fetch_as(
    host: &Place<'_>,
    repository: &str,
    wanted: &str,
    into: &Path,
    under: &str,
) -> Result<Option<Commit>, CarryError> {
    let into = text(into)?;
    checked(repository, wanted)?;
    checked(into, under)?;
    let mut from = End::open(host, repository).await?;
    let found = from.look(wanted).await;
    let carried = match found {
        Ok(Some(commit)) => {
            let mut to = End::open(&Place::Here, into).await?;
            to.ask("making", &script::make(), script::header(into, wanted, "")).await?;
            carry(&mut from, &mut to, (wanted, under), &commit).await.map(Some)
        }
        other => other,
    };
    from.close().await;
    carried
}

/// Sends a ref (by its whole name) of a repository on this machine to one on a host, under the same name. What the
/// host has already is not sent again.
///
/// # Errors
/// See [`CarryError`]; the host's repository is then as it was.
pub async fn send(
    from: &Path,
    wanted: &str,
    host: &Place<'_>,
    repository: &str,
) -> Result<Commit, CarryError> {
    let path = text(from)?;
    checked(path, wanted)?;
    checked(repository, wanted)?;
    let mut from = End::open(&Place::Here, path).await?;
    let Some(commit) = from.look(wanted).await? else {
        return Err(CarryError::Nothing { path: path.to_owned(), name: wanted.to_owned() });
    };
    let mut to = End::open(host, repository).await?;
    let carried = carry(&mut from, &mut to, (wanted, wanted), &commit).await;
    to.close().await;
    carried
}

/// Makes an empty bare repository on a host, where there is none yet: something that can be sent to.
///
/// # Errors
/// See [`CarryError`].
pub async fn prepare(host: &Place<'_>, repository: &str) -> Result<(), CarryError> {
    checked(repository, "refs/heads/x")?;
    let mut end = End::open(host, repository).await?;
    let made = end.ask("making", &script::make(), script::header(repository, "", "")).await;
    end.close().await;
    made.map(drop)
}

async fn carry(
    from: &mut End<'_>,
    to: &mut End<'_>,
    (wanted, under): (&str, &str),
    commit: &Commit,
) -> Result<Commit, CarryError> {
    let header = script::header(to.path, under, &format!("{commit}\n"));
    let known = to.ask("looking into", &script::known(), header).await?;
    let known = String::from_utf8_lossy(&known).into_owned();
    if let Some(there) = Commit::new(&known) {
        return Ok(there);
    }
    // Only what we asked for is handed on to the other side.
    let ids = known.lines().filter(|line| line.strip_prefix('^').is_some_and(cm_agent::work::parse::is_id));
    let known: String = ids.map(|line| format!("{line}\n")).collect();
    let bundle = from.give(wanted, &known).await?;
    to.take(wanted, under, bundle).await
}

/// What a script left behind, here or there.
#[derive(Debug)]
struct Said {
    code: Option<i32>,
    out: Vec<u8>,
    complaints: String,
    cut: bool,
}

/// One side: a repository, and the way to its machine.
struct End<'a> {
    host: String,
    path: &'a str,
    way: Way,
}

enum Way {
    Here,
    There(Ssh),
    In(Road, String, Keys),
}

impl<'a> End<'a> {
    async fn open(place: &Place<'_>, path: &'a str) -> Result<Self, CarryError> {
        let way = match place {
            Place::Here => Way::Here,
            Place::There(target, keys) => Way::There(Ssh::connect(target, keys).await?),
            Place::In(tunnel, keys) => match tunnel.container() {
                Some((road, container)) => Way::In(road, container, (*keys).clone()),
                None => Way::There(tunnel.ssh().await?),
            },
        };
        Ok(Self { host: place.name().to_owned(), path, way })
    }

    async fn close(self) {
        if let Way::There(ssh) = self.way {
            ssh.close().await;
        }
    }

    async fn look(&mut self, wanted: &str) -> Result<Option<Commit>, CarryError> {
        let header = script::header(self.path, wanted, "");
        let said = self.ask("looking into", &script::look(), header).await?;
        Ok(Commit::new(&String::from_utf8_lossy(&said)))
    }

    /// A bundle of the ref without what the other side knows (lines with `^`).
    async fn give(&mut self, wanted: &str, known: &str) -> Result<Vec<u8>, CarryError> {
        const ACT: &str = "bundling work of";
        let input = vec![script::header(self.path, wanted, known).into()];
        let mut said = self.run(ACT, &script::give(MOST), input, MOST + WORDS, CARRY).await?;
        let (code, complaints) = script::status(&said.complaints);
        let Some(bundle) = script::answer(&said.out) else {
            said.complaints = complaints;
            return Err(self.failed(ACT, &said));
        };
        if said.cut || bundle.len() > MOST {
            let (host, path) = (self.host.clone(), self.path.to_owned());
            return Err(CarryError::TooLarge { host, path, name: wanted.to_owned() });
        }
        if code != Some(0) {
            said.complaints = complaints;
            return Err(self.failed(ACT, &said));
        }
        let before = said.out.len() - bundle.len();
        said.out.drain(..before);
        Ok(said.out)
    }

    async fn take(&mut self, wanted: &str, under: &str, bundle: Vec<u8>) -> Result<Commit, CarryError> {
        const ACT: &str = "taking work into";
        let header = script::header(self.path, wanted, &format!("{under}\n"));
        let input = vec![header.into(), bundle.into()];
        let said = self.run(ACT, &script::take(), input, WORDS, CARRY).await?;
        let answer = script::answer(&said.out).filter(|_| said.code == Some(0));
        let commit = answer.and_then(|answer| Commit::new(&String::from_utf8_lossy(answer)));
        commit.ok_or_else(|| self.failed(ACT, &said))
    }

    /// Runs a script that answers in words.
    async fn ask(&mut self, act: &'static str, script: &str, header: Vec<u8>) -> Result<Vec<u8>, CarryError> {
        let said = self.run(act, script, vec![header.into()], WORDS, LOOK).await?;
        match script::answer(&said.out) {
            Some(answer) if said.code == Some(0) => Ok(answer.to_vec()),
            _ => Err(self.failed(act, &said)),
        }
    }

    async fn run(
        &mut self,
        act: &'static str,
        script: &str,
        input: Vec<Arc<[u8]>>,
        limit: usize,
        within: Duration,
    ) -> Result<Said, CarryError> {
        match &mut self.way {
            Way::Here => match here::run(script, &input, limit, within).await {
                Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                    let (host, path) = (self.host.clone(), self.path.to_owned());
                    Err(CarryError::Late { host, act, path, within })
                }
                said => said.map_err(CarryError::Here),
            },
            Way::There(ssh) => {
                let exec = Exec { input: Input::Parts(input), deadline: within, limit };
                let output = ssh.run(&crate::deploy::script::in_sh(script), exec, |_| {}).await?;
                let code = match output.status {
                    cm_ssh::Status::Exited(code) => Some(code),
                    cm_ssh::Status::Signal(_) => None,
                };
                let complaints = output.stderr_text();
                Ok(Said { code, out: output.stdout, complaints, cut: output.truncated })
            }
            Way::In(road, container, keys) => {
                let words = ["/bin/sh", "-c", script].map(str::to_owned);
                let command = Command { container, words: &words, input: &input, limit, deadline: within };
                let output = container::run::once(road, keys, &command, |_| {}).await;
                let host = self.host.clone();
                let output = output.map_err(|source| CarryError::Container { host, source })?;
                let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
                let code = i32::try_from(output.status).ok();
                Ok(Said { code, out: output.stdout, complaints, cut: output.cut })
            }
        }
    }

    fn failed(&self, act: &'static str, said: &Said) -> CarryError {
        let (host, path) = (self.host.clone(), self.path.to_owned());
        let why = script::why(&said.complaints, said.code);
        match said.code {
            Some(script::NO_GIT) => CarryError::NoGit { host },
            Some(script::NO_REPOSITORY) => CarryError::NoRepository { host, path, why },
            _ => CarryError::Git { host, act, path, why },
        }
    }
}

fn text(path: &Path) -> Result<&str, CarryError> {
    let bad = || CarryError::BadRepository { path: path.display().to_string(), why: "it is no valid text" };
    path.to_str().ok_or_else(bad)
}

fn checked(repository: &str, wanted: &str) -> Result<(), CarryError> {
    if let Some(why) = script::bad_repository(repository) {
        return Err(CarryError::BadRepository { path: repository.to_owned(), why });
    }
    match script::bad_ref(wanted) {
        Some(why) => Err(CarryError::BadRef { name: wanted.to_owned(), why }),
        None => Ok(()),
    }
}

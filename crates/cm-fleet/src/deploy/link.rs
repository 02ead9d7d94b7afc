//! A connection to a host: its ssh, or its container engine; and what it says of itself, whichever it is.

use std::sync::Arc;

use cm_protocol::deploy::Facts;
use cm_ssh::{Keys, Ssh};

use super::event::Outcome;
use super::host::{self, Job, Tell};
use super::plan::Plan;
use super::undo;
use super::wanted::Manner;
use crate::container::engine::Engine;
use crate::container::host::{Hosted, no_rotation};
use crate::container::image::Images;

/// A host that was reached.
pub enum Link {
    /// Over ssh.
    Ssh(Box<Ssh>),
    /// Its container engine.
    Engine(Engine),
}

/// A host's answer to the question what it is.
pub enum Answer {
    /// What is installed there; the plan is still to be made.
    Facts(Box<(Ssh, Facts)>),
    /// Its containers, and what is to be done with them.
    Planned(Box<(Engine, Plan)>),
}

/// What acts on hosts share.
#[derive(Clone)]
pub struct Means {
    /// Our keys, each opened once.
    pub keys: Arc<Keys>,
    /// Images, each looked at once.
    pub images: Arc<Images>,
}

impl Means {
    /// With these keys.
    pub fn new(keys: Arc<Keys>) -> Self {
        Self { keys, images: Arc::default() }
    }
}

/// Connects and asks what the host is.
///
/// # Errors
/// What the host is done with, instead.
pub async fn ask(job: &Job, means: &Means, more: &str, tell: &Tell) -> Result<(Link, Facts), Outcome> {
    match Hosted::of(job, &means.images, &means.keys, tell) {
        Some(hosted) => {
            let (engine, facts) = hosted.facts().await?;
            Ok((Link::Engine(engine), facts))
        }
        None => {
            let (ssh, facts) = host::ask(job, &means.keys, more, tell).await?;
            Ok((Link::Ssh(Box::new(ssh)), facts))
        }
    }
}

/// Asks again over a connection that stands.
///
/// # Errors
/// It is gone.
pub async fn again(job: &Job, link: Link, means: &Means, tell: &Tell) -> Result<(Link, Facts), Outcome> {
    match link {
        Link::Ssh(mut ssh) => {
            let facts = host::facts(job, &mut ssh, "").await?;
            Ok((Link::Ssh(ssh), facts))
        }
        Link::Engine(engine) => match Hosted::of(job, &means.images, &means.keys, tell) {
            Some(hosted) => {
                let facts = hosted.facts_over(&engine).await.map_err(|e| e.outcome("ask", None))?;
                Ok((Link::Engine(engine), facts))
            }
            None => ask(job, means, "", tell).await,
        },
    }
}

/// Connects and asks what a plan needs. `changing`: what changes follow, for which a host then waits.
///
/// # Errors
/// What the host is done with, instead.
pub async fn plan(
    job: &Job,
    means: &Means,
    manner: &Manner,
    changing: bool,
    tell: &Tell,
) -> Result<Answer, Outcome> {
    match Hosted::of(job, &means.images, &means.keys, tell) {
        Some(hosted) => Ok(Answer::Planned(Box::new(hosted.plan(manner, changing).await?))),
        None if changing => Ok(Answer::Facts(Box::new(host::ask_and_wait(job, &means.keys, tell).await?))),
        None => Ok(Answer::Facts(Box::new(host::ask(job, &means.keys, "", tell).await?))),
    }
}

/// Takes a host back that had changed well, because others did not.
pub async fn take_back(job: &Job, manner: &Manner, means: &Means, tell: &Tell) -> Outcome {
    match Hosted::of(job, &means.images, &means.keys, tell) {
        Some(hosted) => hosted.take_back(manner).await,
        None => undo::take_back(job, manner, &means.keys, tell).await,
    }
}

/// Brings a host back to an earlier generation.
pub async fn roll_back(
    job: &Job,
    link: Link,
    facts: &Facts,
    to: Option<&str>,
    manner: &Manner,
    means: &Means,
    tell: &Tell,
) -> Outcome {
    match (link, Hosted::of(job, &means.images, &means.keys, tell)) {
        (Link::Engine(engine), Some(hosted)) => hosted.roll_back(engine, to, manner).await,
        (Link::Ssh(ssh), _) => undo::roll_back(job, *ssh, facts, to, manner, &means.keys, tell).await,
        (Link::Engine(_), None) => Outcome::Nothing { why: "no agent is installed".to_owned() },
    }
}

/// Removes a host's agent.
pub async fn uninstall(
    job: &Job,
    link: Link,
    facts: &Facts,
    purge: bool,
    force: bool,
    means: &Means,
    tell: &Tell,
) -> Outcome {
    match (link, Hosted::of(job, &means.images, &means.keys, tell)) {
        (Link::Engine(engine), Some(hosted)) => hosted.uninstall(engine, purge, force).await,
        (Link::Ssh(ssh), _) => undo::uninstall(job, *ssh, facts, purge, force).await,
        (Link::Engine(_), None) => Outcome::Nothing { why: "no agent is installed".to_owned() },
    }
}

/// Gives a host's agent a new token.
pub async fn rotate_token(job: &Job, link: Link, facts: &Facts) -> Outcome {
    match link {
        Link::Ssh(ssh) => undo::rotate_token(job, *ssh, facts).await,
        Link::Engine(_) => no_rotation(),
    }
}

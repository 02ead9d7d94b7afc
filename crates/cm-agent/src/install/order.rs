//! What is asked of a host: become something new, or what it was.

use cm_protocol::deploy::Manifest;

/// What is asked of a host.
#[derive(Debug, Clone)]
pub struct Order {
    /// The deployment's name.
    pub deployment: String,
    /// The fleet that asks; `None`: whoever is at the host.
    pub fleet: Option<String>,
    /// Who: `user@machine`.
    pub by: String,
    /// Seconds it stays unconfirmed; 0: confirmed at once.
    pub confirm_seconds: u64,
    /// Seconds for the agent to become healthy.
    pub ready_seconds: u64,
    /// Go on although sessions will end.
    pub force: bool,
    /// Take the host from another fleet, or its lock from another deployment.
    pub take_over: bool,
    /// What it is to become.
    pub goal: Goal,
}

/// What a host is to become.
#[derive(Debug, Clone)]
pub enum Goal {
    /// Something new.
    New(Box<Manifest>),
    /// What it was: a generation's number, the first digits of a program, or the one before.
    Old(Option<String>),
}

impl Order {
    /// The order that a manifest is.
    pub fn of(manifest: Manifest) -> Self {
        Self {
            deployment: manifest.deployment.clone(),
            fleet: Some(manifest.fleet.clone()),
            by: manifest.by.clone(),
            confirm_seconds: manifest.confirm_seconds,
            ready_seconds: manifest.ready_seconds,
            force: manifest.force,
            take_over: manifest.take_over,
            goal: Goal::New(Box::new(manifest)),
        }
    }

    /// Its word in the log.
    pub fn act(&self) -> &'static str {
        match self.goal {
            Goal::New(_) => "install",
            Goal::Old(_) => "rollback",
        }
    }
}

//! What can go wrong with a container engine, each with the next move. PURE.

use cm_protocol::deploy::HostAfter;
use cm_ssh::SshError;

use crate::deploy::event::Outcome;
use crate::deploy::host;

/// What is wrong with an engine that does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trouble {
    /// There is none.
    Absent,
    /// It is there and does not run.
    Stopped,
    /// Its socket is not for this user.
    Denied,
    /// The host's sshd opens no stream to sockets.
    Forbidden,
}

/// An engine could not do what was asked of it.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The host, or the way to it.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// No engine answers.
    #[error("{why}")]
    Trouble {
        /// What is wrong with it.
        trouble: Trouble,
        /// In words.
        why: String,
        /// The next move.
        remedy: String,
    },
    /// It answers, and says no.
    #[error("{act}: {message}")]
    Refused {
        /// What was asked.
        act: String,
        /// HTTP's status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// The connection to it broke, or it took too long.
    #[error("{act}: {why}")]
    Lost {
        /// What was asked.
        act: String,
        /// What came of it.
        why: String,
    },
    /// What it was given cannot be used.
    #[error("{why}")]
    Here {
        /// Why.
        why: String,
        /// The next move.
        remedy: Option<String>,
    },
}

impl EngineError {
    /// From bollard's.
    pub fn of(act: &str, error: &bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        let act = act.to_owned();
        match error {
            E::DockerResponseServerError { status_code, message } => {
                Self::Refused { act, status: *status_code, message: tidy(message) }
            }
            E::DockerStreamError { error } => Self::Refused { act, status: 500, message: tidy(error) },
            E::RequestTimeoutError => Self::Lost { act, why: "no answer in time; it may hang".to_owned() },
            other => Self::Lost { act, why: chain(other) },
        }
    }

    /// Whether the engine says that there is no such thing.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: 404, .. })
    }

    /// Whether the name is taken.
    pub fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }

    /// The next move, where one can be named.
    pub fn remedy(&self) -> Option<String> {
        match self {
            Self::Ssh(_) => None,
            Self::Trouble { remedy, .. } => Some(remedy.clone()),
            Self::Here { remedy, .. } => remedy.clone(),
            Self::Lost { .. } => Some("deploy again; `cm-fleet doctor` says more".to_owned()),
            Self::Refused { message, .. } => advice(message).map(str::to_owned),
        }
    }

    /// What it makes of a host, in the step that failed.
    pub fn outcome(&self, step: &str, after: Option<HostAfter>) -> Outcome {
        match self {
            Self::Ssh(error) => host::outcome_of(error, step),
            other => Outcome::Failed {
                step: step.to_owned(),
                why: other.to_string(),
                remedy: other.remedy(),
                host_after: after,
                log: Vec::new(),
            },
        }
    }
}

/// What an engine's words call for.
fn advice(message: &str) -> Option<&'static str> {
    let message = message.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| message.contains(word));
    Some(match () {
        () if has(&["no space left", "disk quota exceeded", "not enough space"]) => {
            "the engine's disk is full: make room there (docker system df; docker image prune)"
        }
        () if has(&["exec format error"]) => {
            "the image is for another kind of machine: build it with docker build --platform …"
        }
        () if has(&["pull access denied", "unauthorized", "authentication required", "denied: "]) => {
            "the registry does not let the host pull: log in there (docker login), or leave `pull: never` and the \
             image is sent from here"
        }
        () if has(&["manifest unknown", "manifest for", "not found: manifest"]) => {
            "there is no such image in the registry: check `container: {image: …}`"
        }
        () if has(&["no such host", "i/o timeout", "connection refused", "dial tcp", "tls"]) => {
            "the host does not reach the registry: leave `pull: never` and the image is sent from here"
        }
        () if has(&["bind source path does not exist", "statfs", "error mounting"]) => {
            "make that directory on the host, or change `container: {mounts: …}`"
        }
        () if has(&["network"]) => "make that network on the host, or change `container: {network: …}`",
        () if has(&["unable to find user", "no matching entries in passwd"]) => {
            "the image has no such user: change `container: {user: …}`"
        }
        () if has(&["minimum memory", "range of cpus", "cpus are available", "memory limit"]) => {
            "change `container: {cpus: …, memory: …}`"
        }
        () if has(&["cgroup", "controller"]) => {
            "the engine there may not set limits (rootless without delegated cgroups): leave out cpus, memory and pids"
        }
        () => return None,
    })
}

/// An engine's words in one line.
fn tidy(message: &str) -> String {
    let line =
        message.split('\n').map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    crate::report::clean::clean(&line).chars().take(500).collect()
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => {
            let (own, cause) = (error.to_string(), chain(source));
            if own.contains(&cause) { own } else { format!("{own}: {cause}") }
        }
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_call_for_something() {
        let check = |message: &str, expected: &str| {
            let error = EngineError::Refused { act: "x".into(), status: 500, message: message.into() };
            let got = error.remedy().unwrap_or_default();
            assert!(got.contains(expected) && expected.is_empty() == got.is_empty(), "{message}: {got}");
        };
        check("write /layer.tar: no space left on device", "disk is full");
        check("exec /usr/bin/tini: exec format error", "--platform");
        check("pull access denied for cm-agent, repository does not exist", "docker login");
        check("manifest for x:y not found: manifest unknown", "no such image");
        check("Get https://r/v2/: dial tcp: lookup r: no such host", "reach the registry");
        check("invalid mount config for type \"bind\": bind source path does not exist: /x", "mounts");
        check("network lab not found", "network");
        check("unable to find user ada: no matching entries in passwd file", "no such user");
        check("something else", "");
    }
}

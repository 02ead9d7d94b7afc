//! Errors: each names the host, what was being done, and the next move.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ssh2::ErrorCode;

use crate::target::Target;
use crate::wire::WireError;

/// Which host an error is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// What people call it.
    pub name: String,
    /// Who logs in.
    pub user: String,
    /// Where it is.
    pub address: String,
    /// Its port.
    pub port: u16,
}

impl At {
    pub(crate) fn of(target: &Target) -> Arc<Self> {
        Arc::new(Self {
            name: target.name.clone(),
            user: target.user.clone(),
            address: target.address.clone(),
            port: target.port,
        })
    }
}

impl fmt::Display for At {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, user, address, port } = self;
        if address.contains(':') {
            write!(out, "{name} ({user}@[{address}]:{port})")
        } else {
            write!(out, "{name} ({user}@{address}:{port})")
        }
    }
}

/// What sort of failure it is, for exit codes and for deciding whether to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The host could not be reached, or went away.
    Unreachable,
    /// Its key is not one to trust: nothing was sent to it.
    Refused,
    /// It does not let us in, or does not let us do this.
    Denied,
    /// It was reached, and something else went wrong.
    Failed,
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConnectFailure {
    /// Nothing listens there.
    #[error("connection refused; check that sshd runs there and that the port is right")]
    Refused,
    /// No answer.
    #[error("no answer within {0:.1?}; check the address, and that no firewall is in between")]
    Timeout(Duration),
    /// Anything else.
    #[error("{0}; check the address and the network")]
    Unreachable(String),
}

/// One way of logging in that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// Which key, and from where.
    pub what: String,
    /// What became of it.
    pub why: String,
}

impl fmt::Display for Tried {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.what, self.why)
    }
}

/// Why a host's key was not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HostKeyError {
    /// It is in no file.
    #[error(
        "its key is not known ({algorithm} {seen}). Compare it with the host's own (ssh-keygen -lf \
         /etc/ssh/ssh_host_…_key.pub there), then run ssh once, or put host_key: \"{seen}\" into the inventory, \
         or ask for accept-new. Looked in {files}"
    )]
    Unknown {
        /// The key's type.
        algorithm: String,
        /// Its fingerprint, `SHA256:…`.
        seen: String,
        /// The files that were looked in.
        files: String,
    },
    /// Another one is known.
    #[error(
        "ITS KEY HAS CHANGED: known is {known}, it shows {algorithm} {seen}. Somebody may be in between, or the \
         host was installed anew. The old key stands in {}, line {line}; if the new one is right: \
         ssh-keygen -R '{host}' -f '{}'", file.display(), file.display()
    )]
    Changed {
        /// The name under which it is known.
        host: String,
        /// The known keys of that type, with their types.
        known: String,
        /// The type of the key it shows.
        algorithm: String,
        /// The fingerprint of that key.
        seen: String,
        /// Where the first of the known ones stands.
        file: PathBuf,
        /// And in which line, from 1.
        line: usize,
    },
    /// The host no longer has a key of a type that is known.
    #[error(
        "it has no key of the type that is known ({known}), it shows {algorithm} {seen}. That may be a change of \
         its key: compare it with the host's own; the known one stands in {}, line {line}; if the new one is \
         right: ssh-keygen -R '{host}' -f '{}'", file.display(), file.display()
    )]
    OtherType {
        /// The name under which it is known.
        host: String,
        /// The known types.
        known: String,
        /// The type of the key it shows.
        algorithm: String,
        /// The fingerprint of that key.
        seen: String,
        /// Where the first of the known ones stands.
        file: PathBuf,
        /// And in which line, from 1.
        line: usize,
    },
    /// The key is marked as stolen or retired.
    #[error("its key {seen} is marked @revoked in {}, line {line}: do not trust this host", file.display())]
    Revoked {
        /// The fingerprint.
        seen: String,
        /// Where that stands.
        file: PathBuf,
        /// In which line, from 1.
        line: usize,
    },
    /// Its certificate is not good.
    #[error("its host certificate ({seen}) is not valid: {why}")]
    Certificate {
        /// The fingerprint of the certified key.
        seen: String,
        /// What is wrong.
        why: String,
    },
    /// It is not the pinned one.
    #[error(
        "it shows the key {algorithm} {seen}, but the inventory wants {wanted}. If the host has a new key, \
         compare it with the host's own and change host_key"
    )]
    Pin {
        /// The pin.
        wanted: String,
        /// The type of the key it shows.
        algorithm: String,
        /// The fingerprint of that key.
        seen: String,
    },
    /// A known_hosts file could not be read or written.
    #[error("{}: {why}", file.display())]
    File {
        /// Which.
        file: PathBuf,
        /// Why.
        why: String,
    },
}

/// What can go wrong with a host.
#[derive(Debug, thiserror::Error)]
pub enum SshError {
    /// Its name leads nowhere.
    #[error("{at}: cannot resolve {}: {why}; check the address", at.address)]
    Resolve {
        /// The host.
        at: Arc<At>,
        /// What the resolver said.
        why: String,
    },
    /// No connection.
    #[error("{at}: cannot connect: {why}")]
    Connect {
        /// The host.
        at: Arc<At>,
        /// Why.
        why: ConnectFailure,
    },
    /// It hangs up before it says who it is, again and again.
    #[error(
        "{at}: hung up before greeting, {attempts} times{}: its sshd has too many connections (MaxStartups) or bars \
         this address for now; try again later, with fewer hosts at once",
        quoted(said)
    )]
    Busy {
        /// The host.
        at: Arc<At>,
        /// How often it was tried.
        attempts: u32,
        /// What it said in place of a greeting.
        said: Option<String>,
    },
    /// What answers does not speak our ssh.
    #[error("{at}: ssh handshake failed: {why}; check that port {} is an sshd's", at.port)]
    Handshake {
        /// The host.
        at: Arc<At>,
        /// What libssh2 says.
        why: String,
    },
    /// Its key is not to be trusted.
    #[error("{at}: {error}")]
    HostKey {
        /// The host.
        at: Arc<At>,
        /// Why.
        error: Box<HostKeyError>,
    },
    /// It does not let us in.
    #[error("{at}: cannot log in: {}{}", list(tried), offered(accepts))]
    Auth {
        /// The host.
        at: Arc<At>,
        /// What was tried, and what became of it.
        tried: Vec<Tried>,
        /// What the host accepts, by its own word.
        accepts: Option<String>,
    },
    /// The key that was left needs a passphrase.
    #[error(
        "{at}: cannot log in: the key {} {}{}", key.display(),
        if *wrong { "does not open with the passphrase that was given" }
        else { "is encrypted and its passphrase is not known; add it to your ssh agent (ssh-add) or give the passphrase" },
        if tried.len() > 1 { format!("; {}", list(tried)) } else { String::new() }
    )]
    Passphrase {
        /// The host.
        at: Arc<At>,
        /// The key file.
        key: PathBuf,
        /// One was given, and it is wrong.
        wrong: bool,
        /// Everything that was tried.
        tried: Vec<Tried>,
    },
    /// The host could not do what was asked of the connection.
    #[error("{at}: {act}: {why}")]
    Channel {
        /// The host.
        at: Arc<At>,
        /// What was asked.
        act: String,
        /// What came of it.
        why: String,
    },
    /// Time was over. The connection is closed.
    #[error("{at}: {act} was not done within {after:.1?}; the host may be frozen or overloaded")]
    Deadline {
        /// The host.
        at: Arc<At>,
        /// What was being done.
        act: String,
        /// The time it had.
        after: Duration,
    },
    /// The connection broke.
    #[error("{at}: connection lost during {act}: {why}")]
    Lost {
        /// The host.
        at: Arc<At>,
        /// What was being done.
        act: String,
        /// What libssh2 says.
        why: String,
    },
    /// sshd is configured not to do this.
    #[error(
        "{at}: its sshd forbids {what}; set AllowTcpForwarding and AllowStreamLocalForwarding there, and no \
         PermitOpen that leaves it out"
    )]
    Forbidden {
        /// The host.
        at: Arc<At>,
        /// What was asked.
        what: String,
    },
}

impl SshError {
    /// What sort of failure it is.
    pub const fn kind(&self) -> Kind {
        match self {
            Self::Resolve { .. }
            | Self::Connect { .. }
            | Self::Busy { .. }
            | Self::Deadline { .. }
            | Self::Lost { .. } => Kind::Unreachable,
            Self::HostKey { .. } => Kind::Refused,
            Self::Auth { .. } | Self::Passphrase { .. } | Self::Forbidden { .. } => Kind::Denied,
            Self::Handshake { .. } | Self::Channel { .. } => Kind::Failed,
        }
    }

    /// Which host it is about; with jump hosts, the hop that failed.
    pub const fn at(&self) -> &Arc<At> {
        match self {
            Self::Resolve { at, .. }
            | Self::Connect { at, .. }
            | Self::Busy { at, .. }
            | Self::Handshake { at, .. }
            | Self::HostKey { at, .. }
            | Self::Auth { at, .. }
            | Self::Passphrase { at, .. }
            | Self::Channel { at, .. }
            | Self::Deadline { at, .. }
            | Self::Lost { at, .. }
            | Self::Forbidden { at, .. } => at,
        }
    }

    pub(crate) fn deadline(at: &Arc<At>, act: &str, after: Duration) -> Self {
        Self::Deadline { at: Arc::clone(at), act: act.to_owned(), after }
    }

    pub(crate) fn host_key(at: &Arc<At>, error: Box<HostKeyError>) -> Self {
        Self::HostKey { at: Arc::clone(at), error }
    }

    /// What an operation's failure means, once the connection is up.
    pub(crate) fn of_wire(at: &Arc<At>, act: &str, after: Duration, error: WireError) -> Self {
        match error {
            WireError::Deadline => Self::deadline(at, act, after),
            WireError::Ssh(error) => Self::of_ssh(at, act, &error),
        }
    }

    /// The same for what libssh2 says.
    pub(crate) fn of_ssh(at: &Arc<At>, act: &str, error: &ssh2::Error) -> Self {
        let (at, act, why) = (Arc::clone(at), act.to_owned(), error.message().to_owned());
        if hung_up(error) { Self::Lost { at, act, why } } else { Self::Channel { at, act, why } }
    }
}

/// Whether an error of libssh2 means that the connection is gone.
pub(crate) fn hung_up(error: &ssh2::Error) -> bool {
    use libssh2_sys as sys;
    matches!(
        error.code(),
        ErrorCode::Session(
            sys::LIBSSH2_ERROR_SOCKET_DISCONNECT
                | sys::LIBSSH2_ERROR_SOCKET_RECV
                | sys::LIBSSH2_ERROR_SOCKET_SEND
                | sys::LIBSSH2_ERROR_CHANNEL_CLOSED
        )
    )
}

fn list(tried: &[Tried]) -> String {
    if tried.is_empty() {
        return "there is no key to try; name one (identity), or add one to your ssh agent".to_owned();
    }
    tried.iter().map(Tried::to_string).collect::<Vec<_>>().join("; ")
}

fn offered(methods: &Option<String>) -> String {
    methods.as_ref().map(|methods| format!("; the host accepts: {methods}")).unwrap_or_default()
}

fn quoted(line: &Option<String>) -> String {
    line.as_ref().map(|line| format!(" ({line:?})")).unwrap_or_default()
}

//! What it takes to reach a host: filled from the inventory and the user's ssh configuration.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use base64ct::{Base64, Base64Unpadded, Encoding as _};

use crate::known_hosts::fingerprint;

/// What it takes to reach one host.
#[derive(Debug, Clone)]
pub struct Target {
    /// What people call it; it stands in every error.
    pub name: String,
    /// Name or address to connect to.
    pub address: String,
    /// The port of its sshd.
    pub port: u16,
    /// Who to log in as.
    pub user: String,
    /// Private keys, in the order in which they are tried. A certificate beside one (`X-cert.pub`) is found.
    pub identities: Vec<PathBuf>,
    /// Certificates that lie elsewhere; each belongs to one of the identities or to a key of the agent.
    pub certificates: Vec<PathBuf>,
    /// Which ssh agent to ask.
    pub agent: AgentUse,
    /// Of the agent's keys, only those named by `identities` and `certificates` are tried.
    pub identities_only: bool,
    /// The user's known_hosts files, then the machine's. A missing one is an empty one.
    pub known_hosts: Vec<PathBuf>,
    /// The key the host must have. Known hosts are then only asked whether that key is revoked.
    pub host_key: Option<Pin>,
    /// The name the host has in known_hosts, in place of address and port.
    pub host_key_alias: Option<String>,
    /// What to do where the host is in no known_hosts file.
    pub unknown_host: UnknownHost,
    /// Hosts to go through, the first hop first. Their own `jumps` are not looked at.
    pub jumps: Vec<Target>,
    /// A command of the user's ssh configuration whose input and output are the connection (`ProxyCommand`).
    pub proxy_command: Option<String>,
    /// The longest that each step may take: the TCP connection, the handshake, logging in; each anew per hop.
    pub connect_timeout: Duration,
}

impl Target {
    /// A host on port 22 with the agent of the environment, no key files and no known hosts.
    pub fn new(name: impl Into<String>, address: impl Into<String>, user: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            address: address.into(),
            port: 22,
            user: user.into(),
            identities: Vec::new(),
            certificates: Vec::new(),
            agent: AgentUse::Environment,
            identities_only: false,
            known_hosts: Vec::new(),
            host_key: None,
            host_key_alias: None,
            unknown_host: UnknownHost::Refuse,
            jumps: Vec::new(),
            proxy_command: None,
            connect_timeout: Duration::from_secs(10),
        }
    }
}

/// Which ssh agent is asked for keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AgentUse {
    /// The one `SSH_AUTH_SOCK` names, if it does.
    Environment,
    /// The one behind this socket.
    Socket(PathBuf),
    /// None.
    None,
}

/// What to do with a host that is in no known_hosts file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownHost {
    /// Do not connect.
    Refuse,
    /// Believe the key it shows, and write it into the first known_hosts file.
    AcceptNew,
}

/// The key a host must have.
#[derive(Clone, PartialEq, Eq)]
pub enum Pin {
    /// SHA-256 of the key.
    Fingerprint([u8; 32]),
    /// The key itself.
    Key {
        /// Its type, as in `ssh-ed25519`.
        algorithm: String,
        /// As it goes over the wire.
        blob: Vec<u8>,
    },
}

impl fmt::Display for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fingerprint(hash) => write!(out, "SHA256:{}", Base64Unpadded::encode_string(hash)),
            Self::Key { algorithm, blob } => write!(out, "{algorithm} {}", fingerprint(blob)),
        }
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// Why a text is no pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no host key: write \"SHA256:…\" as ssh-keygen -l prints it, or \"ssh-ed25519 AAAA…\"")]
pub struct PinError {
    /// What was written.
    pub text: String,
}

impl FromStr for Pin {
    type Err = PinError;

    fn from_str(text: &str) -> Result<Self, PinError> {
        let wrong = || PinError { text: text.to_owned() };
        let text = text.trim();
        if let Some(hash) = text.strip_prefix("SHA256:") {
            let hash = Base64Unpadded::decode_vec(hash.trim_end_matches('=')).map_err(|_| wrong())?;
            return Ok(Self::Fingerprint(hash.try_into().map_err(|_| wrong())?));
        }
        let mut words = text.split_ascii_whitespace();
        let (Some(algorithm), Some(key)) = (words.next(), words.next()) else { return Err(wrong()) };
        let blob = Base64::decode_vec(key).map_err(|_| wrong())?;
        if crate::known_hosts::blob_type(&blob) != Some(algorithm) {
            return Err(wrong());
        }
        Ok(Self::Key { algorithm: algorithm.to_owned(), blob })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ0n4RdjhX6/7iqBvjPjl0nGFsFOEqDPZHcOTGs+GEbx";

    #[test]
    fn pins_are_fingerprints_or_keys() {
        let check = |text: &str, good: bool| {
            assert_eq!(text.parse::<Pin>().is_ok(), good, "{text}");
        };
        check("SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg", true);
        check("SHA256:n4bQgYhMfWWaL+qgxVrQFaO/TxsrC4Is0V1sFbDwCgg=", true);
        check("SHA256:n4bQ", false);
        check("MD5:16:27:ac", false);
        check(KEY, true);
        check(&format!("{KEY} comment"), true);
        check(&KEY.replace("ssh-ed25519 ", "ssh-rsa "), false);
        check("ssh-ed25519", false);
        check("", false);
    }
}

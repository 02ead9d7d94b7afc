//! What `cargo xtask hosts up` writes down about the hosts that are up: `target/testhosts/hosts.json`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Says where the description is, in place of `testhosts/hosts.json` in the build directory.
pub const VARIABLE: &str = "CM_TESTHOSTS";
/// Says where the agent is that tests deploy, in place of the one the description names.
pub const AGENT_VARIABLE: &str = "CM_TEST_AGENT";
/// The name of the file.
pub const FILE: &str = "hosts.json";

/// The test hosts of one checkout, and what it takes to reach them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// The root of the checkout that started them.
    pub checkout: PathBuf,
    /// How docker is called: `["docker"]`, or through sudo.
    pub docker: Vec<String>,
    /// What to give to `ssh -F`; each host stands in it under its name.
    pub ssh_config: PathBuf,
    /// The keys of all hosts.
    pub known_hosts: PathBuf,
    /// Keys that log in.
    pub keys: Keys,
    /// A static agent for the hosts, where it was built.
    pub agent: Option<PathBuf>,
    /// The hosts.
    pub hosts: Vec<Host>,
}

/// The private keys of tests, and what belongs to them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Keys {
    /// Without a passphrase; logs in to all kinds but `passkey` and `cert`.
    pub plain: PathBuf,
    /// Encrypted; the only one that logs in to `passkey`.
    pub locked: PathBuf,
    /// Holds that key's passphrase and a line feed.
    pub passphrase: PathBuf,
    /// A program that prints the passphrase, for `SSH_ASKPASS`.
    pub askpass: PathBuf,
    /// The key that `certificate` certifies; logs in to `cert` with it, and nowhere without.
    pub certified: PathBuf,
    /// That key's certificate, for the user `deploy`.
    pub certificate: PathBuf,
    /// The private key of the authority that signed it.
    pub authority: PathBuf,
}

/// One host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// Its name in the ssh configuration, and what it calls itself.
    pub name: String,
    /// What is special about it: `plain`, `fish`, `noexec`, …
    pub kind: String,
    /// The container's name.
    pub container: String,
    /// Where its sshd listens; of a host with `jump`, the address as its jump host knows it.
    pub address: String,
    /// sshd's port.
    pub port: u16,
    /// Who logs in.
    pub user: String,
    /// The private key that logs in.
    pub identity: PathBuf,
    /// The keys of this host, and of the host to jump through.
    pub known_hosts: PathBuf,
    /// Its ed25519 key as in `known_hosts`: `ssh-ed25519 AAAA…`.
    pub host_key: String,
    /// The name of the host to jump through, the only way there.
    pub jump: Option<String>,
}

impl Description {
    /// Reads the description of the hosts that are up. `Err` says what is wrong and what to run.
    pub fn load() -> Result<(Self, PathBuf), String> {
        let path = std::env::var_os(VARIABLE).map_or_else(default_path, PathBuf::from);
        let next = "Next: cargo xtask hosts up 20 --cast";
        let text = std::fs::read_to_string(&path).map_err(|error| {
            format!("no test hosts: could not read {}: {error}\n  {next}", path.display())
        })?;
        let all = serde_json::from_str(&text)
            .map_err(|error| format!("{} is of another version: {error}\n  {next}", path.display()))?;
        Ok((all, path))
    }

    /// The host of that name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.iter().find(|host| host.name == name)
    }
}

fn default_path() -> PathBuf {
    crate::tools::target().join("testhosts").join(FILE)
}

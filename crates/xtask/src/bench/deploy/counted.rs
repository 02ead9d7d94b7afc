//! What one deployment is to a host's sshd: how many connections, how many commands.

use crate::failure::Failure;

use super::ground::Ground;
use super::ways::{Way, Ways};

/// sshd tells of commands when it is asked to; what it has told of so far.
const TELL: &str = "echo LogLevel VERBOSE > /etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh";
const HUSH: &str = "rm -f /etc/ssh/sshd_config.d/bench.conf && systemctl reload ssh";
const TOLD: &str = "journalctl -q -o cat -t sshd";

/// Connections that logged in, and commands they ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Log-ins.
    pub connections: usize,
    /// Sessions: commands, shells, subsystems.
    pub commands: usize,
}

/// Counts them on one host while nothing changes on any.
pub fn unchanged(ways: &Ways, ground: &Ground) -> Result<Counted, Failure> {
    let Some(host) = ground.hosts.first() else { return Ok(Counted { connections: 0, commands: 0 }) };
    ground.as_root(host, TELL)?;
    let counted = (|| {
        let before = count(&ground.as_root(host, TOLD)?);
        ways.deploy(Way::Fleet, 0)?;
        let after = count(&ground.as_root(host, TOLD)?);
        Ok(Counted {
            connections: after.connections.saturating_sub(before.connections),
            commands: after.commands.saturating_sub(before.commands),
        })
    })();
    ground.as_root(host, HUSH)?;
    counted
}

/// PURE. Out of sshd's log. A verbose one also has `Accepted key …` for each question about a key.
fn count(log: &str) -> Counted {
    let lines = |begin: &str| log.lines().filter(|line| line.starts_with(begin)).count();
    Counted { connections: lines("Accepted publickey for "), commands: lines("Starting session: ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sshd_tells() {
        let log = "Connection from 172.17.0.1 port 1\nAccepted key ED25519 SHA256:x found at y:1\n\
                   Accepted key ED25519 SHA256:x found at y:1\nAccepted publickey for deploy from 172.17.0.1\n\
                   Starting session: command for deploy from 172.17.0.1\nClose session: user deploy\n";
        assert_eq!(count(log), Counted { connections: 1, commands: 1 });
    }
}

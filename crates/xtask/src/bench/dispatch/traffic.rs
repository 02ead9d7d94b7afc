//! What has gone over a process's TCP connections so far, as the kernel counts it.

use crate::failure::Failure;
use crate::sh::{Run, SHORT};

/// Bytes of payload in both directions, and over how many connections.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Sent and received.
    pub bytes: u64,
    /// Connections that stand.
    pub connections: usize,
}

/// Asks the kernel.
pub fn of(pid: u32) -> Result<Traffic, Failure> {
    // One connection a line, with its processes and its counters.
    Run::new("ss").args(["-t", "-i", "-n", "-p", "-H", "-O"]).capture(SHORT).map(|said| count(&said, pid))
}

/// PURE. Sums up what `ss` says.
fn count(said: &str, pid: u32) -> Traffic {
    let owner = format!("pid={pid},");
    let number = |line: &str, key: &str| -> u64 {
        let value = line.split_whitespace().find_map(|word| word.strip_prefix(key));
        value.and_then(|value| value.parse().ok()).unwrap_or_default()
    };
    let ours = said.lines().filter(|line| line.contains(&owner));
    ours.fold(Traffic::default(), |sum, line| Traffic {
        bytes: sum.bytes + number(line, "bytes_sent:") + number(line, "bytes_received:"),
        connections: sum.connections + 1,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_ss_says() {
        let said = "ESTAB 0 0 127.0.0.1:4 127.0.1.1:22 users:((\"cm-fleet\",pid=12,fd=9)) cubic wscale:7,7 \
                    bytes_sent:100 bytes_acked:101 bytes_received:20 segs_out:3\n\
                    ESTAB 0 0 127.0.0.1:5 127.0.1.2:22 users:((\"cm-fleet\",pid=12,fd=10)) bytes_received:3\n\
                    ESTAB 0 0 127.0.0.1:6 127.0.1.2:22 users:((\"ssh\",pid=123,fd=3)) bytes_sent:7\n";
        let check = |pid: u32, bytes: u64, connections: usize| {
            assert_eq!(count(said, pid), Traffic { bytes, connections });
        };
        check(12, 123, 2);
        check(123, 7, 1);
        check(1, 0, 0);
    }
}

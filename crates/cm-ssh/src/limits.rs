//! The bounds of what is read from outside, and what libssh2 is told to prefer.

use std::time::Duration;

/// The longest private key, public key or certificate that is read, in bytes.
pub const KEY_FILE: u64 = 64 * 1024;
/// The longest known_hosts file that is read, in bytes.
pub const KNOWN_HOSTS_FILE: u64 = 16 * 1024 * 1024;
/// How much output of a command is kept by default, each of stdout and stderr, in bytes.
pub const OUTPUT: usize = 1024 * 1024;
/// A longer line of output is handed on in pieces, in bytes.
pub const LINE: usize = 64 * 1024;
/// sshd allows six failures (`MaxAuthTries`) and then hangs up.
pub const AUTH_TRIES: usize = 6;
/// How long a connection that is closed may take over saying so.
pub const CLOSE: Duration = Duration::from_secs(1);
/// Data that the other side does not acknowledge for so long means that it is gone.
pub const UNACKNOWLEDGED: Duration = Duration::from_secs(30);
/// An idle connection is probed after this time, by the kernel.
pub const IDLE: Duration = Duration::from_secs(30);
/// Between two such probes.
pub const PROBE: Duration = Duration::from_secs(10);

/// Key exchanges, fast ones first.
pub const KEX: &str = "curve25519-sha256,curve25519-sha256@libssh.org,ecdh-sha2-nistp256,ecdh-sha2-nistp384,\
ecdh-sha2-nistp521,diffie-hellman-group16-sha512,diffie-hellman-group18-sha512,\
diffie-hellman-group-exchange-sha256,diffie-hellman-group14-sha256";
/// Ciphers, fast ones first; none that is broken.
pub const CIPHERS: &str = "aes128-gcm@openssh.com,aes256-gcm@openssh.com,chacha20-poly1305@openssh.com,\
aes128-ctr,aes256-ctr,aes192-ctr";

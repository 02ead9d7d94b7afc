//! Agents as commands reach them: this machine's over its socket, a host's through ssh.

pub mod tunnel;
pub mod way;

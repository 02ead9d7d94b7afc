//! cm-ssh against real sshds, each started by the test that needs it, on 127.0.0.1.

#[path = "sshd/server.rs"]
mod server;

#[path = "sshd/commands.rs"]
mod commands;
#[path = "sshd/configs.rs"]
mod configs;
#[path = "sshd/host_keys.rs"]
mod host_keys;
#[path = "sshd/logins.rs"]
mod logins;
#[path = "sshd/pty.rs"]
mod pty;
#[path = "sshd/reaching.rs"]
mod reaching;
#[path = "sshd/streams.rs"]
mod streams;

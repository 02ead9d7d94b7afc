//! cm-ssh against real sshds, each started by the test that needs it, on 127.0.0.1.

#[path = "sshd/server.rs"]
mod server;

#[path = "sshd/commands.rs"]
mod commands;

//! The agent as its clients meet it: the real binary, real tmux, real sockets.

#[path = "agent/support.rs"]
mod support;

#[path = "agent/contract.rs"]
mod contract;
#[path = "agent/restart.rs"]
mod restart;
#[path = "agent/sessions.rs"]
mod sessions;

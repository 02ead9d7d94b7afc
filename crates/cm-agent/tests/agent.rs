//! The agent as its clients meet it: the real binary, real tmux, real sockets.

#[path = "agent/support.rs"]
mod support;

#[path = "agent/bad_input.rs"]
mod bad_input;
#[path = "agent/contract.rs"]
mod contract;
#[path = "support/mod.rs"]
mod elsewhere;
#[path = "agent/faults.rs"]
mod faults;
#[path = "agent/fence.rs"]
mod fence;
#[path = "agent/leases.rs"]
mod leases;
#[path = "agent/limits.rs"]
mod limits;
#[path = "agent/past_and_end.rs"]
mod past_and_end;
#[path = "agent/peace.rs"]
mod peace;
#[path = "agent/races.rs"]
mod races;
#[path = "agent/restart.rs"]
mod restart;
#[path = "agent/security.rs"]
mod security;
#[path = "agent/sessions.rs"]
mod sessions;
#[path = "agent/slots.rs"]
mod slots;
#[path = "agent/wire.rs"]
mod wire;
#[path = "agent/work.rs"]
mod work;

//! The program as people meet it: real agent, real tmux, real terminals; every test in a place of its own
//! that must be empty in the end.

mod agent;
mod answers;
mod collect;
mod failover;
mod fake;
mod fleet;
mod forced;
mod inventory;
mod output;
mod release;
mod resume;
mod runs;
mod sessions;
mod support;
mod terminal;

//! The tmux room against the real tmux: a missing one is a failure.

mod failures;
mod flood;
mod launching;
mod life;
mod shim;
mod support;
mod typing;

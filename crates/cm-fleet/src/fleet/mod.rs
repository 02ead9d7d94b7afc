//! Agents as commands reach them: this machine's over its socket, a host's through ssh; one, or all of a fleet.

pub mod find;
pub mod links;
pub mod looking;
pub mod reach;
pub mod terminal;
pub mod tunnel;
pub mod way;

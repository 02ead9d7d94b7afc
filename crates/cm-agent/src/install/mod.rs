//! The agent installs itself: from a manifest to a running, verified agent, or back to what was before.
//!
//! `steps` goes forward, `back` goes back, `keep` confirms and cleans up, `uninstall` removes. They are written
//! for a process that may be killed at any instruction: every change is one atomic act, everything that must be
//! known to go on or back is on the disk before it is needed (`layout`), and each act may be repeated. The
//! machine is behind the trait [`host::Host`], so that tests can break it anywhere. What is decided stands in
//! `plan` and `unit`, which are pure.

mod audit;
mod back;
mod checks;
pub mod cli;
mod disk;
mod doctor;
mod facts;
mod health;
pub mod host;
mod keep;
pub mod layout;
mod lock;
mod order;
pub mod plan;
mod probe;
mod program;
mod real;
mod sessions;
mod steps;
mod store;
mod token;
mod trouble;
mod undo;
mod uninstall;
pub mod unit;

#[cfg(test)]
mod tests;

pub use keep::{ConfirmError, confirm_here};

//! What proves a task done: its check, what changed in its git work tree, a work tree of its own.
//!
//! Nothing in here knows what a session is; it knows directories, git and commands. git is run as a program, in
//! an environment without the surroundings' `GIT_*`, without hooks and without locks of its own: the user's
//! index, stashes and settings are read and never written.

pub mod base;
pub mod changes;
pub mod check;
pub mod error;
mod git;
mod index;
pub mod mirrors;
pub mod names;
pub mod parse;
pub mod remote;
pub mod repo;
pub mod save;
pub mod tree;
pub mod words;

pub use base::{Base, Before, base, same_tree};
pub use changes::changes;
pub use check::{check, end_stale};
pub use error::WorkError;
pub use remote::Remote;
pub use save::{Saved, save};
pub use tree::{Removed, Tree, add_worktree, remove_worktree};
pub use words::failure_message;

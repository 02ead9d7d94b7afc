//! The work room against the real git and real commands: a missing one is a failure.

mod base;
mod changes;
mod check;
mod mirror;
mod repo;
mod save;
#[path = "../support/mod.rs"]
mod support;
mod surroundings;
mod tree;

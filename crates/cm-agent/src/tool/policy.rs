//! Which prompts may be answered without a person, and how (PURE).
//!
//! What a policy may allow is bounded from outside it: passwords and words are a person's whatever a policy
//! says, an option is taken by what it means, and `always` and another mode are never taken.

mod act;
mod bounds;
mod compile;
mod effects;
pub mod engine;
mod expand;
mod git;
mod insists;
mod judge;
mod known;
mod network;
mod pattern;
mod place;
mod programs;
mod read;
mod rule;
mod script;
mod sets;
mod shell;
mod unwrap;
mod variables;
mod walk;

#[cfg(test)]
#[path = "policy/tests/mod.rs"]
mod engine_tests;

pub use engine::{Asked, Compiled, Decision, Policies, PolicyError, Verdict, decide, read};
pub use insists::insists;

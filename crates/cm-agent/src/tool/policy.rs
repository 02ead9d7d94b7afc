//! Which prompts may be answered without a person, and how (PURE).
//!
//! What a policy may allow is bounded from outside it: passwords and words are a person's whatever a policy
//! says, an option is taken by what it means, and `always` and another mode are never taken.

mod compile;
pub mod engine;
mod read;

pub use engine::{Asked, Compiled, Decision, Policies, PolicyError, Verdict, decide, read};

//! The test hosts that `cargo xtask hosts up 20 --cast` starts, for tests of any crate.
//!
//! A test claims a host of the kind it is about ([`Cast::claim`]); it is then the only one that uses it, finds
//! it like new, and may do to it what it likes. Everything here panics where a host is not as it should be: the
//! test has failed then, and the message says what to do.

mod build;
mod cast;
mod claimed;
mod description;
pub mod engine;
mod relay;
mod run;
pub mod written;

pub use build::{another_build, test_agent};
pub use cast::Cast;
pub use claimed::{Claimed, inventory_yaml};
pub use description::{AGENT_VARIABLE, Description, FILE, Host, Keys, VARIABLE};
pub use engine::labels;
pub use relay::Relay;

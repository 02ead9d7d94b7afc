//! Test support: what it takes to run the real coding CLIs, or a stand-in for one, without a network.
//!
//! - [`model`]: a model server on 127.0.0.1 that plays scenarios in the four dialects the tools speak.

pub mod model;

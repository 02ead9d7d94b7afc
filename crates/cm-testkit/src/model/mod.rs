//! A model server on 127.0.0.1: the real tools talk to it, and it plays scenarios.
//!
//! A scenario is chosen by the last `SCENARIO:name` in what the user has written, and its step by how many
//! turns the model has taken since. So a test says what will happen in the prompt it gives to the tool:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use cm_testkit::model::ModelServer;
//! # use std::time::Duration;
//! let model = ModelServer::start()?;
//! // … start a tool with `model.url()`, type "SCENARIO:held_bash please" …
//! model.held("before", Duration::from_secs(20)).await?;
//! // … the tool is working, for certain, until …
//! model.release("before");
//! # Ok(())
//! # }
//! ```
//!
//! What a request is, and what is answered, is decided in the dialects' files, which are pure; `server` reads,
//! waits and writes.

mod answer;
mod anthropic;
mod asked;
mod calls;
mod chat;
mod edit_blocks;
mod errors;
mod gates;
mod gemini;
mod handle;
mod player;
mod record;
mod responses;
mod route;
mod scenario;
mod server;
mod shared;

pub use asked::{Dialect, ToolResult};
pub use gates::Late;
pub use record::{Outcome, Played, Record};
pub use scenario::{BadScenario, Call, Error, Scenario, Scenarios, Step, builtin, parse};
pub use server::{ModelServer, Options, StartError};

//! A typed client for `cm-agent` over any byte stream: commands, events, replay, reconnect.
//!
//! [`Client`] is one connection. It is cheap to clone, any number of commands may be under way at once,
//! and each has a deadline. [`Client::events`] is the stream of what the agent announces,
//! [`Client::follow`] the same without gaps from a given point on. [`Follower`] keeps a connection for
//! ever: it connects again when it is lost and goes on where it stopped. What a client and an agent say to
//! each other is [`cm_protocol`], re-exported as [`protocol`].
//!
//! ```no_run
//! # async fn example() -> Result<(), cm_client::ClientError> {
//! use std::time::Duration;
//! use cm_client::{Client, Endpoint, Incoming, protocol::{CreateSession, EventKind}};
//!
//! let endpoint: Endpoint = "unix:/run/user/1000/cm-agent/agent.sock".parse()?;
//! let client = Client::connect(&endpoint, Duration::from_secs(5)).await?;
//! let mut events = client.follow(None).await?;
//!
//! let made = client
//!     .create_session(CreateSession {
//!         tool: Some("shell".into()),
//!         task: Some("make test".into()),
//!         ..CreateSession::default()
//!     })
//!     .await?;
//! while let Some(incoming) = events.next().await {
//!     let Incoming::Event(event) = incoming else { continue };
//!     if let EventKind::SessionCompleted { session_id, state, .. } = event.kind {
//!         if session_id == made.session_id {
//!             println!("{state}");
//!             break;
//!         }
//!     }
//! }
//! client.close().await;
//! # Ok(())
//! # }
//! ```
//!
//! Handlers, as the original's Python client had them, run on the connection's own task:
//!
//! ```no_run
//! # async fn example(client: cm_client::Client) {
//! client.handle(|incoming| println!("{incoming:?}"));
//! # }
//! ```
//!
//! # What is bounded
//! A frame from the agent: [`MAX_FRAME_BYTES`]. Commands waiting to be written: 64. Announcements waiting
//! for one reader: [`events::CAPACITY`]; after that the reader finds [`Incoming::Missed`] in the place of
//! what did not fit. A reader that stops reading therefore never delays an answer and never grows memory.
//!
//! # The original agent
//! An agent that sends no hello ([`Client::hello`] is `None`) numbers no events and repeats no marks:
//! answers are matched in the order of the commands, [`Client::follow`] is refused, and a [`Follower`]
//! hands on what arrives while it is connected.

mod actions;
mod buffer;
mod client;
mod driver;
pub mod endpoint;
pub mod error;
pub mod events;
mod pending;
pub mod reconnect;
mod wire;

pub use actions::Created;
pub use client::{Client, DEFAULT_TIMEOUT};
pub use cm_protocol as protocol;
pub use endpoint::{Endpoint, Token};
pub use error::{ClientError, Closed};
pub use events::{Events, Incoming};
pub use reconnect::{Connector, Follower, Update};
pub use wire::MAX_FRAME_BYTES;

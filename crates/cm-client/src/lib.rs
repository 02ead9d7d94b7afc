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
//! # Trying it
//! `cm-agent serve` starts an agent and prints `ready <socket>`; `cm-fleet agent` shows where the one runs
//! that `cm-fleet` has started. Then `cargo run -p cm-client --example watch` runs a command there. A program
//! of one's own needs two dependencies: this crate, and tokio with `macros` and `rt`. Errors are to be
//! printed with `{error}`, not `{error:?}`: the text says what failed and what to do.
//!
//! # An interactive session
//! ```no_run
//! # async fn example(client: cm_client::Client) -> Result<(), cm_client::ClientError> {
//! use cm_client::protocol::{CreateSession, KeysObserved};
//!
//! let python = CreateSession { tool: Some("python3".into()), ..CreateSession::default() };
//! let id = client.create_session(python).await?.session_id;
//! // Only `Submitted` means that the tool has it.
//! if client.send_line(&id, "6 * 7").await? != Some(KeysObserved::Submitted) {
//!     eprintln!("{id} did not take it");
//! }
//! println!("{}", client.capture_pane(&id, 20).await?);
//! for session in client.list_sessions().await? {
//!     println!("{} {} {}", session.session_id, session.tool, session.state);
//! }
//! client.kill_session(&id).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # Events without a gap, over lost connections
//! ```no_run
//! # async fn example(endpoint: cm_client::Endpoint) {
//! use cm_client::{Follower, Update};
//!
//! // `Some(seq)` goes on after the last event an earlier run has dealt with.
//! let mut follower = Follower::start(endpoint, None);
//! while let Some(update) = follower.next().await {
//!     match update {
//!         Update::Event(event) => println!("{} {:?}", event.seq, event.kind),
//!         Update::Snapshot(snapshot) => println!("{} sessions", snapshot.sessions.len()),
//!         Update::Lost { error, retry_in } => eprintln!("{error}; trying again in {retry_in:?}"),
//!         Update::Connected { .. } | Update::Screen(_) | Update::Missed => {}
//!     }
//! }
//! # }
//! ```
//!
//! # Handlers
//! As the original's Python client had them. They run on the connection's own task, and so must return at
//! once. Without [`Client::subscribe`] only the original's three kinds of events come.
//!
//! ```no_run
//! # async fn example(client: cm_client::Client) -> Result<(), cm_client::ClientError> {
//! use cm_client::{Incoming, protocol::EventKind};
//!
//! client.handle(|incoming| {
//!     let Incoming::Event(event) = incoming else { return };
//!     if let EventKind::StateChange { session_id, state, .. } = &event.kind {
//!         println!("{session_id} is {state}");
//!     }
//! });
//! client.subscribe(None).await?;
//! println!("{}", client.closed().await);
//! # Ok(())
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
mod leases;
mod pending;
pub mod reconnect;
mod renewing;
mod wire;

pub use actions::{Answered, Created, Probed, Renewed};
pub use client::{Client, DEFAULT_TIMEOUT};
pub use cm_protocol as protocol;
pub use endpoint::{Endpoint, Token};
pub use error::{ClientError, Closed};
pub use events::{Events, Incoming};
pub use reconnect::{Connector, Current, Follower, Update};
pub use wire::MAX_FRAME_BYTES;

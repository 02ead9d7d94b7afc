//! The tmux room: one server per session on its own socket, one control-mode client for each.
//!
//! [`launch`] writes the configuration a server is born with, [`version`] finds a tmux that is new enough,
//! and [`open`] starts or rejoins a server and gives back a [`Control`] (commands) and its [`Notices`].
//! [`client`] is the one task that owns the client process: it writes the lines of [`command`] and [`keys`],
//! reads the stream through the pure parser in [`control`], answers callers in order and wakes the session.
//! [`status`] reads what one round trip tells of the pane, and `watch` sees to it that tmux notices the program's
//! end; [`handle`] is what the session engine calls.

pub mod client;
pub mod command;
pub mod control;
pub mod handle;
pub mod keys;
pub mod launch;
pub mod notices;
pub mod open;
pub mod status;
pub mod version;
mod watch;

pub use client::CommandError;
pub use command::{Capture, Command, Range};
pub use control::{ControlError, ControlParser, Notice, OutputMode, PaneId, Reply};
pub use handle::{Control, Snapshot};
pub use keys::{Key, UnknownKey};
pub use launch::{LaunchError, LaunchSpec, launch_conf};
pub use notices::Notices;
pub use open::{Open, OpenError, server_argv};
pub use status::{Ending, Life, PaneStatus};
pub use version::{Tmux, TmuxError, Version};

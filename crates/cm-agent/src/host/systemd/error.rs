//! Why the service manager did not do what was asked.

use std::time::Duration;

/// Why the service manager did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum SystemdError {
    /// There is a unit of this name already.
    #[error("a unit named {0} exists already")]
    NameTaken(String),
    /// The unit could not be started, in systemd's words.
    #[error("systemd cannot start {unit}: {why}")]
    Start {
        /// The unit.
        unit: String,
        /// Its words.
        why: String,
    },
    /// A command failed.
    #[error("systemctl cannot {act} {unit}: {why}")]
    Command {
        /// What was asked.
        act: &'static str,
        /// Of which unit.
        unit: String,
        /// Its words.
        why: String,
    },
    /// No answer in time. This proves nothing about the unit.
    #[error("the user's service manager did not answer within {} s when asked to {act} {unit}", within.as_secs_f32())]
    Timeout {
        /// What was asked.
        act: &'static str,
        /// Of which unit.
        unit: String,
        /// How long was waited.
        within: Duration,
    },
    /// The tool itself could not be run.
    #[error("cannot ask {tool}: {source}")]
    Io {
        /// `systemctl`, `systemd-run` or the manager's own socket.
        tool: &'static str,
        /// Why not.
        source: std::io::Error,
    },
}

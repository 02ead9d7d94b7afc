//! What people and programs see of a run: one stream of events, several views of it.

use std::io;
use std::time::Duration;

pub mod clean;
pub mod event;
pub mod explained;
pub mod fold;
pub mod json;
pub mod paint;
pub mod plain;
pub mod result;
pub mod table;
pub mod terminal;
pub mod tty;
pub mod words;

#[cfg(test)]
mod tests;

/// A reader of the event stream that shows it. An error means that nobody reads any more.
pub trait View {
    /// One more event; `state` already contains it.
    ///
    /// # Errors
    /// What is written to is gone or full.
    fn event(&mut self, event: &event::RunEvent, state: &fold::RunState) -> io::Result<()>;

    /// Time has passed.
    ///
    /// # Errors
    /// What is written to is gone or full.
    fn tick(&mut self, _now: f64, _state: &fold::RunState) -> io::Result<()> {
        Ok(())
    }

    /// How often [`View::tick`] is wanted.
    fn tick_every(&self) -> Option<Duration> {
        None
    }

    /// Whether the sessions' output is wanted as it comes.
    fn wants_output(&self) -> bool {
        false
    }
}

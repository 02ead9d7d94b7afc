//! The run's events as JSON lines; `run_finished` is always the last.

use std::io::{self, Write};

use super::View;
use super::event::RunEvent;
use super::fold::RunState;

/// One event a line, flushed: a reader at the other end of a pipe is never behind.
pub struct Json<W> {
    out: W,
}

impl<W: Write> Json<W> {
    /// Writes to `out`.
    pub fn new(out: W) -> Self {
        Self { out }
    }
}

impl<W: Write> View for Json<W> {
    fn event(&mut self, event: &RunEvent, _: &RunState) -> io::Result<()> {
        serde_json::to_writer(&mut self.out, event)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }

    fn wants_output(&self) -> bool {
        true
    }
}

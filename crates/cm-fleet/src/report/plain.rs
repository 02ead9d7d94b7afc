//! A line for each thing that happens, for logs, pipes and CI; at the end last lines and the table.

use std::io::{self, Write};
use std::time::Duration;

use super::event::{RunEvent, RunEventKind};
use super::fold::{RunState, Status};
use super::paint::Paint;
use super::result::{self, Tails};
use super::{View, words};

/// How long it may be silent. CI systems end jobs that say nothing for some minutes.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// Where the text of a line begins: after the time, the name and the word.
const UNDER: usize = 31;

/// Progress goes to `log` (standard error), the result to `out` (standard output).
pub struct Plain<L, W> {
    log: L,
    out: W,
    columns: Option<usize>,
    paint: Paint,
    quiet: bool,
}

impl<L: Write, W: Write> Plain<L, W> {
    /// `columns` is the width of the terminal behind `out`, where there is one.
    pub fn new(log: L, out: W, columns: Option<usize>, paint: Paint) -> Self {
        Self { log, out, columns, paint, quiet: false }
    }

    /// No progress and no table: only what failed; with `--detach` only the sessions' ids.
    #[must_use]
    pub fn quiet(mut self) -> Self {
        self.quiet = true;
        self
    }

    fn end(&mut self, state: &RunState) -> io::Result<()> {
        let mut text = String::new();
        match (state.detach, self.quiet) {
            (true, _) => {
                for task in &state.tasks {
                    if let Some(session) = task.status.session() {
                        text.push_str(&super::clean::clean(session.as_str()));
                        text.push('\n');
                    }
                }
            }
            (false, true) => text = result::tails(state, Tails::Failed, self.columns, self.paint),
            (false, false) => {
                text = result::tails(state, Tails::All, self.columns, self.paint);
                if !text.is_empty() {
                    text.push('\n');
                }
                text.push_str(&result::table(state, self.columns, self.paint));
            }
        }
        self.out.write_all(text.as_bytes())?;
        self.out.flush()?;
        let left = words::left_running(state);
        if state.detach && !self.quiet && !left.is_empty() {
            writeln!(self.log, "{left}")?;
        }
        Ok(())
    }
}

impl<L: Write, W: Write> View for Plain<L, W> {
    fn event(&mut self, event: &RunEvent, state: &RunState) -> io::Result<()> {
        let line = words::line(event, state).filter(|line| !self.quiet || is_failure(line, event));
        if let Some(line) = line {
            let text = format!("{} {:<10} {:<9} {}", words::clock(event.at), line.who, line.word, line.text);
            writeln!(self.log, "{}", text.trim_end())?;
            for more in &line.more {
                writeln!(self.log, "{:UNDER$}{more}", "")?;
            }
        }
        match event.kind {
            RunEventKind::RunFinished { .. } => self.end(state),
            _ => Ok(()),
        }
    }

    fn tick(&mut self, now: f64, state: &RunState) -> io::Result<()> {
        for task in state.tasks.iter().filter(|_| !self.quiet) {
            if let (Status::Live(_), Some((word, time, text))) = (&task.status, words::bar(&task.status, now))
            {
                let text = format!("{} {:<10} {word:<9} {time} {text}", words::clock(now), task.plan.label);
                writeln!(self.log, "{}", text.trim_end())?;
            }
        }
        Ok(())
    }

    fn tick_every(&self) -> Option<Duration> {
        (!self.quiet).then_some(HEARTBEAT)
    }
}

/// What even `--quiet` says.
fn is_failure(line: &words::Line, event: &RunEvent) -> bool {
    line.tone == words::Tone::Bad && !matches!(event.kind, RunEventKind::RunFinished { .. })
}

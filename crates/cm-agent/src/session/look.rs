//! Looking at a session's terminal: when, how often, and what becomes of what is seen.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cm_protocol::{ErrorReply, ScreenFrame, TranscriptPage};

use super::actor::{Actor, Round};
use super::mailbox::Mailbox;
use super::transcript::{self, Row, Wanted};
use crate::host::clock;
use crate::tmux::{Capture, CommandError, Control, Ending, Range, Snapshot};
use crate::tool::{Cursor, Exit, Input, Screen};

/// After the first output, wait this long for the rest of it: a program draws in several writes.
const SETTLE: Duration = Duration::from_millis(4);
/// With somebody watching or typing: at most about 30 looks in a second.
const PACE: Duration = Duration::from_millis(33);
/// With nobody watching, states are all that matters.
const PACE_ALONE: Duration = Duration::from_millis(120);
/// Rows read at once when a finished session's text is saved.
const SAVED_ROWS: u64 = 20_000;
/// Below any screen: tmux takes it for the last row there is.
const LAST_ROW: i64 = 100_000;

impl Actor {
    fn is_watched(&self) -> bool {
        self.typing.is_some() || self.view.watchers.iter().any(|w| w.strong_count() > 0)
    }

    /// There was output: look when it has settled, but not more often than is useful.
    pub(super) fn look_soon(&mut self) {
        let pace = if self.is_watched() { PACE } else { PACE_ALONE };
        let at = (clock::now() + SETTLE).max(self.view.looked + pace);
        self.view.look_at = Some(self.view.look_at.map_or(at, |due| due.min(at)));
    }

    /// Looks, and lets everyone know who wants to.
    pub(super) async fn look(&mut self, control: &Control) -> Round {
        self.view.look_at = None;
        let seen = match control.snapshot(Capture::default()).await {
            Ok(seen) => seen,
            Err(error) => return self.lost_sight(&error),
        };
        self.view.looked = clock::now();
        self.see(&seen);
        let screen = self.view.screen.clone().unwrap_or_default();
        let round = self.step(Some(control), Input::Screen(&screen)).await;
        if !matches!(round, Round::On) {
            return round;
        }
        if let Some(ending) = seen.status.ended()
            && !self.view.ended
        {
            self.view.ended = true;
            let told = self.machine.is_ended();
            let exit = match ending {
                Ending::Exit { code, .. } => Exit { code: Some(*code), signal: None },
                Ending::Signal { name, .. } => Exit { code: None, signal: Some(name.clone()) },
                Ending::Untold => Exit::default(),
            };
            if told {
                // An earlier agent saw it end, and may have had no time to say so.
                self.catch_up(Some(control), &exit).await;
            }
            let round = self.step(Some(control), Input::Exited(exit)).await;
            self.show(true);
            if !matches!(round, Round::On) {
                return round;
            }
        }
        self.go_on_typing(control, &screen).await
    }

    pub(super) fn lost_sight(&self, error: &CommandError) -> Round {
        tracing::warn!(session = %self.record.id, %error, "the terminal cannot be seen; connecting again");
        Round::Disconnected
    }

    /// Takes in what was seen.
    fn see(&mut self, seen: &Snapshot) {
        let screen = screen_of(seen);
        self.view.numbering.see(screen.history);
        if self.view.screen.as_deref() != Some(&screen) {
            self.view.screen = Some(Arc::new(screen));
            self.view.revision += 1;
            self.show(false);
        }
    }

    /// Rows that will not change any more, counted from the first one ever shown.
    fn finished_rows(&self) -> u64 {
        let Some(screen) = &self.view.screen else { return 0 };
        let visible = if self.view.ended {
            screen.lines.iter().rposition(|l| !l.is_empty()).map_or(0, |last| last + 1) as u64
        } else if screen.alternate {
            0
        } else {
            u64::from(screen.cursor.row)
        };
        self.view.numbering.screen() + visible
    }

    /// Sends the screen to its watchers.
    fn show(&mut self, end: bool) {
        self.view.watchers.retain(|w| w.strong_count() > 0);
        let Some(screen) = &self.view.screen else { return };
        let frame = Arc::new(ScreenFrame {
            session_id: self.record.id.clone(),
            revision: self.view.revision,
            output: screen.lines.join("\n").trim_end().to_owned(),
            cursor: (screen.cursor.col, screen.cursor.row),
            cols: screen.cols,
            rows: screen.rows,
            lines: self.finished_rows(),
            title: screen.title.clone(),
            end,
        });
        for mailbox in self.view.watchers.iter().filter_map(Weak::upgrade) {
            mailbox.put(frame.clone());
        }
        self.view.frame = Some(frame);
    }

    pub(super) fn watch(&mut self, mailbox: Weak<Mailbox>) {
        self.unwatch(&mailbox);
        if let (Some(frame), Some(mailbox)) = (&self.view.frame, mailbox.upgrade()) {
            mailbox.put(frame.clone());
        }
        self.view.watchers.push(mailbox);
        self.look_soon();
    }

    pub(super) fn unwatch(&mut self, mailbox: &Weak<Mailbox>) {
        self.view.watchers.retain(|w| w.strong_count() > 0 && !w.ptr_eq(mailbox));
    }

    /// The last lines, for `capture_pane`.
    pub(super) async fn last_lines(
        &self,
        control: &Control,
        lines: u64,
        escapes: bool,
    ) -> Result<String, CommandError> {
        // The screen may be empty below: so many rows of history and the whole screen surely hold enough.
        let history = i64::try_from(lines).unwrap_or(i64::MAX).min(i64::from(self.engine.history));
        let range = Range::Lines { from: -history, to: LAST_ROW };
        let text = control.capture(Capture { range, escapes, join: true }).await?;
        Ok(transcript::last_lines(&String::from_utf8_lossy(&text), lines))
    }

    /// Lines by number.
    pub(super) async fn page(
        &mut self,
        control: &Control,
        wanted: Wanted,
    ) -> Result<TranscriptPage, ErrorReply> {
        let seen = control.snapshot(Capture::default()).await.map_err(super::effects::not_now)?;
        self.see(&seen);
        let (first, finished) = (self.view.numbering.first(), self.finished_rows());
        let (from, to) = wanted.range(first, finished);
        let rows = self.rows(control, from, to).await.map_err(super::effects::not_now)?;
        Ok(transcript::page(&self.record.id, wanted, from, &rows, finished, self.view.ended))
    }

    /// Rows `from..to` by number.
    async fn rows(&self, control: &Control, from: u64, to: u64) -> Result<Vec<Row>, CommandError> {
        if from >= to {
            return Ok(Vec::new());
        }
        // tmux counts from the top of the screen, and includes the last row.
        let signed = |row: u64| i64::try_from(row).unwrap_or(i64::MAX);
        let top = signed(self.view.numbering.screen());
        let range = Range::Lines { from: signed(from) - top, to: signed(to) - 1 - top };
        let rows = control.capture(Capture { range, escapes: false, join: false }).await?;
        let joined = control.capture(Capture { range, escapes: false, join: true }).await?;
        Ok(transcript::align(&String::from_utf8_lossy(&rows), &String::from_utf8_lossy(&joined)))
    }

    /// Saves the whole text, for when the terminal is gone.
    pub(super) async fn save_text(&mut self, control: &Control) -> Result<(), CommandError> {
        let seen = control.snapshot(Capture::default()).await?;
        self.view.ended = true;
        self.see(&seen);
        let finished = self.finished_rows();
        let first = self.view.numbering.first().max(finished.saturating_sub(SAVED_ROWS));
        let rows = self.rows(control, first, finished).await?;
        let path = self.engine.transcript_file(&self.record.id);
        let text = transcript::to_file(first, &rows);
        let written =
            tokio::task::spawn_blocking(move || crate::host::places::write_private(&path, text.as_bytes()))
                .await;
        if let Ok(Err(error)) = written {
            tracing::error!(session = %self.record.id, %error, "its text could not be saved");
        }
        Ok(())
    }
}

/// A look at the terminal in the words of the rooms that judge it.
pub(super) fn screen_of(seen: &Snapshot) -> Screen {
    let pane = &seen.status;
    Screen {
        lines: String::from_utf8_lossy(&seen.screen).lines().map(|l| l.trim_end().to_owned()).collect(),
        cursor: Cursor { col: pane.cursor_x, row: pane.cursor_y, visible: pane.cursor_visible },
        cols: pane.cols,
        rows: pane.rows,
        history: pane.history,
        alternate: pane.alternate,
        title: pane.title.clone(),
    }
}

//! Reading a session's text: the last lines, lines by number, and all of it when the terminal closes.

use cm_protocol::{ErrorReply, TranscriptPage};

use super::actor::Actor;
use super::effects::not_now;
use super::look::is_full;
use super::transcript::{self, Row, Wanted};
use crate::tmux::{Capture, CommandError, Control, Range};

/// Rows read at most when a finished session's text is saved.
const SAVED_ROWS: u64 = 20_000;
/// Rows that may be printed between the last look and the reading without making it read again.
const SLACK: u64 = 1000;
/// Below any screen: tmux takes it for the last row there is.
const LAST_ROW: i64 = 100_000;

/// Rows as they stood at one moment.
struct Text {
    /// The number of the first.
    first: u64,
    rows: Vec<Row>,
}

impl Actor {
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
        let from = wanted.from.unwrap_or_else(|| self.finished_rows().saturating_sub(wanted.limit));
        let text = self.read(control, from).await.map_err(not_now)?;
        let finished = self.finished_rows();
        let (from, to) = wanted.range(self.view.numbering.first(), finished);
        let rows = slice(&text, from, to);
        Ok(transcript::page(&self.record.id, wanted, from, rows, finished, self.view.ended))
    }

    /// Everything from a row on, by its number, at one moment.
    async fn read(&mut self, control: &Control, from: u64) -> Result<Text, CommandError> {
        let back = self.view.numbering.screen().saturating_sub(from).saturating_add(SLACK);
        let back = i64::try_from(back).unwrap_or(i64::MAX).min(i64::from(self.engine.history));
        if !self.view.numbering.is_uncertain() {
            let range = Range::Lines { from: -back, to: LAST_ROW };
            let text = self.survey(control, range).await?;
            let covered = text.first <= from.max(self.view.numbering.first());
            if covered && !self.view.numbering.is_uncertain() {
                return Ok(text);
            }
        }
        self.survey(control, Range::All).await
    }

    /// Reads rows and what they are numbered by in one go, so that nothing is printed in between.
    async fn survey(&mut self, control: &Control, range: Range) -> Result<Text, CommandError> {
        let (seen, rows, joined) = control.survey(range).await?;
        let rows = transcript::align(&String::from_utf8_lossy(&rows), &String::from_utf8_lossy(&joined));
        let visible = usize::from(seen.status.rows);
        if range == Range::All {
            let finished = rows.len().saturating_sub(visible) + self.finished_of(&seen);
            self.view.numbering.count(&rows, seen.status.history, is_full(&seen), finished);
        }
        self.take_in(&seen);
        let above = rows.len().saturating_sub(visible) as u64;
        Ok(Text { first: self.view.numbering.screen().saturating_sub(above), rows })
    }

    /// Saves the whole text, for when the terminal is gone.
    pub(super) async fn save_text(&mut self, control: &Control) -> Result<(), CommandError> {
        let text = self.survey(control, Range::All).await?;
        self.view.ended = true;
        let finished = self.finished_rows();
        let first = self.view.numbering.first().max(finished.saturating_sub(SAVED_ROWS));
        let path = self.engine.transcript_file(&self.record.id);
        let text = transcript::to_file(first, slice(&text, first, finished));
        let written =
            tokio::task::spawn_blocking(move || crate::host::places::write_private(&path, text.as_bytes()))
                .await;
        if let Ok(Err(error)) = written {
            tracing::error!(session = %self.record.id, %error, "its text could not be saved");
        }
        Ok(())
    }
}

/// The rows `from..to` by number, as far as they are there.
fn slice(text: &Text, from: u64, to: u64) -> &[Row] {
    let index = |number: u64| {
        usize::try_from(number.saturating_sub(text.first)).unwrap_or(usize::MAX).min(text.rows.len())
    };
    &text.rows[index(from)..index(to).max(index(from))]
}

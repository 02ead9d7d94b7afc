//! Looking at a session's terminal: when, how often, and what becomes of what is seen.

use std::sync::{Arc, Weak};
use std::time::Duration;

use cm_protocol::ScreenFrame;

use super::actor::{Actor, Round};
use super::mailbox::Mailbox;
use crate::host::clock;
use crate::tmux::{CommandError, Control, Ending, Snapshot};
use crate::tool::{Cursor, Exit, Input, Screen};

/// After the first output, wait this long for the rest of it: a program draws in several writes.
const SETTLE: Duration = Duration::from_millis(4);
/// With somebody watching or typing, or something seen that waits to be believed: at most about 30 looks in a
/// second.
const PACE: Duration = Duration::from_millis(33);
/// With nobody watching, states are all that matters.
const PACE_ALONE: Duration = Duration::from_millis(80);

impl Actor {
    fn is_watched(&self) -> bool {
        self.typing.is_some() || self.view.watchers.iter().any(|w| w.strong_count() > 0)
    }

    /// There was output: look when it has settled, but not more often than is useful.
    pub(super) fn look_soon(&mut self) {
        let close = self.is_watched() || self.machine.deadline().is_some();
        let pace = if close { PACE } else { PACE_ALONE };
        let at = (clock::now() + SETTLE).max(self.view.looked + pace);
        self.view.look_at = Some(self.view.look_at.map_or(at, |due| due.min(at)));
    }

    /// Looks, and lets everyone know who wants to.
    pub(super) async fn look(&mut self, control: &Control) -> Round {
        self.view.look_at = None;
        let seen = match control.snapshot(self.capture()).await {
            Ok(seen) => seen,
            Err(error) => return self.lost_sight(&error),
        };
        self.view.looked = clock::now();
        self.take_in(&seen);
        let screen = self.view.screen.clone().unwrap_or_default();
        let round = self.listen(control, &seen).await;
        if !matches!(round, Round::On) {
            return round;
        }
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
            // Also where the task had ended before the program did, so that nothing completes now.
            self.plan_closing();
            self.show(true);
            if !matches!(round, Round::On) {
                return round;
            }
        }
        let round = self.go_on_choosing(control, &screen).await;
        if !matches!(round, Round::On) {
            return round;
        }
        self.go_on_typing(control, &screen).await
    }

    pub(super) fn lost_sight(&self, error: &CommandError) -> Round {
        tracing::warn!(session = %self.record.id, %error, "the terminal cannot be seen; connecting again");
        Round::Disconnected
    }

    /// Takes in what was seen.
    pub(super) fn take_in(&mut self, seen: &Snapshot) {
        let screen = screen_of(seen);
        let finished = &screen.lines[..self.finished_of(seen).min(screen.lines.len())];
        self.view.numbering.see(screen.history, is_full(seen), finished);
        if self.view.screen.as_deref() != Some(&screen) {
            self.view.screen = Some(Arc::new(screen));
            self.view.revision += 1;
            self.show(false);
        }
    }

    /// Rows that will not change any more, counted from the first one ever shown.
    pub(super) fn finished_rows(&self) -> u64 {
        let Some(screen) = &self.view.screen else { return 0 };
        self.view.numbering.screen() + finished(screen, self.view.ended) as u64
    }

    /// Rows of a screen that will not change any more.
    pub(super) fn finished_of(&self, seen: &Snapshot) -> usize {
        finished(&screen_of(seen), self.view.ended)
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
}

/// A look at the terminal in the words of the rooms that judge it.
pub(super) fn screen_of(seen: &Snapshot) -> Screen {
    let pane = &seen.status;
    let screen = Screen {
        cursor: Cursor { col: pane.cursor_x, row: pane.cursor_y, visible: pane.cursor_visible },
        cols: pane.cols,
        rows: pane.rows,
        history: pane.history,
        alternate: pane.alternate,
        title: pane.title.clone(),
        ..Screen::default()
    };
    screen.with_text(&String::from_utf8_lossy(&seen.screen))
}

/// Whether the history is so full that tmux may have thrown rows away: it lets go of a tenth of it at a time.
pub(super) fn is_full(seen: &Snapshot) -> bool {
    seen.status.history + u64::from(seen.status.rows) >= seen.status.history_limit / 10 * 9
}

/// Rows of a screen that will not change any more: those above the cursor, or all with text once the program
/// has ended. A full-screen program has none.
fn finished(screen: &Screen, ended: bool) -> usize {
    if ended {
        screen.lines.iter().rposition(|l| !l.is_empty()).map_or(0, |last| last + 1)
    } else if screen.alternate {
        0
    } else {
        usize::from(screen.cursor.row)
    }
}

//! What a session waits on: notices of its control client, with output piled up into one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::control::{Notice, PaneId};

/// Notices kept for a session that does not read. Beyond this the oldest goes: each of them only says "look".
const MAX_QUEUED: usize = 64;
/// How much of what tmux says of a failure is kept, in bytes.
pub(super) const MAX_TROUBLE: usize = 4096;

/// Where the client's task puts notices and the session takes them.
#[derive(Debug, Default)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    news: Notify,
}

#[derive(Debug, Default)]
struct State {
    queue: VecDeque<Notice>,
    /// Output since the last time somebody looked.
    output: Option<(PaneId, u64, Vec<u8>)>,
    /// How many raw bytes may be kept; 0: none are.
    tap: usize,
    closed: bool,
    /// What tmux said outside of any answer, bounded.
    trouble: String,
}

impl Mailbox {
    /// No code panics while it holds this lock, and the state is whole between any two of its lines.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a notice in; output joins what is waiting.
    pub(super) fn put(&self, notice: Notice) {
        let mut state = self.state();
        let tap = state.tap;
        match notice {
            Notice::Output { pane, bytes, data } => {
                let (_, count, kept) = state.output.get_or_insert((pane, 0, Vec::new()));
                *count += bytes;
                let room = tap.saturating_sub(kept.len()).min(data.len());
                kept.extend_from_slice(&data[..room]);
            }
            other => {
                if state.queue.len() >= MAX_QUEUED {
                    state.queue.pop_front();
                }
                state.queue.push_back(other);
            }
        }
        drop(state);
        self.news.notify_one();
    }

    /// Nothing will follow.
    pub(super) fn close(&self) {
        self.state().closed = true;
        self.news.notify_one();
    }

    /// Notes what tmux said outside of any answer: errors of the start, lines on stderr.
    pub(super) fn trouble(&self, text: &[u8]) {
        let mut state = self.state();
        let text = String::from_utf8_lossy(text);
        for line in text.lines().map(str::trim_end).filter(|line| !line.is_empty()) {
            if state.trouble.len() + line.len() <= MAX_TROUBLE {
                let gap = if state.trouble.is_empty() { "" } else { "; " };
                state.trouble.push_str(gap);
                state.trouble.push_str(line);
            }
        }
    }

    /// All of it so far, if there was any.
    pub(super) fn troubled(&self) -> Option<String> {
        let trouble = self.state().trouble.clone();
        (!trouble.is_empty()).then_some(trouble)
    }

    /// How many raw bytes are to be kept.
    pub(super) fn tap(&self) -> usize {
        self.state().tap
    }

    /// Keeps up to `bytes` raw bytes of output between two looks.
    pub(super) fn set_tap(&self, bytes: usize) {
        self.state().tap = bytes;
    }

    /// The next notice, if there is one; `Err` if there will never be one again.
    fn take(&self) -> Result<Option<Notice>, ()> {
        let mut state = self.state();
        // Output first: it came before an end that is queued.
        if let Some((pane, bytes, data)) = state.output.take() {
            return Ok(Some(Notice::Output { pane, bytes, data }));
        }
        match state.queue.pop_front() {
            Some(notice) => Ok(Some(notice)),
            None if state.closed => Err(()),
            None => Ok(None),
        }
    }
}

/// What a session waits on. There is one per control client.
#[derive(Debug)]
pub struct Notices {
    mailbox: Arc<Mailbox>,
}

impl Notices {
    pub(super) fn new(mailbox: Arc<Mailbox>) -> Self {
        Self { mailbox }
    }

    /// The next notice. The last one is always [`Notice::Exit`]; then comes `None`, for ever.
    ///
    /// However much was printed, it is one [`Notice::Output`]. Never gives [`Notice::Reply`],
    /// [`Notice::Pause`] or [`Notice::Continue`]. Cancel-safe: a dropped wait loses nothing.
    pub async fn recv(&mut self) -> Option<Notice> {
        loop {
            match self.mailbox.take() {
                Ok(Some(notice)) => return Some(notice),
                Err(()) => return None,
                // One reader: a permit stored between the look and the wait ends the wait at once.
                Ok(None) => self.mailbox.news.notified().await,
            }
        }
    }

    /// Keeps up to `bytes` raw bytes of the pane's output in each [`Notice::Output`]; 0, as at first: none.
    ///
    /// In a flood (more than `bytes` between two snapshots) the pane is paused, and what it prints then is in no
    /// notice.
    pub fn tap(&mut self, bytes: usize) {
        self.mailbox.set_tap(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn output(data: &[u8]) -> Notice {
        Notice::Output { pane: PaneId(0), bytes: data.len() as u64, data: data.to_vec() }
    }

    #[tokio::test]
    async fn output_piles_up_and_the_end_comes_last() {
        let mailbox = Arc::new(Mailbox::default());
        let mut notices = Notices::new(Arc::clone(&mailbox));
        notices.tap(4);
        mailbox.put(output(b"abc"));
        mailbox.put(output(b"def"));
        mailbox.put(Notice::Exit { reason: None });
        mailbox.close();
        let piled = Notice::Output { pane: PaneId(0), bytes: 6, data: b"abcd".to_vec() };
        assert_eq!(notices.recv().await, Some(piled));
        assert_eq!(notices.recv().await, Some(Notice::Exit { reason: None }));
        assert_eq!(notices.recv().await, None);
        assert_eq!(notices.recv().await, None);
    }

    #[tokio::test]
    async fn a_session_that_does_not_read_costs_a_bounded_queue() {
        let mailbox = Arc::new(Mailbox::default());
        let mut notices = Notices::new(Arc::clone(&mailbox));
        for n in 0..1000 {
            mailbox.put(Notice::Other(n.to_string()));
            mailbox.put(output(&[b'x'; 100]));
        }
        mailbox.close();
        let counted = Notice::Output { pane: PaneId(0), bytes: 100_000, data: Vec::new() };
        assert_eq!(notices.recv().await, Some(counted));
        let mut rest = Vec::new();
        while let Some(notice) = notices.recv().await {
            rest.push(notice);
        }
        assert_eq!(rest.len(), MAX_QUEUED);
        assert_eq!(rest.last(), Some(&Notice::Other("999".into())));
    }
}

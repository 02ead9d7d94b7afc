//! What a client is told of events: new ones, those it missed, or where things stand.

use cm_protocol::frame::to_text;
use cm_protocol::{ServerFrame, Subscribe};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Connection, Gone};
use crate::hub::Recent;

/// Events written before anything else gets its turn again.
const BATCH: usize = 256;

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    pub(super) async fn subscribe(&mut self, subscribe: &Subscribe, answered: u64) -> Result<(), Gone> {
        self.subscribed = true;
        // What happened since the answer was made has been passed over, as far as the original had no word
        // for it: everything after the number that was answered is owed.
        let since = subscribe.since.unwrap_or(answered);
        let head = *self.head.borrow();
        if since > head {
            // Numbers of another life of this agent: only a snapshot says where things stand.
            return self.snapshot().await;
        }
        self.cursor = since;
        self.replaying = since < head;
        self.behind = self.replaying;
        Ok(())
    }

    /// Writes a batch of what followed the cursor.
    pub(super) async fn events(&mut self) -> Result<(), Gone> {
        match self.server.engine.hub.recent(self.cursor, BATCH) {
            Recent::Events(events) => {
                // From here on the client is on its own: one that falls behind gets a snapshot.
                self.replaying = false;
                // A full batch may not be all: come back without waiting for news.
                self.behind = events.len() == BATCH;
                let Some(last) = events.last() else { return Ok(()) };
                self.cursor = last.seq;
                let all = self.subscribed;
                for event in events.iter().filter(|e| all || e.original) {
                    self.feed(event.text.clone()).await?;
                }
                self.flush().await
            }
            Recent::Gone if self.replaying && self.subscribed => self.replay().await,
            Recent::Gone if self.subscribed => self.snapshot().await,
            Recent::Gone => {
                // The original's clients know no snapshot; they ask with list_sessions.
                self.cursor = *self.head.borrow();
                self.behind = false;
                Ok(())
            }
        }
    }

    /// Writes a batch from the disk; a snapshot if it is not there any more.
    async fn replay(&mut self) -> Result<(), Gone> {
        let (server, cursor) = (self.server.clone(), self.cursor);
        let page = tokio::task::spawn_blocking(move || server.engine.hub.replay(cursor, BATCH)).await;
        let events = match page {
            Ok(Ok(page)) if !page.gap => page.records,
            Ok(Err(error)) => {
                tracing::warn!(%error, "events cannot be replayed; sending a snapshot instead");
                return self.snapshot().await;
            }
            _ => return self.snapshot().await,
        };
        let before = self.cursor;
        for record in events {
            if let crate::session::record::Record::Event(event) = record {
                self.cursor = event.seq;
                self.feed(to_text(&event)).await?;
            }
        }
        if self.cursor == before {
            return self.snapshot().await;
        }
        self.flush().await
    }

    async fn snapshot(&mut self) -> Result<(), Gone> {
        let snapshot = self.server.engine.hub.snapshot();
        self.cursor = snapshot.seq;
        self.replaying = false;
        self.behind = false;
        self.write(ServerFrame::Snapshot(snapshot).to_text()).await
    }
}

//! Where a client finds the newest screens of the sessions it watches: one place each, so that a slow
//! client skips frames and never makes anyone wait.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use cm_protocol::{ScreenFrame, SessionId};
use tokio::sync::Notify;

/// One client's newest frames.
#[derive(Debug, Default)]
pub struct Mailbox {
    frames: Mutex<HashMap<SessionId, Arc<ScreenFrame>>>,
    arrived: Notify,
}

impl Mailbox {
    /// Puts a frame in place of the one that was not fetched.
    pub fn put(&self, frame: Arc<ScreenFrame>) {
        self.frames().insert(frame.session_id.clone(), frame);
        self.arrived.notify_one();
    }

    /// Waits until there are frames, and takes them.
    pub async fn take(&self) -> Vec<Arc<ScreenFrame>> {
        loop {
            let frames: Vec<_> = self.frames().drain().map(|(_, frame)| frame).collect();
            if !frames.is_empty() {
                return frames;
            }
            self.arrived.notified().await;
        }
    }

    fn frames(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, Arc<ScreenFrame>>> {
        self.frames.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

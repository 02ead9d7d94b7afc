//! Ending a connection from outside: when a deadline passes, or nobody waits for an answer any more.

use std::net::Shutdown;
use std::sync::Arc;

use socket2::Socket;

/// Shuts the socket down when it is dropped, unless it was told that all is well. The thread that works
/// on the connection then fails at once, wherever it is.
#[derive(Debug)]
pub struct Cut(Option<Arc<Socket>>);

impl Cut {
    /// Ready to cut `socket`.
    pub fn new(socket: &Arc<Socket>) -> Self {
        Self(Some(Arc::clone(socket)))
    }

    /// Lets the connection live.
    pub fn spare(mut self) {
        self.0 = None;
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Some(socket) = self.0.take() {
            // It may be gone already; that is what was wanted.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }
}

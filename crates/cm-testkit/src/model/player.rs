//! Plays a script into an HTTP body: sends, waits, holds at gates, breaks off; stops when the client goes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::sync::mpsc;

use super::answer::{Out, Script};
use super::record::Outcome;
use super::shared::Shared;

/// A body whose pieces come from a task.
#[derive(Debug)]
pub(super) struct Pieces(mpsc::Receiver<io::Result<Bytes>>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let piece = ready!(self.0.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.map(Frame::data)))
    }
}

/// Sees to it that a request's end is recorded, however it ends: unless told otherwise, the client has gone.
pub(super) struct Ending {
    shared: Arc<Shared>,
    number: u64,
    outcome: Outcome,
}

impl Ending {
    pub(super) fn of(shared: Arc<Shared>, number: u64) -> Self {
        Self { shared, number, outcome: Outcome::Gone }
    }

    pub(super) fn with(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.ended(self.number, self.outcome);
    }
}

/// The body that becomes of `script`. The task that makes it belongs to the server's runtime, which ends with
/// the server; it ends by itself with the script, or with the body.
pub(super) fn play(script: Script, shared: Arc<Shared>, ending: Ending) -> Pieces {
    let (sender, receiver) = mpsc::channel(16);
    tokio::spawn(async move {
        for out in script.0 {
            let on = match out {
                Out::Bytes(text) => sender.send(Ok(Bytes::from(text))).await.is_ok(),
                Out::Pause(time) => tokio::select! {
                    () = tokio::time::sleep(time) => true,
                    () = sender.closed() => false,
                },
                Out::Gate(name) => tokio::select! {
                    () = shared.gates.pass(&name) => true,
                    () = sender.closed() => false,
                },
                Out::Cut => {
                    // What was sent before must have left: an error overtakes nothing in this channel.
                    let _ = sender.send(Err(io::Error::other("cut, as the scenario says"))).await;
                    return ending.with(Outcome::Cut);
                }
            };
            if !on {
                return;
            }
        }
        ending.with(Outcome::Whole);
    });
    Pieces(receiver)
}

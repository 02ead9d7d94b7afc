//! Recent events, serialized once for all clients. PURE.

use std::collections::VecDeque;
use std::sync::Arc;

use cm_protocol::Event;
use cm_protocol::frame::to_text;

/// An event as it goes out.
#[derive(Debug)]
pub struct Kept {
    /// Its number.
    pub seq: u64,
    /// Whether clients of the original agent know it.
    pub original: bool,
    /// The frame's text.
    pub text: String,
}

/// What the ring has after some number.
#[derive(Debug)]
pub enum Recent {
    /// The events that follow, oldest first; empty if there are none.
    Events(Vec<Arc<Kept>>),
    /// Some of what followed is no longer here.
    Gone,
}

/// The newest events, bounded in number and bytes.
#[derive(Debug)]
pub(super) struct Ring {
    events: VecDeque<Arc<Kept>>,
    bytes: usize,
    head: u64,
    /// The newest number that is no longer here.
    gone: u64,
    max_events: usize,
    max_bytes: usize,
}

impl Ring {
    /// An empty ring; `head` is the newest number given out so far.
    pub(super) fn new(head: u64, max_events: usize, max_bytes: usize) -> Self {
        Self { events: VecDeque::new(), bytes: 0, head, gone: head, max_events, max_bytes }
    }

    /// The newest number.
    pub(super) fn head(&self) -> u64 {
        self.head
    }

    /// Takes an event in; the oldest leave when there are too many.
    pub(super) fn push(&mut self, event: &Event) {
        let kept = Kept { seq: event.seq, original: event.kind.is_original(), text: to_text(event) };
        self.head = event.seq;
        self.bytes += kept.text.len();
        self.events.push_back(Arc::new(kept));
        while self.events.len() > self.max_events || self.bytes > self.max_bytes {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.text.len();
            self.gone = oldest.seq;
        }
    }

    /// At most `max` events after `seq`.
    pub(super) fn after(&self, seq: u64, max: usize) -> Recent {
        if seq < self.gone {
            return Recent::Gone;
        }
        let start = self.events.partition_point(|e| e.seq <= seq);
        Recent::Events(self.events.iter().skip(start).take(max).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cm_protocol::{EventKind, Notice};

    fn event(seq: u64) -> Event {
        let notice = Notice { topic: "t".into(), message: "m".into() };
        Event { kind: EventKind::Notice(notice), seq, timestamp: 0.0 }
    }

    fn ring(head: u64, seqs: &[u64]) -> Ring {
        let mut ring = Ring::new(head, 3, 10_000);
        seqs.iter().for_each(|&s| ring.push(&event(s)));
        ring
    }

    fn check(ring: &Ring, after: u64, expected: Option<&[u64]>) {
        let seqs = match ring.after(after, 2) {
            Recent::Events(events) => Some(events.iter().map(|e| e.seq).collect::<Vec<_>>()),
            Recent::Gone => None,
        };
        assert_eq!(seqs.as_deref(), expected, "after {after}");
    }

    #[test]
    fn a_reader_gets_what_followed_in_pieces() {
        let ring = ring(10, &[11, 12, 13]);
        check(&ring, 10, Some(&[11, 12]));
        check(&ring, 12, Some(&[13]));
        check(&ring, 13, Some(&[]));
        check(&ring, 99, Some(&[]));
    }

    #[test]
    fn what_was_before_the_ring_is_gone_not_empty() {
        check(&ring(10, &[]), 9, None);
        check(&ring(10, &[]), 10, Some(&[]));
        let full = ring(10, &[11, 12, 13, 14, 15]);
        check(&full, 11, None);
        check(&full, 12, Some(&[13, 14]));
    }

    #[test]
    fn bytes_are_bounded_too() {
        let size = to_text(&event(11)).len();
        let mut ring = Ring::new(10, 1000, size * 2);
        (11..20).for_each(|s| ring.push(&event(s)));
        check(&ring, 16, None);
        check(&ring, 17, Some(&[18, 19]));
    }
}

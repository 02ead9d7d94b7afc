//! PURE: what one reader has not read yet; bounded, with a marker where something did not fit.
//!
//! Two kinds of readers. A *live* one gets what the agent sends. A *following* one began at a
//! subscription and is promised every event after it once, in order: what it had already is left out, and
//! once something did not fit it gets nothing more until it subscribes again from there (or the agent
//! sends a snapshot, which contains everything missed).

use std::collections::{BTreeMap, VecDeque};

use cm_protocol::{Event, ScreenFrame, SessionId, Snapshot};

use crate::events::Incoming;

/// One place in the line; a screen's place holds whatever frame is newest when its turn comes.
#[derive(Debug)]
enum Slot {
    Event(Event),
    Snapshot(Snapshot),
    Screen(SessionId),
}

/// What the reader was promised.
#[derive(Debug, PartialEq, Eq)]
enum Promise {
    /// Whatever is sent.
    Live,
    /// Everything after the position.
    Following,
    /// Was following; what came after the position is lost until the next subscription.
    Broken,
}

#[derive(Debug)]
pub(crate) struct Buffer {
    line: VecDeque<Slot>,
    screens: BTreeMap<SessionId, ScreenFrame>,
    capacity: usize,
    promise: Promise,
    /// The last event taken in, or the point the subscription began after.
    position: u64,
    /// The point the reader's first subscription began after.
    start: u64,
    /// A marker to hand out once the line is empty.
    missed: Option<u64>,
}

impl Buffer {
    /// A live reader's.
    pub(crate) fn new(capacity: usize) -> Self {
        Self {
            line: VecDeque::new(),
            screens: BTreeMap::new(),
            capacity,
            promise: Promise::Live,
            position: 0,
            start: 0,
            missed: None,
        }
    }

    /// The last event taken in, or the point the subscription began after.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The point the reader's first subscription began after.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// The reader's own subscription has begun: every event after `start` will come.
    pub(crate) fn follow_from(&mut self, start: u64) {
        if self.promise == Promise::Live {
            self.position = start;
            self.start = start;
        }
        // Subscribing from later than it has leaves a hole, which its reader must hear of.
        self.promise = Promise::Following;
        self.missed = None;
        self.subscribed(start);
    }

    /// Somebody on this connection subscribed: what the agent sends goes on after `start`.
    pub(crate) fn subscribed(&mut self, start: u64) {
        if self.promise == Promise::Following && start > self.position {
            self.break_off();
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        match self.promise {
            Promise::Broken => return,
            Promise::Following if event.seq <= self.position => return,
            Promise::Live if self.missed.is_some() => return,
            Promise::Live | Promise::Following => {}
        }
        if self.line.len() >= self.capacity + self.screens.len() {
            return self.break_off();
        }
        self.position = self.position.max(event.seq);
        self.line.push_back(Slot::Event(event));
    }

    fn break_off(&mut self) {
        self.missed = Some(self.position);
        if self.promise == Promise::Following {
            self.promise = Promise::Broken;
        }
    }

    /// A snapshot contains all events up to its own: it fills any hole before it.
    pub(crate) fn snapshot(&mut self, snapshot: Snapshot) {
        if self.line.len() >= self.capacity + self.screens.len() {
            self.line.retain(|slot| matches!(slot, Slot::Screen(_)));
        }
        self.missed = None;
        if self.promise == Promise::Broken {
            self.promise = Promise::Following;
        }
        self.position = self.position.max(snapshot.seq);
        self.line.push_back(Slot::Snapshot(snapshot));
    }

    /// Only the newest frame of a session is kept.
    pub(crate) fn screen(&mut self, frame: ScreenFrame) {
        let id = frame.session_id.clone();
        if self.screens.insert(id.clone(), frame).is_none() {
            self.line.push_back(Slot::Screen(id));
        }
    }

    pub(crate) fn pop(&mut self) -> Option<Incoming> {
        while let Some(slot) = self.line.pop_front() {
            match slot {
                Slot::Event(event) => return Some(Incoming::Event(event)),
                Slot::Snapshot(snapshot) => return Some(Incoming::Snapshot(snapshot)),
                Slot::Screen(id) => {
                    if let Some(frame) = self.screens.remove(&id) {
                        return Some(Incoming::Screen(frame));
                    }
                }
            }
        }
        self.missed.take().map(|since| Incoming::Missed { since })
    }
}

#[cfg(test)]
mod tests {
    use cm_protocol::EventKind;

    use super::*;

    fn event(seq: u64) -> Event {
        Event { kind: EventKind::SessionClosed { session_id: "cm-1".into() }, seq, timestamp: 0.0 }
    }

    fn snapshot(seq: u64) -> Snapshot {
        Snapshot { seq, timestamp: 0.0, sessions: Vec::new() }
    }

    fn screen(session: &str, revision: u64) -> ScreenFrame {
        ScreenFrame {
            session_id: session.into(),
            revision,
            output: String::new(),
            cursor: (0, 0),
            cols: 80,
            rows: 24,
            lines: 0,
            title: String::new(),
            end: false,
        }
    }

    fn words(buffer: &mut Buffer) -> String {
        let mut words = Vec::new();
        while let Some(incoming) = buffer.pop() {
            words.push(match incoming {
                Incoming::Event(event) => event.seq.to_string(),
                Incoming::Snapshot(snapshot) => format!("={}", snapshot.seq),
                Incoming::Screen(frame) => format!("{}@{}", frame.session_id, frame.revision),
                Incoming::Missed { since } => format!("missed>{since}"),
            });
        }
        words.join(" ")
    }

    /// One letter a step: `e7` event 7, `s7` snapshot 7, `f3` own subscription after 3, `o3` another's,
    /// `v1` a screen frame of revision 1, `r` read everything.
    fn check(steps: &str, expected: &str) {
        let mut buffer = Buffer::new(3);
        let mut read = Vec::new();
        for step in steps.split_whitespace() {
            let number = step[1..].parse().unwrap_or(0);
            match &step[..1] {
                "e" => buffer.event(event(number)),
                "s" => buffer.snapshot(snapshot(number)),
                "f" => buffer.follow_from(number),
                "o" => buffer.subscribed(number),
                "v" => buffer.screen(screen("cm-1", number)),
                "w" => buffer.screen(screen("cm-2", number)),
                "r" => read.push(words(&mut buffer)),
                other => panic!("{other}"),
            }
        }
        read.push(words(&mut buffer));
        assert_eq!(read.join(" | "), expected, "{steps}");
    }

    #[test]
    fn live_readers_get_what_is_sent() {
        check("e1 e2", "1 2");
        check("e1 e1", "1 1");
        check("e0 e0 e0", "0 0 0");
        check("e1 e2 e3 e4 e5", "1 2 3 missed>3");
        check("e1 e2 e3 e4 r e5", "1 2 3 missed>3 | 5");
        check("e0 e0 e0 e0 r e0", "0 0 0 missed>0 | 0");
        check("e5 o2 e3 e4", "5 3 4");
    }

    #[test]
    fn followers_get_each_event_once() {
        check("f3 e4 e5", "4 5");
        check("f3 e2 e3 e4", "4");
        check("e9 r f3 e4 e5", "9 | 4 5");
        check("f3 e4 o3 e4 e5", "4 5");
        check("f3 e4 o4 e5", "4 5");
    }

    #[test]
    fn followers_hear_of_every_hole() {
        check("f0 e1 e2 e3 e4 e5", "1 2 3 missed>3");
        check("f0 e1 e2 e3 e4 r e5 e6 r f3 e4 e5 e6", "1 2 3 missed>3 |  | 4 5 6");
        check("f0 e1 e2 e3 e4 f3 e4", "1 2 3 missed>3");
        check("f0 e1 o7 e8 r f1 e2", "1 missed>1 | 2");
        check("f0 e1 r f5 e6", "1 | missed>1");
        check("f0 e1 e2 e3 e4 o2 e3 e4 r f3 e4", "1 2 3 missed>3 | 4");
    }

    #[test]
    fn a_snapshot_fills_the_hole() {
        check("f0 s7 e7 e8", "=7 8");
        check("f0 e1 e2 e3 e4 s4 e5", "=4 5");
        check("f0 e1 e2 e3 e4 r s6 e5 e7", "1 2 3 missed>3 | =6 7");
        check("f0 e1 s9 o3 e4 e10", "1 =9 10");
        check("e1 e2 e3 e4 s4", "=4");
    }

    #[test]
    fn of_a_screen_only_the_newest_is_kept() {
        check("v1 v2 v3", "cm-1@3");
        check("v1 e1 v2 w1", "cm-1@2 1 cm-2@1");
        check("v1 r v2", "cm-1@1 | cm-1@2");
        check("v1 w1 e1 e2 e3 v2 w2 e4", "cm-1@2 cm-2@2 1 2 3 missed>3");
        check("v1 e1 e2 e3 e4 s4", "cm-1@1 =4");
    }

    #[test]
    fn nothing_grows_without_bound() {
        let mut buffer = Buffer::new(3);
        buffer.follow_from(0);
        for seq in 1..10_000 {
            buffer.event(event(seq));
            buffer.screen(screen("cm-1", seq));
            if seq % 7 == 0 {
                buffer.snapshot(snapshot(seq));
            }
            assert!(buffer.line.len() <= 3 + 1 + 1, "{}", buffer.line.len());
        }
    }
}

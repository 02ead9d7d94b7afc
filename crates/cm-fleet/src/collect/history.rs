//! What became of each attempt at each task, from the run's events. PURE.

use cm_protocol::{Outcome, Receipt, SessionId};
use serde::Serialize;

use crate::report::event::{Class, RunEvent, RunEventKind};

/// One attempt at a task.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its number, from 1.
    pub attempt: u32,
    /// Where it was.
    pub host: String,
    /// Its session, where it got one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<SessionId>,
    /// When the host was asked, Unix seconds.
    pub placed_at: f64,
    /// When it began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<f64>,
    /// When it ended, or was given up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<f64>,
    /// What kind of failure it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class: Option<Class>,
    /// Why it did not settle the task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its end became known only after it had been given up.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Box<Outcome>>,
}

/// A task's attempts, in order, and what was done about its prompts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The attempts; those a host had no room for are left out.
    pub attempts: Vec<Attempt>,
    /// The receipts that were heard of.
    pub receipts: Vec<Receipt>,
}

impl History {
    /// All receipts there are, each once, the earliest first.
    pub fn receipts(&self) -> Vec<&Receipt> {
        let ends = self.attempts.iter().filter_map(|attempt| attempt.outcome.as_deref());
        let mut all: Vec<&Receipt> = Vec::new();
        for receipt in self.receipts.iter().chain(ends.flat_map(|outcome| &outcome.receipts)) {
            if !all.contains(&receipt) {
                all.push(receipt);
            }
        }
        all.sort_by(|a, b| a.at.total_cmp(&b.at));
        all
    }

    /// The attempt that had its session last.
    pub fn last(&self) -> Option<&Attempt> {
        self.attempts.iter().rev().find(|attempt| attempt.session_id.is_some())
    }

    fn hear(&mut self, at: f64, kind: &RunEventKind) {
        match kind {
            RunEventKind::TaskPlaced { host, attempt, .. } => self.attempts.push(Attempt {
                attempt: *attempt,
                host: host.clone(),
                placed_at: at,
                ..Attempt::default()
            }),
            RunEventKind::TaskQueued { .. } => _ = self.attempts.pop(),
            RunEventKind::TaskReceipt { receipt, .. } => self.receipts.push((**receipt).clone()),
            RunEventKind::TaskLate { attempt, host, outcome, .. } => {
                let known = |known: &&mut Attempt| known.attempt == *attempt && known.host == *host;
                if let Some(known) = self.attempts.iter_mut().find(known) {
                    (known.late, known.outcome) = (true, Some(outcome.clone()));
                }
            }
            kind => {
                if let Some(last) = self.attempts.last_mut() {
                    last.hear(at, kind);
                }
            }
        }
    }
}

impl Attempt {
    fn hear(&mut self, at: f64, kind: &RunEventKind) {
        match kind {
            RunEventKind::TaskStarted { session_id, .. } => {
                self.session_id = Some(session_id.clone());
                self.started_at = Some(at);
                return;
            }
            RunEventKind::TaskFinished { outcome, .. } => self.outcome = Some(Box::new(outcome.clone())),
            RunEventKind::AttemptFailed { class, error, outcome, .. }
            | RunEventKind::TaskParked { class, error, outcome, .. } => {
                // One that is over and parked afterwards keeps what it ended with.
                if self.ended_at.is_some() {
                    return;
                }
                (self.class, self.error) = (Some(*class), Some(error.clone()));
                self.outcome.clone_from(outcome);
            }
            RunEventKind::TaskRefused { error, .. } => self.error = Some(error.clone()),
            _ => return,
        }
        self.ended_at = Some(at);
    }
}

/// The history of each task, in the order of their numbers.
pub fn histories(events: &[RunEvent], tasks: usize) -> Vec<History> {
    let mut all = vec![History::default(); tasks];
    for event in events {
        let number = event.kind.task().filter(|_| !matches!(event.kind, RunEventKind::HostFenced { .. }));
        if let Some(history) = number.and_then(|number| all.get_mut(number.checked_sub(1)?)) {
            history.hear(event.at, &event.kind);
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use cm_protocol::State;

    use super::*;

    fn outcome(state: State) -> Outcome {
        Outcome { state, ..Outcome::default() }
    }

    #[test]
    fn attempts_are_told_in_order() {
        let placed =
            |host: &str, attempt| RunEventKind::TaskPlaced { task: 1, host: host.to_owned(), attempt };
        let started = |bits| RunEventKind::TaskStarted {
            task: 1,
            session_id: SessionId::from_bits(bits),
            existing: false,
            warnings: Vec::new(),
            base: None,
        };
        let failed = RunEventKind::AttemptFailed {
            task: 1,
            attempt: 1,
            host: "h1".into(),
            class: Class::Infrastructure,
            error: "given up".into(),
            again_at: 0.0,
            fence: true,
            outcome: None,
        };
        let receipt = Receipt { at: 3.0, ..receipt() };
        let end = Outcome { receipts: vec![receipt.clone()], ..outcome(State::Done) };
        let late = outcome(State::Killed);
        let events: Vec<RunEvent> = [
            placed("h1", 1),
            started(1),
            RunEventKind::TaskReceipt { task: 1, receipt: Box::new(receipt.clone()) },
            failed,
            placed("h3", 2),
            RunEventKind::TaskQueued { task: 1, fence: false },
            placed("h2", 3),
            started(2),
            RunEventKind::TaskLate {
                task: 1,
                attempt: 1,
                host: "h1".into(),
                outcome: Box::new(late.clone()),
            },
            RunEventKind::TaskFinished { task: 1, outcome: end.clone() },
            placed("h9", 7).for_task(9),
        ]
        .into_iter()
        .zip(1_u8..)
        .map(|(kind, at)| RunEvent { at: at.into(), kind })
        .collect();
        let all = histories(&events, 2);
        assert_eq!(all[1], History::default());
        assert_eq!(all[0].receipts(), [&receipt], "once, although it is told twice");
        let first = Attempt {
            attempt: 1,
            host: "h1".into(),
            session_id: Some(SessionId::from_bits(1)),
            placed_at: 1.0,
            started_at: Some(2.0),
            ended_at: Some(4.0),
            class: Some(Class::Infrastructure),
            error: Some("given up".into()),
            late: true,
            outcome: Some(Box::new(late)),
        };
        let second = Attempt {
            attempt: 3,
            host: "h2".into(),
            session_id: Some(SessionId::from_bits(2)),
            placed_at: 7.0,
            started_at: Some(8.0),
            ended_at: Some(10.0),
            outcome: Some(Box::new(end)),
            ..Attempt::default()
        };
        assert_eq!(all[0].attempts, [first, second.clone()]);
        assert_eq!(all[0].last(), Some(&second));
    }

    impl RunEventKind {
        fn for_task(self, number: usize) -> Self {
            match self {
                Self::TaskPlaced { host, attempt, .. } => Self::TaskPlaced { task: number, host, attempt },
                other => other,
            }
        }
    }

    fn receipt() -> Receipt {
        Receipt {
            at: 0.0,
            prompt: cm_protocol::Prompt::default(),
            verdict: "allow".into(),
            rule: "r".into(),
            channel: "hook".into(),
            option: None,
            keys: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            outcome: "accepted".into(),
        }
    }
}

//! What happens while hosts are worked on, as one stream of events: the last is always `run_finished`. PURE.

use cm_protocol::deploy::{Endangered, HostAfter, Installation};
use serde::{Deserialize, Serialize};

use super::plan::{Note, Plan};
use crate::exit::Exit;

/// One thing that has happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DeployEvent {
    /// When, Unix seconds.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub kind: DeployEventKind,
}

/// What is done to the hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verb {
    /// Nothing: to see what a deployment would do.
    Plan,
    /// They become what the inventory says.
    Deploy,
    /// They go back to an earlier generation.
    Rollback,
    /// Their agents are removed.
    Uninstall,
    /// Their agents get new tokens.
    RotateToken,
}

impl Verb {
    /// The word of the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Deploy => "deploy",
            Self::Rollback => "rollback",
            Self::Uninstall => "uninstall",
            Self::RotateToken => "rotate-token",
        }
    }
}

/// Everything that can happen.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum DeployEventKind {
    /// It begins.
    RunStarted {
        /// What is done.
        verb: Verb,
        /// The fleet's name.
        fleet: String,
        /// Who does it.
        by: String,
        /// The hosts, in order.
        hosts: Vec<String>,
    },
    /// A host answers.
    HostConnected {
        /// The host.
        host: String,
        /// How long it took, in seconds.
        took: f64,
    },
    /// What is to be done on it is known.
    HostPlanned {
        /// The host.
        host: String,
        /// What.
        plan: Plan,
    },
    /// Its turn has come.
    HostBegun {
        /// The host.
        host: String,
    },
    /// So much of the program is there.
    HostSent {
        /// The host.
        host: String,
        /// Bytes so far.
        bytes: u64,
        /// Bytes in all.
        total: u64,
    },
    /// A step has been done.
    HostStep {
        /// The host.
        host: String,
        /// The step's name.
        step: String,
        /// How long it took, in milliseconds.
        ms: u64,
        /// What there is to say about it.
        #[serde(skip_serializing_if = "Option::is_none")]
        note: Option<String>,
    },
    /// Something a person should know.
    HostWarning {
        /// The host.
        host: String,
        /// What, and the next move.
        #[serde(flatten)]
        note: NoteText,
    },
    /// A host is done with. Exactly once for each.
    HostFinished {
        /// The host.
        host: String,
        /// What became of it.
        outcome: Outcome,
        /// Since its turn came, in seconds.
        took: f64,
    },
    /// The rollout stops: too much has failed, or a person said so.
    Stopped {
        /// Why.
        why: String,
        /// Hosts that go back.
        back: Vec<String>,
    },
    /// It is over.
    RunFinished(Summary),
}

/// A note, as it is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteText {
    /// What.
    pub what: String,
    /// The next move.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl From<&Note> for NoteText {
    fn from(note: &Note) -> Self {
        Self { what: note.what.clone(), remedy: note.remedy.clone() }
    }
}

/// What became of a host.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Outcome {
    /// It was as it should be.
    Unchanged {
        /// Living sessions.
        sessions: usize,
    },
    /// Something is to be done, and was not: this was a plan.
    WouldChange,
    /// It has become what it was to become, and that is confirmed.
    Changed(Box<Changed>),
    /// Its agent is gone.
    Removed,
    /// Its agent has a new token.
    Rotated,
    /// There was nothing to do it to.
    Nothing {
        /// Why.
        why: String,
    },
    /// Its turn never came.
    Skipped {
        /// Why.
        why: String,
    },
    /// It could not be reached.
    Unreachable {
        /// Why.
        why: String,
    },
    /// A rule said no: its key, a lock, another fleet, sessions that would end.
    Refused {
        /// Why.
        why: String,
        /// The next move.
        #[serde(skip_serializing_if = "Option::is_none")]
        remedy: Option<String>,
    },
    /// It failed.
    Failed {
        /// In which step.
        step: String,
        /// Why.
        why: String,
        /// The next move.
        #[serde(skip_serializing_if = "Option::is_none")]
        remedy: Option<String>,
        /// How it is now, where that is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        host_after: Option<HostAfter>,
        /// The new agent's last words.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        log: Vec<String>,
    },
    /// It had become what it was to become, and was taken back because the rollout stopped.
    TakenBack {
        /// The generation that runs again; none: there is no agent.
        #[serde(skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
    },
}

/// A host that has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changed {
    /// The generation in use now.
    pub generation: u64,
    /// The one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
    /// The program's version.
    pub version: String,
    /// The program's sha256.
    pub sha256: String,
    /// Sessions that ran before and after, with the same processes.
    pub kept: usize,
    /// Sessions that ran before and do not any more.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub lost: Vec<String>,
    /// Hardening that the host does not take.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub dropped: Vec<String>,
}

impl Changed {
    /// From the host's own report.
    pub fn of(done: &Installation) -> Self {
        let (kept, lost): (Vec<_>, Vec<_>) = done.before.iter().partition(|pane| done.after.contains(pane));
        Self {
            generation: done.generation,
            previous: done.previous,
            version: done.running.version.clone(),
            sha256: done.running.sha256.clone(),
            kept: kept.len(),
            lost: lost.into_iter().map(|pane| pane.session.clone()).collect(),
            dropped: done.dropped.clone(),
        }
    }
}

/// What a run has led to, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// Hosts that have changed (or were cleared).
    pub changed: usize,
    /// Hosts that were as they should be.
    pub unchanged: usize,
    /// Hosts that would change.
    pub would_change: usize,
    /// Hosts whose turn never came.
    pub skipped: usize,
    /// Hosts that could not be reached.
    pub unreachable: usize,
    /// Hosts where a rule said no.
    pub refused: usize,
    /// Hosts that failed.
    pub failed: usize,
    /// Hosts, of all these, that went back to what they were.
    pub back: usize,
    /// Sessions that went on through a change.
    pub sessions_kept: usize,
    /// From beginning to end, in seconds.
    pub took: f64,
    /// Ended by Ctrl-C.
    pub interrupted: bool,
}

impl Summary {
    /// Counts one more host.
    pub fn add(&mut self, outcome: &Outcome) {
        match outcome {
            Outcome::Unchanged { .. } | Outcome::Nothing { .. } => self.unchanged += 1,
            Outcome::WouldChange => self.would_change += 1,
            Outcome::Changed(changed) => {
                self.changed += 1;
                self.sessions_kept += changed.kept;
            }
            Outcome::Removed | Outcome::Rotated => self.changed += 1,
            Outcome::Skipped { .. } => self.skipped += 1,
            Outcome::Unreachable { .. } => self.unreachable += 1,
            Outcome::Refused { .. } => self.refused += 1,
            Outcome::Failed { host_after, .. } => {
                self.failed += 1;
                let back = matches!(host_after, Some(HostAfter::Reverted { .. } | HostAfter::Removed));
                self.back += usize::from(back);
            }
            Outcome::TakenBack { .. } => self.back += 1,
        }
    }

    /// What the command ends with. The gravest wins: a person's Ctrl-C, hosts that went back, failures, rules,
    /// silence (3 only where no host at all was reached).
    pub fn exit(&self) -> Exit {
        let reached = self.changed + self.unchanged + self.would_change + self.failed + self.back;
        match () {
            () if self.interrupted => Exit::Interrupted,
            () if self.back > 0 => Exit::RolledBack,
            () if self.failed > 0 => Exit::Failed,
            () if self.refused > 0 => Exit::Refused,
            () if self.unreachable > 0 && reached == 0 => Exit::Unreachable,
            () if self.unreachable > 0 || self.skipped > 0 => Exit::Failed,
            () => Exit::Done,
        }
    }
}

/// The sessions that would end, in words.
pub fn endangered(ends: &[Endangered]) -> Vec<String> {
    ends.iter().map(|one| format!("{} ends: {}", one.session, one.why)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes() {
        let failed = |after| Outcome::Failed {
            step: "healthy".into(),
            why: "x".into(),
            remedy: None,
            host_after: after,
            log: vec![],
        };
        let good = Outcome::Unchanged { sessions: 0 };
        let silent = Outcome::Unreachable { why: "x".into() };
        let no = Outcome::Refused { why: "x".into(), remedy: None };
        let check = |all: &[&Outcome], expected: u8| {
            let mut summary = Summary::default();
            all.iter().for_each(|outcome| summary.add(outcome));
            assert_eq!(summary.exit().code(), expected, "{all:?}");
        };
        check(&[], 0);
        check(&[&good], 0);
        check(&[&silent, &silent], 3);
        check(&[&good, &silent], 1);
        check(&[&no], 4);
        check(&[&good, &no], 4);
        check(&[&no, &failed(None)], 1);
        check(&[&good, &failed(Some(HostAfter::Untouched))], 1);
        check(&[&good, &failed(Some(HostAfter::Reverted { generation: 1 }))], 5);
        check(&[&failed(Some(HostAfter::Removed))], 5);
        check(&[&failed(Some(HostAfter::Broken { why: "y".into() }))], 1);
        check(&[&Outcome::TakenBack { generation: None }, &failed(None)], 5);
        check(&[&Outcome::Skipped { why: "z".into() }], 1);
    }
}

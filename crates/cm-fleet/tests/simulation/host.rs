//! A simulated host and its agent: slots, sessions, leases and fences, as `docs/protocol.md` has them.

use std::collections::{BTreeMap, BTreeSet};

use cm_protocol::{ErrorCode, Outcome, SessionId, SessionInfo, Snapshot, State};

/// What a host does with sessions whose lease nobody renews.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orphan {
    Keep,
    Stop,
}

/// What a client asks.
#[derive(Debug, Clone)]
pub enum Ask {
    Create { task: usize, attempt: u32, id: u64, lease: Option<Lease> },
    Beat { lease: Option<Lease> },
    Fence { task: usize, below: u32 },
    Look { task: usize, session: SessionId },
    Kill { session: SessionId },
    Acknowledge { sessions: Vec<SessionId> },
    GiveBack { as_of: f64 },
    Probe,
}

/// For how long, from when by the host's own clock.
#[derive(Debug, Clone, Copy)]
pub struct Lease {
    pub seconds: f64,
    pub as_of: f64,
}

/// What a host says.
#[derive(Debug, Clone)]
pub enum Say {
    Connected { renumbered: bool, clock: f64 },
    Snapshot(Snapshot),
    Event(cm_protocol::Event),
    Lost,
    Created { task: usize, attempt: u32, id: u64, result: Result<(SessionId, bool), Refusal> },
    Beaten { clock: f64 },
    Probed { repos: Vec<String> },
    Fenced { task: usize, ended: Vec<SessionId> },
    Looked { task: usize, session: SessionId, info: Option<Box<SessionInfo>> },
}

/// Why there is no session.
#[derive(Debug, Clone)]
pub enum Refusal {
    /// The answer or the request got lost.
    Lost,
    Refused(ErrorCode, &'static str),
}

/// A session on a host.
#[derive(Debug, Clone)]
pub struct Session {
    pub id: SessionId,
    pub task: usize,
    pub attempt: u32,
    pub since: f64,
    /// The lease is over then; none: it has been given up, or there never was one.
    pub until: Option<f64>,
    /// What it lasts from, and what the journal has of that.
    pub renewed: f64,
    pub written: f64,
    pub end: Option<Outcome>,
}

/// A host.
#[derive(Debug, Default)]
pub struct Host {
    pub name: String,
    pub slots: usize,
    /// Slots that other runs have taken.
    pub foreign: usize,
    pub up: bool,
    /// It never comes back.
    pub dead: bool,
    pub cut: bool,
    /// It starts sessions and does not say so.
    pub mute: bool,
    /// How many times faults have been laid over each other.
    pub cuts: u32,
    pub sessions: Vec<Session>,
    by_attempt: BTreeMap<(usize, u32), usize>,
    by_id: BTreeMap<SessionId, usize>,
    pub living: BTreeSet<usize>,
    fences: BTreeMap<usize, u32>,
    acknowledged: BTreeSet<SessionId>,
    pub tool_missing: bool,
    /// How much its clock is ahead of everybody's.
    pub ahead: f64,
    /// How often it was booted.
    pub boots: u32,
    /// Repositories it has.
    pub repos: BTreeSet<String>,
}

impl Host {
    pub fn new(name: String, slots: usize, ahead: f64) -> Self {
        Self { name, slots, ahead, up: true, ..Self::default() }
    }

    pub fn reachable(&self) -> bool {
        self.up && !self.cut
    }

    /// Whether a session may start, and the session that exists already.
    pub fn admit(&self, task: usize, attempt: u32) -> Result<Option<&Session>, Refusal> {
        if let Some(known) = self.by_attempt.get(&(task, attempt)) {
            return Ok(Some(&self.sessions[*known]));
        }
        if self.fences.get(&task).is_some_and(|below| attempt < *below) {
            return Err(Refusal::Refused(ErrorCode::Conflict, "superseded"));
        }
        if self.tool_missing {
            return Err(Refusal::Refused(ErrorCode::BadRequest, "tool not found: shell"));
        }
        if self.living.len() + self.foreign >= self.slots {
            return Err(Refusal::Refused(ErrorCode::Limit, "as many as it may"));
        }
        Ok(None)
    }

    pub fn start(&mut self, session: Session) -> usize {
        let index = self.sessions.len();
        self.by_attempt.insert((session.task, session.attempt), index);
        self.by_id.insert(session.id.clone(), index);
        self.living.insert(index);
        self.sessions.push(session);
        index
    }

    /// Ends a session; false if it had ended.
    pub fn end(&mut self, index: usize, outcome: Outcome) -> bool {
        if !self.living.remove(&index) {
            return false;
        }
        self.sessions[index].end = Some(outcome);
        true
    }

    /// Living sessions of the task of attempts below; later requests for them are refused.
    pub fn fence(&mut self, task: usize, below: u32) -> Vec<usize> {
        let known = self.fences.entry(task).or_default();
        *known = below.max(*known);
        let stale =
            |index: &usize| self.sessions[*index].task == task && self.sessions[*index].attempt < below;
        self.living.iter().copied().filter(stale).collect()
    }

    pub fn find(&self, id: &SessionId) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub fn acknowledge(&mut self, sessions: &[SessionId]) {
        self.acknowledged.extend(sessions.iter().cloned());
    }

    pub fn is_acknowledged(&self, id: &SessionId) -> bool {
        self.acknowledged.contains(id)
    }

    pub fn info(&self, index: usize) -> SessionInfo {
        let session = &self.sessions[index];
        SessionInfo {
            session_id: session.id.clone(),
            tool: "shell".into(),
            state: session.end.as_ref().map_or(State::Running, |outcome| outcome.state),
            path: "~".into(),
            uptime: 0,
            alive: session.end.is_none(),
            name: None,
            task: None,
            owner: None,
            summary: String::new(),
            created_at: session.since,
            reason: session.end.as_ref().and_then(|outcome| outcome.reason.clone()),
            prompt: None,
            outcome: session.end.clone(),
        }
    }

    /// All it remembers: what is acknowledged it has forgotten.
    pub fn snapshot(&self, now: f64) -> Snapshot {
        let remembered = (0..self.sessions.len()).filter(|index| {
            self.living.contains(index) || !self.acknowledged.contains(&self.sessions[*index].id)
        });
        Snapshot { seq: 0, timestamp: now, sessions: remembered.map(|index| self.info(index)).collect() }
    }
}

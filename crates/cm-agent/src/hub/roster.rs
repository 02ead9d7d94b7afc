//! All sessions by id, by task and by name; who is alive, who may come. PURE.

use std::collections::{BTreeMap, HashMap};

use cm_protocol::{Event, SessionId, SessionInfo, State, TaskRef};

use crate::session::SessionHandle;
use crate::session::record::{Phase, SessionRecord};
use crate::tool::Memory;

/// What a new session wants to be.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Its id, not used before.
    pub id: SessionId,
    /// Its identity across attempts.
    pub task: Option<TaskRef>,
    /// The name it is to have.
    pub name: Option<String>,
    /// Living sessions allowed.
    pub max_sessions: usize,
}

/// What came of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claimed {
    /// A place is taken; fill it with `remember` or give it back with `abandon`.
    New,
    /// The task identity already has this session.
    Existing(SessionId),
}

/// Why there is no place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimError {
    /// As many as allowed are alive.
    #[error("the agent already holds {0} sessions, its limit; end some or raise --max-sessions")]
    Full(usize),
    /// Another living session has the name.
    #[error("the name {name:?} belongs to {id}; choose another or end that session")]
    NameTaken {
        /// The name.
        name: String,
        /// Who has it.
        id: SessionId,
    },
    /// The agent is going away.
    #[error("the agent is shutting down and takes no new sessions")]
    Draining,
    /// What is accepted must be written, and cannot be.
    #[error("{0}")]
    Disk(String),
}

#[derive(Default)]
pub(super) struct Roster {
    /// By order of creation.
    records: BTreeMap<u64, SessionRecord>,
    places: HashMap<SessionId, Place>,
    tasks: HashMap<TaskRef, SessionId>,
    next: u64,
    draining: bool,
}

struct Place {
    order: u64,
    task: Option<TaskRef>,
    name: Option<String>,
    handle: Option<SessionHandle>,
}

/// Its result is still owed: a state that is an end comes a moment before the result. A tool that rests
/// without a task owes none.
fn is_unfinished(record: &SessionRecord) -> bool {
    let at_rest = record.state == State::Idle || (record.state.is_terminal() && record.outcome.is_some());
    record.is_open() && !at_rest
}

impl Roster {
    pub(super) fn new(sessions: Vec<SessionRecord>) -> Self {
        let mut roster = Self::default();
        for record in sessions {
            roster.place(record.id.clone(), record.task.clone(), record.name.clone());
            roster.remember(record);
        }
        roster
    }

    fn place(&mut self, id: SessionId, task: Option<TaskRef>, name: Option<String>) {
        let order = self.next;
        self.next += 1;
        if let Some(task) = &task {
            self.tasks.insert(task.clone(), id.clone());
        }
        self.places.insert(id, Place { order, task, name, handle: None });
    }

    pub(super) fn claim(&mut self, claim: Claim) -> Result<Claimed, ClaimError> {
        if let Some(existing) = claim.task.as_ref().and_then(|t| self.tasks.get(t)) {
            return Ok(Claimed::Existing(existing.clone()));
        }
        if self.draining {
            return Err(ClaimError::Draining);
        }
        if self.open() >= claim.max_sessions {
            return Err(ClaimError::Full(claim.max_sessions));
        }
        if let Some(name) = &claim.name
            && let Some(id) = self.open_named(name)
        {
            return Err(ClaimError::NameTaken { name: name.clone(), id });
        }
        self.place(claim.id, claim.task, claim.name);
        Ok(Claimed::New)
    }

    fn open_named(&self, name: &str) -> Option<SessionId> {
        self.places
            .iter()
            .find(|(_, p)| p.name.as_deref() == Some(name) && self.is_open(p))
            .map(|(id, _)| id.clone())
    }

    /// A place without a record is a session that is just being made.
    fn is_open(&self, place: &Place) -> bool {
        self.records.get(&place.order).is_none_or(SessionRecord::is_open)
    }

    /// Gives a place back; true if something had been remembered of it.
    pub(super) fn abandon(&mut self, id: &SessionId) -> bool {
        let Some(place) = self.places.remove(id) else { return false };
        if let Some(task) = &place.task {
            self.tasks.remove(task);
        }
        self.records.remove(&place.order).is_some()
    }

    pub(super) fn remember(&mut self, record: SessionRecord) {
        if !self.places.contains_key(&record.id) {
            self.place(record.id.clone(), record.task.clone(), record.name.clone());
        }
        if let Some(place) = self.places.get(&record.id) {
            self.records.insert(place.order, record);
        }
    }

    fn record_mut(&mut self, id: &SessionId) -> Option<&mut SessionRecord> {
        self.records.get_mut(&self.places.get(id)?.order)
    }

    pub(super) fn record(&self, id: &SessionId) -> Option<&SessionRecord> {
        self.records.get(&self.places.get(id)?.order)
    }

    pub(super) fn fold(&mut self, event: &Event) {
        if let Some(record) = event.kind.session_id().and_then(|id| self.record_mut(id)) {
            record.fold(event);
        }
    }

    pub(super) fn set_memory(&mut self, id: &SessionId, memory: &Memory, authority: &str) -> bool {
        let Some(record) = self.record_mut(id) else { return false };
        authority.clone_into(&mut record.authority);
        if record.memory.as_deref() == Some(memory) {
            return false;
        }
        record.memory = Some(Box::new(memory.clone()));
        true
    }

    pub(super) fn records(&self) -> Vec<SessionRecord> {
        self.records.values().cloned().collect()
    }

    pub(super) fn list(&self, now: f64, all: bool) -> Vec<SessionInfo> {
        self.records.values().filter(|r| all || r.is_open()).map(|r| r.info(now)).collect()
    }

    pub(super) fn by_task(&self, task: &TaskRef) -> Option<SessionId> {
        self.tasks.get(task).cloned()
    }

    pub(super) fn attach(&mut self, handle: SessionHandle) {
        if let Some(place) = self.places.get_mut(handle.id()) {
            place.handle = Some(handle);
        }
    }

    pub(super) fn detach(&mut self, id: &SessionId) {
        if let Some(place) = self.places.get_mut(id) {
            place.handle = None;
        }
    }

    pub(super) fn handle(&self, id: &SessionId) -> Option<SessionHandle> {
        self.places.get(id)?.handle.clone()
    }

    pub(super) fn handles(&self) -> Vec<SessionHandle> {
        self.places.values().filter_map(|p| p.handle.clone()).collect()
    }

    pub(super) fn open(&self) -> usize {
        self.places.values().filter(|p| self.is_open(p)).count()
    }

    pub(super) fn unfinished(&self) -> usize {
        self.places.values().filter(|p| self.records.get(&p.order).is_none_or(is_unfinished)).count()
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }

    /// Forgets the closed sessions beyond `keep` of them, those first that were closed first: how long one
    /// has lived says nothing about whether its result was fetched yet.
    pub(super) fn forget_beyond(&mut self, keep: usize) -> Vec<SessionId> {
        let mut closed: Vec<(f64, u64, SessionId)> = self
            .records
            .iter()
            .filter_map(|(order, r)| match r.phase {
                Phase::Closed { at } => Some((at, *order, r.id.clone())),
                Phase::Launching | Phase::Open { .. } => None,
            })
            .collect();
        closed.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let extra = closed.len().saturating_sub(keep);
        for (_, order, id) in closed.iter().take(extra) {
            self.records.remove(order);
            if let Some(task) = self.places.remove(id).and_then(|p| p.task) {
                self.tasks.remove(&task);
            }
        }
        closed.into_iter().take(extra).map(|(_, _, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(id: &str, at: f64) -> SessionRecord {
        serde_json::from_value(serde_json::json!({
            "id": id, "phase": "closed", "at": at, "tool": "shell", "path": "/", "task_text": "",
            "command": [], "socket": "", "env_names": [], "size": {"cols": 80, "rows": 24},
            "on_done": "keep", "unenforced": [], "created_at": 0.0, "boot_id": "", "paused_for": 0.0,
            "state": "done", "task_began": 0.0, "authority": "process",
        }))
        .expect("a record")
    }

    #[test]
    fn what_was_closed_first_is_forgotten_first() {
        let mut roster = Roster::new(vec![closed("long", 9.0), closed("b", 2.0), closed("c", 1.0)]);
        assert_eq!(roster.forget_beyond(3), []);
        assert_eq!(roster.forget_beyond(1), [SessionId::from("c"), SessionId::from("b")]);
        assert!(roster.record(&SessionId::from("long")).is_some(), "it was made first, and closed last");
        assert_eq!(roster.list(10.0, true).len(), 1);
    }
}

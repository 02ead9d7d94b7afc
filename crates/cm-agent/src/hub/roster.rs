//! All sessions by id, by task and by name; who is alive, who may come. PURE.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use cm_protocol::{Event, Lease, SessionId, SessionInfo, State, TaskRef};

use super::claim::{Claim, ClaimError, Claimed};
use super::fences::Fences;
use super::owners::{counted_from, until};
use super::share::Share;
use crate::host::Moment;
use crate::session::SessionHandle;
use crate::session::record::SessionRecord;
use crate::tool::Memory;

#[derive(Default)]
pub(super) struct Roster {
    /// By order of creation.
    pub(super) records: BTreeMap<u64, SessionRecord>,
    pub(super) places: HashMap<SessionId, Place>,
    pub(super) tasks: HashMap<TaskRef, SessionId>,
    next: u64,
    draining: bool,
    pub(super) fences: Fences,
    pub(super) share: Share,
}

pub(super) struct Place {
    pub(super) order: u64,
    pub(super) task: Option<TaskRef>,
    name: Option<String>,
    handle: Option<SessionHandle>,
    /// Whose it is; counts before what the session's own record says.
    pub(super) lease: Option<Lease>,
    /// What the lease lasts from.
    pub(super) since: Moment,
    /// The same, as it is in the journal.
    pub(super) written: Moment,
    /// When the session is ended because nobody asks after it, by the time since boot.
    pub(super) until: Option<Duration>,
    /// That time has come, and was told.
    pub(super) lapsed: bool,
    /// What it takes to remember it, once it is closed.
    pub(super) bytes: Option<usize>,
}

/// Its result is still owed: a state that is an end comes a moment before the result. A tool that rests
/// without a task owes none.
fn is_unfinished(record: &SessionRecord) -> bool {
    let at_rest = record.state == State::Idle || (record.state.is_terminal() && record.outcome.is_some());
    record.is_open() && !at_rest
}

impl Roster {
    /// Leases last from when an earlier agent was last asked; of those that do not say, from `now`.
    pub(super) fn new(sessions: Vec<SessionRecord>, now: &Moment) -> Self {
        let mut roster = Self::default();
        for record in sessions {
            roster.remember(record, now);
        }
        roster
    }

    fn place(
        &mut self,
        id: SessionId,
        task: Option<TaskRef>,
        name: Option<String>,
        lease: Option<Lease>,
        (since, now): (Moment, &Moment),
    ) {
        let order = self.next;
        self.next += 1;
        if let Some(task) = &task {
            self.tasks.insert(task.clone(), id.clone());
        }
        let until = lease.as_ref().and_then(|lease| until(lease, &since, now));
        let written = since.clone();
        let place = Place {
            order,
            task,
            name,
            handle: None,
            lease,
            since,
            written,
            until,
            lapsed: false,
            bytes: None,
        };
        self.places.insert(id, place);
    }

    /// Which session a new one is, or whether it is kept out for good.
    pub(super) fn existing(&self, task: &TaskRef) -> Result<Option<SessionId>, ClaimError> {
        if let Some(by) = self.fences.over(task) {
            let TaskRef { task_id, attempt } = task.clone();
            return Err(ClaimError::Superseded { task_id, attempt, by });
        }
        Ok(self.tasks.get(task).cloned())
    }

    pub(super) fn claim(&mut self, mut claim: Claim) -> Result<Claimed, ClaimError> {
        if let Some(task) = &claim.task
            && let Some(existing) = self.existing(task)?
        {
            return Ok(Claimed::Existing(existing));
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
        let now = claim.now.clone();
        let as_of = claim.lease.as_mut().and_then(|lease| lease.as_of.take());
        let since = counted_from(as_of, &now);
        if let Some(lease) = &claim.lease
            && until(lease, &since, &now).is_some_and(|until| until <= now.up())
        {
            return Err(ClaimError::LeaseOver(lease.seconds));
        }
        self.share(&claim)?;
        self.place(claim.id, claim.task, claim.name, claim.lease, (since, &now));
        Ok(Claimed::New)
    }

    fn open_named(&self, name: &str) -> Option<SessionId> {
        self.places
            .iter()
            .find(|(_, p)| p.name.as_deref() == Some(name) && self.is_open(p))
            .map(|(id, _)| id.clone())
    }

    /// A place without a record is a session that is just being made.
    pub(super) fn is_open(&self, place: &Place) -> bool {
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

    /// Remembers a session; returned as it is remembered: whose it is may have changed meanwhile.
    pub(super) fn remember(&mut self, mut record: SessionRecord, now: &Moment) -> SessionRecord {
        if !self.places.contains_key(&record.id) {
            let (task, name, lease) = (record.task.clone(), record.name.clone(), record.lease.clone());
            let since = record.renewed.clone().unwrap_or_else(|| now.clone());
            self.place(record.id.clone(), task, name, lease, (since, now));
        }
        if let Some(place) = self.places.get_mut(&record.id) {
            record.lease.clone_from(&place.lease);
            record.renewed = place.lease.is_some().then(|| place.since.clone());
            place.written.clone_from(&place.since);
            self.records.insert(place.order, record.clone());
        }
        record
    }

    pub(super) fn record_mut(&mut self, id: &SessionId) -> Option<&mut SessionRecord> {
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

    /// The open sessions or all, of everybody or one owner.
    pub(super) fn list(&self, now: f64, all: bool, owner: Option<&str>) -> Vec<SessionInfo> {
        let of = |r: &&SessionRecord| {
            owner.is_none_or(|owner| r.lease.as_ref().is_some_and(|lease| lease.owner == owner))
        };
        self.records.values().filter(|r| all || r.is_open()).filter(of).map(|r| r.info(now)).collect()
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
        self.places.values().filter(|p| self.is_unfinished(p)).count()
    }

    pub(super) fn is_unfinished(&self, place: &Place) -> bool {
        self.records.get(&place.order).is_none_or(is_unfinished)
    }

    pub(super) fn drain(&mut self) {
        self.draining = true;
    }

    pub(super) fn is_draining(&self) -> bool {
        self.draining
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn record(id: &str, phase: &serde_json::Value) -> SessionRecord {
        let mut record = serde_json::json!({
            "id": id, "tool": "shell", "path": "/", "task_text": "",
            "command": [], "socket": "", "env_names": [], "size": {"cols": 80, "rows": 24},
            "on_done": "keep", "unenforced": [], "created_at": 0.0, "boot_id": "", "paused_for": 0.0,
            "state": "running", "task_began": 0.0, "authority": "process",
        });
        let fields = phase.as_object().expect("an object").clone();
        record.as_object_mut().expect("an object").extend(fields);
        serde_json::from_value(record).expect("a record")
    }

    pub(in super::super) fn closed(id: &str, at: f64) -> SessionRecord {
        record(id, &serde_json::json!({"phase": "closed", "at": at, "state": "done"}))
    }

    pub(in super::super) fn open(id: &str) -> SessionRecord {
        record(id, &serde_json::json!({"phase": "launching"}))
    }

    pub(in super::super) fn claim(id: &str, task: Option<(&str, u32)>) -> Claim {
        Claim {
            id: id.into(),
            task: task.map(|(task_id, attempt)| TaskRef { task_id: task_id.into(), attempt }),
            name: None,
            max_sessions: 100,
            lease: None,
            slots: None,
            now: Moment::default(),
        }
    }

    #[test]
    fn a_limit_a_name_and_a_drain_keep_out() {
        let mut roster = Roster::new(vec![open("a"), closed("b", 1.0)], &Moment::default());
        let named = || Claim { name: Some("n".into()), max_sessions: 3, ..claim("c", None) };
        assert_eq!(roster.claim(named()), Ok(Claimed::New));
        let taken = ClaimError::NameTaken { name: "n".into(), id: "c".into() };
        assert_eq!(roster.claim(Claim { id: "d".into(), ..named() }), Err(taken));
        assert_eq!(roster.claim(Claim { max_sessions: 2, ..claim("d", None) }), Err(ClaimError::Full(2)));
        roster.drain();
        assert_eq!(roster.claim(claim("d", None)), Err(ClaimError::Draining));
        assert_eq!((roster.open(), roster.list(10.0, true, None).len()), (2, 2));
    }
}

//! Sessions that somebody owns: who asks after them, who may have more, whose result was fetched. PURE.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cm_protocol::{Lease, Orphan, SessionId};

use super::claim::{Claim, ClaimError};
use super::retention::{Closed, Forgotten, Retention, forgotten};
use super::roster::{Place, Roster};
use super::share::Refused;
use crate::session::record::{Phase, SessionRecord};

impl Roster {
    /// Whether a session that somebody owns gets one of the places for tasks.
    pub(super) fn share(&mut self, claim: &Claim) -> Result<(), ClaimError> {
        let (Some(lease), Some(slots)) = (&claim.lease, claim.slots) else { return Ok(()) };
        let mut living: HashMap<&str, usize> = HashMap::new();
        let running = self.places.values().filter(|place| self.is_unfinished(place));
        for owner in running.filter_map(|place| place.lease.as_ref()).map(|lease| lease.owner.as_str()) {
            *living.entry(owner).or_default() += 1;
        }
        let living = |owner: &str| living.get(owner).copied().unwrap_or(0);
        let running = self.unfinished();
        self.share.admit(&lease.owner, running, slots, living, claim.now).map_err(|refused| match refused {
            Refused::Full => ClaimError::NoSlot(slots),
            Refused::NotItsTurn => ClaimError::NotItsTurn,
        })
    }

    /// Forgets closed sessions beyond what is to be kept.
    pub(super) fn forget_beyond(&mut self, keep: &Retention) -> Forgotten {
        let mut closed = Vec::new();
        for (order, record) in &self.records {
            let (Phase::Closed { at }, Some(place)) = (&record.phase, self.places.get_mut(&record.id)) else {
                continue;
            };
            let awaited = record.is_awaited();
            let bytes = match place.bytes {
                _ if !awaited => 0,
                Some(bytes) => bytes,
                None => serde_json::to_vec(record).map_or(0, |text| text.len()),
            };
            place.bytes = Some(bytes).filter(|_| awaited);
            closed.push(Closed { id: record.id.clone(), at: *at, order: *order, awaited, bytes });
        }
        let gone = forgotten(closed, keep);
        for id in &gone.sessions {
            let Some(place) = self.places.remove(id) else { continue };
            self.records.remove(&place.order);
            if let Some(task) = place.task {
                self.tasks.remove(&task);
            }
        }
        gone
    }

    /// An owner asks after its sessions, or gives them up (`None`): how many live, and whose lease is another
    /// now.
    pub(super) fn renew(
        &mut self,
        owner: &str,
        seconds: Option<f64>,
        now: Duration,
    ) -> (usize, Vec<(SessionId, Lease)>) {
        let (mut living, mut changed) = (0, Vec::new());
        for (id, place) in &mut self.places {
            let record = self.records.get_mut(&place.order);
            let Some(lease) = place.lease.as_mut().filter(|lease| lease.owner == owner) else { continue };
            if record.as_ref().is_some_and(|record| !record.is_open()) {
                continue;
            }
            // Whoever comes too late finds it over, even if nobody has ended it yet.
            if place.until.is_some_and(|until| until <= now) {
                continue;
            }
            living += 1;
            let before = lease.clone();
            match seconds {
                Some(seconds) => lease.seconds = seconds,
                None => lease.orphan = Orphan::Keep,
            }
            place.until = until(lease, now);
            if *lease != before {
                if let Some(record) = record {
                    record.lease = Some(lease.clone());
                }
                changed.push((id.clone(), lease.clone()));
            }
        }
        (living, changed)
    }

    /// Living sessions that are to be ended because nobody asked after them for so many seconds, each told
    /// once; and when to ask again.
    pub(super) fn lapsed(&mut self, now: Duration) -> (Vec<(SessionId, f64)>, Option<Duration>) {
        let (mut over, mut next) = (Vec::new(), None);
        for (id, place) in &mut self.places {
            let is_open = self.records.get(&place.order).is_none_or(SessionRecord::is_open);
            let (Some(until), Some(lease), true) = (place.until, &place.lease, is_open) else { continue };
            if until <= now {
                place.until = None;
                over.push((id.clone(), lease.seconds));
            } else {
                next = Some(next.map_or(until, |next: Duration| next.min(until)));
            }
        }
        (over, next)
    }

    /// Living sessions, also those that are being made, whose attempt is over; and the attempt that is not.
    /// Of one task, or of all.
    pub(super) fn fenced(&self, task_id: Option<&str>) -> Vec<(SessionId, u32)> {
        let over = |place: &Place| {
            let task = place.task.as_ref()?;
            self.fences.over(task).filter(|_| task_id.is_none_or(|wanted| wanted == task.task_id))
        };
        let living = self.places.iter().filter(|(_, place)| self.is_open(place));
        living.filter_map(|(id, place)| Some((id.clone(), over(place)?))).collect()
    }

    /// Takes note that these sessions' results have arrived: which of them had one to fetch, and how many of
    /// these were not noted before.
    pub(super) fn acknowledge(&mut self, ids: &[SessionId]) -> (usize, Vec<SessionId>) {
        let (mut known, mut new) = (HashSet::new(), Vec::new());
        for id in ids {
            let Some(record) = self.record_mut(id) else { continue };
            let before = record.acknowledged;
            if record.acknowledge() {
                known.insert(id);
                if !before {
                    new.push(id.clone());
                }
            }
        }
        (known.len(), new)
    }
}

/// When a session is ended if nobody asks after it.
pub(super) fn until(lease: &Lease, now: Duration) -> Option<Duration> {
    let seconds = Duration::try_from_secs_f64(lease.seconds).ok()?;
    (lease.orphan == Orphan::Stop).then_some(now.checked_add(seconds)?)
}

#[cfg(test)]
mod tests {
    use super::super::claim::Claimed;
    use super::super::roster::tests::{claim, closed, open};
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn lease(owner: &str, seconds: f64, orphan: Orphan) -> Option<Lease> {
        Some(Lease { owner: owner.into(), seconds, orphan })
    }

    fn over(roster: &mut Roster, now: u64) -> Vec<String> {
        let mut over: Vec<String> = roster.lapsed(at(now)).0.into_iter().map(|(id, _)| id.0).collect();
        over.sort();
        over
    }

    fn three() -> Roster {
        let mut roster = Roster::default();
        for (id, lease) in [
            ("stop", lease("r", 10.0, Orphan::Stop)),
            ("keep", lease("r", 10.0, Orphan::Keep)),
            ("other", lease("s", 30.0, Orphan::Stop)),
            ("free", None),
        ] {
            assert_eq!(roster.claim(Claim { lease, now: at(100), ..claim(id, None) }), Ok(Claimed::New));
        }
        roster
    }

    #[test]
    fn what_nobody_asks_after_is_over_once() {
        let mut roster = three();
        assert_eq!(roster.lapsed(at(109)), (vec![], Some(at(110))));
        assert_eq!(roster.lapsed(at(110)), (vec![(SessionId::from("stop"), 10.0)], Some(at(130))));
        assert_eq!(roster.lapsed(at(120)), (vec![], Some(at(130))));
        assert_eq!(over(&mut roster, 999), ["other"]);
        assert_eq!(roster.lapsed(at(9999)), (vec![], None));
    }

    #[test]
    fn asking_begins_the_time_anew_and_giving_up_ends_it() {
        let mut roster = three();
        let (living, changed) = roster.renew("r", Some(10.0), at(105));
        assert_eq!((living, changed), (2, vec![]), "only the time is another");
        assert_eq!(over(&mut roster, 114), [""; 0]);
        let (living, mut changed) = roster.renew("r", Some(20.0), at(114));
        changed.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(living, 2);
        assert_eq!(changed[1], (SessionId::from("stop"), lease("r", 20.0, Orphan::Stop).expect("one")));
        assert_eq!(over(&mut roster, 133), ["other"]);
        assert_eq!(roster.renew("r", None, at(133)).0, 2);
        assert_eq!(over(&mut roster, 9999), [""; 0]);
        assert_eq!(roster.renew("nobody", Some(5.0), at(134)), (0, vec![]));
        // Too late, before anybody has looked.
        assert_eq!(three().renew("r", Some(10.0), at(110)), (1, vec![]), "only the one that may go on");
        let mut late = three();
        late.renew("r", Some(99.0), at(110));
        assert_eq!(over(&mut late, 111), ["stop"]);
        // Once given up, no rule holds any more.
        roster.renew("r", Some(5.0), at(200));
        assert_eq!(over(&mut roster, 9999), [""; 0]);
    }

    #[test]
    fn an_agent_that_starts_begins_the_time_anew_and_ended_sessions_have_none() {
        let mut living = open("a");
        living.lease = lease("r", 10.0, Orphan::Stop);
        let mut ended = closed("b", 3.0);
        ended.lease.clone_from(&living.lease);
        let mut roster = Roster::new(vec![living.clone(), ended], at(500));
        assert_eq!(roster.lapsed(at(509)), (vec![], Some(at(510))));
        // What an older copy of the record says of it does not count.
        roster.renew("r", None, at(505));
        let remembered = roster.remember(living, at(506));
        assert_eq!(remembered.lease, lease("r", 10.0, Orphan::Keep));
        assert_eq!(over(&mut roster, 9999), [""; 0]);
    }

    #[test]
    fn a_result_is_kept_until_it_is_said_to_have_arrived() {
        let leased = |id: &str, at| {
            let mut record = closed(id, at);
            record.lease = lease("r", 10.0, Orphan::Keep);
            record
        };
        let (a, b, running) = (leased("a", 1.0), leased("b", 2.0), open("running"));
        let mut roster = Roster::new(vec![a, b, closed("c", 3.0), running], at(0));
        let keep = Retention { closed: 0, ..Retention::default() };
        assert_eq!(roster.forget_beyond(&keep).sessions, [SessionId::from("c")]);
        let ids = ["a", "a", "running", "unknown"].map(SessionId::from);
        assert_eq!(roster.acknowledge(&ids), (1, vec![SessionId::from("a")]));
        assert_eq!(roster.acknowledge(&ids), (1, vec![]));
        assert_eq!(roster.forget_beyond(&keep).sessions, [SessionId::from("a")]);
        let few = Retention { unfetched: 0, ..keep };
        let gone = roster.forget_beyond(&few);
        assert_eq!((gone.sessions, gone.unfetched), (vec![SessionId::from("b")], 1));
        assert_eq!(roster.list(10.0, true, Some("r")).len(), 0);
    }

    #[test]
    fn f37_a_late_attempt_is_kept_out_and_an_early_one_is_found() {
        let mut roster = Roster::default();
        for (id, attempt) in [("a", 1), ("b", 2), ("c", 3)] {
            assert_eq!(roster.claim(claim(id, Some(("t", attempt)))), Ok(Claimed::New));
        }
        assert_eq!(roster.claim(claim("d", Some(("t", 1)))), Ok(Claimed::Existing(SessionId::from("a"))));
        assert!(roster.fenced(None).is_empty());
        assert!(roster.fences.raise("t", 3));
        let mut fenced = roster.fenced(Some("t"));
        fenced.sort();
        assert_eq!(roster.fenced(Some("u")), []);
        assert_eq!(fenced, [(SessionId::from("a"), 3), (SessionId::from("b"), 3)]);
        let refused = roster.claim(claim("d", Some(("t", 1)))).expect_err("over");
        assert_eq!(refused.code(), cm_protocol::ErrorCode::Conflict);
        assert_eq!(roster.claim(claim("d", Some(("t", 3)))), Ok(Claimed::Existing(SessionId::from("c"))));
        assert_eq!(roster.claim(claim("d", Some(("t", 4)))), Ok(Claimed::New));
        roster.abandon(&SessionId::from("a"));
        assert_eq!(roster.fenced(None), [(SessionId::from("b"), 3)]);
    }

    #[test]
    fn places_for_tasks_are_shared() {
        let mut roster = Roster::default();
        let mut asks = |id: &str, owner: Option<&str>, second: u64| {
            let lease = owner.and_then(|owner| lease(owner, 60.0, Orphan::Keep));
            let claim = Claim { lease, slots: Some(2), now: at(second), ..claim(id, None) };
            match roster.claim(claim) {
                Ok(_) => String::new(),
                Err(refused) => refused.to_string(),
            }
        };
        assert_eq!(asks("a", Some("r"), 0), "");
        assert_eq!(asks("b", Some("r"), 0), "");
        let full = "the agent holds 2 tasks, as many as it may; ask again when one has ended";
        assert_eq!(asks("c", Some("s"), 0), full);
        // Whoever has no lease is not one of the fleet's.
        assert_eq!(asks("d", None, 0), "");
        assert_eq!(asks("e", Some("s"), 0), full);
    }
}

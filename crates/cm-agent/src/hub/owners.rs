//! Sessions that somebody owns: who asks after them, who may have more, whose result was fetched. PURE.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use cm_protocol::{Lease, Orphan, SessionId};

use super::claim::{Claim, ClaimError};
use super::retention::{Closed, Forgotten, Retention, forgotten};
use super::roster::{Place, Roster};
use super::share::Refused;
use crate::host::Moment;
use crate::session::record::{Phase, SessionRecord};

/// A renewal is written down when the last one that was is older than this part of the lease. After a restart of the
/// agent a lease lasts from the one that was written down, so by so much less; never longer.
const UNWRITTEN: f64 = 0.25;

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
        self.share.admit(&lease.owner, running, slots, living, claim.now.up()).map_err(
            |refused| match refused {
                Refused::Full => ClaimError::NoSlot(slots),
                Refused::NotItsTurn => ClaimError::NotItsTurn,
            },
        )
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

    /// An owner asks after its sessions, or gives them up (no `seconds`): how many live, and what of their leases
    /// is to be written down. `as_of`: the newest time since boot that the owner knows of, which leases last from;
    /// what is older than what was known before changes nothing.
    pub(super) fn renew(
        &mut self,
        owner: &str,
        seconds: Option<f64>,
        as_of: Option<f64>,
        now: &Moment,
    ) -> (usize, Vec<(SessionId, Lease, Moment)>) {
        let (mut living, mut changed) = (0, Vec::new());
        let since = counted_from(as_of, now);
        for (id, place) in &mut self.places {
            let record = self.records.get_mut(&place.order);
            let Some(lease) = place.lease.as_mut().filter(|lease| lease.owner == owner) else { continue };
            if record.as_ref().is_some_and(|record| !record.is_open()) {
                continue;
            }
            // Whoever comes too late finds it over, even if nobody has ended it yet.
            if place.lapsed || place.until.is_some_and(|until| until <= now.up()) {
                continue;
            }
            living += 1;
            // It was sent before another one that has arrived already.
            if place.since.ago(now) < since.ago(now) {
                continue;
            }
            let before = lease.clone();
            match seconds {
                Some(seconds) => lease.seconds = seconds,
                None => lease.orphan = Orphan::Keep,
            }
            place.since.clone_from(&since);
            place.until = until(lease, &since, now);
            let unwritten = place.written.ago(now).saturating_sub(since.ago(now)).as_secs_f64();
            if *lease != before || (lease.orphan == Orphan::Stop && unwritten >= lease.seconds * UNWRITTEN) {
                place.written.clone_from(&since);
                if let Some(record) = record {
                    (record.lease, record.renewed) = (Some(lease.clone()), Some(since.clone()));
                }
                changed.push((id.clone(), lease.clone(), since.clone()));
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
                (place.until, place.lapsed) = (None, true);
                over.push((id.clone(), lease.seconds));
            } else {
                next = Some(next.map_or(until, |next: Duration| next.min(until)));
            }
        }
        (over, next)
    }

    /// The lease of a session that is being made, if it is over before anything has begun.
    pub(super) fn over_already(&self, id: &SessionId, now: &Moment) -> Option<f64> {
        let place = self.places.get(id)?;
        let over = place.lapsed || place.until.is_some_and(|until| until <= now.up());
        place.lease.as_ref().filter(|_| over).map(|lease| lease.seconds)
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

/// When a session is ended if nobody asks after it, by the time since boot.
pub(super) fn until(lease: &Lease, since: &Moment, now: &Moment) -> Option<Duration> {
    let seconds = Duration::try_from_secs_f64(lease.seconds).ok()?;
    let left = seconds.saturating_sub(since.ago(now));
    (lease.orphan == Orphan::Stop).then_some(now.up().checked_add(left)?)
}

/// What a lease lasts from: the newest time since boot that its owner knew of when it asked. That is before it asked,
/// whatever the request met on its way.
pub(super) fn counted_from(as_of: Option<f64>, now: &Moment) -> Moment {
    match as_of {
        // Not as a difference: the same word has to be the same moment whenever it arrives.
        Some(as_of) => Moment { up: as_of.clamp(0.0, now.up.max(0.0)), ..now.earlier(now.up - as_of) },
        None => now.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::claim::Claimed;
    use super::super::roster::tests::{claim, closed, open};
    use super::*;

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn moment(seconds: u64) -> Moment {
        Moment { boot_id: "a".into(), up: seconds as f64, unix: 1e6 + seconds as f64 }
    }

    fn lease(owner: &str, seconds: f64, orphan: Orphan) -> Option<Lease> {
        Some(Lease { owner: owner.into(), seconds, orphan, as_of: None })
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
            assert_eq!(roster.claim(Claim { lease, now: moment(100), ..claim(id, None) }), Ok(Claimed::New));
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
        let (living, changed) = roster.renew("r", Some(10.0), None, &moment(105));
        assert_eq!((living, changed.len()), (2, 1));
        let written = (SessionId::from("stop"), lease("r", 10.0, Orphan::Stop).expect("one"), moment(105));
        assert_eq!(changed[0], written, "only the time is another");
        assert_eq!(over(&mut roster, 114), [""; 0]);
        let (living, mut changed) = roster.renew("r", Some(20.0), None, &moment(114));
        changed.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(living, 2);
        let lease_of = lease("r", 20.0, Orphan::Stop).expect("one");
        assert_eq!(changed[1], (SessionId::from("stop"), lease_of, moment(114)));
        assert_eq!(over(&mut roster, 133), ["other"]);
        assert_eq!(roster.renew("r", None, None, &moment(133)).0, 2);
        assert_eq!(over(&mut roster, 9999), [""; 0]);
        assert_eq!(roster.renew("nobody", Some(5.0), None, &moment(134)), (0, vec![]));
        // Too late, before anybody has looked.
        assert_eq!(
            three().renew("r", Some(10.0), None, &moment(110)),
            (1, vec![]),
            "only the one that may go on"
        );
        let mut late = three();
        late.renew("r", Some(99.0), None, &moment(110));
        assert_eq!(over(&mut late, 111), ["stop"]);
        // Once given up, no rule holds any more.
        roster.renew("r", Some(5.0), None, &moment(200));
        assert_eq!(over(&mut roster, 9999), [""; 0]);
    }

    #[test]
    fn what_is_written_of_renewals_is_enough_to_go_on_from() {
        let mut roster = Roster::default();
        let lease = lease("r", 100.0, Orphan::Stop);
        let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
        assert_eq!(roster.claim(claim), Ok(Claimed::New));
        // What the journal would have of it: the session when its terminal is there, then its leases.
        let mut journal = roster.remember(open("a"), &moment(1010));
        let mut asks = |second: u64, as_of: f64, written: bool, until: u64, again: u64| {
            let now = moment(second);
            for (_, lease, renewed) in roster.renew("r", Some(100.0), Some(as_of), &now).1 {
                assert!(written, "{second}");
                (journal.lease, journal.renewed) = (Some(lease), Some(renewed));
            }
            assert_eq!(roster.lapsed(now.up()).1, Some(at(until)), "{second}");
            // An agent that is started in this moment; and after a reboot, with the day's clock set back.
            let mut next = Roster::new(vec![journal.clone()], &now);
            assert_eq!(next.lapsed(now.up()).1, Some(at(again)), "{second}");
            let rebooted = Moment { boot_id: "b".into(), up: 100.0, unix: 5.0 };
            let mut next = Roster::new(vec![journal.clone()], &rebooted);
            assert_eq!(next.lapsed(rebooted.up()).0.len(), 1, "{second}");
        };
        asks(1010, 1009.0, false, 1109, 1100);
        asks(1020, 1019.0, false, 1119, 1100);
        asks(1026, 1025.0, true, 1125, 1125);
        asks(1049, 1049.0, false, 1149, 1125);
        // One that was long on its way, one that comes after it, one from the future.
        asks(1099, 1051.0, true, 1151, 1151);
        asks(1100, 1040.0, false, 1151, 1151);
        asks(1101, 9999.0, true, 1201, 1201);
        assert_eq!(roster.lapsed(at(1300)).0.len(), 1);
        assert_eq!(roster.renew("r", Some(100.0), Some(1301.0), &moment(1301)).1, [], "it is over");
        assert_eq!(roster.lapsed(at(9999)), (vec![], None));
    }

    #[test]
    fn what_was_sent_too_long_ago_does_not_begin() {
        let check = |as_of: Option<f64>, orphan, expected: Result<Claimed, ClaimError>| {
            let lease = lease("r", 60.0, orphan).map(|lease| Lease { as_of, ..lease });
            let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
            assert_eq!(Roster::default().claim(claim), expected, "{as_of:?}");
        };
        check(None, Orphan::Stop, Ok(Claimed::New));
        check(Some(941.0), Orphan::Stop, Ok(Claimed::New));
        check(Some(940.0), Orphan::Stop, Err(ClaimError::LeaseOver(60.0)));
        check(Some(0.0), Orphan::Keep, Ok(Claimed::New));
        // What it was asked for took too long to get ready.
        let mut roster = Roster::default();
        let lease = lease("r", 60.0, Orphan::Stop);
        assert_eq!(roster.claim(Claim { lease, now: moment(1000), ..claim("a", None) }), Ok(Claimed::New));
        let id = SessionId::from("a");
        assert_eq!(roster.over_already(&id, &moment(1059)), None);
        assert_eq!(roster.over_already(&id, &moment(1060)), Some(60.0));
        roster.lapsed(at(1060));
        assert_eq!(roster.over_already(&id, &moment(1061)), Some(60.0));
    }

    #[test]
    fn giving_up_that_is_late_gives_up_nothing() {
        let check = |as_of: f64, orphan| {
            let mut roster = Roster::default();
            let lease = lease("r", 60.0, Orphan::Stop);
            let claim = Claim { lease, now: moment(1000), ..claim("a", None) };
            assert_eq!(roster.claim(claim), Ok(Claimed::New));
            roster.renew("r", Some(60.0), Some(1010.0), &moment(1020));
            roster.renew("r", None, Some(as_of), &moment(1030));
            let place = roster.places.values().next().expect("one");
            assert_eq!(place.lease.as_ref().map(|lease| lease.orphan), Some(orphan), "{as_of}");
        };
        check(1010.0, Orphan::Keep);
        check(1005.0, Orphan::Stop);
    }

    #[test]
    fn without_a_word_of_when_the_time_begins_anew_and_ended_sessions_have_none() {
        let mut living = open("a");
        living.lease = lease("r", 10.0, Orphan::Stop);
        let mut ended = closed("b", 3.0);
        ended.lease.clone_from(&living.lease);
        let mut roster = Roster::new(vec![living.clone(), ended], &moment(500));
        assert_eq!(roster.lapsed(at(509)), (vec![], Some(at(510))));
        // What an older copy of the record says of it does not count.
        roster.renew("r", None, None, &moment(505));
        let remembered = roster.remember(living, &moment(506));
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
        let mut roster = Roster::new(vec![a, b, closed("c", 3.0), running], &moment(0));
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
            let claim = Claim { lease, slots: Some(2), now: moment(second), ..claim(id, None) };
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

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
mod tests;

//! What the hub does for those who own sessions: leases, fences, results that arrived.

use cm_protocol::{EventKind, Fence, Notice, SessionId, TaskRef};

use super::{ClaimError, Hub, Inner};
use crate::host::clock;
use crate::session::record::Record;
use std::time::Duration;

impl Hub {
    /// An owner asks after its sessions, for so many seconds, or gives them up (`None`): how many live. `as_of`: the
    /// newest time since boot that it knows of, which the lease lasts from.
    pub fn renew(&self, owner: &str, seconds: Option<f64>, as_of: Option<f64>) -> usize {
        let mut inner = self.lock();
        let (living, changed) = inner.roster.renew(owner, seconds, as_of, &clock::moment());
        for (session_id, lease, renewed) in changed {
            // Not synced: it has to outlive this process, and no session outlives the host.
            inner.write(Record::Lease { session_id, lease, renewed: Some(renewed) });
        }
        self.leases.notify_one();
        living
    }

    /// Sessions that are to be ended because nobody asked after them for so many seconds, each told once; and
    /// when to ask again, by the time since boot.
    pub fn lapsed(&self) -> (Vec<(SessionId, f64)>, Option<Duration>) {
        self.lock().roster.lapsed(clock::moment().up())
    }

    /// Whether the lease of a session that is being made is over before anything has begun.
    ///
    /// # Errors
    /// It is.
    pub fn still_leased(&self, id: &SessionId) -> Result<(), ClaimError> {
        let over = self.lock().roster.over_already(id, &clock::moment());
        over.map_or(Ok(()), |seconds| Err(ClaimError::LeaseOver(seconds)))
    }

    /// Waits until [`Hub::lapsed`] may say something else than it did.
    pub async fn leases_changed(&self) {
        self.leases.notified().await;
    }

    /// Attempts at a task below a number are over from now on. [`Hub::sync`] makes it last.
    pub fn fence(&self, fence: Fence) {
        let mut inner = self.lock();
        if inner.roster.fences.raise(&fence.task_id, fence.below) {
            inner.write(Record::Fence(fence));
        }
    }

    /// Living sessions whose attempt is over, also those that are being made; and the attempt that is not. Of
    /// one task, or of all.
    pub fn fenced(&self, task_id: Option<&str>) -> Vec<(SessionId, u32)> {
        self.lock().roster.fenced(task_id)
    }

    /// Which session has this task identity.
    ///
    /// # Errors
    /// The attempt is over.
    pub fn by_task(&self, task: &TaskRef) -> Result<Option<SessionId>, ClaimError> {
        self.lock().roster.existing(task)
    }

    /// These sessions' results have arrived where they are wanted: how many of them had one, and what is
    /// forgotten now.
    pub fn acknowledge(&self, ids: &[SessionId]) -> (usize, Vec<SessionId>) {
        let mut inner = self.lock();
        let (known, sessions) = inner.roster.acknowledge(ids);
        if sessions.is_empty() {
            return (known, Vec::new());
        }
        inner.write(Record::Acknowledged { sessions });
        (known, self.forget(&mut inner))
    }

    /// Forgets what is beyond what is to be remembered.
    pub(super) fn forget(&self, inner: &mut Inner) -> Vec<SessionId> {
        let gone = inner.roster.forget_beyond(&self.keep);
        for session_id in &gone.sessions {
            inner.write(Record::Forgotten { session_id: session_id.clone() });
        }
        if gone.unfetched > 0 {
            let message = format!(
                "{} results that nobody fetched were forgotten, the oldest first: too many wait; fetch them, and \
                 say so",
                gone.unfetched
            );
            inner.publish(EventKind::Notice(Notice { topic: "results_forgotten".into(), message }));
            self.head.send_replace(inner.ring.head());
        }
        gone.sessions
    }
}

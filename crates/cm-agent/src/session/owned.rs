//! What is done for those who own sessions: asking after them, ending those nobody asks after or that a later
//! attempt has replaced, forgetting results that have arrived.

use std::sync::Arc;
use std::time::Duration;

use cm_protocol::{Acknowledge, ErrorCode, ErrorReply, Fence, Lease, RenewLease, ReplyBody, SessionId};
use futures_util::future::join_all;
use tokio::time::{sleep, timeout};

use super::Engine;
use crate::host::{clock, limits};

/// Results one command may acknowledge.
const ACKNOWLEDGED: usize = 1000;
/// How long a fence may take to end what it fences off, before it is to be asked for again.
const FENCE: Duration = Duration::from_secs(20);
/// Bytes of an owner's name and of a task's.
const OWNER: usize = 128;
const TASK: usize = 256;
/// How long a lease may have been over, after the host has slept.
const AWAKE: Duration = Duration::from_secs(2);
/// Seconds of a lease.
const LEASE: std::ops::RangeInclusive<f64> = 1.0..=86_400.0;

/// Ends sessions for as long as the agent lives: those nobody asks after any more, and, at its start, those an
/// earlier agent was told are over.
pub fn watch_owned(engine: &Arc<Engine>) {
    for (id, by) in engine.hub.fenced(None) {
        engine.end_apart(id, superseded(by));
    }
    let watching = engine.clone();
    engine.tracker.spawn(async move {
        loop {
            let (over, next) = watching.hub.lapsed();
            for (id, seconds) in over {
                watching.end_apart(id, format!("lease_expired: nobody renewed its lease for {seconds} s"));
            }
            let due = async {
                match next {
                    // While the host sleeps, this does too; the lease does not.
                    Some(at) => sleep(at.saturating_sub(clock::moment().up()).min(AWAKE)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = watching.stop.cancelled() => return,
                () = watching.hub.leases_changed() => {}
                () = due => {}
            }
        }
    });
}

fn superseded(by: u32) -> String {
    format!("superseded: attempt {by} runs elsewhere")
}

/// Whether a lease makes sense; else the field and what is wrong with it.
pub(super) fn check_lease(lease: &Lease) -> Result<(), (&'static str, String)> {
    check_owner(&lease.owner).map_err(|why| ("lease.owner", format!("lease.{why}")))?;
    check_seconds(lease.seconds).map_err(|why| ("lease.seconds", format!("lease.{why}")))?;
    check_as_of(lease.as_of).map_err(|why| ("lease.asOf", format!("lease.{why}")))
}

fn check_as_of(as_of: Option<f64>) -> Result<(), &'static str> {
    match as_of {
        Some(seconds) if !seconds.is_finite() || seconds < 0.0 => {
            Err("asOf: the newest `clock` this agent has told, in seconds")
        }
        _ => Ok(()),
    }
}

fn check_owner(owner: &str) -> Result<(), String> {
    let characters = owner.chars().count();
    if characters == 0 || characters > OWNER || owner.chars().any(char::is_control) {
        return Err(format!("owner: 1 to {OWNER} characters, none of them a control character"));
    }
    Ok(())
}

fn check_seconds(seconds: f64) -> Result<(), String> {
    if LEASE.contains(&seconds) {
        return Ok(());
    }
    Err(format!("seconds: {} to {}", LEASE.start(), LEASE.end()))
}

impl Engine {
    /// An owner asks after its sessions, or gives them up.
    ///
    /// # Errors
    /// A field is wrong.
    pub fn renew(&self, asked: RenewLease) -> Result<ReplyBody, ErrorReply> {
        check_owner(&asked.owner).map_err(|why| ErrorReply::bad_request("owner", why))?;
        asked.seconds.map_or(Ok(()), check_seconds).map_err(|why| ErrorReply::bad_request("seconds", why))?;
        check_as_of(asked.as_of).map_err(|why| ErrorReply::bad_request("asOf", why))?;
        let sessions = self.hub.renew(&asked.owner, asked.seconds, asked.as_of);
        let clock = Some(clock::told());
        Ok(ReplyBody::LeaseRenewed { owner: asked.owner, sessions, load: limits::load(), clock })
    }

    /// Results have arrived where they are wanted.
    ///
    /// # Errors
    /// There are too many at once.
    pub fn acknowledge(&self, asked: &Acknowledge) -> Result<ReplyBody, ErrorReply> {
        if asked.sessions.len() > ACKNOWLEDGED {
            let why = format!("sessions: {}, at most {ACKNOWLEDGED} at once", asked.sessions.len());
            return Err(ErrorReply::bad_request("sessions", why));
        }
        let (sessions, forgotten) = self.hub.acknowledge(&asked.sessions);
        self.forget(&forgotten);
        Ok(ReplyBody::Acknowledged { sessions })
    }

    /// Earlier attempts at a task are over: nothing of them runs when this returns, nor will.
    ///
    /// # Errors
    /// A field is wrong, the fence cannot be written, or something takes too long to end; it will end.
    pub async fn fence(self: &Arc<Self>, fence: Fence) -> Result<ReplyBody, ErrorReply> {
        let Fence { task_id, below } = fence.clone();
        if task_id.is_empty() || task_id.len() > TASK || task_id.chars().any(char::is_control) {
            let why = format!("taskId: 1 to {TASK} characters, none of them a control character");
            return Err(ErrorReply::bad_request("taskId", why));
        }
        self.hub.fence(fence);
        let fenced = self.hub.fenced(Some(&task_id));
        let ending: Vec<_> =
            fenced.iter().map(|(id, by)| self.end_apart(id.clone(), superseded(*by))).collect();
        // Ended whatever the disk says; but that they stay out is promised only once it is written.
        self.hub.sync().await.map_err(|e| ErrorReply::new(ErrorCode::Internal, e.to_string()))?;
        let sessions = fenced.into_iter().map(|(id, _)| id).collect();
        if timeout(FENCE, join_all(ending)).await.is_err() {
            let why = format!("attempts at {task_id} below {below} are still being ended; send it again");
            return Err(ErrorReply::new(ErrorCode::Conflict, why));
        }
        Ok(ReplyBody::Fenced { task_id, sessions })
    }

    /// Ends a session, also one that is just being made, even if nobody waits for it.
    fn end_apart(self: &Arc<Self>, id: SessionId, why: String) -> tokio::task::JoinHandle<()> {
        let engine = self.clone();
        self.tracker.spawn(async move {
            engine.settled(&id).await;
            let Some(handle) = engine.hub.handle(&id) else { return };
            if let Err(error) = handle.end(why).await {
                // It ended by itself, or the agent lets go of it; the next one is told of it again.
                tracing::debug!(session = %id, %error, "not ended");
            }
        })
    }

    /// Removes what was kept of sessions that are forgotten; what is not there is as good.
    pub(super) fn forget(&self, sessions: &[SessionId]) {
        for id in sessions {
            let _ = std::fs::remove_file(self.transcript_file(id));
            let _ = std::fs::remove_file(self.recording_file(id));
            let _ = std::fs::remove_file(self.patch_file(id));
            let _ = std::fs::remove_dir_all(self.base_dir(id));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cm_protocol::Orphan;

    #[test]
    fn leases_that_make_no_sense() {
        #[track_caller]
        fn check(owner: &str, seconds: f64, expected: Option<&str>) {
            let lease = Lease { owner: owner.into(), seconds, orphan: Orphan::Keep, as_of: None };
            assert_eq!(check_lease(&lease).err().map(|(field, _)| field), expected, "{owner:?} {seconds}");
        }
        check("r", 1.0, None);
        check(&"ü".repeat(128), 86_400.0, None);
        check("", 60.0, Some("lease.owner"));
        check(&"x".repeat(129), 60.0, Some("lease.owner"));
        check("a\nb", 60.0, Some("lease.owner"));
        for seconds in [0.999, 0.0, -1.0, 86_400.1, f64::NAN, f64::INFINITY] {
            check("r", seconds, Some("lease.seconds"));
        }
    }
}

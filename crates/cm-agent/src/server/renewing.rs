//! What was told last over one connection of the leases renewed there, so that only what is new is told again.

use std::sync::{Mutex, MutexGuard, PoisonError};

use cm_protocol::{ErrorCode, ErrorReply, Load, Renew, RenewLease, ReplyBody};

use crate::host::load;
use crate::session::Engine;

/// One connection's memory.
#[derive(Debug, Default)]
pub(super) struct Renewing(Mutex<Option<Last>>);

/// The last renewal in full, and the answers since.
#[derive(Debug)]
struct Last {
    owner: String,
    seconds: f64,
    sessions: usize,
    load: Load,
}

impl Renewing {
    /// Renews in full.
    pub(super) fn in_full(&self, engine: &Engine, asked: RenewLease) -> Result<ReplyBody, ErrorReply> {
        let seconds = asked.seconds;
        let renewed = engine.renew(asked)?;
        if let ReplyBody::LeaseRenewed { owner, sessions, load, .. } = &renewed {
            let (owner, sessions, load) = (owner.clone(), *sessions, *load);
            *self.last() = seconds.map(|seconds| Last { owner, seconds, sessions, load });
        }
        Ok(renewed)
    }

    /// Renews the same once more.
    ///
    /// # Errors
    /// There is nothing to be renewed.
    pub(super) fn again(&self, engine: &Engine, asked: &Renew) -> Result<ReplyBody, ErrorReply> {
        let mut last = self.last();
        let Some(last) = last.as_mut() else {
            let why = "no lease was renewed over this connection; say whose and for how long: `renew_lease`";
            return Err(ErrorReply::new(ErrorCode::Conflict, why));
        };
        let full = RenewLease { owner: last.owner.clone(), seconds: Some(last.seconds), as_of: asked.as_of };
        match engine.renew(full)? {
            ReplyBody::LeaseRenewed { sessions, load, clock: Some(clock), .. } => {
                let (sessions, load) = (last.sessions_if_new(sessions), last.load_if_new(load));
                Ok(ReplyBody::Renewed { sessions, load, clock })
            }
            other => Ok(other),
        }
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        // It is whole whoever panicked.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Last {
    fn sessions_if_new(&mut self, now: usize) -> Option<usize> {
        let told = std::mem::replace(&mut self.sessions, now);
        (told != now).then_some(now)
    }

    fn load_if_new(&mut self, now: Load) -> Option<Load> {
        let new = load::has_changed(&self.load, &now).then_some(now);
        self.load = new.unwrap_or(self.load);
        new
    }
}

//! How a run is left: detached, cancelled, or at its end.

use std::io;
use std::time::Duration;

use cm_client::protocol::SessionId;
use futures_util::StreamExt;
use futures_util::future::join_all;
use tokio::time::{Instant, timeout};

use super::asking;
use super::{CANCEL_GRACE, DETACH_GRACE, Flow, Run};
use crate::exit::Exit;
use crate::report::event::{RunEventKind, Stop};
use crate::report::fold::Link;

/// Leases are given back and results acknowledged within this time, or not at all.
const LAST_WORDS: Duration = Duration::from_secs(2);

impl Run<'_> {
    /// Ctrl-C: the first detaches, the second cancels, the third leaves at once.
    pub(super) fn interrupt(&mut self) -> io::Result<Flow> {
        match self.state.stop {
            None => self.stop(Stop::Detach),
            Some(Stop::Detach) => self.stop(Stop::Cancel),
            Some(Stop::Cancel) => Ok(Flow::Leave),
        }
    }

    pub(super) fn stop(&mut self, stop: Stop) -> io::Result<Flow> {
        self.emit(RunEventKind::StopRequested { stop })?;
        match stop {
            Stop::Detach => self.detach_at = Some(Instant::now() + DETACH_GRACE),
            Stop::Cancel => {
                self.detach_at = None;
                self.cancel_at = Some(Instant::now() + CANCEL_GRACE);
                self.cancel()?;
            }
        }
        Ok(Flow::On)
    }

    fn cancel(&mut self) -> io::Result<()> {
        for host in 0..self.state.hosts.len() {
            if self.is_up(host) {
                self.end_all(host);
                continue;
            }
            // Whoever is heard of in time is told then.
            if matches!(self.state.hosts[host].link, Link::Unknown { .. }) {
                continue;
            }
            let error = format!("{} cannot be reached", self.state.hosts[host].name);
            let tasks: Vec<usize> = self.state.hosts[host].tasks.iter().copied().collect();
            for task in tasks {
                self.emit(RunEventKind::CancelFailed { task, error: error.clone() })?;
            }
        }
        Ok(())
    }

    /// Ends all sessions of this run on a host, also those it has not told us of.
    pub(super) fn end_all(&mut self, host: usize) {
        let Some(client) = self.links.client(host) else { return };
        let tasks: Vec<(usize, u32, Option<SessionId>)> = self
            .state
            .on_host(host)
            .map(|task| (task.plan.number, task.attempt, task.status.session().cloned()))
            .collect();
        for (task, attempt, session) in tasks {
            match session {
                Some(session) => self.asked.push(asking::kill(client.clone(), task, session)),
                None => self.fence_off(host, task, attempt + 1),
            }
        }
    }

    pub(super) async fn finish(&mut self) -> io::Result<Exit> {
        self.last_words().await;
        let exit = self.state.exit();
        self.emit(RunEventKind::RunFinished {
            run: self.plan.run.clone(),
            summary: self.state.summary(),
            seconds: (self.clock.now() - self.state.started_at).max(0.0),
            exit: exit.code(),
        })?;
        if timeout(LAST_WORDS, self.record.kept()).await.is_err() {
            tracing::warn!("the end of the run could not be written down in time");
        }
        Ok(exit)
    }

    /// Whoever leaves gives its leases back, so that sessions go on without it, and acknowledges what it has.
    async fn last_words(&mut self) {
        self.asked.clear();
        self.acknowledge();
        let left: Vec<_> = (0..self.agents.len())
            .filter(|host| self.state.on_host(*host).next().is_some() && self.lease(*host).is_some())
            .filter_map(|host| Some((self.links.client(host)?, self.clock_of(host))))
            .collect();
        let owner = self.plan.run.clone();
        let giving = left.into_iter().map(|(client, as_of)| {
            let owner = owner.clone();
            async move { client.renew_lease_as_of(&owner, None, as_of).await }
        });
        let acknowledging = async { while self.asked.next().await.is_some() {} };
        let both = async { tokio::join!(join_all(giving), acknowledging) };
        if timeout(LAST_WORDS, both).await.is_err() {
            tracing::debug!("not every agent took the last words");
        }
    }
}

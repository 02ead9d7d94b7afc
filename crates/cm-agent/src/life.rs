//! What an agent as a whole waits for: signals, requests to end, idleness, the watchdog, a disk with room.

use std::sync::Arc;
use std::time::Duration;

use cm_protocol::Shutdown;
use tokio::signal::unix::Signal;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, Interval, interval, sleep_until};

use crate::config::ServeArgs;
use crate::hub::Hub;
use crate::server::Server;
use crate::session::Engine;

/// Between attempts to write what a full disk did not take.
const RETRY: Duration = Duration::from_secs(2);

/// What an agent waits for once it runs.
pub(crate) struct Life {
    engine: Arc<Engine>,
    hub: Arc<Hub>,
    head: watch::Receiver<u64>,
    connected: watch::Receiver<usize>,
    shutdowns: mpsc::Receiver<Shutdown>,
    signals: [Signal; 2],
    watchdog: Option<Interval>,
    /// When to try again to write what a full disk did not take.
    retry: Option<Instant>,
    on_demand: Option<Duration>,
    /// Since when there has been nothing to do.
    idle_since: Option<Instant>,
    drain: Option<Drain>,
    /// How long a first signal waits for running tasks: where sessions end with this process's container.
    drain_on_signal: Option<Duration>,
}

/// An end that waits for running tasks.
struct Drain {
    until: Option<Instant>,
}

/// Everything that can happen to an agent as a whole.
enum Wake {
    Changed,
    Shutdown(Option<Shutdown>),
    Signal,
    Idle,
    DrainedOut,
    Watchdog,
    Disk,
}

impl Life {
    /// Watched from here on; `signals` ask for the end.
    pub(crate) fn new(
        args: &ServeArgs,
        engine: Arc<Engine>,
        server: &Server,
        shutdowns: mpsc::Receiver<Shutdown>,
        signals: [Signal; 2],
    ) -> Self {
        // With a keeper sessions live on, as they do in units.
        let engine_keeps_none = engine.keeper.is_none();
        Self {
            hub: engine.hub.clone(),
            head: engine.hub.head(),
            engine,
            connected: server.connected(),
            shutdowns,
            signals,
            // Twice as often as is asked for.
            watchdog: sd_notify::watchdog_enabled().map(|t| interval(t / 2)),
            retry: None,
            on_demand: args.on_demand.map(Duration::from_secs),
            idle_since: None,
            drain: None,
            drain_on_signal: args.drain.filter(|_| engine_keeps_none),
        }
    }

    /// Until there is a reason to end, which is returned for the log.
    pub(crate) async fn run(mut self) -> &'static str {
        loop {
            self.notice_idleness();
            if self.drain.is_some() && self.hub.unfinished() == 0 {
                return "drained";
            }
            match self.next().await {
                Wake::Changed => {}
                // A second one ends it at once.
                Wake::Signal => match self.drain_on_signal.take().filter(|time| !time.is_zero()) {
                    Some(time) => {
                        let timeout = Some(time.as_secs_f64());
                        self.begin_drain(&Shutdown { drain: true, timeout });
                    }
                    None => return "signal",
                },
                Wake::Idle => return "nothing left to do",
                Wake::DrainedOut => return "tasks are still running, but the time given for draining is over",
                Wake::Shutdown(None | Some(Shutdown { drain: false, .. })) => return "asked to",
                Wake::Shutdown(Some(shutdown)) => self.begin_drain(&shutdown),
                Wake::Watchdog => drop(sd_notify::notify(&[sd_notify::NotifyState::Watchdog])),
                Wake::Disk => {
                    self.retry = None;
                    self.hub.retry_disk();
                }
            }
        }
    }

    async fn next(&mut self) -> Wake {
        let idle = self.on_demand.zip(self.idle_since).map(|(after, since)| since + after);
        let drained = self.drain.as_ref().and_then(|d| d.until);
        self.retry = self.hub.disk_problem().and(self.retry.or_else(|| Some(Instant::now() + RETRY)));
        let [terminate, interrupt] = &mut self.signals;
        tokio::select! {
            // Both senders outlive this loop.
            _ = self.head.changed() => Wake::Changed,
            _ = self.connected.changed(), if self.on_demand.is_some() => Wake::Changed,
            shutdown = self.shutdowns.recv() => Wake::Shutdown(shutdown),
            _ = terminate.recv() => Wake::Signal,
            _ = interrupt.recv() => Wake::Signal,
            () = at(idle) => Wake::Idle,
            () = at(drained) => Wake::DrainedOut,
            () = tick(self.watchdog.as_mut()) => Wake::Watchdog,
            () = at(self.retry) => Wake::Disk,
        }
    }

    fn notice_idleness(&mut self) {
        let busy = *self.connected.borrow() > 0 || self.engine.hub.open_sessions() > 0;
        self.idle_since = match (busy, self.idle_since) {
            (true, _) => None,
            (false, None) => Some(Instant::now()),
            (false, since) => since,
        };
    }

    fn begin_drain(&mut self, shutdown: &Shutdown) {
        self.hub.drain();
        self.hub.notice("draining", "no new sessions are taken; the agent ends when the running tasks have");
        let until =
            shutdown.timeout.and_then(|s| Instant::now().checked_add(Duration::try_from_secs_f64(s).ok()?));
        self.drain = Some(Drain { until });
    }
}

async fn at(when: Option<Instant>) {
    match when {
        Some(when) => sleep_until(when).await,
        None => std::future::pending().await,
    }
}

async fn tick(interval: Option<&mut Interval>) {
    match interval {
        Some(interval) => drop(interval.tick().await),
        None => std::future::pending().await,
    }
}

//! Where events are made: numbered by time, folded, counted and shown, from the first to the guaranteed last.

use std::time::{Duration, SystemTime};

use tokio::time::Instant;

use super::event::{DeployEvent, DeployEventKind, Outcome, Summary, Verb};
use super::fold::{DeployState, Phase};

/// What there is to show.
#[derive(Debug, Clone, Copy)]
pub enum Moment<'a> {
    /// Something has happened.
    Event(&'a DeployEvent),
    /// Time has passed.
    Tick,
    /// A person is about to be asked: what is drawn makes room.
    Question,
}

/// Called at every moment, with the state that contains it.
pub type Show<'a> = &'a mut dyn FnMut(Moment<'_>, &DeployState);

/// A run's events.
pub struct Stage<'a> {
    /// All of them, folded.
    pub state: DeployState,
    /// Hosts that are done with, counted.
    pub summary: Summary,
    began: Instant,
    show: Show<'a>,
}

impl<'a> Stage<'a> {
    /// Says that it begins, and what is settled before it does.
    pub fn begin(
        verb: Verb,
        fleet: &str,
        by: &str,
        hosts: Vec<String>,
        settled: Vec<(String, Outcome)>,
        show: Show<'a>,
    ) -> Self {
        let (state, summary) = (DeployState::default(), Summary::default());
        let mut stage = Self { state, summary, began: Instant::now(), show };
        let hosts = hosts.into_iter().chain(settled.iter().map(|(name, _)| name.clone())).collect();
        stage.emit(DeployEventKind::RunStarted { verb, fleet: fleet.to_owned(), by: by.to_owned(), hosts });
        for (host, outcome) in settled {
            stage.finished(host, outcome, Duration::ZERO);
        }
        stage
    }

    /// One more event.
    pub fn emit(&mut self, kind: DeployEventKind) {
        let event = DeployEvent { at: now(), kind };
        self.state.apply(&event);
        (self.show)(Moment::Event(&event), &self.state);
    }

    /// Time has passed.
    pub fn tick(&mut self) {
        (self.show)(Moment::Tick, &self.state);
    }

    /// A person is about to be asked.
    pub fn question(&mut self) {
        (self.show)(Moment::Question, &self.state);
    }

    /// A host is done with.
    pub fn finished(&mut self, host: String, outcome: Outcome, took: Duration) {
        self.summary.add(&outcome);
        self.emit(DeployEventKind::HostFinished { host, outcome, took: took.as_secs_f64() });
    }

    /// Since the beginning.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whoever has no outcome yet gets this one; then it is over.
    pub fn end(mut self, rest: &str, interrupted: bool) -> Summary {
        let open = |host: &&super::fold::HostState| !matches!(host.phase, Phase::Finished(_));
        let names: Vec<String> = self.state.hosts.iter().filter(open).map(|host| host.name.clone()).collect();
        for name in names {
            self.finished(name, Outcome::Skipped { why: rest.to_owned() }, Duration::ZERO);
        }
        self.summary.took = self.began.elapsed().as_secs_f64();
        self.summary.interrupted = interrupted;
        let summary = self.summary;
        self.emit(DeployEventKind::RunFinished(summary));
        summary
    }
}

/// Unix seconds by this machine's clock.
pub fn now() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64())
}

/// The next tick; never, where there are none.
pub async fn ticked(tick: &mut Option<tokio::time::Interval>) {
    match tick {
        Some(tick) => {
            tick.tick().await;
        }
        None => std::future::pending().await,
    }
}

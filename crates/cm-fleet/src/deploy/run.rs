//! All hosts of a deployment: asked at once, planned, then changed in their turn, until everyone has its outcome.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use cm_ssh::Keys;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::binary::Programs;
use super::event::{DeployEventKind, Outcome, Summary, Verb};
use super::fold::DeployState;
use super::host::{self, Job, Tell};
use super::link::{self, Answer, Link, Means};
use super::plan::{self, Change, Plan};
use super::rollout::{Fate, Next, Pace, Rollout};
use super::stage::{Show, Stage, now, ticked};
use super::wanted::Manner;
use crate::container::host::Hosted;

/// Connections that are being opened at the same time: a handshake is milliseconds of our own processor.
pub const CONNECTING: usize = 32;

/// What to do with which hosts.
#[derive(Debug)]
pub struct Run {
    /// Only [`Verb::Plan`] or [`Verb::Deploy`].
    pub verb: Verb,
    /// The fleet's name.
    pub fleet: String,
    /// The hosts, in order.
    pub jobs: Vec<Job>,
    /// Hosts that are done with before it begins, and why (this machine itself, a runtime we do not know).
    pub settled: Vec<(String, Outcome)>,
    /// How it is done on each.
    pub manner: Manner,
    /// Whose turn it is.
    pub pace: Pace,
}

/// What a person at the terminal says.
pub trait Person {
    /// Whether this may be done. Asked once, when all plans are known and something is to be changed.
    fn may(&mut self, state: &DeployState) -> impl Future<Output = bool>;

    /// Comes with every Ctrl-C.
    fn interrupt(&mut self) -> impl Future<Output = ()>;
}

/// One thing the loop wakes up for.
enum Woken {
    Told(DeployEventKind),
    Asked(usize, Result<Answer, Outcome>),
    Changed(usize, Outcome, Duration),
    Interrupt,
    Tick,
}

/// Runs it to its end; `show` is called at every moment.
///
/// # Errors
/// None: what fails is in the summary, host by host.
pub async fn run(
    run: Run,
    keys: Arc<Keys>,
    person: &mut impl Person,
    tick: Option<Duration>,
    show: Show<'_>,
) -> Summary {
    let mut driver = Driver::new(run, keys, show);
    driver.ask_all(person, tick).await;
    let mut rest = "interrupted";
    if driver.run.verb == Verb::Deploy && !driver.interrupted && !driver.ready.is_empty() {
        driver.stage.question();
        if person.may(&driver.stage.state).await {
            driver.change_all(person, tick).await;
        } else {
            rest = "not confirmed";
        }
    }
    driver.stage.end(rest, driver.interrupted)
}

struct Driver<'a> {
    run: Run,
    means: Means,
    stage: Stage<'a>,
    programs: Programs,
    interrupted: bool,
    tell: mpsc::UnboundedSender<DeployEventKind>,
    told: mpsc::UnboundedReceiver<DeployEventKind>,
    ready: BTreeMap<usize, (Link, Change)>,
}

impl<'a> Driver<'a> {
    fn new(mut run: Run, keys: Arc<Keys>, show: Show<'a>) -> Self {
        let (tell, told) = mpsc::unbounded_channel();
        let settled = std::mem::take(&mut run.settled);
        let names = run.jobs.iter().map(|job| job.name.clone()).collect();
        let stage = Stage::begin(run.verb, &run.fleet, &run.manner.by, names, settled, show);
        let (programs, ready, means) = (Programs::new(), BTreeMap::new(), Means::new(keys));
        Self { run, means, stage, programs, interrupted: false, tell, told, ready }
    }

    fn name(&self, number: usize) -> String {
        self.run.jobs[number].name.clone()
    }

    /// Everyone is asked at once, and planned as the answers come.
    async fn ask_all(&mut self, person: &mut impl Person, tick: Option<Duration>) {
        let room = Arc::new(Semaphore::new(CONNECTING));
        let mut tasks = JoinSet::new();
        for (number, job) in self.run.jobs.iter().enumerate() {
            let (job, means, room) = (job.clone(), self.means.clone(), Arc::clone(&room));
            let (manner, changing) = (self.run.manner.clone(), self.run.verb == Verb::Deploy);
            let tell = Tell::new(&job.name, self.tell.clone());
            tasks.spawn(async move {
                // Closed never: it lives as long as we do.
                let _permit = room.acquire_owned().await;
                (number, Box::pin(link::plan(&job, &means, &manner, changing, &tell)).await)
            });
        }
        let mut tick = tick.map(tokio::time::interval);
        while !tasks.is_empty() {
            let woken = tokio::select! {
                biased;
                Some(kind) = self.told.recv() => Woken::Told(kind),
                Some(done) = tasks.join_next() => match done {
                    Ok((number, answer)) => Woken::Asked(number, answer),
                    Err(_) => continue,
                },
                () = person.interrupt() => Woken::Interrupt,
                () = ticked(&mut tick) => Woken::Tick,
            };
            match woken {
                Woken::Told(kind) => self.stage.emit(kind),
                Woken::Asked(number, answer) => self.asked(number, answer),
                Woken::Interrupt => {
                    self.interrupted = true;
                    return;
                }
                Woken::Tick | Woken::Changed(..) => self.stage.tick(),
            }
        }
        self.drain_told();
    }

    fn drain_told(&mut self) {
        while let Ok(kind) = self.told.try_recv() {
            self.stage.emit(kind);
        }
    }

    fn asked(&mut self, number: usize, answer: Result<Answer, Outcome>) {
        self.drain_told();
        let host = self.name(number);
        let (link, made, program) = match answer {
            Ok(Answer::Planned(answer)) => (Link::Engine(answer.0), answer.1, None),
            Ok(Answer::Facts(answer)) => {
                let (ssh, facts) = *answer;
                let job = &self.run.jobs[number];
                let found = self.programs.get(job.binary.as_deref(), &facts.arch);
                let program = found.as_ref().map(|program| &program.binary).map_err(ToString::to_string);
                let program = program.as_ref().map_err(String::as_str).copied();
                let made = plan::plan(&job.wanted, &facts, program, &self.run.manner, now());
                (Link::Ssh(Box::new(ssh)), made, found.ok())
            }
            Err(outcome) => return self.stage.finished(host, outcome, self.stage.elapsed()),
        };
        self.stage.emit(DeployEventKind::HostPlanned { host: host.clone(), plan: made.clone() });
        let outcome = match made {
            Plan::Nothing { sessions, .. } => Outcome::Unchanged { sessions },
            Plan::Blocked(blocked) => host::blocked(&blocked),
            Plan::Change(_) if self.run.verb == Verb::Plan => Outcome::WouldChange,
            Plan::Change(change) => {
                if let (true, Some(program)) = (change.send, program) {
                    // Packed while others are still asked. Whoever sends it waits for that and sees how it went.
                    tokio::task::spawn_blocking(move || program.packed().map(|_| ()));
                }
                self.ready.insert(number, (link, change));
                return;
            }
        };
        self.stage.finished(host, outcome, self.stage.elapsed());
    }

    /// Everyone that has to change gets its turn.
    async fn change_all(&mut self, person: &mut impl Person, tick: Option<Duration>) {
        let mut rollout = Rollout::new(self.ready.keys().copied().collect(), self.run.pace);
        let mut tasks: JoinSet<(usize, Outcome, Duration)> = JoinSet::new();
        let mut tick = tick.map(tokio::time::interval);
        let mut asked_to_stop = false;
        loop {
            match rollout.turn() {
                Next::End => break,
                Next::Stop { skipped, back } => {
                    self.stop(skipped, back).await;
                    continue;
                }
                Next::Begin(hosts) => {
                    for number in hosts {
                        self.spawn_change(number, &mut tasks);
                    }
                }
            }
            let woken = tokio::select! {
                biased;
                Some(kind) = self.told.recv() => Woken::Told(kind),
                Some(done) = tasks.join_next() => match done {
                    Ok((number, outcome, took)) => Woken::Changed(number, outcome, took),
                    Err(_) => continue,
                },
                () = person.interrupt() => Woken::Interrupt,
                () = ticked(&mut tick) => Woken::Tick,
            };
            match woken {
                Woken::Told(kind) => self.stage.emit(kind),
                Woken::Changed(number, outcome, took) => {
                    self.drain_told();
                    rollout.ended(number, fate(&outcome));
                    self.stage.finished(self.name(number), outcome, took);
                }
                Woken::Interrupt if asked_to_stop => {
                    self.interrupted = true;
                    return;
                }
                Woken::Interrupt => {
                    asked_to_stop = true;
                    self.interrupted = true;
                    rollout.stop();
                    let why = "interrupted: hosts under way are finished, no other is begun (again: leave them; \
                               what is not confirmed goes back by itself)";
                    self.stage.emit(DeployEventKind::Stopped { why: why.to_owned(), back: vec![] });
                }
                Woken::Tick | Woken::Asked(..) => self.stage.tick(),
            }
        }
        self.drain_told();
    }

    fn spawn_change(&mut self, number: usize, tasks: &mut JoinSet<(usize, Outcome, Duration)>) {
        let Some((link, change)) = self.ready.remove(&number) else { return };
        let job = self.run.jobs[number].clone();
        self.stage.emit(DeployEventKind::HostBegun { host: job.name.clone() });
        let (means, manner) = (self.means.clone(), self.run.manner.clone());
        let tell = Tell::new(&job.name, self.tell.clone());
        // Read and packed while planning; the architecture was found good there.
        let program = match &link {
            Link::Ssh(_) => Some(self.programs.get(job.binary.as_deref(), &change.arch)),
            Link::Engine(_) => None,
        };
        tasks.spawn(async move {
            let began = Instant::now();
            let outcome = match (link, program) {
                (Link::Ssh(ssh), Some(Ok(program))) => {
                    Box::pin(host::change(&job, *ssh, &program, change.send, &manner, &means.keys, &tell))
                        .await
                }
                (Link::Engine(engine), _) => match Hosted::of(&job, &means.images, &means.keys, &tell) {
                    Some(hosted) => hosted.change(engine, &manner).await,
                    None => host::failed("plan", "it is no container host".to_owned(), None),
                },
                (Link::Ssh(_), Some(Err(error))) => host::failed("plan", error.to_string(), None),
                (Link::Ssh(_), None) => host::failed("plan", "there is no program for it".to_owned(), None),
            };
            (number, outcome, began.elapsed())
        });
    }

    /// Too much has failed: nobody else begins, and those that went well go back.
    async fn stop(&mut self, skipped: Vec<usize>, back: Vec<usize>) {
        let names = back.iter().map(|number| self.name(*number)).collect();
        if !self.interrupted {
            let why = "too many hosts have failed".to_owned();
            self.stage.emit(DeployEventKind::Stopped { why, back: names });
        }
        for number in skipped {
            self.ready.remove(&number);
            let why = "the rollout stopped before its turn".to_owned();
            self.stage.finished(self.name(number), Outcome::Skipped { why }, Duration::ZERO);
        }
        for number in back {
            let began = Instant::now();
            let job = self.run.jobs[number].clone();
            let tell = Tell::new(&job.name, self.tell.clone());
            let outcome = link::take_back(&job, &self.run.manner, &self.means, &tell).await;
            self.drain_told();
            // It was counted as changed, and is that no longer.
            self.stage.summary.changed = self.stage.summary.changed.saturating_sub(1);
            self.stage.finished(job.name.clone(), outcome, began.elapsed());
        }
    }
}

fn fate(outcome: &Outcome) -> Fate {
    match outcome {
        Outcome::Changed(_) | Outcome::Unchanged { .. } | Outcome::Removed | Outcome::Nothing { .. } => {
            Fate::Well
        }
        Outcome::Unreachable { .. } => Fate::Unreached,
        _ => Fate::Failed,
    }
}

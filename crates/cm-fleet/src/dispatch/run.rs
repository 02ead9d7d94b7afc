//! The loop of a run: `select!` names what happened, one match handles it, events tell it to record and view.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use cm_client::protocol::{Event, SessionId};
use cm_client::{Follower, Update};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt, poll_fn};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::asking::{self, Answer, Asking};
use super::clock::Clock;
use super::leases;
use super::plan::Plan;
use super::record::Record;
use super::relay::Relay;
use super::schedule::{self, Patience, Round};
use super::sleep_until;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::links::Links;
use crate::fleet::way::Way;
use crate::report::View;
use crate::report::event::{RunEvent, RunEventKind, Stop};
use crate::report::fold::{Link, RunState};

mod alive;
mod carrying;
mod news;
mod placing;
mod stopping;

/// In this time a second Ctrl-C turns a detach into a cancel.
const DETACH_GRACE: Duration = Duration::from_secs(2);
/// Sessions have this long to end after a cancel.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// A host that had no room for a task is asked again after this long, should nothing be heard of a session
/// that ended.
const ROOM_AFTER: Duration = Duration::from_secs(5);
/// Output lines are told at most this often, per task.
const OUTPUT_EVERY: Duration = Duration::from_millis(200);
/// Results are acknowledged together, this long after the first.
const ACKNOWLEDGE_AFTER: Duration = Duration::from_millis(250);
/// How often it is looked whether another process wants this run to stop, and whether the disk has room again.
const HOUSEKEEPING: Duration = Duration::from_secs(1);
/// After the first host has answered the others are waited for so long; till then none gets more than its share.
const MUSTER: Duration = Duration::from_millis(500);
/// How often a task is sent before its host counts as unable to start it.
const TRIES: u32 = 4;
/// Sessions not known yet whose events are held until the answers to requests on their way say whose they are.
const HELD: usize = 4096;
/// Events held of each of them.
const HELD_EACH: usize = 64;
/// Screens that are watched at the same time: as many as fit on one.
const WATCHED: usize = 64;
/// Steps taken in a row before something else gets its turn.
const AT_ONCE: usize = 512;

/// What can happen to a run.
enum Input {
    Agent(Option<(usize, Update)>),
    Answer(Answer),
    Interrupt,
    Tick,
    Output,
    Room,
    Due,
    Mustered,
    Beat,
    Acknowledge,
    Housekeeping,
    DetachOver,
    CancelOver,
}

/// Whether the loop goes on.
enum Flow {
    On,
    Leave,
}

/// Where a run begins.
#[derive(Debug, Default)]
pub struct Begin {
    /// Where it stands already: the fold of what its record holds.
    pub state: RunState,
    /// Tasks that ended badly and are to be tried again.
    pub reopen: Vec<usize>,
    /// It is gone on with only to be stopped.
    pub stop: Option<Stop>,
}

/// Runs `plan` on agents and shows it. `ways` are the ways to the hosts of the plan's fleet, in the same order.
/// The last event is always `run_finished`.
///
/// # Errors
/// The view cannot be written any more, or signals cannot be caught. Sessions go on in both cases.
pub async fn run(
    plan: Plan,
    ways: Vec<Way>,
    begin: Begin,
    record: Box<dyn Record>,
    view: Box<dyn View>,
) -> Result<Exit, Failure> {
    let mut caught = signal(SignalKind::interrupt())
        .map_err(|e| Failure::new(Kind::Task, "cannot catch Ctrl-C").because(&e))?;
    let interrupts = poll_fn(move |cx| caught.poll_recv(cx));
    let followers = ways.iter().map(|way| Follower::start(way.clone().connector(), None)).collect();
    let relay = record.directory().and_then(|dir| Relay::of(&plan, ways, dir, &begin.state));
    let mut run = Run::new(&plan, Links::new(followers), begin, record, view);
    run.relay = relay;
    let ended = run.go(interrupts).await;
    run.links.close().await;
    ended.map_err(|e| {
        Failure::new(Kind::Task, "cannot write the report; the sessions go on")
            .because(&e)
            .hint("`cm-fleet sessions` lists them")
    })
}

/// A run under way.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    links: Links,
    record: Box<dyn Record>,
    view: Box<dyn View>,
    state: RunState,
    reopen: Vec<usize>,
    stop_at_once: Option<Stop>,
    clock: Clock,
    asked: FuturesUnordered<Asking>,
    /// Tasks whose create request is on its way.
    creating: BTreeSet<usize>,
    tries: BTreeMap<usize, u32>,
    held: BTreeMap<SessionId, Vec<Event>>,
    /// What is known of each host's agent beside the run's own state.
    agents: Vec<alive::Agent>,
    /// The tools of all tasks that hosts may lack.
    tools: Vec<String>,
    /// The repositories of all tasks that hosts may have already; of one host alone it does not matter.
    repos: Vec<String>,
    /// Tools somebody is logged in to on some host.
    logged_in: BTreeSet<String>,
    /// Hosts on which nobody seems to be logged in to a tool, while nobody is known to be on another.
    doubtful: BTreeMap<String, BTreeSet<usize>>,
    /// Work in progress that is taken along.
    pub(super) relay: Option<Relay>,
    /// The newest output line of each task that has not been told yet.
    lines: BTreeMap<usize, String>,
    /// Results that are not acknowledged yet, by host.
    results: BTreeMap<usize, Vec<SessionId>>,
    /// What happens is not kept at the moment: nothing is begun.
    unwritten: bool,
    /// Hosts that have not answered yet are not waited for any more.
    mustered: bool,
    patience: Patience,
    muster_at: Option<Instant>,
    output_at: Option<Instant>,
    room_at: Option<Instant>,
    due_at: Option<Instant>,
    beat_at: Option<Instant>,
    acknowledge_at: Option<Instant>,
    housekeeping_at: Option<Instant>,
    detach_at: Option<Instant>,
    cancel_at: Option<Instant>,
    tick_at: Option<Instant>,
}

impl<'a> Run<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        links: Links,
        begin: Begin,
        record: Box<dyn Record>,
        view: Box<dyn View>,
    ) -> Self {
        Self {
            plan,
            links,
            record,
            view,
            // Those an earlier process has asked for are asked for again.
            tries: placing::asked_before(&begin.state),
            state: begin.state,
            reopen: begin.reopen,
            stop_at_once: begin.stop,
            clock: Clock::start(),
            asked: FuturesUnordered::new(),
            creating: BTreeSet::new(),
            held: BTreeMap::new(),
            agents: Vec::new(),
            tools: placing::tools(plan),
            repos: if plan.fleet.hosts.len() > 1 { placing::repos(plan) } else { Vec::new() },
            logged_in: BTreeSet::new(),
            doubtful: BTreeMap::new(),
            relay: None,
            lines: BTreeMap::new(),
            results: BTreeMap::new(),
            unwritten: false,
            mustered: false,
            muster_at: None,
            patience: Patience::default(),
            output_at: None,
            room_at: None,
            due_at: None,
            beat_at: None,
            acknowledge_at: None,
            housekeeping_at: None,
            detach_at: None,
            cancel_at: None,
            tick_at: None,
        }
    }

    pub(super) async fn go(&mut self, mut interrupts: impl Stream<Item = ()> + Unpin) -> io::Result<Exit> {
        self.begin()?;
        loop {
            self.advance()?;
            if schedule::is_over(&self.state, self.patience) {
                break;
            }
            let input = tokio::select! {
                update = self.links.next() => Input::Agent(update),
                Some(answer) = self.asked.next() => Input::Answer(answer),
                Some(()) = interrupts.next() => Input::Interrupt,
                () = sleep_until(self.output_at) => Input::Output,
                () = sleep_until(self.room_at) => Input::Room,
                () = sleep_until(self.due_at) => Input::Due,
                () = sleep_until(self.muster_at) => Input::Mustered,
                () = sleep_until(self.beat_at) => Input::Beat,
                () = sleep_until(self.acknowledge_at) => Input::Acknowledge,
                () = sleep_until(self.housekeeping_at) => Input::Housekeeping,
                () = sleep_until(self.tick_at) => Input::Tick,
                () = sleep_until(self.detach_at) => Input::DetachOver,
                () = sleep_until(self.cancel_at) => Input::CancelOver,
            };
            if let Flow::Leave = self.handle(input)? {
                break;
            }
        }
        self.finish().await
    }

    fn begin(&mut self) -> io::Result<()> {
        let Plan { jobs, detach, .. } = *self.plan;
        let fleet = self.plan.fleet.clone();
        self.agents = fleet.hosts.iter().map(|_| alive::Agent::default()).collect();
        self.beat_at = Some(Instant::now() + leases::every(fleet.grace));
        if self.state.tasks.is_empty() {
            let (run, tasks) = (self.plan.run.clone(), self.plan.tasks.clone());
            self.emit(RunEventKind::RunStarted { run, jobs, detach, tasks, fleet })?;
        } else {
            self.emit(RunEventKind::RunResumed { jobs, detach, fleet })?;
        }
        if !self.reopen.is_empty() {
            let tasks = std::mem::take(&mut self.reopen);
            self.emit(RunEventKind::TasksReopened { tasks })?;
        }
        if let Some(stop) = self.stop_at_once {
            self.stop(stop)?;
        }
        self.housekeeping_at = Some(Instant::now() + HOUSEKEEPING);
        self.next_tick();
        Ok(())
    }

    fn handle(&mut self, input: Input) -> io::Result<Flow> {
        match input {
            Input::Agent(Some((host, update))) => self.agent(host, update)?,
            Input::Agent(None) => return Ok(Flow::Leave),
            Input::Answer(answer) => self.answer(answer)?,
            Input::Interrupt => return self.interrupt(),
            Input::Tick => {
                self.next_tick();
                self.view.tick(self.clock.now(), &self.state)?;
            }
            Input::Output => {
                self.output_at = None;
                for (task, line) in std::mem::take(&mut self.lines) {
                    self.emit(RunEventKind::TaskOutput { task, line })?;
                }
            }
            Input::Room => self.room_everywhere()?,
            // What is due is done before anything is waited for.
            Input::Due => self.due_at = None,
            Input::Mustered => (self.muster_at, self.mustered) = (None, true),
            Input::Beat => self.beat()?,
            Input::Acknowledge => self.acknowledge(),
            Input::Housekeeping => return self.keep_house(),
            Input::DetachOver => {
                self.detach_at = None;
                self.patience.detach_over = true;
            }
            Input::CancelOver => {
                self.cancel_at = None;
                self.patience.cancel_over = true;
            }
        }
        Ok(Flow::On)
    }

    /// Does all that is to be done now: what has become due, and placing tasks.
    fn advance(&mut self) -> io::Result<()> {
        let now = self.clock.now();
        for _ in 0..AT_ONCE {
            let due = schedule::due(&self.state, now);
            if due.is_empty() {
                break;
            }
            self.emit_all(due)?;
        }
        self.place(now)?;
        self.due_at = schedule::wake_at(&self.state, now).map(|at| self.clock.instant(at));
        Ok(())
    }

    fn keep_house(&mut self) -> io::Result<Flow> {
        self.housekeeping_at = Some(Instant::now() + HOUSEKEEPING);
        self.fetch_work();
        if std::mem::take(&mut self.unwritten) {
            self.record.retry();
            (0..self.state.hosts.len()).for_each(|host| self.ask_again(host));
        }
        match self.record.wish() {
            Some(wish) if self.state.stop < Some(wish) => self.stop(wish),
            _ => Ok(Flow::On),
        }
    }

    fn emit_all(&mut self, events: Vec<RunEventKind>) -> io::Result<()> {
        events.into_iter().try_for_each(|kind| self.emit(kind))
    }

    /// The only way anything becomes known: into the state, onto the record, then to the view.
    fn emit(&mut self, kind: RunEventKind) -> io::Result<()> {
        let event = RunEvent { at: self.clock.now(), kind };
        self.state.apply(&event);
        if let Some(relay) = &mut self.relay {
            relay.hear(&event.kind);
        }
        if let Some(task) = event.kind.task()
            && self.state.live_state(task).is_none()
        {
            self.lines.remove(&task);
        }
        if !event.kind.is_passing() {
            self.record.append(&event);
        }
        self.view.event(&event, &self.state)
    }

    fn next_tick(&mut self) {
        self.tick_at = self.view.tick_every().map(|every| Instant::now() + every);
    }

    /// A host's name.
    fn name(&self, host: usize) -> String {
        self.state.hosts.get(host).map(|host| host.name.clone()).unwrap_or_default()
    }

    /// Whether a host's agent answers, as far as the run knows.
    fn is_up(&self, host: usize) -> bool {
        self.state.hosts.get(host).is_some_and(|host| host.link == Link::Up)
    }
}

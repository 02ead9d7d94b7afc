//! The loop of a run: `select!` names what happened, one match handles it, events tell it to the view.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use cm_client::protocol::{Event, SessionId};
use cm_client::{Client, Follower, Update};
use futures_util::stream::{FuturesUnordered, Stream, StreamExt, poll_fn};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

use super::asking::{self, Answer, Asking};
use super::plan::Plan;
use super::schedule::{self, Patience};
use super::{now, sleep_until};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::way::Way;
use crate::report::View;
use crate::report::event::{RunEvent, RunEventKind, Stop};
use crate::report::fold::{Link, RunState};

mod news;

/// The name of this machine in reports.
pub const LOCAL: &str = "local";
/// In this time a second Ctrl-C turns a detach into a cancel.
const DETACH_GRACE: Duration = Duration::from_secs(2);
/// Sessions have this long to end after a cancel.
const CANCEL_GRACE: Duration = Duration::from_secs(10);
/// An agent that does not answer is waited for this long.
const PATIENCE: Duration = Duration::from_secs(60);
/// An agent that had no room for a task is asked again after this long, should nothing be heard of a session
/// that ended.
const ROOM_AFTER: Duration = Duration::from_secs(5);
/// Output lines are told at most this often, per task.
const OUTPUT_EVERY: Duration = Duration::from_millis(200);
/// How often a task is sent before its agent counts as unable to start it.
const TRIES: u32 = 4;
/// Events of sessions not known yet, held until the answers to requests on their way say whose they are.
const HELD: usize = 4096;

/// What can happen to a run.
enum Input {
    Agent(Option<Update>),
    Answer(Answer),
    Interrupt,
    Tick,
    Output,
    Room,
    DetachOver,
    CancelOver,
    GiveUp,
}

/// Whether the loop goes on.
enum Flow {
    On,
    Leave,
}

/// Runs `plan` on one agent and shows it. The last event is always `run_finished`.
///
/// # Errors
/// The view cannot be written any more, or signals cannot be caught. Sessions go on in both cases.
pub async fn run(plan: Plan, way: Way, view: Box<dyn View>) -> Result<Exit, Failure> {
    let mut caught = signal(SignalKind::interrupt())
        .map_err(|e| Failure::new(Kind::Task, "cannot catch Ctrl-C").because(&e))?;
    let interrupts = poll_fn(move |cx| caught.poll_recv(cx));
    let mut run = Run::new(&plan, view);
    way.host().clone_into(&mut run.host);
    let mut follower = Follower::start(way.connector(), None);
    let ended = run.go(&mut follower, interrupts).await;
    follower.close().await;
    ended.map_err(|e| {
        Failure::new(Kind::Task, "cannot write the report; the sessions go on")
            .because(&e)
            .hint("`cm-fleet sessions` lists them")
    })
}

/// A run under way.
pub(super) struct Run<'a> {
    plan: &'a Plan,
    /// The agent's host, in reports.
    host: String,
    view: Box<dyn View>,
    state: RunState,
    asked: FuturesUnordered<Asking>,
    /// Tasks whose create request is on its way.
    creating: BTreeSet<usize>,
    tries: BTreeMap<usize, u32>,
    held: Vec<Event>,
    /// The agent has had no room for a task before.
    was_full: bool,
    /// The newest output line of each task that has not been told yet.
    lines: BTreeMap<usize, String>,
    patience: Patience,
    output_at: Option<Instant>,
    room_at: Option<Instant>,
    detach_at: Option<Instant>,
    cancel_at: Option<Instant>,
    give_up_at: Option<Instant>,
    tick_at: Option<Instant>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a Plan, view: Box<dyn View>) -> Self {
        Self {
            plan,
            host: LOCAL.to_owned(),
            view,
            state: RunState::default(),
            asked: FuturesUnordered::new(),
            creating: BTreeSet::new(),
            tries: BTreeMap::new(),
            held: Vec::new(),
            was_full: false,
            lines: BTreeMap::new(),
            patience: Patience::default(),
            output_at: None,
            room_at: None,
            detach_at: None,
            cancel_at: None,
            give_up_at: Some(Instant::now() + PATIENCE),
            tick_at: None,
        }
    }

    pub(super) async fn go(
        &mut self,
        follower: &mut Follower,
        mut interrupts: impl Stream<Item = ()> + Unpin,
    ) -> io::Result<Exit> {
        let Plan { run, jobs, detach, tasks, .. } = self.plan.clone();
        self.emit(RunEventKind::RunStarted { run, jobs, detach, tasks })?;
        self.next_tick();
        loop {
            self.place(follower.try_client())?;
            if schedule::is_over(&self.state, self.patience) {
                break;
            }
            let input = tokio::select! {
                update = follower.next() => Input::Agent(update),
                Some(answer) = self.asked.next() => Input::Answer(answer),
                Some(()) = interrupts.next() => Input::Interrupt,
                () = sleep_until(self.output_at) => Input::Output,
                () = sleep_until(self.room_at) => Input::Room,
                () = sleep_until(self.tick_at) => Input::Tick,
                () = sleep_until(self.detach_at) => Input::DetachOver,
                () = sleep_until(self.cancel_at) => Input::CancelOver,
                () = sleep_until(self.give_up_at) => Input::GiveUp,
            };
            if let Flow::Leave = self.handle(input, follower.try_client())? {
                break;
            }
        }
        self.finish()
    }

    fn handle(&mut self, input: Input, client: Option<Client>) -> io::Result<Flow> {
        match input {
            Input::Agent(Some(update)) => self.agent(update, client)?,
            Input::Agent(None) => return Ok(Flow::Leave),
            Input::Answer(answer) => self.answer(answer, client)?,
            Input::Interrupt => return self.interrupt(client),
            Input::Tick => {
                self.next_tick();
                self.view.tick(now(), &self.state)?;
            }
            Input::Output => {
                self.output_at = None;
                for (task, line) in std::mem::take(&mut self.lines) {
                    self.emit(RunEventKind::TaskOutput { task, line })?;
                }
            }
            Input::Room => self.room()?,
            Input::DetachOver => {
                self.detach_at = None;
                self.patience.detach_over = true;
            }
            Input::CancelOver => {
                self.cancel_at = None;
                self.patience.cancel_over = true;
            }
            Input::GiveUp => {
                self.give_up_at = None;
                let error = match self.state.hosts.get(&self.host) {
                    Some(Link::Lost { error }) => error.clone(),
                    _ => format!("no answer for {} s", PATIENCE.as_secs()),
                };
                self.emit(RunEventKind::HostGivenUp { host: self.host.clone(), error })?;
            }
        }
        Ok(Flow::On)
    }

    /// Asks for the sessions of the tasks whose turn it is.
    fn place(&mut self, client: Option<Client>) -> io::Result<()> {
        let Some(client) = client else { return Ok(()) };
        for task in schedule::to_place(&self.state, &self.host, &self.creating) {
            let Some(request) = self.plan.requests.get(task - 1) else { continue };
            *self.tries.entry(task).or_default() += 1;
            self.emit(RunEventKind::TaskPlaced { task, host: self.host.clone(), attempt: 1 })?;
            self.creating.insert(task);
            self.asked.push(asking::create(client.clone(), task, request.clone()));
        }
        Ok(())
    }

    fn interrupt(&mut self, client: Option<Client>) -> io::Result<Flow> {
        match self.state.stop {
            None => {
                self.detach_at = Some(Instant::now() + DETACH_GRACE);
                self.emit(RunEventKind::StopRequested { stop: Stop::Detach })?;
            }
            Some(Stop::Detach) => {
                self.detach_at = None;
                self.cancel_at = Some(Instant::now() + CANCEL_GRACE);
                self.emit(RunEventKind::StopRequested { stop: Stop::Cancel })?;
                let live: Vec<(usize, SessionId)> =
                    self.state.live().map(|(plan, live)| (plan.number, live.session.clone())).collect();
                for (task, session) in live {
                    match &client {
                        Some(client) => self.asked.push(asking::kill(client.clone(), task, session)),
                        None => self.emit(RunEventKind::CancelFailed {
                            task,
                            error: "the agent cannot be reached".into(),
                        })?,
                    }
                }
            }
            Some(Stop::Cancel) => return Ok(Flow::Leave),
        }
        Ok(Flow::On)
    }

    fn finish(&mut self) -> io::Result<Exit> {
        let exit = self.state.exit();
        self.emit(RunEventKind::RunFinished {
            run: self.plan.run.clone(),
            summary: self.state.summary(),
            seconds: (now() - self.state.started_at).max(0.0),
            exit: exit.code(),
        })?;
        Ok(exit)
    }

    fn emit_all(&mut self, events: Vec<RunEventKind>) -> io::Result<()> {
        events.into_iter().try_for_each(|kind| self.emit(kind))
    }

    /// The only way anything becomes known: into the state, then to the view.
    fn emit(&mut self, kind: RunEventKind) -> io::Result<()> {
        if matches!(kind, RunEventKind::TaskFinished { .. })
            && let Some(task) = kind.task()
        {
            self.lines.remove(&task);
        }
        let event = RunEvent { at: now(), kind };
        self.state.apply(&event);
        self.view.event(&event, &self.state)
    }

    fn next_tick(&mut self) {
        self.tick_at = self.view.tick_every().map(|every| Instant::now() + every);
    }
}

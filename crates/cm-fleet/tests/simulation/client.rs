//! The client: what `dispatch/run.rs` does, in the same order, without the waiting. Decisions are the real ones.

use std::collections::{BTreeMap, BTreeSet};

use cm_fleet::dispatch::schedule::{self, Patience, Round};
use cm_fleet::dispatch::{leases, translate, verdict};
use cm_fleet::report::event::{FleetPlan, RunEvent, RunEventKind, Stop, TaskPlan};
use cm_fleet::report::fold::{Link, RunState, Status};
use cm_protocol::{ErrorCode, Event, EventKind, SessionId};

use crate::host::{Ask, Lease, Refusal, Say};

const AT_ONCE: usize = 512;
const TRIES: u32 = 4;
const ROOM_AFTER: f64 = 5.0;
const MUSTER: f64 = 0.5;
const ACKNOWLEDGE_AFTER: f64 = 0.25;
const DETACH_GRACE: f64 = 2.0;
const CANCEL_GRACE: f64 = 10.0;

/// Something that leaves the client.
#[derive(Debug, Clone)]
pub enum Out {
    /// To be sent once all that was appended so far is kept, where `kept`.
    Ask { host: usize, ask: Ask, kept: bool },
    /// The connection is given up.
    Close { host: usize },
}

#[derive(Debug, Default, Clone)]
struct Agent {
    heard: f64,
    asked: bool,
    known: bool,
    connected: bool,
    clock: f64,
}

/// A client process.
#[derive(Debug)]
pub struct Client {
    pub state: RunState,
    /// All that was appended; the first `kept` of it are on disk for certain.
    pub ledger: Vec<RunEvent>,
    pub kept: usize,
    pub now: f64,
    pub out: Vec<Out>,
    pub patience: Patience,
    /// Whether sessions get leases.
    leases: bool,
    agents: Vec<Agent>,
    creating: BTreeSet<usize>,
    tries: BTreeMap<usize, u32>,
    held: BTreeMap<SessionId, Vec<(usize, Event)>>,
    results: BTreeMap<usize, Vec<SessionId>>,
    mustered: bool,
    muster_at: Option<f64>,
    due_at: Option<f64>,
    beat_at: f64,
    room_at: Option<f64>,
    acknowledge_at: Option<f64>,
    detach_at: Option<f64>,
    cancel_at: Option<f64>,
}

impl Client {
    /// A process that finds `ledger`, which is empty for a new run.
    pub fn start(
        ledger: Vec<RunEvent>,
        now: f64,
        tasks: &[TaskPlan],
        fleet: FleetPlan,
        jobs: usize,
        detach: bool,
    ) -> Self {
        let mut state = RunState::default();
        ledger.iter().for_each(|event| state.apply(event));
        let placed = state.tasks.iter().filter(|task| matches!(task.status, Status::Placed { .. }));
        let mut client = Self {
            tries: placed.map(|task| (task.plan.number, 1)).collect(),
            state,
            kept: ledger.len(),
            ledger,
            now,
            out: Vec::new(),
            patience: Patience::default(),
            leases: !detach,
            agents: vec![Agent::default(); fleet.hosts.len()],
            creating: BTreeSet::new(),
            held: BTreeMap::new(),
            results: BTreeMap::new(),
            mustered: false,
            muster_at: None,
            due_at: None,
            beat_at: now + leases::every(fleet.grace).as_secs_f64(),
            room_at: None,
            acknowledge_at: None,
            detach_at: None,
            cancel_at: None,
        };
        let kind = if client.state.tasks.is_empty() {
            RunEventKind::RunStarted { run: "run-1".into(), jobs, detach, tasks: tasks.to_vec(), fleet }
        } else {
            RunEventKind::RunResumed { jobs, detach, fleet }
        };
        client.emit(kind);
        client
    }

    pub fn is_over(&self) -> bool {
        schedule::is_over(&self.state, self.patience)
    }

    pub fn emit(&mut self, kind: RunEventKind) {
        let event = RunEvent { at: self.now, kind };
        self.state.apply(&event);
        if !event.kind.is_passing() {
            self.ledger.push(event);
        }
    }

    fn emit_all(&mut self, kinds: Vec<RunEventKind>) {
        kinds.into_iter().for_each(|kind| self.emit(kind));
    }

    /// When it does something by itself.
    pub fn wake_at(&self) -> f64 {
        [self.muster_at, self.due_at, self.room_at, self.acknowledge_at, self.detach_at, self.cancel_at]
            .into_iter()
            .flatten()
            .fold(self.beat_at, f64::min)
    }

    /// It is that time.
    pub fn wake(&mut self) {
        let now = self.now;
        let is = |at: Option<f64>| at.is_some_and(|at| at <= now);
        if is(self.muster_at) {
            (self.muster_at, self.mustered) = (None, true);
        }
        if is(self.room_at) {
            self.room_at = None;
            (0..self.state.hosts.len()).for_each(|host| self.room(host));
        }
        if is(self.acknowledge_at) {
            self.acknowledge();
        }
        if is(self.detach_at) {
            (self.detach_at, self.patience.detach_over) = (None, true);
        }
        if is(self.cancel_at) {
            (self.cancel_at, self.patience.cancel_over) = (None, true);
        }
        if self.beat_at <= now {
            self.beat();
        }
        if is(self.due_at) {
            self.due_at = None;
        }
    }

    pub fn advance(&mut self) {
        for _ in 0..AT_ONCE {
            let due = schedule::due(&self.state, self.now);
            if due.is_empty() {
                break;
            }
            self.emit_all(due);
        }
        self.place();
        self.due_at = schedule::wake_at(&self.state, self.now).map(|at| at.max(self.now));
    }

    fn place(&mut self) {
        let mut round = if self.muster() { Round::sharing(&self.state) } else { Round::default() };
        for _ in 0..AT_ONCE {
            let Some(next) = schedule::place(&self.state, self.now, &mut round) else { break };
            self.tries.remove(&next.task);
            let host = &self.state.hosts[next.host];
            assert!(self.state.detach || host.tasks.len() < host.slots() as usize, "no slot for {next:?}");
            assert_eq!(host.link, Link::Up, "{next:?}");
            crate::checks::nearest(&self.state, next.task, next.host);
            let host = host.name.clone();
            self.emit(RunEventKind::TaskPlaced { task: next.task, host, attempt: next.attempt });
            self.ask(next.task, next.host, next.attempt);
        }
    }

    fn muster(&mut self) -> bool {
        if self.mustered || self.state.unheard() == 0 {
            return false;
        }
        if self.state.up() > 0 && self.muster_at.is_none() {
            self.muster_at = Some(self.now + MUSTER);
        }
        true
    }

    fn ask(&mut self, task: usize, host: usize, attempt: u32) {
        if !self.agents.get(host).is_some_and(|agent| agent.connected) {
            return;
        }
        *self.tries.entry(task).or_default() += 1;
        self.creating.insert(task);
        let lease = self.lease(host);
        self.out.push(Out::Ask { host, ask: Ask::Create { task, attempt, id: 0, lease }, kept: true });
    }

    pub fn lease(&self, host: usize) -> Option<Lease> {
        let (seconds, as_of) = (leases::seconds(self.state.grace), self.agents[host].clock);
        self.leases.then_some(Lease { seconds, as_of })
    }

    fn ask_again(&mut self, host: usize) {
        let lost: Vec<(usize, u32)> = schedule::to_ask_again(&self.state, host, &self.creating)
            .map(|task| (task.plan.number, task.attempt))
            .collect();
        if self.state.stop.is_none() {
            lost.into_iter().for_each(|(task, attempt)| self.ask(task, host, attempt));
        }
    }

    /// Something arrives.
    pub fn hear(&mut self, host: usize, say: Say) {
        match say {
            Say::Lost => {
                self.agents[host].connected = false;
                self.lose(host, "the connection is gone");
            }
            Say::Connected { renumbered, clock } => {
                let now = self.now;
                let agent = &mut self.agents[host];
                (agent.connected, agent.asked, agent.heard, agent.clock) = (true, false, now, clock);
                self.connected(host, renumbered);
            }
            Say::Snapshot(snapshot) => {
                self.heard(host);
                let name = self.state.hosts[host].name.clone();
                let (events, missing) = translate::snapshot(&self.state, &name, &snapshot);
                for (task, session) in missing {
                    self.send(host, Ask::Look { task, session });
                }
                self.judge_all(events);
            }
            Say::Event(event) => {
                self.heard(host);
                self.event(host, event);
            }
            Say::Beaten { clock } => {
                self.heard(host);
                (self.agents[host].asked, self.agents[host].clock) = (false, clock);
            }
            Say::Probed { repos } => {
                self.heard(host);
                if !self.state.hosts[host].repos.iter().eq(&repos) {
                    let host = self.state.hosts[host].name.clone();
                    self.emit(RunEventKind::HostHas { host, repos });
                }
            }
            Say::Fenced { task, ended } => {
                let host = self.state.hosts[host].name.clone();
                self.emit(RunEventKind::HostFenced { host, task, ended });
            }
            Say::Looked { task, session, info } => self.looked(task, &session, info),
            Say::Created { task, attempt, result, .. } => {
                self.creating.remove(&task);
                self.created(task, host, attempt, result);
                if self.creating.is_empty() {
                    self.held.clear();
                }
            }
        }
    }

    fn heard(&mut self, host: usize) {
        self.agents[host].heard = self.now;
    }

    fn send(&mut self, host: usize, ask: Ask) {
        if self.agents.get(host).is_some_and(|agent| agent.connected) {
            self.out.push(Out::Ask { host, ask, kept: false });
        }
    }

    fn connected(&mut self, host: usize, renumbered: bool) {
        let again = std::mem::replace(&mut self.agents[host].known, true);
        let name = self.state.hosts[host].name.clone();
        self.emit(RunEventKind::HostConnected { host: name, agent: "1".into(), again, slots: None });
        self.fence(host);
        self.send(host, Ask::Probe);
        if !again || renumbered {
            let sessions: Vec<(usize, SessionId)> = self
                .state
                .on_host(host)
                .filter_map(|task| Some((task.plan.number, task.status.session()?.clone())))
                .collect();
            for (task, session) in sessions {
                self.send(host, Ask::Look { task, session });
            }
        }
        self.ask_again(host);
    }

    fn fence(&mut self, host: usize) {
        let stale: Vec<usize> = self.state.hosts[host].stale.iter().copied().collect();
        for number in stale {
            if let Some(task) = self.state.task(number) {
                self.send(host, Ask::Fence { task: number, below: leases::below(task) });
            }
        }
    }

    fn beat(&mut self) {
        self.beat_at = self.now + leases::every(self.state.grace).as_secs_f64();
        for host in 0..self.agents.len() {
            if self.state.hosts[host].link != Link::Up || !self.agents[host].connected {
                continue;
            }
            if std::mem::replace(&mut self.agents[host].asked, true) {
                self.lose(host, "it has not answered");
                self.agents[host].connected = false;
                self.out.push(Out::Close { host });
                continue;
            }
            let lease = self.lease(host);
            self.send(host, Ask::Beat { lease });
        }
    }

    fn lose(&mut self, host: usize, error: &str) {
        let known = &self.state.hosts[host];
        if matches!(known.link, Link::Lost { .. } | Link::GivenUp { .. }) {
            return;
        }
        let name = known.name.clone();
        let heard = Some(self.agents[host].heard).filter(|at| *at > 0.0);
        self.emit(RunEventKind::HostLost { host: name, error: error.into(), heard });
    }

    fn event(&mut self, host: usize, event: Event) {
        if matches!(event.kind, EventKind::SessionClosed { .. } | EventKind::SessionCompleted { .. }) {
            self.room(host);
        }
        if let Some(id) = event.kind.session_id().filter(|id| self.state.attempt_of(id).is_none()).cloned() {
            if !self.creating.is_empty() {
                self.held.entry(id).or_default().push((host, event));
            }
            return;
        }
        let name = self.state.hosts[host].name.clone();
        let events = translate::event(&self.state, &name, &event);
        self.judge_all(events);
    }

    fn judge_all(&mut self, events: Vec<RunEventKind>) {
        for kind in events {
            let RunEventKind::TaskFinished { task, outcome } = kind else {
                self.emit(kind);
                continue;
            };
            let Some(known) = self.state.task(task) else { continue };
            let host = known.status.host().and_then(|name| self.state.host_index(name));
            let session = known.status.session().cloned();
            let follows = verdict::ended(&self.state, known, outcome, self.now);
            self.emit_all(follows);
            if let (Some(host), Some(session)) = (host, session) {
                self.results.entry(host).or_default().push(session);
                self.acknowledge_at.get_or_insert(self.now + ACKNOWLEDGE_AFTER);
            }
        }
    }

    fn acknowledge(&mut self) {
        self.acknowledge_at = None;
        for (host, sessions) in std::mem::take(&mut self.results) {
            if self.agents.get(host).is_some_and(|agent| agent.connected) {
                self.out.push(Out::Ask { host, ask: Ask::Acknowledge { sessions }, kept: true });
            }
        }
    }

    fn created(
        &mut self,
        task: usize,
        host: usize,
        attempt: u32,
        result: Result<(SessionId, bool), Refusal>,
    ) {
        let current = self
            .state
            .task(task)
            .is_some_and(|known| known.attempt == attempt && matches!(known.status, Status::Placed { .. }));
        if !current {
            return;
        }
        match result {
            Ok((session, existing)) => self.started(task, host, session, existing),
            Err(Refusal::Lost) if self.tries.get(&task) < Some(&TRIES) => self.ask_again(host),
            Err(Refusal::Refused(ErrorCode::Limit, _)) if !self.state.detach => self.full(task, host),
            Err(refusal) => {
                let (code, error) = match refusal {
                    Refusal::Lost => (None, "no answer"),
                    Refusal::Refused(code, error) => (Some(code), error),
                };
                let Some(known) = self.state.task(task) else { return };
                let name = self.state.hosts[host].name.clone();
                let code = (code, self.tries.get(&task) > Some(&1));
                let follows = verdict::refused(&self.state, known, &name, code, error.into(), self.now);
                self.emit_all(follows);
                if self.state.hosts[host].link == Link::Up {
                    self.fence(host);
                }
            }
        }
    }

    fn started(&mut self, task: usize, host: usize, session: SessionId, existing: bool) {
        self.emit(RunEventKind::TaskStarted {
            task,
            session_id: session.clone(),
            existing,
            warnings: Vec::new(),
            base: None,
        });
        if existing {
            self.send(host, Ask::Look { task, session: session.clone() });
        }
        if self.state.stop == Some(Stop::Cancel) {
            self.send(host, Ask::Kill { session: session.clone() });
        }
        for (host, event) in self.held.remove(&session).unwrap_or_default() {
            self.event(host, event);
        }
    }

    fn full(&mut self, task: usize, host: usize) {
        let fence = self.tries.get(&task) > Some(&1);
        self.tries.remove(&task);
        self.emit(RunEventKind::TaskQueued { task, fence });
        if fence {
            self.fence(host);
        }
        self.room_at.get_or_insert(self.now + ROOM_AFTER);
        let known = &self.state.hosts[host];
        if !known.full {
            let (host, again) = (known.name.clone(), known.was_full);
            self.emit(RunEventKind::HostFull { host, error: "full".into(), again });
        }
    }

    fn room(&mut self, host: usize) {
        let known = &self.state.hosts[host];
        if known.full {
            let host = known.name.clone();
            self.emit(RunEventKind::HostRoom { host });
        }
    }

    fn looked(&mut self, task: usize, session: &SessionId, info: Option<Box<cm_protocol::SessionInfo>>) {
        let Some(Status::Live(live)) = self.state.task(task).map(|task| &task.status) else { return };
        let events = match info {
            Some(info) if info.session_id == live.session => {
                translate::info_events(task, live, &info, self.now)
            }
            None if *session == live.session => vec![translate::forgotten(task, live, self.now)],
            _ => Vec::new(),
        };
        self.judge_all(events);
    }

    /// The operator stops the run.
    pub fn stop(&mut self, stop: Stop) {
        self.emit(RunEventKind::StopRequested { stop });
        if stop == Stop::Detach {
            self.detach_at = Some(self.now + DETACH_GRACE);
            return;
        }
        (self.detach_at, self.cancel_at) = (None, Some(self.now + CANCEL_GRACE));
        let live: Vec<(String, SessionId)> =
            self.state.live().map(|(_, live)| (live.host.clone(), live.session.clone())).collect();
        for (host, session) in live {
            if let Some(host) = self.state.host_index(&host) {
                self.send(host, Ask::Kill { session });
            }
        }
    }

    /// The last words of a run that is over.
    pub fn finish(&mut self) {
        self.acknowledge();
        for host in 0..self.agents.len() {
            if self.leases && self.state.on_host(host).next().is_some() {
                self.send(host, Ask::GiveBack { as_of: self.agents[host].clock });
            }
        }
        self.emit(RunEventKind::RunFinished {
            run: "run-1".into(),
            summary: self.state.summary(),
            seconds: self.now - self.state.started_at,
            exit: self.state.exit().code(),
        });
    }
}

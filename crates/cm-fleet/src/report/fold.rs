//! Where a run stands: the fold of its events, and nothing but. PURE.
//!
//! Everything that is shown, scheduled and resumed is read from here. Beside the tasks and hosts themselves it
//! keeps what the scheduler looks things up by, so that a decision costs the same with ten hosts and ten thousand.

use super::event::{FleetPlan, RunEvent, RunEventKind, Stop, Summary, TaskPlan};
mod asked;
mod group;
mod host;
mod index;
mod task;

pub use group::{Group, Kind, Rank};
pub use host::{Aside, DEFAULT_SLOTS, Host, Link, Unfit};
pub use index::{Alarm, millis};
pub use task::{Late, Live, Status, Task, Wait};

use index::Index;

/// A run. Made by [`RunState::apply`] alone; every report is drawn from it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct RunState {
    /// The run's id.
    pub run: String,
    /// When it began, Unix seconds.
    pub started_at: f64,
    /// How many tasks run at once at most.
    pub jobs: usize,
    /// Whether the run ends when every task has its session.
    pub detach: bool,
    /// The tasks; the one numbered `n` stands at `n - 1`.
    pub tasks: Vec<Task>,
    /// The hosts, in the order they were named.
    pub hosts: Vec<Host>,
    /// Seconds after which a host that is not heard is given up.
    pub grace: f64,
    /// Attempts a task has when hosts fail it.
    pub attempts: u32,
    /// How the operator wants to stop.
    pub stop: Option<Stop>,
    /// How it ended; nothing follows.
    pub finished: Option<Finished>,
    index: Index,
}

/// A run's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Finished {
    /// What became of the tasks.
    pub summary: Summary,
    /// How long it took, seconds.
    pub seconds: f64,
    /// The command's exit code.
    pub exit: u8,
}

impl RunState {
    /// The state after one more event. Events about unknown tasks, or for a task in a state where they
    /// make no sense (a late repeat), change nothing.
    pub fn apply(&mut self, event: &RunEvent) {
        match &event.kind {
            RunEventKind::RunStarted { run, jobs, detach, tasks, fleet } => {
                *self = Self {
                    run: run.clone(),
                    started_at: event.at,
                    jobs: *jobs,
                    detach: *detach,
                    ..Self::default()
                };
                self.take_tasks(tasks);
                self.take_fleet(event.at, fleet);
            }
            RunEventKind::RunResumed { jobs, detach, fleet } => {
                (self.jobs, self.detach, self.stop, self.finished) = (*jobs, *detach, None, None);
                self.take_fleet(event.at, fleet);
            }
            RunEventKind::TasksReopened { tasks } => tasks.iter().for_each(|task| self.reopen(*task)),
            RunEventKind::StopRequested { stop } => self.stop = self.stop.max(Some(*stop)),
            RunEventKind::RunFinished { summary, seconds, exit, .. } => {
                self.finished = Some(Finished { summary: *summary, seconds: *seconds, exit: *exit });
            }
            RunEventKind::HostFenced { host, task, .. } => self.fenced(host, *task),
            RunEventKind::HostNotice { .. } | RunEventKind::CancelFailed { .. } => {}
            kind => match (kind.host_changed(), kind.task()) {
                (Some(host), None) => self.change_host(event.at, host, kind),
                (_, Some(task)) => self.change_task(event.at, task, kind),
                (None, None) => {}
            },
        }
    }

    fn take_tasks(&mut self, plans: &[TaskPlan]) {
        self.tasks = plans.iter().map(Task::new).collect();
        for (index, task) in self.tasks.iter().enumerate() {
            for before in &task.plan.after {
                self.index.dependents.entry(*before).or_default().push(index + 1);
            }
            self.index.count(&task.status);
        }
    }

    /// Takes other hosts than before. Tasks on hosts that are not among them are moved when these are given up.
    fn take_fleet(&mut self, at: f64, fleet: &FleetPlan) {
        let before = std::mem::take(&mut self.hosts);
        (self.grace, self.attempts) = (fleet.grace, fleet.attempts.max(1));
        self.index.forget_hosts();
        for plan in &fleet.hosts {
            if self.host_index(&plan.name).is_none() {
                self.add_host(Host::new(plan.name.clone(), plan.slots, at));
            }
        }
        for host in before {
            if let Some(index) = self.host_index(&host.name) {
                self.hosts[index].stale = host.stale;
            } else if !(host.tasks.is_empty() && host.stale.is_empty()) {
                // One that holds nothing of this run is of no interest any more.
                let known = Host::new(host.name, host.slots, at);
                self.add_host(Host { link: Link::gone(at), stale: host.stale, ..known });
            }
        }
        for index in 0..self.tasks.len() {
            if let Some(host) = self.tasks[index].status.holder().and_then(|name| self.host_index(name)) {
                self.hosts[host].tasks.insert(index + 1);
            }
        }
        self.index.regroup(fleet.pools.clone(), &self.tasks);
        (0..self.hosts.len()).for_each(|host| self.file_host(host, true));
    }

    /// Adds a host, which is yet to be filed.
    fn add_host(&mut self, host: Host) -> usize {
        let index = self.hosts.len();
        self.index.add_host(host.name.clone());
        self.hosts.push(host);
        index
    }

    /// A host's place in [`Self::hosts`].
    pub fn host_index(&self, name: &str) -> Option<usize> {
        self.index.names.get(name).copied()
    }

    /// A host by its name.
    pub fn host(&self, name: &str) -> Option<&Host> {
        self.hosts.get(self.host_index(name)?)
    }

    fn known_host(&mut self, at: f64, name: &str) -> usize {
        match self.host_index(name) {
            Some(index) => index,
            None => {
                let index = self.add_host(Host::new(name.to_owned(), None, at));
                self.file_host(index, true);
                index
            }
        }
    }

    fn change_host(&mut self, at: f64, name: &str, kind: &RunEventKind) {
        let index = self.known_host(at, name);
        let before = self.hosts[index].is_given_up();
        self.file_host(index, false);
        self.hosts[index].apply(at, kind);
        self.file_host(index, true);
        let after = self.hosts[index].is_given_up();
        if before != after {
            self.hosts[index].tasks.iter().for_each(|task| self.index.strand(*task, after));
        }
    }

    /// Puts a host where it is looked up, or takes it away from there before it changes.
    fn file_host(&mut self, index: usize, add: bool) {
        self.index.file_host(index, &self.hosts[index], self.detach, self.grace, add);
    }

    fn fenced(&mut self, host: &str, number: usize) {
        let Some(index) = self.host_index(host) else { return };
        self.hosts[index].stale.remove(&number);
        let Some(task) = number.checked_sub(1).filter(|index| *index < self.tasks.len()) else { return };
        self.leave(task);
        self.tasks[task].loose.remove(host);
        self.enter(task);
    }

    fn change_task(&mut self, at: f64, number: usize, kind: &RunEventKind) {
        let Some(index) = number.checked_sub(1).filter(|index| *index < self.tasks.len()) else { return };
        if kind.keeps_place() {
            self.tasks[index].apply(at, kind);
            return;
        }
        let open = matches!(self.tasks[index].status, Status::Queued(_) | Status::Placed { .. });
        if let RunEventKind::TaskPlaced { host, .. } = kind
            && open
        {
            self.known_host(at, host);
        }
        let before = self.tasks[index].status.host().and_then(|name| self.host_index(name));
        let began = self.tasks[index].status.since();
        self.leave(index);
        let changed = self.tasks[index].apply(at, kind);
        self.enter(index);
        if !changed {
            return;
        }
        if let RunEventKind::TaskStarted { session_id, .. } = kind {
            self.index.sessions.insert(session_id.clone(), (number, self.tasks[index].attempt));
        }
        if let Some(host) = before {
            self.index.file_room(host, &self.hosts[host], self.detach, false);
            self.hosts[host].hear_of_task(at, &self.tasks[index].plan, began, kind);
            self.index.file_room(host, &self.hosts[host], self.detach, true);
        }
        if self.tasks[index].status.is_over() {
            self.release(number);
        }
    }

    /// A task has ended: those that wait for it go on, or never will.
    fn release(&mut self, number: usize) {
        let well = self.tasks[number - 1].status.is_done();
        for next in self.index.dependents.get(&number).cloned().unwrap_or_default() {
            let Some(index) = next.checked_sub(1).filter(|index| *index < self.tasks.len()) else { continue };
            let Status::Queued(Wait::Others(left)) = self.tasks[index].status else { continue };
            if !well {
                self.index.doomed.insert(next, number);
                continue;
            }
            self.leave(index);
            let wait = if left > 1 { Wait::Others(left - 1) } else { Wait::Turn };
            self.tasks[index].status = Status::Queued(wait);
            self.enter(index);
        }
    }

    fn reopen(&mut self, number: usize) {
        let Some(index) = number.checked_sub(1).filter(|index| *index < self.tasks.len()) else { return };
        let status = &self.tasks[index].status;
        if !status.is_over() || status.is_done() {
            return;
        }
        self.leave(index);
        let done = |before: &&usize| self.task(**before).is_some_and(|task| task.status.is_done());
        let left = self.tasks[index].plan.after.iter().filter(|before| !done(before)).count();
        self.tasks[index].reopen(left);
        self.enter(index);
        self.doom(number);
        for next in self.index.dependents.get(&number).cloned().unwrap_or_default() {
            self.doom(next);
        }
    }

    /// Notes which task keeps this one from ever being run, if any does.
    fn doom(&mut self, number: usize) {
        self.index.doomed.remove(&number);
        let Some(task) = self.task(number) else { return };
        if !matches!(task.status, Status::Queued(Wait::Others(_))) {
            return;
        }
        let ended_badly = |before: &&usize| {
            self.task(**before).is_some_and(|task| task.status.is_over() && !task.status.is_done())
        };
        if let Some(before) = task.plan.after.iter().find(ended_badly).copied() {
            self.index.doomed.insert(number, before);
        }
    }

    /// Takes a task out of what it is counted and looked up by, before it changes.
    fn leave(&mut self, index: usize) {
        let task = &self.tasks[index];
        self.index.uncount(&task.status);
        self.index.dequeue(index, task);
        self.hold(index, false);
    }

    /// Puts it back.
    fn enter(&mut self, index: usize) {
        let task = &self.tasks[index];
        self.index.count(&task.status);
        self.index.enqueue(index, task);
        if !matches!(task.status, Status::Queued(Wait::Others(_))) {
            self.index.doomed.remove(&(index + 1));
        }
        self.hold(index, true);
    }

    /// Has its host hold a task, or not any more.
    fn hold(&mut self, index: usize, is: bool) {
        let holder = self.tasks[index].status.holder();
        let Some(at) = holder.and_then(|name| self.host_index(name)) else { return };
        let host = &mut self.hosts[at];
        self.index.file_room(at, host, self.detach, false);
        if is {
            host.tasks.insert(index + 1);
        } else {
            host.tasks.remove(&(index + 1));
        }
        self.index.file_room(at, host, self.detach, true);
        if host.is_given_up() {
            self.index.strand(index + 1, is);
        }
    }
}

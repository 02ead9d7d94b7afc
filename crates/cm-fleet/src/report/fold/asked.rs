//! What is asked of a run's state: by views, the scheduler and the loop. PURE.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cm_protocol::{SessionId, State};

use super::RunState;
use super::group::Group;
use super::host::Link;
use super::index::Alarm;
use super::task::{Live, Status, Task};
use crate::exit::Exit;
use crate::report::event::{Summary, TaskPlan};

impl RunState {
    /// The task with this number.
    pub fn task(&self, number: usize) -> Option<&Task> {
        self.tasks.get(number.checked_sub(1)?)
    }

    /// The number of the task this session belongs to, if it is its latest attempt.
    pub fn task_of(&self, session: &SessionId) -> Option<usize> {
        let (task, attempt) = self.attempt_of(session)?;
        self.task(task).filter(|known| known.attempt == attempt).map(|_| task)
    }

    /// The task and attempt this session belongs to.
    pub fn attempt_of(&self, session: &SessionId) -> Option<(usize, u32)> {
        self.index.sessions.get(session).copied()
    }

    /// Tasks that have a session which has not ended.
    pub fn live(&self) -> impl Iterator<Item = (&TaskPlan, &Live)> {
        self.tasks.iter().filter_map(|t| match &t.status {
            Status::Live(live) => Some((&t.plan, live)),
            _ => None,
        })
    }

    /// The tasks a host holds: those it is asked for, and those that run there.
    pub fn on_host(&self, host: usize) -> impl Iterator<Item = &Task> {
        let numbers = self.hosts.get(host).into_iter().flat_map(|host| &host.tasks);
        numbers.filter_map(|number| self.task(*number))
    }

    /// What has become of the tasks so far.
    pub fn summary(&self) -> Summary {
        self.index.summary
    }

    /// Tasks whose host was asked and has not answered.
    pub fn placed(&self) -> usize {
        self.index.placed
    }

    /// Tasks that never can be run, each with the one they were to follow that did not end well.
    pub fn doomed(&self) -> &BTreeMap<usize, usize> {
        &self.index.doomed
    }

    /// Tasks that can stand in for each other, in the order of their first.
    pub fn groups(&self) -> &[Group] {
        &self.index.groups
    }

    /// The group of a task.
    pub fn group_of(&self, task: &Task) -> usize {
        let of = task.plan.number.checked_sub(1).and_then(|index| self.index.group_of.get(index));
        of.copied().unwrap_or_default()
    }

    /// The first in line of each group that some host has room for, with the group.
    pub fn heads(&self) -> &BTreeSet<(usize, usize)> {
        &self.index.heads
    }

    /// The earliest to be tried again (milliseconds of Unix time, number) of each group that some host has room
    /// for, with the group.
    pub fn retries(&self) -> &BTreeSet<((u64, usize), usize)> {
        &self.index.retries
    }

    /// Groups with tasks on hosts that are given up, for which there are other hosts.
    pub fn movable(&self) -> &BTreeSet<usize> {
        &self.index.movable
    }

    /// Groups with tasks that wait for a host that may run them.
    pub fn hopeful(&self) -> &BTreeSet<usize> {
        &self.index.hopeful
    }

    /// Groups with tasks that wait for nothing: no host may ever run them.
    pub fn hopeless(&self) -> &BTreeSet<usize> {
        &self.index.hopeless
    }

    /// How many hosts may run tasks of this group, now or later.
    pub fn able(&self, group: usize) -> usize {
        self.index.able(group)
    }

    /// How many tasks are on hosts that are given up.
    pub fn stranded(&self) -> usize {
        self.index.stranded
    }

    /// How many hosts answer.
    pub fn up(&self) -> usize {
        self.index.up
    }

    /// How many hosts nobody has heard of yet.
    pub fn unheard(&self) -> usize {
        self.index.unheard
    }

    /// Tasks that wait for a time, the earliest first, by milliseconds of Unix time.
    pub fn delayed(&self) -> &BTreeSet<(u64, usize)> {
        &self.index.delayed
    }

    /// What is due for hosts, the earliest first, by milliseconds of Unix time.
    pub fn alarms(&self) -> &BTreeSet<(u64, Alarm)> {
        &self.index.alarms
    }

    /// Hosts that are given up.
    pub fn given_up(&self) -> &BTreeSet<usize> {
        &self.index.given_up
    }

    /// Whether a host is in a pool.
    pub fn is_in_pool(&self, pool: usize, host: usize) -> bool {
        self.index.is_in_pool(pool, host)
    }

    /// The exit code that follows from where things stand.
    pub fn exit(&self) -> Exit {
        let sum = self.summary();
        let left = sum.running + sum.queued;
        if self.stop.is_some() {
            // Ctrl-C that came after the last task had ended changed nothing.
            return match (left, sum.bad()) {
                (0, 0) => Exit::Done,
                _ => Exit::Interrupted,
            };
        }
        if left > 0 && self.index.up == 0 {
            return Exit::Unreachable;
        }
        match (sum.bad(), left) {
            (0, 0) => Exit::Done,
            (0, _) if self.detach => Exit::Done,
            _ => Exit::Failed,
        }
    }

    /// How many hosts there are, by name: for tests and reports.
    pub fn links(&self) -> HashMap<&str, &Link> {
        self.hosts.iter().map(|host| (host.name.as_str(), &host.link)).collect()
    }

    /// The state of a task's session, where it has one that lives.
    pub fn live_state(&self, number: usize) -> Option<State> {
        match &self.task(number)?.status {
            Status::Live(live) => Some(live.state),
            _ => None,
        }
    }
}

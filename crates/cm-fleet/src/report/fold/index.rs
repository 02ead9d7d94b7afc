//! What the scheduler looks things up by; always in step with the tasks and hosts. PURE.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use cm_protocol::SessionId;

use super::group::{Group, Kind, Rank};
use super::host::{Host, Link};
use super::task::{Status, Task, Wait};
use crate::report::event::Summary;

/// The pool of all hosts.
pub(super) const ALL: usize = usize::MAX;

/// Something that is due for a host at a time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Alarm {
    /// It was not heard for the whole grace.
    Silent(usize),
    /// It has been set aside long enough.
    Aside(usize),
    /// A tool's quota there is fresh again.
    Fit(usize, String),
}

/// Milliseconds of a time in Unix seconds: what can be sorted by.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "times are positive and far below 2^53"
)]
pub fn millis(at: f64) -> u64 {
    (at.max(0.0) * 1000.0).ceil() as u64
}

/// See the module. Groups are known by their place in `groups`.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Index {
    pools: Vec<Vec<usize>>,
    hosts: usize,
    pub(super) names: HashMap<String, usize>,
    pub(super) sessions: HashMap<SessionId, (usize, u32)>,
    pub(super) dependents: HashMap<usize, Vec<usize>>,
    pub(super) doomed: BTreeMap<usize, usize>,
    pub(super) summary: Summary,
    pub(super) placed: usize,
    pub(super) groups: Vec<Group>,
    /// The group of each task, by its place among the tasks.
    pub(super) group_of: Vec<usize>,
    /// Groups any host is for.
    open: Vec<usize>,
    /// Other groups, by the hosts they are for.
    closed: HashMap<usize, Vec<usize>>,
    /// The first in line of each group that some host has room for.
    pub(super) heads: BTreeSet<(usize, usize)>,
    /// The earliest of those to be tried again of each group that some host has room for.
    pub(super) retries: BTreeSet<((u64, usize), usize)>,
    /// Groups with tasks on hosts that are given up, for which there are other hosts.
    pub(super) movable: BTreeSet<usize>,
    /// Groups with tasks that wait for a host that may run them.
    pub(super) hopeful: BTreeSet<usize>,
    /// Groups with tasks that no host may ever run.
    pub(super) hopeless: BTreeSet<usize>,
    pub(super) delayed: BTreeSet<(u64, usize)>,
    pub(super) alarms: BTreeSet<(u64, Alarm)>,
    pub(super) given_up: BTreeSet<usize>,
    /// Tasks on hosts that are given up.
    pub(super) stranded: usize,
    pub(super) up: usize,
    pub(super) unheard: usize,
}

impl Index {
    /// Forgets all hosts.
    pub(super) fn forget_hosts(&mut self) {
        self.names.clear();
        self.alarms.clear();
        self.given_up.clear();
        (self.hosts, self.stranded, self.up, self.unheard) = (0, 0, 0, 0);
    }

    /// Takes other pools: puts all tasks in groups anew. The hosts are known by name, and not settled yet.
    pub(super) fn regroup(&mut self, mut pools: Vec<Vec<usize>>, tasks: &[Task]) {
        for pool in &mut pools {
            pool.sort_unstable();
            pool.dedup();
        }
        self.pools = pools;
        self.groups.clear();
        self.open.clear();
        self.closed.clear();
        [&mut self.movable, &mut self.hopeful, &mut self.hopeless].into_iter().for_each(BTreeSet::clear);
        self.heads.clear();
        self.retries.clear();
        self.delayed.clear();
        let mut known: HashMap<Kind, usize> = HashMap::new();
        self.group_of = tasks
            .iter()
            .map(|task| {
                let kind = Kind { pool: self.canonical(task.plan.pool), tool: task.plan.tool.clone() };
                *known.entry(kind).or_insert_with_key(|kind| self.add_group(kind.clone()))
            })
            .collect();
        for (of, task) in self.group_of.iter().zip(tasks) {
            if let Some(repo) = &task.plan.repo
                && !self.groups[*of].near.contains_key(repo)
            {
                self.groups[*of].near.insert(repo.clone(), BTreeSet::new());
            }
        }
        (0..tasks.len()).for_each(|index| self.enqueue(index, &tasks[index]));
    }

    fn add_group(&mut self, kind: Kind) -> usize {
        let index = self.groups.len();
        match self.pools.get(kind.pool) {
            None => self.open.push(index),
            Some(hosts) => {
                for host in hosts {
                    self.closed.entry(*host).or_default().push(index);
                }
            }
        }
        self.groups.push(Group::new(kind));
        index
    }

    fn canonical(&self, pool: usize) -> usize {
        if self.pools.get(pool).is_some_and(|hosts| !hosts.is_empty()) { pool } else { ALL }
    }

    pub(super) fn is_in_pool(&self, pool: usize, host: usize) -> bool {
        match self.pools.get(self.canonical(pool)) {
            None => true,
            Some(hosts) => hosts.binary_search(&host).is_ok(),
        }
    }

    pub(super) fn add_host(&mut self, name: String) {
        self.names.insert(name, self.hosts);
        self.hosts += 1;
        (0..self.open.len()).for_each(|at| self.refresh(self.open[at]));
    }

    /// How many hosts may run tasks of this group, now or later.
    pub(super) fn able(&self, group: usize) -> usize {
        let group = &self.groups[group];
        self.pools.get(group.kind.pool).map_or(self.hosts, Vec::len).saturating_sub(group.unable)
    }

    /// Puts a group where it belongs, after it or what it depends on has changed.
    fn refresh(&mut self, index: usize) {
        let hope = self.able(index) > 0;
        let group = &mut self.groups[index];
        let room = !group.room.is_empty();
        let head = group.ready.first().copied().filter(|_| room);
        if head != group.head {
            if let Some(old) = std::mem::replace(&mut group.head, head) {
                self.heads.remove(&(old, index));
            }
            self.heads.extend(head.map(|number| (number, index)));
        }
        let retry = group.retry.first().copied().filter(|_| room);
        if retry != group.first {
            if let Some(old) = std::mem::replace(&mut group.first, retry) {
                self.retries.remove(&(old, index));
            }
            self.retries.extend(retry.map(|first| (first, index)));
        }
        let waits = !(group.ready.is_empty() && group.retry.is_empty());
        let strands = !group.stranded.is_empty();
        put(&mut self.movable, index, strands && hope);
        put(&mut self.hopeful, index, waits && hope);
        put(&mut self.hopeless, index, waits && !hope);
    }

    fn bucket(&mut self, status: &Status) -> &mut usize {
        match status {
            Status::Queued(_) => &mut self.summary.queued,
            Status::Placed { .. } | Status::Live(_) => &mut self.summary.running,
            Status::Ended { .. } if status.is_done() => &mut self.summary.done,
            Status::Ended { .. } | Status::Refused { .. } => &mut self.summary.failed,
            Status::Parked { .. } => &mut self.summary.parked,
            Status::Skipped { .. } => &mut self.summary.skipped,
        }
    }

    pub(super) fn count(&mut self, status: &Status) {
        *self.bucket(status) += 1;
        self.placed += usize::from(matches!(status, Status::Placed { .. }));
    }

    pub(super) fn uncount(&mut self, status: &Status) {
        let bucket = self.bucket(status);
        *bucket = bucket.saturating_sub(1);
        let placed = usize::from(matches!(status, Status::Placed { .. }));
        self.placed = self.placed.saturating_sub(placed);
    }

    pub(super) fn enqueue(&mut self, index: usize, task: &Task) {
        let (number, of) = (task.plan.number, self.group_of[index]);
        match &task.status {
            Status::Queued(Wait::Turn) if !task.is_choosy() => _ = self.groups[of].ready.insert(number),
            // It must not keep those behind it from hosts it cannot go to.
            Status::Queued(Wait::Turn) => _ = self.groups[of].retry.insert((0, number)),
            Status::Queued(Wait::Until { at, .. }) => {
                self.groups[of].retry.insert((millis(*at), number));
                self.delayed.insert((millis(*at), number));
            }
            _ => return,
        }
        self.refresh(of);
    }

    pub(super) fn dequeue(&mut self, index: usize, task: &Task) {
        let (number, of) = (task.plan.number, self.group_of[index]);
        match &task.status {
            Status::Queued(Wait::Turn) => {
                self.groups[of].ready.remove(&number);
                self.groups[of].retry.remove(&(0, number));
            }
            Status::Queued(Wait::Until { at, .. }) => {
                self.groups[of].retry.remove(&(millis(*at), number));
                self.delayed.remove(&(millis(*at), number));
            }
            _ => return,
        }
        self.refresh(of);
    }

    /// A task is held by a host that is given up, or is not any more.
    pub(super) fn strand(&mut self, number: usize, is: bool) {
        let Some(of) = number.checked_sub(1).and_then(|index| self.group_of.get(index).copied()) else {
            return;
        };
        let stranded = &mut self.groups[of].stranded;
        if is && stranded.insert(number) {
            self.stranded += 1;
        } else if !is && stranded.remove(&number) {
            self.stranded = self.stranded.saturating_sub(1);
        }
        self.refresh(of);
    }

    /// Puts a host where it belongs (`add`), or takes it away from there before it changes.
    pub(super) fn file_host(&mut self, index: usize, host: &Host, detach: bool, grace: f64, add: bool) {
        for alarm in alarms(index, host, grace) {
            if add {
                self.alarms.insert(alarm);
            } else {
                self.alarms.remove(&alarm);
            }
        }
        put(&mut self.given_up, index, add && host.is_given_up());
        for (counter, is) in [
            (&mut self.up, host.link == Link::Up),
            (&mut self.unheard, matches!(host.link, Link::Unknown { .. })),
        ] {
            adjust(counter, usize::from(is), add);
        }
        self.file_room(index, host, detach, add);
        if host.is_given_up() || !host.unfit.is_empty() {
            self.each_group(index, |groups, of| {
                let group = &mut groups[of];
                adjust(&mut group.unable, usize::from(!host.may_ever(&group.kind.tool)), add);
                adjust(&mut group.unfit, usize::from(host.unfit.contains_key(&group.kind.tool)), add);
                true
            });
        }
    }

    /// Puts a host where groups look for room, or takes it away.
    pub(super) fn file_room(&mut self, index: usize, host: &Host, detach: bool, add: bool) {
        if !host.can_take(detach) {
            return;
        }
        let rank = Rank::of(index, host);
        self.each_group(index, |groups, of| {
            let group = &mut groups[of];
            if !host.unfit.is_empty() && host.unfit.contains_key(&group.kind.tool) {
                return false;
            }
            let before = group.room.is_empty();
            file(&mut group.room, rank, add);
            // Most hosts have few of them, and no group is for more than its tasks name.
            if !group.near.is_empty() {
                for repo in &host.repos {
                    if let Some(near) = group.near.get_mut(repo) {
                        file(near, rank, add);
                    }
                }
            }
            before != group.room.is_empty()
        });
    }

    /// Changes the groups a host is for; those that say so are put where they belong.
    fn each_group(&mut self, host: usize, mut change: impl FnMut(&mut [Group], usize) -> bool) {
        for at in 0..self.open.len() {
            let of = self.open[at];
            if change(&mut self.groups, of) {
                self.refresh(of);
            }
        }
        let count = self.closed.get(&host).map_or(0, Vec::len);
        for at in 0..count {
            let of = self.closed[&host][at];
            if change(&mut self.groups, of) {
                self.refresh(of);
            }
        }
    }
}

fn put(set: &mut BTreeSet<usize>, index: usize, is: bool) {
    if is {
        set.insert(index);
    } else {
        set.remove(&index);
    }
}

fn file(ranks: &mut BTreeSet<Rank>, rank: Rank, add: bool) {
    if add {
        ranks.insert(rank);
    } else {
        ranks.remove(&rank);
    }
}

fn adjust(counter: &mut usize, by: usize, add: bool) {
    *counter = if add { *counter + by } else { counter.saturating_sub(by) };
}

fn alarms(index: usize, host: &Host, grace: f64) -> impl Iterator<Item = (u64, Alarm)> {
    let silent = match host.link {
        Link::Unknown { since } | Link::Lost { since, .. } => {
            Some((millis(since + grace), Alarm::Silent(index)))
        }
        Link::Up | Link::GivenUp { .. } => None,
    };
    let aside = host.aside.as_ref().map(|aside| (millis(aside.until), Alarm::Aside(index)));
    let fit = host
        .unfit
        .iter()
        .filter_map(move |(tool, unfit)| Some((millis(unfit.until?), Alarm::Fit(index, tool.clone()))));
    silent.into_iter().chain(aside).chain(fit)
}

//! What must be true after every step: witnesses that see the whole world, and the indexes computed anew.

use std::collections::{BTreeMap, BTreeSet};

use cm_fleet::report::event::{RunEvent, Summary};
use cm_fleet::report::fold::{Alarm, Link, Rank, RunState, Status, Wait, millis};
use cm_protocol::{SessionId, State};

use crate::host::{Host, Orphan};

/// What has been seen of the world.
#[derive(Debug, Default)]
pub struct Witness {
    /// The host each attempt was asked of.
    asked: BTreeMap<(usize, u32), usize>,
    newest: BTreeMap<usize, u32>,
    living: BTreeMap<usize, BTreeSet<(usize, usize)>>,
}

impl Witness {
    /// A request has left: attempts only grow, and each is for one host.
    pub fn asked(&mut self, task: usize, attempt: u32, host: usize) {
        let known = *self.asked.entry((task, attempt)).or_insert(host);
        assert_eq!(known, host, "attempt {attempt} of task {task} was for another host");
        let newest = self.newest.entry(task).or_default();
        assert!(attempt >= *newest, "attempt {attempt} of task {task} after {newest}");
        *newest = attempt;
    }

    pub fn started(&mut self, task: usize, host: usize, session: usize) {
        self.living.entry(task).or_default().insert((host, session));
    }

    pub fn ended(&mut self, task: usize, host: usize, session: usize) {
        if let Some(living) = self.living.get_mut(&task) {
            living.remove(&(host, session));
        }
    }

    /// No two sessions of a task run within their leases; where orphans are stopped, no two run.
    pub fn alone(&self, task: usize, hosts: &[Host], now: f64, orphan: Orphan) -> Result<(), String> {
        let living = self.living.get(&task).into_iter().flatten();
        let of = |(host, index): &(usize, usize)| (*host, hosts[*host].sessions[*index].clone());
        let leased: Vec<_> = living
            .map(of)
            .filter(|(_, session)| session.until.is_some_and(|until| orphan == Orphan::Stop || until > now))
            // It is going to be stopped at this very moment.
            .filter(|(_, session)| session.until.is_some_and(|until| until > now + 1e-3))
            .collect();
        match leased.len() {
            0 | 1 => Ok(()),
            _ => Err(format!("task {task} runs twice at {now}: {leased:#?}")),
        }
    }

    /// Over the whole history each task settles once between two openings, and what is done was done.
    pub fn history(&self, ledger: &[RunEvent], hosts: &[Host]) {
        let mut state = RunState::default();
        for event in ledger {
            let number = event.kind.task();
            let before = number.and_then(|n| state.task(n)).map(|task| task.status.clone());
            state.apply(event);
            let after = number.and_then(|n| state.task(n)).map(|task| &task.status);
            if let (Some(before), Some(after)) = (&before, after)
                && before.is_over()
            {
                assert_eq!(before, after, "it was over before {event:?}");
            }
        }
        for task in &state.tasks {
            let Status::Ended { host, session, outcome } = &task.status else { continue };
            let Some(place) = hosts.iter().position(|known| known.name == *host) else { continue };
            let known = hosts[place].find(session).map(|index| &hosts[place].sessions[index]);
            let known = known.expect("a session that has ended began once");
            assert_eq!((known.task, known.attempt), (task.plan.number, task.attempt));
            if outcome.state == State::Done {
                assert_eq!(known.end.as_ref(), Some(outcome));
            }
        }
    }
}

/// An agent may forget results that are on disk here.
pub fn kept(ledger: &[RunEvent], sessions: &[SessionId]) {
    let mut state = RunState::default();
    ledger.iter().for_each(|event| state.apply(event));
    for session in sessions {
        let live = state.live().any(|(_, live)| live.session == *session);
        assert!(!live && state.attempt_of(session).is_some(), "{session} is acknowledged and not kept");
    }
}

/// A task goes where its repository is not only if no host that has it would have done as well.
pub fn nearest(state: &RunState, task: usize, host: usize) {
    let task = &state.tasks[task - 1];
    let Some(repo) = &task.plan.repo else { return };
    if state.hosts[host].repos.contains(repo) || state.unheard() > 0 {
        return;
    }
    let group = &state.groups()[state.group_of(task)];
    let taken = Rank::of(host, &state.hosts[host]);
    // The ones that are looked at, and a few at most, so that it costs nothing in large worlds.
    let same = group.room.range(Rank { host: 0, ..taken }..).take(100);
    let same = same.take_while(|rank| (rank.used, rank.failures) == (taken.used, taken.failures));
    let mut better = same.filter(|rank| state.hosts[rank.host].repos.contains(repo));
    let tried = |rank: &Rank| task.tried.contains(&state.hosts[rank.host].name);
    let better = better.find(|rank| !tried(rank));
    assert!(
        task.tried.len() > 60 || better.is_none(),
        "task {} for {host}, not for {better:?}",
        task.plan.number
    );
}

/// Everything that is looked up equals what the tasks and hosts say.
pub fn indexes(state: &RunState) {
    let mut sum = Summary::default();
    let (mut placed, mut delayed, mut stranded) = (0, BTreeSet::new(), 0);
    let mut held = vec![BTreeSet::new(); state.hosts.len()];
    for task in &state.tasks {
        let number = task.plan.number;
        match &task.status {
            Status::Queued(wait) => {
                sum.queued += 1;
                if let Wait::Until { at, .. } = wait {
                    delayed.insert((millis(*at), number));
                }
                if let Wait::Others(left) = wait {
                    others(state, number, *left);
                }
            }
            Status::Placed { .. } => (sum.running, placed) = (sum.running + 1, placed + 1),
            Status::Live(live) => {
                sum.running += 1;
                assert_eq!(state.attempt_of(&live.session), Some((number, task.attempt)));
            }
            Status::Ended { outcome, .. } if outcome.state == State::Done => sum.done += 1,
            Status::Ended { .. } | Status::Refused { .. } => sum.failed += 1,
            Status::Parked { .. } => sum.parked += 1,
            Status::Skipped { .. } => sum.skipped += 1,
        }
        if let (Status::Placed { .. } | Status::Live(_), Some(host)) = (&task.status, task.status.host()) {
            let host = state.host_index(host).expect("a host that holds a task is known");
            held[host].insert(number);
            stranded += usize::from(state.hosts[host].is_given_up());
        }
    }
    assert_eq!((state.summary(), state.placed()), (sum, placed));
    assert_eq!(state.delayed(), &delayed);
    assert_eq!(state.stranded(), stranded);
    for (host, held) in state.hosts.iter().zip(&held) {
        assert_eq!(&host.tasks, held, "{}", host.name);
    }
    hosts(state);
    groups(state);
}

fn others(state: &RunState, number: usize, left: usize) {
    let before = || state.tasks[number - 1].plan.after.iter().filter_map(|before| state.task(*before));
    assert_eq!(left, before().filter(|task| !task.status.is_done()).count(), "task {number} waits");
    let doomed = before().any(|task| task.status.is_over() && !task.status.is_done());
    assert_eq!(state.doomed().contains_key(&number), doomed, "task {number}");
}

fn hosts(state: &RunState) {
    let (mut alarms, mut given_up) = (BTreeSet::new(), BTreeSet::new());
    let (mut up, mut unheard) = (0, 0);
    for (index, host) in state.hosts.iter().enumerate() {
        assert_eq!(state.host_index(&host.name), Some(index));
        match &host.link {
            Link::Up => up += 1,
            Link::GivenUp { .. } => _ = given_up.insert(index),
            Link::Unknown { since } | Link::Lost { since, .. } => {
                unheard += usize::from(matches!(host.link, Link::Unknown { .. }));
                alarms.insert((millis(since + state.grace), Alarm::Silent(index)));
            }
        }
        alarms.extend(host.aside.as_ref().map(|aside| (millis(aside.until), Alarm::Aside(index))));
        for (tool, unfit) in &host.unfit {
            alarms.extend(unfit.until.map(|until| (millis(until), Alarm::Fit(index, tool.clone()))));
        }
        for number in &host.stale {
            assert!(state.tasks[number - 1].loose.contains(&host.name), "{number} is stale on {}", host.name);
        }
    }
    assert_eq!(state.alarms(), &alarms);
    assert_eq!(state.given_up(), &given_up);
    assert_eq!((state.up(), state.unheard()), (up, unheard));
}

fn groups(state: &RunState) {
    let (mut heads, mut retries) = (BTreeSet::new(), BTreeSet::new());
    let (mut movable, mut hopeful, mut hopeless) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    let mut of_group = vec![<(BTreeSet<_>, BTreeSet<_>, BTreeSet<_>)>::default(); state.groups().len()];
    for task in &state.tasks {
        let of = state.group_of(task);
        assert_eq!(task.plan.tool, state.groups()[of].kind.tool);
        let (number, (ready, retry, stranded)) = (task.plan.number, &mut of_group[of]);
        match &task.status {
            Status::Queued(Wait::Turn) if task.tried.is_empty() && task.loose.is_empty() => {
                ready.insert(number);
            }
            Status::Queued(Wait::Turn) => _ = retry.insert((0, number)),
            Status::Queued(Wait::Until { at, .. }) => _ = retry.insert((millis(*at), number)),
            Status::Placed { .. } | Status::Live(_) => {
                let host = task.status.host().and_then(|name| state.host(name));
                stranded.extend(host.filter(|host| host.is_given_up()).map(|_| number));
            }
            _ => {}
        }
    }
    for (of, (group, (ready, retry, stranded))) in state.groups().iter().zip(of_group).enumerate() {
        let ours = || (0..state.hosts.len()).filter(|host| state.is_in_pool(group.kind.pool, *host));
        let tool = &group.kind.tool;
        let room: BTreeSet<Rank> = ours()
            .filter(|h| state.hosts[*h].can_take(state.detach) && !state.hosts[*h].unfit.contains_key(tool))
            .map(|host| Rank::of(host, &state.hosts[host]))
            .collect();
        let able = ours().filter(|host| state.hosts[*host].may_ever(tool)).count();
        assert_eq!((&group.ready, &group.retry, &group.stranded), (&ready, &retry, &stranded));
        assert_eq!(group.room, room, "{:?}", group.kind);
        assert_eq!(state.able(of), able, "{:?}", group.kind);
        for (repo, near) in &group.near {
            let has = |rank: &&Rank| state.hosts[rank.host].repos.contains(repo);
            assert!(near.iter().eq(room.iter().filter(has)), "{:?} {repo}", group.kind);
        }
        if !room.is_empty() {
            heads.extend(ready.first().map(|number| (*number, of)));
            retries.extend(retry.first().map(|first| (*first, of)));
        }
        let waits = !(ready.is_empty() && retry.is_empty());
        movable.extend((able > 0 && !stranded.is_empty()).then_some(of));
        hopeful.extend((waits && able > 0).then_some(of));
        hopeless.extend((waits && able == 0).then_some(of));
    }
    assert_eq!((state.heads(), state.retries()), (&heads, &retries));
    assert_eq!((state.movable(), state.hopeful(), state.hopeless()), (&movable, &hopeful, &hopeless));
}

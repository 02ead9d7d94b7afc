//! A run as a few words, and what comes next.

use cm_protocol::{Outcome, SessionId, State};

use super::*;
use crate::report::event::{FleetPlan, HostPlan, RunEvent, RunEventKind as E, TaskPlan};

/// A run that is told what happens.
pub(crate) struct Story {
    pub(crate) state: RunState,
    pub(crate) at: f64,
}

impl Story {
    /// `hosts`: their slots; tasks are given as what they need.
    pub(crate) fn new(hosts: &[u32], tasks: Vec<TaskPlan>) -> Self {
        Self::with(hosts, tasks, Vec::new(), false)
    }

    pub(crate) fn with(hosts: &[u32], tasks: Vec<TaskPlan>, pools: Vec<Vec<usize>>, detach: bool) -> Self {
        let named = |(n, slots): (usize, &u32)| HostPlan { name: format!("h{n}"), slots: Some(*slots) };
        let fleet = FleetPlan {
            hosts: hosts.iter().enumerate().map(named).collect(),
            pools,
            grace: 60.0,
            attempts: 3,
        };
        let mut story = Self { state: RunState::default(), at: 1000.0 };
        story.tell(E::RunStarted { run: "run-1".into(), jobs: 100, detach, tasks, fleet });
        story
    }

    pub(crate) fn tell(&mut self, kind: E) {
        self.state.apply(&RunEvent { at: self.at, kind });
    }

    pub(crate) fn up(mut self, hosts: &[usize]) -> Self {
        for host in hosts {
            self.tell(connected(*host));
        }
        self
    }

    /// Places all that can be placed; as `task>host` words.
    pub(crate) fn place(&mut self) -> String {
        let (mut round, mut words) = (Round::default(), Vec::new());
        while let Some(next) = place(&self.state, self.at, &mut round) {
            words.push(format!("{}>{}", next.task, next.host));
            let host = self.state.hosts[next.host].name.clone();
            self.tell(E::TaskPlaced { task: next.task, host, attempt: next.attempt });
        }
        words.join(" ")
    }

    pub(crate) fn start(&mut self, task: usize) {
        let attempt = self.state.tasks[task - 1].attempt;
        let bits = (task as u128) << 64 | u128::from(attempt);
        let session_id = SessionId::from_bits(bits);
        self.tell(E::TaskStarted { task, session_id, existing: false, warnings: Vec::new(), base: None });
    }

    /// What follows when a task's host would not have it.
    fn host_fails(&self, task: usize) -> E {
        let task = &self.state.tasks[task - 1];
        failed(&self.state, task, Class::Infrastructure, "x".into(), self.at, End::Refused)
    }

    pub(crate) fn end(&mut self, task: usize, state: State) {
        self.tell(E::TaskFinished { task, outcome: Outcome { state, ..Outcome::default() } });
    }

    /// Tells all that is due; as words.
    pub(crate) fn due(&mut self) -> Vec<String> {
        let mut words = Vec::new();
        loop {
            let due = due(&self.state, self.at);
            if due.is_empty() {
                return words;
            }
            for kind in due {
                let value = serde_json::to_value(&kind).expect("events serialize");
                let word =
                    |key: &str| value.get(key).map(|v| v.as_str().map_or(v.to_string(), str::to_owned));
                words.push(
                    [word("type"), word("task"), word("host")]
                        .into_iter()
                        .flatten()
                        .collect::<Vec<_>>()
                        .join(" "),
                );
                self.tell(kind);
            }
        }
    }
}

pub(crate) fn connected(host: usize) -> E {
    E::HostConnected { host: format!("h{host}"), agent: "1".into(), again: false, slots: None }
}

pub(crate) fn lost(host: usize) -> E {
    E::HostLost { host: format!("h{host}"), error: "gone".into(), heard: None }
}

pub(crate) fn task(number: usize) -> TaskPlan {
    TaskPlan {
        number,
        task_id: format!("run-1-{number}"),
        label: format!("task-{number}"),
        tool: "shell".into(),
        path: "~".into(),
        summary: "true".into(),
        after: Vec::new(),
        pool: 0,
        retries: 0,
        repo: None,
    }
}

pub(crate) fn tasks(count: usize) -> Vec<TaskPlan> {
    (1..=count).map(task).collect()
}

#[test]
fn the_least_used_host_is_next() {
    let check = |slots: &[u32], count: usize, expected: &str| {
        let all: Vec<usize> = (0..slots.len()).collect();
        assert_eq!(Story::new(slots, tasks(count)).up(&all).place(), expected);
    };
    check(&[2, 2], 3, "1>0 2>1 3>0");
    check(&[1, 4], 6, "1>0 2>1 3>1 4>1 5>1");
    check(&[4, 2], 4, "1>0 2>1 3>0 4>0");
}

#[test]
fn the_first_host_that_answers_does_not_get_everything() {
    let story = Story::new(&[9, 9, 9], tasks(5)).up(&[0]);
    let placed = |mut round: Round| {
        let mut story = Story { state: story.state.clone(), at: story.at };
        let mut count = 0;
        while let Some(next) = place(&story.state, story.at, &mut round) {
            let host = story.state.hosts[next.host].name.clone();
            story.tell(E::TaskPlaced { task: next.task, host, attempt: next.attempt });
            count += 1;
        }
        count
    };
    assert_eq!(placed(Round::sharing(&story.state)), 2);
    assert_eq!(placed(Round::default()), 5);
}

#[test]
fn nothing_goes_where_it_must_not() {
    let check = |what: &str, kinds: Vec<E>, expected: &str| {
        let mut story = Story::new(&[2, 2], tasks(2)).up(&[0, 1]);
        kinds.into_iter().for_each(|kind| story.tell(kind));
        assert_eq!(story.place(), expected, "{what}");
    };
    let h0 = || "h0".to_owned();
    check("lost", vec![lost(0)], "1>1 2>1");
    check("full", vec![E::HostFull { host: h0(), error: "full".into(), again: false }], "1>1 2>1");
    check("set aside", vec![E::HostSetAside { host: h0(), error: "x".into(), until: 2000.0 }], "1>1 2>1");
    let unfit = |tool: &str| E::HostUnfit { host: h0(), tool: tool.into(), error: "x".into(), until: None };
    check("unfit", vec![unfit("shell")], "1>1 2>1");
    check("unfit for something else", vec![unfit("claude")], "1>0 2>1");
    check("busy", vec![E::HostLoad { host: h0(), busy: 4 }], "1>1 2>1");
    check("stopping", vec![E::StopRequested { stop: Stop::Detach }], "");
}

#[test]
fn a_pool_is_kept_to_and_holds_up_nobody_else() {
    let mut plans = tasks(4);
    plans[0].pool = 1;
    plans[1].pool = 1;
    let mut story = Story::with(&[1, 1], plans, vec![Vec::new(), vec![1]], false).up(&[0, 1]);
    assert_eq!(story.place(), "1>1 3>0");
}

/// Hosts `h0`, … with repositories, and two tasks of which the first names `a`.
fn near(slots: &[u32], has: &[&[&str]]) -> Story {
    let mut plans = tasks(2);
    plans[0].repo = Some("a".into());
    let all: Vec<usize> = (0..slots.len()).collect();
    let mut story = Story::new(slots, plans).up(&all);
    for (host, repos) in has.iter().enumerate() {
        let repos = repos.iter().map(|repo| (*repo).to_owned()).collect();
        story.tell(E::HostHas { host: format!("h{host}"), repos });
    }
    story
}

#[test]
fn of_equally_good_hosts_the_one_that_has_the_repository_is_next() {
    let check = |slots: &[u32], has: &[&[&str]], expected: &str| {
        assert_eq!(near(slots, has).place(), expected, "{has:?}");
    };
    check(&[2, 2, 2], &[&[], &[], &["a"]], "1>2 2>0");
    check(&[2, 2, 2], &[&[], &["a"], &["a", "b"]], "1>1 2>0");
    check(&[2, 2], &[&[], &["b"]], "1>0 2>1");
    check(&[2, 2], &[&[], &[]], "1>0 2>1");
    // What is known last counts.
    let mut story = near(&[2, 2], &[&[], &["a"]]);
    story.tell(E::HostHas { host: "h1".into(), repos: Vec::new() });
    assert_eq!(story.place(), "1>0 2>1");
    // A busier one is not preferred, and a full one not waited for.
    let mut story = near(&[2, 2], &[&[], &["a"]]);
    story.tell(E::HostLoad { host: "h1".into(), busy: 1 });
    assert_eq!(story.place(), "1>0 2>1");
    let mut story = near(&[2, 2], &[&[], &["a"]]);
    story.tell(E::HostFull { host: "h1".into(), error: "full".into(), again: false });
    assert_eq!(story.place(), "1>0 2>0");
}

#[test]
fn a_task_that_goes_on_elsewhere_goes_where_its_repository_is() {
    let check = |slots: &[u32], busy: u8, expected: &str| {
        let mut story = near(slots, &[&["a"], &[], &["a"]]);
        assert_eq!(story.place(), "1>0 2>1");
        story.tell(E::HostLoad { host: "h2".into(), busy });
        let failed = story.host_fails(1);
        story.tell(failed);
        story.start(2);
        story.end(2, State::Done);
        assert_eq!(story.place(), expected, "{busy}");
    };
    check(&[4, 4, 4], 0, "1>2");
    check(&[4, 4, 4], 2, "1>2");
    check(&[4, 4, 4], 3, "1>1");
    // What was cloned for a task is there for the next.
    let mut story = near(&[4, 4, 4], &[]);
    assert_eq!(story.place(), "1>0 2>1");
    story.start(1);
    assert!(story.state.hosts[0].repos.contains("a"));
}

#[test]
fn jobs_bound_what_runs() {
    let mut story = Story::new(&[10], tasks(5)).up(&[0]);
    story.state.jobs = 2;
    assert_eq!(story.place(), "1>0 2>0");
    story.start(1);
    story.end(1, State::Done);
    assert_eq!(story.place(), "3>0");
}

#[test]
fn detached_tasks_go_out_whatever_the_slots() {
    let mut story = Story::with(&[1, 1], tasks(4), Vec::new(), true).up(&[0, 1]);
    assert_eq!(story.place(), "1>0 2>1 3>0 4>1");
    assert!(!is_over(&story.state, Patience::default()), "they have not started");
    (1..=4).for_each(|task| story.start(task));
    assert!(is_over(&story.state, Patience::default()));
}

#[test]
fn a_task_waits_for_those_it_follows() {
    let mut plans = tasks(3);
    plans[2].after = vec![1, 2];
    let mut story = Story::new(&[4], plans.clone()).up(&[0]);
    assert_eq!(story.place(), "1>0 2>0");
    [1, 2].iter().for_each(|task| story.start(*task));
    story.end(1, State::Done);
    assert_eq!(story.place(), "");
    story.end(2, State::Done);
    assert_eq!(story.place(), "3>0");

    let mut story = Story::new(&[4], plans).up(&[0]);
    story.place();
    story.start(1);
    story.end(1, State::Failed);
    assert_eq!(story.due(), ["task_skipped 3"]);
    story.tell(E::TasksReopened { tasks: vec![1, 3] });
    assert_eq!(story.state.summary().queued, 2);
}

#[test]
fn what_is_skipped_takes_its_followers_along() {
    let mut plans = tasks(3);
    (plans[1].after, plans[2].after) = (vec![1], vec![2]);
    let mut story = Story::new(&[4], plans).up(&[0]);
    story.place();
    story.start(1);
    story.end(1, State::Failed);
    assert_eq!(story.due(), ["task_skipped 2", "task_skipped 3"]);
    assert!(is_over(&story.state, Patience::default()));
}

#[test]
fn tasks_of_a_host_given_up_go_elsewhere_and_it_is_told() {
    let mut story = Story::new(&[1, 1], tasks(1)).up(&[0, 1]);
    assert_eq!(story.place(), "1>0");
    story.start(1);
    story.tell(lost(0));
    story.at += 59.0;
    assert_eq!(story.due(), [""; 0]);
    assert_eq!(wake_at(&story.state, story.at), Some(1060.0));
    story.at += 1.0;
    assert_eq!(story.due(), ["host_given_up h0", "attempt_failed 1 h0"]);
    assert_eq!(story.place(), "1>1", "at once, as attempt 2");
    assert_eq!(story.state.tasks[0].attempt, 2);
    assert!(story.state.hosts[0].stale.contains(&1), "to be fenced off when it is back");
}

#[test]
fn without_another_host_a_task_stays_where_it_is() {
    let mut story = Story::new(&[1, 1], tasks(2)).up(&[0]);
    assert_eq!(story.place(), "1>0");
    story.start(1);
    story.tell(lost(0));
    story.at += 60.0;
    assert_eq!(story.due(), ["host_given_up h0", "host_given_up h1"]);
    assert!(is_over(&story.state, Patience::default()), "nothing can happen any more");
    assert_eq!(story.state.exit(), crate::exit::Exit::Unreachable);
    let mut story = story.up(&[1]);
    assert!(!is_over(&story.state, Patience::default()));
    assert_eq!(story.due(), ["attempt_failed 1 h0"]);
}

#[test]
fn a_host_that_failed_a_task_is_its_last_choice() {
    let mut story = Story::new(&[1, 1], tasks(2)).up(&[0, 1]);
    assert_eq!(story.place(), "1>0 2>1");
    story.start(1);
    let failed = story.host_fails(1);
    story.tell(failed);
    assert_eq!(story.place(), "", "h1 is busy, and worth waiting for");
    story.start(2);
    story.end(2, State::Done);
    assert_eq!(story.place(), "1>1");
    // Where there is no other host at all, the same one may try again.
    let mut story = Story::new(&[1], tasks(1)).up(&[0]);
    story.place();
    let failed = story.host_fails(1);
    story.tell(failed);
    assert_eq!(story.place(), "1>0");
}

#[test]
fn back_off_grows_and_too_many_failures_park() {
    let mut story = Story::new(&[1], tasks(1)).up(&[0]);
    for (expected, wait) in [("attempt_failed", 0.0), ("attempt_failed", 2.0), ("task_parked", 0.0)] {
        story.at += 10.0;
        assert_eq!(story.place(), "1>0");
        let kind = story.host_fails(1);
        let value = serde_json::to_value(&kind).expect("it serializes");
        assert_eq!(value["type"], expected);
        if let E::AttemptFailed { again_at, .. } = &kind {
            assert_eq!(*again_at, story.at + wait);
        }
        story.tell(kind);
    }
    assert_eq!(story.state.summary().parked, 1);
}

#[test]
fn a_tool_no_host_has_parks_its_tasks() {
    let unfit = |host: usize, until| E::HostUnfit {
        host: format!("h{host}"),
        tool: "shell".into(),
        error: "tool not found".into(),
        until,
    };
    let mut story = Story::new(&[1, 1], tasks(2)).up(&[0, 1]);
    story.tell(unfit(0, None));
    assert_eq!(story.due(), [""; 0], "the other one may");
    story.tell(unfit(1, Some(2000.0)));
    assert_eq!(story.due(), [""; 0], "it will be fit again");
    assert_eq!(story.place(), "");
    story.at = 2000.0;
    assert_eq!(story.due(), ["host_fit h1"]);
    assert_eq!(story.place(), "1>1");
    story.tell(unfit(1, None));
    assert_eq!(story.due(), ["task_parked 2"]);
}

#[test]
fn a_run_resumed_with_other_hosts_moves_the_tasks_of_those_that_are_gone() {
    let mut story = Story::new(&[1, 1], tasks(3)).up(&[0, 1]);
    assert_eq!(story.place(), "1>0 2>1");
    [1, 2].iter().for_each(|task| story.start(*task));
    let fleet = FleetPlan {
        hosts: vec![HostPlan { name: "h1".into(), slots: Some(2) }],
        pools: Vec::new(),
        grace: 60.0,
        attempts: 3,
    };
    story.tell(E::RunResumed { jobs: 9, detach: false, fleet });
    assert_eq!(story.due(), [""; 0], "the lease there may not be over");
    let mut story = story.up(&[1]);
    assert_eq!(story.place(), "3>0", "h1 stands first now; one slot is taken by task 2");
    story.start(2);
    story.end(2, State::Done);
    story.at += 60.0;
    assert_eq!(story.due(), ["host_given_up h0", "attempt_failed 1 h0"]);
    assert_eq!(story.place(), "1>0");
}

#[test]
fn a_task_that_may_still_run_somewhere_waits_until_that_is_over() {
    let mut story = Story::new(&[1, 1], tasks(1)).up(&[0, 1]);
    let unanswered = |story: &mut Story| {
        let task = story.state.tasks[0].clone();
        story.tell(failed(&story.state, &task, Class::Infrastructure, "x".into(), story.at, End::Unknown));
    };
    assert_eq!(story.place(), "1>0");
    unanswered(&mut story);
    assert_eq!(story.place(), "", "h0 has not been told");
    story.tell(E::HostFenced { host: "h0".into(), task: 1, ended: Vec::new() });
    assert_eq!(story.place(), "1>1");
    unanswered(&mut story);
    story.tell(lost(1));
    assert_eq!(story.place(), "", "h1 may be back in time");
    story.at += 60.0;
    assert_eq!(story.due(), ["host_given_up h1"]);
    assert_eq!(story.place(), "1>0", "there is no other to wait for");
}

#[test]
fn what_is_due_and_has_no_room_wakes_nobody() {
    let mut story = Story::new(&[1], tasks(2)).up(&[0]);
    assert_eq!(story.place(), "1>0");
    let task = story.state.tasks[0].clone();
    story.tell(failed(&story.state, &task, Class::Task, "x".into(), story.at, End::Refused));
    assert_eq!(story.place(), "1>0");
    let task = story.state.tasks[0].clone();
    story.tell(failed(&story.state, &task, Class::Task, "x".into(), story.at, End::Refused));
    story.tell(E::HostFull { host: "h0".into(), error: "full".into(), again: false });
    assert_eq!(story.place(), "");
    assert_eq!(wake_at(&story.state, story.at), None);
}

#[test]
fn a_task_opened_again_whose_forerunner_is_not_is_skipped_again() {
    let mut plans = tasks(3);
    plans[2].after = vec![1, 2];
    let mut story = Story::new(&[2], plans).up(&[0]);
    story.place();
    for task in [1, 2] {
        story.start(task);
        story.end(task, State::Failed);
    }
    assert_eq!(story.due(), ["task_skipped 3"]);
    story.tell(E::TasksReopened { tasks: vec![3, 1] });
    assert_eq!(story.due(), ["task_skipped 3"], "task 2 is not going to end well");
}

#[test]
fn only_requests_without_an_answer_are_sent_again() {
    let mut story = Story::new(&[3], tasks(3)).up(&[0]);
    story.place();
    story.start(1);
    let asking = BTreeSet::from([2]);
    let again: Vec<usize> = to_ask_again(&story.state, 0, &asking).map(|task| task.plan.number).collect();
    assert_eq!(again, [3]);
}

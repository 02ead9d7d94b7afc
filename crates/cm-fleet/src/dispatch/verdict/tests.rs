//! Ends of attempts, and what follows.

use cm_protocol::{ErrorCode, Outcome, State};

use super::*;
use crate::dispatch::schedule::tests::{Story, tasks};

fn outcome(state: State, reason: &str) -> Outcome {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    Outcome { state, reason, exit_code: Some(1), ..Outcome::default() }
}

fn words(kinds: &[RunEventKind]) -> String {
    let word = |kind: &RunEventKind| {
        let value = serde_json::to_value(kind).expect("events serialize");
        let of = |key: &str| value.get(key).and_then(|v| v.as_str()).map(str::to_owned);
        [of("type"), of("class")].into_iter().flatten().collect::<Vec<_>>().join(" ")
    };
    kinds.iter().map(word).collect::<Vec<_>>().join(", ")
}

fn running(hosts: &[u32]) -> Story {
    let all: Vec<usize> = (0..hosts.len()).collect();
    let mut story = Story::new(hosts, tasks(1)).up(&all);
    story.place();
    story.start(1);
    story
}

#[test]
fn ends_have_a_kind() {
    let check = |state: State, reason: &str, expected: Option<Class>| {
        assert_eq!(class(&outcome(state, reason)), expected, "{state} {reason}");
    };
    check(State::Done, "", None);
    check(State::Killed, "", None);
    check(State::Lost, "the host was restarted", Some(Class::Infrastructure));
    check(State::Failed, "out_of_memory: 2 GB", Some(Class::Infrastructure));
    check(State::Killed, "lease_expired: nobody renewed its lease", Some(Class::Infrastructure));
    check(State::Failed, "login_required: run claude", Some(Class::Login));
    check(State::Failed, "rate_limited: resets at 14:00", Some(Class::Quota));
    check(State::Failed, "denied: rm", Some(Class::Policy));
    check(State::Failed, "check_failed: 1", Some(Class::Task));
    check(State::Failed, "", Some(Class::Task));
}

#[test]
fn what_follows_from_an_end() {
    let check = |what: &str, hosts: &[u32], end: Outcome, expected: &str| {
        let story = running(hosts);
        let follows = ended(&story.state, &story.state.tasks[0], end, story.at);
        assert_eq!(words(&follows), expected, "{what}");
    };
    check("done", &[1, 1], outcome(State::Done, ""), "task_finished");
    check("failed", &[1, 1], outcome(State::Failed, ""), "task_finished");
    check("lost", &[1, 1], outcome(State::Lost, "gone"), "attempt_failed infrastructure");
    check("denied", &[1, 1], outcome(State::Failed, "denied: x"), "task_parked policy");
    check("login", &[1, 1], outcome(State::Failed, "login_required: x"), "host_unfit, attempt_failed login");
    check("login, one host", &[1], outcome(State::Failed, "login_required: x"), "task_parked login");
    let until = Outcome { until: Some(5000.0), ..outcome(State::Failed, "rate_limited: x") };
    check("quota", &[1], until, "host_unfit, attempt_failed quota");
    let over = Outcome { until: Some(500.0), ..outcome(State::Failed, "rate_limited: x") };
    check("a quota that is fresh again", &[1, 1], over, "attempt_failed quota");
}

#[test]
fn failures_of_its_own_are_retried_as_often_as_was_asked() {
    let mut story = running(&[1]);
    story.state.tasks[0].plan.retries = 1;
    let end =
        |story: &Story| ended(&story.state, &story.state.tasks[0], outcome(State::Failed, ""), story.at);
    let first = end(&story);
    assert_eq!(words(&first), "attempt_failed task");
    first.into_iter().for_each(|kind| story.tell(kind));
    assert_eq!(story.place(), "1>0");
    story.start(1);
    assert_eq!(words(&end(&story)), "task_finished");
}

#[test]
fn somebody_who_leaves_starts_nothing_anew() {
    let mut story = running(&[1, 1]);
    story.tell(RunEventKind::StopRequested { stop: crate::report::event::Stop::Cancel });
    let follows = ended(&story.state, &story.state.tasks[0], outcome(State::Lost, ""), story.at);
    assert_eq!(words(&follows), "task_finished");
}

#[test]
fn a_host_that_keeps_failing_is_set_aside() {
    let mut story = Story::new(&[9, 1], tasks(4)).up(&[0]);
    story.place();
    for task in 1..=3 {
        story.at += 1.0;
        story.start(task);
        let known = story.state.tasks[task - 1].clone();
        let follows = ended(&story.state, &known, outcome(State::Lost, "gone"), story.at);
        let expected = if task < 3 {
            "attempt_failed infrastructure"
        } else {
            "attempt_failed infrastructure, host_set_aside"
        };
        assert_eq!(words(&follows), expected, "{task}");
        follows.into_iter().for_each(|kind| story.tell(kind));
    }
}

#[test]
fn refusals_are_the_hosts_or_the_tasks() {
    let check = |hosts: &[u32], code: Option<ErrorCode>, error: &str, expected: &str| {
        let all: Vec<usize> = (0..hosts.len()).collect();
        let mut story = Story::new(hosts, tasks(1)).up(&all);
        story.place();
        let follows =
            refused(&story.state, &story.state.tasks[0], "h0", (code, false), error.to_owned(), story.at);
        assert_eq!(words(&follows), expected, "{error}");
    };
    check(&[1], Some(ErrorCode::BadRequest), "tool not found: x", "task_refused");
    check(&[1, 1], Some(ErrorCode::BadRequest), "tool not found: x", "host_unfit, task_queued");
    check(&[1, 1], Some(ErrorCode::BadRequest), "no such directory", "task_refused");
    check(&[1, 1], Some(ErrorCode::Internal), "tmux did not start", "attempt_failed infrastructure");
    check(&[1, 1], None, "no answer", "attempt_failed infrastructure");
}

#[test]
fn what_one_reboot_ends_is_one_failure() {
    let mut story = Story::new(&[9, 1], tasks(4)).up(&[0]);
    story.place();
    (1..=4).for_each(|task| story.start(task));
    story.at += 1.0;
    for task in 1..=4 {
        let known = story.state.tasks[task - 1].clone();
        let follows = ended(&story.state, &known, outcome(State::Lost, "the host was restarted"), story.at);
        assert_eq!(words(&follows), "attempt_failed infrastructure", "{task}");
        follows.into_iter().for_each(|kind| story.tell(kind));
    }
    assert_eq!(story.state.hosts[0].failures, 1);
}

//! Whole runs against a scripted agent: the tasks' texts say what it does.

mod agent;
mod carrying;

use std::cell::RefCell;
use std::io;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use cm_client::protocol::{Check, OnDone, Proof, State};
use cm_client::{Endpoint, Follower};
use futures_util::future::LocalBoxFuture;
use futures_util::stream::{self, BoxStream, StreamExt, poll_fn};
use tokio::sync::mpsc;

use super::plan::{Defaults, Plan, Rules, plan};
use super::record::Nowhere;
use super::relay::Relay;
use super::run::{Begin, Run};
use super::tasks::Wanted;
use crate::exit::Exit;
use crate::fleet::links::Links;
use crate::fleet::way::Way;
use crate::local::Local;
use crate::report::View;
use crate::report::event::{FleetPlan, HostPlan, RunEvent, RunEventKind as E, Stop};
use crate::report::fold::{RunState, Status};
use agent::FakeAgent;

/// Ctrl-C, as often as it is pressed.
type Presses = BoxStream<'static, ()>;

/// Keeps the events, and sends word of those the test waits for.
struct Witness {
    events: Rc<RefCell<Vec<RunEvent>>>,
    told: mpsc::UnboundedSender<String>,
}

impl View for Witness {
    fn event(&mut self, event: &RunEvent, _: &RunState) -> io::Result<()> {
        self.events.borrow_mut().push(event.clone());
        let _ = self.told.send(name(&event.kind));
        Ok(())
    }

    fn wants_output(&self) -> bool {
        true
    }
}

fn name(kind: &E) -> String {
    let value = serde_json::to_value(kind).expect("events serialize");
    let text = |key: &str| value.get(key).map(|v| v.as_str().map_or(v.to_string(), str::to_owned));
    let state = value.pointer("/outcome/state").and_then(|v| v.as_str()).map(str::to_owned);
    [text("type"), text("task"), text("state"), text("line"), text("stop"), state]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join(" ")
}

fn planned(tasks: &[&str], jobs: usize, detach: bool, hosts: usize) -> Plan {
    let defaults = Defaults {
        tool: "shell".into(),
        path: "/".into(),
        on_done: OnDone::Close,
        check: Some(Check { command: "make test".into(), timeout: None, retries: 0 }),
        ..Defaults::default()
    };
    let wanted = tasks.iter().map(|t| Wanted { text: (*t).to_owned(), ..Wanted::default() }).collect();
    let named = |n: usize| HostPlan { name: format!("h{n}"), slots: Some(4) };
    let fleet = FleetPlan {
        hosts: (0..hosts).map(named).collect(),
        pools: Vec::new(),
        grace: 1.2,
        attempts: if hosts > 1 { 3 } else { 1 },
    };
    let rules = Rules { run: "run-1".into(), jobs, detach, fleet, ..Rules::default() };
    plan(&defaults, wanted, rules, &|_| panic!("no policies"), &|_| None).expect("a good plan")
}

struct Ran {
    exit: Exit,
    names: Vec<String>,
    state: RunState,
}

/// Runs the tasks; Ctrl-C is pressed each time one of `press_at` is seen, in order.
async fn go(tasks: &[&str], jobs: usize, detach: bool, press_at: &[&str]) -> Ran {
    let agent = FakeAgent::start();
    let (heard, run) = running(tasks, jobs, detach, &[&agent]);
    run(presses(heard, press_at)).await
}

/// A run on these agents: what it tells, and the run itself, to be given Ctrl-Cs.
fn running(
    tasks: &[&str],
    jobs: usize,
    detach: bool,
    agents: &[&FakeAgent],
) -> (mpsc::UnboundedReceiver<String>, impl FnOnce(Presses) -> LocalBoxFuture<'static, Ran> + use<>) {
    running_in(planned(tasks, jobs, detach, agents.len()), agents, None)
}

/// The same, with a directory where work in progress is kept.
fn running_in(
    plan: Plan,
    agents: &[&FakeAgent],
    dir: Option<&Path>,
) -> (mpsc::UnboundedReceiver<String>, impl FnOnce(Presses) -> LocalBoxFuture<'static, Ran> + use<>) {
    let ways = agents.iter().map(|agent| Way::Here(Local::At(agent.socket.clone()))).collect();
    let relay = dir.and_then(|dir| Relay::of(&plan, ways, dir, &RunState::default()));
    let events = Rc::new(RefCell::new(Vec::new()));
    let (told, heard) = mpsc::unbounded_channel();
    let view = Witness { events: Rc::clone(&events), told };
    let followers = agents.iter().map(|agent| Follower::start(Endpoint::Unix(agent.socket.clone()), None));
    let links = Links::new(followers.collect());
    let run = move |presses: Presses| -> LocalBoxFuture<'static, Ran> {
        Box::pin(async move {
            let mut run = Run::new(&plan, links, Begin::default(), Box::new(Nowhere), Box::new(view));
            run.relay = relay;
            let exit = tokio::time::timeout(Duration::from_secs(20), run.go(presses))
                .await
                .expect("the run ends")
                .expect("the view takes everything");
            let events = events.borrow().clone();
            let mut state = RunState::default();
            events.iter().for_each(|event| state.apply(event));
            Ran { exit, names: events.iter().map(|e| name(&e.kind)).collect(), state }
        })
    };
    (heard, run)
}

fn presses(mut heard: mpsc::UnboundedReceiver<String>, at: &[&str]) -> Presses {
    let mut at: std::collections::VecDeque<String> = at.iter().map(|s| (*s).to_owned()).collect();
    poll_fn(move |cx| {
        loop {
            match heard.poll_recv(cx) {
                std::task::Poll::Ready(Some(name)) if at.front() == Some(&name) => {
                    at.pop_front();
                    return std::task::Poll::Ready(Some(()));
                }
                std::task::Poll::Ready(Some(_)) => {}
                std::task::Poll::Ready(None) | std::task::Poll::Pending => return std::task::Poll::Pending,
            }
        }
    })
    .fuse()
    .boxed()
}

fn position(ran: &Ran, name: &str) -> usize {
    ran.names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name:?} in {:#?}", ran.names))
}

#[tokio::test]
async fn tasks_run_to_their_end_a_few_at_a_time() {
    let ran = go(&["exit 0", "exit 3", "exit 0"], 2, false, &[]).await;
    assert_eq!(ran.exit, Exit::Failed);
    let sum = ran.state.summary();
    assert_eq!((sum.done, sum.failed), (2, 1));
    assert!(ran.names.first().is_some_and(|n| n == "run_started"));
    assert!(ran.names.last().is_some_and(|n| n == "run_finished"));
    let first_end = ran.names.iter().position(|n| n.starts_with("task_finished")).expect("some end");
    assert!(position(&ran, "task_placed 2") < first_end, "two at once: {:#?}", ran.names);
    assert!(position(&ran, "task_placed 3") > first_end, "but not three: {:#?}", ran.names);
    let Status::Ended { outcome, .. } = &ran.state.tasks[1].status else { panic!("it ended") };
    assert_eq!((outcome.state, outcome.exit_code), (State::Failed, Some(3)));
    assert_eq!(outcome.tail, ["bye"]);
}

#[tokio::test]
async fn all_good_is_exit_0_and_output_is_told() {
    let ran = go(&["show working…"], 1, false, &["task_output 1 working…"]).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert!(position(&ran, "task_output 1 working…") > position(&ran, "task_started 1"));
    assert_eq!(go(&["exit 0"], 1, false, &[]).await.exit, Exit::Done);
}

#[tokio::test]
async fn what_was_allowed_and_what_proves_it_is_told() {
    let ran = go(&["prove"], 1, false, &[]).await;
    assert_eq!(ran.exit, Exit::Done);
    assert!(position(&ran, "task_receipt 1") < position(&ran, "task_finished 1 done"));
    position(&ran, "task_confirmed 1");
    let Status::Ended { outcome, .. } = &ran.state.tasks[0].status else { panic!("it ended") };
    assert_eq!((outcome.proof, outcome.receipts.len()), (Some(Proof::Verified), 1));
    assert_eq!(outcome.check.as_ref().map(|check| check.command.as_str()), Some("make test"));
}

#[tokio::test]
async fn a_prompt_is_known_while_it_waits() {
    let ran = go(&["ask"], 1, false, &["task_state 1 waiting"]).await;
    let (_, live) = ran.state.live().next().expect("it goes on");
    assert_eq!((live.state, live.prompt.as_ref().map(|prompt| prompt.id)), (State::Waiting, Some(5)));
}

#[tokio::test]
async fn a_refusal_is_the_tasks_own() {
    let ran = go(&["refuse", "exit 0"], 1, false, &[]).await;
    assert_eq!(ran.exit, Exit::Failed);
    let Status::Refused { error } = &ran.state.tasks[0].status else { panic!("{:?}", ran.state.tasks[0]) };
    assert_eq!(error, "tool not found: x");
}

#[tokio::test]
async fn a_lost_connection_neither_loses_nor_doubles_a_task() {
    let ran = go(&["drop before the answer; exit 0", "exit 0"], 2, false, &[]).await;
    assert_eq!(ran.exit, Exit::Done, "{:#?}", ran.names);
    position(&ran, "host_lost");
    let connected = ran.names.iter().filter(|n| *n == "host_connected").count();
    assert!(connected >= 2);
    for task in ["task_started 1", "task_finished 1 done", "task_finished 2 done"] {
        assert_eq!(ran.names.iter().filter(|n| *n == task).count(), 1, "{task}: {:#?}", ran.names);
    }
}

#[tokio::test]
async fn detached_it_leaves_when_all_are_started() {
    let ran = go(&["hang", "hang", "hang"], 1, true, &[]).await;
    assert_eq!((ran.exit, ran.state.live().count()), (Exit::Done, 3));
}

#[tokio::test]
async fn the_first_interrupt_detaches() {
    let ran = go(&["hang", "hang", "exit 0"], 2, false, &["task_state 1 running"]).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert_eq!(ran.state.stop, Some(Stop::Detach));
    let sum = ran.state.summary();
    assert_eq!((sum.running, sum.queued), (2, 1), "they go on, the third was never started");
}

#[tokio::test]
async fn the_second_interrupt_ends_this_runs_sessions() {
    let ran = go(&["hang", "hang"], 2, false, &["task_state 2 running", "stop_requested detach"]).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    position(&ran, "task_finished 1 killed");
    position(&ran, "task_finished 2 killed");
}

#[tokio::test]
async fn the_third_interrupt_leaves_at_once() {
    let at = ["task_state 1 running", "stop_requested detach", "stop_requested cancel"];
    let ran = go(&["hang and survive"], 1, false, &at).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert_eq!(ran.state.live().count(), 1);
    assert!(ran.names.last().is_some_and(|n| n == "run_finished"));
}

/// Waits until the run tells this.
async fn until(heard: &mut mpsc::UnboundedReceiver<String>, what: &str) {
    let seen = async {
        while let Some(name) = heard.recv().await {
            if name == what {
                return;
            }
        }
        panic!("{what} was never told");
    };
    let seen = tokio::time::timeout(Duration::from_secs(15), seen).await;
    seen.unwrap_or_else(|_| panic!("{what} was not told in time"));
}

#[tokio::test]
async fn tasks_are_spread_over_hosts() {
    let agents = [FakeAgent::modern(1, &[]), FakeAgent::modern(2, &[])];
    let (_, run) = running(&["exit 0"; 4], 9, false, &[&agents[0], &agents[1]]);
    let ran = run(stream::pending().boxed()).await;
    assert_eq!(ran.exit, Exit::Done, "{:#?}", ran.names);
    for host in ["h0", "h1"] {
        assert!(ran.state.tasks.iter().any(|task| task.status.host() == Some(host)), "{host}");
    }
    let acknowledged: usize = agents
        .iter()
        .flat_map(FakeAgent::asked)
        .filter_map(|asked| asked.strip_prefix("acknowledged ")?.parse::<usize>().ok())
        .sum();
    assert_eq!(acknowledged, 4, "results may be forgotten there");
}

#[tokio::test]
async fn a_host_without_the_tool_is_given_none_of_its_tasks() {
    let agents = [FakeAgent::modern(1, &["sh"]), FakeAgent::modern(2, &[])];
    let (_, run) = running(&["exit 0"; 4], 9, false, &[&agents[0], &agents[1]]);
    let ran = run(stream::pending().boxed()).await;
    assert_eq!(ran.exit, Exit::Done, "shell is everywhere: nobody is asked for it");
}

/// 37: the fleet moves a task on; the host that comes back is told, and its attempt does not count.
#[tokio::test]
async fn a_task_of_a_host_that_vanishes_is_done_elsewhere_and_once() {
    let (mut first, second) = (FakeAgent::modern(1, &[]), FakeAgent::modern(2, &[]));
    let tasks = ["hang at first", "hang"];
    let (mut heard, run) = running(&tasks, 9, false, &[&first, &second]);
    let (press, presses) = by_hand();
    let watching = async {
        until(&mut heard, "task_state 1 running").await;
        first.vanish();
        until(&mut heard, "task_finished 1 done").await;
        first.wake();
        until(&mut heard, "host_fenced 1").await;
        press.send(()).expect("the run goes on");
    };
    let (ran, ()) = tokio::join!(run(presses), watching);
    let finished = ran.names.iter().filter(|name| *name == "task_finished 1 done").count();
    assert_eq!(finished, 1, "{:#?}", ran.names);
    let task = &ran.state.tasks[0];
    assert_eq!((task.attempt, task.status.host(), task.late.len()), (2, Some("h1"), 1));
    assert!(first.asked().contains(&"fence run-1-1 below 2".to_owned()), "{:?}", first.asked());
}

#[tokio::test]
async fn a_session_that_is_lost_is_tried_again_elsewhere() {
    let agents = [FakeAgent::modern(1, &[]), FakeAgent::modern(2, &[])];
    let (_, run) = running(&["lose it at first"], 9, false, &[&agents[0], &agents[1]]);
    let ran = run(stream::pending().boxed()).await;
    assert_eq!(ran.exit, Exit::Done, "{:#?}", ran.names);
    assert_eq!((ran.state.tasks[0].attempt, ran.state.tasks[0].status.host()), (2, Some("h1")));
}

#[tokio::test]
async fn who_leaves_gives_the_leases_back() {
    let agents = [FakeAgent::modern(1, &[]), FakeAgent::modern(2, &[])];
    let (heard, run) = running(&["hang"], 9, false, &[&agents[0], &agents[1]]);
    let ran = run(presses(heard, &["task_state 1 running"])).await;
    assert_eq!(ran.exit, Exit::Interrupted);
    assert!(agents[0].asked().contains(&"run-1 given back".to_owned()), "{:?}", agents[0].asked());
}

/// Ctrl-C by hand.
fn by_hand() -> (mpsc::UnboundedSender<()>, Presses) {
    let (press, mut pressed) = mpsc::unbounded_channel();
    (press, poll_fn(move |cx| pressed.poll_recv(cx)).boxed())
}

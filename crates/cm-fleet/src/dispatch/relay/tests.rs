//! Whose work is fetched when, and who goes on with whose.

use cm_client::protocol::{Outcome, SessionId, Worktree};

use super::*;
use crate::dispatch::plan::{Defaults, Rules, plan};
use crate::dispatch::tasks::Wanted;
use crate::local::Local;
use crate::report::event::{FleetPlan, HostPlan, RunEvent};

fn planned() -> Plan {
    let defaults = Defaults {
        tool: "shell".into(),
        path: "/srv/app".into(),
        worktree: Some(Worktree::default()),
        save_every: Some(60.0),
        ..Defaults::default()
    };
    let hosts = ["h0", "h1"].map(|name| HostPlan { name: name.into(), slots: Some(1) }).into();
    let fleet = FleetPlan { hosts, pools: Vec::new(), grace: 60.0, attempts: 3 };
    let rules = Rules { run: "run-1".into(), jobs: 1, fleet, ..Rules::default() };
    let wanted = vec![Wanted { text: "x".into(), ..Wanted::default() }];
    plan(&defaults, wanted, rules, &|_| panic!("no policies"), &|_| None).expect("a good plan")
}

fn failed(attempt: u32, class: Class) -> RunEventKind {
    let (host, error) = (format!("h{}", attempt - 1), "why".to_owned());
    RunEventKind::AttemptFailed {
        task: 1,
        attempt,
        host,
        class,
        error,
        again_at: 0.0,
        fence: false,
        outcome: None,
    }
}

fn placed(attempt: u32) -> RunEventKind {
    RunEventKind::TaskPlaced { task: 1, host: format!("h{}", attempt - 1), attempt }
}

fn started(attempt: u32) -> RunEventKind {
    let session_id = SessionId::from_bits(attempt.into());
    RunEventKind::TaskStarted { task: 1, session_id, existing: false, warnings: Vec::new(), base: None }
}

/// Whose work the second attempt goes on with: as the process that saw it knows, and as another one finds out.
#[tokio::test]
async fn who_goes_on_with_whose_work() {
    let dir = tempfile::tempdir().expect("a directory");
    let plan = planned();
    let ways = || vec![Way::Here(Local::At("/s".into())); 2];
    let new = |state: &RunState| Relay::of(&plan, ways(), dir.path(), state).expect("it saves");
    let check = |events: &[RunEventKind], expected: Option<&str>, later: Option<&str>| {
        let Plan { run, jobs, detach, tasks, fleet, .. } = plan.clone();
        let mut state = RunState::default();
        state
            .apply(&RunEvent { at: 0.0, kind: RunEventKind::RunStarted { run, jobs, detach, tasks, fleet } });
        let mut relay = new(&state);
        for kind in events {
            state.apply(&RunEvent { at: 1.0, kind: kind.clone() });
            relay.hear(kind);
        }
        let again = new(&state);
        assert_eq!((relay.left_on(1), again.left_on(1)), (expected, later), "{events:#?}");
        assert_eq!(relay.must_bring(1, 2), expected.is_some());
    };
    let infrastructure = || failed(1, Class::Infrastructure);
    check(&[placed(1), started(1)], None, None);
    check(&[placed(1), started(1), infrastructure()], Some("h0"), Some("h0"));
    check(&[placed(1), started(1), infrastructure(), placed(2)], Some("h0"), Some("h0"));
    check(&[placed(1), started(1), failed(1, Class::Task)], None, None);
    let again = [placed(1), started(1), infrastructure(), placed(2), failed(2, Class::Infrastructure)];
    check(&again, Some("h0"), Some("h1"));
    let done = RunEventKind::TaskFinished { task: 1, outcome: Outcome::default() };
    check(&[placed(1), started(1), infrastructure(), placed(2), started(2), done], None, None);
    // What it is to go on with is brought once.
    let mut relay = new(&RunState::default());
    relay.hear(&started(1));
    relay.hear(&infrastructure());
    assert!(relay.must_bring(1, 2));
    relay.brought(1, 2, None);
    assert!(!relay.must_bring(1, 2) && relay.must_bring(1, 3));
}

#[tokio::test(start_paused = true)]
async fn work_is_fetched_at_intervals_and_by_few_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut plan = planned();
    let (task, request) = (plan.tasks[0].clone(), plan.requests[0].clone());
    plan.tasks = (1..=9).map(|number| crate::report::event::TaskPlan { number, ..task.clone() }).collect();
    plan.requests = vec![request; 9];
    let mut state = RunState::default();
    let Plan { run, detach, tasks, fleet, .. } = plan.clone();
    state.apply(&RunEvent { at: 0.0, kind: RunEventKind::RunStarted { run, jobs: 9, detach, tasks, fleet } });
    let ways = vec![Way::Here(Local::At("/s".into())); 2];
    let mut relay = Relay::of(&plan, ways, dir.path(), &state).expect("it saves");
    for task in 1..=9 {
        let session_id = SessionId::from_bits(task as u128);
        for kind in [
            RunEventKind::TaskPlaced { task, host: "h0".into(), attempt: 1 },
            RunEventKind::TaskStarted { task, session_id, existing: false, warnings: Vec::new(), base: None },
        ] {
            state.apply(&RunEvent { at: 1.0, kind: kind.clone() });
            relay.hear(&kind);
        }
    }
    assert_eq!(relay.errands(Instant::now(), &state), []);
    tokio::time::advance(Duration::from_secs(66)).await;
    let tasks = |errands: &[Errand]| errands.iter().map(|errand| errand.task).collect::<Vec<_>>();
    let first = relay.errands(Instant::now(), &state);
    assert_eq!(tasks(&first), [1, 2, 3, 4]);
    assert_eq!(relay.errands(Instant::now(), &state), []);
    relay.fetched(first[1], "h0", Ok(None), &state);
    assert_eq!(tasks(&relay.errands(Instant::now(), &state)), [5]);
}

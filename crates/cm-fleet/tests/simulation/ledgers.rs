//! Ledgers as what is folded: any prefix of one, whole or with another order, is a run.

use cm_fleet::report::event::{Class, FleetPlan, HostPlan, RunEvent, RunEventKind as E, Stop, TaskPlan};
use cm_fleet::report::fold::RunState;
use cm_protocol::{Outcome, SessionId, State};
use proptest::prelude::*;

fn host() -> impl Strategy<Value = String> {
    (0..4_usize).prop_map(|n| format!("h{n}"))
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![Just(State::Done), Just(State::Failed), Just(State::Killed), Just(State::Lost)]
        .prop_map(|state| Outcome { state, ..Outcome::default() })
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Infrastructure),
        Just(Class::Login),
        Just(Class::Quota),
        Just(Class::Policy),
        Just(Class::Task)
    ]
}

fn tasks() -> Vec<TaskPlan> {
    let of = |number: usize| TaskPlan {
        number,
        task_id: format!("run-1-{number}"),
        label: String::new(),
        tool: ["shell", "claude"][number % 2].into(),
        path: String::new(),
        summary: String::new(),
        after: if number > 4 { vec![number - 3, number - 4] } else { Vec::new() },
        pool: number % 3,
        retries: 0,
        repo: ["a", "b"].get(number % 3).map(|repo| (*repo).to_owned()),
    };
    (1..=8).map(of).collect()
}

fn fleet() -> impl Strategy<Value = FleetPlan> {
    (1..4_usize).prop_map(|count| FleetPlan {
        hosts: (0..count).map(|n| HostPlan { name: format!("h{n}"), slots: Some(2) }).collect(),
        pools: vec![Vec::new(), vec![0], vec![0, count - 1]],
        grace: 10.0,
        attempts: 3,
    })
}

fn kind() -> impl Strategy<Value = E> {
    let task = || 0..10_usize;
    let hosts = prop_oneof![
        host().prop_map(|host| E::HostConnected { host, agent: String::new(), again: false, slots: None }),
        (host(), 0..5_u8).prop_map(|(host, busy)| E::HostLoad { host, busy }),
        host().prop_map(|host| E::HostLost { host, error: "x".into(), heard: None }),
        host().prop_map(|host| E::HostSetAside { host, error: "x".into(), until: 50.0 }),
        host().prop_map(|host| E::HostTrusted { host }),
        (host(), prop::option::of(0..90_u8)).prop_map(|(host, until)| E::HostUnfit {
            host,
            tool: "shell".into(),
            error: "x".into(),
            until: until.map(f64::from)
        }),
        host().prop_map(|host| E::HostFit { host, tool: "shell".into() }),
        (host(), task()).prop_map(|(host, task)| E::HostFenced { host, task, ended: Vec::new() }),
        host().prop_map(|host| E::HostGivenUp { host, error: "x".into() }),
        host().prop_map(|host| E::HostFull { host, error: "x".into(), again: false }),
        host().prop_map(|host| E::HostRoom { host }),
        (host(), prop::collection::vec("[ab]", 0..3)).prop_map(|(host, repos)| E::HostHas { host, repos }),
    ];
    let tasks = prop_oneof![
        6 => (task(), host(), 1..5_u32).prop_map(|(task, host, attempt)| E::TaskPlaced { task, host, attempt }),
        6 => (task(), 0..9_u128).prop_map(|(task, id)| E::TaskStarted {
            task,
            session_id: SessionId::from_bits((task as u128) << 64 | id),
            existing: false,
            warnings: Vec::new(),
            base: None,
        }),
        1 => (task(), any::<bool>()).prop_map(|(task, fence)| E::TaskQueued { task, fence }),
        4 => (task(), 1..5_u32, host(), class(), any::<bool>()).prop_map(|(task, attempt, host, class, fence)| {
            E::AttemptFailed { task, attempt, host, class, error: "x".into(), again_at: 5.0, fence, outcome: None }
        }),
        1 => (task(), class()).prop_map(|(task, class)| E::TaskParked {
            task,
            class,
            error: "x".into(),
            outcome: None,
        }),
        1 => (task(), task()).prop_map(|(task, because)| E::TaskSkipped { task, because }),
        1 => (task(), host(), outcome()).prop_map(|(task, host, outcome)| E::TaskLate {
            task,
            attempt: 1,
            host,
            outcome: Box::new(outcome),
        }),
        1 => task().prop_map(|task| E::TaskRefused { task, error: "x".into() }),
        3 => (task(), outcome()).prop_map(|(task, outcome)| E::TaskFinished { task, outcome }),
    ];
    let run = prop_oneof![
        prop::collection::vec(task(), 0..9).prop_map(|tasks| E::TasksReopened { tasks }),
        (fleet(), any::<bool>()).prop_map(|(fleet, detach)| E::RunResumed { jobs: 4, detach, fleet }),
        Just(E::StopRequested { stop: Stop::Detach }),
    ];
    prop_oneof![6 => hosts, 12 => tasks, 1 => run]
}

fn ledger() -> impl Strategy<Value = Vec<RunEvent>> {
    let rest = prop::collection::vec((kind(), 0..12_u8), 0..80);
    (fleet(), rest).prop_map(|(fleet, rest)| {
        let first = E::RunStarted { run: "run-1".into(), jobs: 4, detach: false, tasks: tasks(), fleet };
        let mut at = 0.0;
        let rest = rest.into_iter().map(|(kind, after)| {
            at += f64::from(after) / 4.0;
            RunEvent { at, kind }
        });
        std::iter::once(RunEvent { at: 0.0, kind: first }).chain(rest).collect()
    })
}

fn fold(state: &mut RunState, events: &[RunEvent]) {
    events.iter().for_each(|event| state.apply(event));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_ledger_folds_and_its_indexes_are_in_step(events in ledger()) {
        let mut state = RunState::default();
        for event in &events {
            state.apply(event);
            crate::checks::indexes(&state);
        }
    }

    #[test]
    fn a_prefix_and_the_rest_are_the_whole(events in ledger(), at in any::<prop::sample::Index>()) {
        let at = at.index(events.len());
        let (mut whole, mut parts) = (RunState::default(), RunState::default());
        fold(&mut whole, &events);
        fold(&mut parts, &events[..at]);
        let mut taken_up = parts.clone();
        fold(&mut taken_up, &events[at..]);
        prop_assert_eq!(whole, taken_up);
    }

    #[test]
    fn what_is_written_is_what_is_read(events in ledger()) {
        let lines: Vec<String> = events.iter().map(|e| serde_json::to_string(e).expect("it serializes")).collect();
        let read = |line: &String| serde_json::from_str::<RunEvent>(line).expect("it reads");
        let read: Vec<RunEvent> = lines.iter().map(read).collect();
        let (mut written, mut again) = (RunState::default(), RunState::default());
        fold(&mut written, &events);
        fold(&mut again, &read);
        prop_assert_eq!(written, again);
    }
}

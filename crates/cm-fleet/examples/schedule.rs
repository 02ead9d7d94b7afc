//! What a decision of the scheduler costs, with few hosts and with many: a run in memory, without a network.

use std::time::{Duration, Instant};

use cm_fleet::dispatch::schedule::{self, Patience, Round};
use cm_fleet::dispatch::verdict;
use cm_fleet::report::event::{FleetPlan, HostPlan, RunEvent, RunEventKind, TaskPlan};
use cm_fleet::report::fold::RunState;
use cm_protocol::{Outcome, SessionId, State};

/// Hosts of the fleets that are measured.
const FLEETS: [usize; 3] = [100, 1_000, 10_000];
/// Tasks for each host.
const EACH: usize = 10;
/// Slots of each host.
const SLOTS: u32 = 4;
/// A decision may cost this many times more with a hundred times as many hosts.
const GROWTH: f64 = 10.0;

/// What a run cost.
struct Cost {
    decisions: usize,
    took: Duration,
}

impl Cost {
    /// Microseconds for each decision.
    fn each(&self) -> f64 {
        self.took.as_secs_f64() * 1e6 / self.decisions.max(1) as f64
    }
}

fn main() {
    println!("| what | measured | goal | |\n|---|---|---|---|");
    let mut first = None;
    for hosts in FLEETS {
        for (kind, down) in [("", 0), (", every tenth down", hosts / 10)] {
            let cost = measure(hosts, down);
            let growth = cost.each() / *first.get_or_insert(cost.each());
            println!(
                "| {hosts} hosts, {} tasks{kind} | {:.0} decisions/s, {:.2} µs each, {growth:.1} times the first | \
                 at most {GROWTH:.0} times the first | {} |",
                hosts * EACH,
                1e6 / cost.each(),
                cost.each(),
                if growth <= GROWTH { "ok" } else { "missed" }
            );
        }
    }
}

/// A whole run: each task is placed, starts and ends; after each event it is decided what comes next, as the loop
/// of a run does. A decision is a task's way from its place in the queue to its end.
fn measure(hosts: usize, down: usize) -> Cost {
    let mut run = Run { state: RunState::default(), at: 1e9 };
    run.tell(RunEventKind::RunStarted {
        run: "run-1".into(),
        jobs: usize::MAX,
        detach: false,
        tasks: (1..=hosts * EACH).map(task).collect(),
        fleet: FleetPlan {
            hosts: (0..hosts).map(|n| HostPlan { name: format!("h{n}"), slots: Some(SLOTS) }).collect(),
            pools: Vec::new(),
            grace: 60.0,
            attempts: 3,
        },
    });
    for host in 0..hosts {
        let host = format!("h{host}");
        run.tell(RunEventKind::HostConnected { host, agent: String::new(), again: false, slots: None });
    }
    for host in 0..down {
        let host = format!("h{host}");
        run.tell(RunEventKind::HostGivenUp { host, error: "silent".into() });
    }
    let began = Instant::now();
    let mut running = std::collections::VecDeque::new();
    let mut decisions = 0;
    loop {
        let placed = run.advance();
        decisions += placed.len();
        for number in placed {
            let session_id = SessionId::from_bits(number as u128);
            run.tell(RunEventKind::TaskStarted {
                task: number,
                session_id,
                existing: false,
                warnings: Vec::new(),
                base: None,
            });
            running.push_back(number);
        }
        let Some(number) = running.pop_front() else { break };
        run.end(number);
    }
    Cost { decisions, took: began.elapsed() }
}

struct Run {
    state: RunState,
    at: f64,
}

impl Run {
    fn tell(&mut self, kind: RunEventKind) {
        self.at += 0.001;
        self.state.apply(&RunEvent { at: self.at, kind });
    }

    /// What the loop does between two events; the tasks it has placed.
    fn advance(&mut self) -> Vec<usize> {
        for kind in schedule::due(&self.state, self.at) {
            self.tell(kind);
        }
        let (mut round, mut placed) = (Round::default(), Vec::new());
        while let Some(next) = schedule::place(&self.state, self.at, &mut round) {
            let Some(host) = self.state.hosts.get(next.host).map(|host| host.name.clone()) else { break };
            self.tell(RunEventKind::TaskPlaced { task: next.task, host, attempt: next.attempt });
            placed.push(next.task);
        }
        std::hint::black_box(schedule::wake_at(&self.state, self.at));
        std::hint::black_box(schedule::is_over(&self.state, Patience::default()));
        placed
    }

    fn end(&mut self, number: usize) {
        let Some(task) = self.state.task(number) else { return };
        let outcome = Outcome { state: State::Done, ..Outcome::default() };
        for kind in verdict::ended(&self.state, task, outcome, self.at) {
            self.tell(kind);
        }
    }
}

fn task(number: usize) -> TaskPlan {
    TaskPlan {
        number,
        task_id: format!("run-1-{number}"),
        label: format!("task-{number}"),
        tool: ["claude", "codex"][number % 2].into(),
        path: "~".into(),
        summary: String::new(),
        after: Vec::new(),
        pool: 0,
        retries: 0,
        repo: None,
    }
}

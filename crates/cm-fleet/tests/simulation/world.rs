//! A fleet, a client and the network between them, in virtual time: one queue of what happens.

use std::collections::{BTreeMap, HashMap};

use cm_fleet::report::event::{FleetPlan, HostPlan, RunEvent, RunEventKind, TaskPlan};
use cm_fleet::report::fold::{Status, Wait};
use cm_protocol::{Outcome, State};

use crate::chance::Chance;
use crate::checks::Witness;
use crate::client::Client;
use crate::host::{Ask, Host, Orphan, Refusal, Say};

mod faults;
mod network;
mod serving;

/// What a world is like.
#[derive(Debug, Clone)]
pub struct Shape {
    pub hosts: usize,
    pub tasks: usize,
    pub slots: usize,
    pub jobs: usize,
    pub grace: f64,
    pub orphan: Orphan,
    pub detach: bool,
    /// How long a task takes at most, seconds.
    pub longest: f64,
    /// Faults come so many seconds apart on average, until they end.
    pub fault_every: f64,
    pub faults_until: f64,
    /// Whether everything is computed anew after every step.
    pub strict: bool,
    /// Whether the client crashes, is stopped, and is given other hosts.
    pub client_fails: bool,
    /// Whether hosts cannot be relied upon to end tasks well.
    pub bad_ends: usize,
    pub pools: usize,
    /// Whether hosts start sessions and do not say so.
    pub mute: bool,
    pub chains: bool,
    /// How many repositories tasks name.
    pub repos: usize,
}

enum Happening {
    /// `late`: it stays on its way when the host is cut off and the connection given up, until the host is booted.
    ToHost {
        host: usize,
        epoch: u64,
        late: Option<u32>,
        ask: Ask,
    },
    ToClient {
        host: usize,
        epoch: u64,
        say: Say,
    },
    Timeout {
        host: usize,
        epoch: u64,
        task: usize,
        attempt: u32,
        id: u64,
    },
    Kept {
        process: u64,
        len: usize,
        asks: Vec<(usize, u64, Ask)>,
    },
    Ends {
        host: usize,
        session: usize,
    },
    LeaseOver {
        host: usize,
        session: usize,
    },
    Fault,
    Heal {
        host: usize,
        cuts: u32,
    },
    Boot {
        host: usize,
    },
    Foreign {
        host: usize,
    },
    Reconnect {
        host: usize,
        process: u64,
    },
    Resume,
}

#[derive(Debug, Default, Clone)]
struct Connection {
    epoch: u64,
    open: bool,
    broken: bool,
    to_host: f64,
    to_client: f64,
    /// Requests that are not answered, by their numbers.
    asked: BTreeMap<(usize, u32), u64>,
}

/// See the module.
pub struct World {
    pub shape: Shape,
    pub chance: Chance,
    pub now: f64,
    pub hosts: Vec<Host>,
    pub tasks: Vec<TaskPlan>,
    pub pools: Vec<Vec<usize>>,
    /// The hosts the client knows, in its order.
    pub members: Vec<usize>,
    /// Their places in its order.
    number: HashMap<usize, usize>,
    /// Events of which everything has been checked.
    checked: usize,
    pub client: Option<Client>,
    pub steps: u64,
    ledger: Vec<RunEvent>,
    queue: BTreeMap<(u64, u64), Happening>,
    serial: u64,
    process: u64,
    connections: Vec<Connection>,
    witness: Witness,
    reopened: u32,
    woken: (f64, u32),
}

const BEGIN: f64 = 1000.0;

fn micros(at: f64) -> u64 {
    (at * 1e6).round() as u64
}

impl World {
    pub fn new(shape: Shape, seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let hosts: Vec<Host> = (0..shape.hosts).map(|n| host(&shape, &mut chance, n)).collect();
        let mut pools = vec![Vec::new()];
        for _ in 0..shape.pools {
            let pool: Vec<usize> = (0..shape.hosts).filter(|_| chance.percent(40)).collect();
            pools.push(pool);
        }
        let tasks = (1..=shape.tasks).map(|number| plan(&shape, &mut chance, number)).collect();
        let mut world = Self {
            now: BEGIN,
            members: (0..shape.hosts).collect(),
            number: HashMap::new(),
            checked: 0,
            connections: vec![Connection::default(); shape.hosts],
            witness: Witness::default(),
            ledger: Vec::new(),
            queue: BTreeMap::new(),
            client: None,
            serial: 0,
            process: 0,
            steps: 0,
            reopened: 0,
            woken: (0.0, 0),
            shape,
            chance,
            hosts,
            tasks,
            pools,
        };
        world.put(0.0, Happening::Resume);
        world.put(world.shape.fault_every, Happening::Fault);
        world
    }

    fn put(&mut self, after: f64, what: Happening) {
        self.serial += 1;
        self.queue.insert((micros(self.now + after.max(0.0)), self.serial), what);
    }

    fn faults_end(&self) -> f64 {
        BEGIN + self.shape.faults_until
    }

    fn in_trouble(&self) -> bool {
        self.now < self.faults_end()
    }

    /// Lets time pass until every task is settled.
    pub fn run(mut self) -> Self {
        let Shape { grace, tasks, longest, .. } = self.shape;
        let horizon = self.faults_end() + 2000.0 + 30.0 * grace + 4.0 * longest * tasks as f64;
        while self.step() {
            self.steps += 1;
            if self.now >= horizon {
                let client =
                    self.client.as_ref().map(|client| (client.state.summary(), client.state.links()));
                panic!("not over at {:.0}: {client:#?} {:#?}", self.now, self.stuck());
            }
        }
        let client = self.client.as_ref().expect("the last one");
        self.witness.history(&client.ledger, &self.hosts);
        self
    }

    fn stuck(&self) -> Vec<String> {
        let Some(client) = &self.client else { return Vec::new() };
        let open = client.state.tasks.iter().filter(|task| !task.status.is_over());
        open.map(|task| format!("{} {:?} tried {:?}", task.plan.number, task.status, task.tried)).collect()
    }

    /// One more thing happens; false when all is over.
    fn step(&mut self) -> bool {
        let wake = self.client.as_ref().map_or(f64::INFINITY, Client::wake_at);
        let next = self.queue.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
        if micros(wake) <= next {
            self.now = self.now.max(wake);
            self.woken = if self.woken.0 == self.now { (self.now, self.woken.1 + 1) } else { (self.now, 0) };
            assert!(self.woken.1 < 50, "it spins");
            let client = self.client.as_mut().expect("it woke");
            client.now = self.now;
            client.wake();
        } else if let Some(((at, _), what)) = self.queue.pop_first() {
            self.now = self.now.max(at as f64 / 1e6);
            if let Some(client) = &mut self.client {
                client.now = self.now;
            }
            self.happen(what);
        }
        let Some(client) = &mut self.client else { return true };
        client.advance();
        let over = client.is_over();
        if over {
            client.finish();
        }
        self.flush();
        if self.shape.strict
            && let Some(client) = self.client.as_ref().filter(|client| client.ledger.len() != self.checked)
        {
            self.checked = client.ledger.len();
            crate::checks::indexes(&client.state);
        }
        if over { self.ended() } else { true }
    }

    /// The run is over: all is settled, or somebody takes it up again.
    fn ended(&mut self) -> bool {
        let client = self.client.as_mut().expect("it has ended");
        let sum = client.state.summary();
        // Whoever detaches does not wait for ends.
        let settled = sum.queued + if client.state.detach { client.state.placed() } else { sum.running } == 0;
        if !settled && client.state.stop.is_none() && !client.state.detach {
            let all = client.state.hosts.len() == client.state.given_up().len();
            let others = |status: &Status| matches!(status, Status::Queued(Wait::Others(_)));
            let open =
                client.state.tasks.iter().filter(|task| !task.status.is_over() && !others(&task.status));
            let hope = open.into_iter().any(|task| {
                let of = |host: &usize| client.state.is_in_pool(task.plan.pool, *host);
                (0..client.state.hosts.len())
                    .filter(of)
                    .any(|h| client.state.hosts[h].may_ever(&task.plan.tool))
            });
            assert!(all || !hope, "it gave up while there was hope: {:#?}", client.state.hosts);
        }
        if !self.in_trouble() && (settled || self.is_hopeless()) {
            return self.reopen(settled);
        }
        self.leave(true);
        let pause = self.chance.within(0.1, self.shape.grace);
        self.put(pause, Happening::Resume);
        true
    }

    /// What is left can run nowhere: all hosts it may run on are dead for ever.
    fn is_hopeless(&self) -> bool {
        let client = self.client.as_ref().expect("it has ended");
        let others = |status: &Status| matches!(status, Status::Queued(Wait::Others(_)));
        let alive = |host: &usize| !self.hosts[*host].dead && !self.hosts[*host].tool_missing;
        let open = client.state.tasks.iter().filter(|task| !task.status.is_over() && !others(&task.status));
        open.into_iter().all(|task| {
            let pool = &self.pools[task.plan.pool];
            let members = self.members.iter().filter(|host| pool.is_empty() || pool.contains(host));
            !members.copied().collect::<Vec<_>>().iter().any(alive)
        })
    }

    /// Failed tasks are opened again a few times; false when nobody wants to any more.
    fn reopen(&mut self, settled: bool) -> bool {
        let client = self.client.as_ref().expect("it has ended");
        let over = client.state.tasks.iter().filter(|task| task.status.is_over() && !task.status.is_done());
        let bad: Vec<usize> = over.map(|task| task.plan.number).collect();
        if bad.is_empty() || self.reopened >= 2 || !settled || !self.shape.client_fails {
            return false;
        }
        self.reopened += 1;
        let tasks = bad.into_iter().filter(|_| self.chance.percent(80)).collect();
        self.leave(true);
        self.ledger.push(RunEvent { at: self.now, kind: RunEventKind::TasksReopened { tasks } });
        self.put(1.0, Happening::Resume);
        true
    }

    /// The client's process ends. What was kept stays, and `all` or some of what was not.
    fn leave(&mut self, all: bool) {
        let Some(client) = self.client.take() else { return };
        let rest = client.ledger.len() - client.kept;
        let len = if all { client.ledger.len() } else { client.kept + self.chance.below(rest + 1) };
        self.ledger = client.ledger;
        self.ledger.truncate(len);
        self.process += 1;
        for connection in &mut self.connections {
            connection.epoch += 1;
            (connection.open, connection.broken) = (false, true);
            connection.asked.clear();
        }
    }

    fn resume(&mut self) {
        if self.client.is_some() {
            return;
        }
        if self.shape.client_fails && !self.ledger.is_empty() && self.chance.percent(40) {
            self.other_members();
        }
        if !self.in_trouble() {
            self.members = (0..self.hosts.len()).collect();
        }
        self.number = self.members.iter().enumerate().map(|(number, host)| (*host, number)).collect();
        let number = |host: &usize| self.number.get(host).copied();
        let fleet = FleetPlan {
            hosts: self
                .members
                .iter()
                .map(|host| HostPlan {
                    name: self.hosts[*host].name.clone(),
                    slots: Some(self.hosts[*host].slots as u32),
                })
                .collect(),
            pools: self.pools.iter().map(|pool| pool.iter().filter_map(number).collect()).collect(),
            grace: self.shape.grace,
            attempts: 3,
        };
        let ledger = std::mem::take(&mut self.ledger);
        let (jobs, detach) = (self.shape.jobs, self.shape.detach);
        self.client = Some(Client::start(ledger, self.now, &self.tasks, fleet, jobs, detach));
        for host in 0..self.members.len() {
            let after = self.chance.within(0.0, 0.4);
            self.put(after, Happening::Reconnect { host, process: self.process });
        }
    }

    fn happen(&mut self, what: Happening) {
        match what {
            Happening::ToHost { host, epoch, late, ask } => {
                let connection = &self.connections[host];
                let late = late.is_some_and(|boots| self.hosts[host].up && self.hosts[host].boots == boots);
                if connection.epoch == epoch && !connection.broken || late {
                    self.serve(host, ask);
                }
            }
            Happening::ToClient { host, epoch, say } => self.deliver(host, epoch, say),
            Happening::Timeout { host, epoch, task, attempt, id } => {
                let Some(place) = self.members.get(host).copied() else { return };
                let connection = &mut self.connections[place];
                if connection.epoch == epoch && connection.asked.get(&(task, attempt)) == Some(&id) {
                    connection.asked.remove(&(task, attempt));
                    self.tell(host, Say::Created { task, attempt, id, result: Err(Refusal::Lost) });
                }
            }
            Happening::Kept { process, len, asks } => {
                if process != self.process {
                    return;
                }
                let Some(client) = &mut self.client else { return };
                client.kept = client.kept.max(len);
                asks.into_iter().for_each(|(host, epoch, ask)| self.send(host, epoch, ask));
            }
            Happening::Ends { host, session } => {
                let outcome = self.outcome();
                self.end(host, session, outcome);
            }
            Happening::LeaseOver { host, session } => self.lease_over(host, session),
            Happening::Fault => self.fault(),
            Happening::Heal { host, cuts } => {
                let host = &mut self.hosts[host];
                (host.cut, host.mute) = (host.cut && host.cuts != cuts, false);
            }
            Happening::Boot { host } => self.hosts[host].up |= !self.hosts[host].dead,
            Happening::Foreign { host } => self.hosts[host].foreign = 0,
            Happening::Reconnect { host, process } => self.reconnect(host, process),
            Happening::Resume => self.resume(),
        }
    }
}

fn host(shape: &Shape, chance: &mut Chance, number: usize) -> Host {
    let slots = 1 + chance.below(shape.slots);
    // No two clocks agree.
    Host::new(format!("h{number}"), slots, chance.within(0.0, 1e6))
}

fn plan(shape: &Shape, chance: &mut Chance, number: usize) -> TaskPlan {
    let follows = shape.chains && number > 2 && chance.percent(25);
    let after = if follows {
        (0..1 + chance.below(2)).map(|_| 1 + chance.below(number - 1)).collect()
    } else {
        Vec::new()
    };
    TaskPlan {
        number,
        task_id: format!("run-1-{number}"),
        label: format!("task-{number}"),
        tool: if chance.percent(70) { "shell" } else { "claude" }.into(),
        path: "~".into(),
        summary: String::new(),
        after,
        pool: chance.below(shape.pools + 1),
        retries: u32::from(chance.percent(30)),
        repo: (shape.repos > 0 && chance.percent(60)).then(|| format!("repo-{}", chance.below(shape.repos))),
    }
}

fn killed(reason: &str) -> Outcome {
    let reason = (!reason.is_empty()).then(|| reason.to_owned());
    Outcome { state: State::Killed, reason, ..Outcome::default() }
}

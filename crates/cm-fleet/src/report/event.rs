//! What happens in a run, as owned serializable events: everything that is shown is made of these. PURE.

use cm_protocol::{Outcome, Prompt, Receipt, SessionId, State};
use serde::{Deserialize, Serialize};

mod plans;

pub use plans::{Class, FleetPlan, HostPlan, Stop, Summary, TaskPlan};

/// One thing that happened, and when (Unix seconds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// When.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub kind: RunEventKind,
}

/// Everything that happens in a run. `run_started` is the first, `run_finished` always the last; a process that goes
/// on with a run tells `run_resumed` first, and what was before stands in the ledger (`runs show --json`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum RunEventKind {
    /// The run begins; these are its tasks.
    RunStarted {
        /// The run's random id.
        run: String,
        /// How many tasks run at once at most.
        jobs: usize,
        /// Nobody waits for the results: the run ends when every task has its session.
        detach: bool,
        /// The tasks, numbered from 1.
        tasks: Vec<TaskPlan>,
        /// The hosts they may run on, and the rules of the run.
        #[serde(flatten)]
        fleet: FleetPlan,
    },
    /// The run goes on, in another process and perhaps with other hosts. Nothing is known of them yet.
    RunResumed {
        /// How many tasks run at once at most.
        jobs: usize,
        /// Nobody waits for the results.
        detach: bool,
        /// The hosts, and the rules.
        #[serde(flatten)]
        fleet: FleetPlan,
    },
    /// Tasks that ended badly are to be tried again.
    TasksReopened {
        /// Their numbers.
        tasks: Vec<usize>,
    },
    /// The agent of a host answers.
    HostConnected {
        /// The host's name.
        host: String,
        /// The agent's release.
        agent: String,
        /// It had been lost before.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
        /// Tasks it runs at the same time, where it says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        slots: Option<u32>,
    },
    /// Which of the run's repositories a host has already, in place of what was known: they need not be cloned there.
    HostHas {
        /// The host's name.
        host: String,
        /// By their addresses, without logins.
        repos: Vec<String>,
    },
    /// How busy a host is has changed so much that it matters for where tasks go. Sampled.
    HostLoad {
        /// The host's name.
        host: String,
        /// From 0, at rest, to 4, not one more.
        busy: u8,
    },
    /// The agent of a host answers no more; its sessions go on. Reconnecting.
    HostLost {
        /// The host's name.
        host: String,
        /// Why.
        error: String,
        /// When it was last heard, Unix seconds; absent: when this happened.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        heard: Option<f64>,
    },
    /// A host is given nothing new for a while: too much has gone wrong there.
    HostSetAside {
        /// The host's name.
        host: String,
        /// What went wrong.
        error: String,
        /// Until when, Unix seconds.
        until: f64,
    },
    /// A host that was set aside may be given tasks again.
    HostTrusted {
        /// The host's name.
        host: String,
    },
    /// A host cannot run a tool: it is missing there, nobody is logged in, or its quota is used up.
    HostUnfit {
        /// The host's name.
        host: String,
        /// The tool.
        tool: String,
        /// Why.
        error: String,
        /// Until when, Unix seconds; absent: until somebody does something about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<f64>,
    },
    /// A host may be tried with a tool again.
    HostFit {
        /// The host's name.
        host: String,
        /// The tool.
        tool: String,
    },
    /// A host was told that an earlier attempt is not wanted any more; what still ran of it is ended.
    HostFenced {
        /// The host's name.
        host: String,
        /// The task's number.
        task: usize,
        /// Sessions that were still running.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        ended: Vec<SessionId>,
    },
    /// The agent of a host could not be reached again in time.
    HostGivenUp {
        /// The host's name.
        host: String,
        /// Why.
        error: String,
    },
    /// Something about a host's agent that a person should know.
    HostNotice {
        /// The host's name.
        host: String,
        /// A stable word.
        topic: String,
        /// In words.
        message: String,
    },
    /// A host holds as many sessions as it may; tasks wait until one ends.
    HostFull {
        /// The host's name.
        host: String,
        /// In its own words.
        error: String,
        /// It has been full before in this run.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        again: bool,
    },
    /// A host may have room again.
    HostRoom {
        /// The host's name.
        host: String,
    },
    /// A task is about to be sent to a host. Comes before the request leaves.
    TaskPlaced {
        /// The task's number.
        task: usize,
        /// The host.
        host: String,
        /// The attempt, from 1.
        attempt: u32,
    },
    /// The task has its session.
    TaskStarted {
        /// The task's number.
        task: usize,
        /// Its session.
        session_id: SessionId,
        /// It existed already: an earlier request had arrived after all.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        existing: bool,
        /// Things worth knowing that are no errors.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        warnings: Vec<String>,
        /// In a work tree of its own: the commit that what changes is told from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        base: Option<String>,
    },
    /// The host had no room for the task: it waits for its turn again.
    TaskQueued {
        /// The task's number.
        task: usize,
        /// It was asked for more than once, and an earlier request may still be on its way: the host has to be told.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fence: bool,
    },
    /// An attempt is over and has not settled the task: it waits for another one.
    AttemptFailed {
        /// The task's number.
        task: usize,
        /// The attempt, from 1.
        attempt: u32,
        /// Where it ran.
        host: String,
        /// What kind of failure.
        class: Class,
        /// In words.
        error: String,
        /// Not before then, Unix seconds.
        again_at: f64,
        /// Nobody knows that it has ended: the host has to be told when it is reached again.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        fence: bool,
        /// How it ended, where that is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Box<Outcome>>,
    },
    /// The task cannot go on until somebody does something about it.
    TaskParked {
        /// The task's number.
        task: usize,
        /// What kind of failure.
        class: Class,
        /// In words.
        error: String,
        /// How its last attempt ended, where there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        outcome: Option<Box<Outcome>>,
    },
    /// The task is not run: one it was to follow has not ended well.
    TaskSkipped {
        /// The task's number.
        task: usize,
        /// The one it was to follow.
        because: usize,
    },
    /// An attempt that had been given up has ended after all. Evidence: it changes nothing.
    TaskLate {
        /// The task's number.
        task: usize,
        /// The attempt.
        attempt: u32,
        /// Where it ran.
        host: String,
        /// How it ended.
        outcome: Box<Outcome>,
    },
    /// The host would not start the task.
    TaskRefused {
        /// The task's number.
        task: usize,
        /// Why.
        error: String,
    },
    /// The task's session is in another state.
    TaskState {
        /// The task's number.
        task: usize,
        /// The state.
        state: State,
        /// Why, where there is something to say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// With `waiting`: the question.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<Prompt>,
    },
    /// The agent answered a prompt by policy.
    TaskConfirmed {
        /// The task's number.
        task: usize,
        /// The rule that allowed it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rule: Option<String>,
        /// The prompt's id.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<u64>,
    },
    /// Something was done about a prompt: by policy, or for a person.
    TaskReceipt {
        /// The task's number.
        task: usize,
        /// What was done.
        receipt: Box<Receipt>,
    },
    /// The last line of the task's screen is another one. Sampled: lines in between may be missing.
    TaskOutput {
        /// The task's number.
        task: usize,
        /// The line, without control characters.
        line: String,
    },
    /// The task has ended.
    TaskFinished {
        /// The task's number.
        task: usize,
        /// How.
        outcome: Outcome,
    },
    /// The operator wants to stop.
    StopRequested {
        /// How.
        stop: Stop,
    },
    /// A session of this run could not be ended.
    CancelFailed {
        /// The task's number.
        task: usize,
        /// Why.
        error: String,
    },
    /// The run has ended: nothing follows.
    RunFinished {
        /// The run's id.
        run: String,
        /// What became of the tasks.
        summary: Summary,
        /// How long it took, seconds.
        seconds: f64,
        /// The exit code of the command.
        exit: u8,
    },
}

impl RunEventKind {
    /// Whether only the newest of them matters, and none after the run: they are shown and not kept.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::TaskOutput { .. } | Self::HostLoad { .. })
    }

    /// The task it is about.
    pub fn task(&self) -> Option<usize> {
        match self {
            Self::TaskPlaced { task, .. }
            | Self::TaskStarted { task, .. }
            | Self::TaskQueued { task, .. }
            | Self::TaskRefused { task, .. }
            | Self::TaskState { task, .. }
            | Self::TaskConfirmed { task, .. }
            | Self::TaskReceipt { task, .. }
            | Self::TaskOutput { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::AttemptFailed { task, .. }
            | Self::TaskParked { task, .. }
            | Self::TaskSkipped { task, .. }
            | Self::TaskLate { task, .. }
            | Self::HostFenced { task, .. }
            | Self::CancelFailed { task, .. } => Some(*task),
            Self::RunStarted { .. }
            | Self::RunResumed { .. }
            | Self::TasksReopened { .. }
            | Self::HostLoad { .. }
            | Self::HostHas { .. }
            | Self::HostSetAside { .. }
            | Self::HostTrusted { .. }
            | Self::HostUnfit { .. }
            | Self::HostFit { .. }
            | Self::HostConnected { .. }
            | Self::HostLost { .. }
            | Self::HostGivenUp { .. }
            | Self::HostFull { .. }
            | Self::HostRoom { .. }
            | Self::HostNotice { .. }
            | Self::StopRequested { .. }
            | Self::RunFinished { .. } => None,
        }
    }
}

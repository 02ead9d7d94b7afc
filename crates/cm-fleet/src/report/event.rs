//! What happens in a run, as owned serializable events: everything that is shown is made of these. PURE.

use cm_protocol::{Outcome, Prompt, Receipt, SessionId, State};
use serde::{Deserialize, Serialize};

/// One thing that happened, and when (Unix seconds).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEvent {
    /// When.
    pub at: f64,
    /// What.
    #[serde(flatten)]
    pub kind: RunEventKind,
}

/// Everything that happens in a run. `run_started` is the first, `run_finished` always the last.
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
    },
    /// The agent of a host answers no more; its sessions go on. Reconnecting.
    HostLost {
        /// The host's name.
        host: String,
        /// Why.
        error: String,
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
    },
    /// The host had no room for the task: it waits for its turn again.
    TaskQueued {
        /// The task's number.
        task: usize,
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

/// A task as it was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskPlan {
    /// Its number, from 1.
    pub number: usize,
    /// Its identity across attempts.
    pub task_id: String,
    /// What people call it: the name given, or `task-1`.
    pub label: String,
    /// The tool.
    pub tool: String,
    /// The directory it works in.
    pub path: String,
    /// The first line of its text.
    pub summary: String,
}

/// How a run is to be stopped; each is stronger than the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// Start nothing more; what runs goes on without us.
    Detach,
    /// End this run's sessions.
    Cancel,
}

/// What became of a run's tasks. The numbers add up to all of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Summary {
    /// Ended well.
    pub done: usize,
    /// Ended badly, were killed, were lost or could not be started.
    pub failed: usize,
    /// Still going on.
    pub running: usize,
    /// Never started.
    pub queued: usize,
}

impl RunEventKind {
    /// The task it is about.
    pub fn task(&self) -> Option<usize> {
        match self {
            Self::TaskPlaced { task, .. }
            | Self::TaskStarted { task, .. }
            | Self::TaskQueued { task }
            | Self::TaskRefused { task, .. }
            | Self::TaskState { task, .. }
            | Self::TaskConfirmed { task, .. }
            | Self::TaskReceipt { task, .. }
            | Self::TaskOutput { task, .. }
            | Self::TaskFinished { task, .. }
            | Self::CancelFailed { task, .. } => Some(*task),
            Self::RunStarted { .. }
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

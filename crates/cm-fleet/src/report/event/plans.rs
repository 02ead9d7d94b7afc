//! What events say of tasks and hosts as they were asked for, and of what became of them. PURE.

use serde::{Deserialize, Serialize};

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
    /// The tasks that have to end well before this one begins, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<usize>,
    /// Where it may run: a number in [`FleetPlan::pools`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pool: usize,
    /// How often it is tried again when it has failed.
    #[serde(default, skip_serializing_if = "is_none_left")]
    pub retries: u32,
    /// The repository that its host clones for it, by its address without a login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
}

/// The hosts of a run, and its rules.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FleetPlan {
    /// The hosts.
    pub hosts: Vec<HostPlan>,
    /// Sets of hosts tasks choose from, by their numbers in `hosts`; an empty one is all of them. None at
    /// all: every task may run anywhere.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pools: Vec<Vec<usize>>,
    /// A host that was not heard for so long is given up, and its tasks go elsewhere. Seconds.
    pub grace: f64,
    /// Attempts a task has when hosts fail it, not counting its own failures.
    pub attempts: u32,
}

/// A host of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct HostPlan {
    /// Its name.
    pub name: String,
    /// Tasks it runs at the same time, where the inventory says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_none_left(n: &u32) -> bool {
    *n == 0
}

/// What kind of failure ended an attempt: it decides what is tried next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// The host, its agent or the way there: another host may do.
    Infrastructure,
    /// The tool is not there or nobody is logged in: not on this host.
    Login,
    /// The tool's quota is used up there: not before its reset.
    Quota,
    /// A rule said no: a person has to decide.
    Policy,
    /// The task itself.
    Task,
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
    /// Not started, or waiting for another attempt.
    pub queued: usize,
    /// Cannot go on until somebody does something.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub parked: usize,
    /// Not run, because others failed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub skipped: usize,
}

impl Summary {
    /// Tasks that have ended and not ended well.
    pub fn bad(&self) -> usize {
        self.failed + self.parked + self.skipped
    }
}

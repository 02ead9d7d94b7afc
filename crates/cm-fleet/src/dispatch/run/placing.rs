//! Tasks on their way to hosts: placed, asked for, and asked for again.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tokio::time::Instant;

use super::asking;
use super::{AT_ONCE, MUSTER, Plan, Round, Run, schedule};
use crate::dispatch::record::Kept;
use crate::report::event::RunEventKind;
use crate::report::fold::{RunState, Status};

/// The tools of a plan's tasks, each once; a shell is everywhere.
pub(super) fn tools(plan: &Plan) -> Vec<String> {
    let tools: BTreeSet<&str> = plan.tasks.iter().map(|task| task.tool.as_str()).collect();
    tools.into_iter().filter(|tool| *tool != "shell").map(str::to_owned).collect()
}

/// Tasks whose host was asked and has not answered.
pub(super) fn asked_before(state: &RunState) -> BTreeMap<usize, u32> {
    let placed = state.tasks.iter().filter(|task| matches!(task.status, Status::Placed { .. }));
    placed.map(|task| (task.plan.number, 1)).collect()
}

/// The repositories of a plan's tasks, each once.
pub(super) fn repos(plan: &Plan) -> Vec<String> {
    let repos: BTreeSet<&String> = plan.tasks.iter().filter_map(|task| task.repo.as_ref()).collect();
    repos.into_iter().cloned().collect()
}

impl Run<'_> {
    /// Asks for the sessions of the tasks whose turn it is.
    pub(super) fn place(&mut self, now: f64) -> io::Result<()> {
        if self.unwritten {
            return Ok(());
        }
        let mut placed = Vec::new();
        let mut round = if self.muster() { Round::sharing(&self.state) } else { Round::default() };
        for _ in 0..AT_ONCE {
            let Some(next) = schedule::place(&self.state, now, &mut round) else { break };
            let host = self.name(next.host);
            self.tries.remove(&next.task);
            self.emit(RunEventKind::TaskPlaced { task: next.task, host, attempt: next.attempt })?;
            placed.push(next);
        }
        if placed.is_empty() {
            return Ok(());
        }
        let kept = self.record.kept();
        for next in placed {
            self.ask(next.task, next.host, next.attempt, kept.clone());
        }
        Ok(())
    }

    /// Whether hosts are still coming: the first has answered, others may do so any moment.
    fn muster(&mut self) -> bool {
        if self.mustered || self.state.unheard() == 0 {
            return false;
        }
        if self.state.up() > 0 && self.muster_at.is_none() {
            self.muster_at = Some(Instant::now() + MUSTER);
        }
        true
    }

    /// Asks a host for a task's session; without a connection it is asked when there is one.
    pub(super) fn ask(&mut self, task: usize, host: usize, attempt: u32, kept: Kept) {
        let Some(client) = self.links.client(host) else { return };
        let Some(mut request) = self.plan.requests.get(task.wrapping_sub(1)).cloned() else { return };
        if self.brings(task, host, attempt, &client) {
            return;
        }
        self.go_on(&mut request, task, attempt, &client);
        *self.tries.entry(task).or_default() += 1;
        request.attempt = Some(attempt);
        request.lease = self.lease(host);
        self.creating.insert(task);
        self.asked.push(asking::create(client, kept, (task, host, attempt), request));
    }

    /// Asks again for what a host was asked for and has not answered.
    pub(super) fn ask_again(&mut self, host: usize) {
        let lost: Vec<(usize, u32)> = schedule::to_ask_again(&self.state, host, &self.creating)
            .map(|task| (task.plan.number, task.attempt))
            .collect();
        if lost.is_empty() || self.state.stop.is_some() {
            return;
        }
        let kept = self.record.kept();
        for (task, attempt) in lost {
            self.ask(task, host, attempt, kept.clone());
        }
    }
}

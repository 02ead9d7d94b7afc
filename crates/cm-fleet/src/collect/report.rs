//! What is written and said of collected results: `result.json`, lines of JSON, the table. PURE.

use cm_protocol::{Outcome, SessionId};
use serde::Serialize;

use super::branches::{Became, Brought, Meeting};
use super::conflicts::Verdict;
use super::history::{Attempt, History};
use crate::report::clean::clean;
use crate::report::event::TaskPlan;
use crate::report::fold::{Status, Task};
use crate::report::paint::Paint;
use crate::report::table::{Cell, Column, render};
use crate::report::words::ending;

/// What became of a task, as it stands in `result.json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult<'a> {
    /// The run.
    pub run: &'a str,
    /// What was asked.
    #[serde(flatten)]
    pub plan: &'a TaskPlan,
    /// `done`, `failed`, `killed`, `lost`, `refused`, `parked` or `skipped`.
    pub state: &'static str,
    /// Where it ran last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<&'a str>,
    /// Its last session, whose text and patch are beside this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub session_id: Option<&'a SessionId>,
    /// Its last attempt.
    pub attempt: u32,
    /// Why it has no outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// How it ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<&'a Outcome>,
    /// All attempts, in order.
    pub attempts: &'a [Attempt],
    /// Nothing is missing here and nothing is going to follow.
    pub complete: bool,
    /// What could not be had.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
}

impl<'a> TaskResult<'a> {
    /// Of a task that has ended; `None`: it has not.
    pub fn of(run: &'a str, task: &'a Task, history: &'a History) -> Option<Self> {
        let last = history.last();
        let (state, error) = match &task.status {
            Status::Ended { outcome, .. } => (outcome.state.as_str(), None),
            Status::Refused { error } => ("refused", Some(error.clone())),
            Status::Parked { error, .. } => ("parked", Some(error.clone())),
            Status::Skipped { because } => ("skipped", Some(format!("task {because} has not ended well"))),
            Status::Queued(_) | Status::Placed { .. } | Status::Live(_) => return None,
        };
        let outcome = match &task.status {
            Status::Ended { outcome, .. } => Some(outcome),
            Status::Parked { outcome, .. } => outcome.as_deref(),
            _ => None,
        };
        Some(Self {
            run,
            plan: &task.plan,
            state,
            host: last.map(|last| last.host.as_str()),
            session_id: last.and_then(|last| last.session_id.as_ref()),
            attempt: task.attempt,
            error,
            outcome,
            attempts: &history.attempts,
            complete: false,
            missing: Vec::new(),
        })
    }
}

/// A branch in words.
pub fn branch(label: &str, brought: &Brought) -> String {
    let (label, branch) = (clean(label), clean(&brought.branch));
    match &brought.became {
        Became::Made => format!("{label}: branch {branch}\n"),
        Became::Same => format!("{label}: branch {branch}, as before\n"),
        Became::Forwarded => format!("{label}: branch {branch}, brought up to date\n"),
        Became::Kept { why, instead } => {
            format!(
                "{label}: branch {branch} is left as it is: {}; the work is {}\n",
                clean(why),
                clean(instead)
            )
        }
        Became::Failed { why } => format!("{label}: no branch: {}\n", clean(why)),
    }
}

/// Two tasks that changed the same files, in words.
pub fn meeting(label: impl Fn(usize) -> String, met: &Meeting) -> String {
    let (one, other) = (clean(&label(met.one)), clean(&label(met.other)));
    let list = |files: &[String]| clean(&files.join(", "));
    match &met.verdict {
        Verdict::Conflict { files } => format!("conflict: {one} and {other} in {}\n", list(files)),
        Verdict::Clean => format!("merges: {one} and {other} both changed {}\n", list(&met.files)),
        Verdict::Unknown { why } => {
            format!(
                "perhaps a conflict: {one} and {other} both changed {} ({})\n",
                list(&met.files),
                clean(why)
            )
        }
    }
}

/// The table of what was collected: each result and its directory's name.
pub fn table(rows: &[(TaskResult<'_>, String)], columns: Option<usize>, paint: Paint) -> String {
    let missing = rows.iter().any(|(result, _)| !result.missing.is_empty());
    let mut head = vec![
        Column::elastic("name"),
        Column::text("state"),
        Column::text("host"),
        Column::elastic("changes"),
        Column::elastic("results"),
    ];
    head.extend(missing.then_some(Column::elastic("missing")));
    let rows: Vec<Vec<Cell>> = rows
        .iter()
        .map(|(result, folder)| {
            let changes = result.outcome.and_then(|outcome| outcome.changes.as_ref());
            let mut cells: Vec<Cell> = vec![
                clean(&result.plan.label).into(),
                state(result),
                clean(result.host.unwrap_or_default()).into(),
                changes.map(ending::changes).unwrap_or_default().into(),
                clean(folder).into(),
            ];
            cells.extend(missing.then(|| clean(&result.missing.join("; ")).into()));
            cells
        })
        .collect();
    render(&head, &rows, columns, paint)
}

fn state(result: &TaskResult<'_>) -> Cell {
    match result.outcome {
        Some(outcome) if result.state != "parked" => Cell::state(outcome.state),
        _ => Cell::coloured(result.state, Paint::bad),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_and_conflicts_in_words() {
        let brought = |became| Brought { task: 0, branch: "cm/a".into(), commit: None, base: None, became };
        let kept = Became::Kept {
            why: "the branch cm/a here has commits of its own".into(),
            instead: "refs/cm/run-1/a".into(),
        };
        let all =
            [Became::Made, Became::Same, Became::Forwarded, kept, Became::Failed { why: "x\x1b[2J".into() }];
        let mut text: String = all.into_iter().map(|became| branch("a", &brought(became))).collect();
        let files = vec!["src/a.rs".to_owned(), "b".to_owned()];
        for verdict in [
            Verdict::Conflict { files: vec!["b".into()] },
            Verdict::Clean,
            Verdict::Unknown { why: "an old git".into() },
        ] {
            let met = Meeting { one: 0, other: 1, files: files.clone(), verdict };
            text.push_str(&meeting(|task| format!("task-{}", task + 1), &met));
        }
        insta::assert_snapshot!(text, @r"
        a: branch cm/a
        a: branch cm/a, as before
        a: branch cm/a, brought up to date
        a: branch cm/a is left as it is: the branch cm/a here has commits of its own; the work is refs/cm/run-1/a
        a: no branch: x
        conflict: task-1 and task-2 in b
        merges: task-1 and task-2 both changed src/a.rs, b
        perhaps a conflict: task-1 and task-2 both changed src/a.rs, b (an old git)
        ");
    }
}

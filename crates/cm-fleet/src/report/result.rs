//! What stands at the end of a run: each task's last lines, the table, how to find what goes on. PURE.

use cm_protocol::{Outcome, State};

use super::clean::{clean, fit};
use super::fold::{RunState, Status, Task};
use super::paint::Paint;
use super::table::{Cell, Column, render};
use super::words;

/// Which tasks' last lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tails {
    /// Everybody's.
    All,
    /// Only of those that failed.
    Failed,
}

/// Columns of a task's text in the table at most.
const SUMMARY: usize = 40;
/// Columns of text where there is no terminal to ask.
const COLUMNS: usize = 80;

/// The last lines of output, task by task; empty where no task printed anything.
pub fn tails(state: &RunState, which: Tails, columns: Option<usize>, paint: Paint) -> String {
    let mut out = String::new();
    for task in &state.tasks {
        let Status::Ended { outcome, .. } = &task.status else { continue };
        if outcome.tail.is_empty() || (which == Tails::Failed && outcome.state == State::Done) {
            continue;
        }
        let title = format!("── {} · {}", clean(&task.plan.label), clean(&task.plan.summary));
        let limit = columns.unwrap_or(COLUMNS).min(COLUMNS);
        let title = fit(&title, limit.saturating_sub(4));
        let rule = "─".repeat(limit.saturating_sub(super::clean::width(&title) + 1));
        out.push_str(&paint.dim(&format!("{title} {rule}")));
        out.push('\n');
        for line in &outcome.tail {
            out.push_str(super::clean::clean_line(line).trim_end());
            out.push('\n');
        }
    }
    out
}

/// The table of results, and under it how to find what goes on.
pub fn table(state: &RunState, columns: Option<usize>, paint: Paint) -> String {
    let notes = state.tasks.iter().any(|task| !note(task).is_empty());
    let mut head = vec![
        Column::elastic("name"),
        Column::text("state"),
        Column::number("exit"),
        Column::number("time"),
        Column::text("session"),
        Column::elastic("task"),
    ];
    if notes {
        head.push(Column::elastic("note"));
    }
    let rows: Vec<Vec<Cell>> = state.tasks.iter().map(|task| row(task, notes)).collect();
    let mut out = render(&head, &rows, columns, paint);
    let left = words::left_running(state);
    if !left.is_empty() {
        out.push_str(&left);
        out.push('\n');
    }
    out.push_str(&words::hints(state));
    out
}

fn row(task: &Task, notes: bool) -> Vec<Cell> {
    let (state, exit, time): (Cell, String, String) = match &task.status {
        Status::Queued => (Cell::coloured("not started", Paint::dim), String::new(), String::new()),
        Status::Placed { .. } => (Cell::coloured("unknown", Paint::attention), String::new(), String::new()),
        Status::Live(live) => (Cell::state(live.state), String::new(), String::new()),
        Status::Ended { outcome, .. } => {
            (Cell::state(outcome.state), exit_of(outcome), words::took(outcome.duration))
        }
        Status::Refused { .. } => (Cell::coloured("refused", Paint::bad), String::new(), String::new()),
    };
    let session = task.status.session().map(words::short).unwrap_or_default();
    let mut cells = vec![
        clean(&task.plan.label).into(),
        state,
        exit.into(),
        time.into(),
        session.into(),
        fit(&clean(&task.plan.summary), SUMMARY).into(),
    ];
    if notes {
        cells.push(note(task).into());
    }
    cells
}

fn exit_of(outcome: &Outcome) -> String {
    match (outcome.exit_code, &outcome.signal) {
        (Some(code), _) => code.to_string(),
        (None, Some(signal)) => clean(signal),
        (None, None) => String::new(),
    }
}

fn note(task: &Task) -> String {
    match &task.status {
        Status::Ended { outcome, .. } => words::reason(outcome),
        // The first clause: the rest stands in the line that told it.
        Status::Refused { error } => clean(error.split(';').next().unwrap_or(error)),
        Status::Live(live) => clean(&words::state_note(live)),
        Status::Placed { host, .. } => format!("{} did not answer", clean(host)),
        Status::Queued => String::new(),
    }
}

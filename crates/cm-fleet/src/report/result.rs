//! What stands at the end of a run: each task's last lines, the table, how to find what goes on. PURE.

use cm_protocol::{Outcome, State};

use super::clean::{clean, fit};
use super::fold::{RunState, Status, Task, Wait};
use super::paint::Paint;
use super::table::{Cell, Column, render};
use super::words::{self, ending};

/// Which tasks' last lines are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tails {
    /// Everybody's.
    All,
    /// Only of those that failed.
    Failed,
}

/// Tasks that are all listed in the table.
const ROWS: usize = 60;
/// Columns of a task's text in the table at most.
const SUMMARY: usize = 40;
/// Columns of text where there is no terminal to ask.
const COLUMNS: usize = 80;

/// The last lines of output, task by task; empty where no task printed anything.
pub fn tails(state: &RunState, which: Tails, columns: Option<usize>, paint: Paint) -> String {
    let mut out = String::new();
    for task in &state.tasks {
        let Status::Ended { outcome, .. } = &task.status else { continue };
        if (which == Tails::Failed || state.tasks.len() > ROWS) && outcome.state == State::Done {
            continue;
        }
        let label = clean(&task.plan.label);
        if !outcome.tail.is_empty() {
            let title = format!("── {label} · {}", clean(&task.plan.summary));
            block(&mut out, &title, &outcome.tail, columns, paint);
        }
        if let Some(check) = ending::failed_check(outcome) {
            block(&mut out, &format!("── {label} · {}", ending::check(check)), &check.tail, columns, paint);
        }
    }
    out
}

/// A title in a rule, and lines under it.
fn block(out: &mut String, title: &str, lines: &[String], columns: Option<usize>, paint: Paint) {
    let limit = columns.unwrap_or(COLUMNS).min(COLUMNS);
    let title = fit(title, limit.saturating_sub(4));
    let rule = "─".repeat(limit.saturating_sub(super::clean::width(&title) + 1));
    out.push_str(&paint.dim(&format!("{title} {rule}")));
    out.push('\n');
    for line in lines {
        out.push_str(super::clean::clean_line(line).trim_end());
        out.push('\n');
    }
}

/// The table of results, and under it how to find what goes on.
pub fn table(state: &RunState, columns: Option<usize>, paint: Paint) -> String {
    let any = |has: &dyn Fn(&Task) -> bool| state.tasks.iter().any(has);
    // Columns that hold nothing are left out.
    let shown = Shown {
        host: state.hosts.len() > 1,
        proof: any(&|task| !proof(task).is_empty()),
        changes: any(&|task| !changes(task).is_empty()),
        note: any(&|task| !note(task).is_empty()),
    };
    let mut head = vec![Column::elastic("name"), Column::text("state")];
    head.extend(shown.host.then_some(Column::elastic("host")));
    head.extend(shown.proof.then_some(Column::text("proof")));
    head.extend([Column::number("exit"), Column::number("time"), Column::text("session")]);
    head.extend(shown.changes.then_some(Column::elastic("changes")));
    head.push(Column::elastic("task"));
    head.extend(shown.note.then_some(Column::elastic("note")));
    // Of very many tasks those that went well are a number.
    let many = state.tasks.len() > ROWS;
    let listed = state.tasks.iter().filter(|task| !many || !task.status.is_done());
    let rows: Vec<Vec<Cell>> = listed.map(|task| row(task, shown)).collect();
    let mut out = if rows.is_empty() { String::new() } else { render(&head, &rows, columns, paint) };
    if many {
        out.push_str(&format!("{}: {}\n", words::tasks(state.tasks.len()), words::sum(state.summary())));
    }
    for task in &state.tasks {
        if let Some(changes) = ended(task).and_then(|outcome| outcome.changes.as_ref()) {
            for line in ending::places(changes) {
                out.push_str(&format!("{}: {line}\n", clean(&task.plan.label)));
            }
        }
    }
    let left = words::left_running(state);
    if !left.is_empty() {
        out.push_str(&left);
        out.push('\n');
    }
    out.push_str(&words::hints(state));
    out
}

/// Which columns a table has beside those it always has.
#[derive(Clone, Copy)]
struct Shown {
    host: bool,
    proof: bool,
    changes: bool,
    note: bool,
}

fn row(task: &Task, shown: Shown) -> Vec<Cell> {
    let (state, exit, time): (Cell, String, String) = match &task.status {
        Status::Queued(_) => (Cell::coloured("not started", Paint::dim), String::new(), String::new()),
        Status::Parked { .. } => (Cell::coloured("parked", Paint::bad), String::new(), String::new()),
        Status::Skipped { .. } => (Cell::coloured("skipped", Paint::dim), String::new(), String::new()),
        Status::Placed { .. } => (Cell::coloured("unknown", Paint::attention), String::new(), String::new()),
        Status::Live(live) => (Cell::state(live.state), String::new(), String::new()),
        Status::Ended { outcome, .. } => {
            (Cell::state(outcome.state), exit_of(outcome), words::took(outcome.duration))
        }
        Status::Refused { .. } => (Cell::coloured("refused", Paint::bad), String::new(), String::new()),
    };
    let session = task.status.session().map(words::short).unwrap_or_default();
    let mut cells: Vec<Cell> = vec![clean(&task.plan.label).into(), state];
    cells.extend(shown.host.then(|| clean(task.status.host().unwrap_or_default()).into()));
    if shown.proof {
        cells.push(Cell::proof(ended(task).and_then(|outcome| outcome.proof)));
    }
    cells.extend([exit.into(), time.into(), session.into()]);
    cells.extend(shown.changes.then(|| changes(task).into()));
    cells.push(fit(&clean(&task.plan.summary), SUMMARY).into());
    cells.extend(shown.note.then(|| note(task).into()));
    cells
}

fn ended(task: &Task) -> Option<&Outcome> {
    match &task.status {
        Status::Ended { outcome, .. } => Some(outcome),
        _ => None,
    }
}

fn proof(task: &Task) -> &'static str {
    ended(task).map_or("", ending::proof)
}

fn changes(task: &Task) -> String {
    ended(task).and_then(|outcome| outcome.changes.as_ref()).map(ending::changes).unwrap_or_default()
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
        Status::Ended { outcome, .. } => ending::reason(outcome),
        // The first clause: the rest stands in the line that told it.
        Status::Refused { error } => clean(error.split(';').next().unwrap_or(error)),
        Status::Live(live) => clean(&words::state_note(live)),
        Status::Placed { host, .. } => format!("{} did not answer", clean(host)),
        Status::Queued(Wait::Until { error, .. }) | Status::Parked { error, .. } => clean(error),
        Status::Queued(Wait::Others(1)) => "waits for another task".to_owned(),
        Status::Queued(Wait::Others(n)) => format!("waits for {n} other tasks"),
        Status::Queued(Wait::Turn) => String::new(),
        Status::Skipped { because } => format!("task {because} has not ended well"),
    }
}

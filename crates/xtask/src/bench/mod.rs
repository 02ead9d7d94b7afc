//! `cargo xtask bench`: what the agent costs and how fast it answers, measured side by side, as a table.

mod agent;
mod flood;
mod measure;
mod subject;

use crate::failure::Failure;
use crate::workspace::Workspace;

/// One line of the table.
pub struct Row {
    what: &'static str,
    measured: String,
    goal: &'static str,
    original: &'static str,
    good: bool,
}

/// Measures the agent and prints the table.
///
/// # Errors
/// The agent cannot be built or driven. A goal that is missed is shown, not an error: machines differ.
pub fn run(workspace: &Workspace) -> Result<(), Failure> {
    let subject = subject::Subject::build(workspace)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Failure::Start { command: "the benchmark's threads".into(), source })?;
    println!("{}\n", subject.machine());
    let rows = runtime.block_on(agent::all(&subject)).map_err(Failure::Bench)?;
    println!("\n| what | measured | goal | the original | |\n|---|---|---|---|---|");
    for row in rows {
        let mark = if row.good { "ok" } else { "missed" };
        println!("| {} | {} | {} | {} | {mark} |", row.what, row.measured, row.goal, row.original);
    }
    Ok(())
}

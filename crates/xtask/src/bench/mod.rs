//! `cargo xtask bench`: what the agent costs and how fast it answers, measured side by side, as a table.

mod agent;
mod containers;
mod deploy;
mod dispatch;
mod flood;
mod measure;
mod subject;
mod tools;

use crate::failure::Failure;
use crate::workspace::Workspace;

pub use deploy::ground;
pub use dispatch::{Part as DispatchPart, Wanted as DispatchWanted};

/// One line of the table.
pub struct Row {
    what: String,
    measured: String,
    goal: &'static str,
    original: &'static str,
    good: bool,
}

/// Measures the agent and prints the table.
///
/// # Errors
/// The agent cannot be built or driven. A goal that is missed is shown, not an error: machines differ.
pub fn agent(workspace: &Workspace) -> Result<(), Failure> {
    let subject = subject::Subject::build(workspace)?;
    println!("{}\n", subject.machine());
    let rows = threads()?.block_on(agent::all(&subject)).map_err(Failure::Bench)?;
    println!("\n| what | measured | goal | the original | |\n|---|---|---|---|---|");
    for row in rows {
        println!("| {} | {} | {} | {} | {} |", row.what, row.measured, row.goal, row.original, row.mark());
    }
    Ok(())
}

/// Measures how real tools are seen and answered, and prints the table.
///
/// # Errors
/// A tool is not installed, or the agent cannot be built or driven.
pub fn tools(workspace: &Workspace) -> Result<(), Failure> {
    let subject = subject::Subject::build(workspace)?;
    let scripted = subject::scripted(workspace)?;
    println!("{}\n", subject.machine());
    let tools = cm_testkit::tools::Tools::of(&workspace.target);
    let rows = threads()?.block_on(tools::all(&subject, &tools, &scripted)).map_err(Failure::Bench)?;
    println!("\n| what | measured | goal | |\n|---|---|---|---|");
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.measured, row.goal, row.mark());
    }
    Ok(())
}

/// Measures deployments to so many test hosts beside other ways to do them, and prints the table. `built`: with the
/// release builds that are there.
///
/// # Errors
/// The test hosts do not come up, or a deployment fails.
pub fn deploy(workspace: &Workspace, hosts: u8, built: bool) -> Result<(), Failure> {
    let rows = deploy::all(workspace, hosts, built)?;
    println!("\n{}\n\n| what | measured | goal | |\n|---|---|---|---|", subject::machine());
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.measured, row.goal, row.mark());
    }
    Ok(())
}

/// Measures deployments to so many engines beside Docker's own commands, and prints the table. `built`: with the
/// release build that is there.
///
/// # Errors
/// The engines do not come up, or a deployment fails.
pub fn containers(workspace: &Workspace, hosts: u8, built: bool) -> Result<(), Failure> {
    let rows = containers::all(workspace, hosts, built)?;
    println!("\n{}\n\n| what | measured | goal | |\n|---|---|---|---|", subject::machine());
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.measured, row.goal, row.mark());
    }
    Ok(())
}

/// Measures dispatching to test hosts beside other ways to do the same, and prints the table.
///
/// # Errors
/// The test hosts do not come up, or nothing can be built. What cannot be measured is shown, and so are goals missed.
pub fn dispatch(workspace: &Workspace, wanted: &DispatchWanted) -> Result<(), Failure> {
    let rows = dispatch::all(workspace, wanted)?;
    println!("\n{}\n\n| what | measured | goal | |\n|---|---|---|---|", subject::machine());
    for row in rows {
        println!("| {} | {} | {} | {} |", row.what, row.measured, row.goal, row.mark());
    }
    Ok(())
}

/// Measures what a decision of the scheduler costs, and prints the table.
///
/// # Errors
/// The example of cm-fleet that measures it cannot be built or run.
pub fn schedule(workspace: &Workspace) -> Result<(), Failure> {
    println!("{}\n", subject::machine());
    subject::example(workspace, "cm-fleet", "schedule")
}

fn threads() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|source| Failure::Start { command: "the benchmark's threads".into(), source })
}

impl Row {
    fn mark(&self) -> &'static str {
        match (self.goal, self.good) {
            ("", _) => "",
            (_, true) => "ok",
            (_, false) => "missed",
        }
    }
}

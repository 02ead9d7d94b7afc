//! `cargo xtask drill`: a run over real hosts while everything fails that can fail, and then it is counted: nothing may
//! be missing, nothing may have run in two places at the same time.

mod client;
mod faults;
mod field;
mod tally;

use std::time::{Duration, Instant};

use crate::failure::Failure;
use crate::hosts;
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

use client::Client;
use faults::{Done, Faults};
use field::Field;
use tally::Tally;

/// A host that is silent for so long is given up. Longer than the short cut and the short freeze, shorter than the
/// long one.
const GRACE: &str = "12s";
/// From the first fault to the end of the run.
const DEADLINE: Duration = Duration::from_secs(20 * 60);
/// How often it is looked how far the run has come.
const TICK: Duration = Duration::from_millis(100);

/// Runs so many tasks on so many hosts, and prints what became of them.
///
/// # Errors
/// Something is missing, or ran twice at the same time; or the hosts do not come up.
pub fn run(workspace: &Workspace, hosts: u8, tasks: u16) -> Result<(), Failure> {
    let agent = hosts::agent(workspace)?;
    Run::cargo_with_tools(workspace).args(["build", "--locked", "--package", "cm-fleet"]).live(LONG)?;
    let field = Field::ready(workspace, hosts, &agent)?;
    let began = Instant::now();
    let faults = under_fire(&field, usize::from(tasks));
    let took = began.elapsed();
    // Whatever happened, the hosts are whole again afterwards.
    let written = field.written();
    field.mend()?;
    let (done, exit) = faults?;
    let tally = Tally::new(usize::from(tasks), &field.record()?, &written?, &done);
    let faults = done.iter().filter(|done| done.fault).count();
    println!("\n{}", tally.table(usize::from(hosts), faults, took.as_secs_f64()));
    match tally.wrong(exit) {
        None => Ok(()),
        Some(what) => Err(Failure::check(
            what,
            format!("read {} and {}", field.record_file()?.display(), field.path("written").display()),
        )),
    }
}

/// The run, and one fault after the other until it is over; the exit code of its last client.
fn under_fire(field: &Field, tasks: usize) -> Result<(Vec<Done>, Option<i32>), Failure> {
    let mut client = Client::dispatch(field, tasks)?;
    let mut faults = Faults::new(field.hosts().len(), tasks);
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(code) = client.ended()? {
            if faults.left() > 0 {
                return Err(Failure::check(
                    format!("the run was over (exit {code:?}) before {} faults were injected", faults.left()),
                    format!("read {}, or give it more tasks", field.path("said").display()),
                ));
            }
            return Ok((faults.done(field)?, code));
        }
        if Instant::now() > end {
            return Err(Failure::check(
                format!("the run does not end: {} of {tasks} tasks have", field.finished()),
                format!("read {}", field.path("said").display()),
            ));
        }
        faults.advance(field, &mut client, field.finished())?;
        std::thread::sleep(TICK);
    }
}

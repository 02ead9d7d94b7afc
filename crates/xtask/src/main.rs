//! `cargo xtask`: parse, run, exit code. What contributors run: demo, test, test hosts, tools, schema, drill.

mod bench;
mod cli;
mod demo;
mod dist;
mod drill;
mod failure;
mod hosts;
mod image;
mod need;
mod schema;
mod sh;
mod test;
mod tools;
mod workspace;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure::Failure::Told) => ExitCode::FAILURE,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

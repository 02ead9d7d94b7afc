//! `cm-model`: the model server for people, to point a real tool at by hand.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Parser;
use cm_testkit::model::{self, ModelServer, Options, Scenarios};

/// A model server on 127.0.0.1 that plays scenarios: put SCENARIO:name into the prompt.
#[derive(Debug, Parser)]
#[command(name = "cm-model")]
struct Args {
    /// The port on 127.0.0.1.
    #[arg(long, default_value_t = 8099)]
    port: u16,
    /// Where to write a line of JSON for each request (added to; else to standard output).
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// More scenarios.
    #[arg(long, value_name = "FILE")]
    scenarios: Vec<PathBuf>,
    /// Show the scenarios there are, and end.
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("cm-model: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let mut scenarios = Scenarios::new();
    for file in &args.scenarios {
        let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        scenarios.extend(model::parse(&file.display().to_string(), &text)?);
    }
    if args.list {
        let mut all = model::builtin()?;
        all.extend(scenarios);
        for (name, scenario) in all {
            println!("{name:<14} {}", scenario.about);
        }
        return Ok(());
    }
    let log: Box<dyn Write + Send> = match &args.log {
        Some(file) => Box::new(append(file)?),
        None => Box::new(std::io::stdout()),
    };
    let options = Options { port: args.port, scenarios, log: Some(log), ..Options::default() };
    let server = ModelServer::start_with(options)?;
    eprintln!("cm-model: {} until Ctrl-C", server.url());
    loop {
        std::thread::park();
    }
}

fn append(file: &Path) -> Result<std::fs::File, String> {
    let opened = OpenOptions::new().create(true).append(true).open(file);
    opened.map_err(|error| format!("{}: {error}", file.display()))
}

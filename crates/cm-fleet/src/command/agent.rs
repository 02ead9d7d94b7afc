//! `cm-fleet agent`: the agent of this machine that commands start when they need it.

use clap::{Args, Subcommand};
use cm_client::protocol::{AgentInfo, Shutdown};

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::local::{places, start};
use crate::report::clean::clean;
use crate::report::words;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet agent                  is it there, and how is it
  cm-fleet agent stop             end it; sessions go on and are found again by the next one
  cm-fleet agent stop --drain     take no new tasks, wait for those that run, then end
  cm-fleet agent log              what it said last")]
pub struct Agent {
    #[command(subcommand)]
    what: Option<What>,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Say whether it runs and how it is (the default); exit code 3 where none runs
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// End it; sessions go on
    Stop {
        /// Take no new sessions, and wait for running tasks first
        #[arg(long)]
        drain: bool,
        /// With --drain: wait this long at most (90s, 10m, 1h)
        #[arg(long, value_parser = crate::parse::duration, requires = "drain", value_name = "TIME")]
        timeout: Option<f64>,
    },
    /// Print the end of its log
    Log {
        /// How many lines
        #[arg(long, short = 'n', default_value_t = 50, value_name = "LINES")]
        lines: usize,
    },
}

/// Does it.
///
/// # Errors
/// No agent runs, or it does not answer.
pub async fn run(args: Agent, global: &Global) -> Result<Exit, Failure> {
    match args.what.unwrap_or(What::Status { json: false }) {
        What::Status { json } => status(global, json).await?,
        What::Stop { drain, timeout } => stop(global, drain, timeout).await?,
        What::Log { lines } => log(lines)?,
    }
    Ok(Exit::Done)
}

async fn status(global: &Global, json: bool) -> Result<(), Failure> {
    let client = super::connect_to(&global.local(false)).await?;
    let info = client.agent_info().await.map_err(|e| super::failed("cannot ask the agent", &e))?;
    let text = if json { super::json(&info)? } else { describe(&info, client.endpoint(), now()) };
    super::print(&text)?;
    client.close().await;
    Ok(())
}

fn describe(info: &AgentInfo, endpoint: &str, now: f64) -> String {
    let mut text = format!(
        "agent {} ({}) on {}, pid {}, up {}\n  at        {}\n  sessions  {} of {} ({}, tmux {})\n  clients   {} of {}\n",
        clean(&info.version),
        clean(&info.build),
        clean(&info.host),
        info.pid,
        words::age(now - info.started_at),
        clean(endpoint),
        info.capacity.sessions,
        info.capacity.max_sessions,
        clean(&info.placement),
        clean(&info.tmux),
        info.capacity.clients,
        info.capacity.max_clients,
    );
    if info.draining {
        text.push_str("  draining  it takes no new sessions\n");
    }
    for problem in &info.problems {
        text.push_str(&format!("  problem   {}\n", clean(problem)));
    }
    text
}

async fn stop(global: &Global, drain: bool, timeout: Option<f64>) -> Result<(), Failure> {
    let client = super::connect_to(&global.local(false)).await?;
    let cannot = |e: &cm_client::ClientError| super::failed("cannot stop the agent", e);
    let waiting = client.shutdown(Shutdown { drain, timeout }).await.map_err(|e| cannot(&e))?;
    let text = match waiting {
        0 => "the agent ends; sessions go on\n".to_owned(),
        1 => "the agent ends after 1 task\n".to_owned(),
        n => format!("the agent ends after {n} tasks\n"),
    };
    super::print(&text)?;
    client.close().await;
    Ok(())
}

fn log(lines: usize) -> Result<(), Failure> {
    let path = places()?.log();
    let text = start::log_since(&path, 0, lines).map_err(|e| {
        Failure::new(Kind::Task, format!("cannot read {}", path.display()))
            .because(&e)
            .hint("it is written by an agent that was started on demand; a service's is in the journal")
    })?;
    super::print(&format!("{text}\n"))?;
    Ok(())
}

fn now() -> f64 {
    crate::dispatch::now()
}

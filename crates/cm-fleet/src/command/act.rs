//! `cm-fleet kill`, `pause`, `resume`: one act on several sessions, each on its own.

use std::collections::BTreeSet;
use std::io::IsTerminal;

use clap::Args;
use cm_client::protocol::SessionInfo;
use cm_client::{Client, ClientError};

use super::fleet::FleetArgs;
use super::hosts::Operator;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::find::Roll;
use crate::fleet::reach;
use crate::report::words;
use crate::sessions::{Seen, resolve};

/// The arguments of `kill`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet kill 1a2b3c build
  cm-fleet kill --all --local       every session of this machine
  cm-fleet kill --all --on @gpu     asks first where it is about several hosts

Exit codes: 0 all ended · 1 one was not, or a host did not answer · 2 usage, or it is unclear which ·
3 no agent could be reached")]
pub struct Kill {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Sessions: ids, beginnings of ids, names, or tasks
    #[arg(required_unless_present = "all", value_name = "SESSION")]
    sessions: Vec<String>,
    /// Every session; of several hosts only with leave
    #[arg(long, conflicts_with = "sessions")]
    all: bool,
    /// With --all: do not ask for leave
    #[arg(long, short)]
    yes: bool,
}

/// The arguments of `pause`.
#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Sessions: ids, beginnings of ids, names, or tasks
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    fleet: FleetArgs,
    /// Sessions: ids, beginnings of ids, names, or tasks
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Ends sessions.
///
/// # Errors
/// The agent cannot be reached, or a name fits none or several; then nothing is done to any.
pub async fn kill(args: Kill, global: &Global) -> Result<Exit, Failure> {
    let which = if args.all { Which::All { yes: args.yes } } else { Which::Named(args.sessions) };
    let act = async |client: &Client, s: &SessionInfo| {
        client.kill_session(&s.session_id).await.map(|()| "killed".to_owned())
    };
    each(which, global, &args.fleet, "kill", act).await
}

/// Pauses sessions.
///
/// # Errors
/// As [`kill`].
pub async fn pause(args: Pause, global: &Global) -> Result<Exit, Failure> {
    let act = async |client: &Client, s: &SessionInfo| {
        client.pause_session(&s.session_id).await.map(|frozen| {
            if frozen { "paused".to_owned() } else { "paused, but its processes ignore it".to_owned() }
        })
    };
    each(Which::Named(args.sessions), global, &args.fleet, "pause", act).await
}

/// Resumes sessions.
///
/// # Errors
/// As [`kill`].
pub async fn resume(args: Resume, global: &Global) -> Result<Exit, Failure> {
    let act = async |client: &Client, s: &SessionInfo| {
        client.resume_session(&s.session_id).await.map(|()| "resumed".to_owned())
    };
    each(Which::Named(args.sessions), global, &args.fleet, "resume", act).await
}

/// Which sessions.
enum Which {
    /// All with a terminal.
    All {
        /// Without asking.
        yes: bool,
    },
    /// These.
    Named(Vec<String>),
}

/// One after the other; one that fails does not keep the others from their turn.
async fn each(
    which: Which,
    global: &Global,
    fleet: &FleetArgs,
    verb: &str,
    act: impl AsyncFn(&Client, &SessionInfo) -> Result<String, ClientError>,
) -> Result<Exit, Failure> {
    let fleet = fleet.fleet(global).await?;
    let roll = match &which {
        Which::All { .. } => Roll::call(&fleet).await?,
        Which::Named(names) => Roll::naming(&fleet, names).await?,
    };
    super::say(&reach::lost_lines(&roll.lost));
    // All names are looked up before anything is done: a slip in the third must not leave two killed.
    let meant: Vec<&Seen> = match &which {
        Which::All { .. } => roll.seen.iter().filter(|s| s.alive).collect(),
        Which::Named(names) => names.iter().map(|n| resolve(&roll.seen, n)).collect::<Result<_, _>>()?,
    };
    if let Which::All { yes: false } = which {
        leave(verb, &meant).await?;
    }
    let mut exit = Exit::Done;
    for seen in meant {
        let short = words::short(&seen.session_id);
        match act(roll.client(&seen.host)?, &seen.info).await {
            Ok(word) => {
                super::print(&format!("{short} {word}\n"))?;
            }
            Err(error) => {
                super::failed(format!("cannot {verb} session {short}"), &error).print();
                exit = Exit::Failed;
            }
        }
    }
    // Named sessions were found: hosts that were not needed change nothing.
    let exit = if matches!(which, Which::All { .. }) { reach::with_lost(exit, &roll.lost) } else { exit };
    roll.close().await;
    Ok(exit)
}

/// Asks before many hosts' sessions are ended at one stroke.
async fn leave(verb: &str, meant: &[&Seen]) -> Result<(), Failure> {
    let hosts: BTreeSet<&str> = meant.iter().map(|seen| seen.host.as_str()).collect();
    if hosts.len() < 2 {
        return Ok(());
    }
    let what = format!("{verb} {} sessions on {} hosts", meant.len(), hosts.len());
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage(format!("this would {what}, and there is no terminal to ask at"))
            .hint("--yes goes ahead without asking; --on and --local say which hosts"));
    }
    let mut asked = Operator::new(false, "")?;
    match asked.asks(format!("{what}?")).await {
        true => Ok(()),
        false => Err(Failure::new(Kind::Interrupted, "nothing was done")),
    }
}

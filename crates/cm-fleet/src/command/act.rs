//! `cm-fleet kill`, `pause`, `resume`: one act on several sessions, each on its own.

use clap::Args;
use cm_client::protocol::SessionInfo;
use cm_client::{Client, ClientError};

use super::hosts::AtArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::words;
use crate::sessions::resolve;

/// The arguments of `kill`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  cm-fleet kill 1a2b3c build\n  cm-fleet kill --all")]
pub struct Kill {
    #[command(flatten)]
    at: AtArgs,
    /// Sessions: ids, beginnings of ids, or names
    #[arg(required_unless_present = "all", value_name = "SESSION")]
    sessions: Vec<String>,
    /// Every session of this agent
    #[arg(long, conflicts_with = "sessions")]
    all: bool,
}

/// The arguments of `pause`.
#[derive(Debug, Args)]
pub struct Pause {
    #[command(flatten)]
    at: AtArgs,
    /// Sessions: ids, beginnings of ids, or names
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// The arguments of `resume`.
#[derive(Debug, Args)]
pub struct Resume {
    #[command(flatten)]
    at: AtArgs,
    /// Sessions: ids, beginnings of ids, or names
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<String>,
}

/// Ends sessions.
///
/// # Errors
/// The agent cannot be reached, or a name fits none or several; then nothing is done to any.
pub async fn kill(args: Kill, global: &Global) -> Result<Exit, Failure> {
    let which = if args.all { Which::All } else { Which::Named(args.sessions) };
    let act = async |client: &Client, s: &SessionInfo| {
        client.kill_session(&s.session_id).await.map(|()| "killed".to_owned())
    };
    each(which, global, &args.at, "kill", act).await
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
    each(Which::Named(args.sessions), global, &args.at, "pause", act).await
}

/// Resumes sessions.
///
/// # Errors
/// As [`kill`].
pub async fn resume(args: Resume, global: &Global) -> Result<Exit, Failure> {
    let act = async |client: &Client, s: &SessionInfo| {
        client.resume_session(&s.session_id).await.map(|()| "resumed".to_owned())
    };
    each(Which::Named(args.sessions), global, &args.at, "resume", act).await
}

/// Which sessions.
enum Which {
    /// All with a terminal.
    All,
    /// These.
    Named(Vec<String>),
}

/// One after the other; one that fails does not keep the others from their turn.
async fn each(
    which: Which,
    global: &Global,
    at: &AtArgs,
    verb: &str,
    act: impl AsyncFn(&Client, &SessionInfo) -> Result<String, ClientError>,
) -> Result<Exit, Failure> {
    let client = super::connect(global, at).await?;
    let known = super::list(&client).await?;
    // All names are looked up before anything is done: a slip in the third must not leave two killed.
    let meant: Vec<&SessionInfo> = match &which {
        Which::All => known.iter().filter(|s| s.alive).collect(),
        Which::Named(names) => names.iter().map(|n| resolve(&known, n)).collect::<Result<_, _>>()?,
    };
    let mut exit = Exit::Done;
    for session in meant {
        let short = words::short(&session.session_id);
        match act(&client, session).await {
            Ok(word) => {
                super::print(&format!("{short} {word}\n"))?;
            }
            Err(error) => {
                super::failed(format!("cannot {verb} session {short}"), &error).print();
                exit = Exit::Failed;
            }
        }
    }
    client.close().await;
    Ok(exit)
}

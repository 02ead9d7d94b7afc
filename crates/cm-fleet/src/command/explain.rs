//! `cm-fleet explain`: why a session is in its state, and what was decided on what evidence.

use clap::Args;

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::find::Found;
use crate::report::{explained, terminal, words};

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet explain 1a2b3c           the rule its state rests on, who said what, what was done
  cm-fleet explain 1a2b3c --json    the same as one JSON object")]
pub struct Explain {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The session: id, beginning of an id, name, or its task, on any host
    session: String,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the explanation.
///
/// # Errors
/// No such session, or the agent cannot be reached or does not answer.
pub async fn run(args: Explain, global: &Global) -> Result<Exit, Failure> {
    let Found { session, client, .. } =
        super::find_on(&args.fleet.fleet(global).await?, &args.session).await?;
    let short = words::short(&session.session_id);
    let explanation = client
        .explain_session(&session.session_id)
        .await
        .map_err(|e| super::failed(format!("cannot explain session {short}"), &e))?;
    client.close().await;
    let text = if args.json {
        super::json(&explanation)?
    } else {
        explained::page(&explanation, session.name.as_deref(), terminal::paint_stdout())
    };
    super::print(&text)?;
    Ok(Exit::Done)
}

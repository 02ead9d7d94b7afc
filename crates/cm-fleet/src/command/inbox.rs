//! `cm-fleet inbox`: everything that waits for a person on all hosts, each with its whole prompt.

use clap::Args;

use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::fleet::find::Roll;
use crate::fleet::reach;
use crate::inbox::draw::entry;
use crate::inbox::watch::{How, watch};
use crate::parse;
use crate::report::terminal;
use crate::sessions::Seen;
use crate::waiting::waiting;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet inbox                  what waits on all hosts, and the commands that answer it
  cm-fleet inbox --json           one JSON object a line
  cm-fleet inbox --watch          as it comes and goes, until Ctrl-C; rings
  cm-fleet inbox --watch --notify 'notify-send \"$CM_HOST: $CM_TASK\" \"$CM_QUESTION\"'

The command of --notify is run by sh once for each question the watch has not seen yet, with CM_HOST, CM_SESSION,
CM_TASK (its name, else the task's first line), CM_QUESTION and CM_EVENT (asked) in its environment; it has 10 s.

Exit codes: 0 · 1 a host did not answer (the others are shown) · 2 usage · 3 no agent could be reached")]
pub struct Inbox {
    #[command(flatten)]
    fleet: FleetArgs,
    /// One JSON object a line; with --watch each has `event`: asked or settled
    #[arg(long)]
    json: bool,
    /// Go on: show questions as they come and are settled
    #[arg(long, short)]
    watch: bool,
    /// Run this for each new question
    #[arg(long, value_name = "CMD", requires = "watch", value_parser = parse::command)]
    notify: Option<String>,
    /// Do not ring the terminal's bell for new questions, and send it no notification
    #[arg(long, requires = "watch")]
    no_bell: bool,
}

/// Lists it, once or as it changes.
///
/// # Errors
/// No agent can be reached, or none answers.
pub async fn run(args: Inbox, global: &Global) -> Result<Exit, Failure> {
    let fleet = args.fleet.fleet(global).await?;
    if args.watch {
        let how = How { json: args.json, silent: args.no_bell, notify: args.notify };
        return Box::pin(watch(fleet, how)).await;
    }
    let roll = Roll::call(&fleet).await?;
    let paint = terminal::paint_stdout();
    let shown: Vec<&Seen> = waiting(&roll.seen).collect();
    if shown.is_empty() && !args.json {
        super::print("nothing waits\n")?;
    }
    for (index, session) in shown.iter().enumerate() {
        let gap = if index == 0 { "" } else { "\n" };
        let text =
            if args.json { super::json(session)? } else { format!("{gap}{}", entry(session, &shown, paint)) };
        if !super::print(&text)? {
            break;
        }
    }
    super::say(&reach::lost_lines(&roll.lost));
    let exit = reach::with_lost(Exit::Done, &roll.lost);
    roll.close().await;
    Ok(exit)
}

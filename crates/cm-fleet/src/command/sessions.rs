//! `cm-fleet sessions`: what goes on, and with `--all` what went on.

use clap::Args;
use cm_client::protocol::SessionInfo;

use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::clean::clean;
use crate::report::paint::Paint;
use crate::report::table::{Cell, Column, render};
use crate::report::{terminal, words};
use crate::sessions::short;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet sessions               those whose terminal exists
  cm-fleet sessions --all         those that have ended, too
  cm-fleet sessions --json        one JSON object a line

The session column is the shortest id that names it; every command takes it.")]
pub struct Sessions {
    /// Also sessions whose terminal is gone
    #[arg(long, short)]
    all: bool,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Lists them.
///
/// # Errors
/// The agent cannot be reached or does not answer.
pub async fn run(args: Sessions, global: &Global) -> Result<Exit, Failure> {
    let client = super::connect(global).await?;
    let sessions = super::list(&client).await?;
    let shown: Vec<&SessionInfo> = sessions.iter().filter(|s| args.all || s.alive).collect();
    if args.json {
        for session in shown {
            if !super::print(&super::json(session)?)? {
                break;
            }
        }
    } else if shown.is_empty() {
        let more = if sessions.is_empty() { "" } else { " (--all shows those that have ended)" };
        super::print(&format!("no sessions{more}\n"))?;
    } else {
        let columns = terminal::stdout_columns();
        super::print(&draw(&sessions, &shown, columns, terminal::paint_stdout()))?;
    }
    client.close().await;
    Ok(Exit::Done)
}

#[allow(clippy::cast_precision_loss)] // an uptime is far below 2^53 seconds
fn draw(all: &[SessionInfo], shown: &[&SessionInfo], columns: Option<usize>, paint: Paint) -> String {
    let head = [
        Column::text("session"),
        Column::elastic("name"),
        Column::text("tool"),
        Column::text("state"),
        Column::number("age"),
        Column::elastic("path"),
        Column::elastic("task"),
    ];
    let rows: Vec<Vec<Cell>> = shown
        .iter()
        .map(|s| {
            vec![
                short(all, s).into(),
                s.name.as_deref().map(clean).unwrap_or_default().into(),
                clean(&s.tool).into(),
                Cell::state(s.state),
                words::age(s.uptime as f64).into(),
                clean(&s.path).into(),
                clean(&s.summary).into(),
            ]
        })
        .collect();
    render(&head, &rows, columns, paint)
}

//! `cm-fleet attach`: this terminal becomes the session's.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;

use super::hosts::AtArgs;
use crate::cli::Global;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::report::words;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  cm-fleet attach 1a2b3c          leave again with Ctrl-b d: the session goes on")]
pub struct Attach {
    #[command(flatten)]
    at: AtArgs,
    /// The session: id, beginning of an id, or name
    session: String,
    /// Look only: nothing typed here reaches the session
    #[arg(long, short)]
    read_only: bool,
}

/// Becomes `tmux attach`; returns only where that fails.
///
/// # Errors
/// No such session, its terminal is gone, this is no terminal, or tmux cannot be run.
pub async fn run(args: Attach, global: &Global) -> Result<Exit, Failure> {
    let way = args.at.way(global, true).await?;
    let client = way.connect().await?;
    let session = super::find(&client, &args.session).await?;
    let short = words::short(&session.session_id);
    let detail = client
        .get_session(&session.session_id)
        .await
        .map_err(|e| super::failed(format!("cannot open session {short}"), &e))?;
    client.close().await;
    let socket = match detail.socket {
        Some(socket) if detail.info.alive && way.is_remote() => {
            return Err(Failure::usage(format!(
                "session {short} runs on {}, and this opens terminals here",
                way.host()
            ))
            .hint(format!("ssh -t {} tmux -S {socket} attach-session -t =main", way.host()))
            .hint(format!("`cm-fleet logs -f {short}` follows it from here")));
        }
        Some(socket) if detail.info.alive && Path::new(&socket).exists() => socket,
        _ => {
            let state = detail.info.state;
            return Err(Failure::new(
                Kind::Task,
                format!("session {short} has no terminal any more: it is {state}"),
            )
            .hint(format!("`cm-fleet logs {short}` shows what it printed")));
        }
    };
    if !std::io::stdin().is_terminal() {
        return Err(Failure::usage("attach needs a terminal")
            .hint(format!("`cm-fleet logs -f {short}` follows the session without one")));
    }
    let mut tmux = Command::new("tmux");
    tmux.args(["-S", &socket, "attach-session", "-t", "=main"]);
    if args.read_only {
        tmux.arg("-r");
    }
    // Inside another tmux, attaching is refused as long as these say so; the session's server is its own.
    let error = tmux.env_remove("TMUX").env_remove("TMUX_PANE").exec();
    Err(Failure::new(Kind::Task, "cannot run tmux")
        .because(&error)
        .hint("install tmux, or put it on your PATH"))
}

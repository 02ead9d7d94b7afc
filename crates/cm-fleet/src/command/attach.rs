//! `cm-fleet attach`: this terminal becomes the session's, on this machine or on a host.

use std::io::IsTerminal;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use clap::Args;
use cm_ssh::Status;

use super::exec::quote;
use super::fleet::FleetArgs;
use crate::cli::Global;
use crate::container::tty::Tty;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::find::Found;
use crate::fleet::terminal::{End, Terminal};
use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::report::clean::clean;
use crate::report::words;

/// The terminal a host surely knows, where it does not know ours.
const USUAL: &str = "xterm-256color";

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet attach 1a2b3c          leave again with Ctrl-b d: the session goes on
  cm-fleet attach web-7 --take    one on a host, to type into

A session of this machine can be typed into unless --read-only says otherwise; one on a host is looked at (q or
Ctrl-C leaves) unless --take says otherwise. While somebody is attached, what a session asks is left to them.")]
pub struct Attach {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The session: id, beginning of an id, name, or its task, on any host
    session: String,
    /// Look only: nothing typed here reaches the session. On hosts it is so unless --take is given
    #[arg(long, short)]
    read_only: bool,
    /// Type, too
    #[arg(long, short, conflicts_with = "read_only")]
    take: bool,
}

/// Becomes `tmux attach`; for a session on a host, returns when it was left.
///
/// # Errors
/// No such session, its terminal is gone, this is no terminal, or tmux cannot be run.
pub async fn run(args: Attach, global: &Global) -> Result<Exit, Failure> {
    let Found { session, client, way, .. } =
        super::find_on(&args.fleet.fleet(global).await?, &args.session).await?;
    let short = words::short(&session.session_id);
    let detail = client
        .get_session(&session.session_id)
        .await
        .map_err(|e| super::failed(format!("cannot open session {short}"), &e))?;
    client.close().await;
    let there = |socket: &String| way.is_remote() || Path::new(socket).exists();
    let Some(socket) = detail.socket.filter(there).filter(|_| detail.info.alive) else {
        let state = detail.info.state;
        return Err(Failure::new(
            Kind::Task,
            format!("session {short} has no terminal any more: it is {state}"),
        )
        .hint(format!("`cm-fleet logs {short}` shows what it printed")));
    };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        return Err(Failure::usage("attach needs a terminal")
            .hint(format!("`cm-fleet logs -f {short}` follows the session without one")));
    }
    match way {
        Way::Here(_) => Err(here(&socket, args.read_only)),
        Way::There(tunnel) => on_host(&tunnel, &socket, &short, args.take).await,
    }
}

/// Becomes tmux; what is returned is why not.
fn here(socket: &str, read_only: bool) -> Failure {
    let mut tmux = Command::new("tmux");
    tmux.args(["-S", socket, "attach-session", "-t", "=main"]);
    if read_only {
        tmux.arg("-r");
    }
    // Inside another tmux, attaching is refused as long as these say so; the session's server is its own.
    let error = tmux.env_remove("TMUX").env_remove("TMUX_PANE").exec();
    Failure::new(Kind::Task, "cannot run tmux").because(&error).hint("install tmux, or put it on your PATH")
}

/// A terminal over a connection of its own.
async fn on_host(tunnel: &Tunnel, socket: &str, short: &str, take: bool) -> Result<Exit, Failure> {
    let host = clean(tunnel.host());
    let cannot = |why: &(dyn std::error::Error + 'static)| {
        Failure::new(Kind::Unreachable, format!("cannot open session {short} on {host}")).because(why)
    };
    let terminal = Terminal::open().map_err(|e| cannot(&e))?;
    let term = std::env::var("TERM").ok().filter(|term| !term.is_empty());
    let term = term.unwrap_or_else(|| USUAL.to_owned());
    let how = if take { "Ctrl-b d leaves" } else { "looking only, q or Ctrl-C leaves; --take types" };
    let begun = || super::say(&format!("session {short} on {host}: {how}; the session goes on\n"));
    let end = if let (Some((road, _)), Some(keeper)) = (tunnel.container(), tunnel.keeper()) {
        let words = ["/bin/sh", "-c", &script(socket, take)].map(str::to_owned);
        let opened = Tty::open(&road, tunnel.keys(), &keeper, &words, &term, terminal.size()).await;
        let tty = opened.map_err(|e| cannot(&e))?;
        begun();
        terminal.join(tty, !take).await
    } else {
        let wanted = cm_ssh::Terminal { term, size: terminal.size() };
        let ssh = tunnel.ssh().await.map_err(|e| cannot(&e))?;
        let pty = ssh.pty(&command(socket, take), &wanted).await.map_err(|e| cannot(&e))?;
        begun();
        terminal.join(pty, !take).await
    };
    match end.map_err(|e| cannot(&e))? {
        End::Left | End::Ended(Status::Exited(0)) => Ok(Exit::Done),
        End::Ended(status) => {
            let how = match status {
                Status::Exited(code) => format!("tmux there ended with {code}"),
                Status::Signal(signal) => format!("tmux there was ended by SIG{signal}"),
            };
            Err(Failure::new(Kind::Task, format!("session {short} on {host} was not shown"))
                .caused_by(how)
                .hint("what it said stands above; tmux has to be on the PATH of ssh commands there"))
        }
        End::Lost(why) => Err(Failure::new(Kind::Unreachable, format!("the connection to {host} was lost"))
            .caused_by(clean(&why))
            .hint(format!("the session goes on: cm-fleet attach {short}"))),
    }
}

/// PURE. What is run on the host.
fn command(socket: &str, take: bool) -> String {
    format!("exec sh -c {}", quote(&script(socket, take)))
}

/// PURE. What joins a terminal to a session's. A kind of terminal that is not known there is taken for the usual one.
fn script(socket: &str, take: bool) -> String {
    let read_only = if take { "" } else { " -r" };
    format!(
        "infocmp >/dev/null 2>&1 || {{ TERM={USUAL}; export TERM; }}; \
         exec tmux -u -S {} attach-session -t =main{read_only}",
        quote(socket)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_run_there() {
        insta::assert_snapshot!(command("/run/user/1000/a b/tmux.sock", false), @r"exec sh -c 'infocmp >/dev/null 2>&1 || { TERM=xterm-256color; export TERM; }; exec tmux -u -S '\''/run/user/1000/a b/tmux.sock'\'' attach-session -t =main -r'");
        assert!(!command("/s", true).contains("-r"));
    }
}

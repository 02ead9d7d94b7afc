//! The command line: parse, trace, hand over to one function, exit code.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

use crate::command;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::local::{Local, background};

/// What threads that still do something get before the process ends all the same.
const LEAVE: std::time::Duration = std::time::Duration::from_millis(100);

const EXAMPLES: &str = "\
Examples:
  cm-fleet dispatch \"fix the failing test\" --check \"cargo test\"
                                                        a coding tool, its work checked
  cm-fleet dispatch --tool shell \"make\" \"make doc\"      two scripts at once
  cm-fleet dispatch --tool shell -d -f tasks.txt        start what is in a file, and leave
  cm-fleet sessions                                     what goes on, here and on all hosts
  cm-fleet inbox                                        what waits for an answer; --watch follows
  cm-fleet approve 1a2b3c                               allow it
  cm-fleet logs -f 1a2b3c                               what a session prints
  cm-fleet attach 1a2b3c                                look and type for yourself

  cm-fleet init && cm-fleet check                       an inventory of hosts you can ssh to
  cm-fleet plan                                         what would change on them, and why
  cm-fleet deploy                                       agents on all of them, or back as it was
  cm-fleet status                                       how they are

Exit codes:
  0 all done · 1 a task or host failed · 2 usage or inventory · 3 no host could be reached ·
  4 refused (host key, lock, limit) · 5 hosts went back · 130 interrupted";

/// Turns machines into a fleet of coding agents, and gives it work.
///
/// With nothing set up, tasks run on this machine: its agent is started in the background when it is
/// needed and ends by itself when nothing is left to do. Sessions live in tmux and outlive this command,
/// the terminal and the agent.
#[derive(Debug, Parser)]
#[command(name = "cm-fleet", version, after_help = EXAMPLES, max_term_width = 100)]
#[command(disable_help_subcommand = true, subcommand_required = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What holds for every command.
#[derive(Debug, Args)]
pub struct Global {
    /// Talk to the agent on this socket instead of this user's own
    #[arg(long, global = true, value_name = "PATH", env = "CM_FLEET_SOCKET", hide_env_values = true)]
    socket: Option<PathBuf>,
    /// Do not start this machine's agent if it does not run
    #[arg(long, global = true)]
    no_start: bool,
}

impl Global {
    /// Whether one agent was named by its socket.
    pub fn names_socket(&self) -> bool {
        self.socket.is_some()
    }

    /// The agent meant; `start` says whether this command may bring one to life.
    pub fn local(&self, start: bool) -> Local {
        match (&self.socket, start && !self.no_start) {
            (Some(socket), _) => Local::At(socket.clone()),
            (None, true) => Local::OnDemand,
            (None, false) => Local::IfRunning,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Give tasks to agents and follow them to the end
    Dispatch(Box<command::dispatch::Dispatch>),
    /// Give one task to the agent of a context
    Start(Box<command::start::Start>),
    /// List runs; show, follow, go on with or stop one
    Runs(command::runs::Runs),
    /// Bring the results of a run's tasks together: how they ended, texts, patches, branches
    Collect(command::collect::Collect),
    /// List the sessions of all hosts
    #[command(visible_alias = "ls")]
    Sessions(command::sessions::Sessions),
    /// Show what a session has printed
    Logs(Box<command::logs::Logs>),
    /// Open a session's terminal here
    Attach(command::attach::Attach),
    /// Type into a session
    Send(command::send::Send),
    /// Show what waits for an answer on all hosts, each with its whole prompt
    #[command(visible_alias = "waiting")]
    Inbox(command::inbox::Inbox),
    /// Allow what sessions ask for, this one time
    Approve(command::settle::Approve),
    /// Refuse what sessions ask for
    Deny(command::settle::Deny),
    /// Answer a session's question
    Answer(command::settle::AnswerArgs),
    /// Say why a session is in its state, and what was decided on what evidence
    Explain(command::explain::Explain),
    /// Decide a session's recording anew, without the session
    Replay(command::replay::Replay),
    /// End sessions and everything that runs in them
    Kill(command::act::Kill),
    /// Stop a session's processes and its clock
    Pause(command::act::Pause),
    /// Let paused sessions go on
    Resume(command::act::Resume),
    /// Write an inventory to begin with
    Init(command::init::Init),
    /// Say whether an inventory can be used, and which hosts a selector selects
    Check(command::check::Check),
    /// Print the JSON Schema of an inventory or a file of tasks, for editors
    Schema(command::schema::Schema),
    /// Show what a deployment would change, and why
    Plan(Box<command::deploy::PlanArgs>),
    /// Make an inventory's hosts what it says: agents installed, verified, running
    Deploy(Box<command::deploy::Deploy>),
    /// Show every host: what runs, what should, sessions, load
    Status(Box<command::status::Status>),
    /// Take hosts back to an earlier generation
    Rollback(Box<command::undo::Rollback>),
    /// List the generations hosts keep
    Versions(Box<command::versions::Versions>),
    /// Remove agents from hosts
    Uninstall(Box<command::undo::Uninstall>),
    /// Give agents new tokens
    RotateToken(Box<command::undo::RotateToken>),
    /// Run a command on every host
    Exec(Box<command::exec::ExecArgs>),
    /// Find what is not as it should be on hosts, each with its remedy
    Doctor(Box<command::doctor::Doctor>),
    /// Hosts of your own by name, in no inventory
    Ctx(command::ctx::Ctx),
    /// This machine's background agent
    Agent(command::agent::Agent),
    /// Print or write manual pages
    Man(command::man::Man),
    /// Print a shell's completion script
    Completions(command::completions::Completions),
    /// This program as the agent
    #[command(name = "__agent", hide = true)]
    BeAgent {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        args: Vec<OsString>,
    },
}

/// The whole program.
pub fn main() -> ExitCode {
    // The agent has a command line and a trace of its own: it is not for us to parse.
    let mut args = std::env::args_os();
    if args.nth(1).is_some_and(|first| first == "__agent") {
        return background::main(args.collect());
    }
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a printing that fails leaves nobody to tell.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    trace();
    match run(cli) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            failure.print();
            failure.kind.exit().into()
        }
    }
}

/// Diagnostics go to standard error; `CM_LOG=debug` (or `cm_client=trace`) shows more.
fn trace() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("CM_LOG").unwrap_or_else(|_| "error".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
}

fn run(cli: Cli) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::new(Kind::Task, "cannot start the asynchronous runtime").because(&e))?;
    // On the heap: a command's future holds all of its state.
    let done = runtime.block_on(Box::pin(act(cli)));
    // A thread that waits for a frozen host, or for a key to be pressed, must not keep the process.
    runtime.shutdown_timeout(LEAVE);
    done
}

async fn act(cli: Cli) -> Result<Exit, Failure> {
    let Cli { global, command } = cli;
    match command {
        Command::Dispatch(args) => command::dispatch::run(*args, &global).await,
        Command::Start(args) => command::start::run(*args, &global).await,
        Command::Runs(args) => command::runs::run(args, &global).await,
        Command::Collect(args) => command::collect::run(args, &global).await,
        Command::Sessions(args) => command::sessions::run(args, &global).await,
        Command::Logs(args) => command::logs::run(*args, &global).await,
        Command::Attach(args) => command::attach::run(args, &global).await,
        Command::Send(args) => command::send::run(args, &global).await,
        Command::Inbox(args) => command::inbox::run(args, &global).await,
        Command::Approve(args) => command::settle::approve(args, &global).await,
        Command::Deny(args) => command::settle::deny(args, &global).await,
        Command::Answer(args) => command::settle::run(args, &global).await,
        Command::Explain(args) => command::explain::run(args, &global).await,
        Command::Replay(args) => command::replay::run(args, &global).await,
        Command::Kill(args) => command::act::kill(args, &global).await,
        Command::Pause(args) => command::act::pause(args, &global).await,
        Command::Resume(args) => command::act::resume(args, &global).await,
        Command::Init(args) => command::init::run(&args),
        Command::Check(args) => command::check::run(&args),
        Command::Schema(args) => command::schema::run(&args),
        Command::Plan(args) => command::deploy::plan(*args).await,
        Command::Deploy(args) => command::deploy::run(*args).await,
        Command::Status(args) => command::status::run(*args).await,
        Command::Rollback(args) => command::undo::rollback(*args).await,
        Command::Versions(args) => command::versions::run(*args).await,
        Command::Uninstall(args) => command::undo::uninstall(*args).await,
        Command::RotateToken(args) => command::undo::rotate_token(*args).await,
        Command::Exec(args) => command::exec::run(*args).await,
        Command::Doctor(args) => command::doctor::run(*args).await,
        Command::Ctx(args) => command::ctx::run(args),
        Command::Agent(args) => command::agent::run(args, &global).await,
        Command::Man(args) => command::man::run(&args),
        Command::Completions(args) => command::completions::run(&args),
        Command::BeAgent { .. } => Err(Failure::usage("`__agent` must be the first argument")),
    }
}

#[cfg(test)]
mod tests;

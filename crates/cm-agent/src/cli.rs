//! The agent's command line: parse, call one function, exit code.

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use cm_client::{Client, Endpoint, Token};
use cm_protocol::{Report, ReportStatus, SessionId};

use crate::config::ServeArgs;
use crate::container;
use crate::host::places::Places;
use crate::host::{identity, lock};
use crate::install;

/// How long a subcommand waits for the agent.
const DEADLINE: Duration = Duration::from_secs(10);

/// Holds coding agents in tmux sessions, watches them and loses nothing.
#[derive(Debug, Parser)]
#[command(name = "cm-agent", disable_version_flag = true, arg_required_else_help = true, after_help = AFTER)]
struct Cli {
    /// Print version, build and the binary's SHA-256
    #[arg(short = 'V', long)]
    version: bool,

    #[command(subcommand)]
    command: Option<Command>,
}

const AFTER: &str = "\
Examples:
  cm-agent serve                                       on its unix socket, for this user
  cm-agent serve --listen 127.0.0.1:9876 --token-file ~/.cm-token
  cm-agent health && cm-agent sessions
  cm-agent tools explain --tool claude --screen captured.txt
  cm-agent selftest --url ws://127.0.0.1:9876 --token-file ~/.cm-token

Log: RUST_LOG=debug; exit codes: 0 good, 1 not good, 2 usage, 4 refused (another agent is there).";

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the agent in the foreground
    Serve(Box<ServeArgs>),
    /// Keep sessions' terminals for agents that come and go, in a container of its own
    Keeper {
        /// Start nothing; print how many sessions live in this container: {"living":N}
        #[arg(long)]
        living: bool,
    },
    /// Join standard input and output to the agent's unix socket (3: no agent is there)
    Bridge {
        /// Unix socket of the agent [default: the one of this user's agent]
        #[arg(long, value_name = "PATH")]
        socket: Option<PathBuf>,
    },
    /// Ask a running agent whether all is well: one line, exit 0 or 1
    Health {
        #[command(flatten)]
        target: Target,
        /// JSON, with the processes of its sessions
        #[arg(long)]
        json: bool,
        /// Ask the keeper of the sessions, not the agent
        #[arg(long, conflicts_with_all = ["json", "socket", "url"])]
        keeper: bool,
    },
    /// List its sessions
    Sessions {
        #[command(flatten)]
        target: Target,
        /// JSON, one session a line
        #[arg(long)]
        json: bool,
    },
    /// Check a running agent end to end: connect, create, type, watch, finish, clean up
    Selftest(Target),
    /// Run a program as the first process of a terminal, and end as it ends
    #[command(hide = true)]
    Hold {
        /// Give it a terminal of its own and pass on what it says of its status
        #[arg(long)]
        status: bool,
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        argv: Vec<OsString>,
    },
    /// Take the terminal for a session of its own, and become a program
    #[command(hide = true)]
    HoldChild {
        /// The program and its arguments.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
        argv: Vec<OsString>,
    },
    /// Pass on what a tool's hook was called with, from inside a session (JSON on standard input)
    Hook,
    /// What is known of tools: list profiles, check your own, explain a captured screen
    #[command(subcommand)]
    Tools(crate::tools_cli::ToolsCommand),
    /// Say what this host is and what is installed on it: one JSON line
    Facts(install::cli::FactsArgs),
    /// Make this program this user's agent, as the manifest on standard input says; or confirm, undo, go back
    Install(Box<install::cli::InstallArgs>),
    /// Remove the agent and all that installing made
    Uninstall(Box<install::cli::UninstallArgs>),
    /// Make a new token for TCP, in place of the one that was made on this host
    RotateToken(install::cli::RotateArgs),
    /// Say from inside a session how it goes (its environment names session and socket)
    Report {
        /// working, idle, done, failed or waiting
        #[arg(value_parser = parse_status)]
        status: ReportStatus,
        /// In your own words; with `waiting`, the question
        message: Vec<String>,
    },
}

/// Which agent is meant.
#[derive(Debug, clap::Args)]
struct Target {
    /// Unix socket of the agent [default: the one of this user's agent]
    #[arg(long, value_name = "PATH", conflicts_with = "url")]
    socket: Option<PathBuf>,
    /// The agent's address: ws://HOST:PORT or HOST:PORT
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// File with the token for --url; CM_AGENT_TOKEN works too
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
}

/// Runs with the process's own arguments.
pub fn main() -> ExitCode {
    main_with(&[], std::env::args_os().collect())
}

/// Runs with these arguments; the first is a name for messages. `words`: the first arguments that make this
/// process's program an agent (`cm-fleet` takes `__agent`); none for `cm-agent` itself.
pub fn main_with(words: &[&str], args: Vec<OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(error) => {
            // Help goes to stdout with 0, mistakes to stderr with 2; a closed pipe is nobody's fault.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    if cli.version {
        println!(
            "cm-agent {} ({}, sha256 {})",
            env!("CARGO_PKG_VERSION"),
            identity::BUILD,
            identity::binary_sha256().unwrap_or("unknown")
        );
        return ExitCode::SUCCESS;
    }
    let command = match cli.command {
        None => return ExitCode::from(2),
        Some(Command::Hold { status: false, argv }) => return crate::hold::run(&argv),
        Some(Command::Hold { status: true, argv }) => {
            let starter: Vec<&str> =
                ["cm-agent"].iter().chain(words).chain(&["hold-child", "--"]).copied().collect();
            return crate::hold::run_with_status(&starter, &argv);
        }
        Some(Command::HoldChild { argv }) => return crate::hold::become_tool(&argv),
        Some(Command::Hook) => return crate::hook::run(),
        Some(Command::Bridge { socket }) => return bridge(socket),
        Some(Command::Keeper { living: true }) => return report_result(say_living()),
        Some(Command::Tools(command)) => return crate::tools_cli::run(command),
        Some(Command::Facts(args)) => return install::cli::facts(&args),
        Some(Command::Install(args)) => return install::cli::install(*args),
        Some(Command::Uninstall(args)) => return install::cli::uninstall(*args),
        Some(Command::RotateToken(args)) => return install::cli::rotate(args),
        Some(command) => command,
    };
    let mut command = command;
    if let Command::Serve(args) = &mut command
        && let Err(error) = args.read_surroundings(&|name| std::env::var(name).ok())
    {
        failed(&error.to_string());
        return ExitCode::from(2);
    }
    let usual = match &command {
        Command::Serve(args) => args.settings.log.as_deref().unwrap_or("info"),
        _ => "info",
    };
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(usual));
    // A second call in one process (tests) keeps the first subscriber.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // A log in colours is unreadable in a file, and to the journal it is not even text.
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .try_init();
    let threads = if matches!(command, Command::Serve(_)) { 2 } else { 1 };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&format!("no threads for the runtime: {error}")),
    };
    let code = runtime.block_on(run(command, words));
    // A thread that hangs in a dead file system must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(2));
    code
}

async fn run(command: Command, words: &[&str]) -> ExitCode {
    match command {
        // These were done with before there was a runtime.
        Command::Hold { .. }
        | Command::HoldChild { .. }
        | Command::Hook
        | Command::Bridge { .. }
        | Command::Facts(_)
        | Command::Install(_)
        | Command::Uninstall(_)
        | Command::RotateToken(_) => ExitCode::from(2),
        Command::Serve(args) => match crate::serve::serve(*args, words).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                failed(&error.to_string());
                ExitCode::from(error.exit_code())
            }
        },
        Command::Keeper { .. } => match container::keep(&|name| std::env::var(name).ok()).await {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                failed(&error.to_string());
                ExitCode::from(error.exit_code())
            }
        },
        Command::Health { keeper: true, .. } => {
            let health = keeper_health().await;
            println!("{}", health.as_ref().unwrap_or_else(|why| why));
            if health.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
        }
        Command::Health { target, json, .. } => match endpoint(&target) {
            Ok(endpoint) => {
                let health = crate::health::check(&endpoint, DEADLINE).await;
                let code = health.exit_code();
                match json {
                    true => println!("{}", crate::health::in_full(&endpoint, health, DEADLINE).await),
                    false => println!("{health}"),
                }
                code
            }
            Err(why) => failed(&why),
        },
        Command::Sessions { target, json } => report_result(sessions(&target, json).await),
        Command::Selftest(target) => match endpoint(&target) {
            Ok(endpoint) => match crate::selftest::run(&endpoint, &mut std::io::stdout()).await {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::FAILURE,
            },
            Err(why) => failed(&why),
        },
        // Needs no agent and no runtime, and has run before this.
        Command::Tools(command) => crate::tools_cli::run(command),
        Command::Report { status, message } => report_result(report(status, &message.join(" ")).await),
    }
}

fn report_result(result: Result<(), String>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => failed(&why),
    }
}

fn failed(why: &str) -> ExitCode {
    let _ = writeln!(std::io::stderr(), "cm-agent: {why}");
    ExitCode::FAILURE
}

fn parse_status(word: &str) -> Result<ReportStatus, String> {
    serde_json::from_value(serde_json::Value::String(word.to_owned()))
        .map_err(|_| "expected working, idle, done, failed or waiting".into())
}

fn endpoint(target: &Target) -> Result<Endpoint, String> {
    if let Some(url) = &target.url {
        let token = match &target.token_file {
            Some(file) => Token::from_file(file).map_err(|e| format!("{}: {e}", file.display()))?,
            None => Token::new(
                std::env::var("CM_AGENT_TOKEN")
                    .map_err(|_| "--url needs --token-file FILE or CM_AGENT_TOKEN")?,
            ),
        };
        return Ok(url.parse::<Endpoint>().map_err(|e| e.to_string())?.with_token(token));
    }
    let socket = match &target.socket {
        Some(path) => path.clone(),
        None => default_socket()?,
    };
    Ok(Endpoint::Unix(socket))
}

fn bridge(socket: Option<PathBuf>) -> ExitCode {
    match socket.map_or_else(default_socket, Ok) {
        Ok(socket) => container::bridge::run(&socket),
        Err(why) => failed(&why),
    }
}

fn say_living() -> Result<(), String> {
    let places = Places::find(None, None, &|name| std::env::var(name).ok()).map_err(|e| e.to_string())?;
    println!("{}", serde_json::json!({ "living": container::living(&places.runtime).len() }));
    Ok(())
}

async fn keeper_health() -> Result<String, String> {
    let places = Places::find(None, None, &|name| std::env::var(name).ok()).map_err(|e| e.to_string())?;
    match container::Keeper::find(&places.runtime).await {
        Ok(Some(keeper)) => {
            let hello = keeper.hello().await.map_err(|e| format!("unreachable: {e}"))?;
            let ending = if hello.ending { ", ending" } else { "" };
            Ok(format!(
                "ok: keeper {}, {} sessions live here{ending}",
                hello.version,
                container::living(&places.runtime).len()
            ))
        }
        Ok(None) => Err("unreachable: no keeper answers".into()),
        Err(error) => Err(format!("unreachable: {error}")),
    }
}

/// Where this user's agent listens: as it says itself, else where it would.
fn default_socket() -> Result<PathBuf, String> {
    if let Some(inside) = std::env::var_os("CM_AGENT_SOCKET") {
        return Ok(inside.into());
    }
    let places = Places::find(None, None, &|name| std::env::var(name).ok()).map_err(|e| e.to_string())?;
    Ok(lock::listening(&places.state).unwrap_or_else(|| places.runtime.agent_socket()))
}

async fn sessions(target: &Target, json: bool) -> Result<(), String> {
    let client = Client::connect(&endpoint(target)?, DEADLINE).await.map_err(|e| e.to_string())?;
    let sessions = client.list_sessions().await.map_err(|e| e.to_string())?;
    let mut out = std::io::stdout().lock();
    for s in &sessions {
        let line = if json {
            serde_json::to_string(s).map_err(|e| e.to_string())?
        } else {
            let alive = if s.alive { "" } else { "  closed" };
            format!("{}  {:<8}  {:<8}  {:>6}s  {}{alive}", s.session_id, s.tool, s.state, s.uptime, s.path)
        };
        // A reader that has seen enough closes the pipe.
        if writeln!(out, "{line}").is_err() {
            break;
        }
    }
    client.close().await;
    Ok(())
}

async fn report(status: ReportStatus, message: &str) -> Result<(), String> {
    let inside = |name: &str| {
        std::env::var(name)
            .map_err(|_| format!("{name} is not set: `cm-agent report` works inside a session only"))
    };
    let report = Report {
        session_id: SessionId(inside("CM_SESSION_ID")?),
        status,
        message: Some(message.to_owned()).filter(|m| !m.is_empty()),
    };
    let endpoint = Endpoint::Unix(inside("CM_AGENT_SOCKET")?.into());
    let client = Client::connect(&endpoint, DEADLINE).await.map_err(|e| e.to_string())?;
    client.report(report).await.map_err(|e| e.to_string())?;
    client.close().await;
    Ok(())
}

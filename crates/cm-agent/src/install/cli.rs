//! The commands of deployment: `facts`, `install`, `uninstall`, `rotate-token`. JSON on standard output, one line each.

use std::io::{BufRead, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use cm_protocol::deploy::{FailureKind, HostAfter, InstallFailure, InstallLine, InstallStep, Manifest};
use serde::Serialize;

use super::audit::{self, Entry};
use super::host::Host;
use super::layout::Layout;
use super::order::{Goal, Order};
use super::real::RealHost;
use super::trouble::Trouble;
use super::uninstall::{self, Removal};
use super::{back, facts, health, keep, lock, steps, token};

/// Bytes of a manifest at most.
const MANIFEST: u64 = 8 << 20;

/// Where the installation is.
#[derive(Debug, Clone, Args)]
pub struct Where {
    /// The installation's directory [default: ~/.local/share/cm-agent]
    #[arg(long, value_name = "DIR", global = true)]
    dir: Option<PathBuf>,
}

/// `cm-agent facts`.
#[derive(Debug, Args)]
pub struct FactsArgs {
    #[command(flatten)]
    place: Where,
    /// Look closer: tools and their logins, clock, port; each finding with its remedy
    #[arg(long)]
    doctor: bool,
}

/// `cm-agent install`.
#[derive(Debug, Args)]
pub struct InstallArgs {
    #[command(flatten)]
    place: Where,
    #[command(subcommand)]
    act: Option<InstallAct>,
}

#[derive(Debug, Subcommand)]
enum InstallAct {
    /// Keep a deployment that waits to be confirmed
    Confirm {
        /// Its name
        #[arg(long, value_name = "ID")]
        deployment: String,
    },
    /// Undo a deployment that was not confirmed
    Revert {
        /// Its name [default: the one that waits]
        #[arg(long, value_name = "ID")]
        deployment: Option<String>,
        /// Only if its time is over, or the host was restarted meanwhile; asked by the unit before each start
        #[arg(long)]
        if_overdue: bool,
        /// Wait for the end of its time first; asked by the timer
        #[arg(long, hide = true)]
        at_deadline: bool,
    },
    /// Go back to an older generation, with the same checks as going forward
    Rollback(Box<RollbackArgs>),
}

#[derive(Debug, Args)]
struct RollbackArgs {
    /// A generation's number, or the first digits of its program's SHA-256 [default: the one before]
    #[arg(long, value_name = "GENERATION|SHA")]
    to: Option<String>,
    /// This deployment's name [default: a random one]
    #[arg(long, value_name = "ID")]
    deployment: Option<String>,
    /// Only if the host belongs to this fleet
    #[arg(long)]
    fleet: Option<String>,
    /// Who asks
    #[arg(long, value_name = "USER@MACHINE")]
    by: Option<String>,
    /// Seconds until it is undone unless it is confirmed; 0: confirmed at once
    #[arg(long, value_name = "SECONDS", default_value_t = 0)]
    confirm_seconds: u64,
    /// Seconds until the agent must be healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    ready_seconds: u64,
    /// Go on although sessions will end
    #[arg(long)]
    force: bool,
    /// Take the host from another fleet, or its lock from another deployment
    #[arg(long)]
    take_over: bool,
}

/// `cm-agent uninstall`.
#[derive(Debug, Args)]
pub struct UninstallArgs {
    #[command(flatten)]
    place: Where,
    /// The agent's state, too: journal, transcripts, recordings
    #[arg(long)]
    purge: bool,
    /// Although sessions live, which end; although it belongs to another fleet
    #[arg(long)]
    force: bool,
    /// Only if the host belongs to this fleet
    #[arg(long)]
    fleet: Option<String>,
    /// Take the lock from another deployment
    #[arg(long)]
    take_over: bool,
    /// Who asks
    #[arg(long, value_name = "USER@MACHINE")]
    by: Option<String>,
}

/// `cm-agent rotate-token`.
#[derive(Debug, Args)]
pub struct RotateArgs {
    #[command(flatten)]
    place: Where,
    /// Who asks
    #[arg(long, value_name = "USER@MACHINE")]
    by: Option<String>,
}

/// One line of an answer that is no installation's.
#[derive(Debug, Serialize)]
#[serde(tag = "line", rename_all = "snake_case", rename_all_fields = "camelCase")]
enum Line<'a> {
    Confirmed {
        deployment: &'a str,
        generation: u64,
    },
    /// `host` is absent where there was nothing to undo.
    Reverted {
        #[serde(skip_serializing_if = "Option::is_none")]
        host: Option<HostAfter>,
    },
    Uninstalled(uninstall::Removed),
    Rotated {
        token_file: String,
        restarted: bool,
    },
    Failed {
        kind: FailureKind,
        why: &'a str,
        #[serde(skip_serializing_if = "Option::is_none")]
        remedy: Option<&'a str>,
    },
}

/// Prints a line. Whoever asked may have gone; the work is done all the same.
fn print<T: Serialize>(line: &T) {
    if let Ok(text) = serde_json::to_string(line) {
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "{text}");
        let _ = out.flush();
    }
}

fn failed(trouble: &Trouble) -> ExitCode {
    print(&Line::Failed { kind: trouble.kind, why: &trouble.why, remedy: trouble.remedy.as_deref() });
    ExitCode::from(if trouble.kind == FailureKind::Refused { 4 } else { 1 })
}

fn start(place: &Where) -> Result<(RealHost, Layout), Trouble> {
    let layout =
        Layout::find(place.dir.as_deref(), &|name| std::env::var(name).ok()).map_err(Trouble::failed)?;
    let host = RealHost::new().map_err(|e| Trouble::failed(e.to_string()))?;
    // As the unit has it: beside the user manager's own sockets.
    let runtime = host.xdg().join("cm-agent");
    Ok((host, Layout { runtime, ..layout }))
}

/// Goes on when the connection that started this ends, or the login's scope is told to.
fn survive_logout(host: &RealHost) {
    host.block(async {
        for kind in [tokio::signal::unix::SignalKind::hangup(), tokio::signal::unix::SignalKind::terminate()]
        {
            // A handler stays for the life of the process; nobody has to listen to it.
            drop(tokio::signal::unix::signal(kind));
        }
    });
}

fn whose(by: Option<String>) -> String {
    by.unwrap_or_else(|| {
        let account = crate::host::identity::account(&|name| std::env::var(name).ok());
        format!("{}@{}", account.name, crate::host::identity::machine().hostname)
    })
}

/// Prints [`cm_protocol::deploy::Facts`].
pub fn facts(args: &FactsArgs) -> ExitCode {
    match start(&args.place) {
        Ok((mut host, layout)) => {
            print(&facts::gather(&mut host, &layout, args.doctor));
            ExitCode::SUCCESS
        }
        Err(trouble) => failed(&trouble),
    }
}

/// Installs, confirms, goes back.
pub fn install(args: InstallArgs) -> ExitCode {
    let (mut host, layout) = match start(&args.place) {
        Ok(both) => both,
        Err(trouble) => return failed(&trouble),
    };
    match args.act {
        None => match manifest() {
            Ok(manifest) => carry_out(&mut host, &layout, &Order::of(manifest)),
            Err(trouble) => report_failure(trouble),
        },
        Some(InstallAct::Confirm { deployment }) => match keep::confirm(&mut host, &layout, &deployment) {
            Ok(generation) => {
                print(&Line::Confirmed { deployment: &deployment, generation });
                ExitCode::SUCCESS
            }
            Err(trouble) => failed(&trouble),
        },
        Some(InstallAct::Revert { deployment, if_overdue, at_deadline }) => {
            survive_logout(&host);
            revert(&mut host, &layout, deployment, if_overdue, at_deadline)
        }
        Some(InstallAct::Rollback(rollback)) => match rollback.order() {
            Ok(order) => carry_out(&mut host, &layout, &order),
            Err(trouble) => report_failure(trouble),
        },
    }
}

impl RollbackArgs {
    fn order(self) -> Result<Order, Trouble> {
        let random = || {
            let bits = getrandom::u64().map_err(|e| Trouble::failed(e.to_string()))?;
            Ok::<_, Trouble>(format!("rollback-{bits:016x}"))
        };
        Ok(Order {
            deployment: self.deployment.map_or_else(random, Ok)?,
            fleet: self.fleet,
            by: whose(self.by),
            confirm_seconds: self.confirm_seconds,
            ready_seconds: self.ready_seconds,
            force: self.force,
            take_over: self.take_over,
            goal: Goal::Old(self.to),
        })
    }
}

fn carry_out(host: &mut RealHost, layout: &Layout, order: &Order) -> ExitCode {
    survive_logout(host);
    let outcome = steps::run(host, layout, order, &mut |line| print(&line));
    ExitCode::from(steps::exit_code(&outcome))
}

fn report_failure(trouble: Trouble) -> ExitCode {
    let refused = trouble.kind == FailureKind::Refused;
    print(&InstallLine::Failed(Box::new(InstallFailure {
        step: InstallStep::Lock,
        kind: trouble.kind,
        why: trouble.why,
        remedy: trouble.remedy,
        host: HostAfter::Untouched,
        log: Vec::new(),
    })));
    ExitCode::from(if refused { 4 } else { 1 })
}

/// The manifest on standard input: as soon as it is whole, for whoever sends it may wait for the answer with the
/// line still open. What is wrong with it is told by place: it holds secrets.
fn manifest() -> Result<Manifest, Trouble> {
    let mut input = std::io::stdin().lock().take(MANIFEST);
    let mut text = Vec::new();
    loop {
        let read = input.read_until(b'\n', &mut text);
        let read = read
            .map_err(|e| Trouble::failed(format!("the manifest cannot be read from standard input: {e}")))?;
        match serde_json::from_slice(&text) {
            Ok(manifest) => return Ok(manifest),
            // More may follow, where a person has laid it out over lines.
            Err(error) if error.is_eof() && read > 0 => {}
            Err(error) => {
                let long = if text.len() as u64 >= MANIFEST { ", or too long" } else { "" };
                let why = format!(
                    "standard input is no manifest (line {}, column {}{long})",
                    error.line(),
                    error.column()
                );
                return Err(Trouble::failed(why)
                    .remedy("a fleet sends it; by hand: cm-agent install < manifest.json"));
            }
        }
    }
}

fn revert(
    host: &mut RealHost,
    layout: &Layout,
    deployment: Option<String>,
    if_overdue: bool,
    at_deadline: bool,
) -> ExitCode {
    let deployment = deployment.or_else(|| Some(layout.under_way()?.deployment));
    let done = match deployment {
        _ if if_overdue => back::if_overdue(host, layout),
        None => Ok(None),
        Some(deployment) if at_deadline => back::at_deadline(host, layout, &deployment),
        Some(deployment) => {
            let by = whose(None);
            back::go_back(host, layout, &deployment, &by, back::Place::Outside)
        }
    };
    match done {
        Ok(None) if if_overdue => ExitCode::SUCCESS,
        Ok(after) => {
            let broken = matches!(after, Some(HostAfter::Broken { .. }));
            print(&Line::Reverted { host: after });
            ExitCode::from(u8::from(broken))
        }
        Err(trouble) => failed(&trouble),
    }
}

/// Removes the agent.
pub fn uninstall(args: UninstallArgs) -> ExitCode {
    let (mut host, layout) = match start(&args.place) {
        Ok(both) => both,
        Err(trouble) => return failed(&trouble),
    };
    survive_logout(&host);
    let removal = Removal {
        purge: args.purge,
        force: args.force,
        fleet: args.fleet,
        take_over: args.take_over,
        by: whose(args.by),
    };
    match uninstall::run(&mut host, &layout, &removal) {
        Ok(removed) => {
            print(&Line::Uninstalled(removed));
            ExitCode::SUCCESS
        }
        Err(trouble) => failed(&trouble),
    }
}

/// Makes a new token in place of the one that was made here, and has the agent use it.
pub fn rotate(args: RotateArgs) -> ExitCode {
    let done = start(&args.place).and_then(|(mut host, layout)| rotated(&mut host, &layout, &whose(args.by)));
    match done {
        Ok(restarted) => {
            let (_, layout) = match start(&args.place) {
                Ok(both) => both,
                Err(trouble) => return failed(&trouble),
            };
            print(&Line::Rotated { token_file: layout.token().display().to_string(), restarted });
            ExitCode::SUCCESS
        }
        Err(trouble) => failed(&trouble),
    }
}

fn rotated(host: &mut dyn Host, layout: &Layout, by: &str) -> Result<bool, Trouble> {
    let Some(installed) = layout.installed() else {
        return Err(Trouble::refused("nothing is installed here"));
    };
    let settings = &installed.manifest.settings;
    if settings.token.is_some() {
        return Err(
            Trouble::refused("the token comes from the inventory").remedy("change it there and deploy")
        );
    }
    if settings.listen.is_none() {
        return Err(Trouble::refused("this agent does not listen on TCP, and has no token"));
    }
    lock::take(host, layout, "rotate-token", by, false, 10.0)?;
    let done = (|| {
        token::make(host, layout)?;
        let before = host.unit().map_err(Trouble::failed)?;
        host.restart().map_err(Trouble::failed)?;
        let sha256 = &installed.manifest.binary.sha256;
        health::wait_healthy(host, layout, sha256, before.main_pid, 60.0).map_err(Trouble::from)
    })();
    let _ = lock::release(host, layout, "rotate-token");
    let result = if done.is_ok() { "a new token" } else { "a new token; the agent does not answer" };
    let entry = Entry { by, act: "rotate-token", result, ..Entry::default() };
    audit::write(host, layout, &entry);
    done.map(|_| true)
}

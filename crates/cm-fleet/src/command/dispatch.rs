//! `cm-fleet dispatch`: what was asked for, checked, made a run and shown.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use cm_client::Client;
use cm_client::protocol::{Check, Context, OnDone, PolicyChoice, ResourceLimits, Size, Worktree};

use super::hosts::AtArgs;
use crate::cli::Global;
use crate::dispatch::plan::{Asked, Plan, plan};
use crate::dispatch::run;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::parse::{self, EnvArg};
use crate::policy;
use crate::report::json::Json;
use crate::report::plain::Plain;
use crate::report::tty::Tty;
use crate::report::{View, terminal};

/// Bytes of a file of tasks at most.
const FILE_BYTES: u64 = 16 << 20;

/// The next move where `--path` cannot be used.
const OTHER_PATH: &str = "make that directory, or name another one with --path";

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet dispatch \"fix the failing test\" --path ~/src/app --check \"cargo test\"
  cm-fleet dispatch --tool codex --policy read-only \"review the last commit\"
  cm-fleet dispatch --resume 1a2b3c \"now the documentation\"
  cm-fleet dispatch --worktree --check \"make test\" --retry-on-failed-check 2 --file tasks.txt
  cm-fleet dispatch --tool shell --path ~/src/app --timeout 20m \"make test\"
  cm-fleet dispatch --tool shell --jobs 4 --file tasks.txt
  cm-fleet dispatch --on web-01 --path ~/src/app \"fix the failing test\"    on a host of fleet.yaml
  cm-fleet dispatch --tool shell --env CI=1 --env GITHUB_TOKEN ./release.sh
  cm-fleet dispatch --json --tool shell make | jq -c 'select(.type == \"task_finished\")'

Ctrl-C detaches: what runs goes on, `cm-fleet sessions` finds it. A second one ends this run's
sessions, a third leaves at once.

Exit codes: 0 all tasks done · 1 a task failed · 2 usage · 3 no agent could be reached · 130 Ctrl-C")]
pub struct Dispatch {
    #[command(flatten)]
    at: AtArgs,
    /// The tasks, run at the same time; for --tool shell each is a script
    #[arg(value_name = "TASK")]
    tasks: Vec<String>,
    /// Read tasks from a file, one a line; `-` is standard input
    #[arg(long, short, value_name = "FILE")]
    file: Option<PathBuf>,
    /// What does the task: a coding tool, `shell` for a script of sh, or any interactive program
    #[arg(long, short, default_value = "claude")]
    tool: String,
    /// Where it is done [default: the current directory; with --on, the home directory there]
    #[arg(long, short = 'C', value_name = "DIR")]
    path: Option<PathBuf>,
    /// Go on with the conversation of an earlier session, with its tool and in its directory
    #[arg(long, value_name = "SESSION", conflicts_with = "file")]
    resume: Option<String>,
    /// A name to find the session by; several tasks get NAME-1, NAME-2, …
    #[arg(long, short)]
    name: Option<String>,
    /// A variable for the session; without a value yours is passed on. May be repeated
    #[arg(long, short, value_name = "K[=V]", value_parser = parse::env)]
    env: Vec<EnvArg>,
    /// An argument for the tool's own command line. May be repeated
    #[arg(long = "arg", value_name = "ARG", allow_hyphen_values = true)]
    args: Vec<String>,
    /// What may be done without asking: read-only, careful, trusting, a policy of yours, or a file
    #[arg(long, value_name = "NAME|FILE")]
    policy: Option<String>,
    /// A command that proves the task done, run where the task worked
    #[arg(long, value_name = "CMD", value_parser = parse::command)]
    check: Option<String>,
    /// How long the check may take [default: 10m]
    #[arg(long, value_name = "TIME", value_parser = parse::duration, requires = "check")]
    check_timeout: Option<f64>,
    /// Give a failed check back to the tool to mend, at most N times
    #[arg(long, value_name = "N", default_value_t = 0, requires = "check", hide_default_value = true)]
    retry_on_failed_check: u32,
    /// Work in a git work tree of its own, on BRANCH [default: cm/TASK]
    #[arg(long, value_name = "BRANCH", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    worktree: Option<String>,
    /// The commit, branch or tag the work tree starts from [default: HEAD]
    #[arg(long, value_name = "REF", requires = "worktree")]
    base: Option<String>,
    /// End a task as failed after this time: 90s, 10m, 1h30m
    #[arg(long, value_name = "TIME", value_parser = parse::duration)]
    timeout: Option<f64>,
    /// Memory each task may use: 512M, 2G
    #[arg(long, value_name = "BYTES", value_parser = parse::bytes)]
    memory: Option<u64>,
    /// Cores each task may use: 1.5
    #[arg(long, value_name = "CORES", value_parser = parse::cores)]
    cpu: Option<f64>,
    /// Processes and threads each task may have
    #[arg(long = "tasks", value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_tasks: Option<u64>,
    /// The terminal's size [default: 120x40]
    #[arg(long, value_name = "COLSxROWS", value_parser = parse::size)]
    size: Option<Size>,
    /// How many tasks run at once [default: the number of cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Keep the terminals of tasks that have ended, for an hour
    #[arg(long)]
    keep: bool,
    /// Print the sessions' ids and leave; their terminals stay for an hour after the end
    #[arg(long, short)]
    detach: bool,
    /// Events as JSON lines on standard output, the last one `run_finished`
    #[arg(long, conflicts_with_all = ["plain", "quiet"])]
    json: bool,
    /// Lines instead of bars
    #[arg(long, conflicts_with = "quiet")]
    plain: bool,
    /// Only what failed
    #[arg(long, short)]
    quiet: bool,
}

/// Runs the tasks.
///
/// # Errors
/// Something asked for makes no sense, or the agent cannot be reached or started.
pub async fn run(args: Dispatch, global: &Global) -> Result<Exit, Failure> {
    let view = view(&args);
    let (resume, elsewhere) = (args.resume.clone(), args.path.is_some());
    let way = args.at.way(global, true).await?;
    let mut plan = planned(args, way.is_remote())?;
    // Whether there is an agent at all is said before anything else.
    let client = way.connect().await?;
    if let Some(wanted) = resume {
        go_on(&mut plan, &wanted, elsewhere, &client).await?;
    }
    client.close().await;
    run::run(plan, way, view).await
}

/// Makes a plan's one task the continuation of an earlier session.
async fn go_on(plan: &mut Plan, wanted: &str, elsewhere: bool, client: &Client) -> Result<(), Failure> {
    let [request] = plan.requests.as_mut_slice() else {
        return Err(Failure::usage("--resume goes on with one session, and these are several tasks"));
    };
    let session = super::find(client, wanted).await?;
    request.resume = Some(session.session_id);
    request.tool = Some(session.tool.clone());
    if !elsewhere {
        request.context = Some(Context { path: Some(session.path.clone()), ..Context::default() });
    }
    for task in &mut plan.tasks {
        task.tool.clone_from(&session.tool);
        if !elsewhere {
            task.path.clone_from(&session.path);
        }
    }
    Ok(())
}

fn view(args: &Dispatch) -> Box<dyn View> {
    let (out, log) = (std::io::stdout(), std::io::stderr());
    let columns = terminal::stdout_columns();
    let paint = terminal::paint_stdout();
    if args.json {
        Box::new(Json::new(out))
    } else if args.quiet {
        Box::new(Plain::new(log, out, columns, paint).quiet())
    } else if args.plain || args.detach || !terminal::can_draw() {
        Box::new(Plain::new(log, out, columns, paint))
    } else {
        Box::new(Tty::new(out, paint))
    }
}

/// `there`: the agent is on another machine, and so are the directories.
fn planned(args: Dispatch, there: bool) -> Result<Plan, Failure> {
    let mut tasks = args.tasks;
    if let Some(file) = &args.file {
        tasks.extend(parse::task_lines(&read(file)?));
    }
    let limits = ResourceLimits { memory: args.memory, cpu: args.cpu, tasks: args.max_tasks };
    let asked = Asked {
        tasks,
        tool: args.tool,
        path: if there { remote_directory(args.path.as_deref())? } else { directory(args.path.as_deref())? },
        name: args.name,
        env: variables(args.env)?,
        timeout: args.timeout,
        limits: (limits != ResourceLimits::default()).then_some(limits),
        size: args.size,
        // Somebody who leaves wants to find it again.
        on_done: if args.keep || args.detach { OnDone::Keep } else { OnDone::Close },
        args: args.args,
        policy: args.policy.map(|wanted| policy(&wanted)).transpose()?,
        check: args.check.map(|command| Check {
            command,
            timeout: args.check_timeout,
            retries: args.retry_on_failed_check,
        }),
        worktree: args.worktree.map(|branch| Worktree {
            branch: Some(branch).filter(|branch| !branch.is_empty()),
            base: args.base,
            ..Worktree::default()
        }),
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    plan(asked, run_id()?, args.jobs.map_or(cores, usize::from), args.detach)
}

fn policy(wanted: &str) -> Result<PolicyChoice, Failure> {
    let own = policy::own_directory(|name| std::env::var(name).ok());
    policy::choose(wanted, own.as_deref())
}

/// 64 random bits: nobody has that many runs.
fn run_id() -> Result<String, Failure> {
    let mut bits = [0_u8; 8];
    getrandom::fill(&mut bits).map_err(|e| {
        Failure::new(Kind::Task, "the system gives no random numbers").caused_by(e.to_string())
    })?;
    Ok(format!("run-{:016x}", u64::from_ne_bytes(bits)))
}

/// A directory on a host, which only its agent can check: `~` and what is below, or an absolute path.
fn remote_directory(path: Option<&Path>) -> Result<String, Failure> {
    let Some(path) = path else { return Ok("~".to_owned()) };
    match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(Failure::usage(format!("the path {} is not UTF-8", path.display()))),
    }
}

fn directory(path: Option<&Path>) -> Result<String, Failure> {
    let path = match path {
        Some(path) => std::path::absolute(path),
        None => std::env::current_dir(),
    }
    .map_err(|e| {
        Failure::usage("cannot tell the current directory").because(&e).hint("name one with --path")
    })?;
    let shown = path.display().to_string();
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => path
            .into_os_string()
            .into_string()
            .map_err(|_| Failure::usage(format!("the path {shown} is not UTF-8"))),
        Ok(_) => Err(Failure::usage(format!("--path {shown} is not a directory")).hint(OTHER_PATH)),
        Err(e) => Err(Failure::usage(format!("--path {shown} cannot be used")).because(&e).hint(OTHER_PATH)),
    }
}

fn variables(args: Vec<EnvArg>) -> Result<BTreeMap<String, String>, Failure> {
    args.into_iter()
        .map(|arg| match arg {
            EnvArg::Set(name, value) => Ok((name, value)),
            EnvArg::Inherit(name) => match std::env::var(&name) {
                Ok(value) => Ok((name, value)),
                Err(std::env::VarError::NotPresent) => {
                    Err(Failure::usage(format!("--env {name}: there is no such variable here"))
                        .hint(format!("write --env {name}=value, or export it first")))
                }
                Err(std::env::VarError::NotUnicode(_)) => {
                    Err(Failure::usage(format!("--env {name}: its value is not UTF-8")))
                }
            },
        })
        .collect()
}

fn read(path: &Path) -> Result<String, Failure> {
    let cannot =
        |e: &std::io::Error| Failure::usage(format!("cannot read --file {}", path.display())).because(e);
    let source: Box<dyn Read> = if path.as_os_str() == "-" {
        Box::new(std::io::stdin().lock())
    } else {
        Box::new(std::fs::File::open(path).map_err(|e| cannot(&e))?)
    };
    let mut text = String::new();
    source.take(FILE_BYTES + 1).read_to_string(&mut text).map_err(|e| cannot(&e))?;
    if text.len() as u64 > FILE_BYTES {
        return Err(Failure::usage(format!("--file {} is over 16 MiB", path.display())));
    }
    Ok(text)
}

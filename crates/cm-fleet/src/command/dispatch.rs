//! `cm-fleet dispatch`: what was asked for, checked, made a run and shown.

use std::path::{Path, PathBuf};

use clap::Args;
use cm_client::Client;
use cm_client::protocol::{
    Check, Context, OnDone, Orphan, PolicyChoice, Repo, ResourceLimits, Size, Worktree,
};

use super::fleet::{Chosen, Crew, FleetArgs, choices};
use super::given::{directory, read, remote_directory};
use super::run_files;
use super::show_run::ShowRun;
use crate::cli::Global;
use crate::dispatch::plan::{Defaults, Plan, Rules, plan};
use crate::dispatch::run::{self, Begin};
use crate::dispatch::tasks::{self, Wanted};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::reach;
use crate::fleet::way::Way;
use crate::parse::{self, EnvArg};
use crate::policy;
use crate::report::event::FleetPlan;

/// How long a host may be silent, where nobody says it. Seconds.
const GRACE: f64 = 60.0;
/// How often work in progress is saved, where nobody says it. Seconds.
const SAVE_EVERY: f64 = 60.0;
/// Attempts a task has when hosts fail it, where nobody says it.
const ATTEMPTS: u32 = 3;

/// `--orphan`
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum OrphanArg {
    Keep,
    Stop,
}

impl From<OrphanArg> for Orphan {
    fn from(arg: OrphanArg) -> Self {
        match arg {
            OrphanArg::Keep => Self::Keep,
            OrphanArg::Stop => Self::Stop,
        }
    }
}

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
  cm-fleet dispatch -i fleet.yaml --on @gpu --path src/app \"fix the failing test\"    over a fleet
  cm-fleet dispatch --on 'zone=eu' --each-host --tool shell \"df -h /\"    once on each host
  cm-fleet dispatch --tool shell --env CI=1 --env GITHUB_TOKEN ./release.sh
  cm-fleet dispatch --json --tool shell make | jq -c 'select(.type == \"task_finished\")'

--notify is run by sh, with CM_EVENT (asked, ended), CM_HOST, CM_SESSION, CM_TASK and CM_QUESTION in
its environment; at the end the last two are the run and what became of its tasks. It has 10 s.

Ctrl-C detaches: what runs goes on, `cm-fleet sessions` finds it. A second one ends this run's
sessions, a third leaves at once.

Exit codes: 0 all tasks done · 1 a task failed · 2 usage · 3 no host could be reached · 130 Ctrl-C")]
pub struct Dispatch {
    #[command(flatten)]
    fleet: FleetArgs,
    /// The tasks, run at the same time; for --tool shell each is a script. `-` is one on standard input
    #[arg(value_name = "TASK")]
    texts: Vec<String>,
    /// Read tasks from a YAML file: each with its tool, hosts, check, order, … (docs/tasks.md)
    #[arg(long, value_name = "FILE", conflicts_with_all = ["resume", "each_host"])]
    tasks: Option<PathBuf>,
    /// Do each task once on each host
    #[arg(long, conflicts_with = "resume")]
    each_host: bool,
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
    /// Clone or fetch this git repository on the host; each task works in a work tree of its own
    #[arg(long, value_name = "URL")]
    repo: Option<String>,
    /// The commit, branch or tag of the repository that tasks start from [default: its own default branch]
    #[arg(long = "ref", value_name = "REF", requires = "repo")]
    reference: Option<String>,
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    processes: Option<u64>,
    /// The terminal's size [default: 120x40]
    #[arg(long, value_name = "COLSxROWS", value_parser = parse::size)]
    size: Option<Size>,
    /// Try a task that has failed again, at most N times
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    retries: u32,
    /// How often hosts may fail a task before it is left to you [default: 3; with one host 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    attempts: Option<u32>,
    /// A host that is not heard for this long is given up, and its tasks go elsewhere [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = parse::grace)]
    grace: Option<f64>,
    /// How often work in progress of tasks with --worktree or --repo is saved, so that another host can go on with it;
    /// 0 is never [default: 60s; with one host, or --detach, never]
    #[arg(long, value_name = "TIME", value_parser = parse::every)]
    save_every: Option<f64>,
    /// What hosts do with sessions when nobody has asked after them for three quarters of the grace: `keep` lets
    /// them go on, `stop` ends them, so that no task ever runs in two places
    #[arg(long, value_name = "WHAT", value_enum, default_value_t = OrphanArg::Keep)]
    orphan: OrphanArg,
    /// How many tasks run at once [default: the hosts' slots; on this machine alone the number of cores]
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Keep the terminals of tasks that have ended, for an hour
    #[arg(long)]
    keep: bool,
    /// Print the sessions' ids and leave; their terminals stay for an hour after the end
    #[arg(long, short)]
    detach: bool,
    #[command(flatten)]
    show: ShowRun,
}

/// Runs the tasks.
///
/// # Errors
/// Something asked for makes no sense, or no agent can be reached or started.
pub async fn run(mut args: Dispatch, global: &Global) -> Result<Exit, Failure> {
    let (view, calls) = args.show.calling(args.detach);
    let crew = args.fleet.crew(global).await?;
    for lost in &crew.fleet.lost {
        super::say(&format!("{}\n", lost.line()));
    }
    if crew.fleet.members.is_empty() {
        return Err(reach::none(&crew.fleet.lost));
    }
    let (resume, elsewhere) = (args.resume.take(), args.path.is_some());
    let origin = args.fleet.fixed(&crew);
    let (mut plan, pools) = planned(args, &crew)?;
    let ways: Vec<Way> = crew.fleet.members.iter().map(|member| member.way.clone()).collect();
    if let [way] = ways.as_slice() {
        // Whether there is an agent at all is said before anything else.
        let client = way.connect().await?;
        if let Some(wanted) = resume {
            go_on(&mut plan, &wanted, elsewhere, &client).await?;
        }
        client.close().await;
    } else if resume.is_some() {
        return Err(Failure::usage("--resume goes on with a session of one host, and these are several")
            .hint("--on NAME selects one"));
    }
    let record = run_files::create(&plan, &origin, &pools)?;
    let ran = run::run(plan, ways, Begin::default(), Box::new(record), view).await;
    calls.end().await;
    ran
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

/// The run, and the sets of hosts its tasks choose from.
fn planned(mut args: Dispatch, crew: &Crew) -> Result<(Plan, Vec<Chosen>), Failure> {
    let there = crew.fleet.members.iter().any(|member| member.way.is_remote());
    let wanted = wanted(&mut args, crew)?;
    let (chosen, of_tasks) = choices(&wanted);
    let several = crew.fleet.members.len() > 1;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    // One machine has as many as it has cores; many have their slots.
    let jobs = args.jobs.map_or(if several { wanted.len() } else { cores }, usize::from);
    let rules = Rules {
        run: run_id()?,
        jobs,
        detach: args.detach,
        orphan: args.orphan.into(),
        fleet: FleetPlan {
            hosts: crew.plans(if several { None } else { u32::try_from(jobs).ok() }),
            pools: crew.pools(&chosen)?,
            grace: args.grace.unwrap_or(GRACE),
            attempts: args.attempts.unwrap_or(if several { ATTEMPTS } else { 1 }),
        },
        pools: of_tasks,
    };
    let save_every = args.save_every.or((several && !args.detach).then_some(SAVE_EVERY));
    let mut defaults = defaults(args, there)?;
    defaults.save_every = save_every.filter(|seconds| *seconds > 0.0);
    let plan = plan(&defaults, wanted, rules, &policy, &|name| std::env::var(name).ok())?;
    Ok((plan, chosen))
}

/// The tasks of the command line and of the files it names.
fn wanted(args: &mut Dispatch, crew: &Crew) -> Result<Vec<Wanted>, Failure> {
    let mut texts = std::mem::take(&mut args.texts);
    for text in texts.iter_mut().filter(|text| *text == "-") {
        *text = read("the task on standard input", Path::new("-"))?;
    }
    if let Some(file) = &args.file {
        texts.extend(parse::task_lines(&read("--file", file)?));
    }
    let mut wanted: Vec<Wanted> =
        texts.into_iter().map(|text| Wanted { text, ..Wanted::default() }).collect();
    if args.each_host {
        wanted = each_host(&wanted, crew);
    }
    if let Some(path) = &args.tasks {
        let file =
            tasks::File::load(path, &|name| std::env::var(name).ok()).map_err(|error| error.failure())?;
        file.doubts().iter().for_each(|doubt| super::say(&format!("{doubt}\n")));
        let before = wanted.len();
        let more = tasks::expand(&file, &crew.facts()).map_err(|wrong| wrong.failure())?;
        wanted.extend(more.into_iter().map(|mut task| {
            task.after.iter_mut().for_each(|after| *after += before);
            task
        }));
    }
    Ok(wanted)
}

/// Each task once for each host.
fn each_host(wanted: &[Wanted], crew: &Crew) -> Vec<Wanted> {
    let mut each = Vec::new();
    for (number, task) in wanted.iter().enumerate() {
        for member in &crew.fleet.members {
            let name = match wanted.len() {
                1 => member.host.clone(),
                _ => format!("{}-{}", number + 1, member.host),
            };
            each.push(Wanted { name: Some(name), host: Some(member.host.clone()), ..task.clone() });
        }
    }
    each
}

/// What holds for every task. `there`: agents are on other machines, and so are the directories.
fn defaults(args: Dispatch, there: bool) -> Result<Defaults, Failure> {
    let path = if there { remote_directory(args.path.as_deref())? } else { directory(args.path.as_deref())? };
    let env = args.env.into_iter().map(|arg| match arg {
        EnvArg::Set(name, value) => (name, Some(value)),
        EnvArg::Inherit(name) => (name, None),
    });
    Ok(Defaults {
        tool: args.tool,
        path,
        name: args.name,
        env: env.collect(),
        timeout: args.timeout,
        limits: ResourceLimits { memory: args.memory, cpu: args.cpu, tasks: args.processes },
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
        repo: args.repo.map(|url| Repo { url, reference: args.reference }),
        save_every: None,
        retries: args.retries,
    })
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

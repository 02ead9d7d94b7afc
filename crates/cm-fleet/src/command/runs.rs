//! `cm-fleet runs`: what runs there are and how they stand; following, going on with, stopping one of them.

use std::time::Duration;

use clap::{Args, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, interval, timeout_at};

use super::fleet::Crew;
use super::run_files::{self, Kept, Reopened};
use super::show_run::ShowRun;
use crate::cli::Global;
use crate::dispatch::ledger::{self, Listed, Tail};
use crate::dispatch::now;
use crate::dispatch::run::{self, Begin};
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::way::Way;
use crate::report::clean::clean;
use crate::report::event::{FleetPlan, RunEvent, Stop};
use crate::report::fold::RunState;
use crate::report::paint::Paint;
use crate::report::result::{self, Tails};
use crate::report::table::{Cell, Column, render};
use crate::report::{View, terminal, words};

/// Runs that are listed where nobody says how many.
const LISTED: usize = 20;
/// How often a run of another process is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// How long another process is given to stop a run.
const STOPPING: Duration = Duration::from_secs(30);

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet runs                     the newest runs
  cm-fleet runs show last           what became of each task
  cm-fleet runs watch 1a2b          follow a run another terminal has, or had
  cm-fleet runs resume last         go on with a run that was left: nothing is done twice
  cm-fleet runs cancel 1a2b         end its sessions
  cm-fleet runs retry-failed last   once more what failed, was parked or skipped

RUN is a run's id, a part of it from its beginning, or `last`.")]
pub struct Runs {
    #[command(subcommand)]
    act: Option<Act>,
    /// All of them, however many
    #[arg(long)]
    all: bool,
    /// One line of JSON for each run
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Show what became of each of a run's tasks
    Show(Show),
    /// Follow a run; Ctrl-C leaves it alone
    Watch(Watch),
    /// Go on with a run that was left, on the hosts its inventory has now
    Resume(Again),
    /// End a run's sessions and start nothing more
    Cancel(Again),
    /// Go on with a run, and do what ended badly once more
    #[command(name = "retry-failed")]
    RetryFailed(Again),
}

/// `runs show`
#[derive(Debug, Args)]
struct Show {
    /// Which
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    /// Its events as JSON lines
    #[arg(long)]
    json: bool,
}

/// `runs watch`
#[derive(Debug, Args)]
struct Watch {
    /// Which
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    #[command(flatten)]
    show: ShowRun,
}

/// `runs resume`, `cancel`, `retry-failed`
#[derive(Debug, Args)]
struct Again {
    /// Which
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    #[command(flatten)]
    show: ShowRun,
}

/// What a run that is gone on with is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Aim {
    Resume,
    Cancel,
    Retry,
}

/// Does what was asked.
///
/// # Errors
/// There is no such run, its record cannot be read, or its hosts cannot be found again.
pub async fn run(args: Runs, global: &Global) -> Result<Exit, Failure> {
    match args.act {
        None => list(args.all, args.json),
        Some(Act::Show(args)) => show(&args),
        Some(Act::Watch(args)) => watch(&args.run, &args.show).await,
        Some(Act::Resume(args)) => again(args, Aim::Resume, global).await,
        Some(Act::Cancel(args)) => again(args, Aim::Cancel, global).await,
        Some(Act::RetryFailed(args)) => again(args, Aim::Retry, global).await,
    }
}

fn list(all: bool, as_json: bool) -> Result<Exit, Failure> {
    let runs = run_files::place()?.list().map_err(|error| error.failure())?;
    let most = if all { runs.len() } else { LISTED };
    let head = [
        Column::text("run"),
        Column::number("age"),
        Column::text("state"),
        Column::elastic("hosts"),
        Column::elastic("tasks"),
        Column::elastic("first task"),
    ];
    let (mut rows, mut lines) = (Vec::new(), String::new());
    for listed in runs.iter().take(most) {
        let held = run_files::is_held(&listed.dir)?;
        let state = match run_files::state(&listed.dir) {
            Ok(state) => state,
            Err(failure) => {
                super::say(&format!("{}: {}\n", listed.id, failure.chain.join(": ")));
                continue;
            }
        };
        let word = stands(&state, held);
        if as_json {
            lines.push_str(&super::json(&serde_json::json!({
                "run": listed.id,
                "startedAt": listed.started,
                "state": word,
                "hosts": state.hosts.iter().map(|host| &host.name).collect::<Vec<_>>(),
                "tasks": state.tasks.len(),
                "summary": state.summary(),
            }))?);
            continue;
        }
        let colour: fn(Paint, &str) -> String = match word {
            "running" | "done" => Paint::good,
            "failed" => Paint::bad,
            _ => Paint::attention,
        };
        let first = state.tasks.first().map(|task| clean(&task.plan.summary)).unwrap_or_default();
        rows.push(vec![
            clean(&listed.id).into(),
            words::age(now() - listed.started).into(),
            Cell::coloured(word, colour),
            words::hosts(&state).into(),
            words::sum(state.summary()).into(),
            first.into(),
        ]);
    }
    if as_json {
        super::print(&lines)?;
    } else if rows.is_empty() {
        super::say("no runs yet; `cm-fleet dispatch` begins one\n");
    } else {
        super::print(&render(&head, &rows, terminal::stdout_columns(), terminal::paint_stdout()))?;
        if runs.len() > most {
            super::say(&format!("{} more; --all lists them\n", runs.len() - most));
        }
    }
    Ok(Exit::Done)
}

/// How a run stands, in a word.
fn stands(state: &RunState, held: bool) -> &'static str {
    let sum = state.summary();
    match (held, sum.running + sum.queued, sum.bad()) {
        (true, _, _) => "running",
        (false, 0, 0) => "done",
        (false, 0, _) => "failed",
        (false, _, _) => "left",
    }
}

fn show(args: &Show) -> Result<Exit, Failure> {
    let listed = run_files::find(&args.run)?;
    if args.json {
        run_files::each(&listed.dir, |event| super::print(&super::json(&event)?))?;
        return Ok(Exit::Done);
    }
    let state = run_files::state(&listed.dir)?;
    let (columns, paint) = (terminal::stdout_columns(), terminal::paint_stdout());
    let held = run_files::is_held(&listed.dir)?;
    let mut text = format!(
        "{} · {} · {} ago · {}\n",
        clean(&listed.id),
        stands(&state, held),
        words::age(now() - listed.started),
        words::sum(state.summary())
    );
    text.push_str(&result::tails(&state, Tails::Failed, columns, paint));
    text.push_str(&result::table(&state, columns, paint));
    super::print(&text)?;
    if let Some(next) = next_move(&listed.id, &state, held) {
        super::say(&next);
    }
    Ok(Exit::Done)
}

/// What one would do next with such a run.
fn next_move(id: &str, state: &RunState, held: bool) -> Option<String> {
    let short = words::run(id);
    match stands(state, held) {
        "running" => Some(format!("`cm-fleet runs watch {short}` follows it\n")),
        "left" => Some(format!("`cm-fleet runs resume {short}` goes on with it\n")),
        "failed" => Some(format!("`cm-fleet runs retry-failed {short}` does what failed once more\n")),
        _ => None,
    }
}

async fn watch(query: &str, how: &ShowRun) -> Result<Exit, Failure> {
    let (view, calls) = how.calling(false);
    let followed = follow(query, view).await;
    calls.end().await;
    followed
}

async fn follow(query: &str, mut view: Box<dyn View>) -> Result<Exit, Failure> {
    let listed = run_files::find(query)?;
    let mut caught = signal(SignalKind::interrupt())
        .map_err(|e| Failure::new(Kind::Task, "cannot catch Ctrl-C").because(&e))?;
    let mut tail: Tail<RunEvent> = Tail::open(&listed.dir).map_err(|error| error.failure())?;
    let mut state = RunState::default();
    let mut look = interval(LOOK);
    let unwritable = |e: std::io::Error| Failure::new(Kind::Task, "cannot write the report").because(&e);
    loop {
        tokio::select! {
            _ = look.tick() => {}
            _ = caught.recv() => return Ok(Exit::Interrupted),
        }
        let news = tail.next_lines().map_err(|error| error.failure())?;
        for event in &news.events {
            state.apply(event);
            view.event(event, &state).map_err(unwritable)?;
        }
        view.tick(now(), &state).map_err(unwritable)?;
        if state.finished.is_some() && (news.gone || news.events.is_empty()) {
            return Ok(state.exit());
        }
        if news.gone {
            return Err(Failure::new(Kind::Task, format!("nobody has {} any more", listed.id))
                .hint(format!("`cm-fleet runs resume {}` goes on with it", words::run(&listed.id))));
        }
    }
}

async fn again(args: Again, aim: Aim, global: &Global) -> Result<Exit, Failure> {
    let listed = run_files::find(&args.run)?;
    let Some(Reopened { record, state }) = run_files::reopen(&listed.dir)? else {
        // One process has it; this one asks, or looks on.
        return match aim {
            Aim::Cancel => cancel_elsewhere(&listed, &args.show).await,
            Aim::Resume | Aim::Retry => {
                super::say(&format!("another process has {}: following it\n", listed.id));
                watch(&listed.id, &args.show).await
            }
        };
    };
    let sum = state.summary();
    let bad: Vec<usize> = state
        .tasks
        .iter()
        .filter(|t| t.status.is_over() && !t.status.is_done())
        .map(|t| t.plan.number)
        .collect();
    let reopen = if aim == Aim::Retry { bad } else { Vec::new() };
    if sum.running + sum.queued == 0 && reopen.is_empty() {
        let what = format!("{} is over: {}", listed.id, words::sum(sum));
        let failure = Failure::new(Kind::Refused, what);
        return Err(if sum.bad() > 0 {
            failure.hint(format!(
                "`cm-fleet runs retry-failed {}` does what failed once more",
                words::run(&listed.id)
            ))
        } else {
            failure
        });
    }
    let Kept { plan, origin, pools } = run_files::kept(&listed.dir)?;
    let mut plan = plan.with_secrets(&|name| std::env::var(name).ok())?;
    let crew = origin.crew(global).await?;
    plan.fleet = fleet(&crew, &plan.fleet, &pools)?;
    plan.detach = false;
    let ways: Vec<Way> = crew.fleet.members.iter().map(|member| member.way.clone()).collect();
    let begin = Begin { state, reopen, stop: (aim == Aim::Cancel).then_some(Stop::Cancel) };
    let (view, calls) = args.show.calling(false);
    let ran = run::run(plan, ways, begin, Box::new(record), view).await;
    calls.end().await;
    ran
}

/// The hosts as they are now, with the rules of before.
fn fleet(crew: &Crew, before: &FleetPlan, pools: &[super::fleet::Chosen]) -> Result<FleetPlan, Failure> {
    let slots = before.hosts.first().and_then(|host| host.slots).filter(|_| before.hosts.len() == 1);
    let pools = if before.pools.is_empty() { Vec::new() } else { crew.pools(pools)? };
    Ok(FleetPlan { hosts: crew.plans(slots), pools, ..before.clone() })
}

/// Asks the process that has a run to cancel it, and looks on.
async fn cancel_elsewhere(Listed { id, dir, .. }: &Listed, how: &ShowRun) -> Result<Exit, Failure> {
    ledger::request_stop(dir, Stop::Cancel).map_err(|error| error.failure())?;
    match timeout_at(Instant::now() + STOPPING, watch(id, how)).await {
        Ok(watched) => watched,
        Err(_) => {
            let seconds = STOPPING.as_secs();
            Err(Failure::new(Kind::Task, format!("{id} was asked to stop, and has not within {seconds} s"))
                .hint("end the process that has it, and cancel again"))
        }
    }
}

//! `cm-fleet deploy` and `cm-fleet plan`: hosts become what the inventory says, or it is shown what would change.

use std::path::PathBuf;

use clap::Args;

use super::hosts::{HostsArgs, Opened, Operator, ShowArgs};
use crate::deploy::event::Verb;
use crate::deploy::jobs::Depth;
use crate::deploy::record::Record;
use crate::deploy::rollout::{Amount, DEFAULT_AT_ONCE, Pace};
use crate::deploy::run::{self, Run};
use crate::deploy::stage::Moment;
use crate::deploy::wanted::Manner;
use crate::deploy::who;
use crate::exit::Exit;
use crate::failure::Failure;

const EXAMPLES: &str = "\
Examples:
  cm-fleet deploy                           fleet.yaml here, after a question
  cm-fleet deploy fleet.yaml --yes          without one
  cm-fleet deploy --on @gpu,web-01          some of its hosts
  cm-fleet deploy --canary 1 --batch 25%    one first, then a quarter at a time
  cm-fleet plan                             only what would change, and why

Nothing is done to a host that is as it should be. A host that does not become healthy, or that cannot be
reached through a new tunnel afterwards, goes back by itself. Running sessions go on. Running it again goes
on where it stopped.

Exit codes: 0 all hosts are as they should be · 1 a host failed or was not reached · 2 usage or inventory ·
3 no host could be reached · 4 refused (host key, lock, another fleet's host, sessions that would end) ·
5 hosts went back · 130 Ctrl-C";

/// The arguments of `deploy`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Deploy {
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    manner: MannerArgs,
    /// Only show what would change
    #[arg(long)]
    dry_run: bool,
    /// Hosts that go first, alone; the others only if these go well: a number or a share
    #[arg(long, value_name = "N|N%", default_value = "0")]
    canary: Amount,
    /// Hosts in a batch; the next begins when all of these have ended
    #[arg(long, value_name = "N|N%", default_value = "100%")]
    batch: Amount,
    /// Hosts under way at the same time
    #[arg(long, value_name = "N|N%", default_value_t = Share(Amount::Hosts(DEFAULT_AT_ONCE)))]
    max_unavailable: Share,
    /// Failures put up with; one more stops the rollout, and hosts that changed go back [default: 0 with
    /// --canary or --batch, else any number]
    #[arg(long, value_name = "N|N%")]
    max_failures: Option<Amount>,
    /// Leave hosts that changed as they are when the rollout stops
    #[arg(long)]
    no_rollback: bool,
    /// Write every event to this file, too, as JSON lines
    #[arg(long, value_name = "FILE")]
    report: Option<PathBuf>,
}

/// How hosts are changed.
#[derive(Debug, Args)]
pub struct MannerArgs {
    /// Go ahead without asking
    #[arg(long, short)]
    yes: bool,
    /// Go on although sessions will end
    #[arg(long)]
    force: bool,
    /// Take hosts from other fleets, and from deployments that were left unfinished
    #[arg(long)]
    take_over: bool,
    /// Seconds after which a host goes back unless it was reached through a new tunnel; 0: never
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(0..=86_400))]
    confirm_within: u64,
    /// Seconds a new agent has to become healthy
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    ready_within: u64,
}

impl MannerArgs {
    /// Without a question?
    pub fn yes(&self) -> bool {
        self.yes
    }

    /// As the deployment wants it.
    pub fn manner(&self) -> Manner {
        Manner {
            by: who::by(),
            confirm_seconds: self.confirm_within,
            ready_seconds: self.ready_within,
            force: self.force,
            take_over: self.take_over,
        }
    }
}

/// An [`Amount`] as a default on the command line.
#[derive(Debug, Clone, Copy)]
struct Share(Amount);

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Amount::Hosts(n) => write!(f, "{n}"),
            Amount::Percent(p) => write!(f, "{p}%"),
        }
    }
}

impl std::str::FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.parse().map(Self)
    }
}

/// The arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// End with 1 if something would change
    #[arg(long)]
    detailed_exitcode: bool,
}

impl Deploy {
    fn pace(&self) -> Pace {
        let careful = self.canary != Amount::Hosts(0) || self.batch != Amount::Percent(100);
        Pace {
            canary: self.canary,
            batch: self.batch,
            max_unavailable: self.max_unavailable.0,
            max_failures: self.max_failures.or(careful.then_some(Amount::Hosts(0))),
            roll_back: !self.no_rollback,
        }
    }
}

/// Deploys.
///
/// # Errors
/// Before anything is done to a host; what fails on hosts is in the exit code.
pub async fn run(args: Deploy) -> Result<Exit, Failure> {
    let verb = if args.dry_run { Verb::Plan } else { Verb::Deploy };
    let mut operator = Operator::new(args.manner.yes || args.dry_run, "Change {}?")?;
    let pace = args.pace();
    let summary =
        go(&args.hosts, &args.show, args.report, verb, args.manner.manner(), pace, &mut operator).await?;
    Ok(summary.exit())
}

/// Shows what would change.
///
/// # Errors
/// As [`run()`].
pub async fn plan(args: PlanArgs) -> Result<Exit, Failure> {
    let mut operator = Operator::watcher()?;
    let manner = Manner { by: who::by(), ..Manner::default() };
    let summary =
        go(&args.hosts, &args.show, None, Verb::Plan, manner, Pace::default(), &mut operator).await?;
    match summary.exit() {
        Exit::Done if args.detailed_exitcode && summary.would_change > 0 => Ok(Exit::Failed),
        exit => Ok(exit),
    }
}

async fn go(
    hosts: &HostsArgs,
    show: &ShowArgs,
    report: Option<PathBuf>,
    verb: Verb,
    manner: Manner,
    pace: Pace,
    operator: &mut Operator,
) -> Result<crate::deploy::event::Summary, Failure> {
    let Opened { inventory, jobs, settled, keys } = hosts.open(Depth::Settings).await?;
    let mut record = Record::open(&inventory.name, report.as_deref())?;
    let mut shown = show.view();
    let tick = shown.tick_every();
    let run = Run { verb, fleet: inventory.name.clone(), jobs, settled, manner, pace };
    let known = inventory.hosts.clone();
    let summary = run::run(run, keys, operator, tick, &mut |moment, state| {
        if let Moment::Event(event) = moment {
            record.take(event, &known);
        }
        shown.show(moment, state);
    })
    .await;
    record.close()?;
    Ok(summary)
}

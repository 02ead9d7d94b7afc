//! `cm-fleet rollback`, `uninstall` and `rotate-token`: one act on every host.

use clap::Args;

use super::deploy::MannerArgs;
use super::hosts::{HostsArgs, Operator, ShowArgs};
use crate::deploy::each::{Each, Reached, each};
use crate::deploy::event::{Outcome, Verb};
use crate::deploy::jobs::Depth;
use crate::deploy::record::{self, Record};
use crate::deploy::stage::Moment;
use crate::deploy::{link, who};
use crate::exit::Exit;
use crate::failure::Failure;

/// The arguments of `rollback`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet rollback                 every host to the generation before
  cm-fleet rollback --to 3 --on h1  one host to its generation 3 (`cm-fleet versions` lists them)
  cm-fleet rollback --to 9f86d081   to the newest generation with that program")]
pub struct Rollback {
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    show: ShowArgs,
    #[command(flatten)]
    manner: MannerArgs,
    /// A generation's number, or the beginning of a program's sha256 (8 digits or more)
    #[arg(long, value_name = "N|SHA256", value_parser = generation)]
    to: Option<String>,
}

/// The arguments of `uninstall`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet uninstall --on old-01   its agent, unit and configuration; journal and transcripts stay
  cm-fleet uninstall --purge       everything
  cm-fleet uninstall --orphans     hosts that were deployed to and left the inventory")]
pub struct Uninstall {
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Go ahead without asking
    #[arg(long, short)]
    yes: bool,
    /// Also journal, transcripts and settings of the agent
    #[arg(long)]
    purge: bool,
    /// End running sessions, and remove another fleet's agent
    #[arg(long)]
    force: bool,
    /// The hosts that were deployed to and that the inventory does not name any more, instead of its own
    #[arg(long)]
    orphans: bool,
}

/// The arguments of `rotate-token`.
#[derive(Debug, Args)]
#[command(after_help = "\
Only agents that listen on TCP (`agent: {listen: …}`) have a token. A token that the inventory gives is changed
there, and with `cm-fleet deploy`; this is for tokens that hosts have made themselves.")]
pub struct RotateToken {
    #[command(flatten)]
    hosts: HostsArgs,
    #[command(flatten)]
    show: ShowArgs,
    /// Go ahead without asking
    #[arg(long, short)]
    yes: bool,
}

/// Goes back.
///
/// # Errors
/// Before anything is done to a host.
pub async fn rollback(args: Rollback) -> Result<Exit, Failure> {
    let (manner, to) = (args.manner.manner(), args.to);
    act(Verb::Rollback, &args.hosts, &args.show, args.manner.yes(), "Take {} back?", false, move |host| {
        let (manner, to) = (manner.clone(), to.clone());
        async move {
            let Reached { job, link, facts, tell, means } = host;
            link::roll_back(&job, link, &facts, to.as_deref(), &manner, &means, &tell).await
        }
    })
    .await
}

/// Removes agents.
///
/// # Errors
/// Before anything is done to a host.
pub async fn uninstall(args: Uninstall) -> Result<Exit, Failure> {
    let (purge, force) = (args.purge, args.force);
    let question = if purge {
        "Remove the agents of {} and everything they remember?"
    } else {
        "Remove the agents of {}?"
    };
    act(Verb::Uninstall, &args.hosts, &args.show, args.yes, question, args.orphans, move |host| async move {
        let Reached { job, link, facts, tell, means } = host;
        link::uninstall(&job, link, &facts, purge, force, &means, &tell).await
    })
    .await
}

/// Makes new tokens.
///
/// # Errors
/// Before anything is done to a host.
pub async fn rotate_token(args: RotateToken) -> Result<Exit, Failure> {
    let question = "Give the agents of {} new tokens?";
    act(Verb::RotateToken, &args.hosts, &args.show, args.yes, question, false, |host| async move {
        let Reached { job, link, facts, .. } = host;
        link::rotate_token(&job, link, &facts).await
    })
    .await
}

async fn act<Act, Fut>(
    verb: Verb,
    hosts: &HostsArgs,
    show: &ShowArgs,
    yes: bool,
    question: &'static str,
    orphans: bool,
    act: Act,
) -> Result<Exit, Failure>
where
    Act: Fn(Reached) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    let mut operator = Operator::new(yes, question)?;
    let opened = if orphans {
        let (inventory, _) = hosts.load()?;
        let lost = record::orphans(&record::load(&inventory.name)?, &inventory);
        hosts.open_these(inventory, lost, Depth::Reach).await?
    } else {
        hosts.open(Depth::Reach).await?
    };
    if !operator.confirms(opened.jobs.len()).await {
        return Err(Failure::usage("nothing was done: it was not confirmed"));
    }
    let mut record = Record::open(&opened.inventory.name, None)?;
    let mut shown = show.view();
    let tick = shown.tick_every();
    let known = opened.inventory.hosts.clone();
    let run = Each {
        verb,
        fleet: opened.inventory.name.clone(),
        by: who::by(),
        jobs: opened.jobs,
        settled: opened.settled,
    };
    let mut take = |moment: Moment<'_>, state: &_| {
        if let Moment::Event(event) = moment {
            record.take(event, &known);
        }
        shown.show(moment, state);
    };
    let summary = each(run, opened.keys, &mut operator, tick, &mut take, act).await;
    record.close()?;
    Ok(summary.exit())
}

/// A generation as people name it.
fn generation(text: &str) -> Result<String, String> {
    let number = text.parse::<u64>().is_ok() && text.len() < 8;
    let hash = (8..=64).contains(&text.len()) && text.chars().all(|c| c.is_ascii_hexdigit());
    if number || hash {
        Ok(text.to_lowercase())
    } else {
        Err("expected a generation's number, or 8 to 64 digits of a program's sha256".to_owned())
    }
}

//! `cm-fleet status`: every host at a glance, once or again and again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::hosts::{HostsArgs, Opened};
use crate::container::host::wanted_program;
use crate::deploy::binary::Programs;
use crate::deploy::event::Outcome;
use crate::deploy::host::{Job, Tell};
use crate::deploy::jobs::Depth;
use crate::deploy::link::{self, Link, Means};
use crate::deploy::record;
use crate::deploy::run::CONNECTING;
use crate::deploy::status::{HostStatus, State, of_facts, of_outcome, table};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::terminal;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet status                     fleet.yaml here
  cm-fleet status --on @gpu --watch   every 5 seconds, until Ctrl-C
  cm-fleet status --json | jq -r 'select(.state != \"good\") | .host'

States: good · outdated (deploy would bring another program) · stale (another program runs than is
installed) · drift (files changed by hand) · unconfirmed · down · absent · orphan (deployed, and no longer in
the inventory) · foreign (another fleet's) · silent · refused · failed

Exit codes: 0 all good, outdated or absent · 1 a host is not · 2 usage · 3 no host could be reached")]
pub struct Status {
    #[command(flatten)]
    hosts: HostsArgs,
    /// One JSON object a host
    #[arg(long)]
    json: bool,
    /// Again every SECONDS
    #[arg(long, short, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "5")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=86_400))]
    watch: Option<u64>,
}

/// Shows it.
///
/// # Errors
/// The inventory cannot be used.
pub async fn run(args: Status) -> Result<Exit, Failure> {
    let mut opened = args.hosts.open(Depth::Reach).await?;
    let names: Vec<String> = opened.jobs.iter().map(|job| job.name.clone()).collect();
    let all = names.len() + opened.settled.len() == opened.inventory.hosts.len();
    let orphans = if all { orphans(&args, &mut opened).await? } else { Vec::new() };
    let means = Means::new(Arc::clone(&opened.keys));
    let mut look = Look { opened, means, orphans, open: BTreeMap::new(), programs: Programs::new() };
    loop {
        let rows = look.all().await;
        let more = show(&args, &rows)?;
        let Some(every) = args.watch.filter(|_| more) else { return Ok(exit(&rows)) };
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(every)) => {}
            _ = tokio::signal::ctrl_c() => return Ok(exit(&rows)),
        }
    }
}

/// Adds hosts that were deployed to and left the inventory; their names.
async fn orphans(args: &Status, opened: &mut Opened) -> Result<Vec<String>, Failure> {
    let lost = record::orphans(&record::load(&opened.inventory.name)?, &opened.inventory);
    let names = lost.iter().map(|host| host.name.clone()).collect();
    if !lost.is_empty() {
        let more = args.hosts.open_these(opened.inventory.clone(), lost, Depth::Reach).await?;
        opened.jobs.extend(more.jobs);
        opened.settled.extend(more.settled);
    }
    Ok(names)
}

/// Looks at all hosts, over connections that stay.
struct Look {
    opened: Opened,
    means: Means,
    orphans: Vec<String>,
    open: BTreeMap<String, Link>,
    programs: Programs,
}

impl Look {
    async fn all(&mut self) -> Vec<HostStatus> {
        let room = Arc::new(Semaphore::new(CONNECTING));
        let mut tasks = JoinSet::new();
        for job in &self.opened.jobs {
            let (job, means, room) = (job.clone(), self.means.clone(), Arc::clone(&room));
            let open = self.open.remove(&job.name);
            tasks.spawn(async move {
                let _permit = room.acquire_owned().await;
                let answer = Box::pin(one(&job, open, &means)).await;
                let program = wanted_program(&job, &means.images).await;
                (job, answer, program)
            });
        }
        let mut rows = BTreeMap::new();
        while let Some(done) = tasks.join_next().await {
            let Ok((job, answer, program)) = done else { continue };
            let orphan = self.orphans.contains(&job.name);
            let row = match answer {
                Ok((link, facts)) => {
                    self.open.insert(job.name.clone(), link);
                    // For status it is enough to know what is wanted where that can be known.
                    let wanted = match job.container {
                        Some(_) => program,
                        None => self.programs.get(job.binary.as_deref(), &facts.arch).ok().map(|p| p.binary),
                    };
                    let wanted = wanted.filter(|_| !orphan);
                    of_facts(&job.name, &self.opened.inventory.name, orphan, wanted, facts)
                }
                Err(outcome) => of_outcome(&job.name, orphan, &outcome),
            };
            rows.insert(job.name.clone(), row);
        }
        for (name, outcome) in &self.opened.settled {
            rows.insert(name.clone(), of_outcome(name, self.orphans.contains(name), outcome));
        }
        let order = self.opened.inventory.hosts.iter().map(|host| &host.name).chain(&self.orphans);
        order.filter_map(|name| rows.remove(name)).collect()
    }
}

/// One host: over the connection there is, else over a new one.
async fn one(
    job: &Job,
    open: Option<Link>,
    means: &Means,
) -> Result<(Link, cm_protocol::deploy::Facts), Outcome> {
    let (tell, _told) = mpsc::unbounded_channel();
    let tell = Tell::new(&job.name, tell);
    if let Some(link) = open
        && let Ok(answer) = link::again(job, link, means, &tell).await
    {
        return Ok(answer);
    }
    link::ask(job, means, "", &tell).await
}

/// Prints it; false once nobody reads any more.
fn show(args: &Status, rows: &[HostStatus]) -> Result<bool, Failure> {
    if args.json {
        let mut text = String::new();
        for row in rows {
            text.push_str(&super::json(row)?);
        }
        return super::print(&text);
    }
    let columns = terminal::stdout_columns();
    let table = table(rows, columns, terminal::paint_stdout());
    // On a terminal each look takes the place of the one before.
    let again = args.watch.is_some() && columns.is_some();
    super::print(&if again { format!("\x1b[H\x1b[2J{table}") } else { table })
}

fn exit(rows: &[HostStatus]) -> Exit {
    let silent = |row: &&HostStatus| matches!(row.state, State::Silent | State::Refused);
    let good = |row: &HostStatus| {
        matches!(
            row.state,
            State::Good | State::Outdated | State::Absent | State::Orphan | State::Unconfirmed
        )
    };
    match () {
        () if !rows.is_empty() && rows.iter().filter(silent).count() == rows.len() => Exit::Unreachable,
        () if rows.iter().all(good) => Exit::Done,
        () => Exit::Failed,
    }
}

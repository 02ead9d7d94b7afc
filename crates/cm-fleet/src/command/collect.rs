//! `cm-fleet collect`: results, texts, patches and branches of a run's tasks, from all hosts into one directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::pin::pin;

use clap::Args;
use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::run_files::{self, Kept};
use crate::cli::Global;
use crate::collect::branches::{self, Brought, Meeting, Work};
use crate::collect::gather::{self, Got, Want};
use crate::collect::git::Git;
use crate::collect::history::histories;
use crate::collect::names::folders;
use crate::collect::report::{self, TaskResult};
use crate::collect::run::Run;
use crate::dispatch::plan::Plan;
use crate::exit::Exit;
use crate::failure::{Failure, Kind};
use crate::fleet::reach::{self, Fleet, Unreached};
use crate::report::fold::RunState;
use crate::report::terminal;

/// Hosts that are fetched from at the same time.
const HOSTS: usize = 8;
/// Hosts whose branches are fetched at the same time: bundles are held in memory.
const BUNDLES: usize = 4;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet collect                     the newest run's results into ./results
  cm-fleet collect 1a2b --out /tmp/x   those of another run; `cm-fleet runs` lists them
  cm-fleet collect --branches          also each task's branch, as cm/NAME in the repository around here,
                                       and which of them would conflict

For each task that has ended results/NAME/ holds result.json (how it ended, where, all attempts),
transcript (what it printed), patch (what it changed) and receipts.jsonl (what was done about its
prompts). It can be repeated while a run goes on, and where a host did not answer.

Exit codes: 0 · 1 a host did not answer, or something is missing (the rest is there) · 2 usage ·
3 no host could be reached")]
pub struct Collect {
    /// Which run: its id, the beginning of it, or `last`
    #[arg(value_name = "RUN", default_value = "last")]
    run: String,
    /// Where results go
    #[arg(long, short, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Fetch the tasks' branches, too, and say which of them would conflict
    #[arg(long)]
    branches: bool,
    /// The git repository that branches go into [default: the one around the current directory]
    #[arg(long, value_name = "DIR", requires = "branches")]
    into: Option<PathBuf>,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

/// Collects.
///
/// # Errors
/// There is no such run, results of another one are in the way, or no host can be reached.
pub async fn run(args: Collect, global: &Global) -> Result<Exit, Failure> {
    let listed = run_files::find(&args.run)?;
    let Kept { plan, origin, .. } = run_files::kept(&listed.dir)?;
    let run = read(&listed.dir, plan, args.out)?;
    let mut results = run.results();
    if results.is_empty() {
        super::say(&format!("no task of {} has ended yet\n", listed.id));
        return Ok(Exit::Done);
    }
    run.is_free(&results)?;
    let git = match args.branches {
        true => Some(Git::around(args.into.as_deref().unwrap_or(Path::new("."))).await?),
        false => None,
    };
    run.make_room(&results)?;
    let asks = run.asks(&results);
    let works = if git.is_some() { run.works(&results) } else { BTreeMap::new() };
    let hosts: BTreeSet<&str> = asks.keys().chain(works.keys()).map(String::as_str).collect();
    let (mut got, mut lost, mut told) = (BTreeMap::new(), Vec::new(), Told::default());
    let mut fleet = None;
    if !hosts.is_empty() {
        let (members, absent) = needed(origin.crew(global).await?.fleet, &hosts);
        lost = absent;
        got = fetch(&members, &asks, &mut lost).await;
        fleet = Some(members);
    }
    let missing = run.write(&mut results, &asks, &got)?;
    if let (Some(git), Some(fleet)) = (&git, &fleet) {
        told = run.branches(git, fleet, &works, &lost).await?;
    }
    run.tell(&results, &told, args.json)?;
    super::say(&reach::lost_lines(&lost));
    if !lost.is_empty() && lost.len() == hosts.len() {
        return Ok(Exit::Unreachable);
    }
    let failed = missing || !lost.is_empty() || told.branches.iter().any(|one| one.became.is_bad());
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

/// The run, as its record tells it.
fn read(dir: &Path, plan: Plan, out: PathBuf) -> Result<Run, Failure> {
    let events = run_files::events(dir)?;
    let mut state = RunState::default();
    events.iter().for_each(|event| state.apply(event));
    let histories = histories(&events, state.tasks.len());
    let folders = folders(state.tasks.iter().map(|task| task.plan.label.as_str()));
    Ok(Run { dir: dir.to_owned(), plan, state, histories, folders, out })
}

/// What is said of branches.
#[derive(Default)]
struct Told {
    branches: Vec<Brought>,
    meetings: Vec<Meeting>,
    /// Files that two tasks changed and that were not looked at.
    more: usize,
}

/// The members that are needed; those that cannot be asked, with why.
fn needed(mut fleet: Fleet, hosts: &BTreeSet<&str>) -> (Fleet, Vec<Unreached>) {
    fleet.members.retain(|member| hosts.contains(member.host.as_str()));
    let mut lost: Vec<Unreached> =
        std::mem::take(&mut fleet.lost).into_iter().filter(|one| hosts.contains(one.host.as_str())).collect();
    for host in hosts {
        let known = fleet.way(host).is_some() || lost.iter().any(|one| one.host == *host);
        if !known {
            let failure = Failure::new(Kind::Unreachable, format!("cannot reach the agent on {host}"))
                .caused_by("it is not among the run's hosts any more");
            lost.push(Unreached { host: (*host).to_owned(), failure });
        }
    }
    (fleet, lost)
}

/// Asks all hosts for what is wanted of them.
async fn fetch(
    fleet: &Fleet,
    asks: &BTreeMap<String, Vec<Want>>,
    lost: &mut Vec<Unreached>,
) -> BTreeMap<usize, Got> {
    let asked = Fleet {
        members: fleet.members.iter().filter(|member| asks.contains_key(&member.host)).cloned().collect(),
        lost: Vec::new(),
        within: fleet.within,
    };
    let room = &Semaphore::new(HOSTS);
    let visits = asked.visit(|client| async move { Ok(client) });
    let gathering = visits
        .map(|(member, answer)| async move {
            // It is never closed.
            let _turn = room.acquire().await;
            let client = answer.map_err(|failure| (member.host.clone(), failure))?;
            let wanted = asks.get(&member.host).map_or(&[][..], Vec::as_slice);
            let got = gather::gather(&client, &member.way, wanted).await;
            client.close().await;
            Ok::<_, (String, Failure)>(got)
        })
        // All of them: connections that are being made go on meanwhile.
        .buffer_unordered(asked.members.len().max(1));
    let mut gathering = pin!(gathering);
    let mut all = BTreeMap::new();
    while let Some(gathered) = gathering.next().await {
        match gathered {
            Ok(got) => all.extend(got),
            Err((host, failure)) => lost.push(Unreached { host, failure }),
        }
    }
    all
}

impl Run {
    async fn branches(
        &self,
        git: &Git,
        fleet: &Fleet,
        works: &BTreeMap<String, Vec<Work>>,
        lost: &[Unreached],
    ) -> Result<Told, Failure> {
        let reached = works.iter().filter(|(host, _)| !lost.iter().any(|one| one.host == **host));
        let each = reached.filter_map(|(host, works)| Some((fleet.way(host)?, works)));
        let mut branches: Vec<Brought> = stream::iter(each)
            .map(|(way, works)| async move {
                let mut brought = Vec::with_capacity(works.len());
                for work in works {
                    brought.push(branches::bring(git, way, &self.state.run, work).await);
                }
                brought
            })
            .buffer_unordered(BUNDLES)
            .collect::<Vec<_>>()
            .await
            .concat();
        branches.sort_by_key(|one| one.task);
        let (meetings, more) = branches::meetings(git, &branches).await?;
        Ok(Told { branches, meetings, more })
    }

    fn tell(&self, results: &[(usize, TaskResult<'_>)], told: &Told, json: bool) -> Result<(), Failure> {
        let label = |task: usize| self.state.tasks[task].plan.label.clone();
        if json {
            return self.tell_json(results, told);
        }
        let rows: Vec<(TaskResult<'_>, String)> = results
            .iter()
            .map(|(task, result)| (result.clone(), self.folder(*task).display().to_string()))
            .collect();
        let mut text = report::table(&rows, terminal::stdout_columns(), terminal::paint_stdout());
        for one in &told.branches {
            text.push_str(&report::branch(&label(one.task), one));
        }
        for met in &told.meetings {
            text.push_str(&report::meeting(label, met));
        }
        if told.more > 0 {
            text.push_str(&format!("and {} more files that two tasks changed\n", told.more));
        }
        super::print(&text).map(drop)
    }

    fn tell_json(&self, results: &[(usize, TaskResult<'_>)], told: &Told) -> Result<(), Failure> {
        let label = |task: usize| &self.state.tasks[task].plan.label;
        let mut lines = String::new();
        for (task, result) in results {
            lines.push_str(&super::json(&serde_json::json!({
                "type": "task", "label": label(*task), "state": result.state, "host": result.host,
                "directory": self.folder(*task), "complete": result.complete, "missing": result.missing,
            }))?);
        }
        for one in &told.branches {
            lines.push_str(&super::json(&serde_json::json!({
                "type": "branch", "label": label(one.task), "branch": one.branch, "commit": one.commit,
                "became": one.became,
            }))?);
        }
        for met in &told.meetings {
            lines.push_str(&super::json(&serde_json::json!({
                "type": "overlap", "labels": [label(met.one), label(met.other)], "files": met.files,
                "merge": met.verdict,
            }))?);
        }
        super::print(&lines).map(drop)
    }
}

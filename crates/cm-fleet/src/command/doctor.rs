//! `cm-fleet doctor`: what is not as it should be on each host, and here, each with its remedy.

use std::sync::Arc;

use clap::Args;
use cm_protocol::deploy::{Facts, Finding, Verdict};
use futures_util::StreamExt;
use serde::Serialize;
use tokio::sync::mpsc;

use super::hosts::{HostsArgs, Opened};
use crate::container::host::Hosted;
use crate::deploy::each::ask_all;
use crate::deploy::event::Outcome;
use crate::deploy::host::{Job, Tell};
use crate::deploy::jobs::Depth;
use crate::deploy::link::Means;
use crate::deploy::run::CONNECTING;
use crate::deploy::stage::now;
use crate::deploy::words::without_name;
use crate::deploy::{findings, script};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::clean::{clean, pad};
use crate::report::paint::Paint;
use crate::report::terminal;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet doctor                 every host of fleet.yaml
  cm-fleet doctor --on web-01     one
  cm-fleet doctor --all           also what is good

Looks at: ssh, systemd, linger, tmux, git, disk, memory, clock, the agent and its unit, ports, and which coding
tools are installed and logged in (the last two once the agent is installed); of container hosts at the engine,
the image and the containers.

Exit codes: 0 nothing is bad · 1 something is · 2 usage · 3 no host could be reached")]
pub struct Doctor {
    #[command(flatten)]
    hosts: HostsArgs,
    /// Also what is as it should be
    #[arg(long)]
    all: bool,
    /// One JSON object a host
    #[arg(long)]
    json: bool,
}

/// What was found on one host.
#[derive(Debug, Serialize)]
struct Found {
    host: String,
    reached: bool,
    findings: Vec<Finding>,
}

/// Looks.
///
/// # Errors
/// The inventory cannot be used.
pub async fn run(args: Doctor) -> Result<Exit, Failure> {
    let Opened { jobs, keys, settled, inventory } = args.hosts.open(Depth::Reach).await?;
    let order: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let (contained, jobs): (Vec<Job>, Vec<Job>) = jobs.into_iter().partition(|job| job.container.is_some());
    let (answers, engines) =
        tokio::join!(ask_all(jobs, &keys, script::DOCTOR), engines(contained, Means::new(Arc::clone(&keys))));
    let mut all: Vec<Found> =
        answers.into_iter().map(|(host, answer)| found(&host, &inventory.name, answer)).collect();
    all.extend(engines);
    all.sort_by_key(|found| order.iter().position(|name| *name == found.host));
    for found in &all {
        let text =
            if args.json { super::json(found)? } else { draw(found, args.all, terminal::paint_stdout()) };
        if !super::print(&text)? {
            break;
        }
    }
    for (name, outcome) in settled {
        if let Outcome::Failed { why, .. } = outcome {
            super::say(&format!("{name}: {why}\n"));
        }
    }
    let bad = all.iter().flat_map(|found| &found.findings).any(|finding| finding.verdict == Verdict::Bad);
    Ok(match () {
        () if !all.is_empty() && all.iter().all(|found| !found.reached) => Exit::Unreachable,
        () if bad => Exit::Failed,
        () => Exit::Done,
    })
}

/// Hosts whose agent runs in a container: their engines are looked at.
async fn engines(jobs: Vec<Job>, means: Means) -> Vec<Found> {
    let looks = jobs.into_iter().map(|job| {
        let means = means.clone();
        async move {
            let (tell, _told) = mpsc::unbounded_channel();
            let tell = Tell::new(&job.name, tell);
            let findings = match Hosted::of(&job, &means.images, &means.keys, &tell) {
                Some(hosted) => Box::pin(hosted.findings()).await,
                None => Vec::new(),
            };
            let reached = !findings.iter().any(|f| f.what == "ssh" && f.verdict == Verdict::Bad);
            Found { host: job.name, reached, findings }
        }
    });
    futures_util::stream::iter(looks).buffer_unordered(CONNECTING).collect().await
}

fn found(host: &str, fleet: &str, answer: Result<Facts, Outcome>) -> Found {
    match answer {
        Ok(facts) => {
            Found { host: host.to_owned(), reached: true, findings: findings::of(fleet, &facts, now()) }
        }
        Err(outcome) => {
            let (seen, remedy) = match outcome {
                Outcome::Unreachable { why } => (why, None),
                Outcome::Refused { why, remedy } | Outcome::Failed { why, remedy, .. } => (why, remedy),
                _ => ("it was left".to_owned(), None),
            };
            let seen = without_name(host, &seen).to_owned();
            let finding = Finding { what: "ssh".to_owned(), verdict: Verdict::Bad, seen, remedy };
            Found { host: host.to_owned(), reached: false, findings: vec![finding] }
        }
    }
}

/// A host's findings, the worst first.
fn draw(found: &Found, all: bool, paint: Paint) -> String {
    let mut out = format!("{}\n", paint.bold(&clean(&found.host)));
    let rank = |verdict: Verdict| match verdict {
        Verdict::Bad => 0,
        Verdict::Poor => 1,
        Verdict::Unsure => 2,
        Verdict::Good => 3,
    };
    let mut shown: Vec<&Finding> =
        found.findings.iter().filter(|finding| all || finding.verdict != Verdict::Good).collect();
    shown.sort_by_key(|finding| rank(finding.verdict));
    if shown.is_empty() {
        out.push_str(&format!("  {}\n", paint.good("all good")));
    }
    for finding in shown {
        let (word, colour): (_, fn(Paint, &str) -> String) = match finding.verdict {
            Verdict::Good => ("good", Paint::good),
            Verdict::Unsure => ("unsure", Paint::dim),
            Verdict::Poor => ("poor", Paint::attention),
            Verdict::Bad => ("bad", Paint::bad),
        };
        let word = colour(paint, &pad(word, 7));
        out.push_str(&format!("  {word} {} {}\n", pad(&clean(&finding.what), 14), clean(&finding.seen)));
        if let Some(remedy) = &finding.remedy {
            out.push_str(&format!("{:25}→ {}\n", "", clean(remedy)));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_comes_first() {
        let finding = |what: &str, verdict, remedy: Option<&str>| Finding {
            what: what.into(),
            verdict,
            seen: "seen".into(),
            remedy: remedy.map(str::to_owned),
        };
        let found = Found {
            host: "h1".into(),
            reached: true,
            findings: vec![
                finding("tmux", Verdict::Good, None),
                finding("clock", Verdict::Poor, Some("set it")),
                finding("disk", Verdict::Bad, Some("make room")),
            ],
        };
        insta::assert_snapshot!(draw(&found, false, Paint::OFF), @r"
        h1
          bad     disk           seen
                                 → make room
          poor    clock          seen
                                 → set it
        ");
        let good = Found { findings: vec![finding("tmux", Verdict::Good, None)], ..found };
        insta::assert_snapshot!(draw(&good, false, Paint::OFF), @r"
        h1
          all good
        ");
    }
}

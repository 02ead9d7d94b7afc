//! One act on every host, all at once: each is reached, asked, acted on, and has its outcome.

use std::sync::Arc;
use std::time::Duration;

use cm_protocol::deploy::Facts;
use cm_ssh::Keys;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::event::{DeployEventKind, Outcome, Summary, Verb};
use super::host::{Job, Tell};
use super::link::{self, Link, Means};
use super::run::{CONNECTING, Person};
use super::stage::{Show, Stage, ticked};

/// What is done, to whom, by whom.
pub struct Each {
    /// The act.
    pub verb: Verb,
    /// The fleet's name.
    pub fleet: String,
    /// Who does it.
    pub by: String,
    /// The hosts.
    pub jobs: Vec<Job>,
    /// Hosts that are done with before it begins.
    pub settled: Vec<(String, Outcome)>,
}

/// A host that was reached and asked: what the act works with.
pub struct Reached {
    /// The host.
    pub job: Job,
    /// The connection.
    pub link: Link,
    /// What it says of itself.
    pub facts: Facts,
    /// Tells what happens.
    pub tell: Tell,
    /// What further connections need.
    pub means: Means,
}

/// Asks every host what it is, all at once; the answers in the order of the hosts. `more`: as for
/// [`script::ask`](super::script::ask).
pub async fn ask_all(
    jobs: Vec<Job>,
    keys: &Arc<Keys>,
    more: &'static str,
) -> Vec<(String, Result<Facts, Outcome>)> {
    let (room, means) = (Arc::new(Semaphore::new(CONNECTING)), Means::new(Arc::clone(keys)));
    let mut tasks = JoinSet::new();
    let order: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    for job in jobs {
        let (means, room) = (means.clone(), Arc::clone(&room));
        tasks.spawn(async move {
            // Closed never: it lives as long as we do.
            let _permit = room.acquire_owned().await;
            let (tell, _told) = mpsc::unbounded_channel();
            let answer = Box::pin(link::ask(&job, &means, more, &Tell::new(&job.name, tell))).await;
            (job.name, answer.map(|(_, facts)| facts))
        });
    }
    let mut all = Vec::new();
    while let Some(done) = tasks.join_next().await {
        all.extend(done);
    }
    all.sort_by_key(|(host, _)| order.iter().position(|name| name == host));
    all
}

/// Does it. A Ctrl-C ends it: hosts under way are left as they are.
pub async fn each<Act, Fut>(
    each: Each,
    keys: Arc<Keys>,
    person: &mut impl Person,
    tick: Option<Duration>,
    show: Show<'_>,
    act: Act,
) -> Summary
where
    Act: Fn(Reached) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Outcome> + Send,
{
    let Each { verb, fleet, by, jobs, settled } = each;
    let names = jobs.iter().map(|job| job.name.clone()).collect();
    let mut stage = Stage::begin(verb, &fleet, &by, names, settled, show);
    let (tell, mut told) = mpsc::unbounded_channel();
    let (room, means) = (Arc::new(Semaphore::new(CONNECTING)), Means::new(keys));
    let mut tasks = JoinSet::new();
    for job in jobs {
        let (means, room, act) = (means.clone(), Arc::clone(&room), act.clone());
        let tell = Tell::new(&job.name, tell.clone());
        tasks.spawn(async move {
            let began = Instant::now();
            // Closed never: it lives as long as we do.
            let _permit = room.acquire_owned().await;
            let name = job.name.clone();
            let outcome = match Box::pin(link::ask(&job, &means, "", &tell)).await {
                Ok((link, facts)) => {
                    tell.say(|host| DeployEventKind::HostBegun { host });
                    act(Reached { job, link, facts, tell, means }).await
                }
                Err(outcome) => outcome,
            };
            (name, outcome, began.elapsed())
        });
    }
    let mut tick = tick.map(tokio::time::interval);
    let mut interrupted = false;
    while !tasks.is_empty() && !interrupted {
        tokio::select! {
            biased;
            Some(kind) = told.recv() => stage.emit(kind),
            Some(done) = tasks.join_next() => {
                while let Ok(kind) = told.try_recv() {
                    stage.emit(kind);
                }
                if let Ok((host, outcome, took)) = done {
                    stage.finished(host, outcome, took);
                }
            }
            () = person.interrupt() => interrupted = true,
            () = ticked(&mut tick) => stage.tick(),
        }
    }
    stage.end("interrupted", interrupted)
}

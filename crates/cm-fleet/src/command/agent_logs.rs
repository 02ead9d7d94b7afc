//! `cm-fleet logs --agent`: what the agents on hosts have written into their journals, once or as it comes.

use std::sync::Arc;
use std::time::Duration;

use cm_ssh::{Event, Input, Keys, Ssh};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::hosts::Opened;
use crate::container;
use crate::container::engine::Road;
use crate::container::wanted::Role;
use crate::deploy::run::CONNECTING;
use crate::deploy::words::without_name;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::report::clean::{clean, clean_line, pad, width};
use crate::report::terminal;

/// The longest one host is followed in one go: a day.
const DAY: Duration = Duration::from_secs(24 * 3600);
/// For reading what there is.
const READ: Duration = Duration::from_secs(60);

/// Prints them.
///
/// # Errors
/// Standard output cannot be written.
pub async fn run(hosts: Opened, follow: bool, lines: u64) -> Result<Exit, Failure> {
    let Opened { jobs, keys, .. } = hosts;
    let more = if follow { " -f" } else { "" };
    // A journal that only root may read says so itself, on standard error.
    let command = format!("exec journalctl --user -u cm-agent -q --no-pager -o short-iso -n {lines}{more}");
    let deadline = if follow { DAY } else { READ };
    let names = jobs.iter().map(|job| width(&clean(&job.name))).max().unwrap_or(0);
    let count_of = lines;
    let (lines, mut printed) = mpsc::unbounded_channel::<(String, String)>();
    let room = Arc::new(Semaphore::new(if follow { jobs.len().max(1) } else { CONNECTING }));
    let mut tasks = JoinSet::new();
    let count = jobs.len();
    for job in jobs {
        let (keys, room, lines, command) =
            (Arc::clone(&keys), Arc::clone(&room), lines.clone(), command.clone());
        tasks.spawn(async move {
            let _permit = room.acquire_owned().await;
            if let (Some(road), Some(wanted)) = (container::host::road(&job), &job.container) {
                let name = wanted.names().of(Role::Agent);
                return contained(&job.name, &road, &name, &keys, (count_of, follow, deadline), &lines).await;
            }
            let mut ssh = match Ssh::connect(&job.target, &keys).await {
                Ok(ssh) => ssh,
                Err(error) => return Some((job.name, error.to_string())),
            };
            let name = job.name.clone();
            let done = ssh
                .exec_lines(&command, Input::None, deadline, |event| {
                    if let Event::Line(line) = event {
                        // Nobody reads any more: the command is about to end.
                        let _ = lines.send((name.clone(), line));
                    }
                })
                .await;
            match done {
                Ok(output) if output.ok() => None,
                Ok(output) => Some((job.name, output.stderr_text().trim().to_owned())),
                Err(error) => Some((job.name, error.to_string())),
            }
        });
    }
    drop(lines);
    let mut bad = Vec::new();
    let mut reading = true;
    while reading || !tasks.is_empty() {
        tokio::select! {
            biased;
            line = printed.recv(), if reading => match line {
                Some((host, line)) => {
                    let name = terminal::paint_stdout().bold(&pad(&clean(&host), names));
                    if !super::print(&format!("{name}  {}\n", clean_line(&line)))? {
                        return Ok(Exit::Done);
                    }
                }
                None => reading = false,
            },
            Some(done) = tasks.join_next(), if !tasks.is_empty() => bad.extend(done.ok().flatten()),
            _ = tokio::signal::ctrl_c() => return Ok(Exit::Interrupted),
        }
    }
    for (host, why) in &bad {
        super::say(&format!("{}: {}\n", clean(host), clean(without_name(host, why))));
    }
    Ok(match bad.len() {
        0 => Exit::Done,
        n if n == count => Exit::Unreachable,
        _ => Exit::Failed,
    })
}

/// The log of a container; why not, where there is none.
async fn contained(
    host: &str,
    road: &Road,
    name: &str,
    keys: &Keys,
    (count, follow, deadline): (u64, bool, Duration),
    lines: &mpsc::UnboundedSender<(String, String)>,
) -> Option<(String, String)> {
    let read = async {
        let engine = road.connect(keys, None).await?;
        let on = |line: String| {
            // Nobody reads any more: the command is about to end.
            let _ = lines.send((host.to_owned(), line));
        };
        container::logs::read(&engine, name, count, follow, on).await
    };
    match tokio::time::timeout(deadline, read).await {
        Ok(Ok(())) => None,
        Ok(Err(error)) => Some((host.to_owned(), error.to_string())),
        Err(_) => Some((host.to_owned(), format!("no end within {} s", deadline.as_secs()))),
    }
}

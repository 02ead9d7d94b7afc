//! `cm-fleet exec -- CMD`: a command of yours on every host, its output line by line with the host's name.

use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cm_ssh::{Event, Input, Keys, Ssh, Status};
use serde::Serialize;
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::hosts::{HostsArgs, Opened};
use crate::container;
use crate::container::engine::Road;
use crate::container::error::EngineError;
use crate::container::run::Command;
use crate::container::wanted::Role;
use crate::deploy::host::Job;
use crate::deploy::jobs::Depth;
use crate::deploy::run::CONNECTING;
use crate::deploy::words::without_name;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::parse;
use crate::report::clean::{clean, clean_line, pad, width};
use crate::report::terminal;

/// The arguments.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cm-fleet exec -- uptime
  cm-fleet exec -i fleet.yaml --on @gpu -- nvidia-smi -L
  cm-fleet exec -- sh -c 'df -h ~ | tail -1'

Words are passed on as they are: nothing is expanded here or there. The login shell is sh or reads quotes as
sh does (bash, zsh, dash, fish). Standard input is empty. On a host with `runtime: container` the command runs in
the agent's container.

Exit codes: 0 it ended with 0 everywhere · 1 it did not · 3 no host could be reached")]
pub struct ExecArgs {
    #[command(flatten)]
    hosts: HostsArgs,
    /// How long it may take on a host
    #[arg(long, value_name = "TIME", value_parser = parse::duration, default_value = "10m")]
    timeout: f64,
    /// One JSON object a host: host, status, stdout, stderr
    #[arg(long)]
    json: bool,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<String>,
}

/// How it went on one host.
#[derive(Debug, Serialize)]
struct Done {
    host: String,
    /// Exit code, or the signal's name.
    status: Option<String>,
    error: Option<String>,
    stdout: String,
    stderr: String,
    #[serde(skip)]
    unreachable: bool,
}

/// Runs it.
///
/// # Errors
/// The inventory cannot be used.
pub async fn run(args: ExecArgs) -> Result<Exit, Failure> {
    let Opened { jobs, keys, settled, .. } = args.hosts.open(Depth::Reach).await?;
    let command = args.command.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" ");
    let names = jobs.iter().map(|job| width(&clean(&job.name))).max().unwrap_or(0);
    let room = Arc::new(Semaphore::new(CONNECTING));
    let (lines, mut printed) = mpsc::unbounded_channel::<(String, String)>();
    let deadline = Duration::from_secs_f64(args.timeout);
    let mut tasks = JoinSet::new();
    for job in jobs {
        let (keys, room, lines, command) =
            (Arc::clone(&keys), Arc::clone(&room), lines.clone(), command.clone());
        let words = args.command.clone();
        tasks.spawn(async move {
            let _permit = room.acquire_owned().await;
            if let Some(road) = container::host::road(&job) {
                return in_container(&job, &road, &words, deadline, &keys, &lines).await;
            }
            let connected = Ssh::connect(&job.target, &keys).await;
            match connected {
                Ok(ssh) => on_host(&job, ssh, &command, deadline, lines).await,
                Err(error) => failed(&job, &error, true),
            }
        });
    }
    drop(lines);
    let mut all: Vec<Done> = Vec::new();
    let mut reading = true;
    while reading || !tasks.is_empty() {
        tokio::select! {
            biased;
            line = printed.recv(), if reading => match line {
                Some((host, line)) if !args.json => say(&host, &line, names)?,
                Some(_) => {}
                None => reading = false,
            },
            Some(done) = tasks.join_next(), if !tasks.is_empty() => all.extend(done),
        }
    }
    for (name, _) in settled {
        crate::command::say(&format!("{name}: not reached over ssh, left out\n"));
    }
    report(&args, &all, names)
}

async fn on_host(
    job: &Job,
    mut ssh: Ssh,
    command: &str,
    deadline: Duration,
    lines: mpsc::UnboundedSender<(String, String)>,
) -> Done {
    let name = job.name.clone();
    let told = ssh
        .exec_lines(command, Input::None, deadline, |event| {
            if let Event::Line(line) = event {
                // Nobody reads: the output is kept all the same.
                let _ = lines.send((name.clone(), line));
            }
        })
        .await;
    match told {
        Ok(output) => {
            ssh.close().await;
            let status = match &output.status {
                Status::Exited(code) => code.to_string(),
                Status::Signal(signal) => format!("SIG{signal}"),
            };
            Done {
                host: job.name.clone(),
                status: Some(status),
                error: None,
                stdout: output.stdout_text(),
                stderr: output.stderr_text(),
                unreachable: false,
            }
        }
        Err(error) => failed(job, &error, true),
    }
}

/// The same in the container of the host's agent.
async fn in_container(
    job: &Job,
    road: &Road,
    words: &[String],
    deadline: Duration,
    keys: &Keys,
    lines: &mpsc::UnboundedSender<(String, String)>,
) -> Done {
    let name = job.container.as_ref().map(|wanted| wanted.names().of(Role::Agent)).unwrap_or_default();
    let mut open = Vec::new();
    let tell = |line: &[u8]| {
        // Nobody reads: the output is kept all the same.
        let _ = lines.send((job.name.clone(), String::from_utf8_lossy(line).trim_end().to_owned()));
    };
    let command = Command::new(&name, words, deadline);
    let done = container::run::once(road, keys, &command, |piece| {
        open.extend_from_slice(piece);
        while let Some(end) = open.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = open.drain(..=end).collect();
            tell(&line);
        }
    })
    .await;
    if !open.is_empty() {
        tell(&open);
    }
    match done {
        Ok(output) => Done {
            host: job.name.clone(),
            status: Some(output.status.to_string()),
            error: None,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            unreachable: false,
        },
        Err(error) => failed(job, &error, matches!(error, EngineError::Ssh(_) | EngineError::Trouble { .. })),
    }
}

fn failed(job: &Job, error: &dyn std::fmt::Display, unreachable: bool) -> Done {
    Done {
        host: job.name.clone(),
        status: None,
        error: Some(error.to_string()),
        stdout: String::new(),
        stderr: String::new(),
        unreachable,
    }
}

fn say(host: &str, line: &str, names: usize) -> Result<(), Failure> {
    let paint = terminal::paint_stdout();
    let name = paint.bold(&pad(&clean(host), names));
    super::print(&format!("{name}  {}\n", clean_line(line))).map(|_| ())
}

fn report(args: &ExecArgs, all: &[Done], names: usize) -> Result<Exit, Failure> {
    for done in all {
        if args.json {
            super::print(&super::json(done)?)?;
            continue;
        }
        for line in done.stderr.lines() {
            super::say(&format!("{}  {}\n", pad(&clean(&done.host), names), clean_line(line)));
        }
        match (&done.error, done.status.as_deref()) {
            (Some(error), _) => super::say(&format!(
                "{}  {}\n",
                pad(&clean(&done.host), names),
                clean(without_name(&done.host, error))
            )),
            (None, Some("0") | None) => {}
            (None, Some(status)) => {
                super::say(&format!("{}  ended with {status}\n", pad(&clean(&done.host), names)));
            }
        }
    }
    let good = |done: &&Done| done.status.as_deref() == Some("0");
    Ok(match () {
        () if !all.is_empty() && all.iter().all(|done| done.unreachable) => Exit::Unreachable,
        () if all.iter().filter(good).count() == all.len() => Exit::Done,
        () => Exit::Failed,
    })
}

/// PURE. A word that sh, bash, zsh and fish read as it is: a backslash is read alike by all of them only
/// outside of quotes.
pub(super) fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-+=./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) && !word.starts_with('=') {
        return word.to_owned();
    }
    let mut out = String::from("'");
    for c in word.chars() {
        match c {
            '\'' => out.push_str("'\\''"),
            '\\' => out.push_str("'\\\\'"),
            c => out.push(c),
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_arrive_as_they_are() {
        for word in ["plain", "", "two words", "it's", "a\\b", "$HOME `x` *", "\\'", "tab\tnewline\nend"] {
            let output = std::process::Command::new("sh")
                .args(["-c", &format!("printf %s {}", quote(word))])
                .output()
                .expect("sh");
            assert_eq!(String::from_utf8_lossy(&output.stdout), word, "{word:?}");
        }
    }
}

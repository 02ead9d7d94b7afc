//! The ways back: an earlier generation, no agent at all, a new token; each one command on the host.

use std::time::Duration;

use cm_protocol::deploy::{Facts, FailureKind, HostAfter, InstallLine, Installation};
use cm_ssh::{Input, Keys, Output, Ssh};
use serde::Deserialize;

use super::event::{DeployEventKind, NoteText, Outcome};
use super::host::{self, Job, Tell, failed, outcome_of};
use super::script;
use super::wanted::Manner;
use super::who;

/// How long one of these may take on a host.
const UNDO: Duration = Duration::from_secs(180);

/// Takes a host back that had changed well, because others did not: to the generation before, or to none.
pub async fn take_back(job: &Job, manner: &Manner, keys: &Keys, tell: &Tell) -> Outcome {
    let (ssh, facts) = match host::ask(job, keys, "", tell).await {
        Ok(answer) => answer,
        Err(outcome) => return outcome,
    };
    let earlier = facts.installed.as_ref().is_some_and(|i| i.generations.len() > 1);
    let outcome = if earlier {
        roll_back(job, ssh, &facts, None, manner, keys, tell).await
    } else {
        uninstall(job, ssh, &facts, false, manner.force).await
    };
    match outcome {
        Outcome::Changed(done) => Outcome::TakenBack { generation: Some(done.generation) },
        Outcome::Removed => Outcome::TakenBack { generation: None },
        other => other,
    }
}

/// Brings a host back to an earlier generation: `to`, a number or the beginning of a program's sha256, else
/// the one before. It is confirmed like any other change.
pub async fn roll_back(
    job: &Job,
    mut ssh: Ssh,
    facts: &Facts,
    to: Option<&str>,
    manner: &Manner,
    keys: &Keys,
    tell: &Tell,
) -> Outcome {
    if facts.installed.is_none() {
        return Outcome::Nothing { why: "no agent is installed".to_owned() };
    }
    let deployment = match host::mark() {
        Ok(mark) => mark,
        Err(why) => return failed("begin", why, Some(HostAfter::Untouched)),
    };
    let to = to.map(|to| format!(" --to {to}")).unwrap_or_default();
    let (by, confirm) = (&manner.by, manner.confirm_seconds);
    let force = if manner.force { " --force" } else { "" };
    let take_over = if manner.take_over { " --take-over" } else { "" };
    let ready = manner.ready_seconds;
    let command = script::installed(
        &job.wanted.dir,
        &format!(
            "install rollback{to} --deployment {deployment} --by {by} --confirm-seconds {confirm} \
             --ready-seconds {ready}{force}{take_over}"
        ),
    );
    let output = match ssh.exec(&command, Input::None, UNDO).await {
        Ok(output) => output,
        Err(error) => return outcome_of(&error, "rollback"),
    };
    match report(&output, tell) {
        Ok(done) => host::finish(job, Some(ssh), &done, &deployment, manner, keys, tell).await,
        Err(outcome) => {
            ssh.close().await;
            *outcome
        }
    }
}

/// Removes a host's agent; with `purge` what it remembers, too.
pub async fn uninstall(job: &Job, mut ssh: Ssh, facts: &Facts, purge: bool, force: bool) -> Outcome {
    // It is the installed program that removes everything: without one there is nothing to do it with.
    if facts.installed.is_none() && facts.unit.is_none() {
        return Outcome::Nothing { why: "no agent is installed".to_owned() };
    }
    let fleet = facts.installed.as_ref().map_or(job.wanted.fleet.as_str(), |i| i.fleet.as_str());
    if fleet != job.wanted.fleet && !force {
        return Outcome::Refused {
            why: format!("it belongs to the fleet `{fleet}`"),
            remedy: Some("--force removes it all the same".to_owned()),
        };
    }
    let purge = if purge { " --purge" } else { "" };
    let force = if force { " --force" } else { "" };
    let by = who::by();
    let command = script::installed(&job.wanted.dir, &format!("uninstall{purge}{force} --by {by}"));
    let output = match ssh.exec(&command, Input::None, UNDO).await {
        Ok(output) => output,
        Err(error) => return outcome_of(&error, "uninstall"),
    };
    ssh.close().await;
    if output.ok() { Outcome::Removed } else { ended_badly(&output, "uninstall") }
}

/// Gives a host's agent a new token; clients over TCP need it from then on.
pub async fn rotate_token(job: &Job, mut ssh: Ssh, facts: &Facts) -> Outcome {
    if facts.installed.is_none() {
        return Outcome::Nothing { why: "no agent is installed".to_owned() };
    }
    let command = script::installed(&job.wanted.dir, &format!("rotate-token --by {}", who::by()));
    let output = match ssh.exec(&command, Input::None, UNDO).await {
        Ok(output) => output,
        Err(error) => return outcome_of(&error, "rotate-token"),
    };
    ssh.close().await;
    if output.ok() { Outcome::Rotated } else { ended_badly(&output, "rotate-token") }
}

/// What a command that prints an installation's report has led to.
fn report(output: &Output, tell: &Tell) -> Result<Installation, Box<Outcome>> {
    let text = output.stdout_text();
    let lines = script::after_mark(&text).unwrap_or_default().lines();
    for line in lines.filter_map(|line| serde_json::from_str(line).ok()) {
        match line {
            InstallLine::Installed(done) => return Ok(*done),
            InstallLine::Failed(failure) => return Err(Box::new(host::of_failure(*failure))),
            InstallLine::Step { step, ms, note } => {
                let step = host::step_name(step);
                tell.say(|host| DeployEventKind::HostStep { host, step, ms, note });
            }
            InstallLine::Warning { what, remedy } => {
                tell.say(|host| DeployEventKind::HostWarning { host, note: NoteText { what, remedy } });
            }
        }
    }
    Err(Box::new(host::no_report(output)))
}

/// The last line of a command that is no installation and failed.
#[derive(Debug, Deserialize)]
struct Failed {
    kind: FailureKind,
    why: String,
    remedy: Option<String>,
}

/// A command that did not end with 0: in its own words, where it has any.
fn ended_badly(output: &Output, step: &str) -> Outcome {
    let text = output.stdout_text();
    let lines = script::after_mark(&text).unwrap_or_default().lines();
    let Some(said) = lines.rev().find_map(|line| serde_json::from_str::<Failed>(line).ok()) else {
        return host::no_report(output);
    };
    let Failed { kind, why, remedy } = said;
    match kind {
        FailureKind::Refused => Outcome::Refused { why, remedy },
        FailureKind::Failed => {
            Outcome::Failed { step: step.to_owned(), why, remedy, host_after: None, log: Vec::new() }
        }
    }
}

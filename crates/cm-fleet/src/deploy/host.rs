//! One host on its way: reached, asked, changed, and confirmed through a new tunnel.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::deploy::{
    Facts, FailureKind, HostAfter, InstallFailure, InstallLine, InstallStep, Installation,
};
use cm_ssh::{Event, Input, Keys, Kind, Output, Ssh, SshError, Status, Target};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;
use tokio::time::Instant;

use super::asked;
use super::binary::Program;
use super::confirm::confirm;
use super::event::{Changed, DeployEventKind, NoteText, Outcome};
use super::plan::Blocked;
use super::script::{self, BEGIN};
use super::wanted::{Manner, Wanted};
use crate::container::wanted::ContainerWanted;
use crate::inventory::SecretRef;

/// How long a host may take to say what it is.
pub const ASK: Duration = Duration::from_secs(30);
/// How long an installation may take besides sending, reading and becoming healthy.
const INSTALL: Duration = Duration::from_secs(90);
/// How long it may say nothing at all, besides becoming healthy and going back: a frozen host costs no more.
const SILENCE: Duration = Duration::from_secs(30);
/// The slowest link that is put up with, in bytes a second.
const SLOWEST: u64 = 64 * 1024;
/// Before something is asked or tried again.
pub const AGAIN: Duration = Duration::from_millis(500);
/// Progress is told in steps of so many hundredths.
const GRAIN: u64 = 4;

/// A host, how to reach it, and what it is to become.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its name in the inventory.
    pub name: String,
    /// How it is reached.
    pub target: Target,
    /// What it is to become.
    pub wanted: Wanted,
    /// The program the inventory names for it.
    pub binary: Option<PathBuf>,
    /// How its agent is reached, where not at its socket.
    pub ports: Ports,
    /// Its containers, where its agent runs in one.
    pub container: Option<Box<ContainerWanted>>,
}

/// Where an agent listens besides its socket.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    /// The port at which alone it is reached.
    pub only: Option<u16>,
    /// The address it was told to listen on.
    pub listen: Option<std::net::SocketAddr>,
    /// What it wants to hear there.
    pub token: Option<SecretRef>,
}

/// Tells what happens on one host.
#[derive(Debug, Clone)]
pub struct Tell {
    host: String,
    to: UnboundedSender<DeployEventKind>,
}

impl Tell {
    /// About `host`.
    pub fn new(host: &str, to: UnboundedSender<DeployEventKind>) -> Self {
        Self { host: host.to_owned(), to }
    }

    /// Tells it. Whoever stopped listening does not want to know.
    pub fn say(&self, kind: impl FnOnce(String) -> DeployEventKind) {
        let _ = self.to.send(kind(self.host.clone()));
    }

    fn warn(&self, what: String, remedy: Option<String>) {
        self.say(|host| DeployEventKind::HostWarning { host, note: NoteText { what, remedy } });
    }
}

/// Tells how much of something was sent, in steps.
#[derive(Debug, Clone)]
pub struct Sending {
    tell: Tell,
    total: u64,
    told: u64,
}

impl Sending {
    /// Of `total` bytes.
    pub const fn new(tell: Tell, total: u64) -> Self {
        Self { tell, total, told: 0 }
    }

    /// So many bytes are on their way, in all.
    pub fn at(&mut self, bytes: u64) {
        let part = bytes * 100 / self.total.max(1) / GRAIN;
        if part > self.told {
            self.told = part;
            let total = self.total;
            self.tell.say(|host| DeployEventKind::HostSent { host, bytes, total });
        }
    }
}

/// What an error of the connection makes of a host.
pub fn outcome_of(error: &SshError, step: &str) -> Outcome {
    let why = error.to_string();
    match error.kind() {
        Kind::Denied if matches!(error, SshError::Passphrase { wrong: false, .. }) => {
            Outcome::Unreachable { why: format!("{why} (in the variable CM_SSH_PASSPHRASE)") }
        }
        Kind::Unreachable | Kind::Denied => Outcome::Unreachable { why },
        Kind::Refused => Outcome::Refused { why, remedy: None },
        Kind::Failed => failed(step, why, None),
    }
}

/// A failure before anything was changed.
pub fn failed(step: &str, why: String, host_after: Option<HostAfter>) -> Outcome {
    Outcome::Failed { step: step.to_owned(), why, remedy: None, host_after, log: Vec::new() }
}

/// Connects and asks what the host is.
///
/// # Errors
/// What the host is done with, instead.
pub async fn ask(job: &Job, keys: &Keys, more: &str, tell: &Tell) -> Result<(Ssh, Facts), Outcome> {
    let mut ssh = connect(job, keys, tell).await?;
    let facts = facts(job, &mut ssh, more).await?;
    Ok((ssh, facts))
}

/// The same; the command that was asked waits for what [`change`] has it do.
///
/// # Errors
/// What the host is done with, instead.
pub async fn ask_and_wait(job: &Job, keys: &Keys, tell: &Tell) -> Result<(Ssh, Facts), Outcome> {
    let mut ssh = connect(job, keys, tell).await?;
    let command = script::ask_and_wait(&job.wanted.dir);
    let output = ssh.ask(&command, script::WAITS, ASK).await.map_err(|e| outcome_of(&e, "ask"))?;
    Ok((ssh, read(&output)?))
}

async fn connect(job: &Job, keys: &Keys, tell: &Tell) -> Result<Ssh, Outcome> {
    let began = Instant::now();
    let ssh = Ssh::connect(&job.target, keys).await.map_err(|e| outcome_of(&e, "connect"))?;
    tell.say(|host| DeployEventKind::HostConnected { host, took: began.elapsed().as_secs_f64() });
    Ok(ssh)
}

/// Asks over a connection that stands.
///
/// # Errors
/// What the host is done with, instead.
pub async fn facts(job: &Job, ssh: &mut Ssh, more: &str) -> Result<Facts, Outcome> {
    let command = script::ask(&job.wanted.dir, more);
    let output = ssh.exec(&command, Input::None, ASK).await.map_err(|e| outcome_of(&e, "ask"))?;
    read(&output)
}

fn read(output: &Output) -> Result<Facts, Outcome> {
    asked::read(&output.stdout_text()).map_err(|bad| {
        let errors = crate::report::clean::clean(output.stderr_text().trim());
        let said = if errors.is_empty() { String::new() } else { format!(" ({errors})") };
        failed("ask", format!("{bad}{said}"), Some(HostAfter::Untouched))
    })
}

/// What blocks a host, as its outcome.
pub fn blocked(blocked: &Blocked) -> Outcome {
    let (why, remedy) = (blocked.why(), blocked.remedy());
    if blocked.is_refusal() {
        return Outcome::Refused { why, remedy };
    }
    let host_after = Some(HostAfter::Untouched);
    Outcome::Failed { step: "plan".to_owned(), why, remedy, host_after, log: Vec::new() }
}

/// Brings a host that waits ([`ask_and_wait`]) to what it is to become: sends (if `send`), has it install itself,
/// confirms.
pub async fn change(
    job: &Job,
    mut ssh: Ssh,
    program: &Program,
    send: bool,
    manner: &Manner,
    keys: &Keys,
    tell: &Tell,
) -> Outcome {
    let deployment = match mark() {
        Ok(mark) => mark,
        Err(why) => return failed("begin", why, Some(HostAfter::Untouched)),
    };
    if !ssh.waits() {
        ssh.close().await;
        return questions_only();
    }
    let manifest = job.wanted.manifest(program.binary.clone(), manner, deployment.clone());
    let line = match serde_json::to_string(&manifest) {
        Ok(text) => text,
        Err(error) => return failed("begin", error.to_string(), Some(HostAfter::Untouched)),
    };
    let todo = script::todo(send.then_some(deployment.as_str()), &line);
    let mut parts: Vec<Arc<[u8]>> = vec![todo.into_bytes().into()];
    if send {
        let program = program.clone();
        let packed = tokio::task::spawn_blocking(move || program.packed()).await;
        let Ok(Ok(packed)) = packed else {
            return failed("begin", "the program cannot be packed".to_owned(), Some(HostAfter::Untouched));
        };
        parts.push(packed);
    }
    let (done, standing) = match install(&mut ssh, Input::Parts(parts), manner, tell).await {
        Ok(done) => (done, Some(ssh)),
        Err(Cut::Ended(outcome)) => {
            ssh.close().await;
            return outcome;
        }
        // What became of it is known on the host alone: ask there.
        Err(Cut::Lost(error)) => {
            drop(ssh);
            match after_a_cut(job, &deployment, &error, keys, tell).await {
                Ok(done) => (done, None),
                Err(outcome) => return outcome,
            }
        }
    };
    finish(job, standing, &done, &deployment, manner, keys, tell).await
}

/// Confirms what was installed, through a new tunnel: of the connection that stands, if any.
pub async fn finish(
    job: &Job,
    standing: Option<Ssh>,
    done: &Installation,
    deployment: &str,
    manner: &Manner,
    keys: &Keys,
    tell: &Tell,
) -> Outcome {
    if done.unchanged {
        close(standing).await;
        return Outcome::Unchanged { sessions: done.after.len() };
    }
    if manner.confirm_seconds > 0 {
        let began = Instant::now();
        if let Err(why) = confirm(job, standing, done, deployment, manner, keys).await {
            let why = format!(
                "{why}. The host goes back by itself within {} s of its installation",
                manner.confirm_seconds
            );
            let after = match done.previous {
                Some(generation) => HostAfter::Reverted { generation },
                None => HostAfter::Removed,
            };
            return failed("confirm", why, Some(after));
        }
        let ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tell.say(|host| DeployEventKind::HostStep { host, step: "confirm".into(), ms, note: None });
    } else {
        close(standing).await;
    }
    Outcome::Changed(Box::new(Changed::of(done)))
}

async fn close(standing: Option<Ssh>) {
    if let Some(ssh) = standing {
        ssh.close().await;
    }
}

/// Why an installation's report has no good end.
enum Cut {
    /// It has a bad one.
    Ended(Outcome),
    /// The connection broke, or nothing was heard any more.
    Lost(String),
}

/// A host that answers, and does not wait for what is to be done.
fn questions_only() -> Outcome {
    let why = "it says what it is, and waits for nothing more: this login is for questions only";
    let remedy = "use a key that may deploy there (see deploy/ssh: `only all`, not `only work`)";
    Outcome::Refused { why: why.to_owned(), remedy: Some(remedy.to_owned()) }
}

/// Has the command that waits install, and passes on what it reports.
async fn install(ssh: &mut Ssh, input: Input, manner: &Manner, tell: &Tell) -> Result<Installation, Cut> {
    let total = input.len();
    let deadline = INSTALL + Duration::from_secs(total / SLOWEST + manner.ready_seconds * 2);
    let silence = SILENCE + Duration::from_secs(manner.ready_seconds * 2);
    let mut report = Report::new(tell.clone(), total);
    let (alive, heard) = watch::channel(());
    let output = tokio::select! {
        output = ssh.answer(input, deadline, |event| {
            report.take(event);
            alive.send_replace(());
        }) => output.map_err(|error| error.to_string()),
        () = silent(heard, silence) => {
            let host = ssh.at();
            Err(format!("{host}: nothing was heard for {} s: it may be frozen, or the link is", silence.as_secs()))
        }
    };
    match (report.end, output) {
        (Some(InstallLine::Installed(done)), _) => Ok(*done),
        (Some(InstallLine::Failed(failure)), _) => Err(Cut::Ended(of_failure(*failure))),
        (_, Ok(output)) => Err(Cut::Ended(no_report(&output))),
        (_, Err(error)) => Err(Cut::Lost(error)),
    }
}

/// Ends when nothing has been heard for so long.
async fn silent(mut heard: watch::Receiver<()>, limit: Duration) {
    while let Ok(Ok(())) = tokio::time::timeout(limit, heard.changed()).await {}
}

/// Reads an installation's report as it comes.
struct Report {
    tell: Tell,
    sending: Sending,
    begun: bool,
    end: Option<InstallLine>,
}

impl Report {
    fn new(tell: Tell, total: u64) -> Self {
        let sending = Sending::new(tell.clone(), total);
        Self { tell, sending, begun: false, end: None }
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Sent { bytes } => self.sending.at(bytes),
            Event::Line(line) if !self.begun => self.begun = line.trim_end() == BEGIN,
            // A line of another kind is from a newer agent, or no line of ours.
            Event::Line(line) => match serde_json::from_str(&line) {
                Ok(InstallLine::Step { step, ms, note }) => {
                    let step = step_name(step);
                    self.tell.say(|host| DeployEventKind::HostStep { host, step, ms, note });
                }
                Ok(InstallLine::Warning { what, remedy }) => self.tell.warn(what, remedy),
                Ok(end) => self.end = Some(end),
                Err(error) => tracing::debug!(%error, line, "not a line of an installation's report"),
            },
        }
    }
}

/// A step's word on the wire.
pub fn step_name(step: InstallStep) -> String {
    let word = serde_json::to_value(step).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or("install").to_owned()
}

/// What the host itself says went wrong.
pub fn of_failure(failure: InstallFailure) -> Outcome {
    let InstallFailure { step, kind, why, remedy, host, log } = failure;
    if kind == FailureKind::Refused {
        return Outcome::Refused { why, remedy };
    }
    Outcome::Failed { step: step_name(step), why, remedy, host_after: Some(host), log }
}

/// What an end without a report means.
pub fn no_report(output: &Output) -> Outcome {
    let said = crate::report::clean::clean(output.stderr_text().trim());
    let said = if said.is_empty() { "it said nothing".to_owned() } else { said };
    let (step, why, remedy) = match output.status {
        Status::Exited(script::NO_DIRECTORY) => {
            ("store", format!("its directory cannot be made: {said}"), "agent: {dir: …} names another one")
        }
        Status::Exited(script::NOT_UNPACKED) => (
            "send",
            format!("the program could not be unpacked there: {said}"),
            "make room on the host's disk, or deploy again if the link broke off",
        ),
        Status::Exited(script::NOT_STARTED) => (
            "verify",
            format!("the program does not start there: {said}"),
            "a file system mounted noexec, or a program built for another system: see `cm-fleet doctor`",
        ),
        Status::Exited(code) => {
            ("install", format!("it ended with {code}: {said}"), "deploy again; CM_LOG=debug shows more")
        }
        Status::Signal(ref signal) => {
            ("install", format!("it was ended by SIG{signal}: {said}"), "deploy again")
        }
    };
    Outcome::Failed {
        step: step.to_owned(),
        why,
        remedy: Some(remedy.to_owned()),
        host_after: Some(HostAfter::Untouched),
        log: Vec::new(),
    }
}

/// After a connection was cut in the middle: whether the host has become what it was to become all the same.
async fn after_a_cut(
    job: &Job,
    deployment: &str,
    error: &str,
    keys: &Keys,
    tell: &Tell,
) -> Result<Installation, Outcome> {
    let quiet = |why: String| Outcome::Unreachable { why: format!("{error}; then: {why}") };
    let mut ssh = Ssh::connect(&job.target, keys).await.map_err(|e| quiet(e.to_string()))?;
    let deadline = Instant::now() + ASK;
    loop {
        let facts = facts(job, &mut ssh, "").await?;
        let ours = facts.lock.as_ref().is_some_and(|lock| lock.deployment == deployment);
        let done = facts.installed.as_ref().filter(|i| i.unconfirmed.as_deref() == Some(deployment));
        match (done, &facts.running) {
            (Some(installed), Some(running)) if running.sha256 == installed.binary.sha256 => {
                tell.warn("the connection was cut during the installation, which went on".into(), None);
                ssh.close().await;
                return Ok(Installation {
                    generation: installed.generation,
                    previous: None,
                    socket: running.socket.clone(),
                    running: running.clone(),
                    before: Vec::new(),
                    after: facts.panes.clone(),
                    dropped: Vec::new(),
                    unchanged: false,
                });
            }
            _ if ours && Instant::now() < deadline => tokio::time::sleep(AGAIN).await,
            // Not to be called as it was: that is decided there, and not yet.
            _ if ours => {
                ssh.close().await;
                let why = format!(
                    "{error}; the host is reachable again and still at work on it: see `cm-fleet status`"
                );
                return Err(failed("send", why, None));
            }
            _ => {
                ssh.close().await;
                return Err(failed(
                    "send",
                    format!("{error}; the host is reachable again and as it was"),
                    Some(HostAfter::Untouched),
                ));
            }
        }
    }
}

/// A deployment's name: 16 random digits.
pub fn mark() -> Result<String, String> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|e| format!("the system has no random numbers: {e}"))?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

//! What all commands over hosts share: inventory → hosts to work on, keys, the terminal's person, the view.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use cm_ssh::{Keys, Secret, Secrets};
use serde::{Deserialize, Serialize};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::inventory::{InventoryArgs, InventoryOption};
use crate::cli::Global;
use crate::deploy::event::Outcome;
use crate::deploy::fold::DeployState;
use crate::deploy::host::Job;
use crate::deploy::jobs::{self, Depth};
use crate::deploy::run::Person;
use crate::deploy::stage::{Moment, now};
use crate::deploy::view::{Bars, View};
use crate::failure::{Failure, Kind};
use crate::fleet::tunnel::Tunnel;
use crate::fleet::way::Way;
use crate::inventory::{Host, Inventory};
use crate::report::terminal;

/// Which hosts, and how they are reached.
#[derive(Debug, Args)]
pub struct HostsArgs {
    #[command(flatten)]
    inventory: InventoryArgs,
    #[command(flatten)]
    reach: ReachArgs,
}

/// The same, for commands whose object is something else.
#[derive(Debug, Args)]
pub struct HostsOption {
    #[command(flatten)]
    inventory: InventoryOption,
    #[command(flatten)]
    reach: ReachArgs,
}

impl HostsOption {
    /// As [`HostsArgs::open`].
    ///
    /// # Errors
    /// The inventory cannot be used, or selects nothing.
    pub async fn open(&self, depth: Depth) -> Result<Opened, Failure> {
        let (inventory, selected) = self.inventory.load()?;
        self.reach.open(inventory, selected, depth).await
    }
}

/// One host instead of this machine, for commands that talk to one agent.
#[derive(Debug, Args)]
pub struct AtArgs {
    #[command(flatten)]
    hosts: HostsOption,
}

impl AtArgs {
    /// The agent that is meant: with neither `--on` nor `-i`, this machine's; `start` says whether it may be
    /// brought to life.
    ///
    /// # Errors
    /// The inventory cannot be used, or more than one host is selected.
    pub async fn way(&self, global: &Global, start: bool) -> Result<Way, Failure> {
        let InventoryOption { inventory, on } = &self.hosts.inventory;
        if inventory.is_none() && on.is_empty() {
            return Ok(Way::Here(global.local(start)));
        }
        let mut opened = self.hosts.open(Depth::Reach).await?;
        match (opened.jobs.pop(), opened.jobs.len(), opened.settled.len()) {
            (Some(job), 0, 0) => Ok(Way::There(Arc::new(Tunnel::new(job, opened.keys)))),
            (None, 0, 1) if matches!(opened.settled[0].1, Outcome::Nothing { .. }) => {
                Ok(Way::Here(global.local(start)))
            }
            (None, _, _) => Err(Failure::usage("none of the selected hosts can be reached over ssh")),
            (Some(_), more, settled) => {
                Err(Failure::usage(format!("{} hosts are selected; this talks to one", more + 1 + settled))
                    .hint("--on NAME selects one"))
            }
        }
    }
}

/// How hosts are reached.
#[derive(Debug, Clone, Args, Serialize, Deserialize)]
pub struct ReachArgs {
    /// Believe the keys of hosts that are in no known_hosts file, and write them down there
    #[arg(long)]
    accept_new: bool,
    /// Seconds a host may take for each of connecting, the handshake and logging in
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    connect_timeout: u64,
    /// Use this ssh configuration instead of your own
    #[arg(long, short = 'F', value_name = "FILE")]
    ssh_config: Option<PathBuf>,
}

impl ReachArgs {
    /// What each step of a connection may take.
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.connect_timeout)
    }

    /// The same as arguments, for another command.
    pub fn words(&self) -> Vec<OsString> {
        let mut words = vec![format!("--connect-timeout={}", self.connect_timeout).into()];
        words.extend(self.accept_new.then(|| "--accept-new".into()));
        words.extend(self.ssh_config.iter().flat_map(|file| ["--ssh-config".into(), file.into()]));
        words
    }

    fn how(&self) -> jobs::Reach {
        jobs::Reach {
            accept_new: self.accept_new,
            connect_timeout: self.timeout(),
            ssh_config: self.ssh_config.clone(),
        }
    }
}

/// Hosts to work on.
pub struct Opened {
    /// The whole inventory.
    pub inventory: Inventory,
    /// Those that were selected and are reached over ssh.
    pub jobs: Vec<Job>,
    /// Those that are done with before anything begins.
    pub settled: Vec<(String, Outcome)>,
    /// Our keys, each opened once.
    pub keys: Arc<Keys>,
}

impl HostsArgs {
    /// Reads the inventory and finds out how its hosts are reached; with [`Depth::Settings`] also what their
    /// agents are to be started with, secrets and all.
    ///
    /// # Errors
    /// The inventory cannot be used, or selects nothing.
    pub async fn open(&self, depth: Depth) -> Result<Opened, Failure> {
        let (inventory, selected) = self.inventory.load()?;
        self.reach.open(inventory, selected, depth).await
    }

    /// The inventory and the hosts selected, nothing resolved.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn load(&self) -> Result<(Inventory, Vec<Host>), Failure> {
        self.inventory.load()
    }

    /// Like [`Self::open`], for hosts that are known already.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_these(
        &self,
        inventory: Inventory,
        hosts: Vec<Host>,
        depth: Depth,
    ) -> Result<Opened, Failure> {
        self.reach.open(inventory, hosts, depth).await
    }
}

impl ReachArgs {
    /// Finds out how these hosts are reached.
    ///
    /// # Errors
    /// A secret or policy cannot be had.
    pub async fn open(
        &self,
        inventory: Inventory,
        hosts: Vec<Host>,
        depth: Depth,
    ) -> Result<Opened, Failure> {
        let jobs::Jobs { jobs, settled } = jobs::jobs(&inventory, &hosts, &self.how(), depth).await?;
        let keys = Arc::new(Keys::new(Passphrases));
        Ok(Opened { inventory, jobs, settled, keys })
    }
}

/// Passphrases: `CM_SSH_PASSPHRASE`, else a person at the terminal; each key is asked for once.
struct Passphrases;

impl Secrets for Passphrases {
    fn passphrase(&self, key: &std::path::Path) -> Option<Secret> {
        if let Ok(given) = std::env::var("CM_SSH_PASSPHRASE") {
            return Some(Secret::new(given));
        }
        ask_hidden(&format!("Passphrase for {}: ", key.display())).map(Secret::new)
    }
}

/// Asks for a line that is not shown; `None` where there is no terminal.
fn ask_hidden(question: &str) -> Option<String> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let tty = std::fs::OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
    let before = tcgetattr(&tty).ok()?;
    let mut hidden = before.clone();
    hidden.local_modes.remove(LocalModes::ECHO);
    tcsetattr(&tty, OptionalActions::Now, &hidden).ok()?;
    let asked = (&tty).write_all(question.as_bytes());
    let mut line = String::new();
    let read = io::BufRead::read_line(&mut io::BufReader::new(&tty), &mut line);
    // Whatever came of it, the terminal shows what is typed again.
    let _ = tcsetattr(&tty, OptionalActions::Now, &before);
    let _ = (&tty).write_all(b"\n");
    asked.ok().and(read.ok())?;
    Some(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// What is shown, and how.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Each event as a line of JSON, the summary last
    #[arg(long)]
    json: bool,
}

/// Shows events as they come; remembers whether anybody reads them.
pub struct Shown {
    view: View<io::Stdout>,
    gone: bool,
}

impl ShowArgs {
    /// Bars on a terminal, plain lines elsewhere, JSON where it was asked for.
    pub fn view(&self) -> Shown {
        let view = if self.json {
            View::Json { out: io::stdout() }
        } else if terminal::can_draw() {
            View::Bars(Box::new(Bars::new(terminal::paint_stdout())))
        } else {
            View::Plain { out: io::stdout(), paint: terminal::paint_stdout() }
        };
        Shown { view, gone: false }
    }
}

impl Shown {
    /// One more moment.
    pub fn show(&mut self, moment: Moment<'_>, state: &DeployState) {
        match moment {
            Moment::Tick => self.view.tick(now(), state),
            Moment::Question => self.view.pause(),
            Moment::Event(event) if !self.gone => self.gone = self.view.event(event, state).is_err(),
            // A reader that left does not end what was begun on hosts.
            Moment::Event(_) => {}
        }
    }

    /// How often it wants to be drawn.
    pub fn tick_every(&self) -> Option<Duration> {
        self.view.tick_every()
    }
}

/// Whoever has started the command: asked before anything is changed, heard when Ctrl-C is pressed.
pub struct Operator {
    caught: Signal,
    question: Option<&'static str>,
}

impl Operator {
    /// `question` is what is asked before changes, with `{}` for the hosts; none: go ahead.
    ///
    /// # Errors
    /// A question, and nobody to ask.
    pub fn new(yes: bool, question: &'static str) -> Result<Self, Failure> {
        if !yes && !io::stdin().is_terminal() {
            return Err(Failure::usage("this changes hosts, and there is no terminal to ask at")
                .hint("--yes goes ahead without asking; `cm-fleet plan` shows what would change"));
        }
        let caught = signal(SignalKind::interrupt())
            .map_err(|e| Failure::new(Kind::Task, "cannot listen for Ctrl-C").because(&e))?;
        Ok(Self { caught, question: (!yes).then_some(question) })
    }

    /// Someone who only watches, and may press Ctrl-C.
    ///
    /// # Errors
    /// Signals cannot be had.
    pub fn watcher() -> Result<Self, Failure> {
        Self::new(true, "")
    }

    /// Asks, if there is something to ask.
    pub async fn confirms(&mut self, hosts: usize) -> bool {
        let Some(question) = self.question else { return true };
        self.asks(question.replace("{}", &crate::deploy::words::hosts(hosts))).await
    }

    /// Asks a question that is answered with yes or no; Ctrl-C is no.
    pub async fn asks(&mut self, question: String) -> bool {
        let answer = tokio::task::spawn_blocking(move || {
            // Nobody to ask is nobody who says yes.
            let _ = write!(io::stderr(), "{question} [y/N] ").and_then(|()| io::stderr().flush());
            let mut line = String::new();
            io::stdin().read_line(&mut line).map(|_| line)
        });
        tokio::select! {
            answer = answer => {
                matches!(answer, Ok(Ok(line)) if matches!(line.trim().to_lowercase().as_str(), "y" | "yes"))
            }
            _ = self.caught.recv() => false,
        }
    }
}

impl Person for Operator {
    async fn may(&mut self, state: &DeployState) -> bool {
        let changes = |host: &&crate::deploy::fold::HostState| {
            matches!(host.plan, Some(crate::deploy::plan::Plan::Change(_)))
        };
        self.confirms(state.hosts.iter().filter(changes).count()).await
    }

    async fn interrupt(&mut self) {
        if self.caught.recv().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}

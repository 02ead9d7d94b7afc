//! A session's own task: waits for what happens, decides in the rooms of `tool`, acts through `effects`.
//!
//! It has two phases. *Reaching*: the terminal's server is to be found; only "refused" and "no such file"
//! prove that it is dead, a time-out proves nothing. *Living*: commands, notices and timers, until the
//! terminal is closed, the agent lets go, or the connection to tmux is lost, which leads back to reaching.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use cm_protocol::{ErrorCode, ErrorReply, KeysObserved, Prompt, ScreenFrame};
use tokio::sync::mpsc;
use tokio::time::sleep;

use super::Engine;
use super::deciding::{Answered, Choice};
use super::environment::{self, Marks};
use super::explaining::Past;
use super::handle::{self, Answer, Command};
use super::launch::CONF;
use super::mailbox::Mailbox;
use super::numbering::Numbering;
use super::proving::Checking;
use super::record::{Phase, SessionRecord};
use super::recording::Recorder;
use super::saving::Saving;
use super::typing::{Keys, Typing};
use crate::host::clock;
use crate::host::process::ProcessId;
use crate::tmux::{CommandError, Control, Notice, Notices, Open, OpenError, PaneStatus};
use crate::tool::{Exit, Input, Machine, Screen};

/// How long one attempt to reach a terminal's server may take.
const REACH: Duration = Duration::from_secs(5);
/// Attempts after which a server that takes nobody in counts as dying.
const DYING: u32 = 4;
/// The longest pause between attempts.
const REACH_PAUSE: Duration = Duration::from_secs(30);

/// See the module.
pub(super) struct Actor {
    pub(super) engine: Arc<Engine>,
    pub(super) record: SessionRecord,
    pub(super) machine: Machine,
    pub(super) inbox: mpsc::Receiver<Command>,
    /// The connection made at launch, used by the first round.
    fresh: Option<(Control, Notices)>,
    pub(super) view: View,
    pub(super) typing: Option<Busy>,
    /// What is typed after that, in this order.
    pub(super) waiting: VecDeque<(Keys, Purpose)>,
    /// When the terminal of an ended program is closed.
    pub(super) close_at: Option<Duration>,
    /// An option that is being taken.
    pub(super) choice: Option<Choice>,
    /// The task's check, while it runs.
    pub(super) checking: Option<Checking>,
    /// What was heard and decided, for `explain`.
    pub(super) past: Past,
    /// What the state machine is given, for `replay`.
    pub(super) recorder: Recorder,
    /// Its work in progress, where that is saved.
    pub(super) saving: Option<Saving>,
    /// The environment its check runs in.
    pub(super) env: BTreeMap<String, String>,
}

/// What was last seen, and who wants to see more.
#[derive(Default)]
pub(super) struct View {
    pub(super) screen: Option<Arc<Screen>>,
    pub(super) numbering: Numbering,
    pub(super) revision: u64,
    pub(super) watchers: Vec<Weak<Mailbox>>,
    pub(super) frame: Option<Arc<ScreenFrame>>,
    /// When to look next.
    pub(super) look_at: Option<Duration>,
    /// When was looked last.
    pub(super) looked: Duration,
    /// The program's end was seen and told.
    pub(super) ended: bool,
    /// How many status reports of the tool's have been taken in.
    pub(super) statuses: Option<u64>,
    /// A person has the terminal open.
    pub(super) attached: bool,
}

/// Typing in progress, and for whom.
pub(super) struct Busy {
    pub(super) typing: Typing,
    pub(super) purpose: Purpose,
    /// The next look is due then even if nothing changes.
    pub(super) until: Option<Duration>,
}

/// Why something is typed.
pub(super) enum Purpose {
    /// It is the task, or words that go on with it.
    Task,
    /// Words behind an option that was taken.
    Words,
    /// They answer a prompt, for a person.
    Answer {
        /// Who.
        answer: Answered,
        /// The prompt.
        prompt: Prompt,
    },
    /// A client asked for it.
    Client {
        /// Who.
        answer: Answer<KeysObserved>,
        /// Named keys are among what is typed.
        named: bool,
        /// Enter is among them, or ends it.
        enters: bool,
    },
}

/// Why a session's terminal was not reached.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unreached {
    /// Its server was not joined.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Its server took us and said no more.
    #[error("{0}")]
    Silent(CommandError),
    /// The server at its place is another one.
    #[error("a server of somebody else (pid {pid}) is in its place")]
    Stranger {
        /// That server.
        pid: i32,
    },
}

impl Unreached {
    /// Whether it proves that the terminal is gone.
    fn proves_death(&self) -> bool {
        match self {
            Self::Open(error) => error.proves_death(),
            Self::Silent(_) => false,
            Self::Stranger { .. } => true,
        }
    }
}

/// Everything that can happen to a living session.
enum Wake {
    Command(Option<Command>),
    Notice(Option<Notice>),
    Checked(cm_protocol::CheckResult),
    Timer,
    Stop,
}

/// How a round of living ended.
#[derive(Debug)]
pub(super) enum Round {
    /// Go on waiting.
    On,
    /// The connection to tmux is lost; the terminal may well be alive.
    Disconnected,
    /// Nothing more to do: closed, or the agent lets go.
    Over,
}

impl Actor {
    /// The actor of a session just launched. From here on the hub knows the way to it.
    pub(super) fn born(
        engine: Arc<Engine>,
        record: SessionRecord,
        machine: Machine,
        connection: (Control, Notices),
        env: BTreeMap<String, String>,
    ) -> Self {
        let mut actor = Self::new(engine, record, machine, env);
        actor.fresh = Some(connection);
        actor
    }

    /// The actor of a session found again.
    pub(super) fn found(engine: Arc<Engine>, record: SessionRecord) -> Self {
        let profile = engine.profile_of(&record);
        let has_task = !record.task_text.is_empty();
        let machine = match &record.memory {
            Some(memory) => Machine::restore(profile, (**memory).clone(), clock::now()),
            None => Machine::new(profile, has_task, clock::now()),
        };
        let machine = machine.with_bearings(engine.bearings_of(&record));
        // What the task brought is kept nowhere; its check has to do without.
        let marks = Marks { session: record.id.as_str(), agent_socket: &engine.socket };
        let mut env = environment::base(&engine.env, |name| machine.profile().passes_env(name), &marks);
        env.extend(engine.session_env.clone());
        Self::new(engine, record, machine, env)
    }

    fn new(
        engine: Arc<Engine>,
        record: SessionRecord,
        machine: Machine,
        env: BTreeMap<String, String>,
    ) -> Self {
        let (handle, inbox) = handle::channel(record.id.clone());
        engine.hub.attach(handle);
        let recorder = Recorder::open(
            &engine.recording_file(&record.id),
            &record,
            &machine,
            engine.policy_of(record.policy.as_ref()).clone(),
        );
        Self {
            recorder,
            env,
            saving: Saving::of(&record),
            engine,
            record,
            machine,
            inbox,
            fresh: None,
            view: View::default(),
            typing: None,
            waiting: VecDeque::new(),
            close_at: None,
            choice: None,
            checking: None,
            past: Past::default(),
        }
    }

    /// Lives until the session is closed or the agent lets go of it.
    pub(super) async fn run(mut self) {
        loop {
            let Some((control, mut notices)) = self.reach().await else { break };
            tracing::debug!(session = %self.record.id, "reached");
            let round = self.live(&control, &mut notices).await;
            tracing::debug!(session = %self.record.id, ?round, "left");
            control.close().await;
            if matches!(round, Round::Over) {
                break;
            }
        }
        self.inbox.close();
        let forgotten = self.engine.hub.detach(&self.record.id);
        self.engine.forget(&forgotten);
    }

    /// Finds the terminal's server. `None`: it is dead and that has been told, or the agent lets go.
    async fn reach(&mut self) -> Option<(Control, Notices)> {
        if let Some(connection) = self.fresh.take() {
            return Some(connection);
        }
        let mut pause = Duration::from_millis(200);
        for attempts in 1.. {
            let error = match self.try_reach().await {
                Ok(connection) => return Some(connection),
                Err(error) => error,
            };
            if error.proves_death() || self.is_dying(&error, attempts) {
                tracing::debug!(session = %self.record.id, %error, "its terminal is dead");
                self.vanished(&error).await;
                return None;
            }
            tracing::warn!(session = %self.record.id, %error, "does not answer; this proves nothing, trying again");
            if !self.refuse_for(pause, &error).await {
                return None;
            }
            pause = (pause * 2).min(REACH_PAUSE);
        }
        None
    }

    async fn try_reach(&mut self) -> Result<(Control, Notices), Unreached> {
        let socket = std::path::PathBuf::from(&self.record.socket);
        let (control, notices) = Control::open(&self.engine.tmux, &socket, Open::Attach, REACH).await?;
        let identified = match control.inspect().await {
            Ok(pane) => self.identify(&pane),
            Err(error) => Err(Unreached::Silent(error)),
        };
        if identified.is_ok() {
            self.dismiss_predecessors(&control).await;
        }
        if let Err(error) = identified {
            control.close().await;
            return Err(error);
        }
        Ok((control, notices))
    }

    /// Ends the control clients of an agent that died; the server cannot be rid of them by itself.
    async fn dismiss_predecessors(&self, control: &Control) {
        let clients = control.other_clients().await.unwrap_or_default();
        for client in clients.into_iter().filter_map(ProcessId::of) {
            tracing::debug!(session = %self.record.id, pid = client.pid, "ending the control client of an earlier agent");
            client.kill();
        }
    }

    /// Whether the server is about to end and cannot: it takes nobody in any more, again and again, and its
    /// program has ended.
    fn is_dying(&self, error: &Unreached, attempts: u32) -> bool {
        attempts >= DYING
            && matches!(error, Unreached::Open(OpenError::Attach { .. }))
            && self.program().is_some_and(|program| !program.alive())
    }

    /// Makes sure that the terminal found is the one that was lost.
    fn identify(&mut self, pane: &PaneStatus) -> Result<(), Unreached> {
        let server = ProcessId::of(pane.server_pid);
        let same = match self.record.phase {
            Phase::Open { server: known, .. } => Some(known) == server,
            Phase::Launching | Phase::Closed { .. } => true,
        };
        if pane.session_id != self.record.id.as_str() || !same {
            return Err(Unreached::Stranger { pid: pane.server_pid });
        }
        if let (Phase::Launching, Some(server)) = (&self.record.phase, server) {
            // An agent that died while it made this one had no time to remove what holds the task's
            // variables; the session is there, so tmux has read it.
            if let Ok(dir) = self.engine.runtime.session_dir(&self.record.id) {
                let _ = std::fs::remove_file(dir.join(CONF));
            }
            let program = ProcessId::of(pane.pane_pid).unwrap_or(ProcessId { pid: pane.pane_pid, start: 0 });
            self.record.phase = Phase::Open { server, program };
            self.engine.hub.remember(self.record.clone());
        }
        Ok(())
    }

    /// Answers commands with "not now" for a while; false if there is no reason to go on.
    async fn refuse_for(&mut self, pause: Duration, error: &Unreached) -> bool {
        let over = sleep(pause);
        tokio::pin!(over);
        let stop = self.engine.stop.clone();
        loop {
            let command = tokio::select! {
                () = &mut over => return true,
                () = stop.cancelled() => return false,
                command = self.inbox.recv() => command,
            };
            match command {
                None => return false,
                Some(Command::Kill { why, answer }) => {
                    self.kill_unreachable(why, answer).await;
                    return false;
                }
                Some(command) => command.refuse(&ErrorReply::new(
                    ErrorCode::Conflict,
                    format!("the terminal of {} does not answer ({error}); still trying", self.record.id),
                )),
            }
        }
    }

    /// One round with a connection to the terminal.
    async fn live(&mut self, control: &Control, notices: &mut Notices) -> Round {
        let stop = self.engine.stop.clone();
        self.view.look_at = Some(clock::now());
        if !self.machine.is_ended() {
            // Where the program has ended, the look tells how.
            self.catch_up(Some(control), &Exit::default()).await;
        }
        loop {
            let due = self.due();
            let timer = async {
                match due {
                    Some(at) => sleep(at.saturating_sub(clock::now())).await,
                    None => std::future::pending().await,
                }
            };
            let wake = tokio::select! {
                () = stop.cancelled() => Wake::Stop,
                command = self.inbox.recv() => Wake::Command(command),
                notice = notices.recv() => Wake::Notice(notice),
                result = Checking::wait(&mut self.checking) => Wake::Checked(result),
                () = timer => Wake::Timer,
            };
            let round = match wake {
                Wake::Stop | Wake::Command(None) => Round::Over,
                Wake::Command(Some(command)) => self.command(control, command).await,
                Wake::Notice(None) => Round::Disconnected,
                Wake::Notice(Some(notice)) => self.notice(&notice),
                Wake::Checked(result) => self.checked(control, result).await,
                Wake::Timer => self.timer(control).await,
            };
            if !matches!(round, Round::On) {
                return round;
            }
        }
    }

    /// When there is something to do even if nothing happens.
    fn due(&self) -> Option<Duration> {
        let typing = self.typing.as_ref().and_then(|b| b.until);
        let choice = self.choice.as_ref().filter(|_| self.typing.is_none()).map(|c| c.until);
        let (over, save) = (self.timeout_at(), self.save_at());
        [self.view.look_at, self.machine.deadline(), typing, choice, over, self.close_at, save]
            .into_iter()
            .flatten()
            .min()
    }

    /// When the task has had its time. A paused session's clock stands still.
    fn timeout_at(&self) -> Option<Duration> {
        if self.view.ended || self.record.paused_since.is_some() || self.machine.state().is_terminal() {
            return None;
        }
        let seconds = self.record.created_at + self.record.timeout? + self.record.paused_for;
        Duration::try_from_secs_f64(seconds).ok()
    }

    fn notice(&mut self, notice: &Notice) -> Round {
        match notice {
            Notice::Output { .. } => self.look_soon(),
            Notice::Exit { .. } => return Round::Disconnected,
            // The rename is how a terminal says that its program has ended.
            Notice::WindowRenamed { .. } => self.view.look_at = Some(clock::now()),
            _ => {}
        }
        Round::On
    }

    async fn timer(&mut self, control: &Control) -> Round {
        let now = clock::now();
        let is_due = |at: Option<Duration>| at.is_some_and(|at| at <= now);
        if is_due(self.timeout_at()) {
            return self.time_out(control).await;
        }
        if is_due(self.close_at) {
            return self.close(Some(control)).await;
        }
        if is_due(self.save_at()) {
            self.save();
        }
        let choosing = self.typing.is_none() && self.choice.as_ref().is_some_and(|c| is_due(Some(c.until)));
        if is_due(self.view.look_at) || choosing || self.typing.as_ref().is_some_and(|b| is_due(b.until)) {
            return self.look(control).await;
        }
        if is_due(self.machine.deadline()) {
            return self.step(Some(control), Input::Tick).await;
        }
        Round::On
    }

    /// The phase of a session whose terminal exists.
    pub(super) fn program(&self) -> Option<ProcessId> {
        match self.record.phase {
            Phase::Open { program, .. } => Some(program),
            Phase::Launching | Phase::Closed { .. } => None,
        }
    }
}

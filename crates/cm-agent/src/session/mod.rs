//! One session from launch to result.
//!
//! `create` checks a request, `launch` makes the terminal, `actor` lives with it until it is gone, and
//! `adopt` finds it again after the agent was restarted. The actor sees through `look`, acts through `effects` and
//! `keyboard`, and ends through `ending`. What is decided stands in `environment`, `typing`, `transcript`, [`crate::tool`].

mod actor;
mod adopt;
pub mod choosing;
mod create;
mod deciding;
mod effects;
mod ending;
pub mod environment;
mod explaining;
mod ground;
mod handle;
mod hearing;
mod keyboard;
mod launch;
mod look;
mod mailbox;
pub mod numbering;
mod owned;
mod probing;
mod proving;
mod reading;
pub mod record;
mod recording;
mod saving;
mod settling;
pub mod steering;
pub mod ticking;
pub mod transcript;
pub mod typing;
mod version;
mod wanted;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cm_protocol::{
    CreateSession, ErrorCode, ErrorReply, Limits, PolicyChoice, ReplyBody, SessionId, TranscriptPage,
};
use tokio::sync::{Semaphore, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use adopt::adopt_all;
pub use ground::watch_mirrors;
pub use handle::SessionHandle;
pub use mailbox::Mailbox;
pub use owned::watch_owned;

use crate::container::Keeper;
use crate::host::clock;
use crate::host::dirs::RuntimeDir;
use crate::host::systemd::UserManager;
use crate::hub::{Claim, ClaimError, Claimed, Hub};
use crate::tmux::Tmux;
use crate::tool::policy::Policies;
use crate::tool::state::Bearings;
use crate::tool::{Profile, Profiles};
use create::Spec;
use record::SessionRecord;
use transcript::Wanted;
use version::Versions;

/// Terminals made at the same time; more only get in each other's way.
const LAUNCHES: usize = 4;
/// How long looking at a task's directory and program may take: they may be on a dead network disk.
const CHECK: Duration = Duration::from_secs(5);

/// What sessions need of the agent around them; does not change while it runs.
pub struct Surroundings {
    /// Who owns and announces them.
    pub hub: Arc<Hub>,
    /// The terminal's program.
    pub tmux: Tmux,
    /// The service manager that holds their terminals; without one, and without a keeper, they are detached.
    pub manager: Option<UserManager>,
    /// The keeper that holds them in its place.
    pub keeper: Option<Keeper>,
    /// Where their sockets are.
    pub runtime: RuntimeDir,
    /// Where finished sessions' texts are kept.
    pub transcripts: PathBuf,
    /// What is known of tools.
    pub profiles: Profiles,
    /// What may be done without a person.
    pub policies: Policies,
    /// What decides where a task does not say.
    pub policy: PolicyChoice,
    /// The agent's own directory: work trees, patches and recordings are there.
    pub state: PathBuf,
    /// The agent's own environment.
    pub env: BTreeMap<String, String>,
    /// Variables that every session gets besides; they may be secret.
    pub session_env: BTreeMap<String, String>,
    /// Where sessions without a path work.
    pub home_dir: PathBuf,
    /// The agent's unix socket.
    pub socket: String,
    /// Limits on what is asked.
    pub limits: Limits,
    /// Living sessions allowed.
    pub max_sessions: usize,
    /// Running tasks allowed of those that have an owner.
    pub slots: Option<u32>,
    /// How long the terminal of an ended program is kept.
    pub keep_finished: Duration,
    /// The kernel's boot id.
    pub boot_id: String,
    /// This program as an agent: its subcommands hold tools in their terminals and serve their hooks.
    pub program: Vec<String>,
    /// Cancelled when the agent ends; sessions go on without it.
    pub stop: CancellationToken,
}

/// Makes sessions and joins their tasks. Its [`Surroundings`] are reached through it.
pub struct Engine {
    surroundings: Surroundings,
    /// Rows of history a terminal keeps.
    history: u32,
    /// What terminals call themselves to programs.
    terminal: String,
    launches: Semaphore,
    /// What is known of tools' versions.
    versions: Versions,
    /// Sessions being made: waited on by repeats of the same request.
    making: Mutex<HashMap<SessionId, watch::Receiver<()>>>,
    /// Every session's task, joined at the end.
    tracker: TaskTracker,
}

impl std::ops::Deref for Engine {
    type Target = Surroundings;

    fn deref(&self) -> &Surroundings {
        &self.surroundings
    }
}

impl Engine {
    /// An engine with no session running yet; see [`adopt_all`].
    pub fn new(surroundings: Surroundings) -> Arc<Self> {
        Arc::new(Self {
            surroundings,
            history: 20_000,
            terminal: launch::terminal_name(),
            launches: Semaphore::new(LAUNCHES),
            versions: Versions::default(),
            making: Mutex::default(),
            tracker: TaskTracker::new(),
        })
    }

    /// Starts a session. It is made to the end even if the caller goes away.
    ///
    /// # Errors
    /// What to answer.
    pub async fn create(self: &Arc<Self>, mut request: CreateSession) -> Result<ReplyBody, ErrorReply> {
        for (name, value) in &self.session_env {
            request.env.entry(name.clone()).or_insert_with(|| value.clone());
        }
        // A repeat is answered even where the session could not be made again: its directory may be gone by
        // now, its tool removed, the disk full.
        if let Some(task) = Spec::identity(&request)?
            && let Some(existing) = self.hub.by_task(&task).map_err(not_claimed)?
        {
            return self.existing(existing).await;
        }
        let id = new_id()?;
        let spec = self.checked(request, id.clone()).await?;
        let claim = Claim {
            id: id.clone(),
            task: spec.task.clone(),
            name: spec.name.clone(),
            max_sessions: self.max_sessions,
            lease: spec.lease.clone(),
            slots: self.slots,
            now: clock::moment(),
        };
        let (made, making) = watch::channel(());
        // Before the claim: whoever repeats it finds this to wait for.
        self.making().insert(id.clone(), making);
        let claimed = self.hub.claim(claim);
        if !matches!(claimed, Ok(Claimed::New)) {
            self.making().remove(&id);
        }
        match claimed {
            Ok(Claimed::New) => {}
            Ok(Claimed::Existing(existing)) => return self.existing(existing).await,
            Err(error) => return Err(not_claimed(error)),
        }
        let (reply, answer) = oneshot::channel();
        let engine = self.clone();
        self.tracker.spawn(async move {
            let born = Box::pin(launch::birth(&engine, spec)).await;
            engine.making().remove(&id);
            drop(made);
            match born {
                Ok((created, actor)) => {
                    // The one who asked may be gone; the session is there all the same.
                    let _ = reply.send(Ok(created));
                    actor.run().await;
                }
                Err(error) => drop(reply.send(Err(error))),
            }
        });
        answer
            .await
            .unwrap_or_else(|_| Err(ErrorReply::create_failed(ErrorCode::Internal, "the agent is ending")))
    }

    fn making(&self) -> std::sync::MutexGuard<'_, HashMap<SessionId, watch::Receiver<()>>> {
        self.making.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Waits for a session that is being made: until it can be reached, or has come to nothing.
    pub async fn settled(&self, id: &SessionId) {
        let making = self.making().get(id).cloned();
        if let Some(mut making) = making {
            // Ends with an error when the maker is done, which is what is waited for.
            while making.changed().await.is_ok() {}
        }
    }

    /// Checks a request where a file system that does not answer holds up nobody else.
    async fn checked(self: &Arc<Self>, request: CreateSession, id: SessionId) -> Result<Spec, ErrorReply> {
        let (engine, wanted) = (self.clone(), request.clone());
        let located = apart(move || Spec::locate(&wanted, &engine)).await?;
        let version = self.versions.of(&located.program, &located.version_args, &located.env).await;
        let engine = self.clone();
        apart(move || Spec::check(request, id, version, &engine)).await
    }

    /// Answers a repeated request with the session that exists, waiting until it does.
    async fn existing(&self, id: SessionId) -> Result<ReplyBody, ErrorReply> {
        self.settled(&id).await;
        match self.hub.record(&id) {
            Some(record) => Ok(ReplyBody::SessionCreated {
                session_id: id,
                socket: record.socket,
                existing: true,
                warnings: Vec::new(),
                base: record.tree.map(|tree| tree.base().to_owned()),
            }),
            None => Err(ErrorReply::create_failed(
                ErrorCode::Conflict,
                "the same attempt was being made at the same time and failed; send it again",
            )),
        }
    }

    /// A piece of a session's text, also after its terminal is gone.
    ///
    /// # Errors
    /// No such session, or its text cannot be read.
    pub async fn transcript(&self, id: &SessionId, wanted: Wanted) -> Result<TranscriptPage, ErrorReply> {
        if let Some(handle) = self.hub.handle(id) {
            match handle.transcript(wanted).await {
                // It ended in this moment: its text is on the disk now.
                Err(error) if error.code == ErrorCode::Conflict && self.hub.handle(id).is_none() => {}
                answer => return answer,
            }
        }
        let (first, rows) = self.finished_rows(id).await?;
        let finished = first + rows.len() as u64;
        let (from, to) = wanted.range(first, finished);
        let slice = &rows[index(from - first)..index(to - first)];
        Ok(transcript::page(id, wanted, from, slice, finished, true))
    }

    /// The last lines of a session's text, also after its terminal is gone.
    ///
    /// # Errors
    /// No such session, or its text cannot be read.
    pub async fn capture(&self, id: &SessionId, lines: u64, escapes: bool) -> Result<String, ErrorReply> {
        if let Some(handle) = self.hub.handle(id) {
            match handle.capture(lines, escapes).await {
                Err(error) if error.code == ErrorCode::Conflict && self.hub.handle(id).is_none() => {}
                answer => return answer,
            }
        }
        let (first, rows) = self.finished_rows(id).await?;
        let all = Wanted { from: Some(first), limit: u64::MAX };
        let page = transcript::page(id, all, first, &rows, first + rows.len() as u64, true);
        Ok(transcript::last_lines(&page.lines.join("\n"), lines))
    }

    async fn finished_rows(&self, id: &SessionId) -> Result<(u64, Vec<transcript::Row>), ErrorReply> {
        if self.hub.record(id).is_none() {
            return Err(ErrorReply::not_found(id.as_str()));
        }
        let path = self.transcript_file(id);
        match tokio::task::spawn_blocking(move || std::fs::read_to_string(path)).await {
            Ok(Ok(text)) => transcript::from_file(&text).ok_or_else(|| {
                let path = self.transcript_file(id);
                let why = format!("the text of {id} is damaged: {} is not what was saved", path.display());
                ErrorReply::new(ErrorCode::Internal, why)
            }),
            // Nothing was ever shown, or it vanished before it could be read.
            Ok(Err(e)) if e.kind() == std::io::ErrorKind::NotFound => Ok((0, Vec::new())),
            Ok(Err(e)) => Err(ErrorReply::new(
                ErrorCode::Internal,
                format!("the text of {id} cannot be read from {}: {e}", self.transcript_file(id).display()),
            )),
            Err(_) => Err(ErrorReply::new(ErrorCode::Internal, "the agent is ending")),
        }
    }

    /// The command that holds a tool in its terminal (see [`crate::hold`]); the tool's own follows.
    pub(crate) fn holder(&self, reports_status: bool) -> Vec<String> {
        let more = if reports_status { &["hold", "--status", "--"][..] } else { &["hold", "--"] };
        self.program.iter().cloned().chain(more.iter().map(|&word| word.to_owned())).collect()
    }

    pub(crate) fn recording_file(&self, id: &SessionId) -> PathBuf {
        self.state.join("recordings").join(format!("{id}.jsonl"))
    }

    pub(crate) fn patch_file(&self, id: &SessionId) -> PathBuf {
        self.state.join("patches").join(format!("{id}.patch"))
    }

    /// Where is kept what was not committed when a session began.
    pub(crate) fn base_dir(&self, id: &SessionId) -> PathBuf {
        self.state.join("bases").join(id.as_str())
    }

    pub(crate) fn worktrees(&self) -> PathBuf {
        self.state.join("worktrees")
    }

    /// The facts a session's tool is judged by.
    pub(crate) fn profile_of(&self, record: &SessionRecord) -> Profile {
        self.profiles.for_version(&record.tool, record.tool_version.as_deref())
    }

    /// The policy chosen for a task: its own, or the host's.
    pub(crate) fn policy_of<'a>(&'a self, asked: Option<&'a PolicyChoice>) -> &'a PolicyChoice {
        asked.unwrap_or(&self.policy)
    }

    /// What a session's prompts are judged by.
    pub(crate) fn bearings_of(&self, record: &SessionRecord) -> Bearings {
        // It was checked when the session was made; a policy of the host's that has gone since asks.
        let policy = self.policies.resolve(Some(self.policy_of(record.policy.as_ref())));
        let root = record.tree.as_ref().map(|tree| tree.root.clone());
        let root = root.or_else(|| record.base.as_ref().map(|base| base.root.clone()));
        Bearings {
            policy: policy.unwrap_or_else(|_| Policies::careful()),
            tool: record.tool.clone(),
            work_dir: root.map_or_else(|| record.path.clone(), |root| root.display().to_string()),
            home: self.env.get("HOME").cloned().unwrap_or_else(|| "/".into()),
            check: record.check.is_some(),
        }
    }

    pub(crate) fn transcript_file(&self, id: &SessionId) -> PathBuf {
        self.transcripts.join(format!("{id}.txt"))
    }

    /// Lets go of all sessions, which go on, and waits until that is done.
    pub async fn release(&self) {
        self.stop.cancel();
        self.tracker.close();
        self.tracker.wait().await;
    }
}

fn not_claimed(error: ClaimError) -> ErrorReply {
    ErrorReply::create_failed(error.code(), error)
}

/// Looks at the file system where one that does not answer holds up nobody else.
async fn apart<T: Send + 'static>(
    look: impl FnOnce() -> Result<T, ErrorReply> + Send + 'static,
) -> Result<T, ErrorReply> {
    let why = match tokio::time::timeout(CHECK, tokio::task::spawn_blocking(look)).await {
        Ok(Ok(seen)) => return seen,
        Ok(Err(_)) => "the agent is ending".to_owned(),
        Err(_) => format!("the file system has not answered within {CHECK:?}"),
    };
    Err(ErrorReply::create_failed(ErrorCode::Internal, why))
}

/// A position in memory from a difference of row numbers, which can never exceed it.
fn index(rows: u64) -> usize {
    usize::try_from(rows).unwrap_or(usize::MAX)
}

fn new_id() -> Result<SessionId, ErrorReply> {
    let mut bits = [0; 16];
    getrandom::fill(&mut bits).map_err(|e| {
        ErrorReply::create_failed(ErrorCode::Internal, format!("no random numbers from the kernel: {e}"))
    })?;
    Ok(SessionId::from_bits(u128::from_ne_bytes(bits)))
}

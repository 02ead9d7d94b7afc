//! An agent's life: directories, lock, journal, old sessions, sockets; then until it ends.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::{Limits, PolicyChoice};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::config::{ConfigError, Placement, ServeArgs};
use crate::container::{self, Keeper, KeeperError, Volume};
use crate::host::places::{self, Places};
use crate::host::{clock, dirs, identity, limits, lock, systemd};
use crate::hub::Hub;
use crate::journal::{Journal, JournalError};
use crate::life::Life;
use crate::policies_dir;
use crate::server::{self, Facts, ListenError, Server, ServerParts};
use crate::session::record::{Record, SessionRecord, recover};
use crate::session::{Engine, Surroundings, adopt_all, watch_mirrors, watch_owned};
use crate::settings;
use crate::tmux::{Tmux, TmuxError};
use crate::tool::Profiles;
use crate::tool::policy::Policies;
use crate::tools;

/// How long the service manager may take to answer before sessions run without it.
const MANAGER: Duration = Duration::from_secs(3);

/// Why an agent does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The policy it is to go by cannot be used.
    #[error("--policy: {0}")]
    Policy(policies_dir::Unusable),
    /// Its arguments make no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A directory cannot be used.
    #[error(transparent)]
    Dirs(#[from] dirs::DirError),
    /// Another agent has the state directory.
    #[error(transparent)]
    Lock(#[from] lock::LockError),
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No tmux, or one too old.
    #[error(transparent)]
    Tmux(#[from] TmuxError),
    /// A socket cannot be opened.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// `--placement systemd` without a user manager.
    #[error(
        "no systemd user manager answers (systemctl --user); log in properly or `loginctl enable-linger`, or use --placement detached"
    )]
    NoManager,
    /// No keeper, or one that cannot be used.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// The volume does not take the agent's program.
    #[error(transparent)]
    Program(#[from] container::ProgramError),
    /// The operating system refuses something basic.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl ServeError {
    /// What the process ends with: 4 where another agent is in the way, 2 for arguments, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Lock(lock::LockError::Held { .. }) | Self::Listen(ListenError::SocketInUse(_)) => 4,
            Self::Config(_) | Self::Policy(_) => 2,
            _ => 1,
        }
    }
}

/// Runs an agent until it is told to end, or has nothing left to do. One straight line, in the order in which
/// a start that fails leaves nothing behind.
///
/// `words`: what makes this program an agent, see [`crate::cli::main_with`].
///
/// # Errors
/// It cannot start; nothing is left behind.
pub async fn serve(args: ServeArgs, words: &[&str]) -> Result<(), ServeError> {
    args.check()?;
    let env = environment(&args);
    let token = args.find_token(|name| env.get(name).cloned())?;
    // From here on a signal is a request: nobody who sees our socket can end us halfway.
    let signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    limits::raise_open_files();
    let lookup = |name: &str| env.get(name).cloned();
    let account = identity::account(&lookup);
    if let Some(volume) = &args.volume {
        volume.prepare(account.home.as_deref())?;
    }
    let Places { state, runtime } =
        Places::find(args.state_dir.as_deref(), args.runtime_dir.as_deref(), &lookup)?;
    let mut lock = lock::Lock::acquire(&state, std::time::SystemTime::now())?;
    let path = env.get("PATH").map_or("", String::as_str);
    let tmux = Tmux::find(path.as_ref(), MANAGER).await?;
    let (keeper, manager) = holders(&args, &runtime, &lookup).await?;
    let boot_id = identity::boot_id();
    let Remembered { hub, sessions, unreadable } = remembered(&args, &state, &boot_id)?;
    let transcripts = state.join("transcripts");
    dirs::make_private(&transcripts)?;
    let socket = match args.socket.clone() {
        Some(path) => std::path::absolute(path)?,
        None => runtime.agent_socket(),
    };
    let tcp = match args.listen {
        Some(address) => Some(server::listen_tcp(address).await?),
        None => None,
    };
    for private in ["recordings", "patches", "worktrees"] {
        dirs::make_private(&state.join(private))?;
    }
    let Knowledge { profiles, policies, policy, problems } = knowledge(&args, &lookup)?;
    let program = program(words, args.volume.as_ref())?;
    // Last of what may fail, for it leaves a file.
    let unix = server::listen_unix(&socket).await?;
    lock.listens_on(&socket);
    let stop = CancellationToken::new();
    let engine = Engine::new(Surroundings {
        hub: hub.clone(),
        tmux,
        manager,
        keeper,
        runtime,
        transcripts,
        profiles,
        home_dir: home_dir(args.volume.as_ref().and(account.home)),
        socket: socket.display().to_string(),
        max_sessions: args.max_sessions,
        slots: args.settings.slots,
        keep_finished: args.keep(),
        limits: Limits { login_seconds: args.login_timeout, ..Limits::default() },
        boot_id: boot_id.clone(),
        program,
        policies,
        policy,
        state: state.clone(),
        stop: stop.clone(),
        session_env: settings::session_env(&args.settings),
        env,
    });
    tell_problems(&engine, unreadable);
    for problem in problems {
        tracing::warn!("{problem}");
        engine.hub.notice("configuration", problem);
    }
    if let Some(volume) = &args.volume {
        let gone = container::remove_unused(volume);
        tracing::debug!(gone, "programs of earlier agents removed");
    }
    adopt_all(&engine, &sessions);
    watch_owned(&engine);
    watch_mirrors(&engine, args.mirrors());
    let (shutdown, shutdowns) = mpsc::channel(16);
    let server = Server::new(ServerParts {
        engine: engine.clone(),
        facts: facts(boot_id),
        token,
        max_clients: args.max_clients,
        installation: args.config.as_deref().and_then(settings::installation),
        shutdown,
    });
    server.serve_unix(unix);
    if let Some(listener) = tcp {
        tell_address(&listener, args.volume.is_some());
        server.serve_tcp(listener);
    }
    tracing::info!(socket = %socket.display(), sessions = hub.open_sessions(), "ready");
    ready(&socket);
    let why = Life::new(&args, engine.clone(), &server, shutdowns, signals).run().await;
    tracing::info!(why, "ending; sessions go on");
    server.close(std::slice::from_ref(&socket)).await;
    engine.release().await;
    // Everything published must be on the disk before the lock is given up.
    if let Err(error) = hub.sync().await {
        tracing::error!("{error}");
    }
    drop(lock);
    Ok(())
}

/// What an earlier agent remembered.
struct Remembered {
    hub: Arc<Hub>,
    sessions: Vec<SessionRecord>,
    /// What was wrong with the journal.
    unreadable: Vec<String>,
}

fn remembered(args: &ServeArgs, state: &Path, boot_id: &str) -> Result<Remembered, ServeError> {
    let opened = Journal::open::<Record>(&state.join("journal"), args.journal_limits(), boot_id)?;
    let known = recover(opened.checkpoint, opened.tail);
    let (sessions, unreadable) = (known.sessions.clone(), opened.problems);
    for problem in &unreadable {
        tracing::error!("{problem}");
    }
    let hub = Hub::new(opened.journal, known, opened.head, unreadable.clone(), args.retention());
    Ok(Remembered { hub, sessions, unreadable })
}

/// What is known of tools and of what may be done.
struct Knowledge {
    profiles: Profiles,
    policies: Policies,
    /// What decides where a task does not say.
    policy: PolicyChoice,
    /// What could not be used of what the user has added.
    problems: Vec<String>,
}

/// Reads what this host's user has added to what the agent knows: profiles in `tools/`, policies in
/// `policies/` of the configuration's directory. What is wrong there is told, and left out.
fn knowledge(args: &ServeArgs, env: &dyn Fn(&str) -> Option<String>) -> Result<Knowledge, ServeError> {
    let config = places::config_dir(env);
    let (profiles, mut problems) = match &config {
        Some(dir) => {
            let (profiles, errors) = tools::tools_dir(&dir.join("tools"));
            (profiles, errors.iter().map(ToString::to_string).collect())
        }
        None => (Profiles::builtin(), Vec::<String>::new()),
    };
    let mut policies = Policies::builtin();
    if let Some(dir) = &config {
        problems.extend(policies_dir::load(&dir.join("policies"), &mut policies));
    }
    if let Err(why) = settings::add_policies(&args.settings, &mut policies) {
        problems.push(why);
    }
    let policy = settings::policy(args, &policies).map_err(ServeError::Policy)?;
    Ok(Knowledge { profiles, policies, policy, problems })
}

/// Announces what a person should know from the start.
fn tell_problems(engine: &Engine, journal: Vec<String>) {
    for problem in journal {
        engine.hub.notice("journal_set_aside", problem);
    }
    if let Some(problem) = engine.manager.as_ref().and_then(|_| ends_with_login(&engine.env)) {
        tracing::warn!("{problem}");
        engine.hub.notice("no_linger", problem);
    }
}

fn facts(boot_id: String) -> Facts {
    Facts {
        version: env!("CARGO_PKG_VERSION").into(),
        build: identity::BUILD.into(),
        sha256: identity::binary_sha256().unwrap_or_default().to_owned(),
        host: identity::machine().hostname,
        boot_id,
        started_at: clock::unix_now(),
    }
}

/// This process's variables, with the settings' directories in front of the usual ones in `PATH`.
fn environment(args: &ServeArgs) -> BTreeMap<String, String> {
    let mut env: BTreeMap<String, String> = std::env::vars_os()
        .filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?)))
        .collect();
    let usual = env.get("PATH").map_or("", String::as_str);
    let searched = settings::search_path(&args.settings, env.get("HOME").map(String::as_str), usual);
    if !searched.is_empty() {
        env.insert("PATH".into(), searched);
    }
    env
}

/// Who is to hold the sessions; nobody where they are detached.
async fn holders(
    args: &ServeArgs,
    runtime: &dirs::RuntimeDir,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<(Option<Keeper>, Option<systemd::UserManager>), ServeError> {
    if let Some(keeper) = keeper(args, runtime).await? {
        return Ok((Some(keeper), None));
    }
    Ok((None, manager(args.placement, env("XDG_RUNTIME_DIR").as_deref().map(Path::new)).await?))
}

/// The service manager that is to hold the sessions.
async fn manager(
    placement: Placement,
    xdg: Option<&Path>,
) -> Result<Option<systemd::UserManager>, ServeError> {
    let probe = systemd::UserManager::probe(xdg, MANAGER);
    match placement {
        Placement::Detached | Placement::Keeper => Ok(None),
        Placement::Auto => Ok(probe.await),
        Placement::Systemd => probe.await.map(Some).ok_or(ServeError::NoManager),
    }
}

fn tell_address(listener: &tokio::net::TcpListener, in_container: bool) {
    let Ok(address) = listener.local_addr() else { return };
    tracing::info!(%address, "listening for clients with the token");
    // In a container who can reach it is decided outside: by what its port is published as.
    if !address.ip().is_loopback() && !in_container {
        tracing::warn!("{address} can be reached from outside, unencrypted; tunnel it through ssh instead");
    }
}

/// What to say where the service manager, and every session with it, ends with the user's last login.
fn ends_with_login(env: &BTreeMap<String, String>) -> Option<String> {
    let user = identity::account(&|name| env.get(name).cloned()).name;
    (!systemd::lingers(&user))
        .then(|| format!("sessions end at the last logout of {user}; to keep them: loginctl enable-linger"))
}

/// The keeper that is to hold the sessions. Who was given another container's processes was given them for that: a
/// keeper that is just being started is no reason to place sessions elsewhere.
async fn keeper(args: &ServeArgs, runtime: &dirs::RuntimeDir) -> Result<Option<Keeper>, ServeError> {
    match args.placement {
        Placement::Detached | Placement::Systemd => Ok(None),
        Placement::Keeper => Ok(Some(Keeper::wait(runtime).await?)),
        Placement::Auto if args.volume.is_some() && container::beside_another() => {
            Ok(Some(Keeper::wait(runtime).await?))
        }
        Placement::Auto => Ok(Keeper::find(runtime).await?),
    }
}

/// Where sessions without a path work: a container is started in no directory of anybody's.
fn home_dir(of_container: Option<PathBuf>) -> PathBuf {
    of_container.or_else(|| std::env::current_dir().ok()).unwrap_or_else(|| PathBuf::from("/"))
}

/// This program, called as an agent as it was called now. In a container it is the copy in the volume: processes in
/// the keeper's container find it there, and go on to when this container is gone.
fn program(words: &[&str], volume: Option<&Volume>) -> Result<Vec<String>, ServeError> {
    let program = match volume {
        Some(volume) => container::install(volume)?,
        None => std::env::current_exe()?,
    };
    let program =
        program.to_str().ok_or_else(|| std::io::Error::other("the agent's own path is not valid text"))?;
    Ok([program].iter().chain(words).map(|&w| w.to_owned()).collect())
}

/// Tells whoever started us: a service manager, or a program that reads the first line.
fn ready(socket: &Path) {
    let _ = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    // Nobody needs to be reading.
    let _ = writeln!(std::io::stdout(), "ready {}", socket.display());
    let _ = std::io::stdout().flush();
}

//! Making a session's terminal: directory, configuration, tmux server, first look; or nothing at all.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use cm_protocol::{ErrorCode, ErrorReply, EventKind, ReplyBody, SessionId, SessionInfo, State};

use super::Engine;
use super::actor::Actor;
use super::create::Spec;
use super::ground;
use super::record::{Phase, SessionRecord, shorten};
use crate::container::Keeper;
use crate::container::wire;
use crate::host::clock;
use crate::host::process::{self, Grace, Marker, ProcessId};
use crate::host::systemd::{Greeting, Start, UnitLimits, UnitSpec, UserManager};
use crate::tmux::{Control, LaunchSpec, Notices, Open, launch_conf, server_argv};
use crate::tool::Machine;
use crate::work;

/// How long making a terminal may take before it counts as failed.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long the remains of a failed one may take to go.
const CLEANUP: Duration = Duration::from_secs(3);

/// Makes the session: on the disk, as a terminal, announced and synced, in this order, so that whatever
/// crashes in between leaves something that can be found again.
///
/// # Errors
/// What to answer. Nothing of the session is left.
pub(super) async fn birth(engine: &Arc<Engine>, spec: Spec) -> Result<(ReplyBody, Actor), ErrorReply> {
    let id = spec.id.clone();
    match attempt(engine, spec).await {
        Ok(born) => Ok(born),
        Err(error) => {
            if let Some(manager) = &engine.manager
                && let Err(error) = manager.stop_unit(&unit_name(&id), CLEANUP).await
            {
                // It may be about to start: only the manager knows.
                tracing::warn!(session = %id, %error, "its unit could not be stopped");
            }
            clear(engine, &id).await;
            engine.hub.abandon(&id);
            Err(error)
        }
    }
}

async fn attempt(engine: &Arc<Engine>, spec: Spec) -> Result<(ReplyBody, Actor), ErrorReply> {
    let (mut spec, mut record_warnings) = (spec, Vec::new());
    // Before its turn: it may take minutes, and others need not wait for that.
    ground::fetch(engine, &mut spec).await?;
    let _turn = engine.launches.acquire().await.map_err(|_| internal("the agent is ending"))?;
    let socket = engine.runtime.session_socket(&spec.id).map_err(internal)?;
    let (base, tree) = ground::prepare(engine, &mut spec, &mut record_warnings).await?;
    // It takes as long as what is to be written down first.
    let greeting = engine.manager.as_ref().and_then(UserManager::greet);
    let unit = engine.manager.as_ref().map(|_| unit_name(&spec.id));
    let mut record = SessionRecord { base, tree, ..record_of(&spec, &socket, unit, engine) };
    record_warnings.extend(warnings(&record));
    record_warnings.extend(neighbours(engine, &spec));
    record_warnings.extend(spec.tool_version.as_deref().and_then(|version| spec.profile.doubt(version)));
    // Getting the ground ready may have taken a while, and the attempt may be over by now.
    let superseded = record.task.as_ref().and_then(|task| engine.hub.by_task(task).err());
    if let Some(over) = superseded.or_else(|| engine.hub.still_leased(&record.id).err()) {
        if let Some(tree) = &record.tree {
            // Nothing was done in it; what stays of it harms nobody.
            let _ = work::remove_worktree(tree, false).await;
        }
        return Err(super::not_claimed(over));
    }
    engine.hub.remember(record.clone());
    let (control, notices) = terminal(engine, greeting, &spec, &record, &socket).await?;
    let pane = control.inspect().await.map_err(internal)?;
    let identify = |pid| ProcessId::of(pid).ok_or_else(|| internal(format!("process {pid} ended at once")));
    record.phase = Phase::Open {
        server: identify(pane.server_pid)?,
        // A script may be over before it is looked at; its terminal tells the rest.
        program: ProcessId::of(pane.pane_pid).unwrap_or(ProcessId { pid: pane.pane_pid, start: 0 }),
    };
    let has_task = !spec.task_text.is_empty();
    let machine = Machine::new(spec.profile, has_task, clock::now());
    engine.hub.remember(record.clone());
    // A promise first, an announcement then: what cannot be kept is told to nobody but the one who asked.
    engine.hub.sync().await.map_err(internal)?;
    engine.hub.publish(EventKind::SessionAdded { session: Box::new(record.info(clock::unix_now())) });
    engine.hub.publish(EventKind::StateChange {
        session_id: spec.id.clone(),
        state: State::Starting,
        task: record.task.clone(),
        reason: None,
        prompt: None,
    });
    let created = ReplyBody::SessionCreated {
        session_id: spec.id.clone(),
        socket: record.socket.clone(),
        existing: false,
        warnings: record_warnings,
        base: record.tree.as_ref().map(|tree| tree.base().to_owned()),
    };
    let machine = machine.with_bearings(engine.bearings_of(&record));
    let mut env = spec.base_env;
    env.extend(spec.task_env);
    Ok((created, Actor::born(engine.clone(), record, machine, (control, notices), env)))
}

fn record_of(spec: &Spec, socket: &Path, unit: Option<String>, engine: &Engine) -> SessionRecord {
    let unenforced = match (&spec.limits, &engine.manager) {
        (None, _) => Vec::new(),
        (Some(limits), Some(manager)) => {
            manager.unenforced(&unit_limits(limits)).into_iter().map(str::to_owned).collect()
        }
        (Some(limits), None) => {
            [limits.memory.map(|_| "memory"), limits.cpu.map(|_| "cpu"), limits.tasks.map(|_| "tasks")]
                .into_iter()
                .flatten()
                .map(str::to_owned)
                .collect()
        }
    };
    let now = clock::unix_now();
    SessionRecord {
        id: spec.id.clone(),
        phase: Phase::Launching,
        tool: spec.tool.clone(),
        path: spec.path.clone(),
        name: spec.name.clone(),
        task: spec.task.clone(),
        task_text: spec.task_text.clone(),
        command: spec.command.iter().cloned().map(shown).collect(),
        socket: socket.display().to_string(),
        unit,
        env_names: spec.task_env.keys().cloned().collect(),
        size: spec.size,
        on_done: spec.on_done,
        timeout: spec.timeout,
        limits: spec.limits,
        unenforced,
        created_at: now,
        boot_id: engine.boot_id.clone(),
        paused_for: 0.0,
        paused_since: None,
        state: State::Starting,
        reason: None,
        prompt: None,
        outcome: None,
        task_began: now,
        authority: "process".into(),
        memory: None,
        tool_version: spec.tool_version.clone(),
        tool_session: None,
        policy: spec.policy.clone(),
        check: spec.check.clone(),
        checked: None,
        base: None,
        tree: None,
        receipts: Vec::new(),
        lease: spec.lease.clone(),
        renewed: None,
        acknowledged: false,
    }
}

/// An argument as it is remembered and shown: the task is among them, and stands elsewhere in full.
fn shown(mut argument: String) -> String {
    shorten(&mut argument, 400);
    argument
}

fn warnings(record: &SessionRecord) -> Vec<String> {
    if record.unenforced.is_empty() {
        return Vec::new();
    }
    let why = if record.unit.is_some() {
        "its control groups are not available to the user"
    } else {
        "no systemd user manager runs here"
    };
    vec![format!("not enforced on this host: {} ({why})", record.unenforced.join(", "))]
}

/// Other coding tools at work in the same directory: allowed, but they may get into each other's way.
fn neighbours(engine: &Engine, spec: &Spec) -> Option<String> {
    let coding = |tool: &str| !engine.profiles.for_tool(tool).life_is_process();
    let at_work = |other: &SessionInfo| {
        other.alive && !other.state.is_terminal() && other.path == spec.path && other.session_id != spec.id
    };
    let others =
        engine.hub.list(false, None).into_iter().filter(|other| at_work(other) && coding(&other.tool));
    let others: Vec<String> = others.map(|other| format!("{} ({})", other.session_id, other.tool)).collect();
    (coding(&spec.tool) && !others.is_empty()).then(|| {
        let others = others.join(", ");
        format!(
            "at work in the same directory: {others}; give tasks work trees of their own to keep them apart"
        )
    })
}

/// The unit a session runs in where there is a service manager.
pub(super) fn unit_name(id: &SessionId) -> String {
    format!("cm-session-{}", id.as_str().trim_start_matches("cm-"))
}

fn unit_limits(limits: &cm_protocol::ResourceLimits) -> UnitLimits {
    UnitLimits { memory: limits.memory, cpu: limits.cpu, tasks: limits.tasks }
}

/// Starts the tmux server with the program in it and connects to it.
async fn terminal(
    engine: &Engine,
    greeting: Option<Greeting>,
    spec: &Spec,
    record: &SessionRecord,
    socket: &Path,
) -> Result<(Control, Notices), ErrorReply> {
    let conf = prepare(engine, spec, record).map_err(internal)?;
    // The server is not marked as one of the session's processes, which may have to end without it.
    let mut env: Vec<(String, String)> =
        spec.base_env.clone().into_iter().filter(|(name, _)| name != "CM_SESSION_ID").collect();
    env.push((Marker::TERMINAL.into(), spec.id.to_string()));
    let opened = match (&engine.keeper, &record.unit) {
        (Some(keeper), _) => with_keeper(engine, keeper, spec, env, (socket, &conf)).await,
        (None, Some(unit)) => in_unit(engine, greeting, spec, unit, (socket, &conf)).await,
        (None, None) => Control::open(&engine.tmux, socket, Open::Start { conf: &conf, env: &env }, DEADLINE)
            .await
            .map_err(internal),
    };
    // It holds the task's variables: it must not outlive the moment it is read.
    let removed = std::fs::remove_file(&conf);
    let opened = opened?;
    removed.map_err(|e| internal(format!("{} cannot be removed: {e}", conf.display())))?;
    Ok(opened)
}

/// Starts the tmux server as a unit and connects to it.
async fn in_unit(
    engine: &Engine,
    greeting: Option<Greeting>,
    spec: &Spec,
    unit: &str,
    (socket, conf): (&Path, &Path),
) -> Result<(Control, Notices), ErrorReply> {
    let Some(manager) = &engine.manager else { return Err(internal("no service manager for its unit")) };
    let argv = server_argv(&engine.tmux, socket, conf);
    let argv: Vec<String> = argv.into_iter().map(|a| a.to_string_lossy().into_owned()).collect();
    // A unit's command line can be looked at for as long as it lives, so nothing but what tmux itself needs
    // stands there: the session's variables are in the configuration, and a proxy's or a profile's may be secret.
    let mut env: Vec<(String, String)> =
        spec.base_env.clone().into_iter().filter(|(name, _)| is_for_tmux(name)).collect();
    env.push((Marker::TERMINAL.into(), spec.id.to_string()));
    let complaints = conf.with_file_name("launch.err");
    let unit = UnitSpec {
        name: unit,
        description: &format!("cm-agent session {} ({})", spec.id, spec.tool),
        argv: &argv,
        env: &env,
        cwd: "/",
        limits: spec.limits.as_ref().map(unit_limits).unwrap_or_default(),
        start: Start::Returns { complaints: &complaints },
    };
    manager.start_greeted(greeting, &unit, DEADLINE).await.map_err(internal)?;
    // Empty, for it started; one that stays behind goes with the directory.
    let _ = std::fs::remove_file(&complaints);
    Control::open(&engine.tmux, socket, Open::Attach, DEADLINE).await.map_err(internal)
}

/// Has the keeper start the tmux server and connects to it.
async fn with_keeper(
    engine: &Engine,
    keeper: &Keeper,
    spec: &Spec,
    env: Vec<(String, String)>,
    (socket, conf): (&Path, &Path),
) -> Result<(Control, Notices), ErrorReply> {
    let argv = server_argv(&engine.tmux, socket, conf);
    let start = wire::Start {
        argv: argv.into_iter().map(|a| a.to_string_lossy().into_owned()).collect(),
        env,
        dir: "/".into(),
        // tmux takes another directory in silence, and a program that is missing looks like one that failed.
        needs_dirs: vec![spec.path.clone()],
        needs_programs: spec.command.first().into_iter().chain(engine.program.first()).cloned().collect(),
        within_ms: u64::try_from(DEADLINE.as_millis()).unwrap_or(u64::MAX),
    };
    keeper.start(start).await.map_err(internal)?;
    Control::open(&engine.tmux, socket, Open::Attach, DEADLINE).await.map_err(internal)
}

/// Variables that a tmux server needs for itself.
fn is_for_tmux(name: &str) -> bool {
    matches!(name, "HOME" | "PATH" | "SHELL" | "LANG" | "TZ") || name.starts_with("LC_")
}

/// Makes the session's directory with what tmux reads at its start and what a later agent needs to know.
fn prepare(engine: &Engine, spec: &Spec, record: &SessionRecord) -> std::io::Result<std::path::PathBuf> {
    let dir = engine.runtime.make_session_dir(&spec.id).map_err(std::io::Error::other)?;
    let mut env = spec.base_env.clone();
    env.extend(spec.task_env.clone());
    let text = launch_conf(&LaunchSpec {
        id: spec.id.as_str().to_owned(),
        command: engine
            .holder(spec.profile.reports_status())
            .into_iter()
            .chain(spec.command.iter().cloned())
            .collect(),
        allow_rename: spec.profile.reports_status(),
        cwd: spec.path.clone().into_bytes(),
        env,
        size: (spec.size.cols, spec.size.rows),
        history_limit: engine.history,
        terminal: engine.terminal.clone(),
    })
    .map_err(std::io::Error::other)?;
    let conf = dir.join(CONF);
    crate::host::places::write_private(&conf, &text)?;
    if spec.profile.has_hooks() {
        let text = crate::tool::hooks::claude::settings(&engine.program);
        crate::host::places::write_private(&dir.join(HOOKS), text.as_bytes())?;
    }
    let facts = serde_json::to_vec(record).map_err(std::io::Error::other)?;
    crate::host::places::write_private(&dir.join(FACTS), &facts)?;
    Ok(conf)
}

/// What tmux reads at its start, with the values of all variables in it; removed as soon as that is done.
pub(super) const CONF: &str = "launch.conf";

/// Which hooks a tool is to call, for tools that have some; nothing in it is secret.
pub(super) const HOOKS: &str = "hooks.json";

/// What a later agent needs to know of a session if the journal is lost; beside its socket.
pub(super) const FACTS: &str = "session.json";

/// Removes everything that may be left of a session that has been started: unit, processes, directory.
pub(super) async fn clear(engine: &Engine, id: &SessionId) {
    if let Some(manager) = &engine.manager
        && let Err(error) = manager.see_unit_end(&unit_name(id), CLEANUP).await
    {
        tracing::warn!(session = %id, %error, "its unit could not be stopped");
    }
    let ended = process::end_tree(&[], Some(&Marker::terminal(id.as_str())), Grace::default()).await;
    if !ended.survivors.is_empty() {
        tracing::error!(session = %id, survivors = ?ended.survivors, "processes could not be ended");
    }
    let Ok(dir) = engine.runtime.session_dir(id) else { return };
    if let Err(error) = std::fs::remove_dir_all(&dir)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(dir = %dir.display(), %error, "cannot be removed");
    }
}

fn internal(error: impl std::fmt::Display) -> ErrorReply {
    ErrorReply::create_failed(ErrorCode::Internal, error)
}

/// The best description of a tmux terminal that this host has.
pub(super) fn terminal_name() -> String {
    let described = |name: &str| {
        let roots = ["/etc/terminfo", "/lib/terminfo", "/usr/share/terminfo", "/usr/lib/terminfo"];
        roots.iter().any(|root| Path::new(root).join(&name[..1]).join(name).exists())
    };
    ["tmux-256color", "screen-256color"].into_iter().find(|n| described(n)).unwrap_or("screen").to_owned()
}

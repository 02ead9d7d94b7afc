//! A request for a session, checked to the last field before anything is started.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use cm_protocol::{
    Check, CreateSession, ErrorCode, ErrorReply, Lease, OnDone, PolicyChoice, ResourceLimits, SessionId,
    Size, TaskRef, Worktree,
};

use super::Engine;
use super::environment::{self, Marks};
use super::launch::HOOKS;
use super::owned::check_lease;
use super::wanted::{self, Wanted};
use crate::tool::Profile;

/// Bytes of all variables, and of all arguments, a task may bring.
const EXTRAS_BYTES: usize = 128 * 1024;
/// Bytes of a check's command.
const CHECK_BYTES: usize = 16 * 1024;
/// How often a failed check may be given back to the tool.
const MOST_RETRIES: u32 = 20;
/// The longest time a task may be given: a year.
const LONGEST: f64 = 365.0 * 24.0 * 3600.0;

/// A session that can be launched.
pub(super) struct Spec {
    pub(super) id: SessionId,
    pub(super) tool: String,
    pub(super) profile: Profile,
    /// What is run, the program as an absolute path.
    pub(super) command: Vec<String>,
    pub(super) path: String,
    pub(super) name: Option<String>,
    pub(super) task: Option<TaskRef>,
    pub(super) task_text: String,
    /// The environment others may see.
    pub(super) base_env: BTreeMap<String, String>,
    /// What was given with the task.
    pub(super) task_env: BTreeMap<String, String>,
    pub(super) size: Size,
    pub(super) on_done: OnDone,
    pub(super) timeout: Option<f64>,
    pub(super) limits: Option<ResourceLimits>,
    pub(super) policy: Option<PolicyChoice>,
    pub(super) check: Option<Check>,
    pub(super) worktree: Option<Worktree>,
    /// The repository it works on, where that is given by its address; `path` leads to it later.
    pub(super) repo: Option<Wanted>,
    pub(super) tool_version: Option<String>,
    pub(super) lease: Option<Lease>,
}

/// A program, and how it is asked for its version.
pub(super) struct Located {
    pub(super) program: PathBuf,
    pub(super) version_args: Vec<String>,
    pub(super) env: BTreeMap<String, String>,
}

impl Spec {
    /// Checks a request. Reads the file system, changes nothing. `version`: the tool's, where it is known.
    ///
    /// # Errors
    /// What to answer: always the original's `Failed to create session: …`, with a code and the field.
    pub(super) fn check(
        request: CreateSession,
        id: SessionId,
        version: Option<String>,
        engine: &Engine,
    ) -> Result<Self, ErrorReply> {
        Self::read(request, id, version, engine).map_err(Refusal::reply)
    }

    /// The program that a request is about, and how it is asked for its version.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn locate(request: &CreateSession, engine: &Engine) -> Result<Located, ErrorReply> {
        let located = || {
            let mut request = request.clone();
            resumed(&mut request, engine)?;
            let tool = tool(request.tool())?;
            let env = variables(&request.env)?;
            let profile = engine.profiles.for_tool(&tool);
            let marks = Marks { session: "", agent_socket: "" };
            let mut all = environment::base(&engine.env, |name| profile.passes_env(name), &marks);
            all.extend(env);
            let search = all.get("PATH").map_or("", String::as_str);
            let program = program(&profile.program, &tool, search)?;
            Ok(Located {
                program: program.into(),
                version_args: profile.launch.version_args.clone(),
                env: all,
            })
        };
        located().map_err(Refusal::reply)
    }

    /// Which attempt at which task is asked for.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub(super) fn identity(request: &CreateSession) -> Result<Option<TaskRef>, ErrorReply> {
        task_ref(request).map_err(Refusal::reply)
    }

    fn read(
        mut request: CreateSession,
        id: SessionId,
        version: Option<String>,
        engine: &Engine,
    ) -> Result<Self, Refusal> {
        let resumed = resumed(&mut request, engine)?;
        let tool = tool(request.tool())?;
        let task_text = text("task", request.task(), engine.limits.task_bytes)?;
        for arg in &request.args {
            text("args", arg, EXTRAS_BYTES)?;
        }
        at_most("args", request.args.iter().map(String::len).sum(), EXTRAS_BYTES)?;
        let repo = wanted::repository(&request)?;
        wanted::worktree(request.worktree.as_ref())?;
        let path = match repo {
            Some(_) => String::new(),
            None => directory(request.path(), engine)?,
        };
        let env = variables(&request.env)?;
        let profile = engine.profiles.for_version(&tool, version.as_deref());
        let marks = Marks { session: id.as_str(), agent_socket: &engine.socket };
        let mut base_env = environment::base(&engine.env, |name| profile.passes_env(name), &marks);
        base_env.extend(profile.launch.env.clone());
        let mut args = match &resumed {
            Some(conversation) => resume_args(&profile, conversation)?,
            None => Vec::new(),
        };
        if profile.has_hooks() {
            let file = engine.runtime.session_dir(&id).map_err(|e| bad("tool", e.to_string()))?.join(HOOKS);
            args.extend(["--settings".to_owned(), file.display().to_string()]);
        }
        args.extend(request.args.iter().cloned());
        let mut command = profile.argv(&task_text, &args);
        let search = env.get("PATH").or_else(|| base_env.get("PATH")).map_or("", String::as_str);
        command[0] = program(&command[0], &tool, search)?;
        Ok(Self {
            task: task_ref(&request)?,
            name: name(request.name)?,
            timeout: timeout(request.timeout)?,
            limits: resources(request.limits)?,
            policy: policy(request.policy, engine)?,
            check: check(request.check)?,
            worktree: request.worktree,
            lease: lease(request.lease)?,
            repo,
            tool_version: version,
            size: size(request.size)?,
            on_done: request.on_done.unwrap_or_default(),
            id,
            tool,
            profile,
            command,
            path,
            task_text,
            base_env,
            task_env: env,
        })
    }
}

/// Why a request is refused.
struct Refusal {
    code: ErrorCode,
    field: Option<&'static str>,
    why: String,
}

impl Refusal {
    fn reply(self) -> ErrorReply {
        let mut reply = ErrorReply::create_failed(self.code, self.why);
        reply.field = self.field.map(str::to_owned);
        reply
    }
}

fn bad(field: &'static str, why: impl Into<String>) -> Refusal {
    Refusal { code: ErrorCode::BadRequest, field: Some(field), why: why.into() }
}

impl From<wanted::Bad> for Refusal {
    fn from((field, why): wanted::Bad) -> Self {
        bad(field, format!("{field}: {why}"))
    }
}

fn at_most(field: &'static str, bytes: usize, limit: usize) -> Result<(), Refusal> {
    if bytes <= limit {
        return Ok(());
    }
    let why = format!("{field} has {bytes} bytes, the limit is {limit}");
    Err(Refusal { code: ErrorCode::TooLarge, field: Some(field), why })
}

fn text(field: &'static str, value: &str, limit: usize) -> Result<String, Refusal> {
    at_most(field, value.len(), limit)?;
    if value.contains('\0') {
        return Err(bad(field, format!("{field} contains a NUL character")));
    }
    Ok(value.to_owned())
}

fn lease(lease: Option<Lease>) -> Result<Option<Lease>, Refusal> {
    lease.as_ref().map_or(Ok(()), check_lease).map_err(|(field, why)| bad(field, why))?;
    Ok(lease)
}

/// A policy must be one that can be followed, before anything is started.
fn policy(choice: Option<PolicyChoice>, engine: &Engine) -> Result<Option<PolicyChoice>, Refusal> {
    match engine.policies.resolve(Some(engine.policy_of(choice.as_ref()))) {
        Ok(_) => Ok(choice),
        Err(error) => Err(bad("policy", format!("policy: {error}"))),
    }
}

/// The conversation that is to be gone on with, by the tool's own name; the request gets its tool and directory.
fn resumed(request: &mut CreateSession, engine: &Engine) -> Result<Option<String>, Refusal> {
    let Some(id) = &request.resume else { return Ok(None) };
    let Some(record) = engine.hub.record(id) else {
        return Err(bad(
            "resume",
            format!("resume: {id} is not known here; cm-fleet sessions --all lists them"),
        ));
    };
    if request.tool.as_ref().is_some_and(|tool| *tool != record.tool) {
        return Err(bad("resume", format!("resume: {id} was a session of {}", record.tool)));
    }
    let Some(conversation) = record.tool_session else {
        let why = format!("resume: {} did not say what it calls the conversation of {id}", record.tool);
        return Err(bad("resume", why));
    };
    request.tool = Some(record.tool);
    if request.context.as_ref().is_some_and(|context| context.repo.is_some()) {
        return Err(bad("context.repo", "context.repo: a conversation goes on where it was"));
    }
    if request.path().is_none() {
        request.context = Some(cm_protocol::Context { path: Some(record.path), ..Default::default() });
    }
    Ok(Some(conversation))
}

fn resume_args(profile: &Profile, conversation: &str) -> Result<Vec<String>, Refusal> {
    if profile.launch.resume.is_empty() {
        return Err(bad("resume", format!("resume: the profile {} does not say how", profile.name)));
    }
    Ok(profile.launch.resume.iter().map(|word| word.replace("{id}", conversation)).collect())
}

fn check(check: Option<Check>) -> Result<Option<Check>, Refusal> {
    let Some(check) = check else { return Ok(None) };
    text("check", &check.command, CHECK_BYTES)?;
    if check.command.trim().is_empty() {
        return Err(bad("check", "check: a command that proves the task done, e.g. `cargo test`"));
    }
    timeout(check.timeout).map_err(|refusal| Refusal { field: Some("check.timeout"), ..refusal })?;
    if check.retries > MOST_RETRIES {
        return Err(bad("check.retries", format!("check.retries: at most {MOST_RETRIES}")));
    }
    Ok(Some(check))
}

fn tool(name: &str) -> Result<String, Refusal> {
    let printable = !name.chars().any(|c| c.is_control() || c.is_whitespace());
    if name.is_empty() || name.len() > 255 || !printable || name.starts_with('-') {
        return Err(bad(
            "tool",
            format!("{name:?} is not a tool's name (a program's name or absolute path)"),
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(bad("tool", format!("{name:?}: give a program's name, or its absolute path")));
    }
    Ok(name.to_owned())
}

fn directory(asked: Option<&str>, engine: &Engine) -> Result<String, Refusal> {
    const FIELD: &str = "context.path";
    let path = match asked.unwrap_or("") {
        "" => engine.home_dir.clone(),
        "~" => PathBuf::from(engine.env.get("HOME").map_or("/", String::as_str)),
        path => match path.strip_prefix("~/") {
            Some(rest) => Path::new(engine.env.get("HOME").map_or("/", String::as_str)).join(rest),
            None => engine.home_dir.join(path),
        },
    };
    let shown = path.display();
    let Some(text) = path.to_str().filter(|t| !t.contains('\0')) else {
        return Err(bad(FIELD, format!("the path {shown} is not valid text")));
    };
    match std::fs::metadata(&path) {
        Ok(meta) if meta.is_dir() => {}
        Ok(_) => return Err(bad(FIELD, format!("the path {shown} is not a directory"))),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(bad(FIELD, format!("the path {shown} does not exist")));
        }
        Err(e) => return Err(bad(FIELD, format!("the path {shown} cannot be used: {e}"))),
    }
    // A directory that cannot be entered would only fail inside the terminal, where nobody sees it.
    rustix::fs::access(&path, rustix::fs::Access::EXEC_OK)
        .map_err(|e| bad(FIELD, format!("the path {shown} cannot be entered: {e}")))?;
    Ok(text.to_owned())
}

fn variables(env: &BTreeMap<String, String>) -> Result<BTreeMap<String, String>, Refusal> {
    at_most("env", env.iter().map(|(k, v)| k.len() + v.len() + 2).sum(), EXTRAS_BYTES)?;
    match env.iter().find_map(|(name, value)| environment::refuse(name, value)) {
        Some(why) => Err(bad("env", why)),
        None => Ok(env.clone()),
    }
}

/// The program as an absolute path, so that what was checked is what runs.
fn program(program: &str, tool: &str, search: &str) -> Result<String, Refusal> {
    let runnable = |path: &Path| {
        std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
    };
    let found = if program.starts_with('/') {
        Some(PathBuf::from(program)).filter(|p| runnable(p))
    } else {
        search
            .split(':')
            .filter(|d| d.starts_with('/'))
            .map(|d| Path::new(d).join(program))
            .find(|p| runnable(p))
    };
    let missing = || {
        let what = if program == tool { tool.to_owned() } else { format!("{tool} (program {program})") };
        format!("tool not found: {what}; PATH searched: {search}")
    };
    found.and_then(|p| p.into_os_string().into_string().ok()).ok_or_else(|| bad("tool", missing()))
}

fn task_ref(request: &CreateSession) -> Result<Option<TaskRef>, Refusal> {
    match (&request.task_id, request.attempt) {
        (None, None) => Ok(None),
        (None, Some(_)) => Err(bad("attempt", "attempt needs a taskId")),
        (Some(_), Some(0)) => Err(bad("attempt", "attempts are counted from 1")),
        (Some(id), _) if id.is_empty() || id.len() > 256 || id.chars().any(char::is_control) => {
            Err(bad("taskId", "a taskId has 1 to 256 characters, none of them a control character"))
        }
        (Some(id), attempt) => Ok(Some(TaskRef { task_id: id.clone(), attempt: attempt.unwrap_or(1) })),
    }
}

fn name(name: Option<String>) -> Result<Option<String>, Refusal> {
    match name {
        None => Ok(None),
        Some(n)
            if n.is_empty() || n.len() > 64 || n.chars().any(char::is_control) || n.starts_with("cm-") =>
        {
            Err(bad(
                "name",
                "a name has 1 to 64 characters, no control characters, and does not begin with cm-",
            ))
        }
        Some(n) => Ok(Some(n)),
    }
}

fn timeout(seconds: Option<f64>) -> Result<Option<f64>, Refusal> {
    match seconds {
        Some(s) if !(s > 0.0 && s <= LONGEST) => {
            Err(bad("timeout", format!("timeout is a number of seconds above 0 and at most {LONGEST}")))
        }
        other => Ok(other),
    }
}

fn resources(limits: Option<ResourceLimits>) -> Result<Option<ResourceLimits>, Refusal> {
    let Some(l) = limits else { return Ok(None) };
    if l.memory.is_some_and(|m| m < 4 * 1024 * 1024) {
        return Err(bad("limits.memory", "limits.memory is in bytes, at least 4 MiB"));
    }
    if l.cpu.is_some_and(|c| !(0.01..=10_000.0).contains(&c)) {
        return Err(bad("limits.cpu", "limits.cpu is a number of cores, at least 0.01"));
    }
    if l.tasks.is_some_and(|t| t < 4) {
        return Err(bad("limits.tasks", "limits.tasks is a number of processes and threads, at least 4"));
    }
    Ok(Some(l))
}

fn size(size: Option<Size>) -> Result<Size, Refusal> {
    let size = size.unwrap_or_default();
    if (20..=500).contains(&size.cols) && (5..=200).contains(&size.rows) {
        Ok(size)
    } else {
        Err(bad("size", "size is 20 to 500 columns and 5 to 200 rows"))
    }
}

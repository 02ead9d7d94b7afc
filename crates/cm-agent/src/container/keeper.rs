//! `cm-agent keeper`: starts sessions' terminals for agents, in a container that stays when those go.
//!
//! It does as little as can be, for it must not be in anybody's way for weeks: no journal, no memory. What lives is
//! asked of the kernel; children that lose their parents are reaped by the container's init.

use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Access, access};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::process::{ChildStderr, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::ask::{Keeper, namespace};
use super::living;
use super::wire::{Ask, Hello, LONGEST, Start, Told};
use crate::config::ConfigError;
use crate::host::places::Places;
use crate::host::{dirs, identity};
use crate::server::{ListenError, listen_unix};

/// How long one who connects may take to say what is wanted.
const ASKED: Duration = Duration::from_secs(10);
/// The longest a program may be given to leave its server behind.
const LONGEST_START: Duration = Duration::from_secs(60);
/// How long the last words of a program that has ended are waited for: what it left behind may hold its pipe.
const LAST_WORDS: Duration = Duration::from_millis(200);
/// How much of them is passed on, in bytes.
const COMPLAINTS: u64 = 4096;
/// Connections served at the same time.
const CONNECTIONS: usize = 32;
/// How often it is looked whether all have ended, once it is to end.
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Before the next connection where one could not be taken (no descriptor is left).
const PAUSE: Duration = Duration::from_millis(100);

/// Why a keeper does not run.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// A directory cannot be used.
    #[error(transparent)]
    Dirs(#[from] dirs::DirError),
    /// The volume cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Another keeper is there.
    #[error("another keeper answers on {}; a volume has one", .0.display())]
    InUse(PathBuf),
    /// Its socket cannot be opened.
    #[error("{0}")]
    Listen(ListenError),
    /// The operating system refuses something basic.
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl KeepError {
    /// What the process ends with: 4 where another keeper is in the way, 2 for what the container was given, else 1.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::InUse(_) => 4,
            Self::Config(_) => 2,
            _ => 1,
        }
    }
}

/// Keeps until it is told to end and nothing lives, or is told twice.
///
/// # Errors
/// It cannot begin.
pub async fn keep(env: &dyn Fn(&str) -> Option<String>) -> Result<(), KeepError> {
    let mut signals = [signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?];
    if let Some(volume) = super::Volume::here(env) {
        volume.prepare(identity::account(env).home.as_deref())?;
    }
    let places = Places::find(None, None, env)?;
    let socket = Keeper::socket(&places.runtime);
    let listener = listen_unix(&socket).await.map_err(|error| match error {
        ListenError::SocketInUse(socket) => KeepError::InUse(socket),
        error => KeepError::Listen(error),
    })?;
    let ending = Arc::new(AtomicBool::new(false));
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    tracing::info!(socket = %socket.display(), "keeping sessions");
    loop {
        let told = ending.load(Ordering::Relaxed);
        let [terminate, interrupt] = &mut signals;
        tokio::select! {
            _ = terminate.recv() => if told { break } else { ending.store(true, Ordering::Relaxed) },
            _ = interrupt.recv() => if told { break } else { ending.store(true, Ordering::Relaxed) },
            () = sleep(BETWEEN_LOOKS), if told => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let Ok(place) = room.clone().acquire_owned().await else { break };
                    let ending = ending.clone();
                    tokio::spawn(async move {
                        serve(stream, &ending).await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be taken");
                    sleep(PAUSE).await;
                }
            },
        }
        if ending.load(Ordering::Relaxed) {
            let living = living(&places.runtime).len();
            if living == 0 {
                break;
            }
            if !told {
                tracing::warn!(living, "told to end; sessions live, so only a second signal ends them");
            }
        }
    }
    let _ = std::fs::remove_file(&socket);
    tracing::info!(living = living(&places.runtime).len(), "ending");
    Ok(())
}

/// One question, one answer.
async fn serve(mut stream: UnixStream, ending: &AtomicBool) {
    let own = rustix::process::getuid().as_raw();
    let told = match stream.peer_cred() {
        Ok(peer) if peer.uid() != own => {
            Told::Refused { why: format!("user {} is not its own, {own}", peer.uid()) }
        }
        Err(error) => Told::Refused { why: format!("the kernel does not say who asks: {error}") },
        Ok(_) => match timeout(ASKED, question(&mut stream)).await {
            Ok(Ok(ask)) => answer(ask, ending.load(Ordering::Relaxed)).await,
            Ok(Err(error)) => Told::Refused { why: format!("that is no question: {error}") },
            Err(_) => return,
        },
    };
    let Ok(mut line) = serde_json::to_vec(&told) else { return };
    line.push(b'\n');
    // Who has gone meanwhile looks for what was left behind.
    let _ = timeout(ASKED, stream.write_all(&line)).await;
}

async fn question(stream: &mut UnixStream) -> std::io::Result<Ask> {
    let mut line = Vec::new();
    BufReader::new(stream.take(LONGEST)).read_until(b'\n', &mut line).await?;
    // serde's message may quote a value, and values are secrets: only the place is told.
    serde_json::from_slice(&line).map_err(|e| std::io::Error::other(format!("column {}", e.column())))
}

async fn answer(ask: Ask, ending: bool) -> Told {
    match ask {
        Ask::Hello => Told::Hello(Hello {
            version: env!("CARGO_PKG_VERSION").into(),
            sha256: identity::binary_sha256().unwrap_or_default().into(),
            pid: std::process::id(),
            namespace: namespace(),
            ending,
        }),
        Ask::Start(_) if ending => {
            Told::Refused { why: "it was told to end and takes no more sessions".into() }
        }
        Ask::Start(start) => match missing(&start) {
            Some(why) => Told::Refused { why },
            None => run(&start).await,
        },
    }
}

/// What a program would miss in this container.
fn missing(start: &Start) -> Option<String> {
    let dir = start.needs_dirs.iter().find(|dir| !Path::new(dir).is_dir());
    let program =
        start.needs_programs.iter().find(|program| access(program.as_str(), Access::EXEC_OK).is_err());
    match (dir, program) {
        (Some(dir), _) => Some(format!(
            "{dir} is no directory in the keeper's container; what both containers are to see must be mounted in both"
        )),
        (None, Some(program)) => Some(format!(
            "{program} cannot be run in the keeper's container; it needs the same image, or its sessions to end \
             so that it can be replaced"
        )),
        (None, None) => None,
    }
}

/// Runs a program to its end; what it leaves behind is init's child then.
async fn run(start: &Start) -> Told {
    let refused = |why: String| Told::Refused { why };
    let Some((program, args)) = start.argv.split_first() else {
        return refused("no program is named".into());
    };
    let mut command = Command::new(program);
    command.args(args).env_clear().envs(start.env.iter().map(|(name, value)| (name, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command.current_dir(&start.dir).process_group(0).kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return refused(format!("cannot run {program} in {}: {error}", start.dir)),
    };
    let pid = child.id().unwrap_or_default();
    let words = tokio::spawn(complaints(child.stderr.take()));
    let within = Duration::from_millis(start.within_ms).min(LONGEST_START);
    let status = match timeout(within, child.wait()).await {
        Ok(Ok(status)) => status,
        Ok(Err(error)) => return refused(format!("{program}: {error}")),
        Err(_) => {
            if let Some(group) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
                let _ = kill_process_group(group, Signal::KILL);
            }
            return refused(format!("{program} has not ended within {} s", within.as_secs()));
        }
    };
    if status.success() {
        return Told::Started { pid };
    }
    let words = timeout(LAST_WORDS, words).await.ok().and_then(Result::ok).unwrap_or_default();
    refused(ended(program, status, &words))
}

/// PURE. How a program ended that should not have.
fn ended(program: &str, status: ExitStatus, words: &str) -> String {
    let words: Vec<&str> = words.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    match words.is_empty() {
        true => format!("{program}: {status}"),
        false => words.join("; "),
    }
}

async fn complaints(stderr: Option<ChildStderr>) -> String {
    let mut bytes = Vec::new();
    if let Some(stderr) = stderr {
        let mut first = stderr.take(COMPLAINTS);
        let _ = first.read_to_end(&mut bytes).await;
        // The rest is read and dropped, so that the program can end.
        let _ = tokio::io::copy(&mut first.into_inner(), &mut tokio::io::sink()).await;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

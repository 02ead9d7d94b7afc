//! Starting a session's server, or joining it again: what proves its death, and what proves nothing.

use std::ffi::OsString;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::net::UnixStream;

use super::client::{CommandError, Pipes};
use super::command::SESSION;
use super::handle::Control;
use super::notices::Notices;
use super::version::Tmux;

/// The longest path a unix socket can have on Linux, in bytes.
pub const MAX_SOCKET_PATH: usize = 107;

/// Whether to start a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Open<'a> {
    /// Start it, detached into a session of its own, and join it.
    Start {
        /// The text of [`super::launch_conf`] in a file; absolute, without `*?[\` in its path. May be removed
        /// when `open` returns.
        conf: &'a Path,
        /// The server's whole environment, and so the program's.
        env: &'a [(String, String)],
    },
    /// Join the one that is there; never start one.
    Attach,
}

/// No control client.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// There is no such socket: the server is dead.
    #[error("no tmux server: {} does not exist", socket.display())]
    NoSocket {
        /// The socket.
        socket: PathBuf,
    },
    /// Nobody listens on the socket: the server is dead.
    #[error("no tmux server: nobody listens on {}", socket.display())]
    Refused {
        /// The socket.
        socket: PathBuf,
    },
    /// The server ended while we talked to it, and its socket proves it dead.
    #[error("the tmux server of {} has ended: {message}", socket.display())]
    ServerGone {
        /// The socket.
        socket: PathBuf,
        /// What tmux said.
        message: String,
    },
    /// The server lives, our session or its pane does not: somebody ended it.
    #[error("the tmux server of {} has no session of ours any more: {message}", socket.display())]
    NoSession {
        /// The socket.
        socket: PathBuf,
        /// What tmux said.
        message: String,
    },
    /// No answer in time. Proves nothing.
    #[error("the tmux server of {} has not answered within {after:?}; it may be busy or stopped", socket.display())]
    Timeout {
        /// The socket.
        socket: PathBuf,
        /// How long it was waited for.
        after: Duration,
    },
    /// tmux could not be run. Proves nothing.
    #[error("cannot run {}: {source}", program.display())]
    Spawn {
        /// The program.
        program: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The socket could not be tried. Proves nothing.
    #[error("cannot connect to {}: {source}", socket.display())]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The client ended although the server is there. Proves nothing.
    #[error("cannot attach to {}: {message}", socket.display())]
    Attach {
        /// The socket.
        socket: PathBuf,
        /// What tmux said.
        message: String,
    },
    /// The session could not be started; nothing is left of it.
    #[error("tmux could not start the session: {message}")]
    Start {
        /// What tmux said.
        message: String,
    },
    /// A start on a socket that somebody listens on.
    #[error("cannot start a session on {}: a server is there already", socket.display())]
    Occupied {
        /// The socket.
        socket: PathBuf,
    },
    /// Too long for a socket.
    #[error("the socket path {} is over {MAX_SOCKET_PATH} bytes; use a shorter runtime directory", socket.display())]
    PathTooLong {
        /// The socket.
        socket: PathBuf,
    },
}

impl OpenError {
    /// Whether it proves that the session is dead. Anything else may be over in a moment.
    pub fn proves_death(&self) -> bool {
        matches!(
            self,
            Self::NoSocket { .. } | Self::Refused { .. } | Self::ServerGone { .. } | Self::NoSession { .. }
        )
    }
}

/// The command line that starts a server under a service manager (`Type=forking`): it returns when the session
/// exists, with 0, or with 1 and tmux's own message on stderr if it could not be started.
pub fn server_argv(tmux: &Tmux, socket: &Path, conf: &Path) -> Vec<OsString> {
    let mut argv = vec![tmux.program.clone().into_os_string()];
    argv.extend(start_args(socket, conf));
    argv.extend([";", "has-session", "-t"].map(OsString::from));
    argv.push(format!("={SESSION}").into());
    argv
}

/// Starts a server and has it read the configuration as commands, not as its own configuration file: only so
/// does tmux tell the client what is wrong in it.
fn start_args(socket: &Path, conf: &Path) -> Vec<OsString> {
    let mut args: Vec<OsString> =
        vec!["-u".into(), "-S".into(), socket.into(), "-f".into(), "/dev/null".into()];
    args.extend(["start-server", ";", "source-file"].map(OsString::from));
    args.push(conf.into());
    args
}

/// The words that attach this client: it never sizes the window, and a second of unread output pauses it.
fn attach_args() -> impl Iterator<Item = OsString> {
    let target = format!("={SESSION}");
    ["attach-session".into(), "-t".into(), target, "-f".into(), "ignore-size,pause-after=1".into()]
        .into_iter()
        .map(OsString::from)
}

impl Control {
    /// Starts or joins a session's server, `within` that time.
    ///
    /// # Errors
    /// See [`OpenError`]; with a [`OpenError::Timeout`] of a start, a server may be left: the caller who named
    /// the socket ends it.
    pub async fn open(
        tmux: &Tmux,
        socket: &Path,
        how: Open<'_>,
        within: Duration,
    ) -> Result<(Self, Notices), OpenError> {
        if socket.as_os_str().len() > MAX_SOCKET_PATH {
            return Err(OpenError::PathTooLong { socket: socket.into() });
        }
        let opened = async {
            match (&how, probe(socket).await) {
                (Open::Attach, tried) => tried?,
                // Whoever answers there is not to be disturbed.
                (Open::Start { .. }, Ok(())) => return Err(OpenError::Occupied { socket: socket.into() }),
                (Open::Start { .. }, Err(_)) => {}
            }
            let (control, notices) = spawn(tmux, socket, &how)?;
            greet(&control.clone().with_deadline(within), socket, &how).await?;
            Ok((control, notices))
        };
        match tokio::time::timeout(within, opened).await {
            Ok(result) => result,
            Err(_) => Err(OpenError::Timeout { socket: socket.into(), after: within }),
        }
    }
}

/// Tries the socket itself: the kernel's word is the proof, not tmux's.
async fn probe(socket: &Path) -> Result<(), OpenError> {
    match UnixStream::connect(socket).await {
        Ok(_) => Ok(()),
        Err(source) => Err(match source.kind() {
            ErrorKind::NotFound => OpenError::NoSocket { socket: socket.into() },
            ErrorKind::ConnectionRefused => OpenError::Refused { socket: socket.into() },
            _ => OpenError::Connect { socket: socket.into(), source },
        }),
    }
}

fn spawn(tmux: &Tmux, socket: &Path, how: &Open<'_>) -> Result<(Control, Notices), OpenError> {
    let mut command = tokio::process::Command::new(&tmux.program);
    command.env_clear();
    match how {
        Open::Start { conf, env } => {
            command.args(["-C"]).args(start_args(socket, conf)).arg(";");
            command.envs(env.iter().map(|(name, value)| (name, value)));
        }
        Open::Attach => {
            command.args(["-u", "-N", "-C", "-f", "/dev/null", "-S"]).arg(socket);
            // tmux refuses to run without a UTF-8 locale.
            let locale = ["LC_ALL", "LC_CTYPE", "LANG"];
            command.envs(locale.iter().filter_map(|name| Some((name, std::env::var_os(name)?))));
        }
    }
    command.args(attach_args());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // Not under a Ctrl-C that is meant for the agent; not in a directory that somebody wants to unmount.
    command.process_group(0).current_dir("/").kill_on_drop(true);
    let failed = |source| OpenError::Spawn { program: tmux.program.clone(), source };
    let mut child = command.spawn().map_err(failed)?;
    match (child.stdin.take(), child.stdout.take(), child.stderr.take()) {
        (Some(stdin), Some(stdout), Some(stderr)) => Ok(Control::new(Pipes { child, stdin, stdout, stderr })),
        _ => Err(failed(std::io::Error::other("its pipes are missing"))),
    }
}

/// Asks the first question. Its answer is the proof that we are attached.
async fn greet(control: &Control, socket: &Path, how: &Open<'_>) -> Result<(), OpenError> {
    let starting = matches!(how, Open::Start { .. });
    let socket = || socket.to_path_buf();
    match control.inspect().await {
        Ok(status) => control.watch(&status).await,
        Err(error) => {
            control.close().await;
            return Err(match error {
                CommandError::Timeout(after) => OpenError::Timeout { socket: socket(), after },
                CommandError::Refused(message) if !starting => {
                    OpenError::NoSession { socket: socket(), message }
                }
                error => {
                    ended(socket(), control.trouble().unwrap_or_else(|| error.to_string()), starting).await
                }
            });
        }
    }
    if starting && let Some(message) = control.trouble() {
        // It runs, but not as it should: nothing half-made is left behind.
        let _ = control.kill_server().await;
        return Err(OpenError::Start { message });
    }
    Ok(())
}

/// Why a client ended before it was attached.
async fn ended(socket: PathBuf, message: String, starting: bool) -> OpenError {
    if starting {
        return OpenError::Start { message };
    }
    if message.starts_with("no sessions") || message.starts_with("can't find session") {
        return OpenError::NoSession { socket, message };
    }
    match probe(&socket).await {
        Err(error) if error.proves_death() => OpenError::ServerGone { socket, message },
        _ => OpenError::Attach { socket, message },
    }
}

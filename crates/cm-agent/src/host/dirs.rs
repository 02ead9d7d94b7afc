//! Where the agent keeps its state and its sockets: private directories, checked on every use.

use std::{
    fs::{self, DirBuilder},
    io,
    os::unix::{
        fs::{DirBuilderExt, MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
    },
    path::{Path, PathBuf},
};

use cm_protocol::SessionId;
use rustix::fs::{Access, access};

/// The longest path a unix socket can have, in bytes: `sun_path` without its NUL (unix(7)).
pub const SOCKET_PATH_MAX: usize = 107;

/// What stands behind the runtime directory in the longest socket path: `/cm-<32 hex>/tmux.sock`.
const LONGEST_TAIL: usize = 1 + 35 + 1 + "tmux.sock".len();

/// The longest a runtime directory's path can be, in bytes.
pub const RUNTIME_PATH_MAX: usize = SOCKET_PATH_MAX - LONGEST_TAIL;

/// Reads a variable of the environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Why a directory cannot be used; each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum DirError {
    /// The system refused.
    #[error("cannot {act} {}: {source}", path.display())]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// It is open to others.
    #[error("{} {why}; make it a directory of your own with mode 0700, or name another one", path.display())]
    NotPrivate {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Sockets below it would have paths that are too long.
    #[error(
        "{} is {} bytes long, and sockets below it need paths of at most {SOCKET_PATH_MAX}: name a --runtime-dir of at most {RUNTIME_PATH_MAX} bytes",
        path.display(), path.as_os_str().len()
    )]
    TooLong {
        /// The directory.
        path: PathBuf,
    },
    /// Nothing says where home is.
    #[error("neither XDG_STATE_HOME nor a home directory is known: name a --state-dir")]
    NoHome,
    /// A relative path was given.
    #[error("{} is not an absolute path", path.display())]
    Relative {
        /// It.
        path: PathBuf,
    },
    /// Not an id this agent made.
    #[error("{0:?} is not a session id")]
    BadId(String),
}

/// A private directory for sockets, gone after a reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeDir {
    path: PathBuf,
}

/// The places of the system; other ones in tests.
#[derive(Debug, Clone)]
pub struct Roots {
    /// `/run/user`.
    pub run_user: PathBuf,
    /// `/tmp`.
    pub tmp: PathBuf,
}

impl Default for Roots {
    fn default() -> Self {
        Self { run_user: "/run/user".into(), tmp: "/tmp".into() }
    }
}

impl RuntimeDir {
    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The agent's own socket.
    pub fn agent_socket(&self) -> PathBuf {
        self.path.join("agent.sock")
    }

    /// A session's directory (not made by this).
    ///
    /// # Errors
    /// [`DirError::BadId`]: an id from outside never becomes a path.
    pub fn session_dir(&self, id: &SessionId) -> Result<PathBuf, DirError> {
        if !id.is_well_formed() {
            return Err(DirError::BadId(id.as_str().into()));
        }
        Ok(self.path.join(id.as_str()))
    }

    /// A session's tmux socket.
    ///
    /// # Errors
    /// As [`Self::session_dir`], and [`DirError::TooLong`].
    pub fn session_socket(&self, id: &SessionId) -> Result<PathBuf, DirError> {
        let socket = self.session_dir(id)?.join("tmux.sock");
        if socket.as_os_str().len() > SOCKET_PATH_MAX {
            return Err(DirError::TooLong { path: self.path.clone() });
        }
        Ok(socket)
    }

    /// Makes a session's directory, 0700. One that exists is checked and used.
    ///
    /// # Errors
    /// As [`Self::session_dir`], and when it cannot be made or is not private.
    pub fn make_session_dir(&self, id: &SessionId) -> Result<PathBuf, DirError> {
        let dir = self.session_dir(id)?;
        make_private(&dir)?;
        Ok(dir)
    }
}

/// Chooses, makes and checks the state directory: `given`, else `$XDG_STATE_HOME/cm-agent`, else
/// `~/.local/state/cm-agent`.
///
/// # Errors
/// When it cannot be made, written, or is not private.
pub fn state_dir(given: Option<&Path>, home: Option<&Path>, env: Env<'_>) -> Result<PathBuf, DirError> {
    let dir = match given {
        Some(given) => given.to_path_buf(),
        None => match env("XDG_STATE_HOME").filter(|dir| dir.starts_with('/')) {
            Some(dir) => Path::new(&dir).join("cm-agent"),
            None => home.ok_or(DirError::NoHome)?.join(".local/state/cm-agent"),
        },
    };
    if let Some(parent) = absolute(&dir)?.parent() {
        // The standard directories above ours are the user's: made as they would be, by their umask.
        fs::create_dir_all(parent).map_err(|source| DirError::Io {
            act: "make",
            path: parent.into(),
            source,
        })?;
    }
    make_private(&dir)?;
    access(&dir, Access::WRITE_OK | Access::EXEC_OK).map_err(|error| DirError::Io {
        act: "write to",
        path: dir.clone(),
        source: error.into(),
    })?;
    Ok(dir)
}

/// Chooses, makes and checks the runtime directory: `given`; else the first that works of
/// `$XDG_RUNTIME_DIR/cm-agent`, `/run/user/<uid>/cm-agent`, `<state>/run`, and a random directory under
/// `/tmp`, remembered by the link `<state>/runtime`. A name that others could foresee and take is never used.
///
/// # Errors
/// When the given one, or none at all, can be used.
pub fn runtime_dir(
    given: Option<&Path>,
    state: &Path,
    env: Env<'_>,
    roots: &Roots,
) -> Result<RuntimeDir, DirError> {
    if let Some(given) = given {
        return try_runtime(absolute(given)?);
    }
    let uid = rustix::process::getuid().as_raw();
    let login = [
        env("XDG_RUNTIME_DIR").filter(|dir| dir.starts_with('/')).map(PathBuf::from),
        Some(roots.run_user.join(uid.to_string())),
    ];
    for parent in login.into_iter().flatten() {
        // Left over from another user (su, sudo) or not made by the login: passed over.
        if check_private(&parent).is_ok()
            && let Some(found) = usable(&parent.join("cm-agent"))
        {
            return Ok(found);
        }
    }
    if let Some(found) = usable(&state.join("run")) {
        return Ok(found);
    }
    temporary(state, roots)
}

fn usable(dir: &Path) -> Option<RuntimeDir> {
    try_runtime(dir).inspect_err(|error| tracing::debug!(%error, "not used as runtime directory")).ok()
}

fn try_runtime(dir: &Path) -> Result<RuntimeDir, DirError> {
    if dir.as_os_str().len() > RUNTIME_PATH_MAX {
        return Err(DirError::TooLong { path: dir.into() });
    }
    make_private(dir)?;
    sockets_work(dir)?;
    Ok(RuntimeDir { path: dir.into() })
}

/// A random directory under `/tmp`, the same one again as long as it exists and is still ours.
fn temporary(state: &Path, roots: &Roots) -> Result<RuntimeDir, DirError> {
    let link = state.join("runtime");
    if let Ok(dir) = fs::read_link(&link)
        && dir.starts_with(&roots.tmp)
        && check_private(&dir).is_ok()
        && let Some(found) = usable(&dir)
    {
        return Ok(found);
    }
    let dir = roots.tmp.join(format!("cm-agent-{}", random_word(&roots.tmp)?));
    // Fails if the name exists, be it as a link: nobody can have prepared it.
    let io = |act, path: &Path| {
        let path = path.to_path_buf();
        move |source| DirError::Io { act, path, source }
    };
    DirBuilder::new().mode(0o700).create(&dir).map_err(io("make", &dir))?;
    let found = try_runtime(&dir)?;
    let fresh = state.join(format!("runtime.{}", std::process::id()));
    let _ = fs::remove_file(&fresh);
    symlink(&dir, &fresh)
        .and_then(|()| fs::rename(&fresh, &link))
        .map_err(io("remember the runtime directory in", &link))?;
    Ok(found)
}

fn random_word(path: &Path) -> Result<String, DirError> {
    let failed = |error| DirError::Io {
        act: "get random bytes for",
        path: path.into(),
        source: io::Error::other(error),
    };
    Ok(format!("{:016x}", getrandom::u64().map_err(failed)?))
}

/// Whether a socket can be made here: not on every network file system.
fn sockets_work(dir: &Path) -> Result<(), DirError> {
    let probe = dir.join(format!(".probe-{}", random_word(dir)?));
    let made = UnixListener::bind(&probe);
    let _ = fs::remove_file(&probe);
    match made {
        Ok(_) => Ok(()),
        Err(source) => Err(DirError::Io { act: "make sockets in", path: dir.into(), source }),
    }
}

fn absolute(dir: &Path) -> Result<&Path, DirError> {
    if dir.is_absolute() { Ok(dir) } else { Err(DirError::Relative { path: dir.into() }) }
}

/// Makes a directory with mode 0700, or checks the one that is there. An existing one is never changed: it
/// may be someone's `/tmp`.
pub fn make_private(dir: &Path) -> Result<(), DirError> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(source) => return Err(DirError::Io { act: "make", path: dir.into(), source }),
    }
    check_private(dir)
}

/// A directory, not a link to one, ours, and closed to everybody else.
fn check_private(dir: &Path) -> Result<(), DirError> {
    let meta = fs::symlink_metadata(dir).map_err(|source| DirError::Io {
        act: "look at",
        path: dir.into(),
        source,
    })?;
    let mode = meta.permissions().mode() & 0o7777;
    let uid = rustix::process::getuid().as_raw();
    let why = if meta.is_symlink() {
        "is a symbolic link".into()
    } else if !meta.is_dir() {
        "is not a directory".into()
    } else if meta.uid() != uid {
        format!("belongs to user {}", meta.uid())
    } else if mode & 0o077 != 0 {
        format!("has mode {mode:04o}")
    } else {
        return Ok(());
    };
    Err(DirError::NotPrivate { path: dir.into(), why })
}

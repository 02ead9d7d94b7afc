//! Where an agent keeps its things, found the same way by the agent and by whoever looks for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::dirs::{self, DirError, Roots, RuntimeDir};
use super::identity;

/// An agent's two directories. Both exist and are private.
#[derive(Debug, Clone)]
pub struct Places {
    /// Journal, transcripts, lock: what must outlive a reboot.
    pub state: PathBuf,
    /// Sockets: what must not.
    pub runtime: RuntimeDir,
}

impl Places {
    /// Finds (and makes) them: those given, else those of `CM_AGENT_STATE_DIR` and `CM_AGENT_RUNTIME_DIR`, else the
    /// usual ones. `env` answers for variables.
    ///
    /// # Errors
    /// One of them cannot be made or is not private.
    pub fn find(
        state: Option<&Path>,
        runtime: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, DirError> {
        let home = identity::account(env).home;
        let set = |name: &str| env(name).filter(|dir| !dir.is_empty()).map(PathBuf::from);
        let state = state.map(Path::to_path_buf).or_else(|| set("CM_AGENT_STATE_DIR"));
        let runtime = runtime.map(Path::to_path_buf).or_else(|| set("CM_AGENT_RUNTIME_DIR"));
        let state = dirs::state_dir(state.as_deref(), home.as_deref(), env)?;
        let runtime = dirs::runtime_dir(runtime.as_deref(), &state, env, &Roots::default())?;
        Ok(Self { state, runtime })
    }
}

/// Where this user keeps the configuration of agents: profiles and policies of their own. `None` without a
/// home. Nothing is made there.
pub fn config_dir(env: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let set = env("XDG_CONFIG_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    set.or_else(|| Some(identity::account(env).home?.join(".config"))).map(|dir| dir.join("cm-agent"))
}

/// Writes a file nobody else can read, whole or not at all as far as its name goes: what was there before
/// stays until the new text is complete.
///
/// # Errors
/// The file system's own.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let fresh = path.with_file_name(name);
    let written = create_private(&fresh).and_then(|mut file| file.write_all(bytes));
    let renamed = written.and_then(|()| std::fs::rename(&fresh, path));
    if renamed.is_err() {
        // Half a file is of no use to anyone.
        let _ = std::fs::remove_file(&fresh);
    }
    renamed
}

fn create_private(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

//! An agent in a container: the volume that all containers of a host share, and what the image's environment says.
//!
//! Sessions either live in the agent's own container and end with it, or in a second one, which runs `cm-agent
//! keeper` and outlives every agent. Both have the volume at the same place and one process namespace: so a
//! session's socket, its files and its processes are the same for both.

mod ask;
pub mod bridge;
mod keeper;
mod living;
mod program;
pub mod wire;

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Access, access};

use crate::config::ConfigError;
use crate::host::dirs;

pub use ask::{Keeper, KeeperError};
pub use keeper::{KeepError, keep};
pub use living::{beside_another, living};
pub use program::{ProgramError, install, remove_unused};

/// Where the volume is mounted unless the environment says otherwise.
const VOLUME: &str = "/var/lib/cm-agent";

/// How long running tasks are waited for when the container is stopped, unless [`DRAIN`] says otherwise. `docker
/// stop` waits for ten seconds.
const DRAIN_USUAL: Duration = Duration::from_secs(5);

/// Says that this is a container.
pub const CONTAINER: &str = "CM_AGENT_CONTAINER";
/// Where to listen on TCP.
pub const LISTEN: &str = "CM_AGENT_LISTEN";
/// Names a file with the token.
pub const TOKEN_FILE: &str = "CM_AGENT_TOKEN_FILE";
/// Seconds.
pub const DRAIN: &str = "CM_AGENT_DRAIN";

/// Reads a variable of the environment.
type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The volume that the containers of one host share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    path: PathBuf,
}

impl Volume {
    /// The volume of the container this is; `None` outside of one.
    pub fn here(env: Env<'_>) -> Option<Self> {
        env(CONTAINER).filter(|said| !matches!(said.as_str(), "" | "0"))?;
        let state = env("CM_AGENT_STATE_DIR").map(PathBuf::from);
        let above = state.as_deref().and_then(Path::parent).filter(|dir| dir.is_absolute());
        Some(Self { path: above.unwrap_or(Path::new(VOLUME)).to_path_buf() })
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The settings that whoever made the container put there.
    pub fn config(&self) -> PathBuf {
        self.path.join("config.json")
    }

    /// The programs of agents.
    pub fn programs(&self) -> PathBuf {
        self.path.join("bin")
    }

    /// Sees that it can be used, and makes the home directory if that is on it: a directory of the host's in the
    /// volume's place begins empty.
    ///
    /// # Errors
    /// In words: what is wrong, and what to do.
    pub fn prepare(&self, home: Option<&Path>) -> Result<(), ConfigError> {
        let bad = |why: String| ConfigError::Volume { path: self.path.clone(), why };
        let uid = rustix::process::getuid().as_raw();
        access(&self.path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK).map_err(|error| {
            bad(format!(
                "user {uid} cannot write there ({error}); mount a named volume, or on the host chown {uid} the directory"
            ))
        })?;
        match home.filter(|home| home.starts_with(&self.path)) {
            Some(home) => dirs::make_private(home).or_else(|error| match error {
                // Somebody opened it on purpose: theirs to decide.
                dirs::DirError::NotPrivate { .. } if home.is_dir() => Ok(()),
                error => Err(bad(error.to_string())),
            }),
            None => Ok(()),
        }
    }
}

/// How long running tasks are waited for when a container without a keeper is stopped.
///
/// # Errors
/// The variable is no number of seconds.
pub fn drain(env: Env<'_>) -> Result<Duration, ConfigError> {
    let Some(text) = env(DRAIN).filter(|text| !text.is_empty()) else { return Ok(DRAIN_USUAL) };
    let seconds = text.trim().parse::<f64>().ok().filter(|seconds| *seconds <= 1e9);
    seconds.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok()).ok_or_else(|| {
        ConfigError::Variable { name: DRAIN, why: format!("{text:?} is no number of seconds") }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(set: &[(&str, &str)]) -> impl Fn(&str) -> Option<String> {
        let set: Vec<(String, String)> =
            set.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        move |name| set.iter().find(|(n, _)| n == name).map(|(_, value)| value.clone())
    }

    #[test]
    fn the_volume_is_above_the_state() {
        #[track_caller]
        fn check(set: &[(&str, &str)], expected: Option<&str>) {
            let found = Volume::here(&env(set));
            assert_eq!(found.as_ref().map(|volume| volume.path()), expected.map(Path::new));
        }
        check(&[], None);
        check(&[(CONTAINER, "0")], None);
        check(&[(CONTAINER, "")], None);
        check(&[(CONTAINER, "1")], Some(VOLUME));
        check(&[(CONTAINER, "1"), ("CM_AGENT_STATE_DIR", "/v/state")], Some("/v"));
        check(&[(CONTAINER, "1"), ("CM_AGENT_STATE_DIR", "state")], Some(VOLUME));
    }

    #[test]
    fn draining_takes_five_seconds_or_what_is_said() {
        #[track_caller]
        fn check(set: &[(&str, &str)], expected: Result<f64, &str>) {
            match (drain(&env(set)), expected) {
                (Ok(got), Ok(expected)) => assert!((got.as_secs_f64() - expected).abs() < 1e-9, "{got:?}"),
                (Err(why), Err(expected)) => assert_eq!(why.to_string(), expected),
                (got, _) => panic!("{got:?}"),
            }
        }
        check(&[], Ok(5.0));
        check(&[(DRAIN, "")], Ok(5.0));
        check(&[(DRAIN, "0")], Ok(0.0));
        check(&[(DRAIN, " 2.5 ")], Ok(2.5));
        check(&[(DRAIN, "-1")], Err("CM_AGENT_DRAIN: \"-1\" is no number of seconds"));
        check(&[(DRAIN, "nan")], Err("CM_AGENT_DRAIN: \"nan\" is no number of seconds"));
        check(&[(DRAIN, "1e12")], Err("CM_AGENT_DRAIN: \"1e12\" is no number of seconds"));
        check(&[(DRAIN, "soon")], Err("CM_AGENT_DRAIN: \"soon\" is no number of seconds"));
    }

    #[test]
    fn a_volume_that_cannot_be_used_says_what_to_do() {
        let dir = tempfile::tempdir().expect("a directory");
        let volume = Volume { path: dir.path().join("nowhere") };
        let why = volume.prepare(None).expect_err("not there").to_string();
        assert!(why.contains("nowhere") && why.contains("named volume"), "{why}");
        let volume = Volume { path: dir.path().to_path_buf() };
        volume.prepare(Some(&dir.path().join("home"))).expect("usable");
        assert!(dir.path().join("home").is_dir());
        volume.prepare(Some(Path::new("/nonexistent/home"))).expect("not its business");
    }
}

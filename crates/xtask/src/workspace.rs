//! Where things are: the repository's root and its build directory.

use std::path::PathBuf;

use crate::failure::Failure;
use crate::sh::{Run, SHORT};

/// The places an xtask works in.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    pub root: PathBuf,
    /// Cargo's build directory (`target`, unless told otherwise by CARGO_TARGET_DIR or configuration).
    pub target: PathBuf,
}

impl Workspace {
    /// Asks cargo, about the workspace around the current directory.
    pub fn find() -> Result<Self, Failure> {
        let text = Run::cargo().args(["metadata", "--no-deps", "--format-version", "1"]).capture(SHORT)?;
        let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let path = |key: &str| {
            value[key].as_str().map(PathBuf::from).ok_or_else(|| {
                Failure::check(format!("`cargo metadata` says no {key}"), "use a newer cargo".to_owned())
            })
        };
        Ok(Self { root: path("workspace_root")?, target: path("target_directory")? })
    }

    /// Where tools are installed that cargo can build, so that nothing outside the build directory changes.
    pub fn tools(&self) -> PathBuf {
        self.target.join("tools")
    }

    /// Keys, known hosts and logs of the test hosts.
    pub fn testhosts(&self) -> PathBuf {
        self.target.join("testhosts")
    }
}

//! STUB.
use cm_protocol::{Changes, CheckResult, Worktree};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;
/// x
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Base {
    /// x
    pub root: PathBuf,
}
/// x
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Tree {
    /// x
    pub path: PathBuf,
    /// x
    pub root: PathBuf,
    /// x
    pub warnings: Vec<String>,
}
/// x
#[derive(Debug, thiserror::Error)]
#[error("x")]
pub struct WorkError;
/// x
pub async fn base(_: &Path) -> Result<Option<Base>, WorkError> {
    Ok(None)
}
/// x
pub async fn add_worktree(_: &Path, _: &Worktree, _: &str, _: &Path) -> Result<Tree, WorkError> {
    Err(WorkError)
}
/// x
pub async fn changes(_: &Base, _: Option<&Path>) -> Result<Changes, WorkError> {
    Err(WorkError)
}
/// x
pub async fn check(
    _: &str,
    _: &Path,
    _: &BTreeMap<String, String>,
    _: Duration,
    _: &crate::host::process::Marker,
) -> CheckResult {
    CheckResult::default()
}
/// x
pub fn failure_message(_: &CheckResult) -> String {
    String::new()
}

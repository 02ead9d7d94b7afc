//! The agent that tests deploy: static, so that it runs on every host, and soon built rather than fast.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::failure::Failure;
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

/// The profile in the workspace's Cargo.toml.
const PROFILE: &str = "hosts";

/// Where it is once it is built.
pub fn path(workspace: &Workspace) -> PathBuf {
    workspace.target.join(target()).join(PROFILE).join("cm-agent")
}

/// Builds it; says how long that took and how big it is.
pub fn build(workspace: &Workspace) -> Result<PathBuf, Failure> {
    let began = Instant::now();
    Run::cargo_with_tools(workspace)
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .args(["build", "--locked", "--package", "cm-agent", "--bin", "cm-agent"])
        .args(["--profile", PROFILE, "--target", &target()])
        .live(LONG)?;
    let path = path(workspace);
    let bytes = std::fs::metadata(&path).map_err(Failure::file("read", &path))?.len();
    let (took, size) = (began.elapsed().as_secs_f64(), mebibytes(bytes));
    println!("agent for the hosts: {size} MiB, built in {took:.1} s ({})", shown(&path, workspace));
    Ok(path)
}

/// The GNU triple of this machine: hosts run its release.
fn target() -> String {
    format!("{}-unknown-linux-gnu", std::env::consts::ARCH)
}

fn mebibytes(bytes: u64) -> String {
    format!("{}.{}", bytes >> 20, ((bytes & 0xf_ffff) * 10) >> 20)
}

fn shown(path: &Path, workspace: &Workspace) -> String {
    path.strip_prefix(&workspace.root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        assert_eq!([mebibytes(0), mebibytes(3 << 19), mebibytes((9 << 20) - 1)], ["0.0", "1.5", "8.9"]);
    }
}

//! What the programs are made of: a bill of materials for each (CycloneDX, JSON), by cargo-cyclonedx.

use std::fs;
use std::path::Path;

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

/// Writes those of the two programs.
pub fn write(workspace: &Workspace, out: &Path) -> Result<(), Failure> {
    need::ensure(workspace, &[Need::Cyclonedx])?;
    // It writes beside each crate's Cargo.toml, whichever is asked for: so it gets a copy of these alone.
    Run::cargo_with_tools(workspace)
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--describe", "binaries"])
        .env("CARGO_NET_OFFLINE", "false")
        .live(LONG)?;
    for name in ["cm-agent", "cm-fleet"] {
        let from = workspace.root.join("crates").join(name).join(format!("{name}_bin.cdx.json"));
        let to = out.join(format!("{name}.cdx.json"));
        fs::rename(&from, &to).map_err(Failure::file("move", &from))?;
    }
    Ok(())
}

//! What the programs are made of: a bill of materials for each (CycloneDX, JSON), by cargo-cyclonedx.

use std::fs;
use std::path::{Path, PathBuf};

use crate::failure::Failure;
use crate::need::{self, Need};
use crate::sh::{LONG, Run};
use crate::workspace::Workspace;

/// The programs that have one.
const PROGRAMS: [&str; 2] = ["cm-agent", "cm-fleet"];
/// How cargo-cyclonedx ends a file's name.
const ENDING: &str = "_bin.cdx.json";

/// Writes those of the two programs.
pub fn write(workspace: &Workspace, out: &Path) -> Result<(), Failure> {
    need::ensure(workspace, &[Need::Cyclonedx])?;
    let done = Run::cargo_with_tools(workspace)
        .args(["cyclonedx", "--format", "json", "--spec-version", "1.5", "--describe", "binaries"])
        .live(LONG);
    // It writes beside every crate's Cargo.toml, whichever is asked for: nothing of that is to stay there.
    let written = written(workspace)?;
    let taken = done.and_then(|()| PROGRAMS.iter().try_for_each(|name| take(workspace, name, out)));
    for path in written.iter().filter(|path| path.exists()) {
        fs::remove_file(path).map_err(Failure::file("remove", path))?;
    }
    taken
}

/// Puts a program's where it belongs, without the path of this machine's checkout.
fn take(workspace: &Workspace, name: &str, out: &Path) -> Result<(), Failure> {
    let from = workspace.root.join("crates").join(name).join(format!("{name}{ENDING}"));
    let text = fs::read_to_string(&from).map_err(Failure::file("read", &from))?;
    let here = format!("file://{}", workspace.root.display());
    let to = out.join(format!("{name}.cdx.json"));
    fs::write(&to, text.replace(&here, "file:///cm-fleet")).map_err(Failure::file("write", &to))
}

/// All files of its in the crates' directories.
fn written(workspace: &Workspace) -> Result<Vec<PathBuf>, Failure> {
    let crates = workspace.root.join("crates");
    let mut found = Vec::new();
    for dir in fs::read_dir(&crates).map_err(Failure::file("read", &crates))?.flatten() {
        let Ok(entries) = fs::read_dir(dir.path()) else { continue };
        let paths = entries.flatten().map(|entry| entry.path());
        found.extend(paths.filter(|path| path.to_string_lossy().ends_with(ENDING)));
    }
    Ok(found)
}
